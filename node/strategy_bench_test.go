package node

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/urban-compute/ucp/broker"
	"github.com/urban-compute/ucp/broker/wire"
	"github.com/urban-compute/ucp/job"
	"github.com/urban-compute/ucp/resolve"
)

// BenchmarkSubmitUnder submits jobs that all wait in the executor's queue, since one holds
// all of its room: every arrival is a conflict that is decided and recorded. Rounds of the
// strategies alternate; the figure is the median of each against that of fcfs.
func BenchmarkSubmitUnder(b *testing.B) {
	const rounds, jobs = 7, 8_000
	rates := map[resolve.Strategy][]float64{}
	for range b.N {
		for range rounds {
			for _, s := range resolve.All() {
				rates[s] = append(rates[s], jobs/submitQueued(b, s, jobs).Seconds())
			}
		}
	}
	median := func(s resolve.Strategy) float64 { return slices.Sorted(slices.Values(rates[s]))[len(rates[s])/2] }
	for _, s := range resolve.All() {
		b.ReportMetric(median(s), string(s)+"/s")
		b.ReportMetric(median(s)/median(resolve.FCFS), string(s)+"/fcfs")
	}
	b.ReportMetric(0, "ns/op") // says nothing here
}

func submitQueued(b *testing.B, s resolve.Strategy, n int) time.Duration {
	e := newTestEngineWith(b, func(c *broker.Config) {
		c.Strategy = s
		c.Capabilities = wire.Capabilities{Capacity: job.Resources{CPU: 1000, Memory: 1 << 40, IO: 100}, Drivers: []job.Driver{job.Process}}
	})
	submit := func(id string, cpu int64, user int) {
		spec := benchSpec(b)
		spec.Resources.CPU, spec.Priority.User, spec.Preemption = cpu, int32(user), job.Never
		got, err := ask[*broker.Submitted](context.Background(), e, func(t broker.Token) broker.Input {
			return broker.Submit{Token: t, ID: job.ID(id), Spec: spec, Digest: spec.Digest()}
		})
		if err != nil || !got.Created {
			b.Error(err, got)
		}
	}
	submit("holder", 1000, 10)
	began := time.Now()
	var wg sync.WaitGroup
	for w := range submitters {
		wg.Go(func() {
			for i := w; i < n; i += submitters {
				submit(fmt.Sprintf("job-%d", i), 500, i%11)
			}
		})
	}
	wg.Wait()
	took := time.Since(began)
	l, err := ask[*broker.Conflicts](context.Background(), e, func(t broker.Token) broker.Input { return broker.ListConflicts{Token: t} })
	require.NoError(b, err)
	require.NotZero(b, l.Total, "they compete")
	return took
}
