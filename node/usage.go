package node

import (
	"sync"
	"time"

	"github.com/urban-compute/ucp/api"
	"github.com/urban-compute/ucp/executor"
	"github.com/urban-compute/ucp/node/httpd"
)

// usage is what running jobs use, measured between one reading and the next.
type usage struct {
	mu     sync.Mutex
	at     time.Time
	last   executor.Usage
	cores  float64
	memory float64
	known  bool
}

// usageEvery bounds how often the processes are looked at.
const usageEvery = 2 * time.Second

// measurer is a runner that can tell what its jobs use.
type measurer interface{ Usage() executor.Usage }

// workerMemory returns what the workers of a runner may have of memory and have; nil where it does not tell.
func workerMemory(r Runner) *api.WorkerMemory {
	x, ok := r.(interface{ MemoryUse() executor.MemoryUse })
	if !ok {
		return nil
	}
	u := x.MemoryUse()
	if u.Room == 0 {
		return nil
	}
	return &api.WorkerMemory{
		Room: u.Room, Accounted: u.Accounted(), Limits: u.Limits, Workers: u.Workers, Idle: u.Idle,
		Loading: u.Loading, Modules: u.Modules, Resident: u.Resident,
	}
}

// moduleCache returns what compiled modules take of the disk; nil where the runner does not tell.
func moduleCache(r Runner) *api.ModuleCache {
	x, ok := r.(interface{ CacheUse() executor.CacheUse })
	if !ok {
		return nil
	}
	u := x.CacheUse()
	return &api.ModuleCache{Bytes: u.Bytes, Most: u.Most}
}

// sandbox says which walls stand around native jobs, as a runner tells; nil where it does not.
func sandbox(r Runner) *api.Sandbox {
	x, ok := r.(interface{ Sandbox() executor.Sandbox })
	if !ok {
		return nil
	}
	s := x.Sandbox()
	return &api.Sandbox{Holds: append([]string{}, s.Holds...), Missing: s.Missing}
}

// output is what an attempt writes, as a runner tells; not ok where it does not.
func output(r Runner, key, attempt string, stderr bool) (out httpd.Running, ok bool) {
	x, tells := r.(interface {
		Output(key, attempt string, stderr bool) (executor.Live, bool)
	})
	if !tells {
		return out, false
	}
	l, ok := x.Output(key, attempt, stderr)
	return httpd.Running{Open: l.Open, Over: l.Over}, ok
}

// moduleSandbox says which walls stand around WebAssembly jobs.
func moduleSandbox(r Runner) *api.Sandbox {
	x, ok := r.(interface{ AroundModules() executor.Sandbox })
	if !ok {
		return nil
	}
	s := x.AroundModules()
	return &api.Sandbox{Holds: append([]string{}, s.Holds...), Missing: s.Missing}
}

// workers returns how many processes of a runner have an attempt, and how many stand by; known is false where it does not tell.
func workers(r Runner) (busy, idle int, known bool) {
	x, ok := r.(interface{ Workers() (busy, idle int) })
	if !ok {
		return 0, 0, false
	}
	busy, idle = x.Workers()
	return busy, idle, true
}

// read returns the cores that jobs kept busy lately, and the bytes of memory that they
// hold; known is false where the system does not tell, or has not told twice yet.
func (m *usage) read(r Runner, now time.Time) (cores, memory float64, known bool) {
	x, ok := r.(measurer)
	m.mu.Lock()
	defer m.mu.Unlock()
	if !ok || now.Sub(m.at) < usageEvery && !m.at.IsZero() {
		return m.cores, m.memory, m.known
	}
	u := x.Usage()
	if m.last.Known && u.Known {
		m.cores, m.known = u.Cores(m.last), true
	}
	m.at, m.last, m.memory = now, u, float64(u.RSS)
	return m.cores, m.memory, m.known
}
