package executor

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"sync"
	"time"

	"github.com/urban-compute/ucp/job"
)

// remote is the broker's end of one worker process. Between acquire and release it belongs to one attempt, which
// alone sends to it and reads its messages.
type remote struct {
	cmd   *exec.Cmd
	link  *link
	stdin io.Closer
	tail  *tailLog

	native bool                    // it runs native programs rather than wasm
	warm   map[job.Digest]struct{} // modules that it holds; used by the attempt, or by the pool while idle
	since  time.Time               // idle since then; used by the pool
	before time.Duration           // CPU time used up to its last report; used by the attempt

	in      chan fromWorker // closed when the worker is dead; death and spent are valid from then on
	death   death
	spent   time.Duration // CPU time used in its whole life
	discard chan struct{} // closed by kill: messages are no longer read
	once    sync.Once
}

// startRemote starts a worker process and sends its setup. Its reader runs until the process is dead, and then
// removes it from the pool.
func (e *Executor) startRemote(native bool) (*remote, error) {
	r := &remote{
		native:  native,
		warm:    map[job.Digest]struct{}{},
		in:      make(chan fromWorker, 4),
		discard: make(chan struct{}),
		tail:    &tailLog{log: e.cfg.Logger},
	}
	self, err := thisProgram()
	if err != nil {
		return nil, fmt.Errorf("finding this program, to start a worker from it: %w", err)
	}
	r.cmd = exec.Command(self, e.cfg.Worker...)
	r.cmd.Args[0] = os.Args[0] // for whoever looks at the list of processes
	r.cmd.Env = workerEnv()
	r.cmd.SysProcAttr = workerAttr(native)
	r.cmd.Stderr = r.tail
	r.cmd.WaitDelay = pipeDrain
	if err := checkDescriptors(); err != nil {
		return nil, fmt.Errorf("starting a worker: %w", err)
	}
	in, err := r.cmd.StdinPipe()
	if err != nil {
		return nil, fmt.Errorf("starting a worker: %w", err)
	}
	out, err := r.cmd.StdoutPipe()
	if err != nil {
		in.Close()
		return nil, fmt.Errorf("starting a worker: %w", err)
	}
	if err := e.spawner.start(r.cmd); err != nil {
		in.Close()
		out.Close()
		return nil, fmt.Errorf("starting a worker: %w", err)
	}
	r.stdin, r.link = in, newLink(out, in)
	e.workers.Go(func() {
		r.listen()
		e.spawner.waited(r.cmd)
		e.pool.forget(r)
	})
	if err := r.send(toWorker{Setup: &setup{CacheDir: e.cfg.CacheDir, GraceMS: e.cfg.Grace.Milliseconds()}}); err != nil {
		r.kill()
		return nil, fmt.Errorf("starting a worker: %w", err)
	}
	return r, nil
}

// workerEnv passes on only the variables that are needed to find programs and files, because jobs must not
// see the rest of the broker's environment. Two threads are enough for one job and its garbage collection.
func workerEnv() []string {
	env := []string{"GOMAXPROCS=2"}
	for _, k := range []string{"PATH", "TMPDIR", "LANG", "LC_ALL", "TZ"} {
		if v, ok := os.LookupEnv(k); ok {
			env = append(env, k+"="+v)
		}
	}
	return env
}

func (r *remote) pid() int { return r.cmd.Process.Pid }

func (r *remote) send(m toWorker) error { return r.link.write(m) }

// listen passes on the worker's messages until it is dead.
func (r *remote) listen() {
	var err error
	for err == nil {
		var m fromWorker
		if err = r.link.read(&m); err != nil {
			break
		}
		select {
		case r.in <- m:
		case <-r.discard:
		}
	}
	if err != io.EOF { // it sent an invalid message
		r.kill()
	}
	_ = r.stdin.Close()
	late := time.AfterFunc(killDelay, r.kill) // in case it closed its end but does not exit
	_ = r.cmd.Wait()
	late.Stop()
	r.spent = r.cmd.ProcessState.UserTime() + r.cmd.ProcessState.SystemTime()
	r.death = deathOf(r.cmd.ProcessState, r.tail.text())
	close(r.in)
}

// kill ends the worker at once. Any goroutine may call it, any number of times.
func (r *remote) kill() {
	r.once.Do(func() {
		close(r.discard)
		_ = r.cmd.Process.Kill()
	})
}

// end ends the worker. A worker for native programs gets the given time to kill its program and the program's
// children first.
func (r *remote) end(delay time.Duration) {
	if !r.native {
		r.kill()
		return
	}
	_ = r.stdin.Close()
	late := time.AfterFunc(delay, r.kill)
	for range r.in { // until it is dead
	}
	late.Stop()
}

// killAndReport kills the worker and returns the report that it had sent before, or nil if there is none, and whether
// it had sent that its module is loaded.
func (r *remote) killAndReport() (done *report, loaded bool) {
	_ = r.cmd.Process.Kill() // not r.kill: what is in the pipe must still be read
	for m := range r.in {    // until it is dead
		loaded = loaded || m.Loaded
		if m.Done != nil {
			done = m.Done
		}
	}
	return done, loaded
}

// tailLog logs what a worker writes to its stderr, line by line, and keeps the beginning to tell why it died.
type tailLog struct {
	log  *slog.Logger
	mu   sync.Mutex
	line []byte
	kept []byte
}

const (
	maxKeptLog = 4 << 10 // bytes
	maxLogLine = 2 << 10 // bytes
)

// Write implements io.Writer.
func (t *tailLog) Write(p []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if free := maxKeptLog - len(t.kept); free > 0 { // the beginning of a crash's output says most
		t.kept = append(t.kept, p[:min(free, len(p))]...)
	}
	t.line = append(t.line, p...)
	for {
		line, rest, found := bytes.Cut(t.line, []byte("\n"))
		if !found && len(t.line) < maxLogLine {
			return len(p), nil
		}
		level := slog.LevelWarn
		if len(t.kept) == maxKeptLog { // the rest of a crash's stack traces
			level = slog.LevelDebug
		}
		t.log.Log(context.Background(), level, "a worker wrote to stderr", "line", string(line[:min(len(line), maxLogLine)]))
		t.line = append(t.line[:0], rest...)
	}
}

func (t *tailLog) text() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return string(t.kept)
}
