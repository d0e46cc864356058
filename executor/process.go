package executor

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/urban-compute/ucp/cgroup"
)

// pipeDrain bounds the wait for the last output of a program whose process group is dead: a process that left the
// group may still hold the pipe open.
const pipeDrain = 2 * time.Second

// jobDirVar is the environment variable that tells a native program its directory. The executor identifies
// its own programs by it (killStrays).
const jobDirVar = "UCP_JOB_DIR"

// childGroup is the process group of the native program that a worker runs. Its lock closes the gap between
// starting the program and knowing its group: a kill in between waits, and after a kill nothing is started.
type childGroup struct {
	mu        sync.Mutex
	changed   *sync.Cond // signals a change of what start waits for
	order     uint64     // the present order's number
	id        int        // of the process group; 0 is none
	suspended bool
	stopAsked bool // the program was, or is to be, asked to end
	dead      bool // the worker is ending; nothing may start
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
	g.order, g.suspended, g.stopAsked = order, false, false
}

var (
	errWorkerEnds   = errors.New("the worker is ending")
	errStoppedEarly = errors.New("it was stopped before it started")
)

// start starts the program. While it is suspended, start waits.
func (g *childGroup) start(cmd *exec.Cmd) error {
	g.mu.Lock()
	defer g.mu.Unlock()
	for g.suspended && !g.dead && !g.stopAsked {
		g.changed.Wait()
	}
	switch {
	case g.dead:
		return errWorkerEnds
	case g.stopAsked:
		return errStoppedEarly
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

// killOrder ends the program of an order, if that one is the present one.
func (g *childGroup) killOrder(order uint64) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.id != 0 && g.order == order {
		_ = syscall.Kill(-g.id, syscall.SIGKILL)
	}
}

// signal sends a signal to the program of an order, if that one is the present one and runs.
func (g *childGroup) signal(a *ask) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.id != 0 && g.order == a.Order && !g.stopAsked && !g.suspended {
		_ = syscall.Kill(g.id, syscall.Signal(a.Signal))
	}
}

// hold suspends or resumes the program and all processes that it has started. A program that has not started yet
// is held back. It reports whether h belongs to the present order and could be carried out.
func (g *childGroup) hold(h *hold) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	if h.Order != g.order || g.stopAsked || g.dead {
		return false
	}
	switch {
	case h.Suspend == g.suspended:
	case g.id != 0 && h.Suspend:
		stopTree(g.id)
	case g.id != 0:
		continueTree(g.id)
	}
	g.suspended = h.Suspend
	g.changed.Broadcast()
	return true
}

// askToStop asks the program to end. A stopped process handles SIGTERM only when it continues; SIGTERM is sent
// before SIGCONT, so that the job does not run on without seeing it.
func (g *childGroup) askToStop() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.stopAsked = true
	g.changed.Broadcast()
	if g.id == 0 {
		return
	}
	_ = syscall.Kill(-g.id, syscall.SIGTERM)
	if g.suspended {
		g.suspended = false
		continueTree(g.id)
	}
}

// wasAskedToStop reports whether the program of the present order was asked to end.
func (g *childGroup) wasAskedToStop() bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.stopAsked
}

// finish kills what the program left behind after its end. From then on nobody else waits for children: of two that do each
// may wait for one that the other has taken.
func (g *childGroup) finish() {
	g.killGroup()
	g.mu.Lock()
	g.id = 0
	g.mu.Unlock()
	killOrphans()
}

// kill kills the program and everything that it has started, and prevents a new start: the worker is ending.
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

// runProcess runs a native program in a process group of its own, in the job's directory, confined to its jail. Its memory limit is
// that of its groups, or without such RLIMIT_DATA (heap and private writable mappings, touched or not) of each of its processes, set right
// after its start; the broker looks at their sum (bounds).
func (w *worker) runProcess(o *order, dir *scratch) report {
	o.NeedDir = true
	if err := dir.prepare(o, 0o700); err != nil { // executable, because an input may be the program
		return unprepared(err)
	}
	if err := os.Mkdir(filepath.Join(dir.dir, tmpName), 0o700); err != nil && !(o.Again && errors.Is(err, fs.ErrExist)) {
		return returned("preparing the job's directory: " + err.Error())
	}
	if err := handOver(o, dir); err != nil {
		return returned("preparing the job's directory: " + err.Error())
	}
	kills := oomKills()
	if err := w.link.write(fromWorker{Loaded: true}); err != nil { // whatever happens from now on, it may have run
		return returned(err.Error())
	}
	p, r := w.startProgram(o, dir, o.Groups)
	if p == nil && len(o.Groups) > 0 {
		// It may be the groups: containers forbid some of the calls that they need. They are no reason not to run a job.
		o.Groups = nil
		limitOwnMemory(o) // which it inherits
		if p, r = w.startProgram(o, dir, nil); p != nil {
			w.log.Warn("a native program can't be started in its control groups, and runs without", "job", o.Name)
		}
	}
	if p == nil {
		return r
	}
	defer close(p.over)
	if !o.Groups.LimitsMemory() {
		limitMemory(p.cmd.Process.Pid, o.Memory)
	}
	limitProcesses(p.cmd.Process.Pid, o.Jail != nil && o.Jail.User != 0)
	p.pipes.copy(&dir.out, &dir.err)
	if err := w.link.write(fromWorker{Group: p.cmd.Process.Pid}); err != nil {
		w.child.killGroup()
	}
	asked := w.awaitProgram(p.cmd)
	w.child.finish()
	p.pipes.drain()
	if p.cmd.ProcessState == nil { // this worker is ending, and has killed the program and taken note of its end elsewhere (kill)
		return report{Failure: "its worker ended", Began: true, Stopped: asked, Returned: !asked}
	}
	r = processReport(p.cmd.ProcessState)
	r.Began, r.Stopped = true, asked
	if n := o.Groups.OOMKills(); n > 0 && !asked && r.Failure != "" {
		r.Failure = killedOver(o.Memory, n)
		return r
	}
	r.Returned = !asked && killedWithinLimits(p.cmd.ProcessState, o.Memory, oomKills()-kills)
	return r
}

// handOver makes a job's directories those of the user that it has of its own, if it has.
func handOver(o *order, dir *scratch) error {
	if o.Jail == nil || o.Jail.User == 0 || o.Again { // it has them already, and what it has put there is not to be trusted
		return nil
	}
	own := func(path string, _ fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		return os.Lchown(path, o.Jail.User, o.Jail.User)
	}
	if err := filepath.WalkDir(dir.root(), own); err != nil {
		return err
	}
	if o.Jail.Namespaces { // the way there is of its own, too
		return os.Lchown(filepath.Join(dir.dir, tmpName), o.Jail.User, o.Jail.User)
	}
	for _, d := range []string{dir.dir, filepath.Dir(dir.dir)} {
		if err := os.Chmod(d, 0o711); err != nil {
			return err
		}
	}
	return os.Lchown(filepath.Join(dir.dir, tmpName), o.Jail.User, o.Jail.User)
}

// nativeProgram is one that runs.
type nativeProgram struct {
	cmd   *exec.Cmd
	pipes *outPipes
	over  chan struct{} // closed when it has ended: the thread that has started it may end
}

// startProgram starts the program in control groups. If it can't, there is none and the report says why.
func (w *worker) startProgram(o *order, dir *scratch, groups cgroup.Set) (*nativeProgram, report) {
	type started struct {
		leave func()
		r     report
	}
	p := &nativeProgram{over: make(chan struct{})}
	done := make(chan started)
	// The parent-death signal is sent when the parent's thread ends, and nobody leaves a jail: the thread lives as long as the
	// program.
	go func() {
		runtime.LockOSThread()
		leave, r := w.launch(p, o, dir, groups)
		done <- started{leave, r}
		<-p.over
	}()
	s := <-done
	s.leave() // which the thread, confined, can't do by itself
	if p.cmd == nil {
		close(p.over)
		return nil, s.r
	}
	return p, report{}
}

// launch is startProgram on a thread of its own. leave must be called on another one. p.cmd is nil if nothing was started.
func (w *worker) launch(p *nativeProgram, o *order, dir *scratch, groups cgroup.Set) (leave func(), r report) {
	leave = func() {}
	cmd, files, err := command(o)
	if err != nil {
		return leave, notStarted(o.Name, dir.root(), err)
	}
	if err := p.connect(cmd, o); err != nil {
		return leave, returned(err.Error())
	}
	var confined error
	inGroups, err := enterGroups(cmd, groups)
	if err == nil {
		leave = inGroups
		if confined = w.confine(o, dir, files, groups); confined == nil {
			err = w.child.start(cmd)
		}
	}
	if confined != nil {
		p.pipes.close()
		return leave, returned("confining the program: " + confined.Error())
	}
	if err != nil {
		p.pipes.close()
		return leave, notStarted(o.Name, dir.root(), err)
	}
	p.cmd = cmd
	return leave, report{}
}

// confine puts the calling thread into the order's jail.
func (w *worker) confine(o *order, dir *scratch, files []string, groups cgroup.Set) error {
	if o.Jail == nil {
		if _, err := confine(); err != nil {
			w.log.Warn("a native program is not kept from signalling others", "job", o.Name, "err", err)
		}
		return nil
	}
	_, o.Jail.IntoGroup = groups.Two()
	if o.Stdin != "" {
		files = append(files, o.Stdin)
	}
	return o.Jail.enter([]string{dir.root(), filepath.Join(dir.dir, tmpName)}, files, o.Memory)
}

// command describes the program to start, and names what must be shown to it. Its environment holds only the job's own variables and a few that
// are set here; nothing else of the broker's environment is passed on.
func command(o *order) (cmd *exec.Cmd, files []string, err error) {
	path, search := o.Name, os.Getenv("PATH")
	if o.Jail != nil {
		search = o.Jail.searchPath(search)
		if path, files, err = o.Jail.find(o.Name); err != nil {
			return nil, nil, err
		}
	}
	cmd = exec.Command(path, o.Args...)
	cmd.Args[0] = o.Name
	dir := newScratch(o.Dir)
	cmd.Dir = dir.root()
	cmd.Env = append([]string{
		"PATH=" + search,
		"HOME=" + dir.root(),
		"TMPDIR=" + filepath.Join(dir.dir, tmpName),
	}, o.Env...) // the last of a name wins: the job may set these, but not jobDirVar
	cmd.Env = append(cmd.Env, jobDirVar+"="+dir.root())
	cmd.SysProcAttr = childAttr()
	if o.Jail != nil && o.Jail.User != 0 {
		cmd.SysProcAttr.Credential = credential(o.Jail.User, o.Jail.Groups)
	}
	return cmd, files, nil
}

func credential(user int, groups []int) *syscall.Credential {
	c := &syscall.Credential{Uid: uint32(user), Gid: uint32(user)}
	for _, g := range groups {
		c.Groups = append(c.Groups, uint32(g))
	}
	return c
}

// connect makes the pipes of a program, and opens what it reads.
func (p *nativeProgram) connect(cmd *exec.Cmd, o *order) error {
	pipes, err := newOutPipes(2)
	if err != nil {
		return fmt.Errorf("making pipes for the program's output: %w", err)
	}
	p.pipes = pipes
	var own int
	if o.Jail != nil {
		own = o.Jail.User
	}
	if own != 0 {
		for _, f := range pipes.theirs { // or it could not open /dev/stderr
			err = errors.Join(err, f.Chown(own, own))
		}
	}
	if o.Stdin != "" && err == nil {
		var f *os.File
		if f, err = os.Open(o.Stdin); err == nil {
			pipes.theirs = append(pipes.theirs, f)
			cmd.Stdin = f
		}
	}
	if err != nil {
		pipes.close()
		return fmt.Errorf("opening what the program reads and writes: %w", err)
	}
	cmd.Stdout, cmd.Stderr = pipes.theirs[0], pipes.theirs[1]
	return nil
}

// awaitProgram waits for the program itself, not for what it leaves behind. A stop has asked it to end
// (childGroup.askToStop); after the grace period, awaitProgram kills it. It reports whether the program was asked
// before it ended.
func (w *worker) awaitProgram(cmd *exec.Cmd) (asked bool) {
	done := make(chan struct{})
	go func() {
		_ = cmd.Wait()
		asked = w.child.wasAskedToStop() // read now: a program that is asked later had ended by itself
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
		<-done // SIGKILL cannot be ignored
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

// killedWithinLimits reports whether the kernel has killed a program for want of memory (it says that it has killed
// something meanwhile) that had never held as much as its own limit.
func killedWithinLimits(state *os.ProcessState, limit int64, oomKills int) bool {
	status, ok := state.Sys().(syscall.WaitStatus)
	use, known := state.SysUsage().(*syscall.Rusage)
	return ok && status.Signaled() && status.Signal() == syscall.SIGKILL && oomKills > 0 && known && use.Maxrss<<10 < limit
}

// outPipes carries what a process writes. os/exec could copy it, too, but would then wait for every process that holds
// an end of a pipe.
type outPipes struct {
	ours, theirs []*os.File
	copying      sync.WaitGroup
}

func newOutPipes(n int) (*outPipes, error) {
	p := &outPipes{}
	for range n {
		r, w, err := os.Pipe()
		if err != nil {
			p.close()
			return nil, err
		}
		p.ours, p.theirs = append(p.ours, r), append(p.theirs, w)
	}
	return p, nil
}

func (p *outPipes) copy(to ...io.Writer) {
	for _, f := range p.theirs {
		f.Close()
	}
	for i, r := range p.ours {
		p.copying.Go(func() {
			if _, err := io.Copy(to[i], r); err != nil {
				// The bytes cannot be kept, which output.close reports. Read on, so that the program does not
				// block on a full pipe meanwhile.
				_, _ = io.Copy(io.Discard, r)
			}
		})
	}
}

// drain waits for the last bytes, for at most pipeDrain.
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

// close closes all pipes of a program that was not started.
func (p *outPipes) close() {
	for _, f := range append(p.ours, p.theirs...) {
		f.Close()
	}
}
