package store

import (
	"bytes"
	"encoding/binary"
	"runtime"
	"sync/atomic"
	"testing"

	"github.com/cockroachdb/pebble/v2"
	"github.com/stretchr/testify/require"
)

// BenchmarkCommit compares commits of one 400-byte value through the store with bare
// Pebble's Set and Sync at its default options, from 64 goroutines and from one, on the
// disk that holds the temporary directory. What matters is the ratio.
func BenchmarkCommit(b *testing.B) {
	value := bytes.Repeat([]byte("v"), 400)
	for _, c := range []struct {
		name    string
		writers int
	}{{"64 writers", 64}, {"1 writer", 1}} {
		b.Run(c.name+"/store", func(b *testing.B) {
			s := mustOpen(b, Options{Dir: b.TempDir()})
			inParallel(b, c.writers, func(key []byte) error {
				var batch Batch
				batch.Set(key, value)
				return s.Commit(&batch)
			})
		})
		b.Run(c.name+"/pebble", func(b *testing.B) {
			db, err := pebble.Open(b.TempDir(), &pebble.Options{Logger: pebbleLogger{fault: &fault{}, Logger: quiet()}})
			require.NoError(b, err)
			defer func() { require.NoError(b, db.Close()) }()
			inParallel(b, c.writers, func(key []byte) error { return db.Set(key, value, pebble.Sync) })
		})
	}
}

// inParallel calls do with a new key each time, from that many goroutines.
func inParallel(b *testing.B, writers int, do func(key []byte) error) {
	old := runtime.GOMAXPROCS(0)
	if writers < old {
		runtime.GOMAXPROCS(writers) // RunParallel starts at least one goroutine for each
		defer runtime.GOMAXPROCS(old)
	}
	b.SetParallelism(max(1, writers/old))
	var next atomic.Uint64
	b.ResetTimer()
	b.RunParallel(func(pb *testing.PB) {
		var key [9]byte
		key[0] = 'k'
		for pb.Next() {
			binary.BigEndian.PutUint64(key[1:], next.Add(1))
			if err := do(key[:]); err != nil {
				b.Error(err)
				return
			}
		}
	})
	b.StopTimer()
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "commits/s")
}

// BenchmarkBlobPutSmall stores new blobs of 1 KiB, one after the other and from 16 goroutines.
func BenchmarkBlobPutSmall(b *testing.B) {
	for _, c := range []struct {
		name    string
		writers int
	}{{"1 writer", 1}, {"16 writers", 16}} {
		b.Run(c.name, func(b *testing.B) {
			blobs := mustOpen(b, Options{Dir: b.TempDir()}).Blobs()
			pad := bytes.Repeat([]byte("v"), 1024)
			inParallel(b, c.writers, func(key []byte) error {
				_, _, err := blobs.Put(ctx(b), bytes.NewReader(append(key, pad...)), limit)
				return err
			})
		})
	}
}

// BenchmarkBlobHas measures one call of has.
func BenchmarkBlobHas(b *testing.B) {
	blobs := mustOpen(b, Options{Dir: b.TempDir()}).Blobs()
	d, _, err := blobs.Put(ctx(b), bytes.NewReader([]byte("x")), limit)
	require.NoError(b, err)
	b.ReportAllocs()
	for b.Loop() {
		if _, here := blobs.Has(d); !here {
			b.Fatal("lost")
		}
	}
}

// BenchmarkOpen opens and closes a store on the real disk.
func BenchmarkOpen(b *testing.B) {
	dir := b.TempDir()
	for b.Loop() {
		s, err := Open(Options{Dir: dir})
		require.NoError(b, err)
		require.NoError(b, s.Close())
	}
}
