package job

import (
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/urban-compute/ucp/clock"
)

// What an attempt left that was stopped to run again counts, and its blobs are needed, until the job has a result (rule J13).
func TestKeptUntilThereIsAResult(t *testing.T) {
	r := newRecord(t, Stamp{Dot: clock.Dot{Actor: "a~1", Counter: 1}, At: 10})
	placed(r)
	blob := func(c byte) *Blob { return &Blob{Digest: Digest(slices.Repeat([]byte{c}, 64)), Size: 1} }
	keep := func(n uint64, c byte) {
		r.SetKept(Report{Attempt: present, Dot: clock.Dot{Actor: executor, Counter: n}, At: 20, Phase: Done, Result: &Result{Outcome: Failed, Reason: StoppedReason, Stdout: blob(c)}})
	}
	needs := func(c byte) bool { return slices.Contains(slices.Collect(r.Blobs()), string(blob(c).Digest)) }
	require.Nil(t, r.Left())
	keep(2, 'a')
	keep(3, 'b') // preempted once more
	keep(2, 'c') // late news of the first time
	require.Equal(t, blob('b'), r.Left().Result.Stdout)
	require.True(t, needs('b'))
	require.False(t, needs('a'))

	cancelled := r.With(clock.Dot{Actor: "a~1", Counter: 9}, decided(Cancelled, 30))
	require.Equal(t, blob('b'), cancelled.Left().Result.Stdout)
	require.Contains(t, slices.Collect(cancelled.Blobs()), string(blob('b').Digest))

	won := Report{Attempt: present, Dot: clock.Dot{Actor: executor, Counter: 4}, At: 25, Phase: Done, Result: &Result{Outcome: Succeeded}}
	r.SetReport(won)
	r.AddVerdict(Verdict{At: 30, Dot: clock.Dot{Actor: "a~1", Counter: 9}, Outcome: Succeeded, Report: &won})
	require.Nil(t, r.Left())
	require.False(t, needs('b'))
}
