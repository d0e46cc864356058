package e2e

import (
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// holder is somebody who has a token, and nothing else.
func holder(t *testing.T, token string) *person {
	p := &person{t, t.TempDir()}
	require.NoError(t, os.WriteFile(filepath.Join(p.dir, "token"), []byte(token), 0o600))
	return p
}

func fileExists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

// A token lets its holder do what it says, at any broker, until it ends; jobs are of who has submitted them; and the token
// itself is nowhere to be found.
func TestTokens(t *testing.T) {
	founder, a := beginCity(t)
	b := startAgentAt(t, "b", filepath.Join(t.TempDir(), "b"), 1, "--invite", founder.invite(a, "--name", "b"))
	founder.sees(b, "a", "b")
	for _, broker := range []*agent{a, b} {
		founder.must("--addr", broker.http, "agent", "log-level", "debug")
	}

	file := filepath.Join(founder.dir, "ci.token")
	require.Contains(t, founder.must("token", "create", "--subject", "ci", "--scope", "submit", "--out", file), "ci may submit until")
	text, err := os.ReadFile(file)
	require.NoError(t, err)
	require.Contains(t, founder.must("token", "list"), " ci ")
	ci := holder(t, string(text))
	other := holder(t, founder.must("token", "create", "--subject", "other", "--scope", "submit,emergency:medium"))

	ci.must("--addr", a.http, "run", guestModule, "--id", "mine", "--", "sleep", "1ms")
	ci.must("--addr", b.http, "job", "logs", "mine")
	require.Contains(t, ci.must("--addr", b.http, "job", "get", "mine"), "Submitter:  ci")
	require.Contains(t, founder.must("--addr", a.http, "job", "list", "--submitter", "ci"), "mine")
	other.must("--addr", b.http, "run", "--detach", guestModule, "--id", "theirs", "--", "sleep", "1h")
	refused := func(p *person, want string, args ...string) {
		t.Helper()
		r := p.ucp(append([]string{"--addr", b.http}, args...)...)
		require.Equal(t, 1, r.code, "%v: %s", args, r.stdout)
		require.Contains(t, r.stderr, want, "%v", args)
	}
	for _, verb := range [][]string{{"job", "get", "theirs"}, {"job", "logs", "theirs"}, {"job", "cancel", "theirs"}, {"job", "cancel", "the"}, {"job", "result", "theirs"}} {
		refused(ci, "is not one that ci has submitted", verb...)
	}
	refused(ci, "it reads job:theirs/stdout, and job theirs is not one that ci has submitted", "run", guestModule, "--stdin", "job:theirs/stdout", "--", "echo", "0")
	refused(ci, "is not one that ci has submitted", "run", guestModule, "--array", "0-1", "--stdin", "job:theirs/stdout", "--", "echo", "0")
	ci.must("--addr", b.http, "run", guestModule, "--stdin", "job:mine/stdout", "--", "echo", "0")
	list := ci.must("--addr", b.http, "job", "list")
	require.Contains(t, list, "mine")
	require.NotContains(t, list, "theirs")
	// A name of data belongs to who has written it first (rule D9).
	ci.must("--addr", a.http, "data", "put", "tools/report", guestModule)
	eventually(t, time.Minute, "b knows it", func() bool { return founder.ucp("--addr", b.http, "data", "get", "tools/report").code == 0 })
	refused(other, "data tools/report belongs to ci, who has written it first", "data", "put", "tools/report", file)
	refused(other, "data tools/report belongs to ci, who has written it first: a job writes it that ci submits",
		"run", guestModule, "--put", "r=tools/report", "--", "write", "r", "x")
	founder.must("--addr", b.http, "data", "put", "tools/report", file)
	require.Contains(t, founder.must("--addr", b.http, "data", "list", "tools/report"), "tools/report belongs to ci")
	refused(ci, "this takes the scope read", "members")
	refused(ci, "this takes the scope emergency", "emergency", "declare", "--type", "flood", "--level", "low")
	refused(ci, "takes emergency:critical", "run", "--emergency", "critical", guestModule, "--", "sleep", "1ms")
	refused(other, "this takes emergency:high", "emergency", "declare", "--type", "flood", "--level", "high")
	founder.must("--addr", b.http, "emergency", "declare", "--id", "flood-1", "--type", "flood", "--level", "critical")
	refused(other, "this takes emergency:critical", "emergency", "clear", "flood-1")
	refused(other, "this takes emergency:critical", "emergency", "declare", "--id", "flood-1", "--type", "flood", "--level", "low")
	other.must("--addr", b.http, "emergency", "declare", "--id", "smoke-1", "--type", "smoke", "--level", "medium")
	other.must("--addr", b.http, "emergency", "clear", "smoke-1")
	other.must("--addr", b.http, "job", "cancel", "theirs")
	eventually(t, time.Minute, "the audit log has who it was", func() bool {
		return strings.Contains(founder.must("--addr", b.http, "audit", "list"), "other (token ")
	})

	// It is narrowed without a broker, and a narrower one holds for as long as it says.
	narrow := holder(t, ci.must("token", "narrow", "--ttl", "1s"))
	eventually(t, time.Minute, "the narrower token ends", func() bool {
		return strings.Contains(narrow.ucp("--addr", a.http, "job", "list").stderr, "has expired at")
	})
	ci.must("--addr", a.http, "job", "list")
	refused(ci, "nothing would be left", "token", "narrow", "--scope", "read")
	r := holder(t, string(text)).ucp("--addr", "http://"+a.http, "job", "list")
	require.Equal(t, 1, r.code)
	require.Contains(t, r.stderr, "is not sent to")
	require.NoError(t, os.Chmod(file, 0o644))
	refused(founder, "can be read by others", "--token-file", file, "members")

	// What a subject holds ends everywhere at one word; what is made for it later holds.
	founder.must("--addr", a.http, "token", "revoke", "other")
	for _, broker := range []*agent{a, b} {
		eventually(t, time.Minute, "the tokens of other are revoked", func() bool {
			return strings.Contains(other.ucp("--addr", broker.http, "job", "list").stderr, "is revoked, with all of other")
		})
	}
	holder(t, founder.must("token", "create", "--subject", "other", "--scope", "submit")).must("--addr", a.http, "job", "list")
	ci.must("--addr", a.http, "job", "list")

	// What brokers write and tell holds neither the token nor its key.
	founder.must("--addr", a.http, "debug", "bundle", "--all", "-o", filepath.Join(founder.dir, "bundle.tar.gz"))
	said := a.Said() + b.Said() + founder.must("--addr", b.http, "audit", "list", "-n", "0", "-o", "json") + strings.Join(slices.Collect(maps.Values(entries(t, filepath.Join(founder.dir, "bundle.tar.gz")))), "\n")
	require.True(t, strings.Contains(said, "other (token "), "what is looked through has who gave orders")
	for _, p := range []*person{ci, other, narrow} {
		token, err := os.ReadFile(filepath.Join(p.dir, "token"))
		require.NoError(t, err)
		secret := strings.TrimSpace(string(token))
		require.False(t, strings.Contains(said, secret[len(secret)-60:]), p.dir)
	}
	require.False(t, strings.Contains(said, "ucp1."))
}
