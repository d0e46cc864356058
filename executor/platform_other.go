//go:build !linux

package executor

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"syscall"

	"github.com/urban-compute/ucp/cgroup"
)

// Outside Linux a worker notices its broker's death only by the end of its stdin, native programs have no memory limit,
// and a worker is started by the broker itself, from whatever lies at this program's path.

func dieWithParent(syscall.Signal) error { return nil }

func bornOf(int) bool { return true }

type spawners struct{}

func newSpawners() spawners { return spawners{} }

func (l *launcher) haveSpawner() error { return nil }

func (l *launcher) haveSpare() {}

func (l *launcher) endSpawners() {}

func (l *launcher) launch(r role) (*os.Process, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, fmt.Errorf("finding this program, to start a worker from it: %w", err)
	}
	return os.StartProcess(self, append([]string{os.Args[0]}, r.args...), &os.ProcAttr{
		Env: workerEnv(), Files: r.files, Sys: &syscall.SysProcAttr{Setpgid: true},
	})
}

var errTryAgain = errors.New("")

// RunSpawner is the body of a spawner process. There is none on this system.
func RunSpawner() error { return errors.New("spawner: this system has none") }

func childAttr() *syscall.SysProcAttr { return &syscall.SysProcAttr{Setpgid: true} }

func idlePriority() error { return nil }

func killedFirst(int) error { return nil }

func filterModules() error { return errors.New("there is no filter of system calls on this system") }

func exploreHere() abilities {
	return abilities{NoLandlock: "there is none on this system", NoSeccomp: "there is none on this system"}
}

func lowerPriority() error { return nice() }

func limitOwnMemory(*order) {}

func limitMemory(int, int64) {}

func enterGroups(*exec.Cmd, cgroup.Set) (leave func(), err error) { return func() {}, nil }

func newNest(string) cgroup.Nest { return nil }

func limitProcesses(int, bool) {}

func checkProcesses() error { return nil }

func keepSecrets() error { return nil }

func forbidCores() error { return nil }

func confine() (signals bool, err error) { return false, nil }

func apart() bool { return false }

func settleApart() error { return nil }

const onlyLinux = "this system is not Linux"

func explore(string, string, UIDRange) abilities {
	return abilities{NoLandlock: onlyLinux, NoSeccomp: onlyLinux, NoSpaces: onlyLinux, NoUsers: onlyLinux}
}

func (j *jail) enter([]string, []string, int64) error { return nil }

func groupsOf([]string) []int { return nil }

func (p process) ownMemory() int64 { return p.rss() }

func (p process) proportional() int64 { return p.rss() }

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

// reapUntil has nothing to do: orphans pass to process 1.
func reapUntil(int) {}

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
