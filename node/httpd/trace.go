package httpd

import (
	"maps"
	"net/http"
	"time"

	"go.opentelemetry.io/otel/attribute"

	"github.com/urban-compute/ucp/broker"
	"github.com/urban-compute/ucp/job"
	"github.com/urban-compute/ucp/tracing"
)

// The headers of W3C Trace Context: what a client is in, and what it is told.
const (
	traceparent   = "traceparent"
	traceresponse = "traceresponse"
)

// continues lets a job go on with the trace in which its client posts it. Not one that has an ID (PUT): the spec is half of a job's key
// (rule J3), and the same request sent again, as by a client with a span for each try, would be another job.
func continues(r *http.Request, spec *job.Spec) {
	by := r.Header.Get(traceparent)
	if r.Method != http.MethodPost || spec.PlainEnv || spec.Env[tracing.Variable] != "" || !tracing.Parse(by).IsValid() {
		return
	}
	longer := *spec
	if longer.Env = maps.Clone(spec.Env); longer.Env == nil {
		longer.Env = map[string]string{}
	}
	longer.Env[tracing.Variable] = by
	if longer.Complete() == nil { // else it has no room for it
		*spec = longer
	}
}

// traced tells of a submission that was acknowledged, and the client in which trace its job is.
func (srv *Server) traced(to http.Header, r *job.Record, begun time.Time, s *broker.Submitted, requested string) {
	if srv.cfg.Tracer == nil {
		return
	}
	j := tracing.Of(r.Key(), r.Spec.Env)
	srv.cfg.Tracer.Tell(j, tracing.Span{
		Step: tracing.Submit(), Under: tracing.Whole(), From: begun, To: srv.host.CityTime(), Requested: requested,
		Attrs: []attribute.KeyValue{
			attribute.String("ucp.broker", srv.cfg.Name), attribute.String("ucp.job.id", string(r.ID)), attribute.Int("ucp.replicas", s.Replicas), attribute.Bool("ucp.degraded", s.Degraded), attribute.Bool("ucp.created", s.Created),
		},
	})
	if to != nil {
		to.Set(traceresponse, j.Traceparent(tracing.Whole()))
	}
}
