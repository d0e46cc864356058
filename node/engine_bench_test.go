package node

import (
	"context"
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2"
	"github.com/stretchr/testify/require"

	"github.com/urban-compute/ucp/broker"
	"github.com/urban-compute/ucp/job"
	"github.com/urban-compute/ucp/store"
)

// submitters is how many goroutines submit at once.
const submitters = 64

// newTestEngine makes a loop over a real store, of a broker that can run
// nothing: each submission is one record and one commit.
func newTestEngine(tb testing.TB) *engine { return newTestEngineWith(tb, func(*broker.Config) {}) }

func newTestEngineWith(tb testing.TB, edit func(*broker.Config)) *engine {
	st, err := store.Open(store.Options{Dir: tb.TempDir(), Fatal: func(err error) { tb.Error(err) }})
	require.NoError(tb, err)
	cfg := broker.Config{Actor: "a~00000001", Replicas: 1, SyncInterval: time.Minute, AckTimeout: time.Second, Archive: st}
	edit(&cfg)
	core := broker.New(cfg)
	e := newEngine(core, st, time.Now, func(broker.Ready) {})
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- e.run(ctx) }()
	tb.Cleanup(func() {
		cancel()
		require.NoError(tb, <-done)
		require.NoError(tb, st.Close())
	})
	return e
}

// benchSpec makes a record of about 400 bytes.
func benchSpec(tb testing.TB) job.Spec {
	s := job.Spec{Command: "true", Args: []string{"--station", "fire-07", "--district", "7"}, Priority: job.Priority{User: job.DefaultUser}}
	require.NoError(tb, s.Complete())
	return s
}

// BenchmarkCommitLoop submits jobs from 64 goroutines; each is answered when its
// record is synced to disk. Compare with BenchmarkCommitBarePebble in the same run.
func BenchmarkCommitLoop(b *testing.B) {
	e, spec := newTestEngine(b), benchSpec(b)
	var n atomic.Uint64
	b.SetParallelism(submitters / 2)
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			id := job.ID(fmt.Sprintf("job-%d", n.Add(1)))
			s, err := ask[*broker.Submitted](context.Background(), e, func(t broker.Token) broker.Input {
				return broker.Submit{Token: t, ID: id, Spec: spec, Digest: spec.Digest()}
			})
			if err != nil || !s.Created {
				b.Error(err, s)
			}
		}
	})
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "commits/s")
}

// BenchmarkCommitBarePebble is what the disk gives: Set with Sync of 400 bytes from
// 64 goroutines.
func BenchmarkCommitBarePebble(b *testing.B) {
	db, err := pebble.Open(b.TempDir(), &pebble.Options{Logger: noLog{}})
	require.NoError(b, err)
	defer db.Close()
	var n atomic.Uint64
	value := make([]byte, 400)
	b.SetParallelism(submitters / 2)
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			if err := db.Set(fmt.Appendf(nil, "rjob%d", n.Add(1)), value, pebble.Sync); err != nil {
				b.Error(err)
			}
		}
	})
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "commits/s")
}

type noLog struct{}

func (noLog) Infof(string, ...any)  {}
func (noLog) Errorf(string, ...any) {}
func (noLog) Fatalf(string, ...any) {}
