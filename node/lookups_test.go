package node

import (
	"bytes"
	"errors"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// An entry that can't be looked up is told once, and so is that it can again; those that are no longer on the list are forgotten.
func TestLookupsThatFail(t *testing.T) {
	var out bytes.Buffer
	l := lookups{log: slog.New(slog.NewTextHandler(&out, nil))}
	broken := map[string]error{"exec:false": errors.New("exit status 1:\nno")}
	require.Empty(t, l.failing())
	for range 3 {
		l.note([]string{"exec:false", "van-1:7946"}, broken)
		require.Equal(t, "the list of nodes to join: a command (exec:) fails; this broker's log says why", l.failing())
	}
	require.Equal(t, 1, strings.Count(out.String(), "\n"), "%s", &out)
	l.note([]string{"exec:false", "dns:vans"}, map[string]error{"exec:false": errors.New("other words"), "dns:vans": errors.New("no such host")})
	require.Equal(t, 2, strings.Count(out.String(), "\n"), "one of several that fail: %s", &out)
	require.Contains(t, l.failing(), `"dns:vans" can't be looked up: no such host`)
	l.note([]string{"exec:false", "dns:vans"}, nil)
	require.Equal(t, 4, strings.Count(out.String(), "\n"), "%s", &out)
	require.Empty(t, l.failing())
	l.note([]string{"exec:false"}, broken)
	l.note([]string{"van-1:7946"}, nil)
	require.Equal(t, 5, strings.Count(out.String(), "\n"), "%s", &out)
	require.Empty(t, l.failing())
}

// A broker whose list can't be looked up says so in its status, although others are there, and until it can again.
func TestLookupsThatFailAreShownAmongOthers(t *testing.T) {
	a := startNode(t, Config{Name: "a"})
	gate := t.TempDir() + "/there"
	b := startNode(t, Config{Name: "b", Join: []string{a.members.gossipAddr()}, RetryJoin: []string{"exec:test -e " + gate}})
	shows := func() bool { return strings.Contains(strings.Join(host{b}.Troubles(), ""), "a command (exec:) fails") }
	require.Eventually(t, shows, time.Minute, 10*time.Millisecond)
	require.True(t, b.members.company())
	b.RetryJoin([]string{a.members.gossipAddr()})
	require.Eventually(t, func() bool { return !shows() }, time.Minute, 10*time.Millisecond)
}

// A broker that is alone says at which addresses it looks for others in vain, until one answers.
func TestWhereNobodyAnswersIsShown(t *testing.T) {
	a := startNode(t, Config{Name: "a"})
	b := startNode(t, Config{Name: "b", RetryJoin: []string{"127.0.0.1:1", "exec:echo 127.0.0.1:1"}})
	shown := func() string { return strings.Join(host{b}.Troubles(), "") }
	const want = "nobody else answers at what --retry-join and --discover name: 127.0.0.1:1, a command (exec:)"
	require.Eventually(t, func() bool { return shown() == want }, time.Minute, 10*time.Millisecond)
	b.RetryJoin([]string{"127.0.0.1:1", a.members.gossipAddr()})
	require.Eventually(t, func() bool { return shown() == "" }, time.Minute, 10*time.Millisecond)
	require.Empty(t, a.members.nobodyAnswers())
}
