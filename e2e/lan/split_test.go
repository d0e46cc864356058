package lan

import (
	"bufio"
	"encoding/json"
	"fmt"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/urban-compute/ucp/api"
)

// After a real split has healed, `ucp events` tells of the result that does not count, and `job get` shows it.
func TestTheResultOfTheOtherSideIsTold(t *testing.T) {
	ip := network(t, 3)
	var all []*broker
	for i := range 3 {
		all = append(all, start(t, i, t.TempDir(), "--bind", everywhere, "--retry-join", "10.77.0.11", "--allow-process",
			"--sync-interval", "500ms", "--redeploy-delay", "1s", "--isolation-delay", "1s"))
	}
	for _, b := range all[1:] {
		all[0].sees(b, fmt.Sprintf("10.77.0.%d", 11+b.machine))
	}
	at := func(machine string, line ...string) *exec.Cmd {
		cmd := exec.Command("ip", append([]string{"netns", "exec", machine, ucpBinary}, line...)...)
		cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
		return cmd
	}
	watch := func(line ...string) <-chan api.Event {
		t.Helper()
		events := at("b0", append([]string{"events", "-o", "json"}, line...)...)
		told, err := events.StdoutPipe()
		require.NoError(t, err)
		require.NoError(t, events.Start())
		seen := make(chan api.Event, 4096)
		go func() { // until the process is killed
			defer close(seen)
			for lines := bufio.NewScanner(told); lines.Scan(); {
				var e api.Event
				if json.Unmarshal(lines.Bytes(), &e) == nil {
					seen <- e
				}
			}
		}()
		t.Cleanup(func() {
			_ = events.Process.Kill()
			for range seen {
			}
			_ = events.Wait()
		})
		return seen
	}
	jobs, asOperators := watch("--kinds", "job"), watch()
	await := func(what string, seen <-chan api.Event, is func(api.Event) bool) api.Event {
		t.Helper()
		late := time.After(2 * patience)
		for {
			select {
			case e := <-seen:
				if is(e) {
					return e
				}
			case <-late:
				require.FailNow(t, "not told: "+what)
			}
		}
	}

	out, err := at("b2", "run", "--detach", "--id", "survey", "--driver", "process", "sh", "--", "-c", "sleep 25; echo done").CombinedOutput()
	require.NoError(t, err, "%s", out)
	await("that it runs", jobs, func(e api.Event) bool { return e.ID == "survey" && e.What == "running" && e.Place == "van-2" })
	ip("link set port2 down")
	moved := await("that it runs elsewhere", jobs, func(e api.Event) bool { return e.ID == "survey" && e.What == "running" && e.Place != "van-2" })
	await("that it has ended there", jobs, func(e api.Event) bool { return e.ID == "survey" && e.What == "succeeded" })
	ip("link set port2 up")
	late := await("the result of the other side", asOperators, func(e api.Event) bool { return e.ID == "survey" && e.What == "rejected" })
	require.Contains(t, []string{"van-2", moved.Place}, late.Place)
	require.Contains(t, late.Text, "survey ran twice: "+late.Place+" succeeded at ")
	for _, b := range all {
		require.Eventually(t, func() bool {
			out, _ = at("b"+b.name[4:], "job", "get", "survey").CombinedOutput()
			return strings.Contains(string(out), "Ran twice")
		}, patience, 100*time.Millisecond, "%s: %s", b.name, &out)
	}
}
