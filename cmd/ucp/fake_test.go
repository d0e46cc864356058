package main

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/urban-compute/ucp/api"
	"github.com/urban-compute/ucp/clock"
	"github.com/urban-compute/ucp/job"
	"github.com/urban-compute/ucp/plan"
	"github.com/urban-compute/ucp/tree"
)

// fakeBroker speaks the API and runs jobs by a function. It keeps count of what
// it was asked.
type fakeBroker struct {
	*httptest.Server

	// execute says how a submitted job stands from then on.
	execute func(id string, spec job.Spec) api.Job

	// before is called before a request is looked at; may be nil.
	before func(method, path string)

	// hold is called when an answer is made but not yet sent; may be nil.
	hold func(r *http.Request)

	unheard []string // of three brokers, what it answers of those that it does not hear to who has it ask them

	mu          sync.Mutex
	requests    []string
	blobs       map[string][]byte
	jobs        map[string]*api.Job
	streams     map[string]string // "ID/stdout" and the like
	status      api.Coordination
	members     api.MemberList
	emergencies api.EmergencyList
	conflicts   api.ConflictList
	refuse      func(*http.Request) bool // what it fails to answer; may be nil
	drain       http.HandlerFunc
	noData      bool // it is of a version without named data

	sent      atomic.Int64 // bytes of what jobs have left
	breaks    atomic.Int64 // what jobs have left breaks off behind so many bytes, and can't be asked for in parts; 0 for never
	data      map[string]*api.Data
	degraded  bool                // it alone holds what is submitted
	follow    http.HandlerFunc    // of ?follow=1
	others    map[string][]string // brokers that decide otherwise than the one that is asked
	commanded map[string]string   // those of them that an emergency makes decide otherwise
	metadata  string              // the rows of GET /broker/metadata
	types     []string            // Content-Type of submissions
	queries   []string            // of lists of jobs
	counts    map[job.State]int   // answers ?count=1
}

// asOf is the present of every fake broker.
var asOf = time.Date(2026, 1, 31, 15, 4, 5, 0, time.UTC)

func newFakeBroker(t *testing.T) (*fakeBroker, *shell) {
	b := &fakeBroker{blobs: map[string][]byte{}, jobs: map[string]*api.Job{}, streams: map[string]string{}}
	b.execute = func(id string, _ job.Spec) api.Job { return succeeded(id) }
	b.follow = func(http.ResponseWriter, *http.Request) {}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /v1/blobs/{digest}", b.blob) // HEAD too
	mux.HandleFunc("PUT /v1/blobs/{digest}", b.putBlob)
	mux.HandleFunc("PUT /v1/jobs/{id}", b.submit)
	mux.HandleFunc("POST /v1/jobs:batch", b.batch)
	mux.HandleFunc("GET /v1/jobs", b.list)
	mux.HandleFunc("GET /v1/jobs/{id}", b.get)
	mux.HandleFunc("DELETE /v1/jobs/{id}", b.cancel)
	mux.HandleFunc("GET /v1/jobs/{id}/{stream...}", b.stream)
	mux.HandleFunc("/v1/data/{name...}", b.named)
	mux.HandleFunc("GET /v1/members", func(w http.ResponseWriter, _ *http.Request) { b.reply(w, 200, b.members) })
	mux.HandleFunc("GET /v1/emergencies", func(w http.ResponseWriter, _ *http.Request) { b.reply(w, 200, b.emergencies) })
	mux.HandleFunc("GET /v1/conflicts", func(w http.ResponseWriter, _ *http.Request) { b.reply(w, 200, b.conflicts) })
	mux.HandleFunc("GET /broker/metadata", func(w http.ResponseWriter, _ *http.Request) {
		_, _ = io.WriteString(w, `{"brokers":{`+b.metadata+`}}`)
	})
	mux.HandleFunc("GET /v1/strategy", func(w http.ResponseWriter, _ *http.Request) { b.reply(w, 200, api.Strategy{Strategy: "causal"}) })
	mux.HandleFunc("PUT /v1/strategy", func(w http.ResponseWriter, r *http.Request) {
		var in api.Strategy
		if json.NewDecoder(r.Body).Decode(&in) != nil {
			b.fail(w, 400, api.CodeBadRequest, "no strategy")
			return
		}
		in.Others, in.Commanded = b.others, b.commanded
		b.reply(w, 200, in)
	})
	mux.HandleFunc("DELETE /v1/members/{name}", b.removeMember)
	mux.HandleFunc("/v1/members/{name}/drain", func(w http.ResponseWriter, r *http.Request) { b.drain(w, r) })
	mux.HandleFunc("GET /broker/coordination-status", func(w http.ResponseWriter, _ *http.Request) { b.reply(w, 200, b.status) })
	b.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		b.mu.Lock()
		defer b.mu.Unlock()
		b.requests = append(b.requests, r.Method+" "+r.URL.Path)
		if b.before != nil {
			b.before(r.Method, r.URL.Path)
		}
		if r.Header.Get(api.AskHeader) != "" {
			w.Header().Set(api.ReachHeader, fmt.Sprintf("n1; %d/3", 3-len(b.unheard)))
			w.Header()[api.UnheardHeader] = b.unheard
		}
		if b.refuse != nil && b.refuse(r) {
			b.fail(w, 403, api.CodeForbidden, "not for you")
			return
		}
		mux.ServeHTTP(w, r)
		if b.hold != nil {
			b.hold(r)
		}
	}))
	t.Cleanup(b.Close)
	s := newShell(t)
	s.env["UCP_ADDR"] = b.URL
	return b, s
}

// count says how often a request was made that begins so.
func (b *fakeBroker) count(prefix string) int {
	b.mu.Lock()
	defer b.mu.Unlock()
	n := 0
	for _, r := range b.requests {
		if strings.HasPrefix(r, prefix) {
			n++
		}
	}
	return n
}

func (b *fakeBroker) reply(w http.ResponseWriter, status int, v any) {
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(v)
}

func (b *fakeBroker) fail(w http.ResponseWriter, status int, code, message string) {
	b.reply(w, status, api.Error{Message: message, Code: code})
}

func (b *fakeBroker) blob(w http.ResponseWriter, r *http.Request) {
	data, ok := b.blobs[r.PathValue("digest")]
	if !ok {
		b.fail(w, 404, api.CodeNotFound, "no such blob")
		return
	}
	if r.URL.Query().Get("missing") == "" {
		_, _ = w.Write(data)
		return
	}
	m, err := tree.Decode(data)
	if err != nil {
		b.fail(w, 422, api.CodeInvalid, err.Error())
		return
	}
	lacking := slices.DeleteFunc(m.Files(), func(d job.Digest) bool { return b.blobs[string(d)] != nil })
	b.reply(w, 200, api.Missing{Missing: lacking[:min(len(lacking), 2)]}) // a few at a time
}

func (b *fakeBroker) putBlob(w http.ResponseWriter, r *http.Request) {
	data, _ := io.ReadAll(r.Body)
	if digestOf(string(data)) != r.PathValue("digest") {
		b.fail(w, 422, api.CodeInvalid, "digest mismatch")
		return
	}
	b.blobs[r.PathValue("digest")] = data
	b.reply(w, 201, api.Blob{})
}

func (b *fakeBroker) submit(w http.ResponseWriter, r *http.Request) {
	b.types = append(b.types, r.Header.Get("Content-Type"))
	body, _ := io.ReadAll(r.Body)
	id := r.PathValue("id")
	var spec job.Spec
	if r.Header.Get("Content-Type") == "application/json" {
		var err error
		if spec, err = job.ParseSpec(body); err != nil {
			b.fail(w, 422, api.CodeInvalid, err.Error())
			return
		}
	}
	for _, d := range spec.Blobs() {
		if m, isTree := d.Tree(); isTree {
			d = m
		}
		if _, ok := b.blobs[string(d)]; !ok {
			b.fail(w, 422, api.CodeMissingBlobs, "upload first: "+string(d))
			return
		}
	}
	j := b.execute(id, spec)
	j.Spec = &spec
	b.jobs[id] = &j
	out := api.Submission{ID: job.ID(id), Replicas: 3}
	if b.degraded {
		out.Replicas, out.Degraded, out.Wanted = 1, true, 3
	}
	out.Warnings = noLevel(spec)
	b.reply(w, 201, out)
}

// noLevel warns of an emergency that is no level.
func noLevel(spec job.Spec) []string {
	if tag := spec.Priority.Emergency; tag != "" && job.Level(tag) < 0 {
		return []string{"no emergency of the type " + tag + " is known here"}
	}
	return nil
}

// batch takes all jobs but those that are called "refused"; of those that are called "few" it has few copies.
func (b *fakeBroker) batch(w http.ResponseWriter, r *http.Request) {
	from, to := json.NewDecoder(r.Body), json.NewEncoder(w)
	for i := 1; ; i++ {
		var in api.BatchJob
		if err := from.Decode(&in); err != nil {
			return
		}
		out := api.BatchLine{Line: i, ID: in.ID, Created: true, Replicas: 3}
		if in.Spec.Name == "refused" {
			out = api.BatchLine{Line: i, ID: in.ID, Error: &api.Error{Code: api.CodeInvalid, Message: "not that name"}}
		} else {
			j := b.execute(string(in.ID), in.Spec)
			j.Spec = &in.Spec
			b.jobs[string(in.ID)] = &j
			out.Warnings = noLevel(in.Spec)
			if in.Spec.Name == "few" {
				out.Degraded, out.Replicas, out.Wanted = true, 1+i/2, 3
			}
		}
		_ = to.Encode(out)
	}
}

func (b *fakeBroker) removeMember(w http.ResponseWriter, r *http.Request) {
	for i, m := range b.members.Members {
		switch {
		case m.Name != r.PathValue("name"):
		case !m.Away:
			b.fail(w, 409, api.CodeReachable, m.Name+" is there: stop it, and it leaves by itself")
			return
		default:
			b.members.Members[i].Roll, b.members.Members[i].Away = "removed", false
			b.reply(w, 200, api.RemovedMember{Name: m.Name, Losses: 1, Bear: 1, Replicas: 2})
			return
		}
	}
	b.fail(w, 404, api.CodeNotFound, "no broker \""+r.PathValue("name")+"\" takes part")
}

func (b *fakeBroker) find(w http.ResponseWriter, r *http.Request) *api.Job {
	if j := b.jobs[r.PathValue("id")]; j != nil {
		return j
	}
	var found []*api.Job
	for id, j := range b.jobs {
		if strings.HasPrefix(id, r.PathValue("id")) {
			found = append(found, j)
		}
	}
	switch len(found) {
	case 0:
	case 1:
		return found[0]
	default:
		b.fail(w, 409, api.CodeConflict, "several jobs have an ID that begins with "+r.PathValue("id"))
		return nil
	}
	b.fail(w, 404, api.CodeNotFound, "this broker knows of no job "+r.PathValue("id"))
	return nil
}

// get answers at once, whatever ?wait= says: a client must bear that.
func (b *fakeBroker) get(w http.ResponseWriter, r *http.Request) {
	if j := b.find(w, r); j != nil {
		b.reply(w, 200, j)
	}
}

func (b *fakeBroker) list(w http.ResponseWriter, r *http.Request) {
	l := api.JobList{Jobs: []api.Job{}, AsOf: asOf}
	of, array := strings.CutPrefix(r.URL.Query().Get("label"), arrayLabel+"=")
	inArray := func(id string) bool { s := b.jobs[id].Spec; return array && s != nil && s.Labels[arrayLabel] == of }
	if r.URL.Query().Has("count") {
		l.Counts = b.counts
		for id, j := range b.jobs {
			if inArray(id) {
				if l.Counts == nil {
					l.Counts = map[job.State]int{}
				}
				l.Counts[j.State]++
			}
		}
		b.reply(w, 200, l)
		return
	}
	if of, ok := strings.CutPrefix(r.URL.Query().Get("label"), plan.LabelPlan); ok {
		b.reply(w, 200, b.ofPlan(of, r.URL.Query().Get("state")))
		return
	}
	if array {
		for _, id := range slices.Sorted(maps.Keys(b.jobs)) {
			if states := r.URL.Query().Get("state"); inArray(id) && (states == "" || slices.Contains(strings.Split(states, ","), string(b.jobs[id].State))) {
				l.Jobs = append(l.Jobs, *b.jobs[id])
			}
		}
		b.reply(w, 200, l)
		return
	}
	for _, id := range []string{"j3", "j2", "j1"} {
		j, ok := b.jobs[id]
		q := r.URL.Query()
		if ok && !asked(j, q) {
			continue
		}
		if s := q.Get("state"); ok && (s == "" || slices.Contains(strings.Split(s, ","), string(j.State))) && (q.Get("name") == "" || q.Get("name") == j.Name) && id > "" && !(r.URL.Query().Get("after") == "j2" && id >= "j2") {
			l.Jobs = append(l.Jobs, *j)
		}
	}
	b.queries = append(b.queries, r.URL.RawQuery)
	if r.URL.Query().Get("limit") == "2" && len(l.Jobs) > 2 {
		l.Jobs, l.Next = l.Jobs[:2], "j2"
	}
	b.reply(w, 200, l)
}

// ofPlan lists the jobs of one plan, "=" and its ID, or of all, in one of these states, or in any.
func (b *fakeBroker) ofPlan(which, states string) api.JobList {
	l := api.JobList{Jobs: []api.Job{}, AsOf: asOf}
	for _, id := range slices.Sorted(maps.Keys(b.jobs)) {
		j := *b.jobs[id]
		if j.Spec != nil && j.Spec.Labels[plan.LabelPlan] != "" && (which == "" || which == "="+j.Spec.Labels[plan.LabelPlan]) &&
			(states == "" || slices.Contains(strings.Split(states, ","), string(j.State))) {
			j.Spec = nil
			l.Jobs = append(l.Jobs, j)
		}
	}
	return l
}

// asked reports whether a job is among those that a list is asked for, by what status asks.
func asked(j *api.Job, q url.Values) bool {
	was := slices.ContainsFunc(j.Attempts, func(a api.Attempt) bool { return a.Executor == q.Get("broker") })
	open := len(j.Pauses) > 0 && j.Pauses[len(j.Pauses)-1].To == 0
	return (q.Get("urgent") == "" || j.Emergency != "") && (q.Get("paused") == "" || open) && (q.Get("broker") == "" || j.Executor == q.Get("broker") || was)
}

func (b *fakeBroker) cancel(w http.ResponseWriter, r *http.Request) {
	j := b.find(w, r)
	if j == nil {
		return
	}
	if j.State.Final() {
		b.fail(w, 409, api.CodeConflict, "job "+string(j.ID)+" has already ended: "+string(j.State))
		return
	}
	j.State = job.StateCancelled
	b.reply(w, 200, j)
}

func (b *fakeBroker) stream(w http.ResponseWriter, r *http.Request) {
	j := b.find(w, r)
	if j == nil {
		return
	}
	if r.URL.Query().Has("follow") {
		b.follow(w, r)
		return
	}
	if !j.State.Final() && !slices.ContainsFunc(j.Attempts, func(a api.Attempt) bool { return a.Kept != nil && a.Attempt == r.URL.Query().Get("attempt") }) {
		b.fail(w, 409, api.CodeConflict, "job "+string(j.ID)+" is "+string(j.State)+"; its output is there when it has ended")
		return
	}
	content := b.streams[string(j.ID)+"/"+r.PathValue("stream")]
	if n := b.breaks.Load(); n > 0 {
		w.Header().Set("Content-Length", fmt.Sprint(len(content)))
		_, _ = io.WriteString(w, content[:n])
		panic(http.ErrAbortHandler)
	}
	w.Header().Set("Content-Type", "application/octet-stream")
	w.Header().Set("ETag", `"`+digestOf(content)+`"`)
	http.ServeContent(counting{w, &b.sent}, r, "", time.Time{}, strings.NewReader(content))
}

// counting counts what is sent of contents.
type counting struct {
	http.ResponseWriter
	n *atomic.Int64
}

// Write implements io.Writer.
func (c counting) Write(p []byte) (int, error) {
	c.n.Add(int64(len(p)))
	return c.ResponseWriter.Write(p)
}

// leaves makes a job leave a stream or an output file.
func (b *fakeBroker) leaves(j *api.Job, stream, data string) {
	b.streams[string(j.ID)+"/"+stream] = data
	blob := job.Blob{Digest: job.Digest(digestOf(data)), Size: int64(len(data))}
	switch path, isOutput := strings.CutPrefix(stream, "outputs/"); {
	case isOutput:
		if j.Outputs == nil {
			j.Outputs = map[string]job.Blob{}
		}
		j.Outputs[path] = blob
	case stream == "stdout":
		j.Stdout = &blob
	default:
		j.Stderr = &blob
	}
}

// knows makes the broker know a job of a plan, with a spec that says so.
func (b *fakeBroker) knows(id string, state job.State, size int, after ...job.ID) *api.Job {
	of, name, _, _ := plan.Split(job.ID(id))
	j := succeeded(id)
	if j.State = state; state != job.StateSucceeded {
		j.ExitCode = nil
	}
	j.Spec = &job.Spec{Command: "x", After: after, Labels: map[string]string{plan.LabelPlan: string(of), plan.LabelJob: name, plan.LabelSize: strconv.Itoa(size)}}
	must(j.Spec.Complete())
	b.mu.Lock()
	defer b.mu.Unlock() // a request that its client has given up may still be under way
	b.jobs[id] = &j
	return &j
}

func digestOf(s string) string {
	sum := sha256.Sum256([]byte(s))
	return hex.EncodeToString(sum[:])
}

// succeeded is a job that ended well on broker b, two seconds before asOf.
func succeeded(id string) api.Job {
	zero := 0
	return api.Job{
		ID: job.ID(id), Key: id + "~0", State: job.StateSucceeded, ExitCode: &zero, Origin: "a", Owner: "a", Executor: "b", Attempt: 1,
		SubmittedAt: clock.At(asOf.Add(-90 * time.Second)), StartedAt: clock.At(asOf.Add(-4500 * time.Millisecond)), FinishedAt: clock.At(asOf.Add(-2 * time.Second)),
		Rejected: []api.Accepted{}, Superseded: []api.Verdict{}, AsOf: asOf, KnownBy: 3, Members: 3,
	}
}

// ended is a job that ended otherwise; code is nil where there is none.
func ended(id string, state job.State, code *int, reason string) api.Job {
	j := succeeded(id)
	j.State, j.ExitCode, j.Reason = state, code, reason
	return j
}

func TestFakeBrokerRefusesLikeARealOne(t *testing.T) {
	_, s := newFakeBroker(t)
	require.Equal(t, ran{exitError, "", "ucp: this broker knows of no job x\n"}, s.run("job", "get", "x"))
}
