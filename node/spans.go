package node

import (
	"strings"
	"sync"
	"time"

	"go.opentelemetry.io/otel/attribute"

	"github.com/urban-compute/ucp/broker"
	"github.com/urban-compute/ucp/executor"
	"github.com/urban-compute/ucp/job"
	"github.com/urban-compute/ucp/tracing"
)

// spans tell of jobs what this broker knows first: as their owner where they are placed and how they end, as executor how they
// load and run. It does nothing while there is no tracer. Times are the city's, so that brokers whose clocks differ tell one story.
type spans struct {
	tracer *tracing.Tracer // nil: nobody is told
	self   string
	now    func() time.Time

	mu     sync.Mutex
	placed map[string]time.Time // attempts of which it was told that they were placed, so that a job that is put back into its queue is not placed again; by tokenID
}

// maxPlaced bounds how many attempts are remembered as placed.
const maxPlaced = 4096

// traced is an attempt that is told of.
type traced struct {
	job    tracing.Job
	begun  time.Time
	loaded time.Time // zero until its program begins
	marks  []tracing.Mark
}

// maxMarks bounds how often it is told that one attempt stood still, or went on.
const maxMarks = 128

// started begins to tell of an attempt; nil where nobody is told.
func (s *spans) started(r *broker.Run) *traced {
	if s.tracer == nil {
		return nil
	}
	return &traced{job: tracing.Of(r.Key, r.Spec.Env), begun: s.now()}
}

// variable is what the job finds as its trace: the span in which it runs. "" is what the spec says.
func (t *traced) variable(attempt string) string {
	if t == nil {
		return ""
	}
	return t.job.Traceparent(tracing.Running(attempt))
}

// phase takes in how far an attempt is.
func (s *spans) phase(t *traced, u *executor.Update) {
	if t == nil {
		return
	}
	now := s.now()
	mark := func(name string) {
		if len(t.marks) < maxMarks {
			t.marks = append(t.marks, tracing.Mark{Name: name, At: now})
		}
	}
	switch u.Phase {
	case executor.PhaseLoaded:
		t.loaded = now
		s.tracer.Tell(t.job, tracing.Span{Step: tracing.Load(u.Attempt), Under: tracing.Place(u.Attempt), From: t.begun, To: now, Attrs: s.attributes(u.Key, u.Attempt)})
	case executor.PhaseSuspended:
		mark("suspended")
	case executor.PhaseResumed:
		mark("resumed")
	case executor.PhaseCheckpoint:
		mark("checkpoint")
	}
}

// ended tells how an attempt has ended. One whose program has not begun has only loaded.
func (s *spans) ended(t *traced, u *executor.Update) {
	if t == nil {
		return
	}
	x := tracing.Span{Step: tracing.Running(u.Attempt), Under: tracing.Place(u.Attempt), From: t.loaded, To: s.now(), Marks: t.marks, Attrs: s.attributes(u.Key, u.Attempt)}
	if t.loaded.IsZero() {
		x.Step, x.From = tracing.Load(u.Attempt), t.begun
	}
	outcome := outcomeOf(u)
	x.Attrs = append(x.Attrs, attribute.String("ucp.outcome", outcome))
	if u.Result.ExitCode != nil {
		x.Attrs = append(x.Attrs, attribute.Int("process.exit.code", *u.Result.ExitCode))
	}
	if outcome != string(job.Succeeded) {
		x.Failed = outcome + ": " + u.Result.Reason
	}
	s.tracer.Tell(t.job, x)
}

func (s *spans) attributes(key, attempt string) []attribute.KeyValue {
	id, _, _ := strings.Cut(key, "~")
	return []attribute.KeyValue{attribute.String("ucp.broker", s.self), attribute.String("ucp.job.id", id), attribute.String("ucp.attempt", attempt)}
}

// heard takes in what the core has noted.
func (s *spans) heard(notes []broker.Note) {
	if s.tracer == nil {
		return
	}
	for i := range notes {
		if r := notes[i].Job; r != nil && notes[i].Kind == "job" && notes[i].What == string(r.State()) {
			s.job(r, notes[i].At)
		}
	}
}

// job tells, as far as this broker has decided it, where a job was placed, or how it has ended.
func (s *spans) job(r *job.Record, at time.Time) {
	t := tracing.Of(r.Key(), r.Spec.Env)
	if v := r.Verdict(); v != nil {
		if v.Dot.Actor.Broker() == s.self && !r.IsStub() {
			s.accepted(t, r, v)
		}
		return
	}
	if r.Place.IsZero() || r.Owner.Broker != s.self || !s.first(attemptID(r.Key(), r.Place.Attempt.Token()), at) {
		return
	}
	attempt, from := r.Place.Attempt.Token(), at
	if r.Place.Attempt.Seq <= 1 && r.Owner.Tenure.Epoch == 1 {
		from = r.Submitted().Time()
	}
	s.tracer.Tell(t, tracing.Span{Step: tracing.Place(attempt), Under: tracing.Whole(), From: from, To: at,
		Attrs: append(s.attributes(r.Key(), attempt), attribute.String("ucp.placed.at", r.Place.Broker), attribute.Int("ucp.try", r.Place.Try))})
}

// first reports whether it was not told yet that an attempt was placed.
func (s *spans) first(attempt string, at time.Time) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, told := s.placed[attempt]; told {
		return false
	}
	if s.placed == nil || len(s.placed) >= maxPlaced {
		s.placed = map[string]time.Time{}
	}
	s.placed[attempt] = at
	return true
}

// accepted tells how a job has ended, and with that of all of it.
func (s *spans) accepted(t tracing.Job, r *job.Record, v *job.Verdict) {
	at, under, attempt := v.At.Time(), tracing.Whole(), ""
	if a := r.Accepted(); a != nil {
		attempt = a.Attempt.Token()
		under = tracing.Running(attempt)
	}
	attrs := append(s.attributes(r.Key(), attempt), attribute.String("ucp.outcome", string(v.Outcome)))
	failed := ""
	if v.Outcome != job.Succeeded {
		failed = string(v.Outcome) + ": " + v.Reason
	}
	s.tracer.Tell(t, tracing.Span{Step: tracing.Accept(), Under: under, From: at, To: s.now(), Failed: failed, Attrs: attrs})
	s.tracer.Tell(t, tracing.Span{Step: tracing.Whole(), From: r.Submitted().Time(), To: at, Failed: failed, Attrs: append(attrs, attribute.String("ucp.job.name", r.Spec.Name), attribute.String("ucp.owner", r.Owner.Broker))})
}
