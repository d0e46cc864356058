package store

import (
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"
)

// Options says where a store is and which resources it may use. Only Dir is required.
type Options struct {
	// Dir is the data directory. It and its parents are made when missing. On the machine's file system a
	// relative Dir is relative to the working directory at Open.
	Dir string
	// FS is the file system; the default is the machine's own. Tests use vfs.NewCrashableMem or errorfs.
	FS vfs.FS
	// Logger receives the database's messages: at debug level what is normal, at warning level what makes
	// commits wait. By default nothing is logged.
	Logger *slog.Logger
	// Fatal is called at most once between Open and Close, when the disk has failed or the database has found
	// its own files corrupt. The store is frozen then, and the owner must end the process (in a test: Close
	// the store). Fatal is called on the goroutine that met the failure, with locks held: it must return at
	// once and must not call the store. It may send on a channel that has capacity left. A failure during
	// Open is returned by Open instead.
	Fatal func(error)
	// CacheSize is the size of the cache for blocks that were read, in bytes; the default is 8 MiB.
	CacheSize int64
	// MemTableSize is how many bytes are written to the log before they are written to a table; the default
	// is 4 MiB. Up to four memory tables are held while writes come faster than the disk takes them; an idle
	// store holds one, and a new store a small one.
	MemTableSize int64
	// Ballast is how many bytes are kept for a start on a disk that is full, at most an eighth of that disk; the default is
	// none: see [Store.Ballast].
	Ballast int64
	// MaxOpenFiles limits the file descriptors for tables; the default is 100.
	MaxOpenFiles int
}

// withDefaults returns the options with defaults filled in, or an error if they are invalid.
func (o Options) withDefaults() (Options, error) {
	if o.Dir == "" {
		return o, errors.New("store: no data directory given")
	}
	if o.CacheSize < 0 || o.MemTableSize < 0 || o.MaxOpenFiles < 0 || o.Ballast < 0 {
		return o, fmt.Errorf("store: CacheSize %d, MemTableSize %d, MaxOpenFiles %d and Ballast %d must not be negative", o.CacheSize, o.MemTableSize, o.MaxOpenFiles, o.Ballast)
	}
	if o.FS == nil {
		o.FS = vfs.Default
	}
	if o.FS == vfs.Default {
		abs, err := filepath.Abs(o.Dir)
		if err != nil {
			return o, fmt.Errorf("store: data directory %q: %w", o.Dir, err)
		}
		o.Dir = abs
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.Fatal == nil {
		o.Fatal = func(error) {}
	}
	if o.CacheSize == 0 {
		o.CacheSize = 8 << 20
	}
	if o.MemTableSize == 0 {
		o.MemTableSize = 4 << 20
	}
	if o.MaxOpenFiles == 0 {
		o.MaxOpenFiles = 100
	}
	return o, nil
}

// databaseFormat is pinned, so that a new Pebble does not silently write what the previous ucp cannot read.
// Raise it one release after the Pebble that knows it. This format has log chunks that distinguish a torn end
// from corruption, and checksums in the tables' footers.
const databaseFormat = pebble.FormatTableFormatV6

// database returns Pebble's options for a broker that is small and mostly idle.
func (o *Options) database(f *fault) *pebble.Options {
	p := &pebble.Options{
		FS:                 &disk{FS: o.FS, fault: f},
		FormatMajorVersion: databaseFormat,
		Logger:             pebbleLogger{o.Logger, f},
		CacheSize:          o.CacheSize,
		MemTableSize:       uint64(o.MemTableSize),
		// Four memory tables and a larger L0 let a burst of commits continue during a flush; the defaults
		// stall writers on a slow disk.
		MemTableStopWritesThreshold: 4,
		L0CompactionThreshold:       4,
		L0StopWritesThreshold:       32,
		MaxOpenFiles:                o.MaxOpenFiles,
		// One compaction at a time, because the machine's CPUs are for jobs. The scheduler without a periodic
		// tick is sufficient for a constant limit (the end of a compaction starts the next one), and lets an
		// idle broker sleep.
		CompactionConcurrencyRange: func() (int, int) { return 1, 1 },
		// WALBytesPerSync stays 0 because every commit syncs anyway. WALMinSyncInterval stays 0 because
		// commits that arrive during an fsync share the next one, which is group commit without a delay.
	}
	p.Experimental.CompactionScheduler = pebble.NewConcurrencyLimitSchedulerWithNoPeriodicGrantingForTest()
	p.Experimental.FileCacheShards = 1
	// Reads trigger no compactions, because a Get would then start a goroutine.
	p.Experimental.ReadSamplingMultiplier = -1
	p.EventListener = eventListener(o.Logger, f)
	return p
}
