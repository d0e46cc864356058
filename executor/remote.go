package executor

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/urban-compute/ucp/job"
)

// remote is the broker's end of one worker process. Between acquire and release
// it belongs to one attempt, which alone sends to it and reads its messages.
type remote struct {
	cmd   *exec.Cmd
	link  *link
	stdin io.Closer
	tail  *tailLog

	native bool                    // for native programs rather than wasm
	warm   map[job.Digest]struct{} // modules it holds; its owner's, or the pool's when idle
	since  time.Time               // idle since; the pool's
	before time.Duration           // CPU used up to its last report; its owner's

	in      chan fromWorker // closed when the worker is gone, the next two are valid then
	death   string          // why it is gone, for a person
	spent   time.Duration   // CPU used in all its life
	discard chan struct{}   // closed by kill: nobody listens any more
	once    sync.Once
}

// startRemote starts a worker process and sends its setup. Its reader runs until
// the process is dead, then calls gone.
func (e *Executor) startRemote(native bool) (*remote, error) {
	r := &remote{
		native:  native,
		warm:    map[job.Digest]struct{}{},
		in:      make(chan fromWorker, 4),
		discard: make(chan struct{}),
		tail:    &tailLog{log: e.cfg.Logger},
	}
	r.cmd = exec.Command(e.cfg.Worker[0], e.cfg.Worker[1:]...)
	r.cmd.Env = workerEnv()
	r.cmd.SysProcAttr = workerAttr(native)
	r.cmd.Stderr = r.tail
	r.cmd.WaitDelay = pipeDrain
	if err := headroom(); err != nil {
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
	if err := e.spawner.do(r.cmd.Start); err != nil {
		in.Close()
		out.Close()
		return nil, fmt.Errorf("starting a worker with %q: %w", e.cfg.Worker, err)
	}
	r.stdin, r.link = in, newLink(out, in)
	e.workers.Go(func() { r.listen(); e.pool.gone(r) })
	if err := r.send(toWorker{Setup: &setup{CacheDir: e.cfg.CacheDir, GraceMS: e.cfg.Grace.Milliseconds()}}); err != nil {
		r.kill()
		return nil, fmt.Errorf("starting a worker: %w", err)
	}
	return r, nil
}

// workerEnv passes on only what finding programs and files needs: what else is
// in the broker's environment is none of a job's business. Two threads are
// enough for one job and its garbage.
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

// listen passes on what the worker says until it is dead.
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
	// It said its last word, or nonsense.
	if err != io.EOF {
		r.kill()
	}
	_ = r.stdin.Close()
	late := time.AfterFunc(patience, r.kill) // it said so, but may not do it
	_ = r.cmd.Wait()
	late.Stop()
	r.spent = r.cmd.ProcessState.UserTime() + r.cmd.ProcessState.SystemTime()
	r.death = deathReason(r.cmd.ProcessState, r.tail.last())
	close(r.in)
}

// kill ends the worker at once. Any goroutine may call it, any number of times.
func (r *remote) kill() {
	r.once.Do(func() {
		close(r.discard)
		_ = r.cmd.Process.Kill()
	})
}

// end lets a worker of native programs kill its program and the program's
// children first, and helps after the given time.
func (r *remote) end(patience time.Duration) {
	if !r.native {
		r.kill()
		return
	}
	_ = r.stdin.Close()
	late := time.AfterFunc(patience, r.kill)
	for range r.in { // until it is dead
	}
	late.Stop()
}

// lastWord kills the worker, and returns the report of the job that it had sent before,
// if it had.
func (r *remote) lastWord() (done *report) {
	_ = r.cmd.Process.Kill() // not r.kill: what is in the pipe shall still be read
	for m := range r.in {    // until it is dead
		if m.Done != nil {
			done = m.Done
		}
	}
	return done
}

// deathReason says what a dead worker died of.
func deathReason(state *os.ProcessState, said string) string {
	memory := strings.Contains(said, "out of memory") || strings.Contains(said, "cannot allocate memory")
	status, ok := state.Sys().(syscall.WaitStatus)
	switch {
	case memory:
		return "the worker ran out of memory"
	case ok && status.Signaled() && status.Signal() == syscall.SIGKILL:
		return "the worker was killed by SIGKILL (out of memory?)"
	case ok && status.Signaled():
		return "the worker was killed by " + unix.SignalName(status.Signal())
	}
	first, _, _ := strings.Cut(said, "\n")
	if len(first) > 200 {
		first = first[:200] + "..."
	}
	if first != "" {
		first = ": " + strings.ToValidUTF8(first, "?")
	}
	return fmt.Sprintf("the worker ended unexpectedly (%s)%s", state, first)
}

// tailLog logs what a worker says on its stderr, line by line, and keeps the
// last of it to tell why the worker died.
type tailLog struct {
	log  *slog.Logger
	mu   sync.Mutex
	line []byte
	kept []byte
}

const (
	maxTail     = 4 << 10
	maxLogLines = 2 << 10 // bytes of one line
)

// Write implements io.Writer.
func (t *tailLog) Write(p []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if room := maxTail - len(t.kept); room > 0 { // the beginning of a crash says most
		t.kept = append(t.kept, p[:min(room, len(p))]...)
	}
	t.line = append(t.line, p...)
	for {
		line, rest, found := bytes.Cut(t.line, []byte("\n"))
		if !found && len(t.line) < maxLogLines {
			return len(p), nil
		}
		level := slog.LevelWarn
		if len(t.kept) == maxTail { // the rest of a crash's stack traces
			level = slog.LevelDebug
		}
		t.log.Log(context.Background(), level, "a worker says", "line", string(line[:min(len(line), maxLogLines)]))
		t.line = append(t.line[:0], rest...)
	}
}

func (t *tailLog) last() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return string(t.kept)
}
