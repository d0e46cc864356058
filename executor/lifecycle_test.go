package executor

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/urban-compute/ucp/clock"
	"github.com/urban-compute/ucp/job"
)

func TestEndlessLoopTimesOut(t *testing.T) {
	r := newRig(t)
	require.Equal(t, job.Succeeded, r.run(r.wasm()).Outcome, "its module is compiled: what that takes counts, too")
	task := r.wasm("loop")
	task.Spec.Timeout = clock.Duration(100 * time.Millisecond)
	res := r.run(task)
	require.Equal(t, job.Failed, res.Outcome)
	require.Equal(t, "timeout after 100ms", res.Reason)
	require.True(t, res.TimedOut())
	require.Nil(t, res.ExitCode)
	require.False(t, r.ended(task).Stopped)
	require.Equal(t, "hello\n", r.read(r.run(r.wasm()).Stdout), "the next job finds a worker")
}

func TestSleeperTimesOutAndKeepsItsOutput(t *testing.T) {
	r := newRig(t)
	r.run(r.wasm()) // compile the module first, so that the job writes its line well before the timeout
	task := r.wasm("sleep", "1h")
	task.Spec.Timeout = clock.Duration(2 * time.Second)
	res := r.run(task)
	require.Equal(t, "timeout after 2s", res.Reason)
	require.Equal(t, "sleeping\n", r.read(res.Stdout))
}

func TestStop(t *testing.T) {
	r := newRig(t)
	for _, what := range [][]string{{"loop"}, {"sleep", "1h"}} {
		task := r.wasm(what...)
		r.e.Start(task)
		r.started(task)
		r.e.Stop(task.Key, "another attempt") // has no effect
		r.e.Stop(task.Key, task.Attempt)
		r.e.Stop(task.Key, task.Attempt)
		u := r.ended(task)
		require.True(t, u.Stopped)
		require.Equal(t, job.Failed, u.Result.Outcome)
		r.e.Stop(task.Key, task.Attempt) // has no effect: the attempt has ended
	}
	require.Equal(t, "hello\n", r.read(r.run(r.wasm()).Stdout))
}

// What a job has written that is stopped is kept if that is wanted. What it had is free before that is stored.
func TestWhatAStoppedJobWroteIsKept(t *testing.T) {
	r := newRig(t)
	for name, end := range map[string]func(key, attempt string){"keep": r.e.StopAndKeep, "stop": r.e.Stop} {
		task := r.wasm("sleep", "1h")
		task.Spec.Inputs, task.Spec.Outputs = map[string]string{"out/f": string(r.put([]byte("x")))}, []string{"out", "none"}
		r.e.Start(task)
		r.says(task, "sleeping")
		end(task.Key, task.Attempt)
		u := r.ended(task)
		require.True(t, u.Stopped, name)
		if name == "stop" {
			require.Empty(t, u.Result.Blobs())
			require.NotContains(t, r.phases(task), "gone")
			continue
		}
		require.Equal(t, "started gone ended", r.phases(task))
		require.Equal(t, "sleeping\n", r.read(u.Result.Stdout))
		require.Len(t, u.Result.Outputs, 1)
	}
}

func TestEachStartEndsOnce(t *testing.T) {
	r := newRig(t)
	var tasks []Task
	tiny := r.put(tinyModule("_start", 0))
	for i := range 40 {
		task := r.module(tiny)
		tasks = append(tasks, task)
		r.e.Start(task)
		r.e.Start(task) // has no effect: the attempt is here already
		if i%3 == 0 {
			r.e.Stop(task.Key, task.Attempt)
		}
	}
	for _, task := range tasks {
		r.ended(task)
	}
	require.NoError(t, r.e.Close())
	for _, task := range tasks {
		us := r.startsAndEnds(task)
		require.NotEmpty(t, us)
		require.LessOrEqual(t, len(us), 2)
		for i, u := range us {
			require.Equal(t, i == len(us)-1, u.Result != nil, "%s: %v", task.Key, us)
		}
	}
}

func pid(a *attempt) int { w, _ := a.worker.get(); return w.pid }

// workerPID waits for the worker of a task.
func (r *rig) workerPID(task Task) int {
	r.e.mu.Lock()
	a := r.e.tasks[taskID{task.Key, task.Attempt}]
	r.e.mu.Unlock()
	require.NotNil(r.t, a)
	require.Eventually(r.t, func() bool { return pid(a) != 0 }, 30*time.Second, time.Millisecond)
	return pid(a)
}

func alive(pid int) bool {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return !errors.Is(syscall.Kill(pid, 0), syscall.ESRCH) && runtime.GOOS != "linux"
	}
	return !strings.Contains(string(b), ") Z ")
}

func (r *rig) dies(pid int) {
	require.Eventually(r.t, func() bool { return !alive(pid) }, 10*time.Second, 2*time.Millisecond, "process %d lives", pid)
}

func TestWorkerKilledFromOutside(t *testing.T) {
	r := newRig(t)
	task, other := r.wasm("sleep", "1h"), r.wasm("sleep", "200ms")
	r.e.Start(task)
	r.e.Start(other)
	r.says(task, "sleeping")
	require.NoError(t, syscall.Kill(r.workerPID(task), syscall.SIGKILL))
	u := r.ended(task)
	require.Equal(t, job.Failed, u.Result.Outcome)
	require.Equal(t, "the worker was killed by SIGKILL (out of memory?)", u.Result.Reason)
	require.False(t, u.Stopped)
	require.False(t, u.Result.Permanent)
	require.True(t, u.Returned, "it was within its limits")
	require.True(t, u.Began)
	require.Nil(t, u.Result.Stdout, "what is returned has no output")
	require.Equal(t, job.Succeeded, r.ended(other).Result.Outcome, "the other job is unharmed")
}

func TestIdleWorkerKilledFromOutside(t *testing.T) {
	r := newRig(t)
	r.run(r.wasm())
	r.e.pool.mu.Lock()
	for _, w := range r.e.pool.idle {
		require.NoError(t, syscall.Kill(w.pid(), syscall.SIGKILL))
	}
	r.e.pool.mu.Unlock()
	require.Eventually(t, func() bool {
		r.e.pool.mu.Lock()
		defer r.e.pool.mu.Unlock()
		return len(r.e.pool.idle) == 0
	}, 10*time.Second, time.Millisecond)
	require.Equal(t, job.Succeeded, r.run(r.wasm()).Outcome)
}

// A table of 2^27 entries that are written needs a gibibyte, but not of linear memory. The safety nets are the limit of the
// worker's data, which the kernel looks at when a page of address space is asked for that was not reserved before, and the
// broker's look at what the worker has.
func TestMemoryOutsideTheLinearMemoryIsLimited(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("the safety nets are RLIMIT_DATA and /proc")
	}
	r := newRig(t)
	m := tinyModule("_start", 0)
	at := strings.Index(string(m), "\x07\x0a\x01\x06")                         // before the exports
	table := []byte{4, 7, 1, 0x70, 0, 0xff, 0xff, 0xff, 0x3f}                  // tables: one, of functions, 2^27-1 entries at least
	fill := "\x41\x00\xd0\x70\x41\xff\xff\xff\x3f\xfc\x11\x00"                 // table.fill(0, null, 2^27-1)
	forever := "\x03\x40\x0c\x00\x0b"                                          // a loop that only the safety nets end
	code := "\x0a\x15\x01\x13\x00" + fill + forever + "\x0b"                   // code: one function without locals
	m = []byte(string(m[:at]) + string(table) + string(m[at:len(m)-6]) + code) // in place of the empty function
	res := r.run(r.module(r.put(m)))
	require.Equal(t, job.Failed, res.Outcome, "%+v", res)
	require.Contains(t, res.Reason, "worker", "a safety net ended it: %s", res.Reason)
	require.False(t, r.updates[len(r.updates)-1].Returned, "the job wanted too much")
	require.Equal(t, job.Succeeded, r.run(r.wasm()).Outcome)
}

func TestCloseLeavesNothing(t *testing.T) {
	r := newRig(t, func(c *Config) { c.AllowProcess = true })
	tasks := []Task{r.wasm("loop"), r.wasm("sleep", "1h"), r.sh("trap '' TERM; sleep 1000 & sleep 1000")}
	var pids []int
	for _, task := range tasks {
		r.e.Start(task)
	}
	for _, task := range tasks {
		r.started(task)
		pids = append(pids, r.workerPID(task))
	}
	require.NoError(t, r.e.Close())
	require.NoError(t, r.e.Close())
	for _, pid := range pids {
		require.False(t, alive(pid))
	}
	for _, task := range tasks {
		require.Len(t, r.of(task), 1, "no end is reported after Close")
	}
	entries, err := os.ReadDir(r.e.cfg.Dir)
	require.NoError(t, err)
	require.Empty(t, entries)
	r.e.Start(r.wasm()) // has no effect
	r.e.Stop("x", "y")
}

func TestSurplusWorkersEnd(t *testing.T) {
	r := newRig(t, func(c *Config) { c.IdleTimeout = 300 * time.Millisecond })
	var tasks []Task
	for range 4 {
		task := r.wasm("sleep", "1s")
		tasks = append(tasks, task)
		r.e.Start(task)
	}
	for _, task := range tasks {
		r.started(task)
	}
	count := func() int {
		r.e.pool.mu.Lock()
		defer r.e.pool.mu.Unlock()
		return len(r.e.pool.all)
	}
	require.GreaterOrEqual(t, count(), 4)
	require.Eventually(t, func() bool { return count() == 1 }, 10*time.Second, 5*time.Millisecond)
}

func TestDamagedCacheIsNotABrokenModule(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "cache")
	change := func(c *Config) { c.CacheDir = dir }
	for range 2 {
		r := newRig(t, change)
		res := r.run(r.module(r.put(tinyModule("_start", 1))))
		require.Equal(t, job.Succeeded, res.Outcome, res.Reason)
		require.NoError(t, r.e.Close())
		files, err := filepath.Glob(filepath.Join(dir, "*", "*", "wazero-*", "*"))
		require.NoError(t, err)
		require.Len(t, files, 1, "there is a cache on disk")
		require.NoError(t, os.Truncate(files[0], 20))
	}
}

func TestScratchIsClearedAtStart(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "jobs")
	require.NoError(t, os.MkdirAll(filepath.Join(dir, "7", "root"), 0o700))
	newRig(t, func(c *Config) { c.Dir = dir })
	entries, err := os.ReadDir(dir)
	require.NoError(t, err)
	require.Empty(t, entries)
}

func TestLogs(t *testing.T) {
	r := newRig(t)
	task := r.wasm("sleep", "1h")
	r.e.Start(task)
	r.says(task, "sleeping\n")
	out, errs := r.logs("nobody")
	require.Nil(t, out)
	require.Nil(t, errs)
	r.e.Stop(task.Key, task.Attempt)
	r.ended(task)
}

func TestWorkersRunAtLowPriority(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("needs /proc")
	}
	r := newRig(t)
	task := r.wasm("sleep", "1h")
	r.e.Start(task)
	r.says(task, "sleeping")
	tasks, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/stat", r.workerPID(task)))
	require.NoError(t, err)
	require.NotEmpty(t, tasks)
	for _, f := range tasks {
		b, err := os.ReadFile(f)
		require.NoError(t, err)
		fields := strings.Fields(string(b[strings.LastIndexByte(string(b), ')')+1:]))
		require.Equal(t, "10", fields[16], "a thread's niceness")
	}
	r.e.Stop(task.Key, task.Attempt)
	r.ended(task)
}

// A worker that has kept modules warm for long without using them is replaced by a fresh one, which takes a
// third of the memory.
func TestWarmSparesAreRenewed(t *testing.T) {
	r := newRig(t, func(c *Config) { c.IdleTimeout = 300 * time.Millisecond })
	require.Equal(t, job.Succeeded, r.run(r.module(r.put(tinyModule("_start", 0)))).Outcome)
	require.Eventually(t, func() bool {
		p := r.e.pool
		p.mu.Lock()
		defer p.mu.Unlock()
		return len(p.idle) == 1 && len(p.idle[0].warm) == 0
	}, 10*time.Second, 10*time.Millisecond)
}

// Whoever upgrades the program while a broker runs replaces or removes its file: workers start from the one that
// runs.
func TestWorkersOfAReplacedProgram(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("elsewhere a running program has no path of its own")
	}
	if how := os.Getenv(brokerVar); how != "" { // the broker
		switch script := os.Args[0] + ".new"; how {
		case "removed":
			require.NoError(t, os.Remove(os.Args[0]))
		case "not executable":
			told := make(chan string, 9)
			r := newRig(t, func(c *Config) { c.IdleWorkers, c.Unable = 1, func(why string) { told <- why } })
			require.Eventually(t, func() bool { return r.standBy() == 1 }, time.Minute, time.Millisecond)
			require.NoError(t, os.Chmod(os.Args[0], 0o600))
			for range 3 {
				r.endIdle()
				r.e.pool.refill()
				require.Eventually(t, func() bool { return !r.refills() }, time.Minute, time.Millisecond)
			}
			require.Eventually(t, func() bool { return len(told) == 1 }, 10*time.Second, time.Millisecond, "it is known before a job has been returned")
			require.Contains(t, <-told, "permission denied")
			r.wasReturned(r.wasm(), false, "starting a worker", "permission denied")
			require.ErrorContains(t, r.e.Probe(t.Context()), "permission denied")
			require.NoError(t, os.Chmod(os.Args[0], 0o700))
			require.NoError(t, r.e.Probe(t.Context()))
			require.Empty(t, told, "it is told once")
			require.Eventually(t, func() bool { return r.standBy() == 1 }, time.Minute, time.Millisecond, "one stands by again")
		case "replaced":
			require.NoError(t, os.WriteFile(script, []byte("#!/bin/sh\nexit 9\n"), 0o755))
			require.NoError(t, os.Rename(script, os.Args[0]))
		}
		r := newRig(t)
		require.Equal(t, job.Succeeded, r.run(r.wasm()).Outcome)
		return
	}
	for _, how := range []string{"removed", "replaced", "not executable"} {
		t.Run(how, func(t *testing.T) {
			self, err := os.ReadFile(os.Args[0])
			require.NoError(t, err)
			program := filepath.Join(t.TempDir(), "broker")
			require.NoError(t, os.WriteFile(program, self, 0o755))
			out, err := anotherBroker(t, program, how).CombinedOutput()
			require.NoError(t, err, "%s", out)
		})
	}
}
