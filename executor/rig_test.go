package executor

import (
	"bufio"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/urban-compute/ucp/job"
)

// workerArg and spawnerArg make the test binary a worker and a spawner, otherArg another program.
const (
	workerArg  = "executor-test-worker"
	spawnerArg = "executor-test-spawner"
	otherArg   = "executor-test-other"
)

// guest is the path of the compiled program in testdata/guest. All tests share the directory cache, so that
// the guest is compiled to machine code only once.
var guest, cache string

func TestMain(m *testing.M) {
	endAtOnce()
	if len(os.Args) > 1 && os.Args[1] == workerArg {
		if len(os.Args) > 2 {
			go breakOut(os.Args[2])
		}
		if err := RunWorker(context.Background(), os.Stdin, os.Stdout); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	if len(os.Args) > 1 && os.Args[1] == spawnerArg {
		if err := RunSpawner(); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	if len(os.Args) > 1 && os.Args[1] == otherArg {
		fmt.Println("hello")
		os.Exit(3)
	}
	if shared := os.Getenv(sharedVar); shared != "" { // another broker, which uses what is there
		guest, cache = filepath.Join(shared, "guest.wasm"), filepath.Join(shared, "cache")
		os.Exit(m.Run())
	}
	tmp, err := os.MkdirTemp("", "executor-test-")
	if err != nil {
		panic(err)
	}
	guest, cache = filepath.Join(tmp, "guest.wasm"), filepath.Join(tmp, "cache")
	build := exec.Command("go", "build", "-o", guest, "./testdata/guest")
	build.Env = append(os.Environ(), "GOOS=wasip1", "GOARCH=wasm", "CGO_ENABLED=0", "GOFLAGS=")
	if out, err := build.CombinedOutput(); err != nil {
		panic(fmt.Sprintf("building the guest: %v\n%s", err, out))
	}
	if raceEnabled {
		compileGuest()
	}
	goleak.VerifyTestMain(m, goleak.Cleanup(func(code int) {
		os.RemoveAll(tmp)
		os.Exit(code)
	}))
}

// compileGuest fills the cache by a copy of these tests without the race detector, which compiles the guest in a tenth of the time.
func compileGuest() {
	test := exec.Command("go", "test", "-count=1", "-run=^TestHello$", ".")
	test.Env = append(os.Environ(), "CGO_ENABLED=0", "GOFLAGS=", sharedVar+"="+filepath.Dir(guest))
	if out, err := test.CombinedOutput(); err != nil {
		panic(fmt.Sprintf("compiling the guest: %v\n%s", err, out))
	}
}

// endAtOnce lets the processes that tests start end at once: the race detector has each wait for a second.
func endAtOnce() {
	if err := os.Setenv("GORACE", "atexit_sleep_ms=0 "+os.Getenv("GORACE")); err != nil {
		panic(err)
	}
}

// Variables of another broker: what it is to do, and the directory with the guest and the cache.
const (
	brokerVar = "EXECUTOR_TEST_BROKER"
	sharedVar = "EXECUTOR_TEST_SHARED"
)

// anotherBroker returns another copy of the test binary, which runs the present test with brokerVar set. It may be killed:
// what it leaves in its temporary directory is removed with this test's.
func anotherBroker(t *testing.T, program, what string) *exec.Cmd {
	name, _, _ := strings.Cut(t.Name(), "/")
	cmd := exec.Command(program, "-test.run=^"+name+"$", "-test.v")
	cmd.Env = append(os.Environ(), "TMPDIR="+t.TempDir(), sharedVar+"="+filepath.Dir(guest), brokerVar+"="+what)
	return cmd
}

// killBroker starts another broker, kills it when it has said which processes it has (sayPIDs), and requires that they
// all die.
func killBroker(t *testing.T, processes int) {
	broker := anotherBroker(t, os.Args[0], "until killed")
	out, err := broker.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, broker.Start())
	var said []string
	for lines := bufio.NewScanner(out); len(said) == 0; {
		require.True(t, lines.Scan(), "it ended early")
		if list, ok := strings.CutPrefix(lines.Text(), "PIDS "); ok {
			said = strings.Fields(list)
		}
	}
	require.NoError(t, broker.Process.Kill())
	_ = broker.Wait()
	require.Len(t, said, processes+1)
	r := &rig{t: t}
	for _, f := range said[1:] {
		pid, err := strconv.Atoi(f)
		require.NoError(t, err)
		r.dies(pid)
	}
	newNest(said[0]) // what it had left is removed
}

// sayPIDs tells killBroker where it is and which processes there are, and waits to be killed.
func (r *rig) sayPIDs(pids ...int) {
	_, _ = os.Stdout.WriteString("PIDS " + r.e.cfg.Dir + " " + strings.Trim(fmt.Sprintln(pids), "[]\n") + "\n")
	time.Sleep(time.Hour)
}

// diskBlobs is a blob store in a directory.
type diskBlobs struct{ dir string }

func (b diskBlobs) Dir() string { return b.dir }

func (b diskBlobs) Path(d job.Digest) (string, error) {
	p := blobFile(b.dir, d)
	_, err := os.Stat(p)
	return p, err
}

func (b diskBlobs) Put(_ context.Context, r io.Reader) (job.Blob, error) {
	all, err := io.ReadAll(r)
	if err != nil {
		return job.Blob{}, err
	}
	sum := sha256.Sum256(all)
	d := job.Digest(hex.EncodeToString(sum[:]))
	blob := job.Blob{Digest: d, Size: int64(len(all))}
	// Several jobs may put the same content while a third reads it: it is there whole, or not at all.
	f, err := os.CreateTemp(b.dir, "put-")
	if err != nil {
		return blob, err
	}
	_, err = f.Write(all)
	if err = errors.Join(err, f.Close()); err != nil {
		return blob, err
	}
	if err := os.MkdirAll(filepath.Dir(blobFile(b.dir, d)), 0o755); err != nil {
		return blob, err
	}
	return blob, os.Rename(f.Name(), blobFile(b.dir, d))
}

// rig is an executor under test, with its blobs and all its updates.
type rig struct {
	t     testing.TB
	e     *Executor
	blobs diskBlobs
	guest job.Digest

	mu      sync.Mutex
	updates []Update
	news    chan struct{}
	n       int
}

func newRig(t testing.TB, change ...func(*Config)) *rig {
	r := &rig{t: t, blobs: diskBlobs{t.TempDir()}, news: make(chan struct{}, 1)}
	cfg := Config{
		Dir: filepath.Join(t.TempDir(), "jobs"), CacheDir: cache, Blobs: r.blobs,
		Worker: []string{workerArg}, Spawner: []string{spawnerArg}, Grace: 300 * time.Millisecond,
		Logger: slog.New(slog.NewTextHandler(t.Output(), &slog.HandlerOptions{Level: slog.LevelDebug})),
		Report: func(u Update) {
			r.mu.Lock()
			r.updates = append(r.updates, u)
			r.mu.Unlock()
			select {
			case r.news <- struct{}{}:
			default:
			}
		},
	}
	for _, f := range change {
		f(&cfg)
	}
	e, err := New(cfg)
	require.NoError(t, err)
	r.e = e
	t.Cleanup(func() { require.NoError(t, e.Close()) })
	b, err := os.ReadFile(guest)
	require.NoError(t, err)
	r.guest = r.put(b)
	return r
}

func (r *rig) put(b []byte) job.Digest {
	stored, err := r.blobs.Put(context.Background(), bytes.NewReader(b))
	require.NoError(r.t, err)
	return stored.Digest
}

func (r *rig) read(b *job.Blob) string {
	if b == nil {
		return ""
	}
	all, err := os.ReadFile(blobFile(r.blobs.dir, b.Digest))
	require.NoError(r.t, err)
	require.EqualValues(r.t, len(all), b.Size)
	return string(all)
}

// wasm returns a task that runs the guest with arguments.
func (r *rig) wasm(args ...string) Task { return r.module(r.guest, args...) }

func (r *rig) module(d job.Digest, args ...string) Task {
	r.n++
	return Task{
		Key: fmt.Sprintf("job/%d", r.n), ID: job.ID(fmt.Sprintf("j%d", r.n)), Attempt: "1.a.1",
		Spec: job.Spec{Driver: job.Wasm, Module: d, Args: args, Resources: job.Resources{CPU: job.DefaultCPU, Memory: job.DefaultMemory}},
	}
}

// sh returns a task that runs a native shell script.
func (r *rig) sh(script string) Task {
	t := r.module("")
	t.Spec.Driver, t.Spec.Command, t.Spec.Args = job.Process, "sh", []string{"-c", script}
	return t
}

// await waits for the first update that fits. The guest alone takes a minute to compile under the race detector when a machine
// is loaded.
func (r *rig) await(what string, fits func(Update) bool) Update {
	deadline := time.After(3 * time.Minute)
	for {
		r.mu.Lock()
		for _, u := range r.updates {
			if fits(u) {
				r.mu.Unlock()
				return u
			}
		}
		r.mu.Unlock()
		select {
		case <-r.news:
		case <-deadline:
			require.FailNow(r.t, "no update in time", what)
		}
	}
}

// endIdle ends the idle workers, and waits until they are dead.
func (r *rig) endIdle() {
	r.e.pool.mu.Lock()
	idle := slices.Clone(r.e.pool.idle)
	r.e.pool.idle = nil
	r.e.pool.mu.Unlock()
	for _, w := range idle {
		w.kill()
		for range w.in {
		}
	}
}

// started waits until the task has started.
// refills reports whether workers that are to stand by are being started.
func (r *rig) refills() bool {
	r.e.pool.mu.Lock()
	defer r.e.pool.mu.Unlock()
	return r.e.pool.refilling
}

// standBy is how many workers stand by.
func (r *rig) standBy() int {
	r.e.pool.mu.Lock()
	defer r.e.pool.mu.Unlock()
	return len(r.e.pool.idle)
}

func (r *rig) started(t Task) {
	r.await("start of "+t.Key, func(u Update) bool {
		return u.Key == t.Key && u.Attempt == t.Attempt && u.Result == nil && u.Phase == PhaseStarted
	})
}

// phases lists the phases of a task's updates in their order, without those of loading: whether these are told depends on
// how fast the machine is.
func (r *rig) phases(t Task) string { return r.phasesWithout(t, PhaseLoading, PhaseLoaded) }

func (r *rig) phasesWithout(t Task, these ...Phase) string {
	var out []string
	for _, u := range r.of(t) {
		if u.Result != nil {
			out = append(out, "ended")
		} else if !slices.Contains(these, u.Phase) {
			out = append(out, u.Phase.String())
		}
	}
	return strings.Join(out, " ")
}

// reaches waits until a phase of a task has been reported for the nth time.
func (r *rig) reaches(t Task, p Phase, nth int) {
	r.await(fmt.Sprintf("%s of %s, time %d", p, t.Key, nth), func(u Update) bool {
		n := 0
		for _, u := range r.updates { // await holds the lock
			if u.Key == t.Key && u.Attempt == t.Attempt && u.Result == nil && u.Phase == p {
				n++
			}
		}
		return n >= nth
	})
}

func (r *rig) suspend(t Task) {
	r.e.Suspend(t.Key, t.Attempt)
	r.reaches(t, PhaseSuspended, 1)
}

func (r *rig) resume(t Task) {
	r.e.Resume(t.Key, t.Attempt)
	r.reaches(t, PhaseResumed, 1)
}

// ended waits until the task has ended.
func (r *rig) ended(t Task) Update {
	return r.await("end of "+t.Key, func(u Update) bool { return u.Key == t.Key && u.Attempt == t.Attempt && u.Result != nil })
}

func (r *rig) run(t Task) job.Result {
	r.e.Start(t)
	return *r.ended(t).Result
}

// startsAndEnds lists the updates of a task without those of loading: whether these are told depends on the machine.
func (r *rig) startsAndEnds(task Task) []Update {
	return slices.DeleteFunc(r.of(task), func(u Update) bool { return u.Phase == PhaseLoading || u.Phase == PhaseLoaded })
}

// of lists the updates of a task, in the order in which they came.
func (r *rig) of(t Task) []Update {
	r.mu.Lock()
	defer r.mu.Unlock()
	var out []Update
	for _, u := range r.updates {
		if u.Key == t.Key && u.Attempt == t.Attempt {
			out = append(out, u)
		}
	}
	return out
}

// says waits until the task has written word to its stdout.
func (r *rig) says(t Task, word string) {
	require.Eventually(r.t, func() bool {
		out, errs := r.logs(t.Key)
		if errs != nil {
			errs.Close()
		}
		if out == nil {
			return false
		}
		defer out.Close()
		b, err := io.ReadAll(out)
		return err == nil && len(b) > 0 && string(b[:min(len(b), len(word))]) == word
	}, 60*time.Second, 5*time.Millisecond, "%s never said %q", t.Key, word)
}

// logs opens what the latest attempt at a job has written to stdout and stderr so far. A file is nil while
// nothing was written to it; both are nil if no attempt runs here. The caller closes them.
func (r *rig) logs(key string) (stdout, stderr *os.File) {
	r.e.mu.Lock()
	var latest *attempt
	for id, a := range r.e.tasks {
		if id.key == key && (latest == nil || a.number > latest.number) {
			latest = a
		}
	}
	r.e.mu.Unlock()
	if latest == nil {
		return nil, nil
	}
	open := func(name string) *os.File {
		f, err := os.Open(filepath.Join(latest.dir, name))
		if err != nil {
			return nil
		}
		return f
	}
	return open(stdoutName), open(stderrName)
}
