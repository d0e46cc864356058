package store

import (
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"
)

// Options says where a store is and how it may use the machine. Only Dir is
// required.
type Options struct {
	// Dir is the data directory. It is made when missing; its parent must exist or
	// be makeable. On the real file system a relative Dir is taken from the
	// current directory at Open.
	Dir string
	// FS is the file system; the machine's own by default. Tests give
	// vfs.NewCrashableMem or errorfs.
	FS vfs.FS
	// Logger hears of the database's doings: at debug level what is normal, at
	// warning level what slows commits down. Nothing is logged by default.
	Logger *slog.Logger
	// Fatal is told, at most once between Open and Close, that the disk has failed
	// or that the database found its own files corrupt. The store is frozen then:
	// the owner must end the process (in a test: Close the store). It is called on
	// the goroutine that met the failure, with locks held: it must return at once
	// and must not call the store. Sending on a channel with room is right. A
	// failure during Open is returned by Open instead.
	Fatal func(error)
	// CacheSize is for blocks that were read, in bytes; 8 MiB by default.
	CacheSize int64
	// MemTableSize is how much is written, in bytes, before it goes from the log
	// into a table; 4 MiB by default. Up to four are held while writes come faster
	// than the disk takes them; an idle store holds one, and a new one a small one.
	MemTableSize int64
	// MaxOpenFiles bounds the descriptors for tables; 100 by default.
	MaxOpenFiles int
}

// withDefaults fills in what was left open and refuses what cannot work.
func (o Options) withDefaults() (Options, error) {
	if o.Dir == "" {
		return o, errors.New("store: no data directory given")
	}
	if o.CacheSize < 0 || o.MemTableSize < 0 || o.MaxOpenFiles < 0 {
		return o, fmt.Errorf("store: CacheSize %d, MemTableSize %d and MaxOpenFiles %d must not be negative", o.CacheSize, o.MemTableSize, o.MaxOpenFiles)
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

// databaseFormat is pinned, so that a new Pebble does not silently write what the
// ucp before it cannot read. Raise it one release after the Pebble that knows it.
// This one has log chunks that tell a torn tail from corruption, and checksums in
// the tables' footers.
const databaseFormat = pebble.FormatTableFormatV6

// database returns Pebble's options for a broker that is small and mostly idle.
func (o *Options) database(f *fault) *pebble.Options {
	p := &pebble.Options{
		FS:                 &disk{FS: o.FS, fault: f},
		FormatMajorVersion: databaseFormat,
		Logger:             logger{o.Logger, f},
		CacheSize:          o.CacheSize,
		MemTableSize:       uint64(o.MemTableSize),
		// Four of them, and the wider L0, let a burst of commits go on while a
		// flush is under way; the defaults stall writers on a slow disk.
		MemTableStopWritesThreshold: 4,
		L0CompactionThreshold:       4,
		L0StopWritesThreshold:       32,
		MaxOpenFiles:                o.MaxOpenFiles,
		// One compaction at a time: the broker's cores are for jobs. The scheduler
		// without a periodic tick is complete for a constant limit (a compaction's
		// end starts the next), and an idle broker then never wakes up.
		CompactionConcurrencyRange: func() (int, int) { return 1, 1 },
		// WALBytesPerSync stays 0: every commit syncs anyway. WALMinSyncInterval
		// stays 0: commits that arrive during an fsync share the next one, which is
		// group commit without a delay.
	}
	p.Experimental.CompactionScheduler = pebble.NewConcurrencyLimitSchedulerWithNoPeriodicGrantingForTest()
	p.Experimental.FileCacheShards = 1
	// No compactions because of reads: they would start a goroutine from a Get.
	p.Experimental.ReadSamplingMultiplier = -1
	p.EventListener = listener(o.Logger, f)
	return p
}
