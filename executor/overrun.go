package executor

import (
	"fmt"
	"time"

	"github.com/urban-compute/ucp/job"
)

// A module's memory has an exact limit, but a module can make its worker take memory beside it: the engine's stack, for a
// recursion that goes deep, and tables. So workers of loaded modules are measured, and the job of one that has clearly more than it is
// charged is ended.

const overrunEvery = 250 * time.Millisecond // between two looks at the workers

// watch looks at the workers until quit is closed, and sleeps while no attempt is charged.
func (m *account) watch(quit <-chan struct{}) {
	looks := time.NewTicker(overrunEvery)
	looks.Stop()
	defer looks.Stop()
	for {
		select {
		case <-quit:
			return
		case <-m.begun:
			looks.Reset(overrunEvery)
		case <-looks.C:
			if !m.look() {
				looks.Stop()
			}
		}
	}
}

// look measures each worker that runs a loaded module, and tells the attempts of those that have too much. It reports whether
// anything is charged.
func (m *account) look() bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	for a, c := range m.running {
		w, here := a.worker.get()
		if !here || c.load > 0 || a.task.Spec.Driver != job.Wasm {
			continue
		}
		p, ok := readProcess(w.pid)
		if may := total([]charge{c}); ok && p.rss() > may+may/10 {
			a.tooMuch(fmt.Sprintf("memory limit %s exceeded: its worker has %s, with the stack and the tables that the module makes it have", bytesOf(c.limit), bytesOf(p.rss())), false)
		}
	}
	return len(m.running) > 0
}
