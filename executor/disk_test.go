package executor

import (
	"errors"
	"os"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/urban-compute/ucp/job"
)

// A wasm job that writes more than it may is stopped there and then, and its outputs hold no more.
func TestDiskOfWasmIsLimited(t *testing.T) {
	r := newRig(t)
	task := r.wasm("fill", "out", "2000000")
	task.Spec.Disk, task.Spec.Outputs = 1<<20, []string{"out"}
	r.e.Start(task)
	u := r.ended(task)
	require.Equal(t, job.Failed, u.Result.Outcome)
	require.Equal(t, "the job wrote more than its 1 MiB of disk", u.Result.Reason)
	require.Nil(t, u.Result.ExitCode)
	require.False(t, u.Returned)
	require.EqualValues(t, 1<<20, u.Result.Outputs["out"].Size)
	require.Equal(t, "hello\n", r.read(r.run(r.wasm()).Stdout), "the worker still works")

	content, err := os.ReadFile(guest) // what is given to a job does not count
	require.NoError(t, err)
	b := strings.Repeat("x", 2<<20)
	task = r.wasm("exit", "0")
	task.Spec.Module = r.put(content)
	task.Spec.Disk, task.Spec.Inputs, task.Spec.Outputs = 1<<20, map[string]string{"in": string(r.put([]byte(b)))}, []string{"in"}
	require.Equal(t, job.Succeeded, r.run(task).Outcome)
}

// What native jobs write is measured, also in files that have no name any more.
func TestDiskOfProcessesIsLimited(t *testing.T) {
	r := newRig(t, native)
	var tasks []Task
	for _, script := range []string{
		"head -c 20000000 /dev/zero > f; sleep 1000",
		"exec 3> f; rm f; head -c 20000000 /dev/zero >&3; sleep 1000",
		"head -c 20000000 /dev/zero > $TMPDIR/f; (trap '' TERM; sleep 1000) & sleep 1000",
		"for i in 1 2 3; do mkdir d$i; done; sleep 1000",
	} {
		task := r.sh(script)
		task.Spec.Disk = 16 << 20
		tasks = append(tasks, task)
	}
	tasks[3].Spec.Disk = 2 * diskBlock
	for _, task := range tasks {
		r.e.Start(task)
	}
	for _, task := range tasks {
		u := r.ended(task)
		require.False(t, u.Returned)
		require.Contains(t, u.Result.Reason, "the job wrote more than its ")
		require.Equal(t, 128+int(syscall.SIGKILL), *u.Result.ExitCode)
	}
}

// Before the disk's reserve is touched the job that has written most is ended, and runs elsewhere; no other is.
func TestReserveOfTheDiskIsKept(t *testing.T) {
	var free atomic.Int64
	free.Store(1 << 40)
	own := t.TempDir() // a cache that gives way to the reserve
	require.NoError(t, os.CopyFS(own, os.DirFS(cache)))
	r := newRig(t, native, func(c *Config) { c.DiskReserve, c.CacheDir = 1<<30, own })
	r.e.disk.free = func() (int64, error) {
		if n := free.Load(); n >= 0 {
			return n, nil
		}
		return 0, errors.New("nobody knows")
	}
	small, large, idle := r.wasm("fill", "f", "20000000"), r.wasm("fill", "f", "40000000"), r.sh("echo filled; sleep 1000")
	for _, task := range []Task{small, large, idle} {
		r.e.Start(task)
		r.says(task, "filled")
	}
	free.Store(1<<30 + leastRoom - 1)
	u := r.ended(large)
	require.True(t, u.Returned)
	require.Contains(t, u.Result.Reason, "this broker's disk is nearly full (32 MiB more can be written, the reserve left aside), and the job had written most: ")
	require.True(t, r.ended(small).Returned, "there still is no room")
	free.Store(1 << 30)
	require.NoError(t, r.e.checkRoom(768<<20), "output may take of the reserve")
	require.ErrorIs(t, r.e.checkRoom(768<<20+1), syscall.ENOSPC)
	free.Store(256 << 20)
	require.NoError(t, r.e.checkRoom(0))
	require.ErrorIs(t, r.e.checkRoom(1), syscall.ENOSPC)
	free.Store(1 << 40)
	require.Equal(t, "started", r.phases(idle), "it has written nothing")
	free.Store(-1)
	require.NoError(t, r.e.checkRoom(1<<40))
}

// Output that would take most of the reserve is not stored: the job runs elsewhere.
func TestOutputLeavesTheReserve(t *testing.T) {
	r := newRig(t, native, func(c *Config) { c.DiskReserve, c.CacheDir = 1<<30, t.TempDir() })
	r.e.disk.free = func() (int64, error) { return 256<<20 + 5, nil }
	r.wasReturned(r.sh("echo hello"), true, "storing stdout: storing 0.005859 KiB would take too much of the disk's reserve")
	require.Equal(t, job.Succeeded, r.run(r.sh("true")).Outcome)
}
