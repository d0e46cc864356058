package store

import (
	"fmt"
	"strings"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/stretchr/testify/require"
)

// What has come of a blob stays when a transfer breaks and when the process ends, and becomes the blob when the rest has come.
func TestPartial(t *testing.T) {
	for name, o := range map[string]Options{"memory": small(vfs.NewMem()), "disk": {Dir: t.TempDir()}} {
		t.Run(name, func(t *testing.T) {
			s := mustOpen(t, o)
			content := strings.Repeat("large", 100_000)
			d := digestOf(content)
			p, err := s.Blobs().Resume(d)
			require.NoError(t, err)
			require.Zero(t, p.Len())
			_, err = s.Blobs().Resume(d)
			require.ErrorIs(t, err, ErrBusy)
			require.NoError(t, p.Append(ctx(t), strings.NewReader(content[:200_000]), 0, limit))
			require.NoError(t, p.Close())
			require.EqualValues(t, 200_000, s.Blobs().Came(d))
			_, here := s.Blobs().Has(d)
			require.False(t, here)

			require.NoError(t, s.Close())
			s = mustOpen(t, o)
			p, err = s.Blobs().Resume(d)
			require.NoError(t, err)
			require.EqualValues(t, 200_000, p.Len())
			require.ErrorContains(t, p.Finish(ctx(t)), "was announced")
			require.ErrorIs(t, p.Append(ctx(t), strings.NewReader(content), p.Len(), 300_000), ErrTooLarge)
			at := p.Len()
			require.NoError(t, p.Append(ctx(t), strings.NewReader(content[at:]), at, limit))
			require.NoError(t, p.Finish(ctx(t)))
			require.NoError(t, p.Close())
			require.Equal(t, content, read(t, s.Blobs(), d))
			require.Empty(t, files(t, s.Blobs(), "part"))
			require.Zero(t, s.Blobs().Came(d))
		})
	}
}

// Parts may come in any order, and be written twice.
func TestPartialOutOfOrder(t *testing.T) {
	b := mustOpen(t, small(vfs.NewMem())).Blobs()
	content := strings.Repeat("0123456789", 100)
	p, err := b.Resume(digestOf(content))
	require.NoError(t, err)
	for _, part := range [][2]int{{0, 300}, {500, 1000}, {100, 200}, {300, 500}} {
		_, err := p.WriteAt([]byte(content[part[0]:part[1]]), int64(part[0]))
		require.NoError(t, err)
	}
	require.NoError(t, p.Finish(ctx(t)))
	require.NoError(t, p.Close())
	require.Equal(t, content, read(t, b, digestOf(content)))
}

// A part with wrong bytes becomes no blob, and can begin again.
func TestPartialOfOtherBytes(t *testing.T) {
	b := mustOpen(t, small(vfs.NewMem())).Blobs()
	p, err := b.Resume(digestOf("right"))
	require.NoError(t, err)
	require.NoError(t, p.Append(ctx(t), strings.NewReader("wrong!!"), 0, limit))
	var mismatch *MismatchError
	require.ErrorAs(t, p.Finish(ctx(t)), &mismatch)
	require.NoError(t, p.Reset())
	require.Zero(t, p.Len())
	require.NoError(t, p.Append(ctx(t), strings.NewReader("right"), 0, limit))
	require.NoError(t, p.Finish(ctx(t)))
	require.NoError(t, p.Close())
	require.Equal(t, "right", read(t, b, digestOf("right")))
}

// There are so many parts and no more, also after a start; those in use stay, and the disk gets all others back when it is
// short.
func TestPartialsAreBounded(t *testing.T) {
	mem := vfs.NewMem()
	s := mustOpen(t, small(mem))
	part := func(i int) *Partial {
		p, err := s.Blobs().Resume(digestOf(text(i)))
		require.NoError(t, err)
		require.NoError(t, p.Append(ctx(t), strings.NewReader("12345"), 0, limit))
		return p
	}
	used := part(0)
	for i := 1; i < maxPartials+10; i++ {
		require.NoError(t, part(i).Close())
	}
	require.Len(t, files(t, s.Blobs(), "part"), maxPartials)
	require.Zero(t, s.Blobs().Came(digestOf(text(1))), "the one that was used the longest time ago has gone")
	require.EqualValues(t, 5, s.Blobs().Came(digestOf(text(maxPartials))))
	require.EqualValues(t, 10, s.Blobs().FreePartials(6))
	require.EqualValues(t, 5*(maxPartials-3), s.Blobs().FreePartials(1<<40))
	require.Len(t, files(t, s.Blobs(), "part"), 1, "one is in use")
	require.NoError(t, used.Close())
	require.NoError(t, s.Close())

	for i := range maxPartials + 10 {
		for _, name := range []string{digestOf(fmt.Sprint("x", i)), digestOf(fmt.Sprint("x", i)) + ".list", fmt.Sprint("odd", i)} {
			f, err := mem.Create("/data/blobs/part/"+name, vfs.WriteCategoryUnspecified)
			require.NoError(t, err)
			require.NoError(t, f.Close())
		}
	}
	s = mustOpen(t, small(mem))
	require.LessOrEqual(t, len(files(t, s.Blobs(), "part")), 2*maxPartials)
	for i := range maxPartials {
		require.NoError(t, part(i).Close())
	}
	require.LessOrEqual(t, len(files(t, s.Blobs(), "part")), maxPartials)
}

// A part that nobody uses is swept as a blob is, unless a record names the blob.
func TestPartialsAreSwept(t *testing.T) {
	b := mustOpen(t, small(vfs.NewMem())).Blobs()
	for _, name := range []string{"idle", "named", "came"} {
		p, err := b.Resume(digestOf(name))
		require.NoError(t, err)
		require.NoError(t, p.Append(ctx(t), strings.NewReader("12"), 0, limit))
		require.NoError(t, p.Close())
	}
	put(t, b, "came")
	keep := func(d string) bool { return d == digestOf("named") || d == digestOf("came") }
	sweep := func(want ...string) {
		_, _, err := b.Sweep(ctx(t), keep)
		require.NoError(t, err)
		names := []string{}
		for _, x := range want {
			names = append(names, digestOf(x))
		}
		require.ElementsMatch(t, names, files(t, b, "part"))
	}
	sweep("idle", "named", "came")
	sweep("named")
	sweep("named")
}
