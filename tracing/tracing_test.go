package tracing

import (
	"bytes"
	"context"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/otel/trace"
	otlp "go.opentelemetry.io/proto/otlp/trace/v1"

	"github.com/urban-compute/ucp/test/collector"
)

// all are the spans that came.
func all(t *testing.T, r *collector.Collector) []collector.Span {
	spans, wrong := r.Spans()
	require.Empty(t, wrong)
	return spans
}

// running is a tracer that sends to a receiver, and what it has logged when it has ended.
func running(t *testing.T, r *collector.Collector) (tr *Tracer, end func() string) {
	var log bytes.Buffer
	tr, err := New(Options{Endpoint: r.URL, Broker: "a", Log: slog.New(slog.NewTextHandler(&log, nil))})
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(t.Context())
	var work sync.WaitGroup
	work.Go(func() { require.NoError(t, tr.Run(ctx)) })
	return tr, func() string {
		cancel()
		work.Wait()
		return log.String()
	}
}

var at = time.Date(2026, 11, 29, 12, 0, 0, 0, time.UTC)

// Brokers that know nothing of each other tell one trace; a client's trace goes on in it.
func TestOneTraceOfManyBrokers(t *testing.T) {
	for name, env := range map[string]map[string]string{
		"of its own":    nil,
		"of the client": {Variable: "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"},
	} {
		t.Run(name, func(t *testing.T) {
			r := collector.New(t)
			a, endA := running(t, r)
			b, endB := running(t, r)
			a.Tell(Of("j~1", env), Span{Step: Place("1"), Under: Whole(), From: at, To: at.Add(time.Second)})
			b.Tell(Of("j~1", env), Span{Step: Running("1"), Under: Place("1"), From: at, To: at.Add(-time.Hour), Failed: "no", Marks: []Mark{{"suspended", at}}})
			a.Tell(Of("j~1", env), Span{Step: Whole(), From: at, To: at.Add(time.Minute)})
			endA()
			endB()
			spans := map[string]collector.Span{}
			for _, s := range all(t, r) {
				spans[s.Name] = s
			}
			require.Len(t, spans, 3)
			for _, s := range spans {
				require.Equal(t, spans["job"].Trace, s.Trace)
				require.GreaterOrEqual(t, s.EndTimeUnixNano, s.StartTimeUnixNano)
			}
			require.Equal(t, spans["place"].ID, spans["run"].Parent)
			require.Equal(t, spans["job"].ID, spans["place"].Parent)
			require.Equal(t, otlp.Status_STATUS_CODE_ERROR, spans["run"].Status.Code)
			require.Len(t, spans["run"].Events, 1)
			parent := ""
			if env != nil {
				parent = "b7ad6b7169203331"
				require.Equal(t, "0af7651916cd43dd8448eb211c80319c", spans["job"].Trace)
			}
			require.Equal(t, parent, spans["job"].Parent)
			sent, dropped := a.Counts()
			require.Equal(t, []uint64{2, 0}, []uint64{sent, dropped})
		})
	}
}

// A request of another trace than the job's, as that of a client who sends it again, is in the client's, and each names the other.
func TestRequestOfAnotherTrace(t *testing.T) {
	r := collector.New(t)
	a, end := running(t, r)
	j := Of("j~1", nil)
	a.Tell(j, Span{Step: Submit(), Under: Whole(), From: at, To: at, Requested: "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"})
	end()
	require.Len(t, all(t, r), 1)
	s := all(t, r)[0]
	require.Equal(t, "b7ad6b7169203331", s.Parent)
	require.Len(t, s.Links, 1)
	require.Equal(t, trace.TraceID(s.Links[0].TraceId), j.trace)
	require.True(t, Parse(j.Traceparent(Whole())).IsValid())
	require.NotEqual(t, j.Traceparent(Place("1")), j.Traceparent(Place("2")), "each attempt has its own")
	require.NotEqual(t, j.Traceparent(Place("1")), j.Traceparent(Load("1")))
}

// What a client does not want to be sampled is not told; what makes no sense as a context is none.
func TestClientsDecide(t *testing.T) {
	r := collector.New(t)
	a, end := running(t, r)
	a.Tell(Of("j~1", map[string]string{Variable: "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00"}), Span{Step: Whole(), From: at, To: at})
	a.Tell(Of("j~1", map[string]string{Variable: "nonsense" + strings.Repeat("x", 1000)}), Span{Step: Whole(), From: at, To: at})
	end()
	require.Len(t, all(t, r), 1)
	require.Empty(t, all(t, r)[0].Parent)
}

// What no collector takes, and what is too much, is dropped, counted, and told of.
func TestDroppedSpansAreTold(t *testing.T) {
	r := collector.New(t)
	r.Refuse()
	a, end := running(t, r)
	for range 3 {
		a.Tell(Of("j~1", nil), Span{Step: Whole(), From: at, To: at})
	}
	log := end()
	sent, dropped := a.Counts()
	require.Equal(t, []uint64{0, 3}, []uint64{sent, dropped})
	require.Contains(t, log, "spans were dropped")

	a, err := New(Options{Endpoint: "http://127.0.0.1:1", Broker: "a", Log: slog.New(slog.DiscardHandler)})
	require.NoError(t, err)
	for range maxQueued + 7 { // nobody sends
		a.Tell(Of("j~1", nil), Span{Step: Whole(), From: at, To: at})
	}
	_, dropped = a.Counts()
	require.Equal(t, uint64(7), dropped)
}

func TestEndpoints(t *testing.T) {
	for endpoint, good := range map[string]bool{
		"": true, "http://c:4318": true, "https://c/otel/": true, "c:4318": true, "http://c:4318/v1/traces": true, "ftp://c": false, "http://": false, ":": false,
	} {
		require.Equal(t, good, CheckEndpoint(endpoint) == nil, endpoint)
	}
	require.Equal(t, "http://c:4318/v1/traces", tracesAt("c:4318/"))
	for _, name := range []string{"OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_SDK_DISABLED", "OTEL_TRACES_EXPORTER"} {
		t.Setenv(name, "")
	}
	require.False(t, Wanted(""))
	require.True(t, Wanted("http://c"))
	t.Setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://c:4318")
	require.True(t, Wanted(""))
	t.Setenv("OTEL_TRACES_EXPORTER", "none")
	require.False(t, Wanted("http://c"))
}

// Nothing is allocated while nobody is told.
func TestOffCostsNothing(t *testing.T) {
	var off *Tracer
	j, s := Of("j~1", nil), Span{Step: Whole(), From: at, To: at}
	require.Zero(t, testing.AllocsPerRun(100, func() { off.Tell(j, s) }))
}

// BenchmarkTell is what a span costs who tells it.
func BenchmarkTell(b *testing.B) {
	on, err := New(Options{Endpoint: "http://127.0.0.1:1", Broker: "a", Log: slog.New(slog.DiscardHandler)})
	require.NoError(b, err)
	for name, t := range map[string]*Tracer{"off": nil, "on": on} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			j := Of("j~1", nil)
			for b.Loop() {
				t.Tell(j, Span{Step: Running("1"), Under: Place("1"), From: at, To: at})
			}
		})
	}
}
