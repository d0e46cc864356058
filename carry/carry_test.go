package carry

import (
	"bytes"
	"errors"
	"io"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/urban-compute/ucp/clock"
)

// frame is one that was read.
type frame struct {
	Type    Type
	Content string
}

// sample is a file with these frames, and an end.
func sample(t testing.TB, id byte, frames ...frame) []byte {
	var out bytes.Buffer
	w, err := NewWriter(&out, &Preamble{ID: bytes.Repeat([]byte{id}, idSize), From: "a~0000000000000001", For: []string{"b", "c"}, At: 17}, Hashed(), nil)
	require.NoError(t, err)
	for _, f := range frames {
		require.NoError(t, w.Write(f.Type, []byte(f.Content)))
	}
	require.NoError(t, w.Write(TypeEnd, Encode(&End{Records: 2, Bytes: w.Bytes})))
	return out.Bytes()
}

// read reads all frames of a file, and why there were no more.
func read(file []byte) (p *Preamble, frames []frame, err error) {
	r, err := NewReader(bytes.NewReader(file))
	if err != nil {
		return nil, nil, err
	}
	if err := r.Unlock(Hashed(), nil); err != nil {
		return r.Preamble, nil, err
	}
	for {
		t, b, err := r.Next()
		if err != nil {
			return r.Preamble, frames, err
		}
		frames = append(frames, frame{t, string(b)})
	}
}

var some = []frame{{TypeHeader, "header"}, {TypeRecords, "one page"}, {TypeRecords, "another page"}, {TypeClock, "clock"}, {TypeData, string(make([]byte, 500))}}

func TestFileRoundTrip(t *testing.T) {
	p, got, err := read(sample(t, 1, some...))
	require.ErrorIs(t, err, io.EOF)
	require.Equal(t, some, got[:len(some)])
	require.Equal(t, TypeEnd, got[len(some)].Type)
	require.Equal(t, []string{"b", "c"}, p.For)
	require.Equal(t, clock.Actor("a~0000000000000001"), p.From)
}

// Of a file that is cut anywhere all frames before the cut are read, as they were, and that it is cut.
func TestCutFiles(t *testing.T) {
	file := sample(t, 1, some...)
	last := 0
	for at := range len(file) {
		_, got, err := read(file[:at])
		if at == 0 {
			require.ErrorIs(t, err, ErrEmpty)
			continue
		}
		require.ErrorIs(t, err, ErrCut, "%d bytes", at)
		require.True(t, slices.Equal(some[:len(got)], got), "%d bytes", at)
		require.GreaterOrEqual(t, len(got), last)
		last = len(got)
	}
	require.Equal(t, len(some), last)
}

// Of a file in which a byte is another one nothing is read from there on, and never something else than was written.
func TestChangedFiles(t *testing.T) {
	file := sample(t, 1, some...)
	for at := range len(file) {
		changed := bytes.Clone(file)
		changed[at] ^= 0x20
		_, got, err := read(changed)
		require.Error(t, err)
		require.NotErrorIs(t, err, io.EOF, "byte %d", at)
		require.True(t, errors.Is(err, ErrChanged) || errors.Is(err, ErrCut) || errors.Is(err, ErrForeign), "byte %d: %v", at, err)
		require.True(t, slices.Equal(some[:len(got)], got), "byte %d", at)
	}
}

// Frames of one file do not count in another, nor in another order.
func TestMixedFiles(t *testing.T) {
	one, other := sample(t, 1, some...), sample(t, 2, some...)
	require.Len(t, other, len(one))
	for at := range len(one) {
		mixed := append(bytes.Clone(one[:at]), other[at:]...)
		_, got, err := read(mixed)
		if errors.Is(err, io.EOF) {
			require.True(t, bytes.Equal(mixed, other), "%d bytes", at) // the cut is before the first byte that differs
			continue
		}
		require.Error(t, err)
		require.True(t, slices.Equal(some[:len(got)], got), "%d bytes", at)
	}
	swapped := sample(t, 1, some[0], some[2], some[1])
	_, got, err := read(swapped)
	require.ErrorIs(t, err, io.EOF, "it was written so")
	require.Equal(t, some[2], got[1])
}

// Whoever has the seal of one writer can't open those of another.
func TestSealsOfOthers(t *testing.T) {
	r, err := NewReader(bytes.NewReader(sample(t, 1, some...)))
	require.NoError(t, err)
	require.NoError(t, r.Unlock(Seal{Size: 32, Open: func(_, _ []byte) bool { return false }}, nil))
	_, _, err = r.Next()
	require.ErrorIs(t, err, ErrChanged)
}

// What is behind the end does not count.
func TestNothingBehindTheEnd(t *testing.T) {
	_, got, err := read(append(sample(t, 1, some...), "and more"...))
	require.ErrorIs(t, err, io.EOF)
	require.Len(t, got, len(some)+1)
}

// FuzzReader reads what is no file: it ends, and holds no more than a frame.
func FuzzReader(f *testing.F) {
	f.Add(sample(f, 1, some...))
	f.Add([]byte(magic))
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, b []byte) {
		_, frames, err := read(b)
		require.Error(t, err)
		for _, x := range frames {
			require.LessOrEqual(t, len(x.Content), MaxFrame)
			switch x.Type {
			case TypeHeader:
				_, _ = Decode[Header]([]byte(x.Content))
			case TypeClock:
				_, _ = Decode[Clocks]([]byte(x.Content))
			case TypeEnd:
				_, _ = Decode[End]([]byte(x.Content))
			}
		}
		_, _ = Decode[Header](b)
		_, _ = Decode[Clocks](b)
		_, _ = Decode[Lacks](b)
		_, _ = Decode[[][]byte](b)
	})
}
