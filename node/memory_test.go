package node

import (
	"context"
	"fmt"
	"os"
	"runtime"
	"runtime/debug"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/urban-compute/ucp/broker"
	"github.com/urban-compute/ucp/broker/kind"
	"github.com/urban-compute/ucp/broker/membership"
	"github.com/urban-compute/ucp/broker/wire"
	"github.com/urban-compute/ucp/clock"
	"github.com/urban-compute/ucp/job"
	"github.com/urban-compute/ucp/store"
	"github.com/urban-compute/ucp/test/race"
)

// maxPendingHeap is what a job that waits may take of a broker's heap, in bytes.
const maxPendingHeap = 2 << 10

// A broker that holds 100,000 jobs that wait needs at most 2 KiB of heap for each,
// whether they were submitted there or came from a peer.
func TestPendingJobsAreSmall(t *testing.T) {
	if race.Enabled {
		t.Skip("the race detector takes memory of its own; scripts/test.sh runs it without")
	}
	for name, give := range ways {
		t.Run(name, func(t *testing.T) { // its store is closed before the next one is measured
			e := newTestEngine(t)
			useStore(t, e)
			heap, _ := pendingMemory(t, e, give, plainSpec, 100_000)
			t.Logf("%.0f bytes a job", heap)
			require.Less(t, heap, float64(maxPendingHeap))
			require.Greater(t, heap, 400.0, "less than the jobs themselves: what is measured here?")
		})
	}
}

// ways are how a broker comes to its jobs.
var ways = map[string]func(tb testing.TB, e *engine, form string, n int){"submitted": submitMany, "replicated": deliverMany}

// BenchmarkPendingMemory reports the heap and the resident memory, in bytes, that each
// of 100,000 jobs takes of a broker above what it has when it is idle.
func BenchmarkPendingMemory(b *testing.B) {
	for name, give := range ways {
		for _, spec := range []struct{ name, form string }{{"plain", plainSpec}, {"env and labels", specWithMaps}} {
			b.Run(name+"/"+spec.name, func(b *testing.B) {
				for range b.N {
					heap, resident := pendingMemory(b, newTestEngine(b), give, spec.form, 100_000)
					b.ReportMetric(heap, "heap-B/job")
					b.ReportMetric(resident, "resident-B/job")
					b.ReportMetric(0, "ns/op") // says nothing here
				}
			})
		}
	}
}

// useStore lets the database make its tables, whose size has nothing to do with the
// number of jobs; of fewer than 100,000 each would seem to have a large share of them.
func useStore(tb testing.TB, e *engine) {
	var b store.Batch
	for i := range 16 {
		b.Set(fmt.Appendf(nil, "z%d", i), make([]byte, 2<<20))
		require.NoError(tb, e.store.Commit(&b))
	}
}

// pendingMemory gives a broker over a real store n jobs that nobody can run, and
// returns what each has added to its heap after a collection, and to the resident
// memory before one.
func pendingMemory(tb testing.TB, e *engine, give func(testing.TB, *engine, string, int), form string, n int) (heap, resident float64) {
	debug.FreeOSMemory()
	heapBefore, residentBefore := heapNow(), residentNow(tb)
	give(tb, e, form, n)
	residentAfter := residentNow(tb)
	heap = float64(settledHeap()) - float64(heapBefore)
	list, err := ask[*broker.Listing](tb.Context(), e, func(t broker.Token) broker.Input {
		return broker.List{Token: t, Filter: job.Filter{States: []job.State{job.StatePending}}, Limit: 1}
	})
	require.NoError(tb, err)
	require.Len(tb, list.Jobs, 1, "the broker is alive, and holds them")
	return heap / float64(n), float64(residentAfter-residentBefore) / float64(n)
}

// The specs that are measured have about 400 bytes, and no broker can run them. A map
// in Go has room for eight from its first entry on, and takes about 340 bytes.
const (
	plainSpec = `{"driver":"process","command":"/opt/ucp/bin/assess","args":["--station","fire-07","--district","7","--report","%08d","--format","geojson",` +
		`"--region","marburg-biedenkopf","--team","flood-response","--log","warning"],"resources":{"cpu":250,"memory":134217728},"retries":{"max":2,"backoff":"5s"},` +
		`"constraints":["zone=nowhere","arch in (amd64, arm64)"],"timeout":"90s"}`
	specWithMaps = `{"driver":"process","command":"/opt/ucp/bin/assess","args":["--station","fire-07","--district","7","--report","%08d","--format","geojson"],` +
		`"env":{"REGION":"marburg-biedenkopf","LOG_LEVEL":"warning"},"resources":{"cpu":250,"memory":134217728},"retries":{"max":2,"backoff":"5s"},` +
		`"labels":{"team":"flood-response","shift":"night"},"constraints":["zone=nowhere","arch in (amd64, arm64)"],"timeout":"90s"}`
)

// pendingSpec is read from JSON, as every spec is, so that no two share a string.
func pendingSpec(tb testing.TB, form string, i int) job.Spec {
	s, err := job.ParseSpec(fmt.Appendf(nil, form, i))
	require.NoError(tb, err)
	return s
}

func pendingID(i int) job.ID { return job.ID(fmt.Sprintf("01a2b3c4-d5e6-7f80-9a0b-%012d", i)) }

func submitMany(tb testing.TB, e *engine, form string, n int) {
	var wg sync.WaitGroup
	defer wg.Wait()
	for w := range submitters {
		wg.Go(func() {
			for i := w; i < n; i += submitters {
				spec := pendingSpec(tb, form, i)
				_, err := ask[*broker.Submitted](context.Background(), e, func(t broker.Token) broker.Input {
					return broker.Submit{Token: t, ID: pendingID(i), Spec: spec, Digest: spec.Digest()}
				})
				if err != nil {
					tb.Error(err)
				}
			}
		})
	}
}

// deliverMany brings the jobs in messages of a peer that owns them.
func deliverMany(tb testing.TB, e *engine, form string, n int) {
	const each = 64
	var since clock.Tips
	e.Tell(broker.Roster{Members: []membership.Member{{Name: "b", Actor: "b~00000001", Status: membership.Alive}}}) // else we would take over what it owns
	for i := 0; i < n; i += each {
		m := wire.Message{Version: wire.Version, From: "b", Actor: "b~00000001", Delta: &wire.Delta{Since: since}}
		for k := i; k < min(i+each, n); k++ {
			spec, dot := pendingSpec(tb, form, k), clock.Dot{Actor: m.Actor, Counter: uint64(k + 1)}
			r := job.New(pendingID(k), spec, spec.Digest(), job.Stamp{Dot: dot, At: clock.Hybrid(k + 1)})
			m.Delta.Records = append(m.Delta.Records, wire.Encoded{Kind: kind.Job, Key: r.Key(), Dots: r.Dots, Bytes: r.Encode()})
			m.Clock = clock.Tips{dot}
		}
		m.Delta.Clock = m.Clock
		in, err := wire.DecodeMessage(wire.Encode(&m))
		require.NoError(tb, err)
		reply, err := ask[*broker.Replied](context.Background(), e, func(t broker.Token) broker.Input { return broker.Deliver{Token: t, Message: in} })
		require.NoError(tb, err)
		require.False(tb, reply.Reply.Restart)
		since = m.Clock
	}
}

// settledHeap is the least of several looks: what the store writes to its tables meanwhile, some 20 MB, is no job's.
func settledHeap() uint64 {
	least := heapNow()
	for range 5 {
		time.Sleep(100 * time.Millisecond)
		least = min(least, heapNow())
	}
	return least
}

func heapNow() uint64 {
	runtime.GC()
	runtime.GC() // what had a finalizer is gone after the second
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

// residentNow is the memory that this process has of the machine, as Linux tells; 0
// where it can't be told.
func residentNow(tb testing.TB) int64 {
	b, err := os.ReadFile("/proc/self/statm")
	if err != nil {
		return 0
	}
	var size, resident int64
	_, err = fmt.Sscan(string(b), &size, &resident)
	require.NoError(tb, err)
	return resident * int64(os.Getpagesize())
}
