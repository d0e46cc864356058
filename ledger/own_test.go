package ledger

import (
	"testing"

	"github.com/stretchr/testify/require"
)

// A broker's own values go to its disk with the next batch, and no peer ever sees them.
func TestOwnValues(t *testing.T) {
	l := New("a~1", nil)
	require.False(t, l.Dirty())
	l.KeepOwn("clocks", []byte{1})
	l.KeepOwn("x", []byte{2})
	require.True(t, l.Dirty())
	require.Empty(t, l.Clock())
	disk := map[string][]byte{}
	write := func() {
		b := l.Take()
		require.False(t, b.Empty())
		for _, op := range b.Ops() {
			require.False(t, Shared(op.Key))
			if disk[string(op.Key)] = op.Value; op.Value == nil {
				delete(disk, string(op.Key))
			}
		}
	}
	write()
	require.False(t, l.Dirty())
	require.True(t, l.Take().Empty())
	l.KeepOwn("x", nil)
	write()
	var names []string
	scan := func(prefix []byte, fn func(key, value []byte) error) error {
		for key, value := range disk {
			if err := fn([]byte(key), value); err != nil {
				return err
			}
		}
		return nil
	}
	require.NoError(t, Own(scan, func(name string, value []byte) error {
		names = append(names, name)
		require.Equal(t, []byte{1}, value)
		return nil
	}))
	require.Equal(t, []string{"clocks"}, names)
	require.True(t, Shared(clockKey))
}
