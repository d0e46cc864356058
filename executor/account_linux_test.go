package executor

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/urban-compute/ucp/job"
)

// resident adds what all workers of an executor have resident now; shared pages count for each of them.
func (r *rig) resident() (sum int64) {
	_, pids := r.e.pool.charges(nil)
	for _, pid := range pids {
		p, _ := readProcess(pid)
		sum += p.rss()
	}
	return sum
}

// runAccounted runs tasks at once and requires, again and again until they have ended, that workers have no more resident
// than a tenth above what is accounted.
func (r *rig) runAccounted(tasks ...Task) {
	for _, t := range tasks {
		r.e.Start(t)
	}
	for over, left := 0, len(tasks); left > 0; {
		before := r.e.MemoryUse().Accounted()
		have := r.resident()
		// What is charged may change between two looks, in either direction.
		if may := max(before, r.e.MemoryUse().Accounted()); have > may*11/10 {
			over++
			require.Less(r.t, over, 3, "%s resident, %s accounted: %+v", bytesOf(have), bytesOf(may), r.e.MemoryUse())
		} else {
			over = 0
		}
		left = 0
		for _, t := range tasks {
			if all := r.of(t); len(all) == 0 || all[len(all)-1].Result == nil {
				left++
			}
		}
		time.Sleep(2 * time.Millisecond) // between two measurements of real processes
	}
	for _, t := range tasks {
		require.Equal(r.t, job.Succeeded, r.ended(t).Result.Outcome, "%+v", r.ended(t).Result)
	}
}

// goProgram builds a program of the Go distribution as a module.
func goProgram(t testing.TB, name string) []byte {
	file := filepath.Join(t.TempDir(), name)
	build := exec.Command("go", "build", "-o", file, "cmd/"+name)
	build.Env = append(os.Environ(), "GOOS=wasip1", "GOARCH=wasm", "CGO_ENABLED=0", "GOFLAGS=")
	out, err := build.CombinedOutput()
	require.NoError(t, err, "%s", out)
	b, err := os.ReadFile(file)
	require.NoError(t, err)
	return b
}

func TestResidentMemoryIsAccounted(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector needs memory of its own; scripts/test.sh runs it without")
	}
	compiled := t.TempDir()
	module := goProgram(t, "gofmt")
	for _, how := range []string{"compiled", "from the disk's cache"} {
		t.Run(how, func(t *testing.T) {
			r := newRig(t, native, func(c *Config) {
				c.CacheDir, c.Memory, c.ModuleMemory, c.IdleTimeout = compiled, 1<<30, 1<<30, time.Hour
			})
			gofmt := r.put(module)
			source := r.put([]byte("package p\n"))
			format := func() Task {
				task := r.module(gofmt)
				task.Spec.Stdin = source
				return task
			}
			r.runAccounted(format())
			r.runAccounted(format(), format(), format()) // one of them warm
			hog := r.wasm("eat", "40")
			r.runAccounted(hog, format(), r.sh("head -c 40000000 /dev/zero | tail -c 1 >/dev/null; sleep 0.3"))
			use := r.e.MemoryUse()
			require.Zero(t, use.Limits+use.Loading)
			code, own := sizeOf(codeFile(compiled, gofmt)), sizeOf(codeFile(compiled, r.guest))
			require.Greater(t, code, int64(len(module)))
			require.Equal(t, code+own, use.Modules, "once for all workers")
			require.LessOrEqual(t, use.Resident, use.Accounted()*11/10)
		})
	}
}

// The code of a module is a file's that all workers have mapped, with no copy beside it.
func TestWorkersShareCode(t *testing.T) {
	r := newRig(t)
	require.Equal(t, job.Succeeded, r.run(r.wasm()).Outcome) // compiling it may take minutes beside other tests
	a, b := r.wasm("loop"), r.wasm("loop")
	file := codeFile(cache, r.guest)
	for _, task := range []Task{a, b} {
		r.e.Start(task)
		r.started(task)
		r.e.mu.Lock()
		w, _ := r.e.tasks[taskID{task.Key, task.Attempt}].worker.get()
		r.e.mu.Unlock()
		var mapped []string
		require.Eventually(t, func() bool {
			maps, err := os.ReadFile(fmt.Sprintf("/proc/%d/maps", w.pid))
			require.NoError(t, err)
			mapped = nil
			for line := range strings.Lines(string(maps)) {
				if strings.Contains(line, file) {
					mapped = append(mapped, line)
				}
			}
			return len(mapped) == 1 && strings.Contains(mapped[0], "r-xp")
		}, time.Minute, 5*time.Millisecond, "%q", &mapped)
	}
	size := sizeOf(file)
	require.Positive(t, size)
	require.Eventually(t, func() bool {
		use := r.e.MemoryUse()
		return use.Loading == 0 && use.Modules == size
	}, time.Minute, 5*time.Millisecond, "once for both")
}

// A file of code that a power failure has damaged is written again, and one that is mapped stays as it is.
func TestDamagedCodeIsNotRun(t *testing.T) {
	dir, file := t.TempDir(), filepath.Join(t.TempDir(), "tiny.wasm")
	require.NoError(t, os.WriteFile(file, tinyModule("_start", 0), 0o600))
	load := func() *loadedModule {
		m := newModules(dir, slog.New(slog.DiscardHandler))
		mod, _, err := m.get(context.Background(), "tiny", file)
		require.NoError(t, err)
		require.Positive(t, mod.shared)
		return mod
	}
	first := load()
	code := codeFile(dir, "tiny")
	good, err := os.ReadFile(code)
	require.NoError(t, err)
	require.Equal(t, good, machineCode(first.code))
	bad := append([]byte{^good[0]}, good[1:]...)
	for _, damaged := range [][]byte{bad, good[:len(good)/2], nil} {
		require.NoError(t, os.Remove(code))
		require.NoError(t, os.WriteFile(code, damaged, 0o600))
		load()
		now, err := os.ReadFile(code)
		require.NoError(t, err)
		require.Equal(t, good, now)
		require.Equal(t, good, machineCode(first.code))
	}
}

// Idle workers are ended before a job waits for memory, and a job waits until others have left enough.
func TestIdleWorkersGiveWayToJobs(t *testing.T) {
	const room = 1 << 30
	r := newRig(t, native, func(c *Config) { c.Memory, c.IdleTimeout = room, time.Hour })
	warm := func() (n int) {
		r.e.pool.mu.Lock()
		defer r.e.pool.mu.Unlock()
		for _, w := range r.e.pool.idle {
			n += len(w.warm)
		}
		return n
	}
	require.Equal(t, job.Succeeded, r.run(r.wasm()).Outcome)
	require.Equal(t, 1, warm())
	small, large, third := r.sh("echo ready; sleep 1000"), r.sh("echo ready; sleep 1000"), r.sh("echo ready")
	small.Spec.Resources.Memory, large.Spec.Resources.Memory, third.Spec.Resources.Memory = 64<<20, room-144<<20, 64<<20
	r.e.Start(small)
	r.says(small, "ready")
	require.Equal(t, 1, warm(), "there is room for it")
	r.e.Start(large)
	r.says(large, "ready")
	require.Zero(t, warm())
	r.e.Start(third)
	require.Never(t, func() bool { return len(r.of(third)) > 0 }, 300*time.Millisecond, 10*time.Millisecond, "no room")
	r.e.Stop(small.Key, small.Attempt)
	require.Equal(t, job.Succeeded, r.ended(third).Result.Outcome)
}

// A worker whose modules are in the way makes room for a fresh one, at once and for a job that otherwise would never fit.
func TestWorkerGivesWayToAFreshOne(t *testing.T) {
	r := newRig(t, func(c *Config) { c.Memory, c.IdleWorkers, c.IdleTimeout = 1<<30, -1, time.Hour })
	require.Equal(t, job.Succeeded, r.run(r.wasm()).Outcome)
	idle, _ := r.e.pool.charges(nil)
	require.Len(t, idle, 1)
	task := r.module(r.put(tinyModule("_start", 1)))
	task.Spec.Resources.Memory = 1<<30 - total(idle) - workerSpare + 1<<20
	require.Equal(t, job.Succeeded, r.run(task).Outcome)
}

// What can never fit is returned for good, and what does not fit in time for now, with a sentence that names the parts.
func TestNoRoomForAModule(t *testing.T) {
	r := newRig(t, func(c *Config) { c.Memory, c.ModuleMemory, c.CacheDir = 64<<20, 8<<20, t.TempDir() })
	task := r.wasm()
	r.e.Start(task)
	u := r.ended(task)
	require.True(t, u.Returned)
	require.True(t, u.Result.Permanent)
	for _, part := range []string{"64 MiB for itself", "for its worker", "getting its module ready takes", "this broker has 72 MiB", "--module-memory"} {
		require.Contains(t, u.Result.Reason, part)
	}

	r = newRig(t, func(c *Config) { c.Memory, c.ModuleMemory = 256<<20, 64<<20 })
	r.e.load = 50 * time.Millisecond
	require.True(t, func() bool { ok, _ := r.e.account.put(&attempt{}, charge{limit: 250 << 20}); return ok }())
	task = r.wasm()
	r.e.Start(task)
	u = r.ended(task)
	require.True(t, u.Returned)
	require.False(t, u.Result.Permanent)
	require.Contains(t, u.Result.Reason, "other jobs have not left that for 50ms")
}

func TestAccount(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newAccount(100)
		a, b, c := &attempt{}, &attempt{}, &attempt{}
		ok, _ := m.put(a, charge{limit: 10, worker: 20, code: map[job.Digest]int64{"x": 30}})
		require.True(t, ok)
		require.EqualValues(t, 40, m.free())
		ok, _ = m.put(b, charge{limit: 10, worker: 25, code: map[job.Digest]int64{"x": 30}})
		require.True(t, ok, "the code is there")
		require.EqualValues(t, 5, m.free())
		ok, more := m.put(c, charge{load: 6})
		require.False(t, ok)
		require.EqualValues(t, 5, m.free(), "it is not charged")
		select {
		case <-more:
			require.Fail(t, "nothing has changed")
		default:
		}
		m.loaded(b, charge{limit: 10, worker: 24, code: map[job.Digest]int64{"x": 30}})
		<-more
		ok, _ = m.put(c, charge{load: 6})
		require.True(t, ok)
		m.remove(a)
		m.remove(a)
		require.EqualValues(t, 100-34-30-6, m.free())
		m.remove(b)
		m.remove(c)
		require.EqualValues(t, 100, m.free())
	})
}

// endlessModule is a program that never ends.
func endlessModule() []byte {
	return []byte("\x00asm\x01\x00\x00\x00" +
		"\x01\x04\x01\x60\x00\x00" + "\x03\x02\x01\x00" + "\x05\x03\x01\x00\x01" +
		"\x07\x13\x02\x06memory\x02\x00\x06_start\x00\x00" +
		"\x0a\x09\x01\x07\x00\x03\x40\x0c\x00\x0b\x0b")
}

// A job whose code the disk can't give any more is not at fault.
func TestCodeThatCannotBeRead(t *testing.T) {
	dir := t.TempDir()
	r := newRig(t, func(c *Config) { c.CacheDir = dir })
	endless := r.put(endlessModule())
	task := r.module(endless)
	r.e.Start(task)
	require.Eventually(t, func() bool { return r.e.MemoryUse().Modules > 0 }, time.Minute, time.Millisecond)
	require.NoError(t, os.Truncate(codeFile(dir, endless), 0))
	u := r.ended(task)
	require.True(t, u.Returned, "%+v", u.Result)
	require.Contains(t, u.Result.Reason, "can't be read any more")
}

// A module that has its worker take memory beside its own, here for a deep recursion, ends as one over its limit.
func TestStackIsMemory(t *testing.T) {
	const depth = "\xc0\x8d\xb7\x01" // 3,000,000, about 190 MB of the engine's stack
	recursion := "\x00asm\x01\x00\x00\x00" +
		"\x01\x09\x02\x60\x00\x00\x60\x01\x7f\x01\x7f" + // types: of nothing; i32 to i32
		"\x03\x03\x02\x00\x01" + // two functions
		"\x05\x03\x01\x00\x01" + // a page of memory
		"\x07\x13\x02\x06memory\x02\x00\x06_start\x00\x00" +
		"\x0a\x24\x02" +
		"\x0a\x00\x41" + depth + "\x10\x01\x1a\x0b" + // f(depth)
		"\x17\x00\x20\x00\x45\x04\x40\x03\x40\x0c\x00\x0b\x0b\x20\x00\x41\x01\x6b\x10\x01\x41\x01\x6a\x0b" // f(0) loops; f(n) is f(n-1)+1
	r := newRig(t, func(c *Config) { c.Memory, c.ModuleMemory = 1<<30, 1<<30 })
	res := r.run(r.module(r.put([]byte(recursion))))
	require.Equal(t, job.Failed, res.Outcome)
	require.Contains(t, res.Reason, "memory limit 64 MiB exceeded: its worker has")
}
