package ui

import (
	"crypto/x509"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/urban-compute/ucp/test/office"
	"github.com/urban-compute/ucp/test/process"
)

// In a city the pages ask who looks: what a token does not allow is neither shown nor offered, and one that does not hold opens nothing.
func TestCity(t *testing.T) {
	browser(t)
	dir := t.TempDir()
	environment := []string{"HOME=" + dir, "PATH=/usr/bin:/bin", "UCP_IDENTITY=" + filepath.Join(dir, "me")}
	ucp := func(args ...string) string {
		cmd := exec.Command(ucpBinary, args...)
		cmd.Env = environment
		out, err := cmd.CombinedOutput()
		require.NoError(t, err, "ucp %v: %s", args, out)
		return string(out)
	}
	ucp("cluster", "init", "--city", "riverside", "--name", "a", "--data-dir", filepath.Join(dir, "a"))
	// Browsers don't take the keys of a city's own certificates: an operator who wants them to come in gives the broker one as they know it.
	cert, key := office.New(t).Issue("localhost", x509.ExtKeyUsageServerAuth, time.Now().Add(time.Hour))
	require.NoError(t, os.WriteFile(filepath.Join(dir, "cert"), cert, 0o600))
	require.NoError(t, os.WriteFile(filepath.Join(dir, "key"), key, 0o600))
	cmd := exec.Command(ucpBinary, "agent", "--tls-cert", filepath.Join(dir, "cert"), "--tls-key", filepath.Join(dir, "key"), "--name", "a", "--data-dir", filepath.Join(dir, "a"), "--bind", "127.0.0.1:0", "--rpc-addr", "127.0.0.1:0", "--http-addr", "127.0.0.1:0", "--log-format", "json")
	cmd.Env = environment
	agent := process.Start(t, "a", 0, cmd)
	var up struct{ Msg, HTTP string }
	require.NoError(t, json.Unmarshal([]byte(<-agent.First), &up))
	require.Equal(t, "broker is up", up.Msg)
	token := func(scopes string) string {
		lines := strings.Fields(ucp("token", "create", "--subject", "duty", "--scope", scopes))
		for _, word := range lines {
			if len(word) > 80 {
				return word
			}
		}
		t.Fatalf("no token in %v", lines)
		return ""
	}

	b := open(t, "https://"+up.HTTP)
	show := func(text string) {
		value[any](b, "void (document.querySelector('[name=token]').value = "+quoted(text)+")")
		b.click("form.login button")
	}
	b.load("now")
	b.shows("This broker asks who you are")
	b.accessible("city-token")
	b.shoot("city-token")
	b.quiet()
	show("nonsense")
	b.holds(patience, "document.querySelector('.problem') !== null")
	require.NotContains(t, value[string](b, "document.body.innerText"), "What room is left?")
	show(token("read"))
	b.shows("What room is left?")
	b.visit("emergencies", "This takes the scope emergency")
	b.visit("security", "You are")
	b.shows("The audit log takes the scope operate")
	require.NotContains(t, value[string](b, "location.href + document.cookie + JSON.stringify(localStorage)"), token("read")[:20])
	b.accessible("city-security")
	b.shoot("city-security")
	b.quiet()
	value[any](b, "void sessionStorage.clear()")
	b.load("emergencies")
	b.shows("This broker asks who you are")
	show(token("read,operate,emergency:high"))
	b.shows("Declare one")
	b.visit("security", "Who admits members")
	b.shows("The latest")
	b.quiet()
}

// quoted is a text as JavaScript has it.
func quoted(text string) string {
	b, _ := json.Marshal(text)
	return string(b)
}
