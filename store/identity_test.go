package store

import (
	"bytes"
	"crypto/rand"
	"strings"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/stretchr/testify/require"

	"github.com/urban-compute/ucp/clock"
	"github.com/urban-compute/ucp/ledger"
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
		id, err := s.Identify(name, "host", time.Unix(1_800_000_000, 0), rand.Reader)
		require.NoError(t, err)
		require.Equal(t, "a-1.x", id.Name)
		require.Equal(t, "a-1.x", id.Actor.Broker())
		require.Regexp(t, `^a-1\.x~[0-9a-f]{16}$`, string(id.Actor))
		require.False(t, seen[id.Actor], "an actor was used twice")
		require.Greater(t, id.Actor, last.Actor, "a later start is a higher one (rule K1)")
		require.Equal(t, last.Actor, id.Previous)
		seen[id.Actor], last = true, id

		_, err = s.Identify(name, "host", time.Unix(1_800_000_000, 0), rand.Reader)
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
		return s.Identify(name, fallback, time.Unix(1_800_000_000, 0), rand.Reader)
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
		return s.Identify("a", "", time.Unix(1_800_000_000, 0), bytes.NewReader(random))
	}
	first, err := identify([]byte("1234"))
	require.NoError(t, err)
	second, err := identify([]byte("1234"))
	require.NoError(t, err)
	require.NotEqual(t, first.Actor, second.Actor, "also when the source repeats itself")
	_, err = identify(nil)
	require.ErrorContains(t, err, "reading randomness")
}

// A start is above all that the stored clock knows of the broker's name, whatever the wall clock says (rule K1).
func TestIdentityIsAboveWhatIsKnown(t *testing.T) {
	now := time.Unix(1_800_000_000, 0)
	later := clock.StartActor("a", clock.NextStart(now.Add(time.Hour), nil, "", 7))
	l := ledger.New("c~0a1b2c3d", nil)
	_, err := l.Merge(ledger.Delta{Clock: clock.NewTips(
		clock.Dot{Actor: "a~0a1b2c3d", Counter: 3}, clock.Dot{Actor: later, Counter: 1}, clock.Dot{Actor: clock.StartActor("b", clock.MaxStart/2), Counter: 1},
	)})
	require.NoError(t, err)
	s := mustOpen(t, small(vfs.NewMem()))
	var b Batch
	for _, op := range l.Take().Ops() {
		b.Set(op.Key, op.Value)
	}
	require.NoError(t, s.Commit(&b))
	id, err := s.Identify("a", "", now, strings.NewReader("\x00\x00\x00\x00"))
	require.NoError(t, err)
	want, _ := later.Start()
	got, _ := id.Actor.Start()
	require.Equal(t, want>>32+1, got>>32)
}

func TestIdentityDamaged(t *testing.T) {
	s := mustOpen(t, small(vfs.NewMem()))
	var b Batch
	b.setOwn(identityKey, []byte("{}"))
	require.NoError(t, s.Commit(&b))
	_, err := s.Identify("a", "", time.Unix(1_800_000_000, 0), rand.Reader)
	require.ErrorIs(t, err, errCorrupt)
}

// TestRenew checks that a broker that goes on as another start has one above all that it knows, and that it is synced
// before it is returned (rule K3).
func TestRenew(t *testing.T) {
	mem := vfs.NewCrashableMem()
	now := time.Unix(1_800_000_000, 0)
	s := mustOpen(t, small(mem))
	_, err := s.Renew(nil, now, rand.Reader)
	require.ErrorContains(t, err, "after Identify")
	id, err := s.Identify("a", "", now, rand.Reader)
	require.NoError(t, err)
	told := clock.StartActor("a", clock.Start(now.Unix()/60+1000)<<32)
	next, err := s.Renew(clock.NewTips(clock.Dot{Actor: told, Counter: 1}, clock.Dot{Actor: "b~7fffffff00000000", Counter: 1}), now, rand.Reader)
	require.NoError(t, err)
	require.Greater(t, next, told)
	require.Equal(t, "a", next.Broker())
	last, err := s.Renew(nil, now, rand.Reader)
	require.NoError(t, err)
	require.Greater(t, last, next)
	after := crashed(mem, 0, 1)
	require.NoError(t, s.Close())
	s = mustOpen(t, small(after))
	defer func() { require.NoError(t, s.Close()) }()
	again, err := s.Identify("", "", now, rand.Reader)
	require.NoError(t, err)
	require.Equal(t, last, again.Previous)
	require.Greater(t, again.Actor, last)
	require.NotEqual(t, id.Actor, again.Actor)
}
