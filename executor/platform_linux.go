package executor

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

const (
	workerNice = 10
	// oomScore is added to a worker's badness: when memory runs out the kernel
	// picks a job rather than the broker that would run it again.
	oomScore = "500"
	// workerRoom is what a worker may use beside its job: the Go runtime, and the
	// compiler, which needs many times the size of a module.
	workerRoom     = 1 << 30
	compilerFactor = 32
)

// workerAttr makes a worker die with its broker. One that runs native programs
// gets a signal that it can act on: SIGKILL would leave their children behind.
func workerAttr(native bool) *syscall.SysProcAttr {
	sig := syscall.SIGKILL
	if native {
		sig = syscall.SIGTERM
	}
	return &syscall.SysProcAttr{Setpgid: true, Pdeathsig: sig} // own group: Ctrl-C is for the broker
}

// childAttr makes a native program die with its worker.
func childAttr() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
}

// humble lowers this process's claim on the CPU and on scarce memory, and makes
// it the parent of whatever its children leave behind. Linux keeps niceness by
// thread, so each is told; new threads inherit it.
func humble() error {
	var errs []error
	if err := os.WriteFile("/proc/self/oom_score_adj", []byte(oomScore), 0); err != nil {
		errs = append(errs, err)
	}
	if err := unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0); err != nil {
		errs = append(errs, fmt.Errorf("adopting orphans: %w", err))
	}
	told := map[string]bool{}
	for again := true; again; { // until no thread was started meanwhile by one not yet told
		again = false
		tasks, err := os.ReadDir("/proc/self/task")
		if err != nil {
			return errors.Join(append(errs, err)...)
		}
		for _, t := range tasks {
			tid, err := strconv.Atoi(t.Name())
			if err != nil || told[t.Name()] {
				continue
			}
			told[t.Name()], again = true, true
			if err := unix.Setpriority(unix.PRIO_PROCESS, tid, workerNice); err != nil && !errors.Is(err, unix.ESRCH) {
				return errors.Join(append(errs, fmt.Errorf("setpriority: %w", err))...)
			}
		}
	}
	return errors.Join(errs...)
}

// limitOwnMemory bounds what this worker may take for a job, as a backstop: a
// module's linear memory has its own exact limit, but its tables, and compiling
// it, cost memory too. Beyond it the Go runtime ends the process, and with it
// only this job.
func limitOwnMemory(o *order) {
	limit := uint64(workerRoom) + uint64(max(o.Memory, 0))
	if info, err := os.Stat(o.Wasm); err == nil {
		limit += uint64(info.Size()) * compilerFactor
	}
	setDataLimit(0, limit)
}

// limitMemory bounds each process of a native program.
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

// killOrphans kills what the worker's children left behind outside their process
// group, and reaps it. The worker adopted them, being their nearest subreaper.
func killOrphans() {
	self := os.Getpid()
	for {
		// The usual case costs one call: there is nobody.
		if _, err := syscall.Wait4(-1, nil, syscall.WNOHANG, nil); errors.Is(err, syscall.ECHILD) {
			return
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

// process is a line of /proc, as far as we care.
type process struct {
	pid, parent int
	state       byte // R runs, T is stopped, ...
	threads     int
	cpuTicks    int64 // user and system, of itself and of children that it has waited for
	rssPages    int64
}

// procKnown tells whether there is a /proc to read.
func procKnown() bool {
	_, ok := readProcess(os.Getpid())
	return ok
}

// still tells whether no thread of the process runs, or will, before a SIGCONT
// that follows a SIGSTOP. One in an uninterruptible wait (D) is in the kernel and
// stops when it leaves.
func (p process) still() bool {
	return stillState(p.state) && (p.threads < 2 || standsStill(p.pid))
}

func stillState(s byte) bool { return strings.IndexByte("TtDZXx", s) >= 0 }

// standsStill tells the same of a process by its number, looking at each thread:
// on several CPUs they don't stop at once.
func standsStill(pid int) bool {
	dir := fmt.Sprintf("/proc/%d/task", pid)
	for _, tid := range numbers(dir) {
		if p, ok := readStat(dir, tid); ok && !stillState(p.state) {
			return false
		}
	}
	return true
}

// numbers lists the entries of a directory in /proc that are processes or
// threads. (filepath.Glob would read each of their directories too.)
func numbers(dir string) []int {
	d, err := os.Open(dir)
	if err != nil {
		return nil
	}
	defer d.Close()
	names, _ := d.Readdirnames(-1) // what could be read
	var out []int
	for _, name := range names {
		if n, err := strconv.Atoi(name); err == nil {
			out = append(out, n)
		}
	}
	return out
}

// processes lists all processes that can be seen.
func processes() []process {
	var out []process
	for _, pid := range numbers("/proc") {
		if p, ok := readProcess(pid); ok {
			out = append(out, p)
		}
	}
	return out
}

// readProcess reads one process's line.
func readProcess(pid int) (process, bool) { return readStat("/proc", pid) }

// readStat parses a stat file; the name in parentheses may hold anything.
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

// killStrays kills the native programs whose job's directory is in dir: those of
// a worker that was killed, or of a broker and its workers that were all killed at
// once, when nobody was left to clean up. They carry the directory in their
// environment, wherever they have moved in the tree of processes.
func killStrays(dir string) {
	mark := []byte(jobDirVar + "=" + dir + string(filepath.Separator))
	for range 10 { // one may fork while we look
		if !killMarked(mark) {
			return
		}
	}
}

func killMarked(mark []byte) (found bool) {
	for _, pid := range numbers("/proc") {
		b, err := os.ReadFile(fmt.Sprintf("/proc/%d/environ", pid))
		if err != nil || !bytes.Contains(b, mark) || pid == os.Getpid() {
			continue // somebody else's
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
