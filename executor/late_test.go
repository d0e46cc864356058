package executor

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// A program that had ended by itself before it was told to stop has a result, also when
// the executor hears of both at once: it stood still itself, say. Rule J1 remembers it.
func TestResultFromBeforeAStopStands(t *testing.T) {
	goOn, began := make(chan struct{}), make(chan struct{}, 1)
	r := newRig(t, func(c *Config) {
		report := c.Report
		c.AllowProcess = true
		c.Report = func(u Update) {
			report(u)
			if u.Result == nil { // the attempt's goroutine waits here, deaf
				began <- struct{}{}
				select {
				case <-goOn:
				case <-t.Context().Done(): // the test has failed
				}
			}
		}
	})
	dir := t.TempDir()
	for i := range 8 {
		task := r.sh(fmt.Sprintf("touch %s/%d; exit 7", dir, i))
		r.e.Start(task)
		<-began
		worker := r.workerPID(task)
		told := filepath.Join(dir, fmt.Sprint(i))
		require.Eventually(t, func() bool { _, err := os.Stat(told); return err == nil && !hasChildren(worker) }, 10*time.Second, time.Millisecond)
		r.e.Stop(task.Key, task.Attempt)
		goOn <- struct{}{}
		u := r.ended(task)
		require.False(t, u.Stopped)
		require.EqualValues(t, 7, *u.Result.ExitCode)
		require.Equal(t, "exit code 7", u.Result.Reason)
	}
}

// hasChildren reports whether a worker runs a program at the moment.
func hasChildren(pid int) bool {
	lists, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/children", pid)) // of a thread each
	for _, path := range lists {
		if b, err := os.ReadFile(path); err == nil && len(b) > 0 {
			return true
		}
	}
	return false
}

// The last word of a worker of wasm jobs, which is killed to stop its job, is listened
// to: it may be the job's result.
func TestLastWordIsHeard(t *testing.T) {
	cmd := exec.Command("sleep", "60")
	require.NoError(t, cmd.Start())
	r := &remote{cmd: cmd, in: make(chan fromWorker, 4)}
	r.in <- fromWorker{Loaded: true}
	r.in <- fromWorker{Done: &report{Failure: "exit code 3"}}
	go func() {
		_ = cmd.Wait() // killed
		close(r.in)
	}()
	require.Equal(t, "exit code 3", r.lastWord().Failure)
	require.Nil(t, r.lastWord(), "it said it once")
}
