package gossip_test

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"encoding/base64"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/urban-compute/ucp/gossip"
	"github.com/urban-compute/ucp/sim/simnet"
)

// keyring makes a keyring of one new key, and returns both.
func keyring(t *testing.T) (path, key string) {
	t.Helper()
	key, err := gossip.NewKey(rand.Reader)
	require.NoError(t, err)
	path = filepath.Join(t.TempDir(), "keyring")
	require.NoError(t, gossip.NewKeyring(path, key))
	return path, key
}

// copied copies a keyring, since each node writes its own.
func copied(t *testing.T, path string) string {
	t.Helper()
	b, err := os.ReadFile(path)
	require.NoError(t, err)
	to := filepath.Join(t.TempDir(), "keyring")
	require.NoError(t, os.WriteFile(to, b, 0o600))
	return to
}

// Who has the key takes part, with all that gossip does; who has none, or another, is neither heard nor told anything, and
// what travels can't be read (rule G4).
func TestKeyring(t *testing.T) {
	path, _ := keyring(t)
	other, _ := keyring(t)
	var refused atomic.Int64
	with := func(path string) func(*gossip.Config) {
		return func(c *gossip.Config) {
			c.Keyring = path
			c.Refused = func(what gossip.Refused) {
				if what == gossip.RefusedKey {
					refused.Add(1)
				}
			}
		}
	}
	a, b := startReal(t, "a", with(path)), startReal(t, "b", with(copied(t, path)))
	n, err := b.Join(t.Context(), []string{a.Addr()})
	require.NoError(t, err)
	require.Equal(t, 1, n)
	eventually(t, "states of the join", func() bool { return a.received("state of b") && b.received("state of a") })
	require.NoError(t, b.UserEvent("after", []byte("hello")))
	eventually(t, "events", func() bool { return strings.Contains(strings.Join(a.eventLog(), ";"), "user after hello") })
	right, answered := b.SeenRight(t.Context(), a.Addr())
	require.True(t, right && answered, "questions of our own are understood")
	require.Zero(t, refused.Load())

	for name, keys := range map[string]string{"plain": "", "stranger": other} {
		x := startReal(t, name, with(keys))
		before := refused.Load()
		n, err := x.Join(t.Context(), []string{a.Addr()})
		require.Error(t, err, name)
		require.Zero(t, n, name)
		require.Greater(t, refused.Load(), before, name)
		require.Len(t, x.Members(), 1, name)
		n, _ = a.Join(t.Context(), []string{x.Addr()})
		require.Zero(t, n, name)
		require.Len(t, a.Members(), 2, name)
	}
	// One who is refused is refused by its packets, too.
	conn, err := net.Dial("udp", a.Addr())
	require.NoError(t, err)
	defer conn.Close()
	eventually(t, "a forged packet is refused", func() bool {
		before := refused.Load()
		_, err := conn.Write(forgedPacket(t, 5, forgedDeath{Incarnation: 1, Node: "b", From: "x"}))
		return err == nil && refused.Load() > before
	})
	require.Len(t, a.Members(), 2)
}

// A node whose name is taken hears so through the encryption as well (rule G2).
func TestTakenNameBehindAKeyring(t *testing.T) {
	path, _ := keyring(t)
	with := func(path string) func(*gossip.Config) { return func(c *gossip.Config) { c.Keyring = path } }
	a, b := startReal(t, "a", with(path)), startReal(t, "b", with(copied(t, path)))
	_, err := b.Join(t.Context(), []string{a.Addr()})
	require.NoError(t, err)
	eventually(t, "a has taken in who has joined it", func() bool { return len(a.Members()) == 2 })
	again := startReal(t, "b", with(copied(t, path)))
	var taken *gossip.NameTaken
	require.ErrorAs(t, again.Claim(t.Context(), []string{a.Addr()}), &taken)
	require.Equal(t, b.Addr(), taken.Addr)
}

// The stock command line replaces the key of a cluster that runs, and what it does outlives a restart. A stock agent with
// the key takes part.
func TestKeysAreReplaced(t *testing.T) {
	path, old := keyring(t)
	second := copied(t, path)
	with := func(path string) func(*gossip.Config) {
		return func(c *gossip.Config) { c.Keyring, c.RPCAddr = path, "127.0.0.1:0" }
	}
	a, b := startReal(t, "a", with(path)), startReal(t, "b", with(second))
	_, err := b.Join(t.Context(), []string{a.Addr()})
	require.NoError(t, err)
	startSerf(t, "agent", "-node=stock", "-bind="+freeAddr(t), "-rpc-addr="+freeAddr(t), "-encrypt="+old, "-join="+a.Addr())
	eventually(t, "a stock agent is a member", func() bool { return len(a.Members()) == 3 && len(b.Members()) == 3 })

	next, err := gossip.NewKey(rand.Reader)
	require.NoError(t, err)
	for _, step := range [][]string{{"-install", next}, {"-use", next}} {
		out, err := serf(t, a, append([]string{"keys"}, step...)...)
		require.NoError(t, err, out)
	}
	for _, file := range []string{path, second} {
		eventually(t, "the keyring is kept", func() bool {
			text, err := os.ReadFile(file)
			return err == nil && bytes.Contains(text, []byte(next)) && bytes.Index(text, []byte(next)) < bytes.Index(text, []byte(old))
		})
	}
	require.NoError(t, a.UserEvent("turned", nil))
	eventually(t, "events under the new key", func() bool { return strings.Contains(strings.Join(b.eventLog(), ";"), "user turned") })
	b.stop()
	c := startReal(t, "c", with(second))
	_, err = c.Join(t.Context(), []string{a.Addr()})
	require.NoError(t, err)
}

func TestKeyringFiles(t *testing.T) {
	path, key := keyring(t)
	info, err := os.Stat(path)
	require.NoError(t, err)
	require.Equal(t, os.FileMode(0o600), info.Mode())
	require.ErrorContains(t, gossip.NewKeyring(path, key), "exists")
	require.ErrorContains(t, gossip.NewKeyring(filepath.Join(t.TempDir(), "k"), "short"), "key 1")
	start := func(text string, mode os.FileMode) error {
		file := filepath.Join(t.TempDir(), "keyring")
		if text != "" {
			require.NoError(t, os.WriteFile(file, []byte(text), 0o600))
			require.NoError(t, os.Chmod(file, mode))
		}
		_, err := gossip.Start(gossip.Config{Name: "a", Bind: "127.0.0.1:0", Keyring: file})
		return err
	}
	require.ErrorContains(t, start("", 0), "no such file")
	require.ErrorContains(t, start(`["`+key+`"]`, 0o644), "can be read by others")
	require.ErrorContains(t, start(`[]`, 0o600), "JSON list of keys")
	require.ErrorContains(t, start(`["`+key+`", "x"]`, 0o600), "key 2")
	require.NotContains(t, start(`["`+key+`", "secret"]`, 0o600).Error(), "secret")
	require.ErrorContains(t, start(strings.Repeat(" ", 70_000), 0o600), "at most")
}

// sealed encrypts a packet as memberlist does, in the form of a version.
func sealed(t *testing.T, key string, version byte, packet []byte) []byte {
	t.Helper()
	raw, err := base64.StdEncoding.DecodeString(key)
	require.NoError(t, err)
	block, err := aes.NewCipher(raw)
	require.NoError(t, err)
	gcm, err := cipher.NewGCM(block)
	require.NoError(t, err)
	out := append([]byte{version}, make([]byte, 12)...)
	_, err = rand.Read(out[1:])
	require.NoError(t, err)
	if version == 0 { // which pads
		n := aes.BlockSize - len(packet)%aes.BlockSize
		packet = append(bytes.Clone(packet), bytes.Repeat([]byte{byte(n)}, n)...)
	}
	return gcm.Seal(out, out[1:13], packet, nil)
}

// Who has the key can mute nobody either: what is encrypted is looked at, and not let in where that can't be done (rules G1,
// G4).
func TestForgedUnderTheKey(t *testing.T) {
	path, key := keyring(t)
	other, otherKey := keyring(t)
	require.NotEqual(t, path, other)
	death := forgedPacket(t, 5, forgedDeath{1<<32 - 1, "n1", "x"})
	for name, x := range map[string]struct {
		packet  []byte
		refused gossip.Refused
	}{
		"plain":                {death, gossip.RefusedKey},
		"another key":          {sealed(t, otherKey, 1, death), gossip.RefusedKey},
		"the old form":         {sealed(t, key, 0, death), gossip.RefusedKey},
		"sealed":               {sealed(t, key, 1, death), gossip.RefusedIncarnation},
		"sealed twice":         {sealed(t, key, 1, sealed(t, key, 1, death)), gossip.RefusedForm},
		"twice, in both forms": {sealed(t, key, 1, sealed(t, key, 0, death)), gossip.RefusedForm},
		"cut":                  {sealed(t, key, 1, death)[:20], gossip.RefusedKey},
		"nothing":              {sealed(t, key, 1, nil), ""},
	} {
		t.Run(name, func(t *testing.T) {
			simulate(t, simnet.Options{}, func(t *testing.T, net *simnet.Network) {
				refused := &refusals{count: map[gossip.Refused]int{}}
				nodes := cluster(t, net, 3, func(c *gossip.Config) { c.Keyring, c.Refused = path, refused.add })
				attacker, err := net.Host("attacker").Transport()
				require.NoError(t, err)
				for _, n := range nodes {
					_, err := attacker.WriteTo(x.packet, n.Addr())
					require.NoError(t, err)
				}
				time.Sleep(10 * time.Second)
				if x.refused != "" {
					require.Equal(t, len(nodes), refused.of(x.refused))
				}
				require.True(t, all(nodes, func(n *node) bool { return alive(n) == 3 })())
				require.NoError(t, nodes[1].SetTags(map[string]string{"k": "v"}))
				within(t, 10*time.Second, "tags", all(nodes, func(n *node) bool { return n.Members()[1].Tags["k"] == "v" }))
			})
		})
	}
}
