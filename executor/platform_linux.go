package executor

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/urban-compute/ucp/cgroup"
	"github.com/urban-compute/ucp/job"
)

const (
	workerNice = 10
	// oomScore is added to a worker's badness: when memory runs out, the kernel kills a job rather than the
	// broker, which can run the job again.
	oomScore = "500"
	// compilerFactor times the size of a module is what a worker may use to compile it.
	compilerFactor = 32
)

// thisProgram is the file that runs, which is not what lies at its path when it was upgraded in place.
const thisProgram = "/proc/self/exe"

// enterGroups prepares a native program to be started into its control groups. leave must be called when it was started,
// on the same, locked thread.
func enterGroups(cmd *exec.Cmd, groups cgroup.Set) (leave func(), err error) {
	back, err := groups.Enter()
	if err != nil {
		return nil, err
	}
	leave = back
	if dir, ok := groups.Two(); ok {
		f, err := os.Open(dir)
		if err != nil {
			back()
			return nil, fmt.Errorf("opening a control group: %w", err)
		}
		cmd.SysProcAttr.UseCgroupFD, cmd.SysProcAttr.CgroupFD = true, int(f.Fd())
		leave = func() { back(); f.Close() }
	}
	return leave, nil
}

// dieWithParent has this process sent a signal when its parent is dead. The caller's thread must stay. A parent that
// is dead by now is noticed by bornOf, and by the end of stdin.
func dieWithParent(sig syscall.Signal) error {
	if err := unix.Prctl(unix.PR_SET_PDEATHSIG, uintptr(sig), 0, 0, 0); err != nil {
		return fmt.Errorf("asking for the parent-death signal: %w", err)
	}
	return nil
}

// bornOf reports whether a process is the parent of this one still.
func bornOf(pid int) bool { return os.Getppid() == pid }

// childAttr makes a native program die with its worker.
func childAttr() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
}

// lowerPriority lowers this process's priority for the CPU, and makes it the parent of orphans
// that its children leave behind. Linux keeps niceness per thread, so it is set for each thread; new threads
// inherit it.
func lowerPriority() error {
	return errors.Join(adoptOrphans(), eachThread(func(tid int) error { return unix.Setpriority(unix.PRIO_PROCESS, tid, workerNice) }))
}

// idlePriority lets this process run only when nothing else wants to.
func idlePriority() error {
	return eachThread(func(tid int) error {
		return unix.SchedSetAttr(tid, &unix.SchedAttr{Size: unix.SizeofSchedAttr, Policy: unix.SCHED_IDLE}, 0)
	})
}

// eachThread does something to each thread of this process; new threads inherit what is set.
func eachThread(set func(tid int) error) error {
	done := map[string]bool{}
	for again := true; again; { // until no new thread was started meanwhile by a thread that was not done yet
		again = false
		tasks, err := os.ReadDir("/proc/self/task")
		if err != nil {
			return err
		}
		for _, t := range tasks {
			tid, err := strconv.Atoi(t.Name())
			if err != nil || done[t.Name()] {
				continue
			}
			done[t.Name()], again = true, true
			if err := set(tid); err != nil && !errors.Is(err, unix.ESRCH) {
				return fmt.Errorf("the priority of a thread: %w", err)
			}
		}
	}
	return nil
}

// adoptOrphans makes this process the parent of orphans that its descendants leave behind.
func adoptOrphans() error {
	if err := unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0); err != nil {
		return fmt.Errorf("adopting orphans: %w", err)
	}
	return nil
}

// reap waits for the children that have ended, but for those that others wait for.
func reap(others func(pid int) bool) {
	if endedChild() == 0 { // the usual case costs one call
		return
	}
	self := os.Getpid()
	for _, p := range processes() {
		if p.parent == self && p.state == 'Z' && !others(p.pid) {
			_, _ = syscall.Wait4(p.pid, nil, syscall.WNOHANG, nil)
		}
	}
}

// limitOwnMemory limits the memory of this worker process as a safety net: a module's linear memory has its own
// exact limit, but its tables and its compilation cost memory too. Beyond the limit the Go runtime ends the
// process, and with it only this job. The kernel does not look at the limit when address space that was reserved before is made
// usable, as the runtime does with its heap: one large allocation may pass, and the next one ends the process, or the broker
// does that when the worker really has the memory (see account.look). A native program whose groups limit its memory inherits no
// such limit: the stacks of 200 threads count as 1.6 GB of data, of which hardly any is ever used.
func limitOwnMemory(o *order) {
	if o.Driver == job.Process && o.Groups.LimitsMemory() {
		setDataLimit(0, unix.RLIM_INFINITY)
		return
	}
	limit := uint64(workerOverhead) + uint64(max(o.Memory, 0))
	if info, err := os.Stat(o.Wasm); err == nil {
		limit += uint64(info.Size()) * compilerFactor
	}
	setDataLimit(0, limit)
}

// limitMemory limits the memory of each process of a native program, in bytes.
func limitMemory(pid int, limit int64) {
	if limit > 0 {
		setDataLimit(pid, uint64(limit))
	}
}

func setDataLimit(pid int, limit uint64) {
	var old unix.Rlimit
	if unix.Prlimit(pid, unix.RLIMIT_DATA, nil, &old) != nil {
		return
	}
	lim := unix.Rlimit{Cur: min(limit, old.Max), Max: old.Max}
	if pid != 0 {
		lim.Max = lim.Cur // a native program may not raise it again
	}
	_ = unix.Prlimit(pid, unix.RLIMIT_DATA, &lim, nil)
}

// oomKills is how many processes the kernel has killed so far for want of memory, on the whole machine; 0 where it
// does not say.
func oomKills() (n int) {
	b, err := os.ReadFile("/proc/vmstat")
	if err != nil {
		return 0
	}
	if _, text, ok := strings.Cut(string(b), "\noom_kill "); ok {
		_, _ = fmt.Sscan(text, &n)
	}
	return n
}

// endedChild returns a child that has ended and that nobody has waited for; 0 if there is none.
func endedChild() int {
	var info unix.Siginfo
	if unix.Waitid(unix.P_ALL, 0, &info, unix.WEXITED|unix.WNOHANG|unix.WNOWAIT, nil) != nil || info.Signo == 0 {
		return 0
	}
	const words = unsafe.Sizeof(uintptr(0))
	pid := (unsafe.Offsetof(info.Code) + 4 + words - 1) / words * words // what is behind the code depends on the signal
	return int(*(*int32)(unsafe.Add(unsafe.Pointer(&info), pid)))
}

// reapUntil waits for the children that have ended, until it meets one that somebody else waits for.
func reapUntil(others int) {
	for pid := endedChild(); pid != 0 && pid != others; pid = endedChild() {
		if _, err := syscall.Wait4(pid, nil, syscall.WNOHANG, nil); err != nil {
			return
		}
	}
}

// killOrphans kills and reaps the processes that the worker's children left behind outside their process group.
// The worker has adopted them because it is their nearest subreaper.
func killOrphans() {
	self := os.Getpid()
	for {
		// The usual case, in which there is none, costs one call. Of many that have ended each costs one, too.
		for more := true; more; {
			pid, err := syscall.Wait4(-1, nil, syscall.WNOHANG, nil)
			if errors.Is(err, syscall.ECHILD) {
				return
			}
			more = pid > 0
		}
		for _, p := range processes() {
			if p.parent == self {
				_ = syscall.Kill(p.pid, syscall.SIGKILL)
			}
		}
		if _, err := syscall.Wait4(-1, nil, 0, nil); errors.Is(err, syscall.ECHILD) {
			return
		}
	}
}

// process holds the fields of /proc/PID/stat that are used here.
type process struct {
	pid, parent int
	state       byte // R is running, T is stopped, ...
	threads     int
	cpuTicks    int64 // user and system time of the process and of children that it has waited for
	rssPages    int64
}

// procKnown reports whether there is a /proc to read.
func procKnown() bool {
	_, ok := readProcess(os.Getpid())
	return ok
}

// stopped reports whether, after a SIGSTOP, no thread of the process runs or will run before a SIGCONT. A thread
// in an uninterruptible wait (state D) is in the kernel and stops when it leaves it.
func (p process) stopped() bool {
	return stoppedState(p.state) && (p.threads < 2 || allThreadsStopped(p.pid))
}

func stoppedState(s byte) bool { return strings.IndexByte("TtDZXx", s) >= 0 }

// allThreadsStopped does the same for a process given by its PID, and looks at each thread: on several CPUs they
// do not stop at the same moment.
func allThreadsStopped(pid int) bool {
	dir := fmt.Sprintf("/proc/%d/task", pid)
	for _, tid := range numbers(dir) {
		if p, ok := readStat(dir, tid); ok && !stoppedState(p.state) {
			return false
		}
	}
	return true
}

// numbers lists the entries of a directory in /proc that are processes or threads. (filepath.Glob would read each
// of their directories, too.)
func numbers(dir string) []int {
	d, err := os.Open(dir)
	if err != nil {
		return nil
	}
	defer d.Close()
	names, _ := d.Readdirnames(-1) // on an error, those that could be read
	var out []int
	for _, name := range names {
		if n, err := strconv.Atoi(name); err == nil {
			out = append(out, n)
		}
	}
	return out
}

// processes lists all visible processes.
func processes() []process {
	var out []process
	for _, pid := range numbers("/proc") {
		if p, ok := readProcess(pid); ok {
			out = append(out, p)
		}
	}
	return out
}

// commandLine returns the arguments of a process as the kernel shows them, or nothing.
func commandLine(pid int) string {
	b, _ := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", pid))
	return string(b)
}

// readProcess reads the stat file of a process.
func readProcess(pid int) (process, bool) { return readStat("/proc", pid) }

// readStat parses a stat file. The name in parentheses may contain any byte.
func readStat(dir string, id int) (process, bool) {
	b, err := os.ReadFile(dir + "/" + strconv.Itoa(id) + "/stat")
	if err != nil {
		return process{}, false
	}
	end := bytes.LastIndexByte(b, ')')
	f := strings.Fields(string(b[end+1:]))
	if end < 0 || len(f) < 22 {
		return process{}, false
	}
	num := func(i int) int64 { n, _ := strconv.ParseInt(f[i], 10, 64); return n }
	return process{
		pid: id, parent: int(num(1)), state: f[0][0], threads: int(num(17)),
		cpuTicks: num(11) + num(12) + num(13) + num(14), rssPages: num(21),
	}, true
}

// ownMemory returns the memory that would come free if the process ended, in bytes: what it shares with others counts in
// proportion, and files that are mapped, which the kernel can drop, not at all. Without such figures it is what is
// resident.
func (p process) ownMemory() int64 { return p.rollup("Pss_Anon:", "Pss_Shmem:", "SwapPss:") }

// proportional returns the resident memory of a process in bytes, where what it shares with others counts in proportion.
// Without such figures it is all that is resident.
func (p process) proportional() int64 { return p.rollup("Pss:") }

// rollup adds figures of a process's memory, in bytes.
func (p process) rollup(names ...string) (sum int64) {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/smaps_rollup", p.pid))
	if err != nil {
		if errors.Is(err, fs.ErrNotExist) || errors.Is(err, unix.ESRCH) {
			return 0 // it has ended
		}
		return p.rss()
	}
	for line := range strings.Lines(string(b)) {
		for _, name := range names {
			if rest, ok := strings.CutPrefix(line, name); ok {
				var kib int64
				_, _ = fmt.Sscan(rest, &kib)
				sum += kib << 10
			}
		}
	}
	return sum
}

// newNest makes the control groups of the jobs that run from dir.
func newNest(dir string) cgroup.Nest {
	sum := sha256.Sum256([]byte(dir))
	return cgroup.NewNest(hex.EncodeToString(sum[:6]))
}

// killStrays kills the native programs whose job directory is inside dir: those of a worker that was killed,
// or of a broker that was killed together with its workers, so that no process was left to clean up. The
// programs carry the directory in their environment, wherever they have moved in the process tree.
func killStrays(dir string) {
	mark := []byte(jobDirVar + "=" + dir + string(filepath.Separator))
	for range 10 { // a program may fork while we look
		if !killMarked(mark) {
			return
		}
	}
}

func killMarked(mark []byte) (found bool) {
	for _, pid := range numbers("/proc") {
		b, err := os.ReadFile(fmt.Sprintf("/proc/%d/environ", pid))
		if err != nil || !bytes.Contains(b, mark) || pid == os.Getpid() {
			continue // not one of ours, or not readable
		}
		for kv := range bytes.SplitSeq(b, []byte{0}) {
			if bytes.HasPrefix(kv, mark) {
				found = true
				_ = syscall.Kill(pid, syscall.SIGKILL)
			}
		}
	}
	return found
}
