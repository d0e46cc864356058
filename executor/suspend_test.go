package executor

import (
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/urban-compute/ucp/clock"
	"github.com/urban-compute/ucp/job"
)

func needsProc(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("looks at processes in /proc")
	}
}

// output returns what a running task has written to stdout so far.
func (r *rig) output(task Task) string {
	out, errs := r.logs(task.Key)
	if errs != nil {
		errs.Close()
	}
	if out == nil {
		return ""
	}
	defer out.Close()
	b, err := io.ReadAll(out)
	require.NoError(r.t, err)
	return string(b)
}

// grows waits until a task has written n more bytes than it has now. Tests use it instead of a sleep, so that
// the other tasks get time to run however busy the machine is.
func (r *rig) grows(task Task, n int) {
	from := len(r.output(task))
	require.Eventually(r.t, func() bool { return len(r.output(task)) >= from+n }, 60*time.Second, 2*time.Millisecond,
		"%s makes no progress", task.Key)
}

// cpuOf sums the CPU ticks of a task's processes.
func (r *rig) cpuOf(task Task) (sum int64) {
	worker := r.workerPID(task)
	for _, p := range append(treeOf(processes()).descendants(worker), process{pid: worker}) {
		now, ok := readProcess(p.pid)
		require.True(r.t, ok)
		sum += now.cpuTicks
	}
	return sum
}

// three returns a script that works in three processes: the program itself, a child in its group, and a child
// in a session of its own. When all have started, each writes n lines, and the program waits for all.
func three(n int) string {
	count := func(name string) string {
		return fmt.Sprintf(`touch %s; until [ -e group ] && [ -e session ] && [ -e self ]; do :; done;
			i=0; while [ $i -lt %d ]; do i=$((i+1)); echo %s $i; done`, name, n, name)
	}
	return fmt.Sprintf(`(%s) & setsid sh -c '%s' & %s; wait`, count("group"), count("session"), count("self"))
}

func requireThree(t *testing.T, n int, out string) {
	next := map[string]int{}
	for line := range strings.Lines(out) {
		name, i, _ := strings.Cut(strings.TrimSpace(line), " ")
		next[name]++
		require.Equal(t, strconv.Itoa(next[name]), i, "of %s", name)
	}
	require.Equal(t, map[string]int{"group": n, "session": n, "self": n}, next)
}

func TestSuspendedJobMakesNoProgress(t *testing.T) {
	needsProc(t)
	const lines = 60_000
	r := newRig(t, native)
	other := r.wasm("tally", "1000000")
	r.e.Start(other)
	for _, c := range []struct {
		task  Task
		check func(out string)
	}{
		{r.wasm("tally", "400"), func(out string) {
			require.Equal(t, 400, strings.Count(out, "\n"))
			require.True(t, strings.HasSuffix(out, "399 true\n"))
		}},
		{r.sh(three(lines)), func(out string) { requireThree(t, lines, out) }},
	} {
		r.e.Start(c.task)
		r.grows(c.task, 10)
		if c.task.Spec.Driver == job.Process {
			require.Eventually(t, func() bool { // all three are writing
				out := r.output(c.task)
				return strings.Contains(out, "group") && strings.Contains(out, "session") && strings.Contains(out, "self")
			}, 30*time.Second, time.Millisecond)
		}
		r.suspend(c.task)
		r.e.Suspend(c.task.Key, c.task.Attempt) // a second call has no effect
		worker := r.workerPID(c.task)
		family := treeOf(processes()).descendants(worker)
		for _, p := range family {
			require.True(t, p.stopped(), "%+v", p)
		}
		if c.task.Spec.Driver == job.Process {
			require.Len(t, family, 3)
		}
		require.Eventually(t, func() bool { // what was in the pipe has been written down
			before := r.output(c.task)
			r.grows(other, 50)
			return before == r.output(c.task)
		}, 30*time.Second, time.Millisecond)
		require.Equal(t, c.task.Spec.Driver == job.Wasm, allThreadsStopped(worker), "the worker of a native program is not stopped")
		before, cpu := r.output(c.task), r.cpuOf(c.task)
		r.grows(other, 200)
		require.Equal(t, len(before), len(r.output(c.task)), "a suspended task writes nothing")
		require.LessOrEqual(t, r.cpuOf(c.task)-cpu, int64(1), "a suspended task uses no CPU time (one tick is the worker's own)")
		r.resume(c.task)
		r.e.Resume(c.task.Key, c.task.Attempt)
		u := r.ended(c.task)
		require.Equal(t, job.Succeeded, u.Result.Outcome, u.Result.Reason)
		c.check(r.read(u.Result.Stdout))
		require.Equal(t, "started suspended resumed ended", r.phases(c.task))
		r.e.Suspend(c.task.Key, c.task.Attempt) // has no effect: the attempt has ended
		r.e.Resume("nobody", "1.a.1")
	}
	require.Equal(t, "started", r.phases(other), "other tasks are not touched")
}

// All processes of a program are stopped, even if it forks all the time.
func TestSuspendOfAForkingJob(t *testing.T) {
	needsProc(t)
	r := newRig(t, native)
	const forks = `while :; do (true); (setsid true); done`
	task := r.sh(fmt.Sprintf(`echo ready; (%s) & setsid sh -c '%s' & %s`, forks, forks, forks))
	r.e.Start(task)
	r.says(task, "ready")
	worker := r.workerPID(task)
	for i := range 20 {
		r.e.Suspend(task.Key, task.Attempt)
		r.reaches(task, PhaseSuspended, i+1)
		first := treeOf(processes()).descendants(worker)
		for _, p := range first {
			require.True(t, p.stopped(), "%+v", p)
		}
		require.Equal(t, len(first), len(treeOf(processes()).descendants(worker)))
		r.e.Resume(task.Key, task.Attempt)
		r.reaches(task, PhaseResumed, i+1)
	}
	r.e.Stop(task.Key, task.Attempt)
	require.True(t, r.ended(task).Stopped)
}

func TestTimeoutIsPausedWhileSuspended(t *testing.T) {
	r := newRig(t, native)
	require.Equal(t, job.Succeeded, r.run(r.wasm()).Outcome) // warm
	tasks := []Task{r.wasm("loop"), r.sh("while :; do :; done")}
	for i := range tasks {
		tasks[i].Spec.Timeout = clock.Duration(2 * time.Second)
		r.e.Start(tasks[i])
		r.started(tasks[i])
		r.suspend(tasks[i])
	}
	require.Equal(t, job.Succeeded, r.run(r.wasm("sleep", "2500ms")).Outcome) // longer than the timeout
	for _, task := range tasks {
		require.Equal(t, "started suspended", r.phases(task))
	}
	for _, task := range tasks {
		r.resume(task)
	}
	for _, task := range tasks {
		require.Equal(t, "timeout after 2s", r.ended(task).Result.Reason, "the rest of the timeout still counts")
	}
}

// A stopped process handles SIGTERM only when it continues, and may need its children to end properly.
func TestStopOfASuspendedJob(t *testing.T) {
	r := newRig(t, native, func(c *Config) { c.Grace = 50 * time.Second })
	wasm := r.wasm("loop")
	program := r.sh(`setsid sh -c 'while [ ! -e bye ]; do sleep 0.01; done' & c=$!
		trap 'touch bye; wait $c; exit 5' TERM; echo ready; while :; do sleep 0.01; done`)
	for _, task := range []Task{wasm, program} {
		r.e.Start(task)
		r.started(task)
		if task.Spec.Driver == job.Process {
			r.says(task, "ready")
		}
		r.suspend(task)
		r.e.Stop(task.Key, task.Attempt)
		r.e.Suspend(task.Key, task.Attempt) // has no effect any more
		u := r.ended(task)
		require.True(t, u.Stopped)
		if task.Spec.Driver == job.Process {
			require.NotNil(t, u.Result.ExitCode)
			require.Equal(t, 5, *u.Result.ExitCode, "it ended by itself")
		}
		require.Equal(t, "started suspended ended", r.phases(task))
	}
	require.Equal(t, job.Succeeded, r.run(r.wasm()).Outcome)
	require.Equal(t, "x\n", r.read(r.run(r.sh("echo x")).Stdout), "the worker still works")
}

// A program that ignores SIGTERM is killed after the grace period, even if it is suspended.
func TestStopOfASuspendedStubbornJob(t *testing.T) {
	r := newRig(t, native)
	task := r.sh(`trap '' TERM; echo ready; while :; do sleep 0.01; done`)
	r.e.Start(task)
	r.says(task, "ready")
	r.suspend(task)
	r.e.Stop(task.Key, task.Attempt)
	require.Equal(t, 128+int(syscall.SIGKILL), *r.ended(task).Result.ExitCode)
}

func TestWorkerKilledWhileSuspended(t *testing.T) {
	needsProc(t)
	r := newRig(t, bare)
	wasm, program := r.wasm("loop"), r.sh(background+"sleep 1000")
	r.e.Start(program)
	pids := r.pidsOf(program)
	r.e.Start(wasm)
	r.started(wasm)
	for _, task := range []Task{wasm, program} {
		r.suspend(task)
		pid := r.workerPID(task)
		require.NoError(t, syscall.Kill(pid, syscall.SIGKILL))
		u := r.ended(task)
		require.Equal(t, "the worker was killed by SIGKILL (out of memory?)", u.Result.Reason)
		require.False(t, u.Stopped)
		require.Equal(t, "started suspended ended", r.phases(task))
	}
	for _, pid := range pids {
		r.dies(pid)
	}
}

// When the program itself is killed, for instance by the kernel, its children are killed, too.
func TestProgramKilledWhileSuspended(t *testing.T) {
	needsProc(t)
	r := newRig(t, bare)
	task := r.sh(background + "sleep 1000")
	r.e.Start(task)
	pids := r.pidsOf(task)
	r.suspend(task)
	leaders := treeOf(processes())[r.workerPID(task)]
	require.Len(t, leaders, 1)
	require.NoError(t, syscall.Kill(leaders[0].pid, syscall.SIGKILL))
	require.Equal(t, "killed by SIGKILL (out of memory?)", r.ended(task).Result.Reason)
	for _, pid := range pids {
		require.False(t, alive(pid))
	}
	require.Equal(t, "x\n", r.read(r.run(r.sh("echo x")).Stdout), "the worker still works")
}

func TestCloseWithSuspendedJobs(t *testing.T) {
	needsProc(t)
	r := newRig(t, bare)
	program, wasm := r.sh(background+"sleep 1000"), r.wasm("loop")
	r.e.Start(program)
	r.e.Start(wasm)
	pids := append(r.pidsOf(program), r.workerPID(program), r.workerPID(wasm))
	r.started(wasm)
	r.suspend(program)
	r.suspend(wasm)
	require.NoError(t, r.e.Close())
	for _, pid := range pids {
		require.False(t, alive(pid))
	}
	for _, task := range []Task{program, wasm} {
		require.Equal(t, "started suspended", r.phases(task), "no end is reported after Close")
		r.e.Suspend(task.Key, task.Attempt)
		r.e.Resume(task.Key, task.Attempt)
	}
}

// The broker is another copy of the test binary here, which is killed.
func TestSuspendedJobsDieWithTheBroker(t *testing.T) {
	needsProc(t)
	if os.Getenv(brokerVar) == "" {
		killBroker(t, 4)
		return
	}
	r := newRig(t, bare)
	a, b := r.sh(background+"sleep 1000"), r.wasm("loop")
	r.e.Start(a)
	r.e.Start(b)
	pids := append(r.pidsOf(a), r.workerPID(a), r.workerPID(b))
	r.started(b)
	r.suspend(a)
	r.suspend(b)
	r.sayPIDs(pids...)
}

// fifo makes a blob whose bytes arrive when the test calls give. Until then, a worker that copies the blob as
// an input blocks in the middle of its preparations.
func (r *rig) fifo() (d job.Digest, give func(string)) {
	d = job.Digest("f1f0")
	p := blobFile(r.blobs.dir, d)
	require.NoError(r.t, os.MkdirAll(filepath.Dir(p), 0o700))
	require.NoError(r.t, syscall.Mkfifo(p, 0o600))
	return d, func(s string) { require.NoError(r.t, os.WriteFile(p, []byte(s), 0o600)) } // waits for its reader
}

func TestSuspendBeforeTheProgramStarts(t *testing.T) {
	needsProc(t)
	r := newRig(t, native)
	d, give := r.fifo()
	task := r.sh("cat in; echo ran")
	task.Spec.Inputs = map[string]string{"in": string(d)}
	r.e.Start(task)
	r.started(task)
	r.suspend(task)
	give("input ")
	r.run(r.wasm("tally", "50")) // gives the program enough time to start, if it were not held back
	require.Empty(t, treeOf(processes()).descendants(r.workerPID(task)), "it is held back")
	r.resume(task)
	require.Equal(t, "input ran\n", r.read(r.ended(task).Result.Stdout))
	require.Equal(t, "started suspended resumed ended", r.phases(task))
}

// A stop that comes while the inputs are copied must not get lost, and the program need not start. The stop
// must not affect the worker's next program.
func TestStopBeforeTheProgramStarts(t *testing.T) {
	r := newRig(t, native, func(c *Config) { c.Grace = time.Hour })
	d, give := r.fifo()
	for _, still := range []bool{false, true} {
		task := r.sh("trap 'exit 5' TERM; echo ran >&2; while :; do sleep 0.01; done")
		task.Spec.Inputs = map[string]string{"in": string(d)}
		r.e.Start(task)
		r.started(task)
		if still {
			r.suspend(task)
		}
		r.e.Stop(task.Key, task.Attempt)
		r.run(r.wasm("tally", "20")) // gives the worker enough time to read the stop, most likely
		give("")
		u := r.ended(task)
		require.True(t, u.Stopped)
		if still {
			require.Nil(t, u.Result.ExitCode, "it never started")
		}
		require.Equal(t, "x\n", r.read(r.run(r.sh("echo x")).Stdout))
	}
}

func (r *rig) workers() []*remote {
	r.e.pool.mu.Lock()
	defer r.e.pool.mu.Unlock()
	var out []*remote
	for w := range r.e.pool.all {
		out = append(out, w)
	}
	return out
}

// newSlowCompiler returns a rig in which the first task's turn to compile a new module does not end, because
// its worker was stopped from outside before.
func newSlowCompiler(t *testing.T) (*rig, Task) {
	r := newRig(t, func(c *Config) { c.CacheDir = filepath.Join(t.TempDir(), "cache") })
	var spare *remote
	require.Eventually(t, func() bool {
		r.e.pool.mu.Lock()
		defer r.e.pool.mu.Unlock()
		if len(r.e.pool.idle) > 0 {
			spare = r.e.pool.idle[0]
		}
		return spare != nil
	}, 30*time.Second, time.Millisecond)
	require.True(t, spare.setStopped(true))
	first := r.module(r.put(tinyModule("_start", 0)))
	r.e.Start(first)
	require.Equal(t, spare.pid(), r.workerPID(first))
	return r, first
}

// An attempt that is suspended while it compiles a module passes the turn on. An attempt that waits for its
// turn can be suspended, too.
func TestSuspendWhileLoading(t *testing.T) {
	needsProc(t)
	r, first := newSlowCompiler(t)
	second, third := r.module(first.Spec.Module), r.module(first.Spec.Module)
	r.e.Start(second)
	r.suspend(second)
	r.resume(second) // it certainly waits for its turn when the next Suspend comes
	r.e.Suspend(second.Key, second.Attempt)
	r.reaches(second, PhaseSuspended, 2)
	require.Equal(t, "suspended resumed suspended", r.phases(second), "it has not started")
	r.suspend(first)
	r.e.Start(third)
	require.Equal(t, job.Succeeded, r.ended(third).Result.Outcome, "it did not wait for the first")
	for _, task := range []Task{first, second} {
		r.e.Resume(task.Key, task.Attempt)
		require.Equal(t, job.Succeeded, r.ended(task).Result.Outcome)
	}
	require.Equal(t, "started suspended resumed ended", r.phases(first))
	require.Equal(t, "suspended resumed suspended resumed started ended", r.phases(second))
}

func TestStopOfOneThatWaitsSuspended(t *testing.T) {
	needsProc(t)
	r, first := newSlowCompiler(t)
	second, third := r.module(first.Spec.Module), r.module(first.Spec.Module)
	for _, task := range []Task{second, third} {
		r.e.Start(task)
		r.suspend(task)
	}
	r.e.Stop(second.Key, second.Attempt)
	require.True(t, r.ended(second).Stopped)
	require.NoError(t, r.e.Close()) // with the third
	require.Equal(t, "suspended", r.phases(third))
}

// A worker that was stopped just when its job had ended serves the next one.
func TestWorkerStoppedTooLateGoesOn(t *testing.T) {
	r := newRig(t, func(c *Config) { c.IdleWorkers = -1 })
	w, err := r.e.pool.acquire(false, "")
	require.NoError(t, err)
	require.True(t, w.setStopped(true))
	late := &attempt{e: r.e}
	late.suspended.Store(true)
	late.giveBack(w, &report{})
	require.Equal(t, "hello\n", r.read(r.run(r.wasm()).Stdout))
	require.Equal(t, []*remote{w}, r.workers(), "this worker ran it")
}

// An answer to a hold that comes after the end of its job is not taken for the next job's.
func TestLateAnswerToAHoldIsIgnored(t *testing.T) {
	needsProc(t)
	r := newRig(t, native)
	task := r.sh("echo ready; exec sleep 1000")
	r.e.Start(task)
	r.says(task, "ready")
	for _, w := range r.workers() {
		if w.native {
			w.in <- fromWorker{Held: &hold{Order: 4711, Suspend: true}}
		}
	}
	r.suspend(task)
	family := treeOf(processes()).descendants(r.workerPID(task))
	require.Len(t, family, 1)
	require.True(t, family[0].stopped(), "it was reported as suspended, but is %+v", family[0])
	r.resume(task)
	r.e.Stop(task.Key, task.Attempt)
	r.ended(task)
	require.Equal(t, "started suspended resumed ended", r.phases(task))
}

// Many goroutines suspend, resume and stop jobs that end meanwhile. In every case the updates keep their
// order, every job ends, and every worker works afterwards.
func TestSuspendRaces(t *testing.T) {
	r := newRig(t, native, func(c *Config) { c.Grace = 20 * time.Millisecond })
	tiny := r.put(tinyModule("_start", 0))
	var tasks []Task
	for i := range 48 {
		switch i % 4 {
		case 0:
			tasks = append(tasks, r.module(tiny))
		case 1:
			tasks = append(tasks, r.wasm("tally", "20"))
		case 2:
			tasks = append(tasks, r.sh("true"))
		case 3:
			tasks = append(tasks, r.sh("for i in 1 2 3 4 5; do (true); done"))
		}
	}
	slots := make(chan struct{}, 6)
	var wg sync.WaitGroup
	for i, task := range tasks {
		slots <- struct{}{}
		r.e.Start(task)
		for who := range 2 {
			rng := rand.New(rand.NewPCG(uint64(i), uint64(who)))
			wg.Go(func() {
				for range 10 {
					switch rng.IntN(5) {
					case 0, 1:
						r.e.Suspend(task.Key, task.Attempt)
					case 2, 3:
						r.e.Resume(task.Key, task.Attempt)
					}
					time.Sleep(time.Duration(rng.IntN(4000)) * time.Microsecond) // spreads them over the jobs' lives
					r.e.Usage()
				}
				if i%5 == 0 {
					r.e.Stop(task.Key, task.Attempt)
				}
				r.e.Resume(task.Key, task.Attempt)
			})
		}
		wg.Go(func() { r.waitEnd(task); <-slots })
	}
	wg.Wait()
	steps := 0
	for i, task := range tasks {
		said := r.phases(task)
		steps += strings.Count(said, "resumed")
		began, still := false, false
		for n, word := range strings.Fields(said) {
			switch word {
			case "started":
				require.False(t, began, said)
				began = true
			case "suspended", "resumed":
				require.Equal(t, word == "resumed", still, said)
				still = !still
			case "ended":
				require.Equal(t, len(strings.Fields(said))-1, n, said)
			}
		}
		if u := r.ended(task); i%5 != 0 {
			require.Equal(t, job.Succeeded, u.Result.Outcome, "%s: %s", said, u.Result.Reason)
		}
	}
	require.Greater(t, steps, 10, "too little happened to call it a race")
	var after []Task
	for range 8 {
		after = append(after, r.wasm(), r.sh("echo hello"))
	}
	for _, task := range after {
		r.e.Start(task)
	}
	for _, task := range after {
		require.Equal(t, "hello\n", r.read(r.ended(task).Result.Stdout))
		require.Equal(t, "started ended", r.phases(task))
	}
}

// waitEnd does what ended does, but may be called by several goroutines: rig.news wakes only one.
func (r *rig) waitEnd(task Task) {
	for end := time.Now().Add(60 * time.Second); time.Now().Before(end); time.Sleep(2 * time.Millisecond) {
		if us := r.of(task); len(us) > 0 && us[len(us)-1].Result != nil {
			return
		}
	}
	r.t.Errorf("%s never ended: %s", task.Key, r.phases(task))
}
