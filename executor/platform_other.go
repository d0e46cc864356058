//go:build !linux

package executor

import (
	"errors"
	"os"
	"syscall"
)

// Outside Linux a worker notices its broker's death only by the end of its stdin,
// native programs have no memory limit, and a worker is started from whatever lies at this program's path.

func thisProgram() (string, error) { return os.Executable() }

func workerAttr(bool) *syscall.SysProcAttr { return &syscall.SysProcAttr{Setpgid: true} }

func childAttr() *syscall.SysProcAttr { return &syscall.SysProcAttr{Setpgid: true} }

func lowerPriority() error { return nice() }

func limitOwnMemory(*order) {}

func limitMemory(int, int64) {}

func oomKills() int { return 0 }

func killOrphans() {
	for {
		if _, err := syscall.Wait4(-1, nil, syscall.WNOHANG, nil); err != nil && !errors.Is(err, syscall.EINTR) {
			return
		}
	}
}

func adoptOrphans() error { return nil }

func reap(func(pid int) bool) {}

func killStrays(string) {}

type process struct {
	pid, parent int
	cpuTicks    int64
	rssPages    int64
}

func procKnown() bool { return false }

func readProcess(int) (process, bool) { return process{}, false }

func (p process) stopped() bool { return true }

func allThreadsStopped(int) bool { return true }

func processes() []process { return nil }

func nice() error { return syscall.Setpriority(syscall.PRIO_PROCESS, 0, 10) }
