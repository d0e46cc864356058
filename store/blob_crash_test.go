package store

import (
	"io"
	"strings"
	"syscall"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"
	"github.com/stretchr/testify/require"
)

// blobText returns the content of the i-th blob: several blocks, so that it could be torn.
func blobText(i int) string { return strings.Repeat(text(i), 3000) }

// TestBlobPowerCutAnywhere cuts the power before every step of a series of Puts (rules
// A1, J11). Every blob whose Put had returned is here and intact, every other blob is here
// and intact or not here at all, and no temporary file survives the next Open.
func TestBlobPowerCutAnywhere(t *testing.T) {
	const blobs = 12
	mem := vfs.NewCrashableMem()
	p := &powerCuts{mem: mem, every: 1}
	s := mustOpen(t, small(errorfs.Wrap(mem, errorfs.InjectorFunc(p.before))))
	for i := 1; i <= blobs; i++ {
		put(t, s.Blobs(), blobText(i))
		p.promise(i)
	}
	require.NoError(t, s.Close())

	for _, cut := range p.cuts {
		s, err := Open(small(cut.fs))
		require.NoError(t, err, "power cut before %s", cut.op)
		b := s.Blobs()
		for i := 1; i <= blobs; i++ {
			d := digestOf(blobText(i))
			_, here := b.Has(d)
			require.True(t, here || i > cut.promised, "power cut before %s: blob %d of %d is lost", cut.op, i, cut.promised)
			if here {
				require.NoError(t, b.verify(ctx(t), d), "power cut before %s: blob %d is torn", cut.op, i)
			}
		}
		require.Empty(t, files(t, b, "tmp"), "power cut before %s", cut.op)
		require.NoError(t, s.Close())
	}
	t.Logf("%d power cuts", len(p.cuts))
}

// TestBlobNotHereBeforeDurable checks that the store never confirms a blob that a power
// cut at the same moment would lose (rule A1).
func TestBlobNotHereBeforeDurable(t *testing.T) {
	mem := vfs.NewCrashableMem()
	var s *Store
	d := digestOf(blobText(1))
	confirmed := 0
	look := func(op errorfs.Op) error {
		if s == nil || !changes(op) || op.Kind == errorfs.OpRemove {
			return nil
		}
		// has does not change the disk, so it may be called in here. It waits for a lock
		// that is held while a directory is made.
		if !s.blobs.mu.TryLock() {
			return nil
		}
		s.blobs.mu.Unlock()
		if _, here := s.blobs.Has(d); here {
			confirmed++
			after, err := Open(small(crashed(mem, 0, 1)))
			if err != nil {
				return err
			}
			defer func() { _ = after.Close() }()
			if _, here := after.Blobs().Has(d); !here {
				t.Errorf("confirmed before %v %s, and lost", op.Kind, op.Path)
			}
		}
		return nil
	}
	opened := mustOpen(t, small(errorfs.Wrap(mem, errorfs.InjectorFunc(look))))
	s = opened
	put(t, s.Blobs(), blobText(1))
	put(t, s.Blobs(), blobText(2))
	s = nil
	require.Positive(t, confirmed, "the test must have checked after the first Put")
}

// TestBlobKillThenPowerCut checks that a rename that survived a killed process only in
// memory is made durable by the next Open before the blob is confirmed.
func TestBlobKillThenPowerCut(t *testing.T) {
	mem := vfs.NewCrashableMem()
	block := errorfs.Toggle{Injector: errorfs.InjectorFunc(func(op errorfs.Op) error {
		if op.Kind == errorfs.OpFileSync && strings.HasPrefix(op.Path, "/data/blobs/") && len(op.Path) == len("/data/blobs/ab") {
			return syscall.EIO
		}
		return nil
	})}
	s := mustOpen(t, small(errorfs.Wrap(mem, &block)))
	other := 0 // a blob in the same directory, so that the directory exists
	for digestOf(text(other))[:2] != digestOf("x")[:2] {
		other++
	}
	put(t, s.Blobs(), text(other))
	block.On()
	_, _, err := s.Blobs().Put(ctx(t), strings.NewReader("x"), limit)
	require.Error(t, err) // the rename happened, its fsync did not: as if killed there
	require.Error(t, s.Close())

	s = mustOpen(t, small(mem))
	_, here := s.Blobs().Has(digestOf("x"))
	require.True(t, here)
	_, here = mustOpen(t, small(crashed(mem, 0, 1))).Blobs().Has(digestOf("x"))
	require.True(t, here, "what a restarted store confirms survives a power cut")
}

// TestBlobFaults checks that on a full disk an upload fails and leaves nothing behind, and
// the store continues, but that an fsync that fails for another reason freezes the store.
func TestBlobFaults(t *testing.T) {
	inBlobs := func(op errorfs.Op) bool { return strings.HasPrefix(op.Path, "/data/blobs") }
	for name, c := range map[string]struct {
		kind  errorfs.OpKind
		err   error
		fatal bool
	}{
		"full at create":                 {errorfs.OpCreate, syscall.ENOSPC, false},
		"full at write":                  {errorfs.OpFileWrite, syscall.ENOSPC, false},
		"full at fsync":                  {errorfs.OpFileSyncData, syscall.ENOSPC, false},
		"full at rename":                 {errorfs.OpRename, syscall.ENOSPC, false},
		"write fails":                    {errorfs.OpFileWrite, syscall.EIO, false},
		"fsync fails":                    {errorfs.OpFileSyncData, syscall.EIO, true},
		"rename fails":                   {errorfs.OpRename, syscall.EIO, true},
		"fsync of the directory fails":   {errorfs.OpFileSync, syscall.EIO, true},
		"full at fsync of the directory": {errorfs.OpFileSync, syscall.ENOSPC, true},
	} {
		t.Run(name, func(t *testing.T) {
			trip := errorfs.Toggle{Injector: errorfs.InjectorFunc(func(op errorfs.Op) error {
				if op.Kind == c.kind && inBlobs(op) {
					return c.err
				}
				return nil
			})}
			mem := vfs.NewCrashableMem()
			owner := newFatalCalls()
			o := small(errorfs.Wrap(mem, &trip))
			o.Fatal = owner.add
			s := mustOpen(t, o)
			put(t, s.Blobs(), "before")

			trip.On()
			_, _, err := s.Blobs().Put(ctx(t), strings.NewReader(blobText(1)), limit)
			require.ErrorIs(t, err, c.err)
			trip.Off()
			if c.fatal {
				require.Len(t, owner.all(), 1)
				_, here := s.Blobs().Has(digestOf(blobText(1)))
				require.False(t, here, "a blob that could not be made durable is never confirmed")
				require.ErrorIs(t, set(s, "k", "v"), errFailed)
				require.ErrorIs(t, s.Close(), c.err)
				b := mustOpen(t, small(crashed(mem, 0, 1))).Blobs()
				require.Equal(t, "before", read(t, b, digestOf("before")))
				return
			}
			require.Empty(t, owner.all())
			require.Empty(t, files(t, s.Blobs(), "tmp"), "the failed upload takes no space")
			require.Equal(t, map[string]int64{digestOf("before"): 6}, list(t, s.Blobs()))
			put(t, s.Blobs(), blobText(1))
			require.NoError(t, set(s, "k", "v"))
		})
	}
}

// TestSmallPutCosts checks that durability costs two fsyncs.
func TestSmallPutCosts(t *testing.T) {
	var fsyncs int
	count := errorfs.InjectorFunc(func(op errorfs.Op) error {
		if op.Kind == errorfs.OpFileSync || op.Kind == errorfs.OpFileSyncData {
			fsyncs++
		}
		return nil
	})
	s := mustOpen(t, small(errorfs.Wrap(vfs.NewMem(), count)))
	put(t, s.Blobs(), "x") // makes the directory
	require.NoError(t, remove(s.Blobs(), digestOf("x")))
	fsyncs = 0
	put(t, s.Blobs(), "x")
	require.Equal(t, 2, fsyncs)
	fsyncs = 0
	put(t, s.Blobs(), "x")
	require.Zero(t, fsyncs, "a blob that is here is not written twice")
	require.NoError(t, set(s, "k", "v"))
	require.Equal(t, 1, fsyncs, "a commit is one fsync")
}

var _ io.ReadSeekCloser = (*Blob)(nil)
