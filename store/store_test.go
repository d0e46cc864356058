package store

import (
	"errors"
	"fmt"
	"log/slog"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/stretchr/testify/require"
)

func TestCommitGetScan(t *testing.T) {
	s := mustOpen(t, Options{Dir: t.TempDir()})
	var b Batch
	b.Set([]byte("a/1"), []byte("one"))
	b.Set([]byte("a/2"), []byte("two"))
	b.Set([]byte("b/1"), nil)
	b.Set([]byte("\xff\xff"), []byte("last"))
	require.Equal(t, 4, b.Len())
	require.NoError(t, s.Commit(&b))
	require.Zero(t, b.Len(), "a committed batch is empty and may be used again")

	b.Delete([]byte("a/1"))
	b.Delete([]byte("never there"))
	b.Set([]byte("a/2"), []byte("II"))
	require.NoError(t, s.Commit(&b))

	v, found, err := s.Get([]byte("a/2"))
	require.NoError(t, err)
	require.True(t, found)
	require.Equal(t, "II", string(v))
	_, found, err = s.Get([]byte("a/1"))
	require.NoError(t, err)
	require.False(t, found)

	require.Equal(t, map[string]string{"a/2": "II"}, contents(t, s, "a/"))
	require.Equal(t, map[string]string{"\xff\xff": "last"}, contents(t, s, "\xff"))
	require.Equal(t, map[string]string{"a/2": "II", "b/1": "", "\xff\xff": "last"}, contents(t, s, ""), "the store's own keys are hidden")
}

func TestScanOrderAndErrors(t *testing.T) {
	s := mustOpen(t, small(vfs.NewMem()))
	for _, i := range []int{3, 1, 2} {
		require.NoError(t, set(s, fmt.Sprintf("k%d", i), "v"))
	}
	stop := errors.New("enough")
	var seen []string
	err := s.Scan([]byte("k"), func(k, _ []byte) error {
		// The function may write and read; the Scan does not see its writes.
		require.NoError(t, set(s, "k9", "late"))
		_, found, err := s.Get([]byte("k9"))
		require.NoError(t, err)
		require.True(t, found)
		seen = append(seen, string(k))
		if len(seen) == 2 {
			return stop
		}
		return nil
	})
	require.Same(t, stop, err)
	require.Equal(t, []string{"k1", "k2"}, seen)
}

func TestBatchRefusesMistakes(t *testing.T) {
	s := mustOpen(t, small(vfs.NewMem()))
	for name, fill := range map[string]func(b *Batch){
		"empty key":    func(b *Batch) { b.Set(nil, []byte("v")) },
		"own key":      func(b *Batch) { b.Delete([]byte("\x00id")) },
		"long key":     func(b *Batch) { b.Set(make([]byte, 1+maxKey), nil) },
		"large batch":  func(b *Batch) { b.Set([]byte("k"), make([]byte, maxBatch)) },
		"after others": func(b *Batch) { b.Set([]byte("k"), []byte("v")); b.Set(nil, nil); b.Set([]byte("l"), nil) },
	} {
		var b Batch
		fill(&b)
		require.Error(t, s.Commit(&b), name)
		require.Empty(t, contents(t, s, ""), "%s: an invalid batch writes nothing", name)
		b.Set([]byte("k"), []byte("v"))
		b.Delete([]byte("k"))
		require.NoError(t, s.Commit(&b), "%s: the batch is usable again", name)
	}
	var empty Batch
	require.NoError(t, s.Commit(&empty))
	require.NoError(t, s.Scan([]byte{0}, func(k, _ []byte) error { return fmt.Errorf("own key %q is visible", k) }))
	_, found, err := s.Get([]byte("\x00format"))
	require.NoError(t, err)
	require.False(t, found)
}

func TestLargeBatchesAndReuse(t *testing.T) {
	mem := vfs.NewCrashableMem()
	s := mustOpen(t, small(mem))
	var b Batch
	want := map[string]string{}
	for i := range 5 { // each is far larger than the memory table, so Pebble keeps the batch itself
		for j := range 40 {
			k, v := fmt.Sprintf("%d/%d", i, j), strings.Repeat(text(i*j), 1000)
			b.Set([]byte(k), []byte(v))
			want[k] = v
		}
		require.NoError(t, s.Commit(&b))
	}
	require.Equal(t, want, contents(t, s, ""))
	require.Equal(t, want, contents(t, mustOpen(t, small(crashed(mem, 0, 1))), ""))
}

func TestClosed(t *testing.T) {
	s := mustOpen(t, small(vfs.NewMem()))
	require.NoError(t, s.Close())
	require.NoError(t, s.Close(), "closing twice does nothing")
	require.ErrorIs(t, set(s, "k", "v"), ErrClosed)
	_, _, err := s.Get([]byte("k"))
	require.ErrorIs(t, err, ErrClosed)
	require.ErrorIs(t, s.Scan(nil, nil), ErrClosed)
	_, _, err = s.Blobs().Put(ctx(t), strings.NewReader("x"), limit)
	require.ErrorIs(t, err, ErrClosed)
	_, err = s.Blobs().Open(strings.Repeat("0", 64))
	require.ErrorIs(t, err, ErrClosed)
	_, err = s.Identify("a", "", time.Unix(1_800_000_000, 0), strings.NewReader("01234"))
	require.ErrorIs(t, err, ErrClosed)
}

func TestOpenRefusesAFile(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	require.NoError(t, os.WriteFile(file, nil, 0o600))
	_, err := Open(Options{Dir: file})
	require.ErrorContains(t, err, "it is a file, not a directory")
	_, err = Open(Options{Dir: filepath.Join(file, "below")})
	require.Error(t, err)
	_, err = Open(Options{})
	require.ErrorContains(t, err, "no data directory")
	_, err = Open(Options{Dir: "x", CacheSize: -1})
	require.ErrorContains(t, err, "negative")
}

func TestOpenMakesParents(t *testing.T) {
	mem := vfs.NewCrashableMem()
	o := small(mem)
	o.Dir = "/a/b/c"
	s := mustOpen(t, o)
	require.NoError(t, set(s, "k", "v"))
	o.FS = crashed(mem, 0, 1)
	require.Equal(t, map[string]string{"k": "v"}, contents(t, mustOpen(t, o), ""), "every parent directory is durable")
}

func TestLockConflict(t *testing.T) {
	for name, o := range map[string]Options{"memory": small(vfs.NewMem()), "disk": {Dir: t.TempDir()}} {
		s := mustOpen(t, o)
		_, err := Open(o)
		require.ErrorIs(t, err, errInUse, name)
		require.ErrorContains(t, err, "is in use by another ucp agent", name)
		require.NoError(t, s.Close())
		mustOpen(t, o)
	}
}

// TestLockConflictOfProcesses runs this test binary again as the other agent.
func TestLockConflictOfProcesses(t *testing.T) {
	if dir := os.Getenv("STORE_TEST_DIR"); dir != "" {
		_, err := Open(Options{Dir: dir})
		require.ErrorIs(t, err, errInUse)
		return
	}
	dir := t.TempDir()
	s := mustOpen(t, Options{Dir: dir})
	other := exec.CommandContext(ctx(t), os.Args[0], "-test.run=^TestLockConflictOfProcesses$")
	other.Env = append(os.Environ(), "STORE_TEST_DIR="+dir)
	out, err := other.CombinedOutput()
	require.NoError(t, err, "%s", out)
	require.NoError(t, set(s, "k", "v"), "the first store still works")
}

func TestNewerFormats(t *testing.T) {
	mem := vfs.NewMem()
	s := mustOpen(t, small(mem))
	var b Batch
	b.setOwn(formatKey, []byte("2"))
	require.NoError(t, s.Commit(&b))
	require.NoError(t, s.Close())
	_, err := Open(small(mem))
	require.ErrorIs(t, err, errNewerFormat)
	require.ErrorContains(t, err, "run that version")

	mem = vfs.NewMem()
	require.NoError(t, mustOpen(t, small(mem)).Close())
	newer := fmt.Sprintf("/data/db/marker.format-version.900000.%03d", pebble.FormatNewest+90)
	f, err := mem.Create(newer, vfs.WriteCategoryUnspecified)
	require.NoError(t, err)
	require.NoError(t, f.Close())
	_, err = Open(small(mem))
	require.ErrorIs(t, err, errNewerFormat)
}

func TestFormatIsPinned(t *testing.T) {
	s := mustOpen(t, small(vfs.NewMem()))
	require.Equal(t, databaseFormat, s.db.FormatMajorVersion())
}

func TestFree(t *testing.T) {
	mem := vfs.NewMem()
	s := mustOpen(t, small(mem))
	free, err := s.Free()
	require.NoError(t, err)
	require.Equal(t, uint64(math.MaxUint64), free, "a file system that cannot tell counts as empty")
	mem.TestingSetDiskUsage(vfs.DiskUsage{AvailBytes: 17, TotalBytes: 100, UsedBytes: 83})
	free, err = s.Free()
	require.NoError(t, err)
	require.Equal(t, uint64(17), free)

	free, err = mustOpen(t, Options{Dir: t.TempDir()}).Free()
	require.NoError(t, err)
	require.Positive(t, free)
}

func TestLogs(t *testing.T) {
	var out strings.Builder
	o := small(vfs.NewMem())
	o.Logger = slog.New(slog.NewTextHandler(&out, &slog.HandlerOptions{Level: slog.LevelDebug}))
	require.NoError(t, mustOpen(t, o).Close())
	require.Contains(t, out.String(), "level=DEBUG")
	require.NotContains(t, out.String(), "level=ERROR")
}

// A data directory that was made before, open to all, is closed to others.
func TestDataDirectoryIsPrivate(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "data")
	require.NoError(t, os.Mkdir(dir, 0o700))
	require.NoError(t, os.Chmod(dir, 0o755))
	s, err := Open(Options{Dir: dir})
	require.NoError(t, err)
	defer func() { require.NoError(t, s.Close()) }()
	info, err := os.Stat(dir)
	require.NoError(t, err)
	require.Equal(t, os.FileMode(0o700), info.Mode().Perm())
}
