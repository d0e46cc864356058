package executor

import (
	"bufio"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/urban-compute/ucp/job"
)

// spawnerPIDs waits until there are two spawners and returns their PIDs, the one in use first.
func (r *rig) spawnerPIDs() (pids []int) {
	require.Eventually(r.t, func() bool {
		r.onLauncher(func(s *spawners) {
			if pids = nil; s.first != nil && s.spare != nil {
				pids = []int{s.first.proc.Pid, s.spare.proc.Pid}
			}
		})
		return pids != nil
	}, 30*time.Second, time.Millisecond)
	for _, pid := range pids {
		p, ok := readProcess(pid)
		require.True(r.t, ok)
		require.Equal(r.t, os.Getpid(), p.parent, "a spawner is the broker's child, whoever started it")
	}
	return pids
}

func (r *rig) onLauncher(f func(*spawners)) {
	done := make(chan struct{})
	require.NoError(r.t, r.e.launcher.do(func() { f(&r.e.launcher.spawners); close(done) }))
	<-done
}

func TestSpawnersDieWithTheBroker(t *testing.T) {
	if os.Getenv(brokerVar) == "" {
		killBroker(t, 2)
		return
	}
	r := newRig(t)
	r.sayPIDs(r.spawnerPIDs()...)
}

// What runs does not notice that a spawner is killed, and what starts then starts all the same: each of them alone, or
// both at once.
func TestKilledSpawners(t *testing.T) {
	r := newRig(t, native, func(c *Config) { c.IdleWorkers = -1 })
	running := []Task{r.sh("sleep 1000"), r.sh("sleep 1000")}
	for _, task := range running {
		r.e.Start(task)
		r.started(task)
	}
	for _, which := range [][]int{{0}, {1}, {0, 1}} {
		before := r.spawnerPIDs()
		for _, i := range which {
			require.NoError(t, syscall.Kill(before[i], syscall.SIGKILL))
		}
		r.runs(r.tiny())
		after := r.spawnerPIDs()
		for _, i := range which {
			require.NotContains(t, after, before[i])
		}
	}
	for _, task := range running {
		require.Equal(t, "started", r.phases(task))
	}
}

// Somebody stops spawners. The spare one takes the place of the other one; when both stand still they are told to go on, and
// the attempt does not notice.
func TestStoppedSpawners(t *testing.T) {
	r := newRig(t, func(c *Config) { c.IdleWorkers = -1 })
	require.NoError(t, r.e.Probe(t.Context()))
	r.onLauncher(func(s *spawners) { s.wait = 2 * time.Second })
	before := r.spawnerPIDs()
	require.NoError(t, syscall.Kill(before[0], syscall.SIGSTOP))
	require.NoError(t, r.e.Probe(t.Context()))
	r.dies(before[0])
	both := r.spawnerPIDs()
	require.Equal(t, before[1], both[0])
	for _, pid := range both {
		require.NoError(t, syscall.Kill(pid, syscall.SIGSTOP))
	}
	r.runs(r.tiny())
}

// A worker that is stopped between its fork and its exec stops its spawner. The broker goes on: its garbage collector,
// which waits for every thread, is the first to notice otherwise. Then another spawner starts the worker.
func TestNoChildStopsItsBroker(t *testing.T) {
	if pid, err := strconv.Atoi(os.Getenv(brokerVar)); err == nil {
		trace(pid)
		return
	}
	r := newRig(t, func(c *Config) { c.IdleWorkers = -1 })
	require.NoError(t, r.e.Probe(t.Context()))
	before := r.spawnerPIDs()
	r.onLauncher(func(s *spawners) { s.wait = 2 * time.Second })
	stopped := stopNextFork(t, before[0])
	task := r.tiny()
	r.e.Start(task)
	pid := <-stopped
	var longest time.Duration
	for end := time.Now().Add(time.Second); time.Now().Before(end); {
		begin := time.Now()
		runtime.GC()
		longest = max(longest, time.Since(begin))
	}
	require.Equal(t, commandLine(before[0]), commandLine(pid), "it still is a copy of the spawner")
	require.Empty(t, r.startsAndEnds(task))
	require.Less(t, longest, 500*time.Millisecond, "the longest silence")
	require.Equal(t, job.Succeeded, r.ended(task).Result.Outcome)
	r.dies(pid)
	r.dies(before[0])
	require.Equal(t, before[1], r.spawnerPIDs()[0])
}

// stopNextFork has another process stop the next one that pid forks, before it does anything, and sends its PID.
func stopNextFork(t *testing.T, pid int) <-chan int {
	tracer := anotherBroker(t, os.Args[0], strconv.Itoa(pid))
	out, err := tracer.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, tracer.Start())
	t.Cleanup(func() { _ = tracer.Process.Kill(); _ = tracer.Wait() })
	lines := bufio.NewScanner(out)
	says := func(what string) string {
		for lines.Scan() {
			if text, ok := strings.CutPrefix(lines.Text(), what); ok {
				return text
			}
			if why, ok := strings.CutPrefix(lines.Text(), "cannot: "); ok {
				t.Skipf("NOT TRIED: this test traces a process: %s", why)
			}
		}
		return "0"
	}
	says("traced")
	stopped := make(chan int, 1)
	go func() {
		child, _ := strconv.Atoi(says("stopped "))
		stopped <- child
	}()
	return stopped
}

// trace is the process that stopNextFork starts.
func trace(pid int) {
	runtime.LockOSThread() // a tracer is a thread
	tids := numbers(filepath.Join("/proc", strconv.Itoa(pid), "task"))
	for _, tid := range tids {
		if _, _, errno := syscall.Syscall6(syscall.SYS_PTRACE, unix.PTRACE_SEIZE, uintptr(tid), 0, unix.PTRACE_O_TRACEVFORK, 0, 0); errno != 0 {
			fmt.Println("cannot:", errno)
			return
		}
	}
	fmt.Println("traced")
	for {
		var status syscall.WaitStatus
		tid, err := syscall.Wait4(-1, &status, syscall.WALL, nil)
		if err != nil {
			fmt.Println("cannot:", err)
			return
		}
		if !slices.Contains(tids, tid) { // a new process stands at its first instruction
			_ = syscall.Kill(tid, syscall.SIGSTOP)
			fmt.Println("stopped", tid)
			return // and lets go of all
		}
		signal := 0
		if s := status.StopSignal(); status.Stopped() && s != syscall.SIGTRAP {
			signal = int(s)
		}
		_ = syscall.PtraceCont(tid, signal)
	}
}

// A message that is none ends a spawner, and nothing else.
func TestSpawnerThatIsToldNonsense(t *testing.T) {
	r := newRig(t, func(c *Config) { c.IdleWorkers = -1 })
	require.NoError(t, r.e.Probe(t.Context()))
	for _, message := range []string{"nonsense", strings.Repeat("x", maxSpawn+1)} {
		before := r.spawnerPIDs()
		r.onLauncher(func(s *spawners) {
			_, err := s.first.socket.Write([]byte(message))
			require.NoError(t, err)
		})
		r.dies(before[0])
		r.runs(r.tiny())
		require.Equal(t, before[1], r.spawnerPIDs()[0])
	}
}

// tiny is a job that needs next to nothing.
func (r *rig) tiny() Task { return r.module(r.put(tinyModule("_start", 0))) }

// runs runs a task in a worker of its own.
func (r *rig) runs(task Task) {
	res := r.run(task)
	require.Equal(r.t, job.Succeeded, res.Outcome, res.Reason)
	for w := r.e.pool.take(false, ""); w != nil; w = r.e.pool.take(false, "") {
		w.kill()
	}
}
