package executor

import (
	"os"
	"os/exec"
	"os/signal"
	"syscall"
)

// When a worker is killed, the programs that it had started become orphans. They pass to this process if it is the first
// one of a container or has asked for them (adoptOrphans), and are zombies until it waits for them. It waits for each by
// its PID, and never for one of its own workers, whose end os/exec waits for.

// start starts a process whose end somebody waits for.
func (s *spawner) start(cmd *exec.Cmd) error {
	return s.do(func() error {
		err := cmd.Start() // reaping is done by the same thread, so it never sees a worker that is not yet listed
		if err == nil {
			s.children[cmd.Process.Pid] = cmd
		}
		return err
	})
}

// waited says that a process has ended and was waited for: its PID may belong to another one by now.
func (s *spawner) waited(cmd *exec.Cmd) {
	_ = s.do(func() error {
		if pid := cmd.Process.Pid; s.children[pid] == cmd {
			delete(s.children, pid)
		}
		return nil
	})
}

// reapOrphans waits for orphans as they end, until quit is closed.
func (s *spawner) reapOrphans(quit <-chan struct{}) {
	ended := make(chan os.Signal, 1)
	signal.Notify(ended, syscall.SIGCHLD)
	defer signal.Stop(ended)
	for {
		_ = s.do(func() error {
			reap(func(pid int) bool { return s.children[pid] != nil })
			return nil
		})
		select {
		case <-ended:
		case <-quit:
			return
		}
	}
}
