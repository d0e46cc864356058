package broker

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/urban-compute/ucp/broker/kind"
	"github.com/urban-compute/ucp/broker/wire"
	"github.com/urban-compute/ucp/clock"
	"github.com/urban-compute/ucp/job"
)

// endedInItsName has c tell a of an end of a job that b is said to have written, in an update that it has made.
func endedInItsName(w *world, b *node, id job.ID) *job.Record {
	a, c := w.nodes["a"], w.nodes["c"]
	r, _ := a.b.resolve(string(id))
	d := clock.Dot{Actor: b.cfg.Actor, Counter: 2}
	forged := r.With(d, func(r *job.Record) {
		r.AddVerdict(job.Verdict{At: 1, Dot: d, Outcome: job.Failed, Reason: "made up"})
	})
	m := wire.Message{Version: wire.Version, From: "c", Actor: c.cfg.Actor, Clock: c.b.Clock(), Delta: &wire.Delta{
		Records: []wire.Encoded{{Kind: kind.Job, Key: forged.Key(), Dots: forged.Dots, Bytes: forged.Encode()}},
	}}
	w.deliver(packet{from: "c", to: "a", wire: wire.Encode(&m)})
	return forged
}

func (w *world) until(n *node, id string) (provisional bool, until string) {
	r, _ := n.b.resolve(id)
	f := n.b.found(r, nil)
	return f.Provisional, f.Until
}

// An end that somebody else tells of is not firm before it was looked at whether its writer has written it, for a while; one that was made up
// never is, also after a restart. What its writer tells itself waits for nothing (rules F2, H3).
func TestEndsAreLookedAt(t *testing.T) {
	w := newCity(t, "", "a", "b", "c")
	a, b := w.nodes["a"], w.nodes["b"]
	spec := job.Spec{Command: "work", Constraints: []string{"nowhere"}, Priority: job.Priority{User: job.DefaultUser}}
	require.NoError(t, spec.Complete())
	for _, id := range []job.ID{"looked", "late", "forged", "own"} {
		w.ask(b, string(id), func(tok Token) Input { return Submit{Token: tok, ID: id, Spec: spec} })
	}
	w.pass(time.Minute)
	w.agree(t)

	w.ask(b, "own", func(tok Token) Input { return Cancel{Token: tok, ID: "own"} })
	w.settle()
	require.Empty(t, a.b.authors.unlooked, "b has told of it itself")

	looked := endedInItsName(w, b, "looked")
	late := endedInItsName(w, b, "late")
	forged := endedInItsName(w, b, "forged")
	for _, id := range []string{"looked", "late", "forged"} {
		provisional, until := w.until(a, id)
		require.True(t, provisional, "all have what is said to have written it")
		require.Contains(t, until, "until this broker has looked")
	}
	w.step(a, Looked{Ends: []*job.Record{looked, forged}, MadeUp: []MadeUp{{forged.Key(), forged.Verdict().Dot}, {"x~y", clock.Dot{}}}})
	w.ready(a)
	provisional, _ := w.until(a, "looked")
	require.False(t, provisional)
	never := func() {
		provisional, until := w.until(a, "forged")
		require.True(t, provisional)
		require.Contains(t, until, "since it is in the name of b, which has not written it")
	}
	never()
	w.pass(lookedWithin + time.Second)
	provisional, _ = w.until(a, "late")
	require.False(t, provisional, "its writer may be away")
	never()
	require.Len(t, a.b.authors.madeUp, 1, "of a job that is none nothing is kept")

	w.crash("a", false)
	a = w.start("a", func(*Config) {})
	w.meet()
	w.pass(2 * time.Minute)
	never()
	require.Empty(t, a.b.authors.unlooked)
	a.b.forget(a.b.record(forged.Key()))
	w.ready(a)
	require.Empty(t, a.b.authors.madeUp)
	w.crash("a", false)
	a = w.start("a", func(*Config) {})
	require.Empty(t, a.b.authors.madeUp)
	require.NotEmpty(t, late.Key())
}

// Where nobody signs, nothing waits for a look; and what is remembered is bounded.
func TestEndsThatNobodySigned(t *testing.T) {
	w := newCity(t, "", "a", "b", "c")
	a, b := w.nodes["a"], w.nodes["b"]
	w.submit(b, "one")
	w.pass(time.Minute)
	r, _ := a.b.resolve("one")
	d := clock.Dot{Actor: "x~1", Counter: 2}
	ended := r.With(d, func(r *job.Record) { r.AddVerdict(job.Verdict{At: 1, Dot: d, Outcome: job.Cancelled}) })
	a.b.authors.came(b.cfg.Actor, r, ended)
	require.Empty(t, a.b.authors.unlooked, "x is of an earlier version")
	d.Actor = b.cfg.Actor
	ended = r.With(d, func(r *job.Record) { r.AddVerdict(job.Verdict{At: 1, Dot: d, Outcome: job.Cancelled}) })
	for i := range mostUnlooked {
		a.b.authors.unlooked[string(rune(i))] = unlooked{}
	}
	a.b.authors.came("c~1", r, ended)
	require.Len(t, a.b.authors.unlooked, mostUnlooked)
	for i := range uint64(2 * mostDots) {
		a.b.authors.looked(Looked{MadeUp: []MadeUp{{r.Key(), clock.Dot{Actor: b.cfg.Actor, Counter: i + 1}}}})
	}
	require.Len(t, a.b.authors.madeUp[r.Key()], mostDots)
	require.False(t, a.b.authors.recall(r.Key(), []byte{0xff}))
	require.False(t, a.b.authors.recall("none", encodeDots([]clock.Dot{d})))
}
