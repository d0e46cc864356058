package executor

import (
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

// A native job can neither signal nor trace nor read its broker, the broker's spawners, its own worker, or that of another
// job; also where all of them are root's, except that root's can read environments. What it has started itself it can signal
// and read.
func TestJobsLeaveTheirBrokerAlone(t *testing.T) {
	able := make(chan bool)
	go func() {
		runtime.LockOSThread() // and never lets go: the thread ends
		signals, err := confine()
		able <- signals && err == nil
	}()
	signals := <-able
	r := newRig(t, bare) // TestAttacks is for the sandbox
	other := r.sh("sleep 1000")
	r.e.Start(other)
	r.started(other)
	targets := append(r.spawnerPIDs(), os.Getpid(), r.workerPID(other))
	out := r.read(r.run(r.sh(`
try() { if "$@" > /dev/null 2>&1; then echo "can $*"; else echo "can not $*"; fi; }
sleep 1000 & own=$!
echo "parent $PPID"
for pid in $PPID ` + strings.Trim(fmt.Sprint(targets), "[]") + ` $own; do
	[ $pid = $own ] && echo "own $own"
	try dd if=/proc/$pid/mem bs=1 count=0
	try readlink /proc/$pid/fd/1
	try cat /proc/$pid/environ
	try kill -CONT $pid
	try kill -KILL $pid
done`)).Stdout)
	others, own, found := strings.Cut(out, "own ")
	require.True(t, found, out)
	require.Equal(t, 5, strings.Count(own, "\ncan "), out)
	require.NotContains(t, own, "can not")
	require.Equal(t, 5*(len(targets)+1), strings.Count(others, "\ncan "), out)
	for line := range strings.Lines(others) {
		if strings.Contains(line, "environ") && os.Geteuid() == 0 || strings.Contains(line, "kill") && !signals {
			continue
		}
		require.NotRegexp(t, "^can [^n]", line)
	}
	if !signals {
		t.Log("NOT TRIED: signals, from which only Linux 6.12 and later can keep a job")
	}
	require.Equal(t, "started", r.phases(other))
	// Where the kernel has no Landlock it is this for an ordinary user, and what such a job lacks for root's.
	dumpable, err := unix.PrctlRetInt(unix.PR_GET_DUMPABLE, 0, 0, 0, 0)
	require.NoError(t, err)
	require.Zero(t, dumpable)
	for _, pid := range targets {
		link := fmt.Sprintf("/proc/%d/fd/1", pid)
		traceless := make(chan error)
		go func() {
			runtime.LockOSThread() // and never lets go
			_ = unix.Prctl(unix.PR_CAPBSET_DROP, unix.CAP_SYS_PTRACE, 0, 0, 0)
			traceless <- exec.Command("readlink", link).Run()
		}()
		require.Error(t, <-traceless)
	}
}
