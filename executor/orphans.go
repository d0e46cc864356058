package executor

import (
	"os"
	"os/signal"
	"syscall"
)

// When a worker is killed, the programs that it had started become orphans. They pass to this process if it is the first
// one of a container or has asked for them (adoptOrphans), and are zombies until it waits for them. It waits for each by
// its PID, and never for a process that the launcher has started, whose end somebody else waits for. The launcher's
// thread does it, and therefore never while a process is being started, which is listed only after that.

// reapOrphans waits for orphans as they end, until quit is closed.
func (l *launcher) reapOrphans(quit <-chan struct{}) {
	atEnds(quit, func() {
		_ = l.do(func() { reap(func(pid int) bool { return l.children[pid] != nil }) })
	})
}

// reapOrphans waits for the orphans of a native program as they end, for as long as this process runs: each takes a process
// of those that the program may have. None is waited for while the program is being started.
func (g *childGroup) reapOrphans() {
	atEnds(nil, func() {
		g.mu.Lock()
		defer g.mu.Unlock()
		if g.id != 0 && !g.dead {
			reapUntil(g.id)
		}
	})
}

// atEnds calls look at once, and whenever children have ended, until quit is closed.
func atEnds(quit <-chan struct{}, look func()) {
	ended := make(chan os.Signal, 1)
	signal.Notify(ended, syscall.SIGCHLD)
	defer signal.Stop(ended)
	for {
		look()
		select {
		case <-ended:
		case <-quit:
			return
		}
	}
}
