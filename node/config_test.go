package node

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/urban-compute/ucp/node/httpd"
)

// Every mistake is named by its flag, and says what to do.
func TestConfigErrorsNameTheFlag(t *testing.T) {
	for flag, cfg := range map[string]Config{
		"--data-dir":       {},
		"--name":           {DataDir: "d", Name: "no spaces"},
		"--sync-interval":  {DataDir: "d", SyncInterval: 1},
		"--replicas":       {DataDir: "d", Replicas: -1},
		"--cpu":            {DataDir: "d", CPU: -1},
		"--blob-grace":     {DataDir: "d", BlobGrace: -1},
		"--data-retention": {DataDir: "d", DataRetention: -1},
		"--label":          {DataDir: "d", Labels: map[string]string{"a b": "c"}},
		"--http-addr":      {DataDir: "d", HTTPAddr: "0.0.0.0:8000"},
		"--rpc-addr":       {DataDir: "d", RPCAddr: "192.0.2.1:7373"},
	} {
		_, err := New(cfg)
		require.ErrorContains(t, err, flag)
	}
	_, err := Config{DataDir: "d", HTTPAddr: "0.0.0.0:8000", Insecure: true}.complete()
	require.NoError(t, err)
	c, err := Config{DataDir: "d"}.complete()
	require.NoError(t, err)
	require.Empty(t, c.exposed())
}

func TestJoinThatFailsIsAnError(t *testing.T) {
	n, err := New(Config{
		Name: "a", DataDir: t.TempDir(), Bind: "127.0.0.1:0", RPCAddr: "-", HTTPAddr: "127.0.0.1:0", Join: []string{"127.0.0.1:1"},
		Runner: func(c RunnerConfig) (Runner, error) { return instant{c.Report}, nil },
	})
	require.NoError(t, err)
	require.ErrorContains(t, n.Run(t.Context()), "--join 127.0.0.1:1")
}

// Serf may ask while gossip starts, before the node knows its pool and its core has looked around:
// "no emergency" or "no jobs" would be a guess.
func TestQueryBeforeStart(t *testing.T) {
	n, err := New(Config{
		Name: "a", DataDir: t.TempDir(), Bind: "127.0.0.1:0", RPCAddr: "-", HTTPAddr: "127.0.0.1:0",
		Runner: func(c RunnerConfig) (Runner, error) { return instant{c.Report}, nil },
	})
	require.NoError(t, err)
	for _, q := range []string{"status", "metadata", "strategy", "conflicts", "load", "job"} {
		require.JSONEq(t, `{"name":"a","error":"the broker is starting; ask again in a second"}`, string(n.http.AnswerQuery(t.Context(), "ucp:"+q, nil)))
	}
	require.Nil(t, n.http.AnswerQuery(t.Context(), "uptime", nil), "queries of others")
	require.NoError(t, n.Close())
	require.ErrorIs(t, n.Run(t.Context()), httpd.ErrStopped)
}

func TestModuleMemory(t *testing.T) {
	const gib = 1 << 30
	require.EqualValues(t, 3*gib, moduleMemory(18*gib, 24*gib), "an eighth of the machine is left")
	require.EqualValues(t, gib/2, moduleMemory(gib/4, 24*gib), "little offered of a large machine")
	require.EqualValues(t, gib/16, moduleMemory(gib*3/8, gib/2), "a small machine")
	require.EqualValues(t, gib/6, moduleMemory(gib, gib/2), "more is offered than there is")
}
