package broker

import (
	"fmt"
	"maps"
	"strconv"
	"strings"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/urban-compute/ucp/broker/kind"
	"github.com/urban-compute/ucp/broker/membership"
	"github.com/urban-compute/ucp/broker/wire"
	"github.com/urban-compute/ucp/clock"
	"github.com/urban-compute/ucp/emergency"
	"github.com/urban-compute/ucp/job"
	"github.com/urban-compute/ucp/label"
	"github.com/urban-compute/ucp/ledger"
	"github.com/urban-compute/ucp/resolve"
)

// commands of the stories; stories_test.go lists what they mean.
var commands = map[string]func(*story){
	"cluster": func(s *story) {
		for i := 0; s.word(i) != ""; i++ {
			s.w.start(s.word(i), s.configure)
		}
		s.w.meet()
		s.w.pass(3 * time.Second)
	},
	"broker":   func(s *story) { s.w.start(s.word(0), s.configure); s.w.meet() },
	"numbered": func(s *story) { s.w.numbered = true },
	"restart":  func(s *story) { s.w.start(s.word(0), s.configure) },
	"speaks": func(s *story) {
		n, err := strconv.Atoi(s.word(1))
		require.NoError(s.t, err)
		s.node(0).protocol = n
		s.w.meet()
	},
	"crash": func(s *story) { s.w.crash(s.word(0), s.word(1) == "late") },
	"leave": leave,
	"drain": drain,
	"reap":  reap,
	"order": func(s *story) {
		s.w.ask(s.node(0), "order", func(t Token) Input {
			return DrainMember{Token: t, Name: s.word(2), Resume: s.word(1) == "resume", Deadline: s.duration(s.option("within", "0s"))}
		})
	},
	"forget": func(s *story) {
		s.w.ask(s.node(0), "forget", func(t Token) Input { return ForgetMember{Token: t, Name: s.word(1)} })
		s.w.settle()
	},
	"city":   func(s *story) { s.w.newGate(s.t) },
	"shut":   func(s *story) { s.w.gate.shut[s.word(0)] = s.word(1) != "no" },
	"invent": func(s *story) { s.w.opens(s.node(0), s.word(1)) },
	"roll":   showRoll,
	"wipe":   func(s *story) { clear(s.node(0).disk) },
	"backup": func(s *story) {
		s.node(0).backup, s.node(0).copied = maps.Clone(s.node(0).disk), s.node(0).cfg.Actor
	},
	"restore":   restore,
	"resume":    resume,
	"overstate": overstate,
	"renumber": func(s *story) {
		n, err := strconv.Atoi(s.word(1))
		require.NoError(s.t, err)
		s.w.node(s.word(0)).starts = n - 1
	},
	"mint": func(s *story) {
		n := s.node(0)
		if n.slow = s.word(1) == "later"; !n.slow {
			s.w.renew(n, n.mint)
		}
	},
	"meet": func(s *story) {
		if name := s.word(0); name != "" {
			s.w.look(name)
		} else {
			s.w.meet()
		}
	},
	"apart":  func(s *story) { s.apart() },
	"pack":   func(s *story) { s.pack() },
	"unpack": func(s *story) { s.unpack() },
	"cut": func(s *story) {
		p := s.path()
		s.w.cut[p], s.w.cut[[2]string{p[1], p[0]}] = true, true
	},
	"heal":   func(s *story) { clear(s.w.cut) },
	"skew":   func(s *story) { s.w.node(s.word(0)).skew = s.duration(s.word(1)) },
	"time":   cityTime,
	"loud":   func(s *story) { s.w.loud = true },
	"quiet":  func(s *story) { s.w.loud = false },
	"settle": func(s *story) { s.w.settle() },
	"pass":   func(s *story) { s.w.pass(s.duration(s.word(0))) },
	"jump":   func(s *story) { s.w.now = s.w.now.Add(s.duration(s.word(0))); s.w.settle() },
	"ready":  func(s *story) { s.w.ready(s.node(0)) },

	"submit": func(s *story) {
		id, spec := job.ID(s.word(1)), s.spec()
		in := Submit{ID: id, Spec: spec, Past: s.past(), Timeout: s.duration(s.option("timeout", "5s"))}
		if name, named := spec.ModuleName(); named && !s.d.HasArg("unseen") {
			in.Module = s.node(0).b.names.latest(name)
		}
		if m := s.option("brought", ""); m != "" {
			in.Brought = job.Digest(strings.Repeat(m, 64))
		}
		s.w.ask(s.node(0), string(id), func(t Token) Input { in.Token = t; s.remember(t); return in })
	},
	"catchup": func(s *story) {
		in := CatchUp{Past: s.past(), Timeout: s.duration(s.option("timeout", "5s"))}
		s.w.ask(s.node(0), "catchup", func(t Token) Input { in.Token = t; return in })
	},
	"stats":    func(s *story) { s.w.say("%s", statsText(s.node(0).b.stats)) },
	"warnings": warnings,
	"status": func(s *story) {
		if text := s.node(0).b.awaitsProof(); text != "" {
			s.w.say("start: %s", text)
		}
		for _, name := range s.w.names {
			if text := standingText(s.node(0).b.standing(name)); text != "" {
				s.w.say("%s: %s", name, text)
			}
		}
		warnings(s)
	},
	"get": func(s *story) {
		s.w.ask(s.node(0), s.word(1), func(t Token) Input { s.remember(t); return Get{Token: t, ID: s.word(1), Past: s.past()} })
		s.w.ready(s.node(0))
	},
	"wait": func(s *story) {
		s.w.ask(s.node(0), "wait "+s.word(1), func(t Token) Input { return Await{Token: t, ID: s.word(1)} })
	},
	"cancel": func(s *story) {
		s.w.ask(s.node(0), "cancel "+s.word(1), func(t Token) Input { return Cancel{Token: t, ID: s.word(1), Reason: "by " + s.word(0)} })
	},
	"list": func(s *story) {
		in := List{Limit: int(s.number("limit", 100))}
		if state := s.option("state", ""); state != "" {
			in.States = []job.State{job.State(state)}
		}
		in.Name, in.Broker, in.Emergency = s.option("name", ""), s.option("at", ""), s.option("emergency", "")
		in.Urgent, in.Paused = s.d.HasArg("urgent"), s.d.HasArg("paused")
		if l := s.option("label", ""); l != "" {
			c, err := label.ParseSelector(l)
			require.NoError(s.t, err)
			in.Labels = append(in.Labels, c)
		}
		if since := s.option("since", ""); since != "" {
			in.Since = clock.At(s.w.now.Add(-s.duration(since)))
		}
		about := "list"
		if s.d.HasArg("why") {
			about = "list why"
		}
		s.w.ask(s.node(0), about, func(t Token) Input { in.Token = t; return in })
		s.w.ready(s.node(0))
	},

	"declare": func(s *story) {
		d, err := emergency.ParseDeclaration([]byte(s.d.Input))
		require.NoError(s.t, err)
		s.w.ask(s.node(0), "declare", func(t Token) Input { return Declare{Token: t, Declaration: d, NewType: s.word(1) == "new-type"} })
		s.w.ready(s.node(0))
	},
	"clear": func(s *story) {
		s.w.ask(s.node(0), "clear", func(t Token) Input { return Clear{Token: t, ID: s.word(1), Force: s.word(2) == "force"} })
		s.w.ready(s.node(0))
	},
	"event":       event,
	"emergencies": func(s *story) { listEmergencies(s, "") },
	"emergency":   func(s *story) { listEmergencies(s, s.word(1)) },

	"flood":    flood,
	"gossip":   gossip,
	"deliver":  deliver,
	"claim":    claim,
	"mislead":  mislead,
	"hold":     hold,
	"late":     late,
	"drop":     drop,
	"report":   report,
	"recover":  func(s *story) { s.w.step(s.node(0), Recovered{}) },
	"unable":   func(s *story) { s.w.step(s.node(0), Unable{Why: "no worker can be started"}) },
	"compiled": compiled,
	"paused":   paused,
	"watch":    func(s *story) { s.w.step(s.node(0), Watch{On: true}) },
	"checkpoint": func(s *story) {
		n := s.node(0)
		key, run := find(s, n.running)
		s.w.step(n, Checkpointed{Key: key, Attempt: run.Attempt, Tree: job.Digest(strings.Repeat(s.word(2), 64)), Bytes: 1, Ran: s.duration(s.option("ran", "10s"))})
	},
	"loads":    func(s *story) { loads(s, true) },
	"loaded":   func(s *story) { loads(s, false) },
	"strategy": strategy,
	"conflict": conflict,
	"which": func(s *story) {
		d := &s.node(0).b.decisions
		s.w.say("%s", strategyText(d.strategy(), d.override()))
	},
	"terms": func(s *story) {
		t := s.node(0).b.emergencies.known[emergency.ID(s.word(1))].Terms
		s.w.say("%s %s, scope %q, select %q, message %q", job.LevelName(t.Level), t.Type, t.Scope, t.Select, t.Message)
	},
	"where": func(s *story) {
		b := s.node(0).b
		s.w.say("%s", reachText(b.reach(b.emergencies.known[emergency.ID(s.word(1))])))
	},
	"stopped": stopped,
	"gone":    gone,
	"fetched": fetched,
	"pushed":  pushed,
	"kept":    kept,
	"room":    func(s *story) { s.w.step(s.node(0), Room{Full: s.word(1) == "full", Free: s.number("free", 0) << 20}) },
	"damaged": func(s *story) {
		s.w.step(s.node(0), Damaged{Digest: job.Digest(strings.Repeat(s.word(1), 64))})
	},
	"show":     show,
	"clock":    func(s *story) { s.w.say("%v", s.node(0).b.Clock()) },
	"stable":   func(s *story) { s.w.say("%v", s.node(0).b.ledger.StableClock()) },
	"row":      row,
	"hybrid":   hybrid,
	"deps":     deps,
	"transfer": transfer,
}

// warnings tells what a warns of.
func warnings(s *story) {
	b := s.node(0).b
	for _, w := range b.warnings(b.Clock().Names(), &Overview{Roll: b.enrolment.list(), Lost: b.repairer.outputs.lost, Drains: b.listDrains()}) {
		s.w.say("%s", w)
	}
}

// event brings an event to brokers: what another has flooded, or what a stock command line
// says.
func event(s *story) {
	payload, ltime := []byte(s.d.Input), uint64(s.number("ltime", 7))
	if from := s.option("from", ""); from != "" {
		payload = s.w.nodes[from].flood
	}
	for i := 0; s.word(i) != ""; i++ {
		n := s.node(i)
		r, err := emergency.Parse(payload, ltime, clock.HybridAt(s.w.now.Add(n.skew)))
		if err != nil {
			s.w.say("refused: %v", err)
			continue
		}
		s.w.step(n, Heard{Event: r})
	}
}

func listEmergencies(s *story, id string) {
	s.w.ask(s.node(0), "emergencies", func(t Token) Input { return ListEmergencies{Token: t, ID: id} })
	s.w.ready(s.node(0))
}

// showRoll tells who is in the roll, as a knows it, and whose records are closed.
func showRoll(s *story) {
	b := s.node(0).b
	var out []string
	for _, name := range s.w.names {
		if r := b.members.Roll().Get(name); r != nil {
			text := name
			if r.Epoch > 1 {
				text += fmt.Sprintf(" epoch %d", r.Epoch)
			}
			if !r.Open() {
				text += " " + string(r.Closed)
			}
			out = append(out, text)
		}
	}
	for _, name := range b.members.Uninvited() {
		out = append(out, name+" not let in")
	}
	if len(out) == 0 {
		out = []string{"no roll"}
	}
	s.w.say("%s", strings.Join(out, ", "))
}

// leave lets a broker say goodbye, ends it, and tells all that it has left.
func leave(s *story) {
	s.w.ask(s.node(0), "drain", func(t Token) Input { return Drain{Token: t} })
	s.w.settle()
	s.w.crash(s.word(0), false)
	for _, name := range s.w.names {
		n := s.w.nodes[name]
		if m, ok := n.seen[s.word(0)]; ok && n.b != nil {
			m.Status = membership.Left
			n.seen[s.word(0)] = m
			s.w.roster(n)
		}
	}
}

// remember lets the answer to this request add to what the client has seen.
func (s *story) remember(t Token) {
	if name := s.option("token", ""); name != "" {
		s.w.clients[t] = name
	}
}

func drain(s *story) {
	s.w.ask(s.node(0), "drain", func(t Token) Input { return Drain{Token: t, Now: s.word(1) == "now"} })
}

// reap lets all, or some, forget a member that is gone, as Serf does after a day.
func reap(s *story) {
	by := s.w.names
	if some := s.option("by", ""); some != "" {
		by = strings.Split(some, "+")
	}
	for _, name := range by {
		if n := s.w.nodes[name]; n.b != nil && name != s.word(0) {
			delete(n.seen, s.word(0))
			s.w.roster(n)
		}
	}
}

// restore brings a disk back to its copy. What was minted since is not known to
// anybody, unless it has left this broker.
func restore(s *story) {
	n := s.node(0)
	clear(n.disk)
	maps.Copy(n.disk, n.backup)
}

// resume lets a broker go on as it was when it was copied, as its start of that time.
func resume(s *story) {
	n := s.node(0)
	s.w.crash(n.name, false)
	restore(s)
	s.w.doubtful[n.copied] = true
	s.w.boot(n, n.copied)
}

// overstate lets the first broker tell the second one that it holds so many updates of the third one's present start.
func overstate(s *story) {
	by, to, of := s.node(0), s.node(1), s.node(2)
	lie := clock.NewTips(clock.Dot{Actor: of.cfg.Actor, Counter: uint64(s.number("n", 1<<40))})
	s.w.doubtful[of.cfg.Actor] = true
	m := wire.Message{Version: wire.Version, From: by.name, Actor: by.cfg.Actor, Delta: &wire.Delta{Clock: lie}}
	if to == of {
		m.Clock, m.Delta = lie, nil
	}
	s.w.deliver(packet{from: by.name, to: to.name, wire: wire.Encode(&m)})
	s.w.settle()
}

// flood submits n jobs that nobody can run, each of about that many bytes.
func flood(s *story) {
	for i := range s.number("n", 0) {
		spec := s.spec()
		spec.Constraints, spec.Args = []string{"nowhere"}, []string{strings.Repeat("x", int(s.number("size", 1)))}
		id := job.ID(fmt.Sprintf("%s%03d", s.word(1), i))
		s.w.ask(s.node(0), "", func(t Token) Input { return Submit{Token: t, ID: id, Spec: spec} })
	}
}

// gossip carries a's state to b, as a push-pull does.
func gossip(s *story) {
	state, err := wire.DecodeState(s.node(0).state)
	require.NoError(s.t, err)
	s.w.step(s.node(1), Gossip{State: state})
}

// claim lets b reply to a that it holds all that a holds, and has forgotten a job, or is in doubt of it.
func claim(s *story) {
	n := s.node(1)
	id := s.word(2)
	keys := n.b.withID(job.ID(id))
	require.NotEmpty(s.t, keys, "%s does not hold %s", n.name, id)
	r := wire.Reply{Version: wire.Version, From: s.word(0), Actor: s.node(0).cfg.Actor, Clock: n.b.Clock()}
	if refs := []ledger.Ref{kind.JobRef(keys[0])}; s.word(3) == "doubt" {
		r.Doubted = refs
	} else {
		r.Forgotten = refs
	}
	s.w.step(n, Acked{Peer: s.word(0), Reply: r})
}

// mislead lets b reply to c with its clock as that of a delta, and leave the records out.
func mislead(s *story) {
	b, c := s.node(0), s.node(1)
	s.w.misled[c.name] = true
	s.w.step(c, Acked{Peer: b.name, Reply: wire.Reply{
		Version: wire.Version, From: b.name, Actor: b.cfg.Actor, Clock: b.b.Clock(), Delta: &wire.Delta{Since: c.b.Clock(), Clock: b.b.Clock()},
	}})
}

func deliver(s *story) {
	p, ok := s.w.take(s.path())
	if !ok {
		s.d.Fatalf(s.t, "nothing is on its way")
	}
	p.loseBack = s.d.HasArg("lost")
	if s.d.HasArg("bad") {
		m, err := wire.DecodeMessage(p.wire)
		require.NoError(s.t, err)
		m.Delta.Records[0].Bytes[0] = 0xc1 // no such msgpack
		p.wire = wire.Encode(&m)
	}
	s.w.deliver(p)
}

// hold lets the first message from a to b arrive later than others, and late lets it arrive. Its sender has given it up.
func hold(s *story) {
	p, ok := s.w.take(s.path())
	if !ok {
		s.d.Fatalf(s.t, "nothing is on its way")
	}
	s.w.held[s.path()] = append(s.w.held[s.path()], p)
	s.w.fail(p)
}

func late(s *story) {
	held := s.w.held[s.path()]
	if len(held) == 0 {
		s.d.Fatalf(s.t, "nothing is held up")
	}
	s.w.held[s.path()] = held[1:]
	s.w.deliver(held[0])
}

func drop(s *story) {
	p, ok := s.w.take(s.path())
	if !ok {
		s.d.Fatalf(s.t, "nothing is on its way")
	}
	s.w.fail(p)
}

// find returns the entry of a job among those of a node's shell, by ID.
func find[V any](s *story, m map[string]V) (key string, v V) {
	for k, v := range m {
		if strings.HasPrefix(k, s.word(1)+"~") {
			return k, v
		}
	}
	s.d.Fatalf(s.t, "%s has no such job here", s.word(0))
	return "", v
}

func report(s *story) {
	n := s.node(0)
	key, run := find(s, n.running)
	delete(n.running, key)
	now := clock.At(s.w.now)
	res := job.Result{Outcome: job.Succeeded, Started: now, Finished: now}
	if s.word(2) != "ok" {
		res.Outcome, res.Reason, res.Permanent = job.Failed, "exit 1", s.word(2) == "fatal"
	}
	in := Reported{Key: key, Attempt: run.Attempt, Began: s.d.HasArg("began")}
	if s.word(2) == "returned" {
		in.Returned, res.Reason, res.Permanent = true, "no space left", s.d.HasArg("never")
	}
	if f := s.option("out", ""); f != "" {
		res.Stdout = &job.Blob{Digest: job.Digest(strings.Repeat(f, 64)), Size: 1}
	}
	if f := s.option("file", ""); f != "" {
		res.Outputs = map[string]job.Blob{run.Spec.Outputs[0]: {Digest: job.Digest(strings.Repeat(f, 64)), Size: 1}}
	}
	in.Result = res
	s.w.step(n, in)
}

func stopped(s *story) {
	n := s.node(0)
	key, stop := find(s, n.stops)
	delete(n.stops, key)
	delete(n.running, key)
	delete(n.still, key)
	in := Reported{Key: key, Attempt: stop.Attempt, Stopped: true}
	if f := s.option("out", ""); f != "" && stop.Keep {
		now := clock.At(s.w.now)
		in.Result = job.Result{Outcome: job.Failed, Reason: "stopped", Started: now, Finished: now, Stdout: &job.Blob{Digest: job.Digest(strings.Repeat(f, 64)), Size: 1}}
	}
	s.w.step(n, in)
}

// gone says that what a has stopped runs no more, and that what it has written is being stored.
func gone(s *story) {
	n := s.node(0)
	key, stop := find(s, n.stops)
	delete(n.running, key)
	s.w.step(n, Gone{Key: key, Attempt: stop.Attempt})
}

func loads(s *story, on bool) {
	n := s.node(0)
	key, run := find(s, n.running)
	s.w.step(n, Loads{Key: key, Attempt: run.Attempt, On: on})
}

// compiled says which modules a has compiled: f, b for ffff..., bbbb...
func compiled(s *story) {
	var in Compiled
	for i := 1; s.word(i) != ""; i++ {
		in.Digests = append(in.Digests, job.Digest(strings.Repeat(s.word(i), 64)))
	}
	s.w.step(s.node(0), in)
}

func paused(s *story) {
	n := s.node(0)
	key, p := find(s, n.pauses)
	delete(n.pauses, key)
	s.w.paused(n, key)
	s.w.step(n, Paused{Key: key, Attempt: p.Attempt})
}

func strategy(s *story) {
	name, err := resolve.ParseStrategy(s.word(1))
	require.NoError(s.t, err)
	in := SetStrategy{Strategy: name, Cluster: s.word(2) == "cluster"}
	s.w.ask(s.node(0), "strategy", func(t Token) Input { in.Token = t; return in })
	s.w.ready(s.node(0))
}

// conflict tells in one sentence each what was decided lately, the newest first.
func conflict(s *story) {
	for _, c := range s.node(0).b.decisions.history.Latest(int(s.number("limit", 1))) {
		s.w.say("%s", c.Explain().Sentence)
	}
}

func fetched(s *story) {
	n := s.node(0)
	key, f := find(s, n.fetch)
	delete(n.fetch, key)
	s.w.step(n, Fetched{Key: key, Attempt: f.Attempt, Err: s.word(2), Nowhere: s.word(2) == "nowhere"})
}

func pushed(s *story) {
	n, to := s.node(0), s.word(1)
	if len(n.push[to]) == 0 {
		s.d.Fatalf(s.t, "nothing is on its way")
	}
	p := n.push[to][0]
	n.push[to] = n.push[to][1:]
	s.w.step(n, Pushed{Peer: to, Actor: p.Actor, Digest: p.Digest, Failed: s.word(2) == "failed"})
}

// kept lets a's shell say what became of the next file that a is to keep.
func kept(s *story) {
	n := s.node(0)
	if len(n.keep) == 0 {
		s.d.Fatalf(s.t, "it asks for nothing")
	}
	k := n.keep[0]
	n.keep = n.keep[1:]
	how := s.word(1)
	s.w.step(n, Kept{Digest: k.Digest, Here: how == "here" || how == "new", New: how == "new", Nowhere: how == "nowhere"})
}

// show tells what a holds of every job with this ID (rule J3: there may be two).
func show(s *story) {
	b := s.node(0).b
	for _, key := range b.withID(job.ID(s.word(1))) {
		s.w.say("%s", recordText(b.record(key)))
	}
}

// deps tells what a job depends on, as a holds it.
func deps(s *story) {
	b := s.node(0).b
	for _, key := range b.withID(job.ID(s.word(1))) {
		s.w.say("%v", b.record(key).Created[0].Deps)
	}
}

func row(s *story) {
	n, o := s.node(0), s.node(1)
	r := n.b.members.Metadata(o.name)
	switch {
	case r.Name == "":
		s.w.say("none")
	case r.Actor != o.cfg.Actor:
		s.w.say("of %s, which is gone", r.Actor)
	default:
		s.w.say("of %s", r.Actor)
	}
}

// cityTime tells what time it is to brokers, by how far that is from the world's.
func cityTime(s *story) {
	for i := 0; s.word(i) != ""; i++ {
		c := &s.node(i).b.clocks
		text := "right"
		if off := c.cityTime().Sub(s.w.now).Round(time.Second); off != 0 {
			text = fmt.Sprintf("%v off", off)
		}
		if c.unset {
			text += ", unset"
		}
		if c.disputed {
			text += ", disputed"
		}
		s.w.say("%s is %s", s.word(i), text)
	}
}

func hybrid(s *story) {
	n := s.node(0)
	ahead := n.b.stamp().Time().Sub(s.w.now.Add(n.skew)).Round(time.Second)
	s.w.say("%v ahead", ahead)
}

// transfer tells how far a's transfer to b is.
func transfer(s *story) {
	page, ok := s.node(0).b.peers.Transferring(s.word(1))
	if !ok {
		s.w.say("none")
		return
	}
	s.w.say("page %d", page)
}
