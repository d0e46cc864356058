package e2e

import (
	"bufio"
	"bytes"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// The stock serf command line works against every broker.
func TestStockCommandLine(t *testing.T) {
	brokers := startCluster(t, 3)
	require.Equal(t, 0, brokers[1].ucp("run", "--id", "j1", guestModule, "--", "sleep", "1ms").code)
	for _, a := range brokers {
		r := a.serf("members")
		require.Equal(t, 0, r.code, r.stderr)
		require.Equal(t, 3, strings.Count(r.stdout, "alive"), r.stdout)
		require.Contains(t, a.serf("info").stdout, "event_time")
		for query, says := range map[string]string{"ucp:status": `"healthy":2`, "ucp:metadata": `"capacity"`, "ucp:load": `"usage"`} {
			r = a.serf("query", "-timeout=1s", query)
			require.Equal(t, 3, strings.Count(r.stdout, says), r.stdout+r.stderr)
		}
		r = run(t, nil, serfBinary, "query", "-rpc-addr="+a.rpc, "-timeout=1s", "ucp:job", "j1")
		require.Equal(t, 3, strings.Count(r.stdout, `"state":"succeeded"`), r.stdout+r.stderr)
		require.Equal(t, 0, a.serf("event", "hello", "world").code)
		eventually(t, 20*time.Second, "coordinates are known", func() bool { return a.serf("rtt", "a", "b").code == 0 })
	}
}

// `serf monitor` shows what happens in the pool.
func TestStockMonitor(t *testing.T) {
	a := startCluster(t, 1)[0]
	cmd := exec.Command(serfBinary, "monitor", "-rpc-addr="+a.rpc, "-log-level=debug")
	out, err := cmd.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, cmd.Start())
	defer func() {
		_ = cmd.Process.Kill() // it only ends so
		_ = cmd.Wait()
	}()
	seen := make(chan struct{})
	go func() {
		defer close(seen)
		for s := bufio.NewScanner(out); s.Scan(); {
			if strings.Contains(s.Text(), "flood-drill") {
				return
			}
		}
	}()
	eventually(t, 20*time.Second, "monitor shows an event", func() bool {
		a.serf("event", "flood-drill")
		select {
		case <-seen:
			return true
		default:
			return false
		}
	})
}

// A stock serf agent joins the same cluster, and no broker reports an error (rule I2).
func TestStockAgentIsWelcome(t *testing.T) {
	brokers := startCluster(t, 2)
	var log bytes.Buffer
	cmd := exec.Command(serfBinary, "agent", "-node=stock", "-bind=127.0.0.1:"+freePort(t), "-rpc-addr=127.0.0.1:"+freePort(t), "-join="+brokers[0].gossip)
	cmd.Stdout, cmd.Stderr = &log, &log
	require.NoError(t, cmd.Start())
	stop := func() {
		_ = cmd.Process.Signal(syscall.SIGINT)
		_ = cmd.Wait() // its exit code does not matter
	}
	defer stop()
	for _, a := range brokers {
		eventually(t, 20*time.Second, "the stock agent is seen", func() bool {
			return strings.Contains(a.serf("members", "-name=stock").stdout, "alive")
		})
		a.seesHealthy(1) // it is not a broker, and does not count
	}
	require.Equal(t, 0, brokers[0].ucp("run", guestModule, "--", "sleep", "1ms").code)
	stop()
	require.NotContains(t, log.String(), "[ERR]")
	for _, a := range brokers {
		a.signal(syscall.SIGTERM, 20*time.Second)
		require.NotContains(t, a.Said(), `"level":"WARN"`)
		require.NotContains(t, a.Said(), `"level":"ERROR"`)
	}
}

// freePort asks the kernel for a port; serf agent can't.
func freePort(t *testing.T) string {
	a := startAgent(t, "port", t.TempDir())
	defer a.signal(syscall.SIGKILL, 5*time.Second)
	return a.gossip[strings.LastIndex(a.gossip, ":")+1:]
}

// `serf leave` acts as SIGTERM, and `serf force-leave` removes the dead.
func TestStockLeave(t *testing.T) {
	brokers := startCluster(t, 3)
	r := brokers[2].serf("leave")
	require.Equal(t, 0, r.code, r.stderr)
	select {
	case <-brokers[2].Done:
		require.True(t, brokers[2].Cmd.ProcessState.Success())
	case <-time.After(20 * time.Second):
		t.Fatal("the broker runs on after serf leave")
	}
	eventually(t, 10*time.Second, "c has left", func() bool {
		return strings.Contains(brokers[0].serf("members", "-name=c").stdout, "left")
	})
	brokers[1].signal(syscall.SIGKILL, 5*time.Second)
	eventually(t, 40*time.Second, "b has failed", func() bool {
		return strings.Contains(brokers[0].serf("members", "-name=b").stdout, "failed")
	})
	require.Equal(t, 0, brokers[0].serf("force-leave", "b").code)
	eventually(t, 20*time.Second, "b counts as left", func() bool {
		return strings.Contains(brokers[0].serf("members", "-name=b").stdout, "left")
	})
}
