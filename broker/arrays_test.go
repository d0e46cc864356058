package broker

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/urban-compute/ucp/clock"
	"github.com/urban-compute/ucp/job"
)

const digestZero job.Digest = "0000000000000000000000000000000000000000000000000000000000000000"

// fillIndex puts the jobs of an array into a broker's index as they stand, without their records.
func fillIndex(b *Broker, a *job.Array, state job.State) {
	for id := range a.IDs() {
		b.jobs.byKey.ReplaceOrInsert(jobItem{key: string(id) + "~" + string(digestZero[:32]), state: state})
	}
}

func ends(b *Broker, id job.ID, outcome job.Outcome) {
	dot := clock.Dot{Actor: "b~1", Counter: 1}
	r := job.New(id, job.Spec{}, digestZero, job.Stamp{Dot: dot}).With(dot, func(r *job.Record) {
		r.AddVerdict(job.Verdict{Dot: dot, Outcome: outcome})
	})
	b.jobs.byKey.ReplaceOrInsert(jobItem{key: string(id) + "~" + string(digestZero[:32]), state: job.State(outcome)})
	b.arraysHear(r)
}

// The end of a job of an array costs the same however long the array is, and however many wait for it: only the end of the one that is
// waited for moves anything on, and who waits is looked at once, when the array is over (rule C4).
func TestTheEndOfOneOfManyCostsLittle(t *testing.T) {
	w := newCluster("a")
	b := w.nodes["a"].b
	a, ok := job.ID("t[0-29999]").Array()
	require.True(t, ok)
	fillIndex(b, &a, job.StateRunning)
	for i := range 100 {
		b.jobs.arrays.mark(a.ID(), fmt.Sprintf("j%d~0", i), true)
	}
	x := b.jobs.arrays.get(a.ID())
	for x.known < x.Len() { // each step looks at some
		before := x.known
		b.look(x)
		require.LessOrEqual(t, x.known-before, lookMost)
		x.going = false
	}
	b.jobs.arrays.going = nil
	for b.reviews.pending() {
		b.reviews.next()
	}
	for i := 1; i < a.Len(); i++ {
		ends(b, a.At(i), job.Succeeded)
		require.Zero(t, x.ended)
	}
	require.False(t, b.reviews.pending(), "nobody was looked at")
	ends(b, a.At(0), job.Succeeded)
	for steps := 1; !x.over(); steps++ {
		require.Less(t, steps, 5)
		require.False(t, b.reviews.pending())
		b.lookOn()
	}
	require.Len(t, b.reviews.list, 100)
	require.Empty(t, x.failed)
}

// What is known of an array goes when no job names it any more, and not before.
func TestArraysGoWithWhoWaits(t *testing.T) {
	w := newCluster("a")
	x := &w.nodes["a"].b.jobs.arrays
	x.mark("t[0-3]", "j1", true)
	x.mark("t[0-3]", "j2", true)
	x.mark("t[2-5]", "j3", true)
	x.trim(nil)
	require.Len(t, x.of("t.2"), 2)
	require.Len(t, x.of("t.5"), 1)
	require.Empty(t, x.of("t.6"))
	require.Empty(t, x.of("u.2"))
	x.mark("t[0-3]", "j1", false)
	x.trim(nil)
	require.Len(t, x.of("t.2"), 2)
	x.mark("t[0-3]", "j2", false)
	x.mark("t[0-3]", "j2", true) // its record has changed
	x.trim(nil)
	require.Len(t, x.of("t.2"), 2)
	x.mark("t[0-3]", "j2", false)
	x.mark("t[2-5]", "j3", false)
	x.trim(nil)
	require.Empty(t, x.of("t.2"))
	require.Empty(t, x.byBase)
	require.Empty(t, x.byID)
	require.Empty(t, x.idle)
}

// A job of an array that had failed for this broker and has succeeded for all fails nobody that still waits (rules C4, J1).
func TestAFailureThatWasNone(t *testing.T) {
	w := newCluster("a")
	a := w.nodes["a"]
	for i := range 2 {
		w.submit(a, job.ID(fmt.Sprintf("t.%d", i)))
	}
	w.settle()
	spec := job.Spec{Command: "work", After: []job.ID{"t[0-1]"}, AfterPolicy: job.AfterEnd, Priority: job.Priority{User: job.DefaultUser}}
	require.NoError(t, spec.Complete())
	w.ask(a, "j", func(t Token) Input { return Submit{Token: t, ID: "j", Spec: spec} })
	w.settle()
	x := a.b.jobs.arrays.get("t[0-1]")
	x.failed = "t.1" // as it is where another end was known before
	require.Nil(t, a.b.failedOf(x))
	require.Empty(t, x.failed)
	require.Equal(t, 2, x.known)
	require.Zero(t, x.ended)
}

func BenchmarkLookAtAnArray(b *testing.B) {
	w := newCluster("a")
	x := w.nodes["a"].b
	a, _ := job.ID("t[0-99999]").Array()
	fillIndex(x, &a, job.StateSucceeded)
	for b.Loop() {
		y := x.jobs.arrays.get(a.ID())
		y.known, y.ended = 0, 0
		for !y.over() {
			x.look(y)
			y.going = false
		}
		x.jobs.arrays.going = nil
	}
}

func BenchmarkTheEndOfOneOfMany(b *testing.B) {
	w := newCluster("a")
	x := w.nodes["a"].b
	a, _ := job.ID("t[0-99999]").Array()
	fillIndex(x, &a, job.StateRunning)
	x.jobs.arrays.mark(a.ID(), "j~0", true)
	y := x.jobs.arrays.get(a.ID())
	for y.known < y.Len() {
		x.look(y)
		y.going = false
	}
	dot := clock.Dot{Actor: "b~1", Counter: 1}
	r := job.New("t.5000", job.Spec{}, digestZero, job.Stamp{Dot: dot}).With(dot, func(r *job.Record) {
		r.AddVerdict(job.Verdict{Dot: dot, Outcome: job.Succeeded})
	})
	for b.Loop() {
		x.arraysHear(r)
	}
}
