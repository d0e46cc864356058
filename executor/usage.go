package executor

import (
	"os"
	"time"
)

// Usage is what a running task takes at the moment.
type Usage struct {
	Key, Attempt string
	// CPU is the time that its processes have used. A wasm job's includes what
	// its worker used for earlier ones; take differences.
	CPU time.Duration
	RSS int64 // bytes of memory in use, resident
}

// Usage tells what each running task uses, read from /proc; where there is none
// (outside Linux) it tells nothing. It scans all processes of the machine, so it
// is for a monitor's pace, not for every event.
func (e *Executor) Usage() []Usage {
	const tick = 10 * time.Millisecond // USER_HZ is 100 on every Linux that Go runs on
	e.mu.Lock()
	running := make([]*attempt, 0, len(e.tasks))
	for _, a := range e.tasks {
		running = append(running, a)
	}
	e.mu.Unlock()
	if len(running) == 0 {
		return nil
	}
	all := processes()
	var out []Usage
	for _, a := range running {
		worker, group := int(a.worker.Load()), int(a.group.Load())
		u := Usage{Key: a.task.Key, Attempt: a.task.Attempt}
		found := false
		for _, p := range all {
			if group != 0 && p.group == group || group == 0 && worker != 0 && p.pid == worker {
				found = true
				u.CPU += time.Duration(p.cpuTicks) * tick
				u.RSS += p.rssPages * int64(os.Getpagesize())
			}
		}
		if found {
			out = append(out, u)
		}
	}
	return out
}
