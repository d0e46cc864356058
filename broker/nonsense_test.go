package broker

import (
	"fmt"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/urban-compute/ucp/broker/kind"
	"github.com/urban-compute/ucp/broker/membership"
	"github.com/urban-compute/ucp/broker/wire"
	"github.com/urban-compute/ucp/clock"
	"github.com/urban-compute/ucp/data"
	"github.com/urban-compute/ucp/emergency"
	"github.com/urban-compute/ucp/job"
	"github.com/urban-compute/ucp/resolve"
)

// nonsense drives one broker with inputs in any order, also such as no shell would
// send: answers that nobody asked for, peers that nobody knows, reports of attempts
// that never were, time that runs backwards.
type nonsense struct {
	*world
	n     *node
	token Token
}

// Whatever comes in, a broker does not panic, starts no job without its record
// saying so, exceeds no capacity, and shows nothing that it has not synced.
func TestNonsenseHarmsNothing(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		w := newWorld()
		x := &nonsense{world: w}
		x.n = w.start("a", func(*Config) {})
		for range rapid.IntRange(1, 60).Draw(t, "steps") {
			x.do(t)
			require.Empty(t, w.errors)
			for id := range x.n.b.emergencies.heard {
				require.Contains(t, x.n.b.emergencies.known, id, "a hint that nobody can see")
			}
		}
		w.checkHeld()
		require.Empty(t, w.errors)
	})
}

func (x *nonsense) do(t *rapid.T) {
	if rapid.IntRange(0, 3).Draw(t, "ready") == 0 {
		x.ready(x.n)
		return
	}
	if rapid.IntRange(0, 15).Draw(t, "restart") == 0 {
		x.start("a", func(*Config) {})
		return
	}
	in := x.input(t)
	if rapid.Bool().Draw(t, "tick first") {
		must(x.n.b.Step(Tick{Now: x.now}))
	}
	require.NoError(t, x.n.b.Step(in), "%T", in)
}

// input draws one.
func (x *nonsense) input(t *rapid.T) Input {
	x.token++
	token := rapid.SampledFrom([]Token{x.token, x.token, x.token, 0, 1}).Draw(t, "token")
	peer := rapid.SampledFrom([]string{"b", "c", "a", "nobody", ""}).Draw(t, "peer")
	id := rapid.SampledFrom([]string{"j1", "j2", "j3", "j", "", "~"}).Draw(t, "id")
	key, attempt := x.attempt(t)
	switch rapid.IntRange(0, 30).Draw(t, "input") {
	case 0:
		x.now = x.now.Add(time.Duration(rapid.Int64Range(-1e9, 100e9).Draw(t, "passes")))
		return Tick{Now: x.now}
	case 1, 2:
		return x.rosterOf(t)
	case 28:
		if rapid.Bool().Draw(t, "drains") {
			return DrainMember{Token: token, Name: peer, Resume: rapid.Bool().Draw(t, "resumes"), Deadline: time.Duration(rapid.IntRange(0, 60).Draw(t, "deadline")) * time.Second}
		}
		return ForgetMember{Token: token, Name: peer}
	case 3, 4:
		return Submit{Token: token, ID: job.ID(rapid.SampledFrom([]string{"j1", "j2", "j3"}).Draw(t, "new")), Spec: x.anySpec(t), Module: anyVersion(t), Brought: job.Digest(rapid.SampledFrom([]string{"", strings.Repeat("e", 64)}).Draw(t, "brought"))}
	case 5:
		return Get{Token: token, ID: id}
	case 6:
		return Await{Token: token, ID: id}
	case 7:
		return Abandon{Token: token}
	case 8:
		return List{Token: token, Filter: job.Filter{States: []job.State{rapid.SampledFrom(job.States).Draw(t, "state")}, Paused: rapid.Bool().Draw(t, "paused")}, Urgent: rapid.Bool().Draw(t, "urgent"), Limit: 2, After: rapid.SampledFrom([]string{"", "?", "MSBq"}).Draw(t, "cursor")}
	case 9:
		return Cancel{Token: token, ID: id, Reason: strings.Repeat("ä", 600)}
	case 10:
		return Fetched{Key: key, Attempt: attempt, Err: rapid.SampledFrom([]string{"", "gone"}).Draw(t, "error"), Nowhere: rapid.Bool().Draw(t, "nowhere")}
	case 11:
		delete(x.n.running, key)
		stopped := rapid.Bool().Draw(t, "stopped")
		back := !stopped && rapid.IntRange(0, 3).Draw(t, "returned") == 0
		return Reported{Key: key, Attempt: attempt, Stopped: stopped, Returned: back, Began: rapid.Bool().Draw(t, "began"), Result: job.Result{
			Outcome: rapid.SampledFrom([]job.Outcome{job.Succeeded, job.Failed}).Draw(t, "outcome"), Permanent: rapid.Bool().Draw(t, "permanent")}}
	case 12:
		return Pushed{Peer: peer, Actor: clock.Actor(peer + "~1"), Digest: job.Digest(strings.Repeat("e", 64)), Failed: rapid.Bool().Draw(t, "failed")}
	case 13:
		if r := x.n.b.record(key); r != nil && rapid.Bool().Draw(t, "looks") {
			return Looked{Ends: []*job.Record{r}, MadeUp: []MadeUp{{key, clock.Dot{Actor: "b~1", Counter: 2}}, {string(id), clock.Dot{}}}}
		}
		return Unreachable{Peer: peer}
	case 14:
		if rapid.Bool().Draw(t, "moved") {
			return Moved{HTTPAddr: rapid.StringN(0, 20, -1).Draw(t, "http")}
		}
		return Pressure{Stretch: rapid.Float64().Draw(t, "stretch")}
	case 15:
		return x.acked(t, peer)
	case 17:
		if p, told := x.n.pauses[key]; told && p.Attempt == attempt {
			delete(x.n.pauses, key)
			if _, runs := x.n.running[key]; runs {
				x.paused(x.n, key)
			}
		}
		return Paused{Key: key, Attempt: attempt}
	case 18:
		return SetStrategy{Token: token, Strategy: rapid.SampledFrom(resolve.All()).Draw(t, "strategy"), Cluster: rapid.Bool().Draw(t, "cluster")}
	case 19:
		return ListConflicts{Token: token, ID: rapid.SampledFrom([]string{"", "c1-1"}).Draw(t, "conflict"), Limit: rapid.IntRange(-1, 3).Draw(t, "limit")}
	case 20:
		return DryRun{Token: token, Spec: x.anySpec(t)}
	case 29:
		return Kept{Digest: job.Digest(strings.Repeat("e", 64)), Here: rapid.Bool().Draw(t, "here"), New: rapid.Bool().Draw(t, "new"), Nowhere: rapid.Bool().Draw(t, "nowhere")}
	case 21:
		return Damaged{Digest: job.Digest(strings.Repeat("e", 64))}
	case 22:
		return Declare{Token: token, Declaration: x.declaration(t)}
	case 23:
		return Clear{Token: token, ID: rapid.SampledFrom([]string{"e1", "e2", "e", "", "nobody"}).Draw(t, "clears"), Force: rapid.Bool().Draw(t, "force")}
	case 24:
		return Heard{Event: x.emergency(t, "")}
	case 25:
		return ListEmergencies{Token: token, ID: rapid.SampledFrom([]string{"", "e1", "e"}).Draw(t, "emergency")}
	case 26:
		return Watch{On: rapid.Bool().Draw(t, "watched")}
	case 30:
		return Checkpointed{Key: key, Attempt: attempt, Tree: job.Digest(strings.Repeat(rapid.SampledFrom([]string{"c", "d"}).Draw(t, "tree"), 64)), Ran: time.Duration(rapid.IntRange(-1, 3).Draw(t, "ran")) * time.Second}
	case 27:
		return x.pushPull(t, peer)
	}
	return Deliver{Token: token, Message: x.message(t)}
}

func (x *nonsense) declaration(t *rapid.T) emergency.Declaration {
	d, err := emergency.ParseDeclaration([]byte(rapid.SampledFrom([]string{
		`{"id":"e1","type":"flood","level":"critical"}`, `{"id":"e1","type":"flood","level":"low","ttl":"1ms","scope":"name=a"}`, `{"type":"flood","level":"high","select":"x","ttl":"10s"}`,
		`{"id":"e2","type":"e1","level":"high","scope":"name=b","ttl":"720h"}`, `{"clear":"e1"}`, `{"clear":"e3"}`,
	}).Draw(t, "declaration")))
	require.NoError(t, err)
	return d
}

// emergency is any record, valid and odd; of the ledger when a writer is given.
func (x *nonsense) emergency(t *rapid.T, writer clock.Actor) *emergency.Record {
	at := func(name string) clock.Hybrid {
		return rapid.SampledFrom([]clock.Hybrid{1, clock.HybridAt(x.now.Add(-time.Minute)), clock.HybridAt(x.now), clock.HybridAt(x.now.Add(time.Hour)), math.MaxUint64}).Draw(t, name)
	}
	by := rapid.SampledFrom([]clock.Actor{"", "a~1", "b~1"})
	r := &emergency.Record{ID: emergency.ID(rapid.SampledFrom([]string{"e1", "e2", "e3"}).Draw(t, "its ID"))}
	if rapid.Bool().Draw(t, "is declared") {
		r.Terms = emergency.Terms{Type: "flood", Level: rapid.IntRange(1, 4).Draw(t, "its level"), Select: []string{"x"}}
		r.Version = emergency.Version{Seq: rapid.SampledFrom([]uint64{1, 2, 1 << 32}).Draw(t, "seq"), At: at("at"), By: by.Draw(t, "by")}
		r.Declared, r.TTL = at("declared"), rapid.SampledFrom([]clock.Duration{1, clock.Duration(time.Minute), clock.Duration(emergency.MaxTTL)}).Draw(t, "ttl")
	}
	if r.Declared == 0 || rapid.Bool().Draw(t, "is cleared") {
		r.Cleared = []emergency.Mark{{At: at("cleared"), By: by.Draw(t, "cleared by")}}
	}
	if writer != "" {
		d := clock.Dot{Actor: writer, Counter: rapid.Uint64Range(1, 5).Draw(t, "its counter")}
		r.Created, r.Dots = []clock.Dot{d}, clock.NewVector(d)
	}
	_, err := emergency.DecodeHint(r.Encode())
	require.NoError(t, err)
	return r
}

// pushPull is a state with hints, good and bad.
func (x *nonsense) pushPull(t *rapid.T, peer string) Input {
	s := wire.State{Version: wire.Version, From: peer}
	for range rapid.IntRange(0, 3).Draw(t, "hints") {
		s.Emergencies = append(s.Emergencies, x.emergency(t, "").Encode(), []byte("nonsense"), nil)
	}
	b, _ := wire.EncodeState(&s, wire.MaxState, 0)
	s, err := wire.DecodeState(b)
	require.NoError(t, err)
	return Gossip{State: s}
}

// attempt is one that runs here, with its right or a wrong number, or none.
func (x *nonsense) attempt(t *rapid.T) (string, job.Attempt) {
	for _, id := range []job.ID{"j1", "j2", "j3"} {
		for _, key := range x.n.b.jobs.withID(id) {
			if rapid.Bool().Draw(t, "this one") {
				a := x.n.b.record(key).Place.Attempt
				if rapid.IntRange(0, 3).Draw(t, "wrong") == 0 {
					a.Seq++
				}
				return key, a
			}
		}
	}
	return "nothing", job.Attempt{}
}

func (x *nonsense) rosterOf(t *rapid.T) Input {
	var list []membership.Member
	for _, name := range []string{"a", "b", "c"} {
		if rapid.IntRange(0, 3).Draw(t, "listed") > 0 {
			list = append(list, membership.Member{
				Name:     name,
				Actor:    clock.Actor(rapid.SampledFrom([]string{"", name + "~1", name + "~2"}).Draw(t, "actor")),
				HTTPAddr: rapid.SampledFrom([]string{"", name + ":1"}).Draw(t, "address"),
				Status:   rapid.SampledFrom([]membership.Status{membership.Alive, membership.Alive, membership.Failed, membership.Leaving, membership.Left}).Draw(t, "status"),
			})
		}
	}
	return Roster{Members: list}
}

// anyVersion is what a shell may say that a module stands for.
func anyVersion(t *rapid.T) *data.Version {
	v := &data.Version{At: clock.Hybrid(rapid.Int64Range(1, 1000).Draw(t, "written")), Dot: clock.Dot{Actor: "b~1", Counter: 7}}
	switch rapid.IntRange(0, 3).Draw(t, "version") {
	case 0:
		return nil
	case 1:
		v.Removed = &data.Mark{At: v.At, Dot: v.Dot}
		return v
	}
	v.Content = &data.Content{Digest: job.Digest(strings.Repeat("e", 64)), Size: 1, Directory: rapid.IntRange(0, 4).Draw(t, "directory") == 0}
	return v
}

func (x *nonsense) anySpec(t *rapid.T) job.Spec {
	s := job.Spec{
		Priority: job.Priority{User: job.DefaultUser}, Resources: job.Resources{CPU: rapid.Int64Range(1, 900).Draw(t, "cpu")},
		Retries: job.Retries{Max: rapid.IntRange(0, 2).Draw(t, "retries")},
	}
	if rapid.Bool().Draw(t, "has inputs") {
		s.Module = job.Digest(rapid.SampledFrom([]string{strings.Repeat("e", 64), "data:n/x"}).Draw(t, "module"))
	} else {
		s.Command = "work"
	}
	s.Priority.Emergency = rapid.SampledFrom([]string{"", "low", "critical", "flood", "e1"}).Draw(t, "level")
	s.Preemption = rapid.SampledFrom([]job.Preemption{job.Suspend, job.Requeue, job.Never}).Draw(t, "preemption")
	s.Exclusive = rapid.SampledFrom([]string{"", "drone"}).Draw(t, "key")
	if rapid.IntRange(0, 4).Draw(t, "waits") == 0 {
		s.After = []job.ID{job.ID(rapid.SampledFrom([]string{"j1", "j2", "j9"}).Draw(t, "after"))}
	}
	if rapid.IntRange(0, 4).Draw(t, "ends") == 0 {
		s.Priority.Deadline = clock.At(x.now.Add(time.Duration(rapid.Int64Range(-10, 100).Draw(t, "left")) * time.Second))
	}
	require.NoError(t, s.Complete())
	return s
}

// message is a peer's: its own jobs, or ours as it would change them, since some
// clock, perhaps as a page of some transfer.
func (x *nonsense) message(t *rapid.T) wire.Message {
	name := rapid.SampledFrom([]string{"b", "c"}).Draw(t, "from")
	actor := clock.Actor(fmt.Sprintf("%s~%d", name, rapid.IntRange(1, 2).Draw(t, "start")))
	m := wire.Message{
		Version: wire.Version, From: name, Actor: actor, Want: rapid.Bool().Draw(t, "want"),
		Hybrid: clock.HybridAt(x.now.Add(time.Duration(rapid.IntRange(-100, 100).Draw(t, "ahead")) * time.Second)),
		Clock:  clock.Tips{{Actor: actor, Counter: 5}},
	}
	if rapid.Bool().Draw(t, "row") {
		m.Metadata = &wire.Metadata{Name: name, Actor: actor, Version: m.Hybrid, Capabilities: x.cfg.Capabilities}
	}
	if rapid.Bool().Draw(t, "delta") {
		// A delta without a clock: this peer lies about nothing, so that what is covered is held.
		m.Delta = &wire.Delta{Records: x.records(t, actor)}
		if rapid.Bool().Draw(t, "page") {
			m.Page = &wire.Page{Transfer: uint64(rapid.IntRange(1, 2).Draw(t, "transfer")), Number: rapid.IntRange(-1, 3).Draw(t, "number"), Last: rapid.Bool().Draw(t, "last")}
		}
	}
	m, err := wire.DecodeMessage(wire.Encode(&m))
	require.NoError(t, err)
	return m
}

func (x *nonsense) records(t *rapid.T, actor clock.Actor) (out []wire.Encoded) {
	for _, id := range []job.ID{"j1", "j2", "j3"} {
		for _, key := range x.n.b.jobs.withID(id) {
			dot := clock.Dot{Actor: actor, Counter: rapid.Uint64Range(1, 5).Draw(t, "counter")}
			r := x.n.b.record(key).With(dot, func(r *job.Record) { x.change(t, dot, r) })
			out = append(out, wire.Encoded{Kind: kind.Job, Key: r.Key(), Dots: r.Dots, Bytes: r.Encode()})
		}
	}
	if rapid.Bool().Draw(t, "an emergency") {
		r := x.emergency(t, actor)
		out = append(out, wire.Encoded{Kind: kind.Emergency, Key: r.Key(), Dots: r.Dots, Bytes: r.Encode()})
	}
	bad := clock.Vector{{Actor: actor, Counter: rapid.Uint64Range(1, 5).Draw(t, "bad counter")}}
	return append(out, wire.Encoded{Kind: kind.Job, Key: "j9~x", Dots: bad, Bytes: []byte{0xc1}}, wire.Encoded{Kind: "dance", Key: "k", Dots: bad, Bytes: nil}, wire.Encoded{Kind: kind.Emergency, Key: "e9", Dots: bad, Bytes: []byte{0x80}})
}

// change is what any owner or executor may write, true or not.
func (x *nonsense) change(t *rapid.T, dot clock.Dot, r *job.Record) {
	who := clock.Actor(rapid.SampledFrom([]string{"a~1", "a~2", "b~1", "c~1"}).Draw(t, "whom"))
	at := clock.HybridAt(x.now)
	switch rapid.IntRange(0, 3).Draw(t, "change") {
	case 0:
		r.Owner = job.Assignment{Tenure: job.Tenure{Epoch: rapid.Uint64Range(1, 4).Draw(t, "epoch"), At: at, By: dot.Actor}, Broker: who.Broker(), Actor: who}
	case 1:
		r.Place = job.Placement{
			Attempt: job.Attempt{Tenure: r.Owner.Tenure, Seq: rapid.Uint64Range(1, 4).Draw(t, "seq")},
			Broker:  who.Broker(), Actor: who, Try: rapid.IntRange(0, 3).Draw(t, "try"),
		}
	case 2:
		rep := job.Report{Attempt: r.Place.Attempt, Dot: dot, At: at, Phase: rapid.SampledFrom([]job.Phase{job.Queued, job.Running, job.Done}).Draw(t, "phase")}
		if rep.Phase == job.Done {
			rep.Result = &job.Result{Outcome: rapid.SampledFrom([]job.Outcome{job.Succeeded, job.Failed}).Draw(t, "ends")}
		}
		r.SetReport(rep)
	case 3:
		r.AddVerdict(job.Verdict{At: at, Dot: dot, Outcome: rapid.SampledFrom([]job.Outcome{job.Cancelled, job.Failed}).Draw(t, "verdict")})
	}
}

func (x *nonsense) acked(t *rapid.T, peer string) Input {
	m := x.message(t)
	return Acked{Peer: peer, Reply: wire.Reply{
		Version: wire.Version, From: m.From, Actor: m.Actor, Hybrid: m.Hybrid, Clock: m.Clock, Metadata: m.Metadata, Delta: m.Delta,
		Restart: rapid.Bool().Draw(t, "restart link"),
	}}
}
