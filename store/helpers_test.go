package store

import (
	"context"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"sync"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// limit is the limit that most tests pass to Put.
const limit = 1 << 20

// small returns options with which a few hundred kilobytes cause flushes and compactions.
func small(fsys vfs.FS) Options {
	return Options{Dir: "/data", FS: fsys, MemTableSize: 64 << 10}
}

// mustOpen opens a store. It is closed at the end of the test, if the test has not closed it itself.
func mustOpen(t testing.TB, o Options) *Store {
	t.Helper()
	s, err := Open(o)
	require.NoError(t, err)
	t.Cleanup(func() { _ = s.Close() })
	return s
}

// set commits one key.
func set(s *Store, key, value string) error {
	var b Batch
	b.Set([]byte(key), []byte(value))
	return s.Commit(&b)
}

// contents reads all keys that begin with prefix.
func contents(t require.TestingT, s *Store, prefix string) map[string]string {
	got := map[string]string{}
	require.NoError(t, s.Scan([]byte(prefix), func(k, v []byte) error {
		got[string(k)] = string(v)
		return nil
	}))
	return got
}

// crashed returns what the disk could hold after a power cut: all synced data and the given share of the
// unsynced data.
func crashed(mem *vfs.MemFS, percent int, seed uint64) *vfs.MemFS {
	return mem.CrashClone(vfs.CrashCloneCfg{UnsyncedDataPercent: percent, RNG: rand.New(rand.NewPCG(seed, 1))})
}

// fatalCalls collects the calls of Options.Fatal.
type fatalCalls struct {
	heard chan struct{} // closed at the first call

	mu   sync.Mutex
	errs []error
}

func newFatalCalls() *fatalCalls { return &fatalCalls{heard: make(chan struct{})} }

func (f *fatalCalls) add(err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.errs = append(f.errs, err); len(f.errs) == 1 {
		close(f.heard)
	}
}

func (f *fatalCalls) all() []error {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.errs
}

// changes reports whether an operation changes what the disk holds.
func changes(op errorfs.Op) bool {
	switch op.Kind {
	case errorfs.OpCreate, errorfs.OpLink, errorfs.OpRemove, errorfs.OpRemoveAll, errorfs.OpRename,
		errorfs.OpReuseForWrite, errorfs.OpMkdirAll, errorfs.OpFileWrite, errorfs.OpFileWriteAt,
		errorfs.OpFileSync, errorfs.OpFileSyncData, errorfs.OpFileSyncTo:
		return true
	}
	return false
}

func ctx(t testing.TB) context.Context { return t.Context() }

func quiet() *slog.Logger { return slog.New(slog.DiscardHandler) }

func text(i int) string { return fmt.Sprintf("%06d", i) }
