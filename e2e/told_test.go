package e2e

import (
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// What people are told after a broker was killed: that they do not see all, who is silent, what was there and where it is
// now. Nothing is called well that is not.
func TestTheScreenAfterAKill(t *testing.T) {
	brokers := startCluster(t, 3, "--allow-process")
	a, c := brokers[0], brokers[2]
	eventually(t, 30*time.Second, "the screen says that all is well", func() bool {
		return strings.Contains(a.ucp().stdout, "Trust it?  yes: you see all 3 brokers")
	})
	require.NoError(t, c.Cmd.Process.Signal(syscall.SIGSTOP))
	require.Regexp(t, `Trust it\?  NOT SURE: at the moment 2 of 3 brokers answer\n +c does not answer; last heard of at `, a.ucp().stdout, "SWIM has not missed it yet")
	require.NoError(t, c.Cmd.Process.Signal(syscall.SIGCONT))
	eventually(t, 30*time.Second, "the screen says that all is well again", func() bool {
		return strings.Contains(a.ucp().stdout, "Trust it?  yes: you see all 3 brokers")
	})
	for _, id := range []string{"pinned", "free"} {
		args := []string{"run", "--detach", "--id", id, "--name", "pumps-" + id, "--driver", "process", "--priority", "9", "--label", "batch=7", "sleep", "--", "60"}
		if id == "pinned" {
			args = append(args[:len(args)-3], "--constraint", "name=c", "sleep", "--", "60")
		}
		r := c.ucp(args...)
		require.Equal(t, 0, r.code, r.stderr)
	}
	eventually(t, 30*time.Second, "the pinned job runs at c", func() bool {
		return strings.Contains(a.ucp("job", "list", "--broker", "c", "--state", "running").stdout, "pinned")
	})
	r := a.ucp("run", "--detach", "--id", "elsewhere", "--driver", "process", "--constraint", "name=a", "sleep", "--", "10")
	require.Equal(t, 0, r.code, r.stderr)
	asked := make(chan struct{}, 1)
	door := doorTo(t, c.http, func(r *http.Request) {
		if r.URL.Query().Has("wait") { // with the first answer it has asked who else there is
			select {
			case asked <- struct{}{}:
			default:
			}
		}
	})
	waited := make(chan result, 1)
	go func() {
		waited <- run(t, nil, ucpBinary, "--addr", door, "job", "wait", "elsewhere", "--timeout", "80s")
	}()
	select {
	case <-asked:
	case r := <-waited:
		t.Fatal("it has not waited:", r)
	case <-time.After(30 * time.Second):
		t.Fatal("it does not wait")
	}
	c.signal(syscall.SIGKILL, 5*time.Second)
	var screen string
	eventually(t, 30*time.Second, "the screen says that c is gone", func() bool {
		screen = a.ucp("status").stdout
		return strings.Contains(screen, "NOT ALL OF IT: you see 2 of 3 brokers") && strings.Contains(screen, "pinned pumps-pinned: ") &&
			!strings.Contains(screen, "Gone       perhaps c") // as long as it may only be slow
	})
	t.Log(screen)
	require.Regexp(t, `(?m)^ +c silent, last heard of at \d\d:\d\d:\d\d \(`, screen)
	require.Regexp(t, `(?m)^Gone +c since \d\d:\d\d:\d\d \(`, screen)
	require.Regexp(t, `(?m)^Urgent +1 job that should run at once\n +pinned pumps-pinned, running\? for .*: c does not answer`, screen)
	for line := range strings.Lines(screen) {
		require.LessOrEqual(t, len([]rune(line)), 81, line)
	}
	require.Equal(t, result{"elsewhere  succeeded\n", "", 0}, <-waited, "who waited at c goes on with the others")
	require.Equal(t, 0, run(t, nil, ucpBinary, "--addr", c.http+","+a.http, "members").code, "of several addresses the first that answers")
	r = a.ucp("job", "cancel", "--label", "batch=7", "--name", "pumps*")
	require.Equal(t, 0, r.code, r.stderr)
	require.Equal(t, 2, strings.Count(r.stdout, "cancelled"), r.stdout)
	require.Equal(t, 1, a.ucp("job", "cancel", "--label", "batch=7").code, "nothing is left to cancel")
}

// doorTo is another address of a broker, which tells of each request before the broker gets it, and is gone when that is.
func doorTo(t *testing.T, addr string, told func(*http.Request)) string {
	t.Helper()
	to := &httputil.ReverseProxy{
		Rewrite:      func(r *httputil.ProxyRequest) { r.SetURL(&url.URL{Scheme: "http", Host: addr}) },
		ErrorHandler: func(http.ResponseWriter, *http.Request, error) { panic(http.ErrAbortHandler) },
	}
	door := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		told(r)
		to.ServeHTTP(w, r)
	}))
	t.Cleanup(door.Close)
	return door.Listener.Addr().String()
}
