package node

import (
	"crypto/rand"
	"log/slog"
	"net/http"
	"path/filepath"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/stretchr/testify/require"

	"github.com/urban-compute/ucp/api"
	"github.com/urban-compute/ucp/audit"
	"github.com/urban-compute/ucp/gossip"
	"github.com/urban-compute/ucp/store"
)

// gossipKey draws a key.
func gossipKey(t *testing.T) string {
	key, err := gossip.NewKey(rand.Reader)
	require.NoError(t, err)
	return key
}

// keysOf makes what a broker knows of its keyring, and a function by which it begins again from what it has stored.
func keysOf(t *testing.T, now *time.Time) (*gossipKeys, *gossip.Pool) {
	path := filepath.Join(t.TempDir(), "keyring")
	require.NoError(t, gossip.NewKeyring(path, gossipKey(t)))
	pool, err := gossip.Start(gossip.Config{Name: "a", Bind: "127.0.0.1:0", Keyring: path})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, pool.Shutdown()) })
	st, err := store.Open(store.Options{Dir: "/data", FS: vfs.NewMem(), Fatal: func(err error) { t.Error(err) }})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, st.Close()) })
	clock := func() time.Time { return *now }
	k := &gossipKeys{
		members: &members{}, store: st, cfg: &Config{Now: clock}, log: slog.New(slog.DiscardHandler), now: clock,
		audits: &audits{queue: make(chan audit.Entry, 16)},
	}
	k.members.pool.Store(pool)
	require.NoError(t, k.recall())
	return k, pool
}

// The broker that is given an order stamps the keyring; later ones are taken, also while a clock goes back, and earlier ones are not.
// A broker that has changed its keyring late, by an order that others were given, does not pass it for a later one.
func TestTheLatestKeyringCounts(t *testing.T) {
	now := time.UnixMilli(1000)
	k, pool := keysOf(t, &now)
	first := pool.Keys()[0]
	shown := func() string {
		h := http.Header{}
		k.Show(h)
		return h.Get(keysHeader)
	}
	require.Empty(t, shown(), "nobody has changed anything")
	k.ordered()
	require.Empty(t, shown(), "nor has an order that failed")
	require.Empty(t, k.audits.queue)
	_, err := pool.SetKeys([]string{gossipKey(t), first})
	require.NoError(t, err)
	k.ordered()
	require.Equal(t, "1000", shown())
	require.Len(t, k.audits.queue, 1)
	now = time.UnixMilli(500) // the city's time does not go back by much, but it may for a broker that starts
	k.ordered()
	require.Equal(t, "1000", shown(), "the order has changed nothing")
	second := gossipKey(t)
	_, err = pool.SetKeys([]string{second, first})
	require.NoError(t, err)
	require.Equal(t, "1000", shown(), "others were given that order")
	k.ordered()
	require.Equal(t, "1001", shown())

	take := func(at int64, keys ...string) bool {
		changed, err := k.take(api.Keyring{At: at, Keys: keys}, "b")
		require.NoError(t, err)
		return changed
	}
	require.False(t, take(1001, first))
	require.False(t, take(1000, first))
	require.False(t, take(latestKeysTime, first))
	require.Equal(t, second, pool.Keys()[0])
	require.False(t, take(1100, pool.Keys()...), "it is the same")
	require.Equal(t, "1100", shown())
	require.True(t, take(1200, second))
	require.Equal(t, []string{second}, pool.Keys())
	_, err = k.take(api.Keyring{At: 1300, Keys: []string{"none"}}, "b")
	require.Error(t, err)
	require.Equal(t, "1200", shown())
	require.Equal(t, api.Keyring{At: 1200, Keys: []string{second}}, k.Ring())

	require.NoError(t, k.recall())
	require.Equal(t, "1200", shown(), "a start does not forget it")
	_, err = pool.SetKeys([]string{first})
	require.NoError(t, err)
	require.NoError(t, k.recall())
	require.Empty(t, shown(), "somebody has put another file there: of when that is nobody knows")
	require.True(t, take(1200, second))
}
