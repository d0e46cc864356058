package head

import (
	"bytes"
	"testing"

	"github.com/stretchr/testify/require"
)

// A sheet says which updates it is over and which slots these have written, and no leaf of it can be another one.
func TestSheets(t *testing.T) {
	key := keyOf(t, 1)
	c := NewChain(key)
	next(t, c, 3, some(2, 1))
	leaves := some(3, 2)
	good := &Sheet{next(t, c, 7, leaves), leaves}
	s, err := DecodeSheet(good.Encode())
	require.NoError(t, err)
	require.NoError(t, s.Head.SignedBy(key.Public()))
	require.Equal(t, leaves, s.Leaves)
	for counter, covered := range map[uint64]bool{3: false, 4: true, 7: true, 8: false} {
		require.Equal(t, covered, s.Covers(counter), counter)
	}
	require.True(t, s.Has(leaves[2]))
	require.False(t, s.Has(some(1, 1)[0]))

	raw := good.Encode()
	for i := range raw {
		bad := bytes.Clone(raw)
		bad[i] ^= 1
		s, err := DecodeSheet(bad)
		require.False(t, err == nil && s.Head.SignedBy(key.Public()) == nil, "byte %d", i)
	}
	for _, bad := range [][]byte{nil, raw[:1], raw[:len(raw)-1], raw[:len(raw)-len(none)], append(bytes.Clone(raw), leaves[0][:]...)} {
		_, err := DecodeSheet(bad)
		require.Error(t, err)
	}
	empty := &Sheet{Head: next(t, c, 9, nil)}
	s, err = DecodeSheet(empty.Encode())
	require.NoError(t, err)
	require.Empty(t, s.Leaves)
}

// What decodes is what somebody has encoded.
func FuzzSheet(f *testing.F) {
	c := NewChain(keyOf(f, 1))
	leaves := some(3, 2)
	f.Add((&Sheet{next(f, c, 3, leaves), leaves}).Encode())
	f.Add((&Sheet{Head: next(f, c, 7, nil)}).Encode())
	f.Fuzz(func(t *testing.T, b []byte) {
		s, err := DecodeSheet(b)
		if err != nil {
			return
		}
		again, err := DecodeSheet(s.Encode())
		require.NoError(t, err)
		require.Equal(t, s.Leaves, again.Leaves)
		require.True(t, s.Head.Same(again.Head))
		require.LessOrEqual(t, len(b), maxSheet)
		require.False(t, s.Covers(s.Head.Before))
		require.True(t, s.Covers(s.Head.Counter))
	})
}
