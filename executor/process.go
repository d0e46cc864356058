package executor

import (
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// pipeDrain bounds the wait for the last output of a program whose process
// group is dead: somebody who escaped may still hold the pipe.
const pipeDrain = 2 * time.Second

// jobDirVar tells a native program its directory, and us whose program it is.
const jobDirVar = "UCP_JOB_DIR"

// childGroup is the process group of the native program that a worker runs. The
// lock closes the gap between starting the program and knowing its group: who
// wants to kill it in between waits, who has killed lets nothing start.
type childGroup struct {
	mu      sync.Mutex
	changed *sync.Cond // of what start waits for
	order   uint64     // the present one
	id      int        // 0 is none
	still   bool       // is suspended
	asked   bool       // is to end
	dead    bool
}

func newChildGroup() *childGroup {
	g := &childGroup{}
	g.changed = sync.NewCond(&g.mu)
	return g
}

// begin prepares for the next order.
func (g *childGroup) begin(order uint64) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.order, g.still, g.asked = order, false, false
}

var (
	errWorkerEnds = errors.New("the worker is ending")
	errAsked      = errors.New("it was stopped before it began")
)

// start starts the program, once it is not suspended.
func (g *childGroup) start(cmd *exec.Cmd) error {
	g.mu.Lock()
	defer g.mu.Unlock()
	for g.still && !g.dead && !g.asked {
		g.changed.Wait()
	}
	switch {
	case g.dead:
		return errWorkerEnds
	case g.asked:
		return errAsked
	}
	if err := cmd.Start(); err != nil {
		return err
	}
	g.id = cmd.Process.Pid // Setpgid made it the leader
	return nil
}

// killGroup ends the program and all of its group at once.
func (g *childGroup) killGroup() {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.id != 0 {
		_ = syscall.Kill(-g.id, syscall.SIGKILL)
	}
}

// hold makes the program and all that it has started stand still, or go on; one
// that has not begun yet is held back. It tells whether it was this order's time.
func (g *childGroup) hold(h *hold) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	if h.Order != g.order || g.asked || g.dead {
		return false
	}
	switch {
	case h.Still == g.still:
	case g.id != 0 && h.Still:
		stopTree(g.id)
	case g.id != 0:
		continueTree(g.id)
	}
	g.still = h.Still
	g.changed.Broadcast()
	return true
}

// ask tells the program to end. A stopped process sees SIGTERM only when it goes
// on; it is sent first, so that the job does not go on before it sees it.
func (g *childGroup) ask() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.asked = true
	g.changed.Broadcast()
	if g.id == 0 {
		return
	}
	_ = syscall.Kill(-g.id, syscall.SIGTERM)
	if g.still {
		g.still = false
		continueTree(g.id)
	}
}

// wasAsked reports whether the program of the present order was told to end.
func (g *childGroup) wasAsked() bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.asked
}

// finish kills what the program left behind, once it has ended by itself.
func (g *childGroup) finish() {
	g.killGroup()
	killOrphans()
	g.mu.Lock()
	g.id = 0
	g.mu.Unlock()
}

// kill ends all, for good: the worker is going.
func (g *childGroup) kill() {
	g.mu.Lock()
	running := g.id != 0
	g.dead = true
	g.changed.Broadcast()
	g.mu.Unlock()
	if running {
		g.killGroup()
		killOrphans()
	}
}

// runProcess runs a native program in a process group of its own, in the job's
// directory. Its memory limit is RLIMIT_DATA (heap and private writable
// mappings) of each of its processes, set in the first moment of its life.
func (w *worker) runProcess(o *order, dir *scratch) report {
	o.NeedDir = true
	if err := dir.prepare(o, 0o700); err != nil { // an input may be the program
		return report{Failure: "preparing the job's directory: " + err.Error()}
	}
	if err := os.Mkdir(filepath.Join(dir.dir, tmpName), 0o700); err != nil {
		return report{Failure: "preparing the job's directory: " + err.Error()}
	}
	// "Die with your parent" means the parent's thread.
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	cmd, pipes, err := command(o, dir)
	if err != nil {
		return report{Failure: err.Error()}
	}
	if err := w.child.start(cmd); err != nil {
		pipes.close()
		return report{
			Failure:   fmt.Sprintf("starting %s: %v", o.Name, err),
			Asked:     errors.Is(err, errAsked),
			Permanent: errors.Is(err, exec.ErrNotFound) || errors.Is(err, os.ErrNotExist) || errors.Is(err, os.ErrPermission),
		}
	}
	limitMemory(cmd.Process.Pid, o.Memory)
	pipes.copy(&dir.out, &dir.err)
	if err := w.link.write(fromWorker{Group: cmd.Process.Pid}); err != nil {
		w.child.killGroup()
	}
	asked := w.await(cmd)
	w.child.finish()
	pipes.drain()
	r := processReport(cmd.ProcessState)
	r.Asked = asked
	return r
}

// command describes the program; its environment is the job's alone.
func command(o *order, dir *scratch) (*exec.Cmd, *outPipes, error) {
	cmd := exec.Command(o.Name, o.Args...)
	cmd.Dir = dir.root()
	cmd.Env = append([]string{
		"PATH=" + os.Getenv("PATH"),
		"HOME=" + dir.root(),
		"TMPDIR=" + filepath.Join(dir.dir, tmpName),
	}, o.Env...) // the last of a name wins: the job may have its own, but for the next
	cmd.Env = append(cmd.Env, jobDirVar+"="+dir.root())
	cmd.SysProcAttr = childAttr()
	pipes := &outPipes{}
	if o.Stdin != "" {
		f, err := os.Open(o.Stdin)
		if err != nil {
			return nil, nil, fmt.Errorf("opening stdin: %w", err)
		}
		pipes.theirs = append(pipes.theirs, f)
		cmd.Stdin = f
	}
	for _, to := range []*io.Writer{&cmd.Stdout, &cmd.Stderr} {
		r, w, err := os.Pipe()
		if err != nil {
			pipes.close()
			return nil, nil, fmt.Errorf("making a pipe for the program's output: %w", err)
		}
		pipes.ours, pipes.theirs = append(pipes.ours, r), append(pipes.theirs, w)
		*to = w
	}
	return cmd, pipes, nil
}

// await waits for the program itself, not for what it left behind. A stop has
// asked it to end (childGroup.ask); after the grace, await insists. It tells whether the
// program was asked before it ended.
func (w *worker) await(cmd *exec.Cmd) (asked bool) {
	done := make(chan struct{})
	go func() {
		_ = cmd.Wait()
		asked = w.child.wasAsked() // now: whoever is asked later had ended by itself
		close(done)
	}()
	select {
	case <-done:
		return asked
	case <-w.stop:
	}
	select {
	case <-done:
	case <-time.After(w.grace):
		w.child.killGroup()
		<-done // SIGKILL can't be refused
	}
	return asked
}

func processReport(state *os.ProcessState) report {
	status, ok := state.Sys().(syscall.WaitStatus)
	if !ok || !status.Signaled() {
		return exited(uint32(state.ExitCode()))
	}
	code := 128 + int(status.Signal())
	reason := "killed by " + unix.SignalName(status.Signal())
	if status.Signal() == syscall.SIGKILL {
		reason += " (out of memory?)"
	}
	return report{Code: &code, Failure: reason}
}

// outPipes carries a program's stdout and stderr. os/exec could copy them too,
// but would then wait for every process that holds an end.
type outPipes struct {
	ours, theirs []*os.File
	copying      sync.WaitGroup
}

func (p *outPipes) copy(to ...io.Writer) {
	for _, f := range p.theirs {
		f.Close()
	}
	for i, r := range p.ours {
		p.copying.Go(func() {
			if _, err := io.Copy(to[i], r); err != nil {
				// The bytes can't be kept, which the output tells at its end;
				// the program must not hang on a full pipe meanwhile.
				_, _ = io.Copy(io.Discard, r)
			}
		})
	}
}

// drain waits for the last bytes, at most pipeDrain.
func (p *outPipes) drain() {
	late := time.AfterFunc(pipeDrain, func() {
		for _, r := range p.ours {
			r.Close()
		}
	})
	p.copying.Wait()
	late.Stop()
	for _, r := range p.ours {
		r.Close()
	}
}

// close ends all, for a program that was not started.
func (p *outPipes) close() {
	for _, f := range append(p.ours, p.theirs...) {
		f.Close()
	}
}
