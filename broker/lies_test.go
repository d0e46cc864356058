package broker

import (
	"fmt"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/urban-compute/ucp/broker/kind"
	"github.com/urban-compute/ucp/broker/membership"
	"github.com/urban-compute/ucp/broker/wire"
	"github.com/urban-compute/ucp/canon"
	"github.com/urban-compute/ucp/clock"
	"github.com/urban-compute/ucp/emergency"
	"github.com/urban-compute/ucp/job"
	"github.com/urban-compute/ucp/ledger"
	"github.com/urban-compute/ucp/resolve"
	"github.com/urban-compute/ucp/roll"
	"github.com/urban-compute/ucp/setting"
)

// Numbers that nobody has come to: beyond what is valid, and the greatest that is.
const (
	beyondAll = math.MaxUint64
	farthest  = clock.MaxCounter
)

var year9999 = min(clock.HybridAt(time.Date(9999, 1, 1, 0, 0, 0, 0, time.UTC)), clock.Hybrid(clock.MaxCounter))

// liar is c, which says one thing to a that it can't know, or that is not its to say.
type liar struct {
	w       *world
	a, b, c *node
	ended   *job.Record // whose end is firm everywhere
	runs    *job.Record // that a runs
	door    bool        // a message was refused before its receiver has heard of it
	bad     int         // records that did not validate
}

func (l *liar) message() wire.Message {
	return wire.Message{Version: wire.Version, From: "c", Actor: l.c.cfg.Actor, Clock: l.c.b.Clock()}
}

// say sends a message to a, if it gets through the door.
func (l *liar) say(edit func(m *wire.Message)) {
	m := l.message()
	edit(&m)
	b := wire.Encode(&m)
	m, err := wire.DecodeMessage(b)
	if l.door = err != nil; !l.door {
		l.bad += m.Delta.Bad()
		l.w.deliver(packet{from: m.From, to: "a", wire: b})
	}
}

// reply answers a.
func (l *liar) reply(edit func(r *wire.Reply)) {
	r := wire.Reply{Version: wire.Version, From: "c", Actor: l.c.cfg.Actor, Clock: l.a.b.Clock()}
	edit(&r)
	r, err := wire.DecodeReply(wire.Encode(&r))
	must(err)
	l.w.step(l.a, Acked{Peer: "c", By: l.a.cfg.Actor, Reply: r})
}

// send brings a record of any kind.
func (l *liar) send(k ledger.Kind, r ledger.Record) {
	l.say(func(m *wire.Message) {
		m.Delta = &wire.Delta{Records: []wire.Encoded{{Kind: k, Key: r.Key(), Dots: r.Writers(), Bytes: r.Encode()}}}
	})
}

// change brings a job with an update that c says somebody has made.
func (l *liar) change(r *job.Record, by clock.Actor, counter uint64, with func(r *job.Record, d clock.Dot)) {
	d := clock.Dot{Actor: by, Counter: counter}
	l.send(kind.Job, r.With(d, func(r *job.Record) { with(r, d) }))
}

// own is the next update of c, which it will write as something else; far is one that it will not come to.
func (l *liar) own() clock.Dot {
	return clock.Dot{Actor: l.c.cfg.Actor, Counter: l.c.b.ledger.Wrote() + 1}
}
func (l *liar) far() clock.Dot { return clock.Dot{Actor: l.c.cfg.Actor, Counter: 1 << 40} }

func (l *liar) job(at clock.Hybrid) *job.Record {
	spec := job.Spec{Command: "work", Constraints: []string{"nowhere"}, Priority: job.Priority{User: job.DefaultUser}}
	must(spec.Complete())
	return job.New("lie", spec, spec.Digest(), job.Stamp{Dot: l.own(), At: at})
}

func tips(a clock.Actor, n uint64) clock.Tips { return clock.NewTips(clock.Dot{Actor: a, Counter: n}) }

// Where a lie ends.
const (
	door    = "at the door"    // the message does not validate: counted and logged by package node
	aside   = "aside"          // its record does not validate: likewise
	atB     = "X1 at b"        // a can't know better; b can, when it hears of it
	nothing = "it is harmless" // or believed, as of a member that may say so
)

// lies are one of each kind that a single peer can tell, by the rule that refuses it. docs/testing.md lists them.
var lies = []struct {
	what  string
	ends  string
	gone  bool // b has stopped, and what it has taken last is on its disk alone
	tells func(l *liar)
}{
	// Raised counters (X1): of the receiver, of another that is there, of one that has stopped, of nobody.
	{"a clock with more of a than it has written", "X1", false, func(l *liar) {
		l.say(func(m *wire.Message) { m.Clock = tips(l.a.cfg.Actor, 1<<40) })
	}},
	{"the same by the greatest number that is valid", "X1", false, func(l *liar) {
		l.say(func(m *wire.Message) { m.Clock = tips(l.a.cfg.Actor, farthest) })
	}},
	{"a delta's clock with more of a", "X1", false, func(l *liar) {
		l.say(func(m *wire.Message) {
			m.Clock = tips(l.a.cfg.Actor, 1<<40)
			m.Delta = &wire.Delta{Clock: m.Clock}
		})
	}},
	{"quarantine with more of a", "X1", false, func(l *liar) {
		l.say(func(m *wire.Message) { m.Seen = tips(l.a.cfg.Actor, 1<<40) })
	}},
	{"a later start of a", nothing, false, func(l *liar) {
		l.say(func(m *wire.Message) { m.Clock = tips(clock.StartActor("a", 1<<20), 7) })
	}},
	{"a clock with more of b", nothing, false, func(l *liar) {
		l.say(func(m *wire.Message) { m.Clock = tips(l.b.cfg.Actor, 1<<40) })
	}},
	{"a delta's clock with more of b", atB, false, func(l *liar) {
		l.say(func(m *wire.Message) { m.Delta = &wire.Delta{Clock: tips(l.b.cfg.Actor, 1<<40)} })
	}},
	{"a delta's clock with more of b, which has stopped", nothing, true, func(l *liar) {
		l.say(func(m *wire.Message) { m.Delta = &wire.Delta{Clock: tips(l.b.cfg.Actor, 1<<40)} })
	}},
	{"a delta's clock with starts of brokers that are none", nothing, false, func(l *liar) {
		l.say(func(m *wire.Message) {
			m.Delta = &wire.Delta{Clock: clock.NewTips(clock.Dot{Actor: "y~1", Counter: 1}, clock.Dot{Actor: "z~1", Counter: 9})}
		})
	}},
	{"a delta since a clock that nobody has", nothing, false, func(l *liar) {
		l.say(func(m *wire.Message) {
			m.Delta = &wire.Delta{Since: tips(l.b.cfg.Actor, 1<<40), Clock: tips(l.b.cfg.Actor, 1<<41)}
		})
	}},

	// Sequences of 2^64-1.
	{"2^64-1 in a clock", door, false, func(l *liar) {
		l.say(func(m *wire.Message) { m.Clock = tips(l.b.cfg.Actor, beyondAll) })
	}},
	{"2^64-1 in a quarantine", door, false, func(l *liar) {
		l.say(func(m *wire.Message) { m.Seen = tips(l.b.cfg.Actor, beyondAll) })
	}},
	{"2^64-1 in the clock of a delta", door, false, func(l *liar) {
		l.say(func(m *wire.Message) { m.Delta = &wire.Delta{Clock: tips(l.b.cfg.Actor, beyondAll)} })
	}},
	{"2^64-1 among the updates of a job", aside, false, func(l *liar) {
		l.change(l.runs, l.c.cfg.Actor, beyondAll, func(*job.Record, clock.Dot) {})
	}},
	{"2^64-1 as an epoch", aside, false, func(l *liar) {
		l.send(kind.Job, l.job(l.a.b.stamp()).With(l.far(), func(r *job.Record) {
			r.Owner = job.Assignment{Tenure: job.Tenure{Epoch: beyondAll, At: 1, By: l.c.cfg.Actor}, Broker: "c", Actor: l.c.cfg.Actor}
		}))
	}},
	{"the greatest epoch that is valid", nothing, false, func(l *liar) {
		l.send(kind.Job, l.job(l.a.b.stamp()).With(l.own(), func(r *job.Record) {
			r.Owner = job.Assignment{Tenure: job.Tenure{Epoch: farthest, At: 1, By: l.c.cfg.Actor}, Broker: "c", Actor: l.c.cfg.Actor}
		}))
	}},
	{"2^64-1 as the version of a clock", door, false, func(l *liar) {
		l.say(func(m *wire.Message) { m.Told = &wire.Told{Version: beyondAll, Digest: wire.DigestOf(m.Clock, nil)} })
	}},
	{"2^64-1 as a beat, and what was heard", nothing, false, func(l *liar) {
		l.say(func(m *wire.Message) { m.Heard, m.Beat, m.ToldHeard = beyondAll, beyondAll, beyondAll })
	}},

	// Updates of others, and what has none.
	{"a report of a that it has never written", "X1", false, func(l *liar) {
		l.change(l.runs, l.a.cfg.Actor, 1<<40, func(r *job.Record, d clock.Dot) {
			r.SetReport(job.Report{Attempt: r.Place.Attempt, Dot: d, Phase: job.Stopped})
		})
	}},
	{"an end of a that it has never written", "X1", false, func(l *liar) {
		l.change(l.ended, l.a.cfg.Actor, 1<<40, func(r *job.Record, d clock.Dot) {
			r.AddVerdict(job.Verdict{At: 1, Dot: d, Outcome: job.Cancelled, Reason: "by c"})
		})
	}},
	{"an earlier end of b, of what is firm", atB, false, func(l *liar) {
		l.change(l.ended, l.b.cfg.Actor, 1<<40, func(r *job.Record, d clock.Dot) {
			r.AddVerdict(job.Verdict{At: 1, Dot: d, Outcome: job.Cancelled, Reason: "by c"})
		})
	}},
	{"an earlier end of its own, of what is firm", nothing, false, func(l *liar) {
		l.change(l.ended, l.c.cfg.Actor, l.own().Counter, func(r *job.Record, d clock.Dot) {
			r.AddVerdict(job.Verdict{At: 1, Dot: d, Outcome: job.Cancelled, Reason: "by c"})
		})
	}},
	{"a report on what runs elsewhere", nothing, false, func(l *liar) {
		l.change(l.runs, l.c.cfg.Actor, l.own().Counter, func(r *job.Record, d clock.Dot) {
			r.SetReport(job.Report{Attempt: r.Place.Attempt, Dot: d, At: 1, Phase: job.Stopped})
		})
	}},
	{"a record that nobody can read, of a and b", aside, false, func(l *liar) {
		l.say(func(m *wire.Message) {
			dots := clock.NewVector(clock.Dot{Actor: l.a.cfg.Actor, Counter: 1 << 40}, clock.Dot{Actor: l.b.cfg.Actor, Counter: 1 << 40})
			m.Delta = &wire.Delta{Records: []wire.Encoded{{Kind: kind.Job, Key: l.runs.Key(), Dots: dots, Bytes: []byte{0xc1}}}}
		})
	}},
	{"a record of a kind that is none, of its own", aside, false, func(l *liar) {
		l.say(func(m *wire.Message) {
			m.Delta = &wire.Delta{Records: []wire.Encoded{{Kind: "dance", Key: "k", Dots: clock.NewVector(l.far())}}}
		})
	}},

	// What was forgotten, or is doubted, or held.
	{"it has forgotten a job that is unfinished", "F3", false, func(l *liar) {
		l.reply(func(r *wire.Reply) { r.Forgotten = []ledger.Ref{kind.JobRef(l.runs.Key())} })
	}},
	{"it has forgotten a job whose end is firm", nothing, false, func(l *liar) {
		l.reply(func(r *wire.Reply) { r.Forgotten = []ledger.Ref{kind.JobRef(l.ended.Key())} })
	}},
	{"it is in doubt of a job", nothing, false, func(l *liar) {
		l.reply(func(r *wire.Reply) { r.Doubted = []ledger.Ref{kind.JobRef(l.runs.Key())} })
	}},
	{"it holds a job that is none, and has other unfinished ones", nothing, false, func(l *liar) {
		l.reply(func(r *wire.Reply) {
			r.Held, r.Live = []ledger.Ref{kind.JobRef("x~y")}, make([]byte, ledger.DigestSize)
		})
	}},
	{"an audit of jobs that are none", nothing, false, func(l *liar) {
		l.say(func(m *wire.Message) {
			m.Audit = &wire.Audit{Since: l.a.b.Clock()}
			for i := range 1000 {
				m.Audit.Records = append(m.Audit.Records, kind.JobRef(fmt.Sprint("j", i)))
			}
		})
	}},
	{"a replied delta was taken, and its sender starts again", nothing, false, func(l *liar) {
		l.reply(func(r *wire.Reply) { r.Taken, r.Restart = true, true })
	}},

	// Names: tags, metadata, messages, clocks and rows of others (X2, X3).
	{"tags that name the actor of b", "X2", false, func(l *liar) {
		l.a.seen["c"] = membership.Member{Name: "c", Actor: l.b.cfg.Actor, HTTPAddr: "c:8000", Status: membership.Alive, Protocol: wire.Version}
		l.w.roster(l.a)
	}},
	{"a message in a's own name", "X2", false, func(l *liar) {
		l.say(func(m *wire.Message) { m.From, m.Actor = "a", clock.StartActor("a", 1<<20) })
	}},
	{"a message by the actor of b", door, false, func(l *liar) {
		l.say(func(m *wire.Message) { m.Actor = l.b.cfg.Actor })
	}},
	{"metadata of b in its own message", door, false, func(l *liar) {
		l.say(func(m *wire.Message) { m.Metadata = &wire.Metadata{Name: "b", Actor: l.b.cfg.Actor} })
	}},
	{"newer metadata of b in a push-pull", nothing, false, func(l *liar) {
		s := wire.State{Version: wire.Lowest, From: "c", Metadata: []wire.Metadata{
			{Name: "c", Actor: l.c.cfg.Actor, Version: year9999}, {Name: "b", Actor: l.b.cfg.Actor, Version: year9999, HTTPAddr: "evil:1", Draining: true},
		}}
		b, _ := wire.EncodeState(&s, wire.MaxState, 0)
		got, err := wire.DecodeState(b)
		must(err)
		l.w.step(l.a, Gossip{State: got})
	}},
	{"a message for another start of a", nothing, false, func(l *liar) {
		l.say(func(m *wire.Message) { m.To, m.Clock = clock.StartActor("a", 1<<20), tips(l.a.cfg.Actor, 1<<40) })
	}},
	{"a message in the name of b, with the clock of a", nothing, false, func(l *liar) {
		l.say(func(m *wire.Message) { m.From, m.Actor, m.Clock = "b", l.b.cfg.Actor, l.a.b.Clock() })
	}},
	{"a message of a start of b that is none", nothing, false, func(l *liar) {
		l.say(func(m *wire.Message) { m.From, m.Actor, m.Clock = "b", clock.StartActor("b", 1<<20), l.a.b.Clock() })
	}},
	{"a message in the name of b, which has stopped", nothing, true, func(l *liar) {
		l.say(func(m *wire.Message) { m.From, m.Actor, m.Clock = "b", l.b.cfg.Actor, l.a.b.Clock() })
	}},
	{"a row of a's own start", "X1", false, func(l *liar) {
		l.send(ledger.Starts, &ledger.Row{Actor: l.a.cfg.Actor, Parents: tips(clock.StartActor("a", 0), 5)})
	}},
	{"a row of a start that a has never had, which stands for what it has not written", "X1", false, func(l *liar) {
		l.send(ledger.Starts, &ledger.Row{Actor: clock.StartActor("a", 1<<20), Parents: tips(l.a.cfg.Actor, 1<<40)})
	}},
	{"another row of b's start", "X1", false, func(l *liar) {
		l.send(ledger.Starts, &ledger.Row{Actor: l.b.cfg.Actor, Parents: tips(clock.StartActor("b", 0), 5)})
	}},
	{"somebody takes part whom nobody has let in", nothing, false, func(l *liar) {
		l.send(kind.Member, roll.Change(nil, "zz", "", l.own(), l.a.b.stamp()))
	}},
	{"somebody takes part whom nobody has let in, by an update that nobody will write", nothing, false, func(l *liar) {
		l.send(kind.Member, roll.Change(nil, "zz", "", l.far(), l.a.b.stamp()))
	}},
	{"b was removed", nothing, false, func(l *liar) {
		l.send(kind.Member, roll.Change(l.a.b.members.Roll().Get("b"), "b", roll.Removed, l.own(), l.a.b.stamp()))
	}},

	// Stamps of the year 9999.
	{"its stamp is of the year 9999", nothing, false, func(l *liar) {
		l.say(func(m *wire.Message) { m.Hybrid = year9999 })
	}},
	{"its clocks show the year 9999", nothing, false, func(l *liar) {
		l.say(func(m *wire.Message) {
			m.Metadata = &wire.Metadata{Name: "c", Actor: l.c.cfg.Actor, Version: year9999, HTTPAddr: "c:8000", Highest: wire.Version, Wall: clock.At(year9999.Time()), City: clock.At(year9999.Time())}
		})
	}},
	{"a job of the year 9999", nothing, false, func(l *liar) { l.send(kind.Job, l.job(year9999)) }},
	{"a setting of the year 9999", nothing, false, func(l *liar) {
		l.send(kind.Setting, setting.New(strategySetting, nil, string(resolve.Priority), year9999, l.own()))
	}},

	// Records that grow (L11).
	{"fields of newer brokers without end", nothing, false, func(l *liar) {
		for i := range 40 {
			s := setting.New(strategySetting, nil, string(resolve.Priority), l.a.b.stamp(), l.own())
			s.Unknown = canon.Unknown{fmt.Sprint("z", i): strings.Repeat("x", 15<<10), fmt.Sprint("y", i): strings.Repeat("x", 60<<10)}
			l.send(kind.Setting, s)
		}
	}},
	{"a setting of so many that nobody would read it", "L11", false, func(l *liar) {
		for i := range 3 {
			s := setting.New(strategySetting, nil, string(resolve.Priority), l.a.b.stamp(), l.own())
			for n := range 2500 {
				s.Dots.Set(clock.Dot{Actor: clock.Actor(fmt.Sprintf("x%d%s~%016x", i, strings.Repeat("w", 60), n)), Counter: 1})
			}
			l.send(kind.Setting, s)
		}
	}},

	// What is stable, and transfers.
	{"it has told as stable what it does not hold", "F1", false, func(l *liar) {
		l.say(func(m *wire.Message) {
			far := tips(l.b.cfg.Actor, 1<<40)
			m.Told = &wire.Told{Version: 1 << 40, Digest: wire.DigestOf(m.Clock, far), Clock: m.Clock, Stable: far}
		})
	}},
	{"all that a holds is stable", nothing, false, func(l *liar) {
		l.say(func(m *wire.Message) {
			m.Clock = l.a.b.Clock()
			m.Told = &wire.Told{Version: 1 << 40, Digest: wire.DigestOf(m.Clock, m.Clock), Clock: m.Clock, Stable: m.Clock}
		})
	}},
	{"a page of a transfer that was never begun", nothing, false, func(l *liar) {
		l.say(func(m *wire.Message) {
			m.Page, m.Delta = &wire.Page{Transfer: 9, Number: 3, Last: true}, &wire.Delta{Clock: l.a.b.Clock()}
		})
	}},
	{"it gets all from b, up to the end of time", nothing, false, func(l *liar) {
		l.say(func(m *wire.Message) {
			m.Much, m.Lease = true, &wire.Lease{Donor: l.b.cfg.Actor, Upto: tips(l.a.cfg.Actor, farthest)}
		})
	}},
}

// TestEveryLie lets c tell one lie of each kind, while a runs a job, a result is firm everywhere and, in some, b has stopped
// with a job on its disk alone. What can be known to be a lie is refused and counted; no lie loses a job, mutes anybody,
// stops what runs, or changes a firm answer, and in the end all hold the same, and all is firm (rules X1 to X4, F1 to F3, K3).
func TestEveryLie(t *testing.T) {
	for _, lie := range lies {
		t.Run(lie.what, func(t *testing.T) {
			t.Parallel()
			l := newLiar(t, lie.gone)
			lie.tells(l)
			switch lie.ends {
			case door:
				require.True(t, l.door)
			case aside:
				require.False(t, l.door)
				require.Equal(t, 1, l.bad)
			case nothing, atB:
				require.False(t, l.door)
				require.Zero(t, l.bad)
				require.Empty(t, l.a.b.out.Breaches)
			default:
				require.NotEmpty(t, l.a.b.out.Breaches)
				require.Equal(t, lie.ends, l.a.b.out.Breaches[0].Rule)
				require.False(t, l.a.b.peers.HoldsUpdate("c", clock.Dot{Actor: l.a.cfg.Actor, Counter: 1 << 39}), "a copy that is none")
				require.Equal(t, Breaches{l.a.b.stats.Breaches, l.a.b.out.Breaches[0]}, l.a.b.breaches[l.a.b.out.Breaches[0].Peer], "counted for whoever is to look at")
			}
			l.isWell(t, lie.gone)
			if lie.ends == atB {
				require.NotZero(t, l.b.b.stats.Breaches)
			}
		})
	}
}

// newLiar makes three brokers that all know each other's stable clock: one job has ended, and is firm everywhere, a second one
// runs at a. If b is gone, it has taken a third one, and told nobody of it.
func newLiar(t *testing.T, gone bool) *liar {
	w := newWorld()
	w.numbered, w.cfg.SyncInterval = true, 20*time.Second
	w.newGate(t)
	for _, name := range []string{"a", "b", "c"} {
		w.start(name, func(*Config) {})
	}
	w.meet()
	w.pass(w.cfg.AckTimeout)
	l := &liar{w: w, a: w.nodes["a"], b: w.nodes["b"], c: w.nodes["c"]}
	l.submit(l.a, "ended", "name=a")
	l.submit(l.b, "first", "name=b") // each has written its row by now
	l.submit(l.c, "second", "name=c")
	w.settle()
	l.end()
	l.submit(l.a, "runs", "name=a")
	w.pass(2*w.cfg.SyncInterval + time.Second)
	l.submit(l.a, "held", "nowhere")
	w.pass(w.cfg.SyncInterval)
	for _, n := range []*node{l.a, l.b, l.c} {
		require.Contains(t, l.get(n, "ended"), "succeeded")
		require.NotContains(t, l.get(n, "ended"), "provisional")
	}
	l.ended, _ = l.a.b.resolve("ended")
	l.runs, _ = l.a.b.resolve("runs")
	require.Len(t, l.a.running, 1)
	if gone {
		for _, other := range []string{"a", "c"} {
			w.cut[[2]string{"b", other}], w.cut[[2]string{other, "b"}] = true, true
		}
		l.submit(l.b, "alone", "name=b")
		w.pass(w.cfg.AckTimeout + time.Second)
		require.Contains(t, w.said, "b answers alone: submitted, 1 replicas, degraded")
		w.crash("b", false)
		w.meet()
		w.settle()
	}
	w.said = nil
	return l
}

func (l *liar) submit(n *node, id job.ID, need string) {
	spec := job.Spec{Command: "work", Constraints: []string{need}, Priority: job.Priority{User: job.DefaultUser}}
	must(spec.Complete())
	l.w.ask(n, string(id), func(t Token) Input { return Submit{Token: t, ID: id, Spec: spec} })
}

// get is what a broker answers about a job.
func (l *liar) get(n *node, id string) string {
	l.w.said = nil
	l.w.ask(n, id, func(t Token) Input { return Get{Token: t, ID: id} })
	l.w.ready(n)
	return strings.TrimPrefix(strings.Join(l.w.said, "; "), n.name)
}

// end lets all that runs succeed.
func (l *liar) end() {
	for _, name := range l.w.names {
		n := l.w.nodes[name]
		for key, run := range n.running {
			delete(n.running, key)
			now := clock.At(l.w.now)
			l.w.step(n, Reported{Key: key, Attempt: run.Attempt, Result: job.Result{Outcome: job.Succeeded, Started: now, Finished: now}})
		}
	}
	l.w.settle()
}

// isWell demands that nobody has suffered: after a minute all take jobs with copies, hear each other, and do what a client says;
// what ran goes on to its end, and in the end all show the same, and all of it as firm.
func (l *liar) isWell(t *testing.T, gone bool) {
	w, all := l.w, []*node{l.a, l.b, l.c}
	w.pass(10 * time.Second)
	require.Contains(t, l.a.running, l.runs.Key(), "what runs goes on")
	if clear(w.cut); gone {
		w.start("b", func(*Config) {})
	}
	w.meet()
	w.pass(4 * w.cfg.SyncInterval) // an invented start of b is heard for three of them (rule F1)
	w.meet()
	ids := []string{"ended", "runs", "held"}
	if gone {
		ids = append(ids, "alone")
	}
	w.said = nil
	for i, n := range all {
		id := "new-at-" + n.name
		l.submit(n, job.ID(id), "name="+all[(i+1)%3].name)
		ids = append(ids, id)
	}
	w.pass(w.cfg.AckTimeout / 2)
	for _, n := range all {
		require.Contains(t, w.said, n.name+" answers new-at-"+n.name+": submitted, 2 replicas")
	}
	w.ask(l.a, "strategy", func(t Token) Input { return SetStrategy{Token: t, Strategy: resolve.EDF, Cluster: true} })
	d, err := emergency.ParseDeclaration([]byte(`{"id":"flood-1","type":"flood","level":"medium"}`))
	require.NoError(t, err)
	w.ask(l.b, "declare", func(t Token) Input { return Declare{Token: t, Declaration: d} })
	w.ask(l.c, "cancel", func(t Token) Input { return Cancel{Token: t, ID: "held"} })
	w.pass(time.Second)
	for _, n := range all {
		require.Equal(t, resolve.EDF, n.b.decisions.strategy(), n.name)
		require.Contains(t, n.b.emergencies.known, emergency.ID("flood-1"), n.name)
	}
	for range 3 {
		l.end()
		w.pass(2 * w.cfg.SyncInterval)
	}
	for _, id := range ids {
		at := l.get(l.a, id)
		want := "succeeded"
		if id == "held" {
			want = "cancelled"
		}
		require.Contains(t, at, want)
		require.NotContains(t, at, "provisional")
		for _, n := range all[1:] {
			require.Equal(t, at, l.get(n, id), n.name)
		}
	}
	after, _ := l.a.b.resolve("ended")
	require.Equal(t, l.ended.Verdict().Dot, after.Verdict().Dot, "no firm answer changes")
	for _, n := range all {
		require.True(t, n.b.ledger.Lineage().Covers(n.b.Clock(), l.a.b.Clock()) && l.a.b.ledger.Lineage().Covers(l.a.b.Clock(), n.b.Clock()), "%v at a, %v at %s", l.a.b.Clock(), n.b.Clock(), n.name)
	}
	for _, n := range all {
		require.Less(t, n.b.ledger.Wrote(), uint64(100), "nobody writes without end")
	}
	require.Empty(t, w.errors)
}
