package submit

import (
	"cmp"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/urban-compute/ucp/api"
	"github.com/urban-compute/ucp/identity"
)

// Each round starts fresh processes on fresh disks.
const (
	rounds   = 5
	warmup   = time.Second
	measured = 4 * time.Second
)

// BenchmarkSubmitPipeline submits jobs that nobody can run, over 64 keep-alive
// connections, to one of three brokers with two replicas; and, alternating with that,
// requests of the same bytes to the bare pipeline. Then it submits at half the rate
// that the brokers have reached, at a steady pace. One iteration is all rounds; the
// figures are medians of them.
func BenchmarkSubmitPipeline(b *testing.B) {
	for range b.N {
		var ours, half, spread, bare []figures
		for i := range rounds {
			bare = append(bare, bareRound(b))
			o, h := brokersRound(b, false, false)
			ours, half = append(ours, o), append(half, h)
			s, _ := brokersRound(b, true, false)
			spread = append(spread, s)
			b.Logf("round %d: one broker %.0f/s p50 %v p99 %v; half load %.0f/s p50 %v p99 %v; all brokers %.0f/s p50 %v p99 %v; bare pipeline %.0f/s p50 %v p99 %v", i+1,
				o.rate, o.p50, o.p99, h.rate, h.p50, h.p99, s.rate, s.p50, s.p99, bare[i].rate, bare[i].p50, bare[i].p99)
		}
		b.ReportMetric(float64(median(spread, cpu))/float64(time.Microsecond), "spread-cpu-us/job")
		b.ReportMetric(float64(median(bare, cpu))/float64(time.Microsecond), "bare-cpu-us/job")
		report(b, "ours", ours)
		report(b, "spread", spread)
		report(b, "bare", bare)
		report(b, "half", half)
		b.ReportMetric(median(ours, rate)/median(bare, rate), "ours/bare")
		b.ReportMetric(0, "ns/op") // says nothing here
	}
}

// BenchmarkSubmitSecured submits at one of three brokers without a city and, alternating with that, at one of three of a city: TLS
// between them and from clients, gossip encrypted, a token with each request. The audit log is kept in both. First in one round, first in
// the other: who begins changes. One iteration is all rounds; the ratios are medians of those of each round, of which both halves had the
// same neighbours.
func BenchmarkSubmitSecured(b *testing.B) {
	for range b.N {
		var open, secured []figures
		var rates, halfs, cpus []float64
		for i := range rounds {
			var full, half [2]figures // open, secured
			for j := range 2 {
				which := (i + j) % 2
				full[which], half[which] = brokersRound(b, false, which == 1)
			}
			open, secured = append(open, full[0]), append(secured, full[1])
			rates = append(rates, full[1].rate/full[0].rate)
			halfs = append(halfs, float64(half[1].p50)/float64(half[0].p50))
			cpus = append(cpus, float64(full[1].cpu)/float64(full[0].cpu))
			b.Logf("round %d: open %.0f/s p50 %v p99 %v, half load p50 %v, CPU %v a job; secured %.0f/s p50 %v p99 %v, half load p50 %v, CPU %v a job", i+1,
				full[0].rate, full[0].p50, full[0].p99, half[0].p50, full[0].cpu, full[1].rate, full[1].p50, full[1].p99, half[1].p50, full[1].cpu)
		}
		self := func(x float64) float64 { return x }
		report(b, "open", open)
		report(b, "secured", secured)
		b.ReportMetric(float64(median(open, cpu))/float64(time.Microsecond), "open-cpu-us/job")
		b.ReportMetric(float64(median(secured, cpu))/float64(time.Microsecond), "secured-cpu-us/job")
		b.ReportMetric(median(rates, self), "rate-ratio")
		b.ReportMetric(median(halfs, self), "half-p50-ratio")
		b.ReportMetric(median(cpus, self), "cpu-ratio")
		b.ReportMetric(0, "ns/op") // says nothing here
	}
}

func report(b *testing.B, what string, list []figures) {
	ms := func(of func(figures) time.Duration) float64 {
		return float64(median(list, of)) / float64(time.Millisecond)
	}
	b.ReportMetric(median(list, rate), what+"/s")
	b.ReportMetric(ms(func(f figures) time.Duration { return f.p50 }), what+"-p50-ms")
	b.ReportMetric(ms(func(f figures) time.Duration { return f.p99 }), what+"-p99-ms")
}

func rate(f figures) float64 { return f.rate }

// cpu is what changes least when others use the machine at the same time.
func cpu(f figures) time.Duration { return f.cpu }

func median[E any, T cmp.Ordered](list []E, of func(E) T) T {
	var values []T
	for _, f := range list {
		values = append(values, of(f))
	}
	slices.Sort(values)
	return values[len(values)/2]
}

// bareRound measures the bare pipeline: client, first stage, second stage.
func bareRound(b *testing.B) figures {
	dir := b.TempDir()
	second, stopSecond := start(b, "pipeline", "second", filepath.Join(dir, "second"))
	first, stopFirst := start(b, "pipeline", "first", filepath.Join(dir, "first"), second.HTTP)
	list := dial(b, nil, "/", first.HTTP)
	f := closedLoop(b, list, warmup, measured)
	f.cpu = perJob(list, stopFirst, stopSecond)
	return f
}

// brokersRound measures three brokers, with the clients at one of them or at all, as
// fast as they go and then, if at one, at half of that. Secured brokers are a city's.
func brokersRound(b *testing.B, all, secured bool) (full, half figures) {
	dir := b.TempDir()
	names := []string{"a", "b", "c"}
	var in *settlement
	if secured {
		in = settle(b, dir, names...)
	}
	var at []string
	var join []string
	var stops []func() time.Duration
	for _, name := range names {
		a, stop := start(b, "broker", append([]string{name, filepath.Join(dir, name)}, join...)...)
		stops = append(stops, stop)
		at = append(at, a.HTTP)
		join = []string{a.Gossip}
	}
	for _, addr := range at {
		settled(b, in, addr, len(at)-1)
	}
	if !all {
		at = at[:1]
	}
	list := dial(b, in, "/v1/jobs", at...)
	full = closedLoop(b, list, warmup, measured)
	if !all {
		half = openLoop(b, list, full.rate/2, measured)
	}
	full.cpu = perJob(list, stops...)
	return full, half
}

// settled waits until a broker is ready and has heard of its peers.
func settled(b *testing.B, in *settlement, addr string, peers int) {
	var options []api.Option
	if in != nil {
		options = append(options, api.WithTLS(identity.ClientConfig(nil, in.pin)), api.WithToken(in.token))
	}
	c, err := api.New(addr, options...)
	require.NoError(b, err)
	defer c.Close()
	require.Eventually(b, func() bool {
		s, err := c.Coordination(b.Context())
		return err == nil && s.HealthyPeers == peers && s.LastSyncTime != nil
	}, 20*time.Second, 50*time.Millisecond)
}
