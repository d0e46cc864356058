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
				o.Rate, o.P50, o.P99, h.Rate, h.P50, h.P99, s.Rate, s.P50, s.P99, bare[i].Rate, bare[i].P50, bare[i].P99)
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
// between them and from clients, gossip encrypted, a token with each request. The audit log is kept in both. Which goes first changes from
// round to round. Rates are those of clients that go as fast as they can, which pay for TLS on the same machine; latencies and CPU times are at
// one steady pace, since who has fewer jobs at a time shares fewer writes. One iteration is all rounds; ratios are medians of those of each round,
// of which both halves had the same neighbours.
func BenchmarkSubmitSecured(b *testing.B) {
	const paced = 250 // a second
	for range b.N {
		var fast, steady [2][]figures // open, secured
		var rates, p50s, cpus []float64
		for i := range rounds {
			for j := range 2 {
				which := (i + j) % 2
				full, _ := brokersRound(b, false, which == 1)
				fast[which] = append(fast[which], full)
				steady[which] = append(steady[which], pacedRound(b, which == 1, paced))
			}
			open, secured := steady[0][i], steady[1][i]
			rates = append(rates, fast[1][i].Rate/fast[0][i].Rate)
			p50s = append(p50s, float64(secured.P50)/float64(open.P50))
			cpus = append(cpus, float64(secured.cpu)/float64(open.cpu))
			b.Logf("round %d: open %.0f/s, at %d/s p50 %v p99 %v, CPU %v a job; secured %.0f/s, p50 %v p99 %v, CPU %v a job", i+1,
				fast[0][i].Rate, paced, open.P50, open.P99, open.cpu, fast[1][i].Rate, secured.P50, secured.P99, secured.cpu)
		}
		self := func(x float64) float64 { return x }
		for which, name := range []string{"open", "secured"} {
			b.ReportMetric(median(fast[which], rate), name+"/s")
			b.ReportMetric(float64(median(steady[which], func(f figures) time.Duration { return f.P50 }))/float64(time.Millisecond), name+"-p50-ms")
			b.ReportMetric(float64(median(steady[which], cpu))/float64(time.Microsecond), name+"-cpu-us/job")
		}
		b.ReportMetric(median(rates, self), "rate-ratio")
		b.ReportMetric(median(p50s, self), "p50-ratio")
		b.ReportMetric(median(cpus, self), "cpu-ratio")
		b.ReportMetric(0, "ns/op") // says nothing here
	}
}

func report(b *testing.B, what string, list []figures) {
	ms := func(of func(figures) time.Duration) float64 {
		return float64(median(list, of)) / float64(time.Millisecond)
	}
	b.ReportMetric(median(list, rate), what+"/s")
	b.ReportMetric(ms(func(f figures) time.Duration { return f.P50 }), what+"-p50-ms")
	b.ReportMetric(ms(func(f figures) time.Duration { return f.P99 }), what+"-p99-ms")
}

func rate(f figures) float64 { return f.Rate }

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
// fast as they go and then, if at one and not in a city, at half of that.
func brokersRound(b *testing.B, all, secured bool) (full, half figures) {
	list, stops := brokers(b, all, secured)
	full = closedLoop(b, list, warmup, measured)
	if !all && !secured {
		half = openLoop(b, list, full.Rate/2, measured)
	}
	full.cpu = perJob(list, stops...)
	return full, half
}

// pacedRound measures three brokers, with the clients at one of them, at a steady pace.
func pacedRound(b *testing.B, secured bool, pace float64) figures {
	list, stops := brokers(b, false, secured)
	f := openLoop(b, list, pace, 2*measured)
	f.cpu = perJob(list, stops...)
	return f
}

// brokers starts three brokers, of a city if they are to be secured, and connects the clients to one of them or to all.
func brokers(b *testing.B, all, secured bool) (list []*client, stops []func() time.Duration) {
	dir := b.TempDir()
	names := []string{"a", "b", "c"}
	var in *settlement
	if secured {
		in = settle(b, dir, names...)
	}
	var at []string
	var join []string
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
	return dial(b, in, "/v1/jobs", at...), stops
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
