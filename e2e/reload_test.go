package e2e

import (
	"bufio"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// SIGHUP takes over what may change while a broker runs, names what may not, and with a mistake in the file changes nothing.
func TestSIGHUPReadsSettingsAgain(t *testing.T) {
	file := filepath.Join(t.TempDir(), "ucp.yaml")
	write := func(text string) { require.NoError(t, os.WriteFile(file, []byte(text), 0o600)) }
	write("log-level: info\n")
	a := startAgent(t, "a", t.TempDir())
	manager := listenAsManager(t)
	b := startAgent(t, "b", t.TempDir(), "--config", file)
	eventually(t, 30*time.Second, "the service manager hears that it is ready", func() bool { return strings.Contains(manager.said(), "READY=1") })
	require.Equal(t, "ready\n", b.ucp("health", "--ready").stdout)
	hangUp := func(text string) {
		write(text)
		require.NoError(t, b.Cmd.Process.Signal(syscall.SIGHUP))
	}
	hangUp("log-level: loud\nretry-join: [\"" + a.gossip + "\"]\n")
	eventually(t, 30*time.Second, "the mistake is told", func() bool {
		return strings.Contains(b.Said(), "nothing was changed") && strings.Contains(b.Said(), "loud")
	})
	hangUp("log-level: debug\nreplicas: 2\nretry-join: [\"" + a.gossip + "\"]\n")
	b.seesHealthy(1)
	eventually(t, 30*time.Second, "what waits for a restart is named", func() bool {
		return strings.Contains(b.Said(), `"settings":"replicas"`)
	})
	require.Contains(t, b.Said(), "log-level=debug")
	eventually(t, 30*time.Second, "the level has changed", func() bool { return strings.Contains(b.Said(), `"level":"DEBUG"`) })
	require.NotContains(t, manager.said(), "STOPPING=1")
	require.True(t, b.signal(syscall.SIGTERM, 30*time.Second).Success())
	require.Contains(t, manager.said(), "STOPPING=1\nEXTEND_TIMEOUT_USEC=90000000\n", "the drain timeout and a minute")
	gone := b.ucp("health")
	require.Equal(t, 1, gone.code)
	require.Contains(t, gone.stderr, "no broker answers at "+b.http)
}

// serviceManager hears what a broker says by sd_notify.
type serviceManager struct {
	conn  *net.UnixConn
	heard strings.Builder
}

// listenAsManager is the service manager of brokers that are started from now on.
func listenAsManager(t *testing.T) *serviceManager {
	path := filepath.Join(t.TempDir(), "notify")
	conn, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: path, Net: "unixgram"})
	require.NoError(t, err)
	t.Cleanup(func() { conn.Close() })
	t.Setenv("NOTIFY_SOCKET", path)
	return &serviceManager{conn: conn}
}

// said is all that was heard so far.
func (m *serviceManager) said() string {
	buf := make([]byte, 4096)
	for {
		_ = m.conn.SetReadDeadline(time.Now().Add(time.Millisecond)) // what has come is there already
		n, err := m.conn.Read(buf)
		if err != nil {
			return m.heard.String()
		}
		m.heard.WriteString(string(buf[:n]) + "\n")
	}
}

// A terminal that goes away sends SIGHUP, and nobody reads any more what the broker says: neither ends it.
func TestTerminalThatGoesAway(t *testing.T) {
	r, w, err := os.Pipe()
	require.NoError(t, err)
	cmd := exec.Command(ucpBinary, "agent", "--name", "a", "--data-dir", t.TempDir(), "--bind", "127.0.0.1:0", "--rpc-addr", "-", "--http-addr", "127.0.0.1:0")
	cmd.Stdout, cmd.Stderr = w, w
	require.NoError(t, cmd.Start())
	require.NoError(t, w.Close())
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	defer func() {
		_ = cmd.Process.Kill() // fails when it has ended
		<-ended
	}()
	line, err := bufio.NewReader(r).ReadString('\n')
	require.NoError(t, err)
	_, http1, found := strings.Cut(line, " http=")
	require.True(t, found, line)
	addr, _, _ := strings.Cut(http1, " ")
	require.NoError(t, r.Close())
	for range 3 { // each is logged, and nobody reads it
		require.NoError(t, cmd.Process.Signal(syscall.SIGHUP))
		eventually(t, 30*time.Second, "it answers", func() bool {
			resp, err := http.Get("http://" + addr + "/healthz")
			return err == nil && resp.Body.Close() == nil && resp.StatusCode == http.StatusOK
		})
	}
	require.NoError(t, cmd.Process.Signal(syscall.SIGTERM))
	select {
	case err := <-ended:
		require.NoError(t, err)
		ended <- nil
	case <-time.After(30 * time.Second):
		t.Fatal("it does not end")
	}
}
