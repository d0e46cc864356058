package store

import (
	"context"
	"io"
	"strings"
	"sync"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/stretchr/testify/require"
)

func none(string) bool { return false }

// damage changes one byte of a blob's file, as a failing disk does: the file's size and time stay the same.
func damage(t *testing.T, mem *vfs.MemFS, digest string) {
	data, err := mem.UnsafeGetFileDataBuffer("/data/blobs/" + digest[:2] + "/" + digest[2:])
	require.NoError(t, err)
	data[len(data)/2] ^= 0x10
}

// TestSweep checks rules L8 and T1: a blob that no record names is removed, unless it was stored or used since the
// Sweep before the last one. The dates of files play no part.
func TestSweep(t *testing.T) {
	mem := vfs.NewMem()
	s := mustOpen(t, small(mem))
	b := s.Blobs()
	named, lost := put(t, b, "named"), put(t, b, "lost")
	sweep := func() (int, int64) {
		n, size, err := b.Sweep(ctx(t), func(d string) bool { return d == named })
		require.NoError(t, err)
		return n, size
	}
	n, _ := sweep()
	require.Zero(t, n, "what was just stored stays")
	n, _ = sweep()
	require.Equal(t, 1, n)
	require.Equal(t, map[string]int64{named: 5}, list(t, b))
	require.ErrorIs(t, b.Sound(ctx(t), lost), ErrNotFound)

	// Each use of a blob keeps it during the next Sweep, but not during the second.
	for name, use := range map[string]func(d string){
		"Touch":          func(d string) { _, here := b.Touch(d); require.True(t, here) },
		"Put":            func(string) { put(t, b, "relied on") },
		"PutExpect":      func(d string) { require.NoError(t, b.PutExpect(ctx(t), d, strings.NewReader(""), limit)) },
		"Sound":          func(d string) { require.NoError(t, b.Sound(ctx(t), d)) },
		"Sound, cached":  func(d string) { require.NoError(t, b.Sound(ctx(t), d)); require.NoError(t, b.Sound(ctx(t), d)) },
		"Touch, and Put": func(d string) { b.Touch(d); put(t, b, "relied on") },
	} {
		d := put(t, b, "relied on")
		sweep() // of the time before, in which it was stored
		use(d)
		n, _ := sweep()
		require.Zero(t, n, name)
		n, size := sweep()
		require.Equal(t, 1, n, name)
		require.EqualValues(t, len("relied on"), size)
	}
	_, here := b.Has(digestOf("named"))
	require.True(t, here, "the blob is still there")

	// A start forgets what was used before it: its first Sweep, which is not before the blobs' grace, removes what
	// nobody has used since.
	idle, used := put(t, b, "idle"), put(t, b, "used")
	require.NoError(t, s.Close())
	b = mustOpen(t, small(mem)).Blobs()
	b.Touch(used)
	n, _ = sweep()
	require.Equal(t, 1, n)
	require.ErrorIs(t, b.Sound(ctx(t), idle), ErrNotFound)
	require.NoError(t, b.Sound(ctx(t), used))
}

// TestSweepStops checks that a Sweep ends with its context, and with an error of the store.
func TestSweepStops(t *testing.T) {
	s := mustOpen(t, small(vfs.NewMem()))
	b := s.Blobs()
	put(t, b, "x")
	over, cancel := context.WithCancel(ctx(t))
	cancel()
	_, _, err := b.Sweep(over, none)
	require.ErrorIs(t, err, context.Canceled)
	require.Len(t, list(t, b), 1)
	require.NoError(t, s.Close())
	_, _, err = b.Sweep(ctx(t), none)
	require.ErrorIs(t, err, ErrClosed)
}

// TestSweepAgainstPutAndTouch checks that a blob that a Touch or Put has confirmed is not removed by a concurrent
// Sweep.
func TestSweepAgainstPutAndTouch(t *testing.T) {
	b := mustOpen(t, small(vfs.NewMem())).Blobs()
	content := []string{"a", "b", "c", "d"}
	for range 100 {
		sweepers, users := sync.WaitGroup{}, sync.WaitGroup{}
		for i, c := range content {
			users.Go(func() {
				d := digestOf(c)
				if i%2 == 0 {
					if _, _, err := b.Put(ctx(t), strings.NewReader(c), limit); err != nil {
						t.Error(err)
					}
				} else if _, here := b.Touch(d); !here {
					return
				}
				if _, here := b.Has(d); !here {
					t.Errorf("%q was confirmed and is missing", c)
				}
			})
		}
		sweepers.Go(func() {
			if _, _, err := b.Sweep(ctx(t), none); err != nil {
				t.Error(err)
			}
		})
		sweepers.Wait()
		users.Wait()
		for i, c := range content {
			if _, here := b.Has(digestOf(c)); i%2 == 0 {
				require.True(t, here, "it was put meanwhile")
			} else if !here {
				put(t, b, c)
			}
		}
		_, _, err := b.Sweep(ctx(t), none) // forgets that the blobs were used
		require.NoError(t, err)
	}
	require.Empty(t, b.renaming)
}

// TestSweepBetweenLookAndRemoval tests the one place where a Sweep could be wrong: it has found that no
// record names a blob, and then the blob is touched.
func TestSweepBetweenLookAndRemoval(t *testing.T) {
	b := mustOpen(t, small(vfs.NewMem())).Blobs()
	d := put(t, b, "x")
	_, _, err := b.Sweep(ctx(t), none)
	require.NoError(t, err)
	n, _, err := b.Sweep(ctx(t), func(string) bool {
		_, here := b.Touch(d) // during the Sweep, after it has begun a new set of used blobs
		require.True(t, here)
		return false
	})
	require.NoError(t, err)
	require.Zero(t, n)
	require.Equal(t, "x", read(t, b, d))
}

// TestSoundFindsDamage checks that the first Sound after Open compares the content, so that damage that happened
// before is never passed on. Later calls only stat the file, until it changes.
func TestSoundFindsDamage(t *testing.T) {
	mem := vfs.NewMem()
	s := mustOpen(t, small(mem))
	content := strings.Repeat("a map of the flood, ", 10_000)
	d := put(t, s.Blobs(), content)
	require.NoError(t, s.Blobs().Sound(ctx(t), d))
	require.NoError(t, s.Close())

	damage(t, mem, d)
	b := mustOpen(t, small(mem)).Blobs()
	size, here := b.Has(d)
	require.True(t, here, "its file is there")
	require.EqualValues(t, len(content), size)
	var damaged *CorruptBlobError
	require.ErrorAs(t, b.Sound(ctx(t), d), &damaged)
	require.Equal(t, d, damaged.Digest)
	_, here = b.Has(d)
	require.False(t, here, "it counts as absent now")
	_, err := b.Open(d)
	require.ErrorIs(t, err, ErrNotFound)
	require.ErrorIs(t, b.Sound(ctx(t), d), ErrNotFound)

	// What is put in its place is sound. It is compared again, because the file is another one.
	require.NoError(t, b.PutExpect(ctx(t), d, strings.NewReader(content), limit))
	require.NoError(t, b.Sound(ctx(t), d))
	require.Equal(t, content, read(t, b, d))
}

// TestDamagedFilesGo checks that what was moved aside is kept for a look, and not for good.
func TestDamagedFilesGo(t *testing.T) {
	mem := vfs.NewMem()
	s := mustOpen(t, small(mem))
	aside := func() []string {
		names, err := mem.List("/data/blobs/corrupt")
		require.NoError(t, err)
		return names
	}
	spoil := func(content string) {
		d := put(t, s.Blobs(), content)
		damage(t, mem, d)
		require.ErrorIs(t, s.Blobs().Sound(ctx(t), d), errCorrupt)
	}
	sweep := func() {
		_, _, err := s.Blobs().Sweep(ctx(t), func(string) bool { return true })
		require.NoError(t, err)
	}
	spoil("x")
	sweep()
	require.Len(t, aside(), 1)
	spoil("y")
	sweep()
	require.Len(t, aside(), 1, "the first has gone")
	require.NoError(t, s.Close())
	s = mustOpen(t, small(mem))
	sweep()
	require.Len(t, aside(), 1, "nobody has looked since the start")
	sweep()
	require.Empty(t, aside())
}

// TestSoundEveryByte checks that a flipped bit in any byte of a blob is found.
func TestSoundEveryByte(t *testing.T) {
	mem := vfs.NewMem()
	b := mustOpen(t, small(mem)).Blobs()
	content := "the bridge at mile 7 is closed"
	for at := range len(content) {
		d := put(t, b, content)
		data, err := mem.UnsafeGetFileDataBuffer("/data/blobs/" + d[:2] + "/" + d[2:])
		require.NoError(t, err)
		data[at] ^= 1 << (at % 8)
		require.ErrorIs(t, b.Sound(ctx(t), d), errCorrupt, "byte %d", at)
	}
}

// TestSoundIsCheap checks that no content is read after the first check.
func TestSoundIsCheap(t *testing.T) {
	reads := &countingFS{FS: vfs.NewMem()}
	b := mustOpen(t, small(reads)).Blobs()
	d := put(t, b, "x")
	require.NoError(t, b.Sound(ctx(t), d))
	before := reads.opened
	for range 10 {
		require.NoError(t, b.Sound(ctx(t), d))
	}
	require.Equal(t, before, reads.opened)
	require.ErrorIs(t, b.Sound(ctx(t), "no digest"), errBadDigest)
	_, here := b.Touch("no digest")
	require.False(t, here)
}

// countingFS counts the files that are opened for reading.
type countingFS struct {
	vfs.FS
	opened int
}

func (c *countingFS) Open(name string, opts ...vfs.OpenOption) (vfs.File, error) {
	c.opened++
	return c.FS.Open(name, opts...)
}

// TestSoundEndsWithItsContext checks that the check of a large blob ends with its context.
func TestSoundEndsWithItsContext(t *testing.T) {
	b := mustOpen(t, small(vfs.NewMem())).Blobs()
	d, _, err := b.Put(ctx(t), io.LimitReader(strings.NewReader(strings.Repeat("x", 4<<20)), 4<<20), 8<<20)
	require.NoError(t, err)
	over, cancel := context.WithCancel(ctx(t))
	cancel()
	require.ErrorIs(t, b.Sound(over, d), context.Canceled)
	require.NoError(t, b.Sound(ctx(t), d), "the cancelled check says nothing about the content")
}
