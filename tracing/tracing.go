// Package tracing tells collectors of OpenTelemetry what becomes of jobs: how one was submitted, placed, loaded, run, and how its
// end was accepted, at whichever broker each of these was.
//
// Nothing of it travels between brokers. The IDs of a job's trace and of its spans follow from the job's key and the tokens of its
// attempts, so that each broker knows the parent of what it tells, whoever told that, and also when that one is gone. Only a trace
// that a client has begun is carried, in the job's environment (TRACEPARENT).
//
// Nothing waits for a collector: spans are queued, and counted where they are dropped. A nil Tracer does nothing.
package tracing

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"os"
	"strings"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracehttp"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/sdk/resource"
	sdk "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"
)

// Variable is where a job finds the context of its trace, and from where one that a client has begun is taken.
const Variable = "TRACEPARENT"

// Options say where spans go.
type Options struct {
	Endpoint        string // of OTLP over HTTP, such as http://10.0.0.9:4318; "" is what the environment says
	Broker, Version string
	Log             *slog.Logger
}

// Wanted reports whether spans are to go anywhere, by an endpoint that was given, or by the environment, as the specification of
// OpenTelemetry says.
func Wanted(endpoint string) bool {
	if strings.EqualFold(os.Getenv("OTEL_SDK_DISABLED"), "true") || strings.EqualFold(os.Getenv("OTEL_TRACES_EXPORTER"), "none") {
		return false
	}
	return endpoint != "" || os.Getenv("OTEL_EXPORTER_OTLP_ENDPOINT") != "" || os.Getenv("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT") != ""
}

// CheckEndpoint says what is wrong with an endpoint; "" is none.
func CheckEndpoint(endpoint string) error {
	if endpoint == "" {
		return nil
	}
	u, err := url.Parse(tracesAt(endpoint))
	if err != nil || u.Hostname() == "" || u.Scheme != "http" && u.Scheme != "https" {
		return fmt.Errorf("%q: want http://HOST:PORT or https://HOST:PORT", endpoint)
	}
	return nil
}

// Tracer tells of spans. Its methods may be called from any goroutine, and on nil.
type Tracer struct {
	tracer trace.Tracer
	queue  *queue
}

// New makes a Tracer. It sends nothing before [Tracer.Run].
func New(o Options) (*Tracer, error) {
	options := []otlptracehttp.Option{
		otlptracehttp.WithTimeout(exportWithin),
		otlptracehttp.WithRetry(otlptracehttp.RetryConfig{Enabled: true, InitialInterval: time.Second, MaxInterval: 5 * time.Second, MaxElapsedTime: exportWithin}),
	}
	if o.Endpoint != "" {
		options = append(options, otlptracehttp.WithEndpointURL(tracesAt(o.Endpoint)))
	}
	exporter, err := otlptracehttp.New(context.Background(), options...)
	if err != nil {
		return nil, fmt.Errorf("sending spans to %q: %w", o.Endpoint, err)
	}
	of, err := resource.New(context.Background(),
		resource.WithAttributes(attribute.String("service.name", "ucp"), attribute.String("service.instance.id", o.Broker), attribute.String("service.version", o.Version)),
		resource.WithFromEnv())
	if err != nil && !errors.Is(err, resource.ErrPartialResource) {
		return nil, fmt.Errorf("OTEL_RESOURCE_ATTRIBUTES, OTEL_SERVICE_NAME: %w", err)
	}
	q := newQueue(exporter, o.Log)
	provider := sdk.NewTracerProvider(sdk.WithResource(of), sdk.WithIDGenerator(given{}), sdk.WithSpanProcessor(q))
	return &Tracer{tracer: provider.Tracer("github.com/urban-compute/ucp"), queue: q}, nil
}

// tracesAt is the address for traces at an endpoint, as OTEL_EXPORTER_OTLP_ENDPOINT is read.
func tracesAt(endpoint string) string {
	if !strings.Contains(endpoint, "://") {
		endpoint = "http://" + endpoint
	}
	if strings.HasSuffix(endpoint, "/v1/traces") {
		return endpoint
	}
	return strings.TrimRight(endpoint, "/") + "/v1/traces"
}

// Run sends spans until the context ends, and then what is queued, for some seconds at most.
func (t *Tracer) Run(ctx context.Context) error { return t.queue.run(ctx) }

// Counts says how many spans a collector has taken, and how many were dropped, since none took them, or too many came.
func (t *Tracer) Counts() (sent, dropped uint64) { return t.queue.sent.Load(), t.queue.dropped.Load() }

// Job is the trace of a job.
type Job struct {
	trace  trace.TraceID
	client trace.SpanID // the client's span in which the job was submitted; zero: its trace begins with the job
	flags  trace.TraceFlags
	key    string
}

// Of is the trace of a job with this key and environment: the one that its client has begun, or one that follows from the key.
func Of(key string, env map[string]string) Job {
	if c := Parse(env[Variable]); c.IsValid() {
		return Job{trace: c.TraceID(), client: c.SpanID(), flags: c.TraceFlags(), key: key}
	}
	return Job{trace: trace.TraceID(digest("trace", key)[:16]), flags: trace.FlagsSampled, key: key}
}

// Parse reads a traceparent of W3C Trace Context; one that makes no sense is not valid.
func Parse(traceparent string) trace.SpanContext {
	if traceparent == "" {
		return trace.SpanContext{}
	}
	carrier := propagation.MapCarrier{"traceparent": traceparent}
	return trace.SpanContextFromContext(propagation.TraceContext{}.Extract(context.Background(), carrier))
}

// digest is what an ID is made of.
func digest(parts ...string) []byte {
	sum := sha256.Sum256([]byte("ucp\x00" + strings.Join(parts, "\x00")))
	sum[7] |= 1 // no ID of zeros is valid
	return sum[:]
}

// Step is a part of a job's trace. Its attempt is "" where it is of the job as a whole.
type Step struct{ name, attempt string }

// Whole is the job, from its submission to its end.
func Whole() Step { return Step{name: "job"} }

// Submit is the request that has brought the job.
func Submit() Step { return Step{name: "submit"} }

// Place is the choice of a broker for an attempt.
func Place(attempt string) Step { return Step{"place", attempt} }

// Load is the time until an attempt's program begins.
func Load(attempt string) Step { return Step{"load", attempt} }

// Running is the time in which an attempt's program runs.
func Running(attempt string) Step { return Step{"run", attempt} }

// Accept is the decision how the job has ended.
func Accept() Step { return Step{name: "accept"} }

func (j Job) id(s Step) trace.SpanID {
	return trace.SpanID(digest("span", j.key, s.name, s.attempt)[:8])
}

// context is that of a step, which others name as their parent.
func (j Job) context(s Step) trace.SpanContext {
	return trace.NewSpanContext(trace.SpanContextConfig{TraceID: j.trace, SpanID: j.id(s), TraceFlags: j.flags, Remote: true})
}

// Traceparent is the context of a step as W3C Trace Context writes it, for who goes on with the trace.
func (j Job) Traceparent(s Step) string {
	return fmt.Sprintf("00-%s-%s-%02x", j.trace, j.id(s), byte(j.flags&trace.FlagsSampled))
}

// Span is something that has happened.
type Span struct {
	Step      Step
	Under     Step // the step that is its parent; [Whole] has none but the client's
	From, To  time.Time
	Failed    string // why it has not succeeded; "" where it has
	Attrs     []attribute.KeyValue
	Marks     []Mark
	Requested string // the traceparent of the request in which a client has brought the job
}

// Mark is a moment in a span.
type Mark struct {
	Name string
	At   time.Time
}

// Tell tells of a span of a job.
func (t *Tracer) Tell(j Job, s Span) {
	if t == nil {
		return
	}
	parent := trace.SpanContext{}
	switch {
	case s.Step != Whole():
		parent = j.context(s.Under)
	case j.client.IsValid():
		parent = trace.NewSpanContext(trace.SpanContextConfig{TraceID: j.trace, SpanID: j.client, TraceFlags: j.flags, Remote: true})
	}
	options := []trace.SpanStartOption{trace.WithTimestamp(s.From), trace.WithAttributes(s.Attrs...)}
	next := ids{j.trace, j.id(s.Step)}
	if by := Parse(s.Requested); by.IsValid() && by.TraceID() != j.trace { // the request is of another trace: the two name each other
		next.trace, parent = by.TraceID(), by
		options = append(options, trace.WithLinks(trace.Link{SpanContext: j.context(Whole())}))
	}
	if s.Step == Submit() {
		options = append(options, trace.WithSpanKind(trace.SpanKindServer))
	}
	ctx := context.WithValue(context.Background(), idsKey{}, next)
	if parent.IsValid() {
		ctx = trace.ContextWithRemoteSpanContext(ctx, parent)
	}
	_, span := t.tracer.Start(ctx, s.Step.name, options...)
	for _, m := range s.Marks {
		span.AddEvent(m.Name, trace.WithTimestamp(m.At))
	}
	if s.Failed != "" {
		span.SetStatus(codes.Error, s.Failed)
	}
	if s.To.Before(s.From) {
		s.To = s.From
	}
	span.End(trace.WithTimestamp(s.To))
}

// ids are those of the next span.
type ids struct {
	trace trace.TraceID
	span  trace.SpanID
}

// idsKey is where a context carries them.
type idsKey struct{}

// given makes no IDs: they follow from the job.
type given struct{}

// NewIDs implements sdk.IDGenerator.
func (given) NewIDs(ctx context.Context) (trace.TraceID, trace.SpanID) {
	next, _ := ctx.Value(idsKey{}).(ids)
	return next.trace, next.span
}

// NewSpanID implements sdk.IDGenerator.
func (given) NewSpanID(ctx context.Context, _ trace.TraceID) trace.SpanID {
	next, _ := ctx.Value(idsKey{}).(ids)
	return next.span
}
