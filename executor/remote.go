package executor

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"sync"
	"time"

	"github.com/urban-compute/ucp/job"
)

// remote is the broker's end of one worker process. Between acquire and release it belongs to one attempt, which
// alone sends to it and reads its messages.
type remote struct {
	proc  *os.Process
	link  *link
	stdin io.Closer
	out   io.Closer // its stdout
	said  *outPipes // its stderr
	tail  *tailLog

	native bool                    // it runs native programs rather than wasm
	apart  bool                    // in namespaces of its own, where processes have other numbers
	warm   map[job.Digest]struct{} // modules that it holds; used by the attempt, or by the pool while idle
	code   map[job.Digest]int64    // bytes of their code that it shares with other workers
	since  time.Time               // idle since then; used by the pool
	before time.Duration           // CPU time used up to its last report; used by the attempt

	in      chan fromWorker // closed when the worker is dead; death and spent are valid from then on
	death   death
	spent   time.Duration // CPU time used in its whole life
	discard chan struct{} // closed by kill: messages are no longer read
	once    sync.Once
}

// purpose is what a worker is for.
type purpose uint8

const (
	forModules   purpose = iota
	forPrograms          // native ones
	forIdleHours         // to compile modules when the machine has nothing else to do
)

// startRemote starts a worker process and sends its setup. Its reader runs until the process is dead, and then
// removes it from the pool.
func (e *Executor) startRemote(of purpose) (*remote, error) {
	r := &remote{
		native:  of == forPrograms,
		apart:   of == forPrograms && e.apart,
		warm:    map[job.Digest]struct{}{},
		code:    map[job.Digest]int64{},
		in:      make(chan fromWorker, 4),
		discard: make(chan struct{}),
		tail:    &tailLog{log: e.cfg.Logger, who: "a worker"},
	}
	err := checkDescriptors()
	for try := 0; err == nil && r.proc == nil; try++ {
		err = r.start(e)
		if try < 2 && errors.Is(err, errTryAgain) {
			err = nil
		}
	}
	if err != nil {
		return nil, fmt.Errorf("starting a worker: %w", err)
	}
	e.workers.Go(func() {
		r.listen()
		e.launcher.waited(r.proc)
		e.pool.forget(r)
	})
	if !r.native {
		if err := killedFirst(r.pid()); err != nil {
			e.cfg.Logger.Warn("a worker is not ended first when memory runs out", "err", err)
		}
	}
	if err := r.send(toWorker{Setup: &setup{
		CacheDir: e.cfg.CacheDir, GraceMS: e.cfg.Grace.Milliseconds(), Broker: os.Getpid(), Native: r.native, Idle: of == forIdleHours,
		Filtered: e.filtered && !r.native,
	}}); err != nil {
		r.kill()
		return nil, fmt.Errorf("starting a worker: %w", err)
	}
	return r, nil
}

// start starts the process with new pipes.
func (r *remote) start(e *Executor) error {
	said, err := newOutPipes(2)
	if err != nil {
		return err
	}
	theirs, in, err := os.Pipe()
	if err != nil {
		said.close()
		return err
	}
	defer theirs.Close()
	as := role{args: e.cfg.Worker, files: append([]*os.File{theirs}, said.theirs...), apart: r.apart}
	if !r.native && e.fence != nil {
		_ = os.MkdirAll(e.cfg.CacheDir, 0o700) // which may be deleted at any time; a worker can't make it
		as.fence = e.fence
	}
	proc, err := e.launcher.start(as)
	if err != nil {
		in.Close()
		said.close()
		return err
	}
	out := said.ours[0]
	said.ours = said.ours[1:]
	said.copy(r.tail)
	r.proc, r.said, r.stdin, r.out, r.link = proc, said, in, out, newLink(out, in)
	return nil
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

func (r *remote) pid() int { return r.proc.Pid }

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
	state, err := r.proc.Wait()
	late.Stop()
	_ = r.out.Close()
	r.said.drain()
	if err == nil {
		r.spent = state.UserTime() + state.SystemTime()
		r.death = deathOf(state, r.tail.text())
	} else {
		r.death = death{"waiting for the worker's end: " + err.Error(), unknownFault}
	}
	close(r.in)
}

// kill ends the worker at once. Any goroutine may call it, any number of times.
func (r *remote) kill() {
	r.once.Do(func() {
		close(r.discard)
		_ = r.proc.Kill()
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
	_ = r.proc.Kill()     // not r.kill: what is in the pipe must still be read
	for m := range r.in { // until it is dead
		loaded = loaded || m.Loaded
		if m.Done != nil {
			done = m.Done
		}
	}
	return done, loaded
}

// tailLog logs what a process writes to its stderr, line by line, and keeps the beginning to tell why it died.
type tailLog struct {
	log  *slog.Logger
	who  string
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
		t.log.Log(context.Background(), level, t.who+" wrote to stderr", "line", string(line[:min(len(line), maxLogLine)]))
		t.line = append(t.line[:0], rest...)
	}
}

func (t *tailLog) text() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return string(t.kept)
}
