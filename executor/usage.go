package executor

import (
	"os"
	"syscall"
	"time"
)

// Usage is a measurement of the processor time and memory that the tasks use.
type Usage struct {
	// Known is false on systems without /proc; all other fields but At are then zero.
	Known bool
	// At is when the measurement was made.
	At time.Time
	// CPU is the processor time of all tasks since New, including those that have ended; it never decreases.
	// See Cores.
	CPU time.Duration
	// RSS is the resident memory of the running and suspended tasks, in bytes. Pages that processes share,
	// above all the program text of the workers, count for each of them.
	RSS int64
	// Tasks lists the running and suspended tasks, in no particular order.
	Tasks []TaskUsage
}

// Workers returns how many worker processes have an attempt, or have just started, and how many stand by.
func (e *Executor) Workers() (busy, idle int) { return e.pool.counts() }

// TaskUsage is the usage of one running or suspended task: of its worker process and all descendants of it.
type TaskUsage struct {
	Key, Attempt string // as in Task
	Suspended    bool
	// CPU is the processor time that this attempt has used; it never decreases. It includes a worker's start
	// for the worker's first task.
	CPU time.Duration
	RSS int64 // bytes of resident memory
}

// Cores returns how many CPUs the tasks kept busy on average since an earlier measurement, or 0 if that is
// not known.
func (u Usage) Cores(earlier Usage) float64 {
	if d := u.At.Sub(earlier.At); d > 0 && u.Known && earlier.Known {
		return float64(u.CPU-earlier.CPU) / float64(d)
	}
	return 0
}

// tick is the unit of CPU time in /proc: USER_HZ is 100 on every Linux platform that Go supports.
const tick = 10 * time.Millisecond

// Usage measures all tasks. It reads one file per wasm task; only if native programs run does it read the
// stat files of all processes of the machine, once, to find their descendants. It is meant to be called every
// few seconds, not for every event.
func (e *Executor) Usage() Usage {
	u := Usage{Known: procKnown(), At: time.Now()}
	if !u.Known {
		return u
	}
	e.mu.Lock()
	running := make([]*attempt, 0, len(e.tasks))
	for _, a := range e.tasks {
		running = append(running, a)
	}
	u.CPU = e.spent
	e.mu.Unlock()
	var all processTree
	for _, a := range running {
		w, ok := a.worker.get()
		if !ok {
			continue // the attempt waits for its turn, or has just ended
		}
		t := TaskUsage{Key: a.task.Key, Attempt: a.task.Attempt, Suspended: a.suspended.Load()}
		p, ok := readProcess(w.pid)
		if !ok {
			continue
		}
		cpu := p.cpu()
		t.RSS = p.rss()
		if w.native {
			if all == nil {
				all = treeOf(processes())
			}
			for _, c := range all.descendants(w.pid) {
				cpu += c.cpu()
				t.RSS += c.rss()
			}
		}
		t.CPU = a.noteCPU(cpu - w.before)
		u.CPU += t.CPU
		u.RSS += t.RSS
		u.Tasks = append(u.Tasks, t)
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	e.shown = max(e.shown, u.CPU)
	u.CPU = e.shown
	return u
}

// noteCPU records a measurement of the attempt's CPU time and returns the highest one so far: a child that
// ends between two reads of /proc is missing in one of them.
func (a *attempt) noteCPU(d time.Duration) time.Duration {
	d += time.Duration(a.earlier.Load())
	for {
		old := a.cpu.Load()
		if int64(d) <= old {
			return time.Duration(old)
		}
		if a.cpu.CompareAndSwap(old, int64(d)) {
			return d
		}
	}
}

// cpu returns the processor time of a process and of those of its children that it has waited for.
func (p process) cpu() time.Duration { return time.Duration(p.cpuTicks) * tick }

// rss returns the resident memory of a process in bytes.
func (p process) rss() int64 { return p.rssPages * int64(os.Getpagesize()) }

// processTree maps a PID to the children of that process.
type processTree map[int][]process

func treeOf(all []process) processTree {
	f := make(processTree, len(all))
	for _, p := range all {
		f[p.parent] = append(f[p.parent], p)
	}
	return f
}

// descendants lists all direct and indirect children of a process.
func (f processTree) descendants(pid int) []process {
	out := append([]process(nil), f[pid]...)
	for i := 0; i < len(out); i++ {
		out = append(out, f[out[i].pid]...)
	}
	return out
}

func ownDescendants() []process { return treeOf(processes()).descendants(os.Getpid()) }

// selfCPU returns the processor time of this process and of the children that it has waited for.
func selfCPU() time.Duration {
	var sum int64
	for _, whose := range []int{syscall.RUSAGE_SELF, syscall.RUSAGE_CHILDREN} {
		var ru syscall.Rusage
		if syscall.Getrusage(whose, &ru) == nil {
			sum += ru.Utime.Nano() + ru.Stime.Nano()
		}
	}
	return time.Duration(sum)
}
