package store

import (
	"bytes"
	"crypto/rand"
	"strings"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/stretchr/testify/require"

	"github.com/urban-compute/ucp/clock"
)

// TestIdentity checks rule I1: the name stays, and the actor is fresh at every start, even
// if the disk is restored from a copy between the starts.
func TestIdentity(t *testing.T) {
	mem := vfs.NewCrashableMem()
	seen := map[clock.Actor]bool{}
	var last Identity
	for start := range 20 {
		s := mustOpen(t, small(mem))
		name := "a-1.x"
		if start%2 == 1 {
			name = ""
		}
		id, err := s.Identify(name, "host", rand.Reader)
		require.NoError(t, err)
		require.Equal(t, "a-1.x", id.Name)
		require.Equal(t, "a-1.x", id.Actor.Broker())
		require.Regexp(t, `^a-1\.x~[0-9a-z]{8}$`, string(id.Actor))
		require.False(t, seen[id.Actor], "an actor was used twice")
		require.Equal(t, last.Actor, id.Previous)
		seen[id.Actor], last = true, id

		_, err = s.Identify(name, "host", rand.Reader)
		require.ErrorContains(t, err, "already called")
		require.Empty(t, contents(t, s, ""), "the identity is not a ledger key")

		// The power is cut right after Identify: the actor was synced before it was returned.
		after := crashed(mem, 0, 1)
		require.NoError(t, s.Close())
		mem = after
	}
}

func TestIdentityNames(t *testing.T) {
	mem := vfs.NewMem()
	identify := func(name, fallback string) (Identity, error) {
		s := mustOpen(t, small(mem))
		defer func() { require.NoError(t, s.Close()) }()
		return s.Identify(name, fallback, rand.Reader)
	}
	_, err := identify("", "")
	require.ErrorContains(t, err, "1 to 128 bytes")
	for _, bad := range []string{"a b", "a~b", "ü", "a/b", "a\x00", strings.Repeat("x", 129)} {
		_, err = identify(bad, "")
		require.Error(t, err, "%q", bad)
	}
	id, err := identify("", "host-7")
	require.NoError(t, err)
	require.Equal(t, "host-7", id.Name)
	_, err = identify("other", "")
	require.ErrorContains(t, err, `belongs to broker "host-7", not "other": leave the name out`)
	id, err = identify("", "renamed-host")
	require.NoError(t, err)
	require.Equal(t, "host-7", id.Name, "the name stays when the host's name changes")
}

func TestIdentityNeedsRandomness(t *testing.T) {
	mem := vfs.NewMem()
	identify := func(random []byte) (Identity, error) {
		s := mustOpen(t, small(mem))
		defer func() { require.NoError(t, s.Close()) }()
		return s.Identify("a", "", bytes.NewReader(random))
	}
	first, err := identify([]byte("12345"))
	require.NoError(t, err)
	second, err := identify([]byte("12345abcde"))
	require.NoError(t, err, "when the suffix repeats itself, more is read from the source")
	require.NotEqual(t, first.Actor, second.Actor)
	_, err = identify(bytes.Repeat([]byte("abcde"), 100))
	require.ErrorContains(t, err, "repeats itself")
	_, err = identify(nil)
	require.ErrorContains(t, err, "reading randomness")
}

func TestIdentityDamaged(t *testing.T) {
	s := mustOpen(t, small(vfs.NewMem()))
	var b Batch
	b.setOwn(identityKey, []byte("{}"))
	require.NoError(t, s.Commit(&b))
	_, err := s.Identify("a", "", rand.Reader)
	require.ErrorIs(t, err, errCorrupt)
}
