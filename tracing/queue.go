package tracing

import (
	"context"
	"log/slog"
	"sync/atomic"
	"time"

	sdk "go.opentelemetry.io/otel/sdk/trace"
)

// Bounds of what waits for a collector.
const (
	maxQueued    = 2048 // spans
	maxBatch     = 512  // spans that are sent at once
	batchEvery   = time.Second
	exportWithin = 10 * time.Second // how long a collector may take, tries included
	lastWithin   = 3 * time.Second  // the same, when the broker ends
	complainEach = time.Minute
)

// queue holds spans that have ended until they are sent. It drops what is too much, counts that, and says so once a minute.
type queue struct {
	exporter      sdk.SpanExporter
	log           *slog.Logger
	spans         chan sdk.ReadOnlySpan
	sent, dropped atomic.Uint64
	complained    time.Time // of run
	told          uint64    // of run: of dropped, those that were told of
}

func newQueue(exporter sdk.SpanExporter, log *slog.Logger) *queue {
	return &queue{exporter: exporter, log: log, spans: make(chan sdk.ReadOnlySpan, maxQueued)}
}

// OnStart implements sdk.SpanProcessor.
func (*queue) OnStart(context.Context, sdk.ReadWriteSpan) {}

// OnEnd implements sdk.SpanProcessor. It does not block.
func (q *queue) OnEnd(s sdk.ReadOnlySpan) {
	select {
	case q.spans <- s:
	default:
		q.dropped.Add(1)
	}
}

// Shutdown implements sdk.SpanProcessor; run ends with its context.
func (*queue) Shutdown(context.Context) error { return nil }

// ForceFlush implements sdk.SpanProcessor.
func (*queue) ForceFlush(context.Context) error { return nil }

// run sends what is queued, once a second, or when there is enough for a batch; when the context ends, what is left.
func (q *queue) run(ctx context.Context) error {
	t := time.NewTicker(batchEvery)
	defer t.Stop()
	var batch []sdk.ReadOnlySpan
	for {
		select {
		case s := <-q.spans:
			if batch = append(batch, s); len(batch) < maxBatch {
				continue
			}
		case <-t.C:
		case <-ctx.Done():
			return q.end(batch)
		}
		q.export(ctx, batch, exportWithin)
		batch = batch[:0]
	}
}

// end sends what is left.
func (q *queue) end(batch []sdk.ReadOnlySpan) error {
	ctx, cancel := context.WithTimeout(context.Background(), lastWithin)
	defer cancel()
	for more := true; more; {
		select {
		case s := <-q.spans:
			batch = append(batch, s)
		default:
			more = false
		}
	}
	for len(batch) > 0 {
		n := min(len(batch), maxBatch)
		q.export(ctx, batch[:n], lastWithin)
		batch = batch[n:]
	}
	_ = q.exporter.Shutdown(ctx) // it has nothing left to send
	return nil
}

// export sends a batch.
func (q *queue) export(ctx context.Context, batch []sdk.ReadOnlySpan, within time.Duration) {
	var err error
	if len(batch) > 0 {
		ctx, cancel := context.WithTimeout(ctx, within)
		defer cancel()
		if err = q.exporter.ExportSpans(ctx, batch); err != nil {
			q.dropped.Add(uint64(len(batch)))
		} else {
			q.sent.Add(uint64(len(batch)))
		}
	}
	now, dropped := time.Now(), q.dropped.Load()
	if dropped == q.told || now.Sub(q.complained) < complainEach {
		return
	}
	q.log.Warn("spans were dropped: their collector (--otlp-endpoint, OTEL_EXPORTER_OTLP_ENDPOINT) did not take them, or too many came", "spans", dropped-q.told, "error", err)
	q.complained, q.told = now, dropped
}
