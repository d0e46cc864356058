package broker

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/urban-compute/ucp/broker/kind"
	"github.com/urban-compute/ucp/clock"
	"github.com/urban-compute/ucp/job"
	"github.com/urban-compute/ucp/ledger"
	"github.com/urban-compute/ucp/resolve"
)

// What came of peers is counted by kind, and what of that was news.
func TestTakenIsCounted(t *testing.T) {
	var n Taken
	jobs := []ledger.Entry{{Ref: kind.JobRef("a"), Encoded: []byte("12345")}, {Ref: kind.JobRef("b"), Encoded: []byte("1")}, {Ref: ledger.Ref{Kind: "odd"}}}
	n.count(jobs, []ledger.Change{{Ref: kind.JobRef("a")}})
	seen := 0
	n.Each(func(of ledger.Kind, got TakenOf) {
		want := TakenOf{}
		if of == kind.Job {
			want = TakenOf{Records: 2, New: 1, Bytes: 6}
		}
		require.Equal(t, want, got, of)
		seen++
	})
	require.Equal(t, 6, seen)
}

// A job that no broker can take waits here, too, with its level, until it has ended; one of another owner does not.
func TestOldestWithoutAPlace(t *testing.T) {
	b := New(Config{Actor: "a~1"})
	add := func(key string, at time.Duration, by clock.Actor, level string) *job.Record {
		spec := job.Spec{Command: key, Priority: job.Priority{Emergency: level}}
		r := job.New(job.ID(key), spec, spec.Digest(), job.Stamp{Dot: clock.Dot{Actor: by, Counter: 1}, At: clock.HybridAt(time.UnixMilli(int64(at / time.Millisecond)))})
		b.jobs.update(nil, r, 0)
		return r
	}
	add("old", time.Second, "a~1", "")
	b.jobs.update(add("young", 2*time.Second, "a~1", ""), add("young", 2*time.Second, "a~1", ""), 0)
	urgent := add("urgent", 3*time.Second, "a~1", "critical")
	require.Equal(t, 2, b.jobs.placeless[0].Len())
	require.Equal(t, 1, b.jobs.placeless[1].Len())
	placed := urgent.With(clock.Dot{Actor: "a~1", Counter: 2}, func(r *job.Record) {
		r.Place = job.Placement{Attempt: job.Attempt{Tenure: r.Owner.Tenure, Seq: 1}, Broker: "a", Actor: "a~1"}
	})
	b.jobs.update(urgent, placed, 0)
	require.Zero(t, b.jobs.placeless[1].Len())
}

// The oldest job of each level is told by who owns it while nobody can take it, and by who has it in the queue; ends and
// acknowledgements are counted where they were decided and given.
func TestWhatWaitsAndEndsIsTold(t *testing.T) {
	s := &story{t: t, w: newWorld()}
	do := func(line string) string { return s.do(t, parse(t, line)) }
	do("cluster a b")
	do("submit a j1 need=name=nobody")
	do("pass 10s")
	do("submit a j2 need=name=nobody level=critical")
	do("pass 10s")
	do("submit a j3 need=name=nobody level=critical")
	do("settle")
	a, b := s.w.nodes["a"].b, s.w.nodes["b"].b
	first := func(id job.ID) clock.Hybrid { return a.record(a.jobs.withID(id)[0]).Submitted() }
	require.Equal(t, resolve.Levels{0: first("j1"), 4: first("j2")}, a.oldest())
	require.Zero(t, b.oldest(), "they are not b's")
	require.Equal(t, uint64(3), a.stats.Acknowledged)
	require.Zero(t, a.stats.Degraded)
	do("cancel a j2")
	do("settle")
	require.Equal(t, resolve.Levels{0: first("j1"), 4: first("j3")}, a.oldest())
	require.Equal(t, Ends{Cancelled: 1}, a.stats.Ended)
	require.Equal(t, uint64(3), a.stats.Acknowledged, "nobody waits for the end's copies")
	require.Zero(t, b.stats.Ended)
	require.NotZero(t, b.stats.Taken[0].New)
	require.GreaterOrEqual(t, b.stats.Taken[0].Records, b.stats.Taken[0].New)
}

// With a tracer states are noted although nobody watches, and when who watched is gone.
func TestStatesAreToldForTracing(t *testing.T) {
	for _, always := range []bool{false, true} {
		b := New(Config{Actor: "a~1", TellStates: always})
		require.Equal(t, always, b.watched)
		b.watch(true)
		b.watch(false)
		require.Equal(t, always, b.watched)
	}
}
