package executor

import (
	"os"
	"syscall"
	"time"
)

// Usage is what the tasks take, measured.
type Usage struct {
	// Known is false where the system does not tell (no /proc); all else is then
	// zero.
	Known bool
	At    time.Time
	// CPU is the processor time of all tasks since New, also of those that have
	// ended; it never falls. See Cores.
	CPU time.Duration
	// RSS is the resident memory of what runs now or is suspended, in bytes. Pages
	// that processes share, above all the program text of the workers, count in
	// each of them.
	RSS   int64
	Tasks []TaskUsage // in no order
}

// TaskUsage is what one running or suspended task takes: its worker process and
// all processes below that.
type TaskUsage struct {
	Key, Attempt string
	Suspended    bool
	// CPU is what this attempt has used; it never falls. The first task of a
	// worker pays for its start too.
	CPU time.Duration
	RSS int64 // bytes
}

// Cores tells how many CPUs the tasks kept busy since an earlier measurement.
func (u Usage) Cores(earlier Usage) float64 {
	if d := u.At.Sub(earlier.At); d > 0 && u.Known && earlier.Known {
		return float64(u.CPU-earlier.CPU) / float64(d)
	}
	return 0
}

// tick is the unit of CPU time in /proc: USER_HZ is 100 on every Linux that Go
// runs on.
const tick = 10 * time.Millisecond

// Usage measures all tasks. It reads one file a wasm task; only while native
// programs run it looks at all processes of the machine, once, for their
// children. It is for a monitor's pace, not for every event.
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
	var all family
	for _, a := range running {
		w, ok := a.worker.get()
		if !ok {
			continue // waits for its turn, or has just ended
		}
		t := TaskUsage{Key: a.task.Key, Attempt: a.task.Attempt, Suspended: a.still.Load()}
		p, ok := readProcess(w.pid)
		if !ok {
			continue
		}
		cpu := p.cpu()
		t.RSS = p.rss()
		if w.native {
			if all == nil {
				all = familyOf(processes())
			}
			for _, c := range all.descendants(w.pid) {
				cpu += c.cpu()
				t.RSS += c.rss()
			}
		}
		t.CPU = a.used(cpu - w.before)
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

// used notes a measurement of the attempt's CPU time, and returns the highest so
// far: a child that ends between two reads of /proc is missing in one.
func (a *attempt) used(d time.Duration) time.Duration {
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

// cpu is a process's own time and that of its children that it has waited for.
func (p process) cpu() time.Duration { return time.Duration(p.cpuTicks) * tick }

func (p process) rss() int64 { return p.rssPages * int64(os.Getpagesize()) }

// family tells the children of a process.
type family map[int][]process

func familyOf(all []process) family {
	f := make(family, len(all))
	for _, p := range all {
		f[p.parent] = append(f[p.parent], p)
	}
	return f
}

// descendants lists all processes below one.
func (f family) descendants(pid int) []process {
	out := append([]process(nil), f[pid]...)
	for i := 0; i < len(out); i++ {
		out = append(out, f[out[i].pid]...)
	}
	return out
}

func ownDescendants() []process { return familyOf(processes()).descendants(os.Getpid()) }

// selfCPU is what this process and the children that it has waited for have used.
func selfCPU() time.Duration {
	var sum int64
	for _, who := range []int{syscall.RUSAGE_SELF, syscall.RUSAGE_CHILDREN} {
		var ru syscall.Rusage
		if syscall.Getrusage(who, &ru) == nil {
			sum += ru.Utime.Nano() + ru.Stime.Nano()
		}
	}
	return time.Duration(sum)
}
