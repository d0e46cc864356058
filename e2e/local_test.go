package e2e

import (
	"crypto/tls"
	"io"
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

// The keys of a city's gossip are replaced by the stock command line while one member is away and another one stands still: both have
// the new key when they are back, by the authenticated link, and no job is lost (rule G4).
func TestKeysAreReplacedWhileAMemberIsAway(t *testing.T) {
	t.Parallel() // it waits most of the time
	founder, a := beginCity(t)
	dir := t.TempDir()
	b := startAgentAt(t, "b", filepath.Join(dir, "b"), 1, "--invite", founder.invite(a, "--name", "b"))
	c := startAgentAt(t, "c", filepath.Join(dir, "c"), 1, "--invite", founder.invite(a, "--name", "c"))
	late := startAgentAt(t, "late", filepath.Join(dir, "late"), 1, "--invite", founder.invite(a, "--name", "late"))
	for _, x := range []*agent{a, b, c, late} {
		founder.sees(x, "a", "b", "c", "late")
	}
	ring := func(broker string) string {
		at := filepath.Join(dir, broker, "identity", "keyring")
		if broker == "a" {
			at = filepath.Join(founder.dir, "a", "identity", "keyring")
		}
		text, err := os.ReadFile(at)
		require.NoError(t, err)
		return string(text)
	}
	old := strings.Split(ring("a"), `"`)[1]
	next := strings.TrimSpace(run(t, nil, ucpBinary, "keygen").stdout)
	c.signal(syscall.SIGKILL, time.Minute)
	require.NoError(t, late.Cmd.Process.Signal(syscall.SIGSTOP))
	for i, step := range []string{"-install=" + next, "-use=" + next, "-remove=" + old} {
		founder.must("--addr", a.http, "run", "--detach", "--id", "j"+string(rune('0'+i)), guestModule, "--", "sleep", "100ms")
		a.serf("keys", step) // it fails as long as the one that stands still counts as alive
	}
	eventually(t, time.Minute, "a and b have the new key alone", func() bool {
		return !strings.Contains(ring("a"), old) && !strings.Contains(ring("b"), old) && strings.Contains(ring("b"), next)
	})
	require.Contains(t, ring("c"), old)
	require.NoError(t, late.Cmd.Process.Signal(syscall.SIGCONT))
	c = startAgent(t, "c", filepath.Join(dir, "c"))
	for _, x := range []*agent{a, b, c, late} {
		founder.sees(x, "a", "b", "c", "late")
	}
	for _, x := range []string{"a", "b", "c", "late"} {
		eventually(t, time.Minute, x+" has the new key alone", func() bool { return strings.Contains(ring(x), next) && !strings.Contains(ring(x), old) })
	}
	for _, id := range []string{"j0", "j1", "j2"} {
		founder.must("--addr", c.http, "job", "wait", id)
	}
	status := func(p *person) int {
		client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true, TLSClientConfig: &tls.Config{InsecureSkipVerify: true}}}
		resp, err := client.Get("https://" + a.http + "/broker/keyring")
		require.NoError(t, err)
		defer resp.Body.Close()
		body, err := io.ReadAll(resp.Body)
		require.NoError(t, err)
		require.NotContains(t, string(body), next)
		return resp.StatusCode
	}
	require.Equal(t, http.StatusForbidden, status(founder), "it is for brokers only")
}

// Who comes over a broker's socket, or its loopback, from its own user is an operator if the broker was told to trust that; another
// user of the machine never is.
func TestTheOwnUserIsTrusted(t *testing.T) {
	socket := filepath.Join(t.TempDir(), "s")
	founder, a := beginCity(t, "--http-socket", socket)
	nobody := &person{t, t.TempDir()}
	nobody.refused("answers its members only", "--addr", "unix:"+socket, "members")
	require.NotEmpty(t, founder.must("--addr", a.http, "members"), "beside it all is as ever")
	a.signal(syscall.SIGKILL, time.Minute)
	rpc := filepath.Join(filepath.Dir(socket), "rpc")
	a = startAgent(t, "a", a.dir, "--http-socket", socket, "--rpc-socket", rpc, "--trust-local") // the socket of the killed one is there still
	nobody.must("--addr", "unix:"+socket, "run", guestModule, "--", "sleep", "1ms")
	nobody.must("--addr", "unix:"+socket, "cluster", "invite")
	for _, path := range []string{socket, rpc} {
		info, err := os.Stat(path)
		require.NoError(t, err)
		require.Equal(t, os.FileMode(0o600), info.Mode().Perm())
	}
	resp, err := insecure().Get("https://" + a.http + "/v1/members")
	require.NoError(t, err)
	require.NoError(t, resp.Body.Close())
	require.Equal(t, http.StatusOK, resp.StatusCode)
	r := run(t, nil, ucpBinary, "agent", "--data-dir", t.TempDir(), "--trust-local")
	require.Equal(t, 1, r.code)
	require.Contains(t, r.stderr, "belongs to no city")
	if os.Geteuid() != 0 {
		return // nobody else can be tried
	}
	curl, err := exec.LookPath("curl")
	if err != nil {
		return
	}
	cmd := exec.Command(curl, "-sk", "https://"+a.http+"/v1/members")
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534}}
	out, err := cmd.Output()
	require.NoError(t, err)
	require.Contains(t, string(out), "answers its members only")
}
