//go:build linux

package executor

import (
	"errors"
	"fmt"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/urban-compute/ucp/job"
)

// A job for whose worker no file descriptor is left waits for one; it does not fail, because the shortage is
// not its fault. Stopping the job ends the wait.
func TestJobWaitsForDescriptors(t *testing.T) {
	r := newRig(t, func(c *Config) { c.IdleWorkers = -1 })
	var was syscall.Rlimit
	require.NoError(t, syscall.Getrlimit(syscall.RLIMIT_NOFILE, &was))
	allow := func(n uint64) {
		require.NoError(t, syscall.Setrlimit(syscall.RLIMIT_NOFILE, &syscall.Rlimit{Cur: n, Max: was.Max}))
	}
	defer allow(was.Cur)
	allow(3) // no more descriptors can be opened
	stopped, task := r.wasm(), r.wasm()
	r.e.Start(stopped)
	r.e.Start(task)
	time.AfterFunc(100*time.Millisecond, func() { r.e.Stop(stopped.Key, stopped.Attempt) })
	require.True(t, r.ended(stopped).Stopped)
	require.Empty(t, r.of(task), "it waits")
	allow(was.Cur)
	u := r.ended(task)
	require.Equal(t, job.Succeeded, u.Result.Outcome, u.Result.Reason)
	require.Equal(t, "hello\n", r.read(u.Result.Stdout))
}

func TestScarce(t *testing.T) {
	require.True(t, scarce(fmt.Errorf("starting a worker: %w", syscall.EMFILE)))
	require.False(t, scarce(syscall.EACCES))
	require.False(t, scarce(errors.New("something else")))
	require.False(t, scarce(nil))
}
