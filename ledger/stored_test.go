package ledger

import (
	"errors"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/urban-compute/ucp/clock"
	"github.com/urban-compute/ucp/test/story"
)

// What a ledger commits is what Records, StoredClock and StoredQuarantine read: no other package
// needs to know the keys.
func TestReadingAStore(t *testing.T) {
	l := New("a~1", nil, setSchema)
	for _, key := range []string{"x", "y"} {
		_, err := l.Apply(setRef(key), func(dot clock.Dot, _ Record) Record {
			return &set{key: key, dots: []clock.Dot{dot}, born: []clock.Dot{dot}}
		})
		require.NoError(t, err)
	}
	bad := Entry{Ref: setRef("z"), Dots: clock.NewVector(clock.Dot{Actor: "b~1", Counter: 1}), Encoded: []byte("?")}
	_, err := l.Merge(Delta{From: "b~1", Entries: []Entry{bad}, Clock: clock.Tips(bad.Dots)})
	require.NoError(t, err)
	disk := story.Disk{}
	for _, op := range l.Take().Ops() {
		disk[string(op.Key)] = op.Value
	}

	schemas := map[Kind]Schema{setKind: setSchema}
	var got []Ref
	require.NoError(t, Records(disk.Scan, schemas, func(s Stored) error {
		require.NoError(t, s.Err)
		require.Equal(t, s.Ref.Key, s.Record.Key())
		require.Equal(t, string(RecordKey(s.Ref)), string(s.Key))
		require.Equal(t, s.Record.Encode(), s.Value)
		ref, ok := RefOf(s.Key)
		require.True(t, ok)
		got = append(got, ref)
		return nil
	}))
	require.Equal(t, []Ref{setRef("x"), setRef("y")}, got)
	c, err := StoredClock(disk.Scan)
	require.NoError(t, err)
	require.Equal(t, l.Seen(), c)
	n, err := StoredQuarantine(disk.Scan)
	require.NoError(t, err)
	require.Equal(t, 1, n)
	for key := range disk {
		if _, ok := RefOf([]byte(key)); ok != (key[0] == recordSpace) {
			t.Errorf("RefOf(%q): %v", key, ok)
		}
	}

	// A record that can't be read is shown with the reason; the caller decides what that means.
	disk[string(RecordKey(setRef("x")))] = []byte("?")
	disk[string(RecordKey(Ref{"dance", "waltz"}))] = []byte("?")
	unknown, broken := 0, 0
	require.NoError(t, Records(disk.Scan, schemas, func(s Stored) error {
		switch {
		case errors.Is(s.Err, ErrUnknownKind):
			unknown++
		case s.Err != nil:
			broken++
			require.Nil(t, s.Record)
		}
		return nil
	}))
	require.Equal(t, [2]int{1, 1}, [2]int{unknown, broken})
	require.ErrorIs(t, New("a~2", nil, setSchema).Load(disk.Scan, nil), ErrUnknownKind)
	stop := errors.New("stop")
	require.ErrorIs(t, Records(disk.Scan, schemas, func(Stored) error { return stop }), stop)
}
