package executor

import (
	"errors"
	"fmt"
	"io"
	"math"
	"net"
	"os"
	"runtime"
	"slices"
	"sync"
	"syscall"
	"time"

	"github.com/hashicorp/go-msgpack/v2/codec"
	"golang.org/x/sys/unix"
)

// A child that is stopped between its fork and its exec stops the whole process that has forked it: the thread that
// waits in vfork can't be preempted, so that the garbage collector, and everybody with it, waits until it goes on. Therefore a
// broker does not fork. A process that does nothing else, the *spawner*, starts its workers, from descriptors that the
// broker sends over a Unix socket. What it starts is the broker's child, not the spawner's (CLONE_PARENT): the broker
// waits for it, it dies with the broker, and it outlives the spawner.
//
// The spawner's role stands ready twice. When it dies the spare one takes its place and starts the next spare one, so
// that the broker forks when its executor is made, and afterwards only if both were killed at the same moment.

const (
	// spawnWait is how long a spawner may take to start a process. It takes a millisecond unless somebody stops it, or
	// what it starts.
	spawnWait = 10 * time.Second
	// maxSpawn bounds a message between broker and spawner, in bytes, and maxSpawnFiles the descriptors that come with it.
	maxSpawn      = 16 << 10
	maxSpawnFiles = 3
)

// spawnOrder asks for a process. Its descriptors 0, 1 and 2 come with it.
type spawnOrder struct {
	Number uint64   `codec:"n"`
	Args   []string `codec:"args"`
	Apart  bool     `codec:"apart,omitempty"` // in namespaces of its own
	Fence  *fence   `codec:"fence,omitempty"` // behind which it is
}

// spawnReply answers the order of the same number.
type spawnReply struct {
	Number uint64 `codec:"n"`
	PID    int    `codec:"pid,omitempty"`
	Errno  int    `codec:"errno,omitempty"` // why there is no process; 0 if there is one
	Reason string `codec:"why,omitempty"`   // the same, where it is not the system's reason
}

// RunSpawner is the body of a spawner process, the hidden `ucp spawner` verb, which only a broker starts. It starts
// this program in the roles that it is asked for on its stdin, a Unix socket, as processes that are its parent's
// children, until the socket is closed or its parent is dead.
func RunSpawner() error {
	runtime.LockOSThread() // the parent-death signal is that of a thread
	if err := dieWithParent(syscall.SIGKILL); err != nil {
		return fmt.Errorf("spawner: %w", err)
	}
	if err := errors.Join(keepDescriptors(), keepSecrets()); err != nil {
		return fmt.Errorf("spawner: %w", err)
	}
	socket := int(os.Stdin.Fd())
	buf := make([]byte, maxSpawn)
	for {
		o, files, err := receiveOrder(socket, buf)
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return fmt.Errorf("spawner: %w; only a broker can start a spawner", err)
		}
		r := o.carryOut(files)
		for _, fd := range files {
			_ = unix.Close(int(fd))
		}
		body, err := encode(r)
		if err == nil {
			_, err = unix.SendmsgN(socket, body, nil, nil, unix.MSG_NOSIGNAL)
		}
		if err != nil {
			return fmt.Errorf("spawner: answering: %w", err)
		}
	}
}

// keepDescriptors has this process's descriptors, but for the first three, closed in whatever it starts: those with which
// the broker itself was started are not for its jobs.
func keepDescriptors() error {
	if unix.CloseRange(3, math.MaxInt32, unix.CLOSE_RANGE_CLOEXEC) == nil { // Linux 5.11
		return nil
	}
	for _, fd := range numbers("/proc/self/fd") {
		if fd > 2 {
			if _, err := unix.FcntlInt(uintptr(fd), unix.F_SETFD, unix.FD_CLOEXEC); err != nil && !errors.Is(err, unix.EBADF) {
				return fmt.Errorf("keeping descriptors from what it starts: %w", err)
			}
		}
	}
	return nil
}

// receiveOrder reads one message. Whatever it returns, the descriptors that came with it are in files.
func receiveOrder(socket int, buf []byte) (o spawnOrder, files []uintptr, err error) {
	oob := make([]byte, unix.CmsgSpace(4*maxSpawnFiles))
	var n, oobn, flags int
	for {
		n, oobn, flags, _, err = unix.Recvmsg(socket, buf, oob, unix.MSG_CMSG_CLOEXEC)
		if err != unix.EINTR {
			break
		}
	}
	switch {
	case err == unix.ECONNRESET: // the broker has closed it, and has not read all
		return o, nil, io.EOF
	case err != nil:
		return o, nil, fmt.Errorf("receiving: %w", err)
	case n == 0:
		return o, nil, io.EOF
	case flags&(unix.MSG_TRUNC|unix.MSG_CTRUNC) != 0:
		return o, nil, errors.New("a message is too long")
	}
	control, err := unix.ParseSocketControlMessage(oob[:oobn])
	for _, c := range control {
		fds, _ := unix.ParseUnixRights(&c)
		for _, fd := range fds {
			files = append(files, uintptr(fd))
		}
	}
	if err == nil {
		err = codec.NewDecoderBytes(buf[:n], msgpack()).Decode(&o)
	}
	if err == nil && len(files) != maxSpawnFiles {
		err = fmt.Errorf("%d descriptors came with a message", len(files))
	}
	return o, files, err
}

// carryOut starts the process.
func (o spawnOrder) carryOut(files []uintptr) spawnReply {
	// The parent-death signal of SysProcAttr would be sent at once: it compares the child's parent with this process.
	sys := &syscall.SysProcAttr{Setpgid: true, Cloneflags: unix.CLONE_PARENT} // own group: Ctrl-C is for the broker
	if o.Apart && o.separate(sys) {
		// Who is not dumpable has files in /proc that are root's, where the mapping of users is written. Until the child runs
		// another program it is like this process.
		_ = unix.Prctl(unix.PR_SET_DUMPABLE, 1, 0, 0, 0)
		defer func() { _ = keepSecrets() }()
	}
	r := spawnReply{Number: o.Number}
	start := func() (err error) {
		r.PID, err = syscall.ForkExec(thisProgram, append([]string{os.Args[0]}, o.Args...), &syscall.ProcAttr{
			Env: os.Environ(), Files: files, Sys: sys,
		})
		return err
	}
	var err error
	if o.Fence == nil {
		err = start()
	} else {
		err = onLostThread(func() error { // what it starts is where it is
			if err := o.Fence.enter(); err != nil {
				return fmt.Errorf("confining a worker: %w", err)
			}
			return start()
		})
	}
	var errno syscall.Errno
	if err != nil {
		r.PID, r.Errno = 0, int(syscall.EIO)
		if errors.As(err, &errno) {
			r.Errno = int(errno)
		}
		if err != errno {
			r.Reason = err.Error()
		}
	}
	return r
}

// separate has a process started in namespaces of its own, in which it may mount. Who is not root needs one of users for that, in which
// it is the user that it was.
func (o spawnOrder) separate(sys *syscall.SysProcAttr) (mapped bool) {
	sys.Cloneflags |= unix.CLONE_NEWPID | unix.CLONE_NEWNS
	if os.Geteuid() == 0 {
		return false
	}
	sys.Cloneflags |= unix.CLONE_NEWUSER
	sys.UidMappings = []syscall.SysProcIDMap{{ContainerID: os.Geteuid(), HostID: os.Geteuid(), Size: 1}}
	sys.GidMappings = []syscall.SysProcIDMap{{ContainerID: os.Getegid(), HostID: os.Getegid(), Size: 1}}
	sys.AmbientCaps = []uintptr{unix.CAP_SYS_ADMIN, unix.CAP_SETPCAP}
	return true
}

// spawner is the broker's end of a spawner process.
type spawner struct {
	proc   *os.Process
	socket *net.UnixConn
	orders uint64 // so many were sent
}

// noAnswer says that a spawner is dead, or did not answer in time.
type noAnswer struct{ error }

// Error implements error.
func (e noAnswer) Error() string {
	return "the process that starts workers did not answer: " + e.error.Error()
}

// Unwrap lets errors.Is see the cause.
func (e noAnswer) Unwrap() error { return e.error }

// start has the spawner start a process and returns its PID. Where the spawner does not answer, a process may be left
// that nobody knows: it ends when the other ends of its descriptors are closed.
func (s *spawner) start(r role, wait time.Duration) (pid int, err error) {
	s.orders++
	body, err := encode(spawnOrder{Number: s.orders, Args: r.args, Apart: r.apart, Fence: r.fence})
	if err != nil {
		return 0, err
	}
	var fds []int
	for _, f := range r.files {
		fds = append(fds, int(f.Fd()))
	}
	if err := s.socket.SetDeadline(time.Now().Add(wait)); err != nil {
		return 0, noAnswer{err}
	}
	if _, _, err := s.socket.WriteMsgUnix(body, unix.UnixRights(fds...), nil); err != nil {
		return 0, noAnswer{err}
	}
	runtime.KeepAlive(r.files)
	for buf := make([]byte, maxSpawn); ; {
		n, err := s.socket.Read(buf)
		if err == nil && n == 0 {
			err = io.EOF
		}
		var reply spawnReply
		if err == nil {
			err = codec.NewDecoderBytes(buf[:n], msgpack()).Decode(&reply)
		}
		switch {
		case err != nil:
			return 0, noAnswer{err}
		case reply.Number != s.orders: // the answer to an order that was given up
		case reply.Reason != "":
			return 0, fmt.Errorf("%s (%w)", reply.Reason, syscall.Errno(reply.Errno))
		case reply.Errno != 0:
			return 0, &os.PathError{Op: "fork/exec", Path: thisProgram, Err: syscall.Errno(reply.Errno)}
		default:
			return reply.PID, nil
		}
	}
}

// errTryAgain says that something was not started and that it is worth another try, with other descriptors.
var errTryAgain = errors.New("another one takes its place")

// spawners are the spawner processes of a launcher. Its thread alone uses them.
type spawners struct {
	first, spare *spawner      // nil when there is none
	wait         time.Duration // spawnWait, but for tests
	closing      bool
	waiting      sync.WaitGroup // for the ends of all that were started
}

// launch starts a process.
func (l *launcher) launch(r role) (*os.Process, error) {
	if err := l.haveSpawner(); err != nil {
		return nil, err
	}
	first := l.spawners.first
	proc, err := l.through(first)(r)
	if errors.As(err, new(noAnswer)) && l.dismiss(first, err) {
		err = fmt.Errorf("%w (%w)", err, errTryAgain)
	}
	return proc, err
}

func newSpawners() spawners { return spawners{wait: spawnWait} }

// haveSpawner makes sure that there is a spawner.
func (l *launcher) haveSpawner() (err error) {
	s := &l.spawners
	if s.first == nil {
		s.first, s.spare = s.spare, nil
	}
	if s.first == nil && !s.closing {
		s.first, err = l.newSpawner(l.fork)
	}
	return err
}

// haveSpare makes sure that there is a spare spawner, if possible.
func (l *launcher) haveSpare() {
	s := &l.spawners
	if s.spare != nil || s.closing || l.haveSpawner() != nil {
		return
	}
	var err error
	if s.spare, err = l.newSpawner(l.through(s.first)); err != nil {
		l.log.Warn("there is no spare process to start workers from; it is tried again with the next worker", "err", err)
	}
}

// dismiss gives up a spawner that did not answer, for the reason err, and reports whether another one can be asked.
func (l *launcher) dismiss(first *spawner, err error) bool {
	s := &l.spawners
	if !errors.Is(err, os.ErrDeadlineExceeded) { // it is dead
		s.first = nil
		_ = first.proc.Kill()
		return true
	}
	// Somebody has stopped it, or what it starts, which still is a copy of it. If the spare one works, both are ended.
	var next *spawner
	if s.spare != nil {
		next, err = l.newSpawner(l.through(s.spare))
	}
	switch {
	case next != nil:
	case l.continueStopped(first):
		l.log.Warn("the processes that start workers stood still, and are told to go on")
		return true
	default:
		l.log.Error("no process can be started", "err", err)
		return false
	}
	s.first, s.spare = s.spare, next
	for _, p := range l.copies(first) {
		if l.children[p.pid] == nil {
			_ = syscall.Kill(p.pid, syscall.SIGKILL)
		}
	}
	_ = first.proc.Kill()
	return true
}

// continueStopped has all spawners, and what still is a copy of one, go on if they are stopped, and reports whether any was: who stops
// them all must not keep this broker from work for good.
func (l *launcher) continueStopped(one *spawner) (any bool) {
	for _, p := range l.copies(one) {
		if p.state == 'T' && syscall.Kill(p.pid, syscall.SIGCONT) == nil {
			any = true
		}
	}
	return any
}

// copies returns the processes that are spawners, or a copy of one.
func (l *launcher) copies(one *spawner) []process {
	line, self := commandLine(one.proc.Pid), os.Getpid()
	return slices.DeleteFunc(processes(), func(p process) bool { return p.parent != self || commandLine(p.pid) != line })
}

// fork starts a process as a child of this one, in the usual way. It is not for a broker that serves.
func (l *launcher) fork(r role) (*os.Process, error) {
	return os.StartProcess(thisProgram, append([]string{os.Args[0]}, r.args...), &os.ProcAttr{
		Env: workerEnv(), Files: r.files, Sys: &syscall.SysProcAttr{Setpgid: true},
	})
}

// through returns a function that starts processes by a spawner.
func (l *launcher) through(s *spawner) func(role) (*os.Process, error) {
	return func(r role) (*os.Process, error) {
		pid, err := s.start(r, l.spawners.wait)
		if err != nil {
			return nil, err
		}
		return os.FindProcess(pid)
	}
}

// newSpawner starts a spawner. When it dies while it is wanted, another one takes its place.
func (l *launcher) newSpawner(start func(role) (*os.Process, error)) (*spawner, error) {
	ours, theirs, err := packetSockets()
	if err != nil {
		return nil, fmt.Errorf("making a socket: %w", err)
	}
	defer theirs.Close()
	null, err := os.OpenFile(os.DevNull, os.O_RDWR, 0)
	if err != nil {
		ours.Close()
		return nil, err
	}
	defer null.Close()
	said, err := newOutPipes(1)
	if err != nil {
		ours.Close()
		return nil, err
	}
	proc, err := start(role{args: l.args, files: []*os.File{theirs, null, said.theirs[0]}})
	if err != nil {
		ours.Close()
		said.close()
		return nil, fmt.Errorf("starting a spawner: %w", err)
	}
	s := &spawner{proc: proc, socket: ours}
	l.children[proc.Pid] = proc
	said.copy(&tailLog{log: l.log, who: "a spawner"})
	l.spawners.waiting.Go(func() {
		state, _ := proc.Wait()
		said.drain()
		_ = l.do(func() { l.lost(s, state) })
	})
	return s, nil
}

// lost says that a spawner has ended.
func (l *launcher) lost(s *spawner, state *os.ProcessState) {
	l.gone(s.proc)
	s.socket.Close()
	for _, place := range []**spawner{&l.spawners.first, &l.spawners.spare} {
		if *place == s {
			*place = nil
		}
	}
	if !l.spawners.closing {
		l.log.Warn("a process that starts workers has ended; another one takes its place", "how", fmt.Sprint(state))
		l.haveSpare()
	}
}

// endSpawners ends the spawner processes and waits for them.
func (l *launcher) endSpawners() {
	var late []*time.Timer
	told := make(chan struct{})
	if l.do(func() {
		l.spawners.closing = true
		for _, s := range []*spawner{l.spawners.first, l.spawners.spare} {
			if s != nil {
				s.socket.Close() // at which it ends
				late = append(late, time.AfterFunc(killDelay, func() { _ = s.proc.Kill() }))
			}
		}
		close(told)
	}) != nil {
		return
	}
	<-told
	l.spawners.waiting.Wait()
	for _, t := range late {
		t.Stop()
	}
}

// packetSockets makes a pair of connected sockets that keep messages apart.
func packetSockets() (ours *net.UnixConn, theirs *os.File, err error) {
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_SEQPACKET|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, nil, err
	}
	f, theirs := os.NewFile(uintptr(fds[0]), "spawner"), os.NewFile(uintptr(fds[1]), "broker")
	defer f.Close()
	c, err := net.FileConn(f)
	if err != nil {
		theirs.Close()
		return nil, nil, err
	}
	return c.(*net.UnixConn), theirs, nil
}

func encode(v any) (b []byte, err error) {
	err = codec.NewEncoderBytes(&b, msgpack()).Encode(v)
	return b, err
}
