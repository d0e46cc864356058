package executor

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/urban-compute/ucp/clock"
	"github.com/urban-compute/ucp/job"
	"github.com/urban-compute/ucp/tree"
)

// checkpointing has a task keep its directory state.
func checkpointing(t Task, every time.Duration, signal string) Task {
	t.Spec.Dirs = []string{"state"}
	t.Spec.Checkpoint = &job.Checkpointing{Paths: []string{"state/"}, Every: clock.Duration(every), Signal: signal}
	return t
}

// checkpoint waits for the nth checkpoint of a task.
func (r *rig) checkpoint(t Task, nth int) *Checkpoint {
	r.reaches(t, PhaseCheckpoint, nth)
	for _, u := range r.of(t) {
		if u.Phase != PhaseCheckpoint || u.Result != nil {
			continue
		}
		if nth--; nth == 0 {
			return u.Checkpoint
		}
	}
	return nil
}

// files are the files of a checkpoint, by path.
func (r *rig) files(c *Checkpoint) map[string]string {
	p, err := r.blobs.Path(c.Tree)
	require.NoError(r.t, err)
	b, err := os.ReadFile(p)
	require.NoError(r.t, err)
	m, err := tree.Decode(b)
	require.NoError(r.t, err)
	out := map[string]string{}
	for _, e := range m.Entries {
		if e.IsFile() {
			out[e.Path] = r.read(&job.Blob{Digest: e.Digest, Size: e.Size})
		}
	}
	return out
}

// next is the attempt that goes on from a checkpoint, as at another broker.
func next(t Task, from *Checkpoint) Task {
	t.Attempt, t.From = "2.b.1", from
	return t
}

// A program that exits with the agreed code is started again where it was; the next attempt goes on from there, its output too (rule J17).
func TestCheckpointByExitCode(t *testing.T) {
	r := newRig(t)
	task := checkpointing(r.wasm("steps", "8", "1ms", "exit"), 0, "")
	res := r.run(task)
	require.Equal(t, job.Succeeded, res.Outcome, res.Reason)
	c := r.checkpoint(task, 1)
	require.Equal(t, map[string]string{"root/state/n": "3", "stdout": "from 0 ()\nstep 1\nstep 2\nstep 3\n"}, r.files(c))
	require.Equal(t, "6", r.files(r.checkpoint(task, 2))["root/state/n"])
	require.Greater(t, r.checkpoint(task, 2).Ran, c.Ran)
	require.Equal(t, "started checkpoint checkpoint ended", r.phases(task), "it starts once")
	require.Equal(t, 3, strings.Count(r.read(res.Stdout), "from "), r.read(res.Stdout))

	again := r.run(next(task, c))
	require.Equal(t, job.Succeeded, again.Outcome, again.Reason)
	require.Regexp(t, `^from 0 \(\)\nstep 1\nstep 2\nstep 3\nfrom 3 \(\d+\.\d{3}\)\nstep 4\n`, r.read(again.Stdout))
	require.NotContains(t, r.read(again.Stdout)[30:], "step 3\n", "nothing is done twice")
	require.Greater(t, r.checkpoint(next(task, c), 1).Ran, c.Ran, "what had run before counts")
}

// The code means something only where the spec names what is to be kept, and that is there.
func TestCheckpointOfNothing(t *testing.T) {
	r := newRig(t)
	res := r.run(r.wasm("exit", "85"))
	require.Equal(t, job.ExitReason(85), res.Reason)
	task := r.wasm("exit", "85")
	task.Spec.Checkpoint = &job.Checkpointing{Paths: []string{"state/"}}
	require.Contains(t, r.run(task).Reason, "left none of state/")
}

// A checkpoint is taken each time that the job has run for as long as its spec says, while it stands still; or when the program asks for
// it by a file.
func TestCheckpointWhileItRuns(t *testing.T) {
	for name, task := range map[string]func(*rig) Task{
		"at intervals":         func(r *rig) Task { return checkpointing(r.wasm("steps", "1000000", "1ms", "none"), time.Second, "") },
		"native, at intervals": func(r *rig) Task { return checkpointing(r.sh(counting), time.Second, "") },
		"when it asks":         func(r *rig) Task { return checkpointing(r.wasm("steps", "1000000", "1ms", "file"), 0, "") },
		"native, when asked":   func(r *rig) Task { return checkpointing(r.sh(answering), time.Second, "USR1") },
		"native, by exit":      func(r *rig) Task { return checkpointing(r.sh(exiting), time.Second, "USR1") },
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, func(c *Config) { c.AllowProcess = true })
			task := task(r)
			r.e.Start(task)
			c := r.checkpoint(task, 1)
			require.NotEmpty(t, r.files(c)["root/state/n"])
			r.checkpoint(task, 2)
			r.e.StopAndKeep(task.Key, task.Attempt)
			r.ended(task)
			onwards := next(task, c)
			r.e.Start(onwards)
			r.says(onwards, "from 0 ()")
			r.checkpoint(onwards, 1)
			out, _ := r.logs(task.Key)
			if out != nil {
				defer out.Close()
				b := make([]byte, 1<<20)
				n, _ := out.Read(b)
				require.Contains(t, string(b[:n]), "from "+strings.TrimSpace(r.files(c)["root/state/n"])+" (")
			}
			r.e.Stop(onwards.Key, onwards.Attempt)
			r.ended(onwards)
		})
	}
}

// A shell that counts in state/n; one that asks for a checkpoint when it is told to; and one that exits then.
const (
	counting  = `n=$(cat state/n 2>/dev/null || echo 0); echo "from $n ($UCP_CHECKPOINT)"; while :; do n=$((n+1)); echo $n >state/m; mv state/m state/n; sleep 0.01; done`
	answering = `trap 'touch .ucp-checkpoint' USR1; ` + counting
	exiting   = `trap 'exit 85' USR1; ` + counting
)

// What an attempt that is stopped to run again has by then is its checkpoint, if any moment is as good as another: nothing is
// lost (rule J17).
func TestCheckpointOfWhatIsStopped(t *testing.T) {
	r := newRig(t)
	task := checkpointing(r.wasm("steps", "1000000", "1ms", "none"), time.Hour, "")
	r.e.Start(task)
	r.says(task, "from 0 ()\nstep 1\nstep 2\n")
	r.e.StopAndKeep(task.Key, task.Attempt)
	r.ended(task)
	require.Equal(t, "started gone checkpoint ended", r.phases(task))
	require.NotEmpty(t, r.files(r.checkpoint(task, 1))["root/state/n"])
}

// What is changed in an input that is among the paths is not given again as it was; and what holds more than a checkpoint is none.
func TestCheckpointTakesThePlaceOfInputs(t *testing.T) {
	r := newRig(t)
	task := checkpointing(r.wasm("steps", "5", "1ms", "exit"), 0, "")
	task.Spec.Inputs = map[string]string{"state/n": string(r.put([]byte("2")))}
	res := r.run(task)
	require.Contains(t, r.read(res.Stdout), "from 2 ()\nstep 3\n")
	again := r.run(next(task, r.checkpoint(task, 1)))
	require.Equal(t, job.Succeeded, again.Outcome, again.Reason)
	require.Contains(t, r.read(again.Stdout), "from 3 (")

	m := tree.Manifest{Entries: []tree.Entry{{Path: "tmp", Dir: true}}}
	text, err := m.Encode()
	require.NoError(t, err)
	odd := next(task, &Checkpoint{Tree: r.put(text), Ran: time.Second})
	odd.Attempt = "3.c.1"
	require.Contains(t, r.read(r.run(odd).Stdout), "from 2 ()\n", "from the beginning")
}

// A file that has not changed is not read again.
func TestCheckpointReadsWhatHasChanged(t *testing.T) {
	r := newRig(t)
	task := checkpointing(r.wasm("steps", "1000000", "1s", "none"), time.Second, "")
	task.Spec.Inputs = map[string]string{"state/large": string(r.put([]byte("a terrain")))}
	r.e.Start(task)
	for n := 1; ; n++ {
		r.checkpoint(task, n)
		r.e.mu.Lock()
		a := r.e.tasks[taskID{task.Key, task.Attempt}]
		r.e.mu.Unlock()
		require.NotNil(t, a)
		r.e.Suspend(task.Key, task.Attempt) // its goroutine looks no further
		r.reaches(task, PhaseSuspended, n)
		_, large := a.checkpoints.seen["root/state/large"]
		r.e.Resume(task.Key, task.Attempt)
		r.reaches(task, PhaseResumed, n)
		if large {
			break
		}
		require.Less(t, n, 20)
	}
	r.e.Stop(task.Key, task.Attempt)
	r.ended(task)
}

// What a job had written before it went on elsewhere counts against its limit there, too; what it was given does not.
func TestCheckpointCountsAsWritten(t *testing.T) {
	r := newRig(t)
	task := checkpointing(r.wasm("steps", "5", "1ms", "exit"), 0, "")
	task.Spec.Disk = 16 << 10
	task.Spec.Inputs = map[string]string{"state/given": string(r.put(make([]byte, 12<<10)))}
	res := r.run(task)
	require.Equal(t, job.Succeeded, res.Outcome, res.Reason)
	c := r.checkpoint(task, 1)
	for what, written := range map[string]int64{"little": 4 << 10, "all": 16 << 10} {
		a := &attempt{e: r.e, task: next(task, c), dir: t.TempDir()}
		if what == "all" { // as if it had been given nothing
			a.task.Spec.Inputs = nil
		}
		a.checkpoints = newCheckpointer(&a.task)
		o, err := a.order()
		require.NoError(t, err)
		require.NotContains(t, o.Inputs, "state/given")
		require.Equal(t, max(task.Spec.Disk-written, diskBlock), o.Disk, what)
	}
}

// The job's secrets stay in its environment when it is started again, and there is one UCP_CHECKPOINT, the latest.
func TestCheckpointKeepsTheEnvironment(t *testing.T) {
	a := &attempt{task: checkpointing(Task{Attempt: "1.a.1"}, 0, "")}
	env := a.goingOn(a.goingOn([]string{"UCP_ATTEMPT=1.a.1", "TOKEN=secret"}, time.Second), 2*time.Second)
	require.Equal(t, []string{"UCP_ATTEMPT=1.a.1", "TOKEN=secret", "UCP_CHECKPOINT=2.000"}, env)
}

// What is cut says so once, however often the program is started.
func TestCutOutputSaysSoOnce(t *testing.T) {
	file := filepath.Join(t.TempDir(), stdoutName)
	for range 3 {
		o := output{path: file, mkdir: func() error { return nil }, goesOn: true}
		_, err := o.Write(make([]byte, job.MaxOutput+1))
		require.NoError(t, err)
		require.NoError(t, o.close())
	}
	b, err := os.ReadFile(file)
	require.NoError(t, err)
	require.Equal(t, 1, bytes.Count(b, []byte("[ucp: cut after")))
}

// Files of a native program that runs are read each time: it may have mapped them, and what it writes then changes no time.
func TestCheckpointOfMappedFiles(t *testing.T) {
	r := newRig(t)
	dir := t.TempDir()
	require.NoError(t, os.MkdirAll(filepath.Join(dir, rootName, "state"), 0o700))
	a := &attempt{e: r.e, task: checkpointing(Task{}, 0, ""), dir: dir}
	file, err := os.OpenFile(filepath.Join(dir, rootName, "state", "n"), os.O_CREATE|os.O_RDWR, 0o600)
	require.NoError(t, err)
	defer file.Close()
	require.NoError(t, file.Truncate(4096))
	mapped, err := syscall.Mmap(int(file.Fd()), 0, 4096, syscall.PROT_READ|syscall.PROT_WRITE, syscall.MAP_SHARED)
	require.NoError(t, err)
	defer func() { require.NoError(t, syscall.Munmap(mapped)) }()
	a.checkpoints = newCheckpointer(&a.task)
	digest := func() job.Digest {
		k := &copier{a: a, abort: func() error { return nil }, mapped: true, now: time.Now().Add(2 * settledAfter), found: map[string]bool{}}
		m, err := k.copy()
		require.NoError(t, err)
		return m.Find("root/state/n").Digest
	}
	mapped[0] = 1
	one := digest()
	mapped[0] = 2
	require.NotEqual(t, one, digest())
}

// A checkpoint that is due and can't be taken is told, and the job goes on.
func TestCheckpointThatCannotBeTaken(t *testing.T) {
	r := newRig(t, func(c *Config) { c.AllowProcess = true })
	task := checkpointing(r.sh(`mkfifo state/pipe; while :; do sleep 0.1; done`), time.Second, "")
	r.e.Start(task)
	r.reaches(task, PhaseCheckpoint, 1)
	for _, u := range r.of(task) {
		if u.Phase == PhaseCheckpoint && u.Result == nil {
			require.Nil(t, u.Checkpoint)
			require.Contains(t, u.Problem, "pipe")
		}
	}
	r.e.Stop(task.Key, task.Attempt)
	r.ended(task)
}

// Checkpoints leave the reserve of the disk alone, and room for the jobs above it: the job goes on without, or elsewhere if it had ended for one.
func TestCheckpointLeavesTheReserve(t *testing.T) {
	r := newRig(t, func(c *Config) { c.AllowProcess, c.DiskReserve = true, 1<<30 })
	var free atomic.Int64
	free.Store(4 << 30)
	r.e.disk.free = func() (int64, error) { return free.Load(), nil }
	task := checkpointing(r.sh(counting), time.Second, "")
	r.e.Start(task)
	r.checkpoint(task, 1)
	free.Store(1<<30 + 2*leastRoom)
	r.reaches(task, PhaseCheckpoint, 2)
	updates := r.of(task)
	last := updates[len(updates)-1]
	require.Equal(t, PhaseCheckpoint, last.Phase)
	require.Nil(t, last.Checkpoint)
	require.Contains(t, last.Problem, "disk is nearly full: 64 MiB more can be written")
	r.e.Stop(task.Key, task.Attempt)
	r.ended(task)

	free.Store(1<<30 + leastRoom)
	res := r.run(checkpointing(r.sh(`exit 85`), 0, ""))
	require.Contains(t, res.Reason, "disk is nearly full")
}
