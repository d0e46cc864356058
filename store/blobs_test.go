package store

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io"
	"io/fs"
	"os"
	"strings"
	"sync"
	"testing"
	"testing/iotest"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/stretchr/testify/require"
)

func digestOf(content string) string {
	sum := sha256.Sum256([]byte(content))
	return hex.EncodeToString(sum[:])
}

// files lists the files in a directory below that of the blobs.
func files(t *testing.T, b *Blobs, dir string) []string {
	names, err := b.fs.List(b.fs.PathJoin(b.dir, dir))
	require.NoError(t, err)
	return names
}

func put(t *testing.T, b *Blobs, content string) string {
	d, size, err := b.Put(ctx(t), strings.NewReader(content), limit)
	require.NoError(t, err)
	require.Equal(t, digestOf(content), d)
	require.EqualValues(t, len(content), size)
	return d
}

func read(t *testing.T, b *Blobs, digest string) string {
	blob, err := b.Open(digest)
	require.NoError(t, err)
	defer func() { require.NoError(t, blob.Close()) }()
	data, err := io.ReadAll(blob)
	require.NoError(t, err)
	require.EqualValues(t, len(data), blob.Size())
	return string(data)
}

func TestBlobs(t *testing.T) {
	for name, o := range map[string]Options{"memory": small(vfs.NewMem()), "disk": {Dir: t.TempDir()}} {
		t.Run(name, func(t *testing.T) {
			s := mustOpen(t, o)
			b := s.Blobs()
			want := map[string]int64{}
			for _, content := range []string{"", "x", strings.Repeat("large", 100_000)} {
				d := put(t, b, content)
				require.Equal(t, d, put(t, b, content), "the same content has the same digest")
				require.Equal(t, content, read(t, b, d))
				size, here := b.Has(d)
				require.True(t, here)
				require.EqualValues(t, len(content), size)
				require.NoError(t, b.verify(ctx(t), d))
				want[d] = size
			}
			require.Equal(t, want, list(t, b))
			require.Empty(t, files(t, b, "tmp"), "nothing temporary is left")

			require.NoError(t, s.Close())
			b = mustOpen(t, o).Blobs()
			require.Equal(t, want, list(t, b), "they survive a restart")
			gone := digestOf("x")
			require.NoError(t, remove(b, gone))
			_, here := b.Has(gone)
			require.False(t, here)
			_, err := b.Open(gone)
			require.ErrorIs(t, err, ErrNotFound)
			require.ErrorIs(t, b.verify(ctx(t), gone), ErrNotFound)
			_, err = b.Path(gone)
			require.Error(t, err)
		})
	}
}

// remove deletes a blob, as a Sweep does.
func remove(b *Blobs, digest string) error {
	d, err := parseDigest(digest)
	if err != nil {
		return err
	}
	defer b.lockName(d)()
	return b.fs.Remove(b.path(d))
}

func list(t *testing.T, b *Blobs) map[string]int64 {
	got := map[string]int64{}
	require.NoError(t, b.list(func(d string, size int64) error {
		got[d] = size
		return nil
	}))
	return got
}

func TestBlobSeek(t *testing.T) {
	b := mustOpen(t, small(vfs.NewMem())).Blobs()
	blob, err := b.Open(put(t, b, "0123456789"))
	require.NoError(t, err)
	_, err = blob.Seek(-3, io.SeekEnd)
	require.NoError(t, err)
	rest, err := io.ReadAll(blob)
	require.NoError(t, err)
	require.Equal(t, "789", string(rest))
	require.NoError(t, blob.Close())
}

func TestBlobPath(t *testing.T) {
	b := mustOpen(t, Options{Dir: t.TempDir()}).Blobs()
	path, err := b.Path(put(t, b, "content"))
	require.NoError(t, err)
	data, err := os.ReadFile(path)
	require.NoError(t, err)
	require.Equal(t, "content", string(data))

	b = mustOpen(t, small(vfs.NewMem())).Blobs()
	_, err = b.Path(put(t, b, "content"))
	require.ErrorIs(t, err, errNoPath)
}

// TestBadDigests checks that no string but a digest becomes a path.
func TestBadDigests(t *testing.T) {
	b := mustOpen(t, Options{Dir: t.TempDir()}).Blobs()
	good := put(t, b, "x")
	for _, bad := range []string{
		"", "x", good[:63], good + "0", strings.ToUpper(good), " " + good[1:], "g" + good[1:],
		"../../../../../../../../../../../../../../../../etc/passwd00000000", strings.Repeat("/", 64), strings.Repeat(".", 64),
	} {
		_, err := b.Open(bad)
		require.ErrorIs(t, err, errBadDigest, "%q", bad)
		_, err = b.Path(bad)
		require.ErrorIs(t, err, errBadDigest)

		require.ErrorIs(t, b.verify(ctx(t), bad), errBadDigest)
		require.ErrorIs(t, b.PutExpect(ctx(t), bad, strings.NewReader("x"), limit), errBadDigest)
		_, here := b.Has(bad)
		require.False(t, here)
	}
}

// TestPutRefuses checks that nothing is stored if an upload fails, for whatever reason.
func TestPutRefuses(t *testing.T) {
	b := mustOpen(t, small(vfs.NewMem())).Blobs()
	broken := errors.New("connection reset")
	over, cancel := context.WithCancel(ctx(t))
	cancel()

	_, _, err := b.Put(ctx(t), strings.NewReader(strings.Repeat("x", 101)), 100)
	require.ErrorIs(t, err, ErrTooLarge)
	_, _, err = b.Put(ctx(t), io.MultiReader(strings.NewReader("half"), iotest.ErrReader(broken)), limit)
	require.ErrorIs(t, err, broken)
	_, _, err = b.Put(over, strings.NewReader("x"), limit)
	require.ErrorIs(t, err, context.Canceled)

	err = b.PutExpect(ctx(t), digestOf("good"), strings.NewReader("evil"), limit)
	var mismatch *MismatchError
	require.ErrorAs(t, err, &mismatch)
	require.Equal(t, MismatchError{Want: digestOf("good"), Got: digestOf("evil")}, *mismatch)
	require.ErrorContains(t, err, "send it again")

	require.Empty(t, list(t, b))
	require.Empty(t, files(t, b, "tmp"))

	_, _, err = b.Put(ctx(t), strings.NewReader(strings.Repeat("x", 100)), 100)
	require.NoError(t, err, "exactly the limit fits")
	require.NoError(t, b.PutExpect(ctx(t), digestOf("good"), iotest.OneByteReader(strings.NewReader("good")), 4))
	require.NoError(t, b.PutExpect(ctx(t), digestOf("good"), iotest.ErrReader(broken), 0), "a blob that is here is not read again")
}

func TestPutByMany(t *testing.T) {
	s := mustOpen(t, Options{Dir: t.TempDir()})
	b := s.Blobs()
	contents := make([]string, 10)
	for i := range contents {
		contents[i] = strings.Repeat(text(i), 1+i*1000)
	}
	var wg sync.WaitGroup
	for range 20 {
		wg.Go(func() {
			for _, c := range contents {
				if _, _, err := b.Put(ctx(t), strings.NewReader(c), limit); err != nil {
					t.Error(err)
				}
				// Once a Put has returned, every goroutine sees the whole blob.
				blob, err := b.Open(digestOf(c))
				if err != nil {
					t.Error(err)
					continue
				}
				got, err := io.ReadAll(blob)
				if err != nil || string(got) != c {
					t.Errorf("blob is not whole: %v", err)
				}
				if err := blob.Close(); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	require.Len(t, list(t, b), len(contents))
	require.Empty(t, files(t, b, "tmp"))
	require.Empty(t, b.renaming)
	require.Empty(t, b.hidden)
}

// TestPutAndRemoveByMany checks that Puts and removals of the same blob leave nothing behind.
func TestPutAndRemoveByMany(t *testing.T) {
	b := mustOpen(t, small(vfs.NewMem())).Blobs()
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for range 50 {
				if _, _, err := b.Put(ctx(t), strings.NewReader("x"), limit); err != nil {
					t.Error(err)
				}
				if err := remove(b, digestOf("x")); err != nil && !errors.Is(err, fs.ErrNotExist) {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	require.Empty(t, list(t, b))
	require.Empty(t, b.renaming)
	require.Empty(t, b.hidden)
	require.Equal(t, "x", read(t, b, put(t, b, "x")))
}

func TestVerifyMovesDamagedAside(t *testing.T) {
	mem := vfs.NewMem()
	b := mustOpen(t, small(mem)).Blobs()
	d := put(t, b, "content")
	data, err := mem.UnsafeGetFileDataBuffer("/data/blobs/" + d[:2] + "/" + d[2:])
	require.NoError(t, err)
	data[0] = 'C'

	err = b.verify(ctx(t), d)
	require.ErrorIs(t, err, errCorrupt)
	var damaged *CorruptBlobError
	require.ErrorAs(t, err, &damaged)
	require.Equal(t, d, damaged.Digest)
	require.Equal(t, digestOf("Content"), damaged.Got)
	_, here := b.Has(d)
	require.False(t, here, "a damaged blob counts as absent")
	kept, err := mem.UnsafeGetFileDataBuffer(damaged.Aside)
	require.NoError(t, err)
	require.Equal(t, "Content", string(kept))
	require.Empty(t, list(t, b))

	put(t, b, "content")
	require.NoError(t, b.verify(ctx(t), d), "it can be fetched again")
	over, cancel := context.WithCancel(ctx(t))
	cancel()
	require.ErrorIs(t, b.verify(over, d), context.Canceled)
}

func TestListStops(t *testing.T) {
	b := mustOpen(t, small(vfs.NewMem())).Blobs()
	put(t, b, "a")
	put(t, b, "b")
	stop := errors.New("enough")
	calls := 0
	require.Same(t, stop, b.list(func(string, int64) error { calls++; return stop }))
	require.Equal(t, 1, calls)
}

// TestOpenBlobSurvivesItsRemoval checks that a blob that is open when it is removed can be read to its end.
func TestOpenBlobSurvivesItsRemoval(t *testing.T) {
	b := mustOpen(t, Options{Dir: t.TempDir()}).Blobs()
	content := bytes.Repeat([]byte("x"), 1<<20)
	blob, err := b.Open(put(t, b, string(content)))
	require.NoError(t, err)
	require.NoError(t, remove(b, digestOf(string(content))))
	got, err := io.ReadAll(blob)
	require.NoError(t, err)
	require.Equal(t, content, got)
	require.NoError(t, blob.Close())
}
