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
	ended := make(chan os.Signal, 1)
	signal.Notify(ended, syscall.SIGCHLD)
	defer signal.Stop(ended)
	for {
		_ = l.do(func() { reap(func(pid int) bool { return l.children[pid] != nil }) })
		select {
		case <-ended:
		case <-quit:
			return
		}
	}
}
