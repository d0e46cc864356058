package executor

import (
	"os/exec"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// A program that had ended by itself before it was told to stop keeps its result, even if the executor sees
// both at once, for instance because the broker itself had been paused. Rule J1 records such a result.
func TestResultFromBeforeAStopIsKept(t *testing.T) {
	goOn, began := make(chan struct{}), make(chan struct{}, 1)
	r := newRig(t, func(c *Config) {
		report := c.Report
		c.AllowProcess = true
		c.Report = func(u Update) {
			report(u)
			if u.Result == nil && u.Phase == PhaseStarted { // the attempt's goroutine blocks here and sees nothing else
				began <- struct{}{}
				select {
				case <-goOn:
				case <-t.Context().Done(): // the test has failed
				}
			}
		}
	})
	for range 8 {
		task := r.sh("exit 7")
		r.e.Start(task)
		<-began
		pid := r.workerPID(task)
		workers := r.workers()
		worker := workers[slices.IndexFunc(workers, func(w *remote) bool { return w.pid() == pid })]
		require.Eventually(t, func() bool { return len(worker.in) == 3 }, 10*time.Second, time.Millisecond, "that it starts, its group and its report")
		r.e.Stop(task.Key, task.Attempt)
		goOn <- struct{}{}
		u := r.ended(task)
		require.False(t, u.Stopped)
		require.EqualValues(t, 7, *u.Result.ExitCode)
		require.Equal(t, "exit code 7", u.Result.Reason)
	}
}

// A wasm worker is killed to stop its job. What it had sent before is still read, because it may be the job's
// result.
func TestReportSentBeforeTheKillIsRead(t *testing.T) {
	cmd := exec.Command("sleep", "60")
	require.NoError(t, cmd.Start())
	r := &remote{proc: cmd.Process, in: make(chan fromWorker, 4)}
	r.in <- fromWorker{Loaded: true}
	r.in <- fromWorker{Done: &report{Failure: "exit code 3"}}
	go func() {
		_ = cmd.Wait() // killed
		close(r.in)
	}()
	done, loaded := r.killAndReport()
	require.Equal(t, "exit code 3", done.Failure)
	require.True(t, loaded, "the program may have run")
	done, _ = r.killAndReport()
	require.Nil(t, done, "there is only one report")
}
