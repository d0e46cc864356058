package e2e

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"os"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/urban-compute/ucp/api"
	"github.com/urban-compute/ucp/job"
)

// Somebody stops the workers of two brokers at random moments as they start, also before they have begun to be workers.
// Their brokers answer all the while, and every job succeeds. The longest silence of a broker is a figure for a minute on
// a quiet machine:
//
//	UCP_STOPPED=60s go test ./e2e -count=1 -run StoppedWorkers -v
func TestStoppedWorkersDoNotStopTheirBroker(t *testing.T) {
	const pause = 5 * time.Millisecond
	lasts, most := 3*time.Second, 2*time.Second // a worker stands still for longer
	if text := os.Getenv("UCP_STOPPED"); text != "" {
		var err error
		lasts, err = time.ParseDuration(text)
		require.NoError(t, err)
		most = 100 * time.Millisecond
	}
	brokers := startCluster(t, 2, "--allow-process", "--cpu", "16.0", "--memory", "4GiB")
	control := startAgent(t, "control", t.TempDir()) // nobody's workers are stopped there: how long this machine is silent
	stop := make(chan struct{})
	var under sync.WaitGroup
	var stopped, early int
	longest := make([]time.Duration, 3)
	agents := map[int]bool{}
	for _, b := range brokers {
		agents[b.Cmd.Process.Pid] = true
		require.Equal(t, 0, b.ucp("run", "--driver", "process", "true").code, "all spawners are there")
	}
	var goOn sync.WaitGroup
	under.Go(func() {
		var earlier time.Time
		for last := newestPID(); ; {
			select {
			case <-stop:
				return
			default:
			}
			newest := newestPID()
			if newest < last {
				last = 300 // they have begun again
			}
			for ; last < newest; last++ {
				pid := last + 1
				if !agents[parentOf(pid)] || time.Since(earlier) < lasts/300 {
					continue
				}
				earlier = time.Now()
				if rand.IntN(4) == 0 {
					time.Sleep(rand.N(4 * time.Millisecond))
				}
				if syscall.Kill(pid, syscall.SIGSTOP) != nil {
					continue
				}
				stopped++
				if strings.HasSuffix(commandLine(pid), "\x00spawner\x00") {
					early++
				}
				goOn.Go(func() {
					time.Sleep(3*time.Second + rand.N(4*time.Second))
					_ = syscall.Kill(pid, []syscall.Signal{syscall.SIGCONT, syscall.SIGKILL}[rand.IntN(2)])
				})
			}
		}
	})
	for i, b := range append(brokers, control) {
		under.Go(func() {
			for last := time.Now(); ; time.Sleep(pause) {
				if err := b.client.Healthy(t.Context()); err == nil {
					longest[i] = max(longest[i], time.Since(last)-pause)
					last = time.Now()
				}
				select {
				case <-stop:
					longest[i] = max(longest[i], time.Since(last))
					return
				default:
				}
			}
		})
		under.Go(func() { // which stops all goroutines for a moment, so that one that can't be stopped is noticed
			for ; ; time.Sleep(20 * pause) {
				if metrics, err := b.client.Metrics(t.Context()); err == nil {
					metrics.Close()
				}
				select {
				case <-stop:
					return
				default:
				}
			}
		})
	}
	var jobs []string
	for end := time.Now().Add(lasts); time.Now().Before(end); time.Sleep(100 * time.Millisecond) {
		spec := job.Spec{Driver: job.Process, Command: "sleep", Args: []string{"0.3"}, Resources: job.Resources{Memory: 32 << 20}}
		s, err := brokers[len(jobs)%2].client.Submit(t.Context(), spec, api.SubmitOptions{})
		require.NoError(t, err)
		jobs = append(jobs, string(s.ID))
	}
	close(stop)
	under.Wait()
	goOn.Wait()
	t.Logf("%d workers of %d jobs were stopped, %d of them before they had begun; longest silence %v, of another broker %v", stopped, len(jobs), early, longest[:2], longest[2])
	require.NotZero(t, stopped)
	for _, id := range jobs {
		res := brokers[0].ucp("job", "wait", id)
		require.Equal(t, 0, res.code, "%s: %s%s", id, res.stdout, res.stderr)
	}
	for i, b := range brokers {
		require.Less(t, longest[i], most+longest[2], "the longest silence of %s", b.name)
	}
}

// newestPID is the PID that the kernel has given last.
func newestPID() (pid int) {
	text, _ := os.ReadFile("/proc/loadavg")
	f := strings.Fields(string(text))
	pid, _ = strconv.Atoi(f[len(f)-1])
	return pid
}

// parentOf returns the parent of a process; 0 if there is no such process.
func parentOf(pid int) (parent int) {
	text, _ := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	_, _ = fmt.Sscanf(string(text[bytes.LastIndexByte(text, ')')+1:]), " %s %d", new(string), &parent)
	return parent
}

// commandLine returns the arguments of a process as the kernel shows them.
func commandLine(pid int) string {
	text, _ := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", pid))
	return string(text)
}
