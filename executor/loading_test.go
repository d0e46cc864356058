package executor

import (
	"runtime"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/urban-compute/ucp/clock"
	"github.com/urban-compute/ucp/job"
	"github.com/urban-compute/ucp/test/slow"
)

// A module of which compiling takes far longer than the job may: the job ends at its timeout, as timed out, and says why.
// Meanwhile it shows that it loads.
func TestCompilingObeysTheTimeout(t *testing.T) {
	r := newRig(t, func(c *Config) { c.CacheDir = t.TempDir() })
	task := r.module(r.put(slow.Module(800, 8000)))
	task.Spec.Timeout = clock.Duration(time.Second)
	begin := time.Now()
	res := r.run(task)
	require.Less(t, time.Since(begin), 6*time.Second)
	require.True(t, res.TimedOut(), res.Reason)
	require.Equal(t, "timeout after 1s: it timed out while its module was being compiled", res.Reason)
	require.False(t, res.Permanent)
	u := r.ended(task)
	require.False(t, u.Returned || u.Began, "the job has not begun, and this broker is not at fault")
	require.Equal(t, "started loading ended", r.phasesWithout(task))
}

// Whoever waits for its turn to compile does not use up its timeout by that, loads while it waits, and says so when it is ready.
func TestWaitingForTheTurnIsNotTheJobsFault(t *testing.T) {
	r := newRig(t, func(c *Config) { c.CacheDir = t.TempDir() })
	r.run(r.module(r.put(tinyModule("_start", 1)))) // so that a worker has started
	task := r.module(r.put(tinyModule("_start", 0)))
	task.Spec.Timeout = clock.Duration(2 * time.Second)
	leave, err := r.e.turns.enter(t.Context(), task.Spec.Module, 1, nil)
	require.NoError(t, err)
	r.e.Start(task)
	passed := time.After(time.Duration(task.Spec.Timeout))
	r.reaches(task, PhaseLoading, 1)
	<-passed
	leave()
	res := r.ended(task).Result
	require.Equal(t, job.Succeeded, res.Outcome, res.Reason)
	require.Equal(t, "loading started loaded ended", r.phasesWithout(task))
}

// What compiles is stopped at once, and so is what waits for it.
func TestStopWhileItCompiles(t *testing.T) {
	r := newRig(t, func(c *Config) { c.CacheDir = t.TempDir() })
	d := r.put(slow.Module(800, 8000))
	tasks := []Task{r.module(d), r.module(d)}
	for _, task := range tasks {
		r.e.Start(task)
	}
	for _, task := range tasks {
		r.reaches(task, PhaseLoading, 1)
	}
	begin := time.Now()
	for _, task := range tasks {
		r.e.Stop(task.Key, task.Attempt)
	}
	for _, task := range tasks {
		require.True(t, r.ended(task).Stopped)
	}
	require.Less(t, time.Since(begin), 3*time.Second)
}

// The compiler has as many cores as the job has asked for.
func TestCompilerHasTheCoresOfTheJob(t *testing.T) {
	before := runtime.GOMAXPROCS(2)
	defer runtime.GOMAXPROCS(before)
	w := &worker{modules: &modules{warm: []*loadedModule{{digest: "warm"}}}}
	for cpu, want := range map[int64]int{1: 1, 1000: 1, 1001: 2, 8000: 2} {
		undo := w.limitCompiler(&order{Module: "cold", CPU: cpu})
		require.Equal(t, want, runtime.GOMAXPROCS(0), cpu)
		undo()
		require.Equal(t, 2, runtime.GOMAXPROCS(0))
	}
	undo := w.limitCompiler(&order{Module: "warm", CPU: 1})
	require.Equal(t, 2, runtime.GOMAXPROCS(0), "there is nothing to compile")
	undo()
}

// The job's timeout counts what it takes to load, ours for the loading does not count what comes after it, and neither counts
// while the attempt is suspended. (The time is virtual.)
func TestLimits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLimits(10*time.Second, 5*time.Second, true)
		defer l.stop()
		time.Sleep(4 * time.Second)
		require.Contains(t, l.timedOut(10*time.Second).Failure, "while its module was being compiled")
		l.pause()
		time.Sleep(time.Hour)
		l.run(true)
		l.ready()
		begin := time.Now()
		select {
		case <-l.own.timer.C:
		case <-l.load.timer.C:
			t.Fatal("it was ready")
		}
		require.Equal(t, 6*time.Second, time.Since(begin))
		require.Equal(t, job.TimeoutReason(10*time.Second), l.timedOut(10*time.Second).Failure)

		l = newLimits(0, 5*time.Second, true)
		defer l.stop()
		begin = time.Now()
		<-l.load.timer.C
		require.Equal(t, 5*time.Second, time.Since(begin))
	})
}

// That a module is not ready is not told of one that is ready soon, that its program begins is told of each, and nothing is
// told after the end. (The time is virtual.)
func TestLoadNotice(t *testing.T) {
	for name, c := range map[string]struct {
		driver job.Driver
		after  time.Duration // when it is over
		ready  bool
		want   []Phase
	}{
		"soon ready":         {job.Wasm, loadShown - 1, true, []Phase{PhaseLoaded}},
		"late ready":         {job.Wasm, loadShown + 1, true, []Phase{PhaseLoading, PhaseLoaded}},
		"over while loading": {job.Wasm, loadShown + 1, false, []Phase{PhaseLoading}},
		"over before":        {job.Wasm, loadShown - 1, false, nil},
		"a native program":   {job.Process, time.Hour, true, []Phase{PhaseLoaded}},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var told []Phase
				n := newLoadNotice(c.driver, func(p Phase) { told = append(told, p) })
				time.Sleep(c.after)
				n.end(c.ready)
				n.end(true)
				time.Sleep(time.Hour)
				synctest.Wait()
				require.Equal(t, c.want, told)
			})
		})
	}
}
