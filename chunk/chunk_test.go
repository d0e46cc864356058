package chunk

import (
	"bytes"
	"context"
	"errors"
	"math/rand/v2"
	"slices"
	"testing"
	"testing/iotest"

	"github.com/stretchr/testify/require"
)

// content is that of a file that nobody can guess.
func content(seed uint64, size int) []byte {
	b := make([]byte, size)
	r := rand.New(rand.NewPCG(seed, 3))
	for i := range b {
		b[i] = byte(r.Uint32())
	}
	return b
}

func split(t *testing.T, b []byte) List {
	l, err := Split(t.Context(), bytes.NewReader(b))
	require.NoError(t, err)
	require.EqualValues(t, len(b), l.Size())
	at := int64(0)
	for i, c := range l {
		require.Equal(t, at, c.At)
		require.Equal(t, IDOf(b[c.At:c.End()]), c.ID)
		require.LessOrEqual(t, c.Size, Max)
		require.True(t, c.Size >= Min || i == len(l)-1)
		at = c.End()
	}
	return l
}

// A list covers the content, is the same each time, and can be read again.
func TestSplit(t *testing.T) {
	for _, b := range [][]byte{nil, {1}, content(1, Min), content(1, Max), content(1, 3<<20), make([]byte, 1<<20)} {
		size := len(b)
		l := split(t, b)
		again, err := Split(t.Context(), iotest.HalfReader(bytes.NewReader(b)))
		require.NoError(t, err)
		require.True(t, slices.Equal(l, again))
		back, err := Decode(l.Encode(), int64(size))
		require.NoError(t, err)
		require.Equal(t, len(l), len(back))
		require.True(t, slices.Equal(l, back), "of %d bytes", size)
		require.LessOrEqual(t, int64(len(l.Encode())), MaxEncoded(int64(size)))
	}
	l := split(t, content(2, 8<<20))
	average := int(l.Size()) / len(l)
	require.True(t, average > 7<<10 && average < 14<<10, "%d", average)
	require.LessOrEqual(t, len(l.Encode()), 8<<20/300, "a list has a three hundredth of the content")
}

// What is put in or taken out changes the chunks around it, and no others.
func TestAChangeStaysLocal(t *testing.T) {
	b := content(3, 4<<20)
	known := map[ID]bool{}
	for _, c := range split(t, b) {
		known[c.ID] = true
	}
	for name, changed := range map[string][]byte{
		"put in":    slices.Concat(b[:1<<20], []byte("new"), b[1<<20:]),
		"taken out": slices.Concat(b[:1<<20], b[1<<20+5000:]),
		"changed":   slices.Concat(b[:1<<20], content(4, 1000), b[1<<20+1000:]),
	} {
		lacking := 0
		for _, c := range split(t, changed) {
			if !known[c.ID] {
				lacking += c.Size
			}
		}
		require.Less(t, lacking, 3*Max, name)
	}
}

// A list from outside is bounded, and is no longer than the content may be.
func TestDecodeRefuses(t *testing.T) {
	l := split(t, content(5, 100<<10))
	good := l.Encode()
	small := slices.Clone(l)
	small[0].Size, small[1].Size = 5, small[0].Size+small[1].Size-5
	large := List{{Size: Max + 1}}
	for name, x := range map[string]struct {
		b    []byte
		size int64
	}{
		"nothing":     {nil, 10},
		"another":     {[]byte("ucp chunks 2\nxxxxx"), 10},
		"cut":         {good[:len(good)-1], l.Size()},
		"too much":    {good, l.Size() - 1},
		"too long":    {append(slices.Clone(good), make([]byte, 2000)...), l.Size()},
		"small chunk": {small.Encode(), l.Size()},
		"large chunk": {large.Encode(), Max + 1},
		"no size":     {append([]byte(magic), bytes.Repeat([]byte{0}, 17)...), 10},
		"far too big": {append([]byte(magic), bytes.Repeat([]byte{0xff}, 26)...), 10},
	} {
		_, err := Decode(x.b, x.size)
		require.Error(t, err, name)
	}
}

// Cutting ends with its context, and says what can't be read.
func TestSplitStops(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := Split(ctx, bytes.NewReader(content(6, 100)))
	require.ErrorIs(t, err, context.Canceled)
	broken := errors.New("disk gone")
	_, err = Split(t.Context(), iotest.ErrReader(broken))
	require.ErrorIs(t, err, broken)
}

func FuzzDecode(f *testing.F) {
	f.Add([]byte(magic), int64(0))
	f.Fuzz(func(t *testing.T, b []byte, size int64) {
		if size < 0 || size > 1<<30 {
			return
		}
		if l, err := Decode(b, size); err == nil && l.Size() > size {
			t.Fatal("it covers too much")
		}
	})
}

func BenchmarkSplit(b *testing.B) {
	data := content(7, 16<<20)
	b.SetBytes(int64(len(data)))
	for b.Loop() {
		if _, err := Split(b.Context(), bytes.NewReader(data)); err != nil {
			b.Fatal(err)
		}
	}
}
