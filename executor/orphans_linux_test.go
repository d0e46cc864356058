package executor

import (
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

// A killed worker leaves nothing behind, no zombie either: where the broker is a plain process, and where it is the first
// one of a container. The broker is another copy of the test binary here. The workers' own ends are still told apart.
func TestOrphansAreReaped(t *testing.T) {
	if role := os.Getenv(brokerVar); role != "" {
		loseWorkers(t, role == "first")
		return
	}
	// Orphans that the broker does not adopt come here, where nobody waits for them.
	require.NoError(t, unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0))
	defer func() { require.NoError(t, unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 0, 0, 0, 0)) }()
	for _, role := range []string{"plain", "first"} {
		t.Run(role, func(t *testing.T) {
			broker := anotherBroker(t, os.Args[0], role)
			if role == "first" {
				if os.Geteuid() != 0 {
					t.Skip("NOT TESTED: a broker as process 1 needs root")
				}
				broker.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWPID | syscall.CLONE_NEWNS}
			}
			out, err := broker.CombinedOutput()
			require.NoError(t, err, "%s", out)
		})
	}
}

// loseWorkers is the broker: it loses the worker of a native program with its children, again and again.
func loseWorkers(t *testing.T, first bool) {
	if first {
		require.Equal(t, 1, os.Getpid())
		require.NoError(t, syscall.Mount("none", "/", "", syscall.MS_REC|syscall.MS_PRIVATE, ""))
		require.NoError(t, syscall.Mount("proc", "/proc", "proc", 0, ""))
	}
	r := newRig(t, bare, func(c *Config) { c.AdoptOrphans = true })
	for range 2 {
		task := r.sh(background + "sleep 1000")
		r.e.Start(task)
		left := append(r.pidsOf(task), r.workerPID(task))
		require.NoError(t, syscall.Kill(r.workerPID(task), syscall.SIGKILL))
		require.Contains(t, r.ended(task).Result.Reason, "SIGKILL", "os/exec has heard how the worker ended")
		for _, pid := range left {
			require.Eventually(t, func() bool { return syscall.Kill(pid, 0) == syscall.ESRCH }, 10*time.Second, 5*time.Millisecond, "process %d is still there", pid)
		}
		require.Equal(t, "x\n", r.read(r.run(r.sh("echo x")).Stdout), "the next worker starts")
	}
}

// What a native program leaves to its worker is waited for as it ends: a program that starts daemons again and again must not run
// out of processes.
func TestOrphansOfAProgramAreReaped(t *testing.T) {
	r := newRig(t, native)
	task := r.sh("i=0; while [ $i -lt 30 ]; do (true &); i=$((i+1)); done; exec sleep 1000")
	r.e.Start(task)
	r.started(task)
	worker := r.workerPID(task)
	require.Eventually(t, func() bool {
		left := treeOf(processes()).descendants(worker)
		return len(left) == 1 && strings.HasPrefix(commandLine(left[0].pid), "sleep\x00")
	}, time.Minute, 20*time.Millisecond)
}
