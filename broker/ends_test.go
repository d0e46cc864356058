package broker

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/urban-compute/ucp/broker/kind"
	"github.com/urban-compute/ucp/broker/replication"
	"github.com/urban-compute/ucp/broker/wire"
	"github.com/urban-compute/ucp/clock"
	"github.com/urban-compute/ucp/job"
	"github.com/urban-compute/ucp/ledger"
)

// A start that is not proven has taken in clocks, and what was stable, from others: a later one asks of the same ends, by the
// disk with which the first one began. Once that is proven nothing is kept of it (rule F3).
func TestALaterStartAsksByTheSameDisk(t *testing.T) {
	kept := func(n *node) string { return string(n.disk["o"+proofKind+"\x00"]) }
	w := newCluster("a", "b", "c")
	a := w.nodes["a"]
	w.submit(a, "j1")
	w.pass(2 * time.Minute)
	require.Empty(t, kept(a))

	w.crash("a", false)
	a = w.start("a", func(*Config) {})
	w.submit(a, "j2")
	w.settle()
	first := kept(a)
	require.NotEmpty(t, first)
	require.True(t, a.b.peers.Unsettled(clock.Dot{Actor: a.cfg.Actor, Counter: 1}))

	w.crash("a", false)
	a = w.start("a", func(*Config) {})
	w.submit(a, "j3")
	w.settle()
	require.Equal(t, first, kept(a))

	w.meet()
	w.pass(2 * time.Minute)
	require.True(t, a.b.peers.Vouches())
	require.Empty(t, kept(a))
}

// writeEnds writes jobs that have ended, each with a command of so many bytes.
func writeEnds(n *node, most, size int) (refs []ledger.Ref) {
	for i := range most {
		id := job.ID(fmt.Sprintf("e%d", i))
		spec := job.Spec{Command: strings.Repeat("x", size), Priority: job.Priority{User: job.DefaultUser}}
		must(spec.Complete())
		r := job.New(id, spec, spec.Digest(), job.Stamp{})
		ref := kind.JobRef(r.Key())
		_, err := n.b.ledger.Apply(ref, func(dot clock.Dot, _ ledger.Record) ledger.Record {
			r := job.New(id, spec, spec.Digest(), job.Stamp{Dot: dot, At: 1})
			return r.With(dot, func(r *job.Record) { r.AddVerdict(job.Verdict{At: 2, Dot: dot, Outcome: job.Cancelled}) })
		})
		must(err)
		refs = append(refs, ref)
	}
	return refs
}

// Who is asked of ends sends those that are newer than the disk of who asks, as many as fit, and says how many it has not
// looked at (rule F3).
func TestAskedOfEnds(t *testing.T) {
	w := newCluster("a", "b")
	a := w.nodes["a"]
	w.pass(2 * time.Minute)
	require.True(t, a.b.proven())
	disk := slices.Clone(a.b.Clock())
	refs := writeEnds(a, 200, 8<<10)
	ask := func(audit wire.Audit) wire.Reply {
		reply := wire.Reply{Version: wire.Version}
		a.b.asked(&audit, &reply)
		return reply
	}

	r := ask(wire.Audit{Records: refs, Ended: len(refs), Disk: a.b.Clock()})
	require.Empty(t, r.Held)
	require.Nil(t, r.Delta)
	require.Zero(t, r.Unread, "all are as on that disk")

	got, rest := 0, refs
	for len(rest) > 0 {
		r = ask(wire.Audit{Records: rest, Ended: len(rest), Disk: disk})
		require.Less(t, r.Unread, len(rest))
		require.Equal(t, rest[:len(rest)-r.Unread], r.Held)
		require.Len(t, r.Delta.Records, len(r.Held))
		require.LessOrEqual(t, len(wire.Encode(&r)), 2*wire.MaxPage)
		got, rest = got+len(r.Held), rest[len(rest)-r.Unread:]
	}
	require.Equal(t, len(refs), got)

	require.Equal(t, refs[:1], ask(wire.Audit{Records: refs[:1]}).Held, "who is in doubt is told in any case")

	r = wire.Reply{Version: wire.Version, Delta: &wire.Delta{}}
	a.b.asked(&wire.Audit{Records: refs[:3]}, &r)
	require.Equal(t, 3, r.Unread, "the reply brings something else")
	require.Empty(t, r.Held)

	a.b.dispute(refs[0].Key)
	require.Equal(t, refs[:1], ask(wire.Audit{Records: refs[:1], Ended: 1, Disk: a.b.Clock()}).Doubted)
}

// Who is asked of an end that is stable there, and not on the disk of who asks, seals it before it answers: who asks may write another one, which
// comes here only when this one has been forgotten (rule F3; docs/model/ends, "unsealed").
func TestWhoIsAskedSealsTheEnd(t *testing.T) {
	w := newCluster("a", "b")
	a := w.nodes["a"]
	w.pass(2 * time.Minute)
	disk := slices.Clone(a.b.Clock())
	refs := writeEnds(a, 1, 1)
	r := a.b.record(refs[0].Key)
	a.b.peers.Await(r.Dots)
	w.pass(2 * time.Minute)
	require.NotNil(t, a.b.stable(r))
	ask := func(disk clock.Tips) {
		a.b.asked(&wire.Audit{Records: refs, Ended: 1, Disk: disk}, &wire.Reply{Version: wire.Version})
		r = a.b.record(refs[0].Key)
	}
	ask(a.b.Clock())
	require.Nil(t, r.Seal, "it is on that disk")
	ask(disk)
	require.NotNil(t, r.Seal)
	require.Equal(t, r.Verdicts[0].Dot, r.Seal.Verdict)
}

// A start of this broker that is above those of this process may be of an earlier one, whose disk was replaced by a copy: what it has written may be
// covered by no clock ever (rule L5), and an end does not wait for that once it is sealed. Only for what this process says again as another start
// others may have to wait (rule K3; seed 2900234).
func TestAnEndWaitsForNoStartOfAnotherProcess(t *testing.T) {
	w := newCluster("a", "b")
	a := w.nodes["a"]
	r := a.b.record(writeEnds(a, 1, 1)[0].Key)
	lost := clock.Dot{Actor: "a~9", Counter: 8}
	r = r.With(lost, func(*job.Record) {})
	require.Equal(t, clock.NewVector(r.Verdict().Dot), a.b.deciders(r))
}

// An end that all others call absent is not asked of any more; it stays in doubt until its retention is over (rule F3).
func TestAnEndThatIsAbsentEverywhere(t *testing.T) {
	w := newCluster("a", "b", "c")
	a := w.nodes["a"]
	ref := writeEnds(a, 1, 1)[0]
	r := a.b.record(ref.Key)
	asks := func() bool {
		rd := a.b.Ready()
		a.b.Advance(rd)
		return slices.ContainsFunc(rd.Send, func(s replication.Send) bool {
			return s.Message.Audit != nil && slices.Contains(s.Message.Audit.Records, ref)
		})
	}
	a.b.unsure("b", r, true)
	require.True(t, asks())
	a.b.unsure("c", r, true)
	require.False(t, asks())
	require.True(t, a.b.isDisputed(ref.Key))
	require.False(t, a.b.firm(r))
	require.NotNil(t, a.b.record(ref.Key), "it is not set aside")
}

// What a start that is not proven ends itself was on its disk, unfinished: it is asked of as what had ended there (rule F3).
func TestAskedOfWhatThisStartHasEnded(t *testing.T) {
	w := newCluster("a", "b", "c")
	a := w.nodes["a"]
	spec := job.Spec{Command: "work", Priority: job.Priority{User: job.DefaultUser}, Constraints: []string{"nowhere"}}
	must(spec.Complete())
	w.ask(a, "submitted", func(tok Token) Input { return Submit{Token: tok, ID: "j1", Spec: spec} })
	w.pass(2 * time.Minute)
	w.crash("a", false)
	a = w.start("a", func(*Config) {})
	w.cut[[2]string{"a", "b"}], w.cut[[2]string{"b", "a"}] = true, true
	w.cut[[2]string{"a", "c"}], w.cut[[2]string{"c", "a"}] = true, true
	w.meet()
	w.ask(a, "cancel j1", func(tok Token) Input { return Cancel{Token: tok, ID: "j1"} })
	w.settle()
	j1, _ := a.b.resolve("j1")
	require.True(t, j1.Finished())

	clear(w.cut)
	w.meet()
	asked := map[string]bool{}
	for range 100 {
		for _, name := range w.names {
			w.ready(w.nodes[name])
		}
		for _, path := range w.paths() {
			for p, ok := w.take(path); ok; p, ok = w.take(path) {
				if m, err := wire.DecodeMessage(p.wire); !p.reply && err == nil && p.from == "a" && m.Audit != nil {
					asked[p.to] = asked[p.to] || m.Audit.Ended > 0 && slices.Contains(m.Audit.Records, kind.JobRef(j1.Key()))
				}
				w.deliver(p)
			}
		}
	}
	require.True(t, asked["b"] || asked["c"], "%v", asked)
	require.True(t, a.b.proven())
}
