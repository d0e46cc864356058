package executor

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// of returns the usage of a task.
func (u Usage) of(task Task) TaskUsage {
	for _, t := range u.Tasks {
		if t.Key == task.Key && t.Attempt == task.Attempt {
			return t
		}
	}
	return TaskUsage{}
}

func TestUsage(t *testing.T) {
	needsProc(t)
	r := newRig(t, native)
	r.run(r.wasm("tally", "300")) // the worker has used CPU before
	u := r.e.Usage()
	require.True(t, u.Known)
	require.Empty(t, u.Tasks)
	require.Zero(t, u.RSS)
	require.Positive(t, u.CPU, "a task that has ended counts")

	idle, busy := r.wasm("sleep", "1h"), r.sh(`echo ready; while :; do :; done`)
	// Its CPU time is used by children that have ended.
	forks := r.sh(`echo ready; while :; do (i=0; while [ $i -lt 3000 ]; do i=$((i+1)); done); done`)
	for _, task := range []Task{idle, busy, forks} {
		r.e.Start(task)
		r.started(task)
	}
	r.says(idle, "sleeping")
	r.says(busy, "ready")
	r.says(forks, "ready")
	base := u
	require.Eventually(t, func() bool {
		now := r.e.Usage()
		require.GreaterOrEqual(t, now.CPU, u.CPU)
		for _, was := range u.Tasks {
			task := Task{Key: was.Key, Attempt: was.Attempt}
			require.GreaterOrEqual(t, now.of(task).CPU, was.CPU)
		}
		u = now
		return u.of(busy).CPU >= 300*time.Millisecond && u.of(forks).CPU >= 300*time.Millisecond
	}, 60*time.Second, 20*time.Millisecond)
	require.Len(t, u.Tasks, 3)
	require.Less(t, u.of(idle).CPU, 200*time.Millisecond, "what the worker used for others is not its own")
	require.Greater(t, u.of(idle).RSS, int64(1<<20))
	require.Equal(t, u.of(idle).RSS+u.of(busy).RSS+u.of(forks).RSS, u.RSS)
	require.Positive(t, u.Cores(base))
	require.Zero(t, base.Cores(u), "the arguments are in the wrong order")

	// A suspended task uses no more CPU time but keeps its memory.
	require.False(t, u.of(busy).Suspended)
	r.suspend(busy)
	before := r.e.Usage()
	require.True(t, before.of(busy).Suspended)
	require.Greater(t, before.of(busy).RSS, int64(1<<20))
	require.Eventually(t, func() bool { return r.e.Usage().of(forks).CPU > before.of(forks).CPU+100*time.Millisecond }, 60*time.Second, 20*time.Millisecond)
	require.LessOrEqual(t, r.e.Usage().of(busy).CPU-before.of(busy).CPU, tick)

	r.e.Stop(busy.Key, busy.Attempt)
	end := r.ended(busy)
	require.GreaterOrEqual(t, end.CPU, before.of(busy).CPU, "the last Update has all of the CPU time")
	for _, task := range []Task{idle, forks} {
		r.e.Stop(task.Key, task.Attempt)
		r.ended(task)
	}
	last := r.e.Usage()
	require.Empty(t, last.Tasks)
	require.Zero(t, last.RSS)
	require.GreaterOrEqual(t, last.CPU, end.CPU+before.of(forks).CPU, "tasks that have ended still count in the sum")
}

func TestCores(t *testing.T) {
	now := time.Now()
	a := Usage{Known: true, At: now, CPU: time.Second}
	b := Usage{Known: true, At: now.Add(2 * time.Second), CPU: 4 * time.Second}
	require.InDelta(t, 1.5, b.Cores(a), 1e-9)
	require.Zero(t, a.Cores(a))
	require.Zero(t, b.Cores(Usage{}), "the earlier measurement is not known")
}
