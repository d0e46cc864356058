package store

import (
	"errors"
	"fmt"
	"maps"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"
	"github.com/stretchr/testify/require"
)

// failure is one way in which the disk fails: operations of some kinds on files with a
// certain ending.
type failure struct {
	kinds  []errorfs.OpKind
	ending string
	err    error
	spared bool // does not happen in the Open of an existing store
}

// breaker causes a failure while it is on, and counts the changes that reach the
// database's files.
type breaker struct {
	failure
	on      atomic.Bool
	watch   atomic.Bool
	reached atomic.Int64

	mu   sync.Mutex
	acks map[string]bool
}

func (b *breaker) promise(key string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.acks[key] = true
}

func (b *breaker) promised() map[string]bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return maps.Clone(b.acks)
}

func (b *breaker) before(op errorfs.Op) error {
	if b.watch.Load() && changes(op) && strings.HasPrefix(op.Path, "/data/db") {
		b.reached.Add(1)
	}
	if !b.on.Load() || !strings.HasSuffix(op.Path, b.ending) && !strings.Contains(op.Path, b.ending+"-") {
		return nil
	}
	for _, k := range b.kinds {
		if op.Kind == k {
			return b.err
		}
	}
	return nil
}

var (
	writes = []errorfs.OpKind{errorfs.OpFileWrite, errorfs.OpFileWriteAt}
	syncs  = []errorfs.OpKind{errorfs.OpFileSync, errorfs.OpFileSyncData, errorfs.OpFileSyncTo}
	makes  = []errorfs.OpKind{errorfs.OpCreate, errorfs.OpRename, errorfs.OpOpen}
)

// faults are the ways in which the disk below the database can fail. With Pebble alone,
// each of them hangs, kills the process or is reported as a success.
var faults = map[string]failure{
	"fsync of the log":         {kinds: syncs, ending: ".log", err: syscall.EIO, spared: true},
	"write of the log":         {kinds: writes, ending: ".log", err: syscall.ENOSPC, spared: true},
	"new log":                  {kinds: makes, ending: ".log", err: syscall.ENOSPC},
	"write of a table":         {kinds: writes, ending: ".sst", err: syscall.ENOSPC},
	"fsync of a table":         {kinds: syncs, ending: ".sst", err: syscall.EIO},
	"new table":                {kinds: makes, ending: ".sst", err: syscall.EROFS},
	"fsync of the manifest":    {kinds: syncs, ending: "MANIFEST", err: syscall.EIO},
	"write of the manifest":    {kinds: writes, ending: "MANIFEST", err: syscall.ENOSPC},
	"fsync of the directory":   {kinds: syncs, ending: "/db", err: syscall.EIO},
	"everything, as unmounted": {kinds: append(append(append([]errorfs.OpKind{}, writes...), syncs...), makes...), ending: "", err: syscall.EIO},
}

// TestDiskFailure lets many goroutines commit while the disk fails in each way. The
// owner is told once, no commit is acknowledged after that, the database's files
// are not changed any more, Close returns, and recovery finds all acknowledged commits.
func TestDiskFailure(t *testing.T) {
	for name := range faults {
		t.Run(name, func(t *testing.T) {
			f := faults[name]
			br := &breaker{failure: f, acks: map[string]bool{}}
			mem := vfs.NewCrashableMem()
			owner := newFatalCalls()
			o := small(errorfs.Wrap(mem, errorfs.InjectorFunc(br.before)))
			o.Fatal = func(err error) { br.watch.Store(true); owner.add(err) }
			s := mustOpen(t, o)

			work := startCommitting(t, s, br)
			<-owner.heard
			require.ErrorIs(t, owner.all()[0], f.err)
			br.on.Store(false)
			require.ErrorIs(t, set(s, "more", "v"), errFailed, "the store stays frozen when the disk seems to work again")
			_, _, err := s.Blobs().Put(ctx(t), strings.NewReader("x"), limit)
			require.ErrorIs(t, err, errFailed)

			work() // all goroutines end before Close
			for k := range br.promised() {
				_, found, err := s.Get([]byte(k))
				require.True(t, found || err != nil, "a frozen store finds the value or returns an error")
			}
			require.ErrorIs(t, s.Close(), f.err, "Close returns the reason")
			require.LessOrEqual(t, br.reached.Load(), int64(2), "operations that were under way at the failure may finish; nothing else reaches the disk")
			require.Len(t, owner.all(), 1, "the owner is told once")

			for _, percent := range []int{0, 50} {
				got := contents(t, mustOpen(t, small(crashed(mem, percent, 1))), "")
				for k := range br.promised() {
					require.Contains(t, got, k)
				}
			}
		})
	}
}

// startCommitting commits from eight goroutines and lets the disk fail after a while.
// wait waits until they have ended.
func startCommitting(t *testing.T, s *Store, br *breaker) (wait func()) {
	var wg sync.WaitGroup
	for g := range 8 {
		wg.Go(func() {
			for i := range 2000 {
				if i == 10 {
					br.on.Store(true)
				}
				key := fmt.Sprintf("%d/%06d", g, i)
				if err := set(s, key, strings.Repeat("v", 3000)); err != nil {
					if !errors.Is(err, errFailed) && !errors.Is(err, ErrClosed) {
						t.Errorf("commit: %v", err)
					}
					return
				}
				br.promise(key)
			}
			t.Error("the fault never happened")
		})
	}
	return wg.Wait
}

// TestDiskFailureInOpen checks that Open returns the disk's error, whatever fails during
// it. That includes the flush of a long log, which Pebble alone would retry indefinitely.
func TestDiskFailureInOpen(t *testing.T) {
	mem := vfs.NewCrashableMem()
	big := small(mem)
	big.MemTableSize = 4 << 20
	s := mustOpen(t, big)
	for i := range 300 {
		require.NoError(t, set(s, text(i), strings.Repeat("v", 3000)))
	}
	image := func() *vfs.MemFS { return crashed(mem, 0, 1) } // with a log of 900 kB to replay
	require.NoError(t, s.Close())

	for name, f := range faults {
		if f.spared {
			continue
		}
		br := &breaker{failure: f}
		br.on.Store(true)
		disk := image()
		owner := newFatalCalls()
		o := small(errorfs.Wrap(disk, errorfs.InjectorFunc(br.before)))
		o.Fatal = owner.add
		_, err := Open(o)
		require.ErrorIs(t, err, f.err, name)
		require.Empty(t, owner.all(), "%s: Open returns the error; Fatal is not called", name)
		require.Len(t, contents(t, mustOpen(t, small(disk)), ""), 300, "%s: a later Open finds the lock free and all data", name)
	}
}

// TestDamagedTable checks that the owner is told of a table whose bytes have changed.
func TestDamagedTable(t *testing.T) {
	mem := vfs.NewMem()
	owner := newFatalCalls()
	o := small(mem)
	o.Fatal = owner.add
	s := mustOpen(t, o)
	for i := range 100 {
		require.NoError(t, set(s, text(i), strings.Repeat(text(i), 500)))
	}
	require.NoError(t, s.Close())
	names, err := mem.List("/data/db")
	require.NoError(t, err)
	for _, name := range names {
		if strings.HasSuffix(name, ".sst") {
			data, err := mem.UnsafeGetFileDataBuffer("/data/db/" + name)
			require.NoError(t, err)
			for i := range min(2000, len(data)) {
				data[i] ^= 0x55
			}
		}
	}
	s, err = Open(o)
	if err != nil { // the table was read at Open
		require.ErrorIs(t, err, errCorrupt)
		return
	}
	defer func() { _ = s.Close() }()
	err = s.Scan(nil, func(_, _ []byte) error { return nil })
	require.ErrorIs(t, err, errCorrupt)
	<-owner.heard
	require.ErrorIs(t, owner.all()[0], errCorrupt)
}

// TestFaultNotifiesOnce checks that only the first of many failures is reported to the owner, and that
// none is before arm and after disarm.
func TestFaultNotifiesOnce(t *testing.T) {
	owner := newFatalCalls()
	f := &fault{}
	require.NoError(t, f.check())
	require.NoError(t, f.arm(owner.add))
	var wg sync.WaitGroup
	for i := range 20 {
		wg.Go(func() { f.fail(fmt.Errorf("failure %d", i)) })
	}
	wg.Wait()
	require.Len(t, owner.all(), 1)
	require.Equal(t, owner.all()[0], f.cause())
	require.ErrorIs(t, f.check(), errFailed)
	require.ErrorContains(t, f.check(), "end this process")

	early := &fault{}
	early.fail(syscall.EIO)
	require.ErrorIs(t, early.arm(owner.add), syscall.EIO)
	late := &fault{}
	require.NoError(t, late.arm(owner.add))
	late.disarm()
	late.fail(syscall.EIO)
	late.hold() // does not block

	// Work on tables is held from the failure on, unless a commit waits for it.
	for _, stallFirst := range []bool{true, false} {
		busy := &fault{}
		require.NoError(t, busy.arm(func(error) {}))
		if stallFirst {
			busy.setStalled(true)
		}
		busy.fail(syscall.EIO)
		if !stallFirst {
			go busy.setStalled(true)
		}
		busy.hold()
	}
	require.Len(t, owner.all(), 1)
}

// TestManifestNameIsDurable checks that a power cut that keeps the marker, which is written after
// the manifest, does not lose the manifest's name.
func TestManifestNameIsDurable(t *testing.T) {
	mem := vfs.NewCrashableMem()
	d := &disk{FS: mem, fault: &fault{}}
	f, err := d.Create("MANIFEST-000007", vfs.WriteCategoryUnspecified)
	require.NoError(t, err)
	_, err = f.Write([]byte("x"))
	require.NoError(t, err)
	require.NoError(t, f.Sync())
	_, err = crashed(mem, 0, 1).Stat("MANIFEST-000007")
	require.NoError(t, err)
	require.NoError(t, f.Close())
}

// TestFrozenStoreAnswers checks that after a failed flush all data can still be read.
func TestFrozenStoreAnswers(t *testing.T) {
	br := &breaker{failure: faults["write of a table"]}
	owner := newFatalCalls()
	o := small(errorfs.Wrap(vfs.NewMem(), errorfs.InjectorFunc(br.before)))
	o.Fatal = owner.add
	s := mustOpen(t, o)
	br.on.Store(true)
	const n = 10 // few, so that no commit waits for the flush, which would release it (fault.hold)
	for i := range n {
		require.NoError(t, set(s, text(i), "v"))
	}
	_, err := s.db.AsyncFlush()
	require.NoError(t, err)
	<-owner.heard
	for i := range n {
		_, found, err := s.Get([]byte(text(i)))
		require.NoError(t, err)
		require.True(t, found, "commit %d of %d", i, n)
	}
}
