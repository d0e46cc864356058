package httpd

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"slices"
	"time"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/urban-compute/ucp/api"
	"github.com/urban-compute/ucp/broker"
	"github.com/urban-compute/ucp/broker/causal"
	"github.com/urban-compute/ucp/job"
	"github.com/urban-compute/ucp/strictjson"
)

// batchTypes are the names of JSON values, one a line.
var batchTypes = []string{api.NDJSON, "application/ndjson", "application/jsonl"}

// handleBatch takes many jobs, one a line, as one commit. Each line has an answer of its own: one that is wrong, or that
// is not taken, does not keep the others out.
func (srv *Server) handleBatch(w http.ResponseWriter, r *http.Request) error {
	if err := srv.diskReserve(); err != nil {
		return srv.nothingTaken(err)
	}
	past, timeout, err := readPast(r)
	if err != nil {
		return srv.nothingTaken(err)
	}
	lines, err := srv.readBatch(w, r)
	if err != nil {
		return srv.nothingTaken(err)
	}
	b := batch{by: callerOf(r), past: past, timeout: timeout, out: make([]api.BatchLine, len(lines)), modules: namedModules{srv: srv, r: r}}
	for i, line := range lines {
		b.out[i].Line = i + 1
		b.out[i].ID, b.out[i].Error = srv.prepare(r.Context(), line, &b, i)
	}
	if err := srv.submitAll(r, &b); err != nil {
		return err
	}
	w.Header().Set(api.TokenHeader, b.seen.Token())
	w.Header().Set("Content-Type", api.NDJSON)
	w.WriteHeader(http.StatusOK)
	e := json.NewEncoder(w)
	e.SetEscapeHTML(false)
	for i := range b.out {
		_ = e.Encode(&b.out[i]) // a client that went away misses its answer
	}
	return nil
}

// batch is a request with several jobs.
type batch struct {
	by      *caller
	past    causal.Context // what the client had seen before
	timeout time.Duration
	out     []api.BatchLine // an answer for each line
	jobs    broker.Batch    // those lines that can be submitted
	at      []int           // which answer each of the jobs has
	seen    causal.Context  // what the client has seen now
	modules namedModules
}

// readBatch reads the lines of a request.
func (srv *Server) readBatch(w http.ResponseWriter, r *http.Request) ([][]byte, error) {
	media, err := mediaType(r)
	if err != nil {
		return nil, err
	}
	if !slices.Contains(batchTypes, media) {
		return nil, notTaken(r, api.NDJSON)
	}
	release, err := srv.reserve(r, api.MaxBatchBytes)
	if err != nil {
		return nil, err
	}
	defer release()
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, api.MaxBatchBytes))
	if err != nil {
		return nil, err
	}
	body = bytes.TrimRight(body, "\r\n \t")
	if len(body) == 0 {
		return nil, fail(http.StatusBadRequest, api.CodeBadRequest, `the batch is empty: write one job a line, as {"id": "...", "spec": {...}}`)
	}
	if n := bytes.Count(body, []byte("\n")) + 1; n > api.MaxBatch {
		return nil, fail(http.StatusRequestEntityTooLarge, api.CodeTooLarge, "the batch has %d lines, at most %d are allowed: send several", n, api.MaxBatch)
	}
	return bytes.Split(body, []byte("\n")), nil
}

// prepare reads a line of a batch and puts its job among those to submit.
func (srv *Server) prepare(ctx context.Context, line []byte, b *batch, i int) (job.ID, *api.Error) {
	var in struct {
		ID   string         `json:"id"`
		Spec jsontext.Value `json:"spec"`
	}
	if err := strictjson.Unmarshal(line, &in); err != nil {
		return "", fail(http.StatusBadRequest, api.CodeBadRequest, "%v", err)
	}
	id := api.NewJobID()
	if in.ID != "" {
		var err error
		if id, err = validID(in.ID); err != nil {
			return "", srv.asError(err)
		}
	}
	if len(in.Spec) == 0 {
		return id, fail(http.StatusBadRequest, api.CodeBadRequest, `the line has no "spec"`)
	}
	spec, err := parseSpec(in.Spec)
	if err == nil {
		err = b.by.submits(&spec)
	}
	if err == nil {
		err = srv.mayRead(ctx, b.by, &spec)
	}
	if err == nil {
		err = srv.checkBlobs(ctx, &spec)
	}
	if err != nil {
		return id, srv.asError(err)
	}
	digest := spec.Digest()
	version, err := b.modules.of(id, &spec, digest)
	if err != nil {
		return id, srv.asError(err)
	}
	b.jobs = append(b.jobs, broker.Submit{ID: id, Spec: spec, Digest: digest, Past: b.past, Timeout: b.timeout, Module: version})
	b.at = append(b.at, i)
	return id, nil
}

// submitAll submits the jobs of a batch, and notes the answers. Its error is that of the whole: nothing was taken.
func (srv *Server) submitAll(r *http.Request, b *batch) error {
	begun := srv.host.CityTime()
	o := orderOf(r)
	o.none = len(b.jobs) == 0
	b.seen = b.past
	if o.none {
		return nil
	}
	o.which, o.detail = string(b.jobs[0].ID), fmt.Sprintf("%d jobs, of which this is the first", len(b.jobs))
	ctx, cancel := context.WithTimeout(r.Context(), max(srv.cfg.AckTimeout, b.timeout)+srv.cfg.PeerTimeout)
	defer cancel()
	answers, err := srv.core.AskAll(ctx, len(b.jobs), func(tokens []broker.Token) broker.Input {
		for i := range b.jobs {
			b.jobs[i].Token = tokens[i]
		}
		return b.jobs
	})
	if _, draining := answers[0].(*broker.Draining); draining {
		return srv.nothingTaken(refusal(answers[0])) // and so are all the others: another broker takes them
	}
	if answers[0] == nil && err != nil {
		return err
	}
	for i, a := range answers {
		out, in := &b.out[b.at[i]], &b.jobs[i]
		if a == nil {
			out.Error = srv.asError(err)
			out.Error.Message += "; submitting it again with the same ID is safe"
			continue
		}
		a, err := srv.brought(r.Context(), *in, a)
		if err != nil {
			out.Error = srv.asError(err)
			continue
		}
		s, err := submitted(a, in.ID, b.timeout, int(in.Spec.MinReplicas))
		if err != nil {
			out.Error = srv.asError(err)
			continue
		}
		srv.metrics.submitted.Inc()
		out.Created, out.Replicas, out.Degraded, out.Wanted, out.Warnings = s.Created, s.Replicas, s.Degraded, srv.wanted(s.Degraded), warnings(s.NoLevel, littleCPU(&in.Spec))
		out.Module = moduleView(s.Record)
		srv.traced(nil, s.Record, begun, s, "")
		b.seen = b.seen.With(s.Past...)
	}
	b.order(o)
	return nil
}

// order says in the audit log which jobs were taken, or may have been: not those that were refused.
func (b *batch) order(o *order) {
	n := 0
	for i, at := range b.at {
		if e := b.out[at].Error; e != nil && e.Refused() {
			continue
		}
		if n++; n == 1 {
			o.which = string(b.jobs[i].ID)
		}
	}
	o.none, o.detail = n == 0, fmt.Sprintf("%d jobs, of which this is the first", n)
}
