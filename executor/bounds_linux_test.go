package executor

import (
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/urban-compute/ucp/cgroup"
	"github.com/urban-compute/ucp/clock"
	"github.com/urban-compute/ucp/job"
)

// holding is a shell function that keeps so many bytes.
const holding = `hold() { x=$(head -c $1 /dev/zero | tr "\\0" x); }; `

// A job of several processes has one memory limit, also for those in sessions of their own.
func TestMemoryOfAllProcessesIsLimited(t *testing.T) {
	r := newRig(t, native)
	one := `sh -c '` + holding + `hold 20000000; sleep 1000'`
	task := r.sh(strings.Repeat(one+" & ", 3) + strings.Repeat("setsid "+one+" & ", 3) + "sleep 1000")
	r.e.Start(task)
	u := r.ended(task)
	require.Equal(t, job.Failed, u.Result.Outcome)
	require.Contains(t, u.Result.Reason, "memory limit 64 MiB exceeded: ")
	require.False(t, u.Returned)
	require.Equal(t, 128+int(syscall.SIGKILL), *u.Result.ExitCode)
	require.Equal(t, "x\n", r.read(r.run(r.sh("echo x")).Stdout), "the worker still works")
}

// Memory that processes share counts once.
func TestSharedMemoryCountsOnce(t *testing.T) {
	r := newRig(t, native)
	task := r.sh(holding + `hold 20000000; for i in 1 2 3 4 5 6; do (sleep 1000; exit ${#x}) & done; echo ready; sleep 1000`)
	r.e.Start(task)
	r.says(task, "ready")
	worker := r.workerPID(task)
	require.Eventually(t, func() bool {
		all := treeOf(processes()).descendants(worker)
		var resident int64
		for _, p := range all {
			resident += p.rss()
		}
		return resident > task.Spec.Resources.Memory && beyondBounds(all, task.Spec.Resources.Memory) == ""
	}, 20*time.Second, 10*time.Millisecond)
	require.Equal(t, "started", r.phases(task))
	r.e.Stop(task.Key, task.Attempt)
	r.ended(task)
}

func TestProcessesAreLimited(t *testing.T) {
	all := make([]process, maxProcesses+1)
	require.Empty(t, beyondBounds(all[1:], 1))
	require.Equal(t, "more than 1024 processes", beyondBounds(all, 1))

	cmd := exec.Command("sleep", "1000")
	require.NoError(t, cmd.Start())
	defer func() { _ = cmd.Process.Kill(); _ = cmd.Wait() }()
	var ours, its unix.Rlimit
	require.NoError(t, unix.Prlimit(0, unix.RLIMIT_NPROC, nil, &ours))
	limitProcesses(cmd.Process.Pid, false)
	require.NoError(t, unix.Prlimit(cmd.Process.Pid, unix.RLIMIT_NPROC, nil, &its))
	require.Equal(t, processLimit(ours.Max), its.Max)
	require.NotEqual(t, uint64(unix.RLIM_INFINITY), its.Max)
	require.Equal(t, uint64(4096-256), processLimit(4096), "a part is left to the broker")
	require.Equal(t, uint64(100), processLimit(200))

	used := userThreads(os.Getuid())
	require.GreaterOrEqual(t, used, uint64(brokerThreads))
	require.NoError(t, enoughProcesses(used+leastProcesses, used))
	require.ErrorIs(t, enoughProcesses(used+leastProcesses-1, used), syscall.EAGAIN)
}

// Where a user may have few processes, which does not bind root, a native job that would find hardly any is returned, also
// if it has failed meanwhile.
func TestFewProcesses(t *testing.T) {
	if os.Getuid() == 0 {
		t.Skip("NOT TRIED: the limit of processes does not bind root")
	}
	r := newRig(t, native)
	r.runs(r.tiny())
	var own unix.Rlimit
	require.NoError(t, unix.Getrlimit(unix.RLIMIT_NPROC, &own))
	limit := func(n uint64) {
		require.NoError(t, unix.Setrlimit(unix.RLIMIT_NPROC, &unix.Rlimit{Cur: n, Max: own.Max}))
	}
	defer limit(own.Cur)
	task := r.sh("echo ready; sleep 2; sleep 1 & sleep 1 || exit 2; exit 2")
	r.e.Start(task)
	r.says(task, "ready")
	limit(userThreads(os.Getuid()) + leastProcesses/2)
	u := r.ended(task)
	require.True(t, u.Returned, "%+v", u.Result)
	require.Contains(t, u.Result.Reason, "processes and threads")
	limit(own.Cur)
	require.Equal(t, "x\n", r.read(r.run(r.sh("echo x")).Stdout))
}

// Where groups limit the memory of a native job, address space that it does not use is not counted: a program may have threads.
func TestThreadsOfAProgram(t *testing.T) {
	r := newRig(t, native)
	groups := r.e.nest.Make("probe", cgroup.Bounds{Memory: 64 << 20, CPU: 1000, Weight: 100, Processes: 100})
	limited := groups.LimitsMemory()
	require.NoError(t, groups.End())
	if !limited {
		t.Skip("NOT TRIED: this test needs control groups for memory that it may write")
	}
	require.Equal(t, "unlimited\n", r.read(r.run(r.sh("ulimit -d")).Stdout))
}

// A native program has what its job says, and nothing of its broker's: no variable, and no descriptor, not even those
// with which the broker itself was started.
func TestProcessInheritsNothing(t *testing.T) {
	inherited, err := syscall.Dup(0) // is not closed in what is started
	require.NoError(t, err)
	defer syscall.Close(inherited)
	t.Setenv("BROKER_SECRET", "gold")
	r := newRig(t, native)
	task := r.sh("env; ls -l /proc/$$/fd")
	task.Spec.Env = map[string]string{"MINE": "1"}
	out := r.read(r.run(task).Stdout)
	var names, files []string
	for line := range strings.Lines(out) {
		if name, _, ok := strings.Cut(line, "="); ok {
			names = append(names, name)
		}
		if before, _, ok := strings.Cut(line, " -> "); ok {
			f := strings.Fields(before)
			files = append(files, f[len(f)-1])
		}
	}
	names = slices.DeleteFunc(names, func(s string) bool { return slices.Contains([]string{"PWD", "OLDPWD", "SHLVL", "_"}, s) }) // the shell's
	slices.Sort(names)
	slices.Sort(files)
	require.Equal(t, []string{"HOME", "MINE", "PATH", "TMPDIR", "UCP_ATTEMPT", "UCP_JOB_DIR", "UCP_JOB_ID"}, names)
	require.Equal(t, []string{"0", "1", "2"}, files)
}

// Whatever a job has started ends with it, although its worker was killed and it hides: it has left its session, and has
// no variables by which it could be told.
func TestHiddenDaemonEndsWithItsJob(t *testing.T) {
	r := newRig(t, bare)
	if len(r.e.nest) == 0 {
		t.Skip("NOT TRIED: this test needs control groups that it may write")
	}
	task := r.sh("env -i setsid sh -c 'env -i setsid sleep 1000 & echo $!; echo $$; echo ready; exec sleep 1000' & exec sleep 1000")
	r.e.Start(task)
	pids := r.pidsOf(task)
	require.NoError(t, syscall.Kill(r.workerPID(task), syscall.SIGKILL))
	r.ended(task)
	for _, pid := range pids {
		require.False(t, alive(pid))
	}
	require.NoError(t, r.e.Close())
	for _, g := range r.e.nest {
		left, err := filepath.Glob(g.Dir + "*")
		require.NoError(t, err)
		require.Empty(t, left)
	}
}

// Without control groups, too, the sum of what processes have is limited, and what is left of a job's group when its broker
// was killed is ended by the next one.
func TestBoundsWithoutGroups(t *testing.T) {
	r := newRig(t, native)
	nest := r.e.nest
	if len(nest) == 0 {
		t.Skip("NOT TRIED: this test needs control groups that it may write")
	}
	r.e.nest = nil
	one := `sh -c '` + holding + `hold 20000000; sleep 1000' & `
	u := r.run(r.sh(strings.Repeat(one, 6) + "sleep 1000"))
	require.Contains(t, u.Reason, "memory limit 64 MiB exceeded: its ")
	r.e.nest = nest

	left := nest.Make("left", cgroup.Bounds{Memory: 1 << 30, CPU: 1000, Weight: 110, Processes: 10})
	stray := exec.Command("sleep", "1000")
	stray.SysProcAttr = &syscall.SysProcAttr{}
	done := make(chan error)
	go func() {
		runtime.LockOSThread() // and never lets go: the thread ends
		leave, err := enterGroups(stray, left)
		if err == nil {
			err = stray.Start()
			leave()
		}
		done <- err
	}()
	require.NoError(t, <-done)
	newNest(r.e.cfg.Dir)
	require.Error(t, stray.Wait(), "it was killed")
	for _, g := range left {
		require.NoDirExists(t, g.Dir)
	}
}

// A job whose control groups can't be used runs without.
func TestGroupsThatCannotBeEntered(t *testing.T) {
	r := newRig(t, native)
	for _, g := range []cgroup.Group{{Version: 1, Dir: t.TempDir() + "/"}, {Version: 2, Dir: t.TempDir() + "/"}} {
		r.e.nest = cgroup.Nest{g}
		require.Equal(t, "x\n", r.read(r.run(r.sh("echo x")).Stdout))
	}
	r.wasReturned(Task{Key: "k", ID: "j", Attempt: "1.a.1", Spec: job.Spec{Driver: job.Process, Command: "no-such-program-here"}}, false, "starting no-such-program-here")
}

// A native job that starts many busy processes uses the cores that it has asked for, and one at least; the others are left to
// others.
func TestCPUOfAllProcessesIsLimited(t *testing.T) {
	r := newRig(t, native)
	if !slices.ContainsFunc(r.e.nest, func(g cgroup.Group) bool {
		return strings.HasPrefix(g.Dir, "/sys/fs/cgroup/cpu") || g.Version == 2 && limitsCPU(filepath.Dir(g.Dir))
	}) {
		t.Skip("NOT TRIED: this test needs control groups for the CPU that it may write")
	}
	task := r.sh("echo ready; for i in 1 2 3 4; do while :; do :; done & done; wait")
	task.Spec.Resources.CPU = 100
	task.Spec.Timeout = clock.Duration(3 * time.Second)
	r.e.Start(task)
	r.says(task, "ready")
	var quota, weight string
	for _, g := range r.e.nest {
		for _, file := range []string{"cpu.cfs_quota_us", "cpu.max"} {
			quota += contentOf(g.Dir + "1/" + file)
		}
		for _, file := range []string{"cpu.shares", "cpu.weight"} {
			weight += contentOf(g.Dir + "1/" + file)
		}
	}
	began := time.Now()
	u := r.ended(task)
	require.True(t, u.Result.TimedOut())
	require.Regexp(t, "^(100000|100000 100000)\n$", quota, "one core")
	require.Regexp(t, "^(110|10)\n$", weight)
	require.LessOrEqual(t, u.CPU, time.Since(began)+500*time.Millisecond, "other cores may be idle, and it may use one")
	require.NotZero(t, u.CPU)
}

func contentOf(file string) string {
	b, _ := os.ReadFile(file)
	return string(b)
}

// limitsCPU reports whether the groups below one of version 2 can limit the CPU.
func limitsCPU(dir string) bool {
	return slices.Contains(strings.Fields(contentOf(filepath.Join(dir, "cgroup.subtree_control"))), "cpu")
}
