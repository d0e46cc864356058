package httpd

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/urban-compute/ucp/api"
	"github.com/urban-compute/ucp/broker"
	"github.com/urban-compute/ucp/broker/causal"
	"github.com/urban-compute/ucp/broker/membership"
	"github.com/urban-compute/ucp/clock"
	"github.com/urban-compute/ucp/data"
	"github.com/urban-compute/ucp/job"
	"github.com/urban-compute/ucp/label"
	"github.com/urban-compute/ucp/store"
	"github.com/urban-compute/ucp/strictjson"
)

// handleSubmit takes a job: POST gives it an ID, PUT brings one and is
// idempotent (rules A1, J3).
func (srv *Server) handleSubmit(w http.ResponseWriter, r *http.Request) error {
	return srv.nothingTaken(srv.submit(w, r))
}

// nothingTaken adds to a refusal that nothing has come of the request; not where something may have.
func (srv *Server) nothingTaken(err error) error {
	if err == nil {
		return nil
	}
	e := srv.asError(err)
	if !e.Refused() {
		return err
	}
	e.Message += "; nothing was taken"
	return e
}

func (srv *Server) submit(w http.ResponseWriter, r *http.Request) error {
	wait, err := queryDuration(r, "wait")
	if err != nil {
		return err
	}
	if err := srv.diskReserve(); err != nil {
		return err
	}
	id, err := srv.submittedID(r)
	if err != nil {
		return err
	}
	spec, err := readSpec(w, r)
	if err != nil {
		return err
	}
	if err := callerOf(r).submits(&spec); err != nil {
		return err
	}
	past, timeout, err := readPast(r)
	if err != nil {
		return err
	}
	dry := queryYes(r, "dry_run")
	if _, named := spec.ModuleName(); !dry || named {
		if err := srv.mayRead(r.Context(), callerOf(r), &spec); err != nil {
			return err
		}
	}
	if dry {
		orderOf(r).none = true
		return srv.dryRun(w, r, spec, past)
	}
	if err := srv.checkBlobs(r.Context(), &spec); err != nil {
		return err
	}
	digest := spec.Digest()
	version, err := (&namedModules{srv: srv, r: r}).of(id, &spec, digest)
	if err != nil {
		return err
	}
	o := orderOf(r)
	o.which, o.detail = string(id), spec.Name
	in := broker.Submit{ID: id, Spec: spec, Digest: digest, Past: past, Timeout: timeout, Module: version}
	a, err := srv.takeJob(r.Context(), in)
	if err != nil {
		return err
	}
	s, err := submitted(a, id, timeout, int(spec.MinReplicas))
	if err != nil {
		return err
	}
	srv.metrics.submitted.Inc()
	out := api.Submission{ID: id, Replicas: s.Replicas, Degraded: s.Degraded, Wanted: srv.wanted(s.Degraded), CausalToken: s.Past.Token(), Module: moduleView(s.Record), Warnings: warnings(s.NoLevel, littleCPU(&spec))}
	w.Header().Set(api.TokenHeader, out.CausalToken)
	if wait > 0 {
		f, err := srv.await(r.Context(), s.Record.Key(), wait, s.Past)
		if err != nil {
			return err
		}
		j := srv.view(f, true)
		out.Job = &j
	}
	writeJSON(w, submitStatus(s), out)
	return nil
}

// takeJob submits a job, and brings its module where that is what it takes.
func (srv *Server) takeJob(ctx context.Context, in broker.Submit) (broker.Answer, error) {
	a, err := srv.askToTake(ctx, in)
	if err != nil {
		return nil, err
	}
	return srv.brought(ctx, in, a)
}

// askToTake submits a job, and waits for the answer for as long as it may take to be acknowledged.
func (srv *Server) askToTake(ctx context.Context, in broker.Submit) (broker.Answer, error) {
	ctx, cancel := context.WithTimeout(ctx, max(srv.cfg.AckTimeout, in.Timeout)+srv.cfg.PeerTimeout)
	defer cancel()
	return ask[broker.Answer](ctx, srv, func(t broker.Token) broker.Input { in.Token = t; return in })
}

// submitted is the acknowledgement of a job, or why it is not acknowledged.
func submitted(a broker.Answer, id job.ID, timeout time.Duration, least int) (*broker.Submitted, error) {
	switch a := a.(type) {
	case *broker.Submitted:
		return a, nil
	case *broker.NoSuchData:
		return nil, noModule(a)
	case *broker.UnknownPredecessors:
		return nil, fail(http.StatusUnprocessableEntity, api.CodeInvalid, "after: nobody knows %s after %v: a job can only follow one that was submitted before it", joined(a.IDs), timeout.Round(time.Millisecond))
	case *broker.TooFewCopies:
		e := fail(http.StatusServiceUnavailable, api.CodeTooFew,
			"job %s is saved on %d brokers after %v, and min_replicas asks for %d; it may still run; submitting it again with the same ID (PUT /v1/jobs/%s) is safe",
			id, a.Replicas, timeout, least, id)
		e.ID = id
		return nil, e
	}
	return nil, refusal(a)
}

// wanted is how many brokers should hold a job, where fewer do.
func (srv *Server) wanted(degraded bool) int {
	if !degraded {
		return 0
	}
	return srv.cfg.Replicas
}

func submitStatus(s *broker.Submitted) int {
	switch {
	case s.Degraded:
		return http.StatusAccepted
	case s.Created:
		return http.StatusCreated
	}
	return http.StatusOK
}

func (srv *Server) submittedID(r *http.Request) (job.ID, error) {
	if r.Method == http.MethodPost {
		return api.NewJobID(), nil
	}
	return validID(r.PathValue("id"))
}

func validID(id string) (job.ID, error) {
	if !label.ValidName(id) {
		return "", fail(http.StatusBadRequest, api.CodeBadRequest, "%.80q is not a job ID: letters, digits and . _ -, at most 64, the first a letter or digit", id)
	}
	return job.ID(id), nil
}

// textFields are the fields of a spec that hold text, so that `args: [1, yes]` in YAML need no quotes.
var textFields = []string{"name", "command", "args", "env", "labels", "constraints", "exclusive", "after", "dirs", "outputs"}

// readSpec reads a job spec as JSON, or as YAML if the Content-Type says so.
func readSpec(w http.ResponseWriter, r *http.Request) (job.Spec, error) {
	b, yaml, err := readDocument(w, r, job.MaxSpec, true)
	if err != nil {
		return job.Spec{}, err
	}
	if yaml {
		if b, err = strictjson.FromYAML(b, textFields...); err != nil {
			return job.Spec{}, fail(http.StatusBadRequest, api.CodeBadRequest, "the job spec in YAML: %v", err)
		}
	}
	return parseSpec(b)
}

// parseSpec reads a job spec as JSON.
func parseSpec(b []byte) (job.Spec, error) {
	spec, err := job.ParseSpec(b)
	var field *job.FieldError
	switch {
	case err == nil:
		return spec, nil
	case errors.As(err, &field):
		return spec, fail(http.StatusUnprocessableEntity, api.CodeInvalid, "%v", err)
	}
	return spec, fail(http.StatusBadRequest, api.CodeBadRequest, "%v", err)
}

// maxNamedBlobs bounds the blobs that a refusal names; a spec can name hardly more without directories.
const maxNamedBlobs = 256

// noDirectory is why a directory can't be looked at: as a rule since its blob is no manifest.
func (srv *Server) noDirectory(d job.Digest, err error) error {
	m, isTree := d.Tree()
	if !isTree || errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) || errors.Is(err, store.ErrNotFound) {
		return err
	}
	return fail(http.StatusUnprocessableEntity, api.CodeInvalid, "blob %.12s is named as a directory (its path ends with a slash), and is no manifest of one: %v", m, err)
}

// checkBlobs refuses a job whose module or inputs are not in this broker's store,
// undamaged, or whose module is not WebAssembly that can run here. What it lets pass stays for BlobGrace.
func (srv *Server) checkBlobs(ctx context.Context, s *job.Spec) error {
	var missing []string
	for _, d := range s.Blobs() {
		lacking, err := srv.host.Lacks(ctx, d, maxNamedBlobs)
		if err != nil {
			return srv.noDirectory(d, err)
		}
		for _, x := range lacking {
			missing = append(missing, string(x))
		}
	}
	if len(missing) > 0 {
		more := ""
		if len(missing) > maxNamedBlobs {
			missing, more = missing[:maxNamedBlobs], " and more"
		}
		return fail(http.StatusUnprocessableEntity, api.CodeMissingBlobs, "upload these first, with PUT /v1/blobs/{sha256}: %s%s", strings.Join(missing, " "), more)
	}
	if _, named := s.ModuleName(); s.Driver != job.Wasm || named {
		return nil // what a name stands for is looked at where that is looked up
	}
	return srv.checkModule(s.Module)
}

// await waits until a job has ended and may be shown, at most for the given
// time; then it tells its present state.
func (srv *Server) await(ctx context.Context, id string, wait time.Duration, past causal.Context) (*broker.Found, error) {
	if wait > 0 {
		ctx, cancel := context.WithTimeout(ctx, wait)
		defer cancel()
		stop := context.AfterFunc(srv.host.Leaving(), cancel)
		defer stop()
		f, err := ask[*broker.Found](ctx, srv, func(t broker.Token) broker.Input { return broker.Await{Token: t, ID: id, Past: past} })
		if err == nil || ctx.Err() == nil {
			return f, err
		}
	}
	return ask[*broker.Found](ctx, srv, func(t broker.Token) broker.Input { return broker.Get{Token: t, ID: id, Past: past} })
}

// awaitOwn is await of a job that the caller may see. Whose it is, is looked at before anything is waited for.
func (srv *Server) awaitOwn(r *http.Request, id string, wait time.Duration, past causal.Context) (*broker.Found, error) {
	if c := callerOf(r); c.ownOnly {
		f, err := srv.await(r.Context(), id, 0, past)
		if err == nil {
			err = c.mayTouch(f.Record)
		}
		if err != nil {
			return nil, err
		}
		id = f.Record.Key() // that one, and no other that the reference may mean later
	}
	return srv.await(r.Context(), id, wait, past)
}

func (srv *Server) handleGet(w http.ResponseWriter, r *http.Request) error {
	id, err := pathID(r)
	if err != nil {
		return err
	}
	wait, err := queryDuration(r, "wait")
	if err != nil {
		return err
	}
	past, err := srv.caughtUp(r)
	if err != nil {
		return err
	}
	f, err := srv.awaitOwn(r, id, wait, past)
	if err != nil {
		return err
	}
	j := srv.view(f, true)
	j.Silent = srv.unsure(&j, srv.silent(r))
	if !j.Silent {
		j.Why = srv.whyThere(r, f, j.Why)
	}
	if queryYes(r, "copies") {
		if j.Copies, err = srv.copies(r.Context(), f.Record); err != nil {
			return err
		}
	}
	w.Header().Set(api.TokenHeader, f.Past.Token())
	writeJSON(w, http.StatusOK, j)
	return nil
}

func (srv *Server) handleCancel(w http.ResponseWriter, r *http.Request) error {
	id, err := pathID(r)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(r.Context(), srv.cfg.AckTimeout+srv.cfg.PeerTimeout)
	defer cancel()
	reason := "cancelled at " + srv.cfg.Name
	if by := callerOf(r); by.ownOnly {
		f, err := srv.awaitOwn(r, id, 0, causal.Context{})
		if err != nil {
			return err
		}
		id = f.Record.Key()
	}
	if name := callerOf(r).name; name != "" {
		reason += " by " + name
	}
	c, err := ask[*broker.Cancelled](ctx, srv, func(t broker.Token) broker.Input {
		return broker.Cancel{Token: t, ID: id, Reason: reason}
	})
	if err != nil {
		return err
	}
	orderOf(r).which = string(c.Job.Record.ID)
	if s := c.Job.Record.State(); !c.Wrote && s != job.StateCancelled {
		return fail(http.StatusConflict, api.CodeConflict, "job %s has already ended: %s", c.Job.Record.ID, s)
	}
	writeJSON(w, http.StatusOK, srv.view(c.Job, true))
	return nil
}

func (srv *Server) handleList(w http.ResponseWriter, r *http.Request) error {
	in, err := readList(r)
	if err != nil {
		return err
	}
	if c := callerOf(r); c.ownOnly || queryYes(r, "mine") {
		if c.name == "" {
			return fail(http.StatusBadRequest, api.CodeBadRequest, "?mine: nobody is told from others at this broker, since it belongs to no city")
		}
		in.Submitter = c.name
	}
	if _, err := srv.caughtUp(r); err != nil {
		return err
	}
	l, err := ask[*broker.Listing](r.Context(), srv, func(t broker.Token) broker.Input {
		in.Token = t
		return in
	})
	if err != nil {
		return err
	}
	out := api.JobList{Jobs: []api.Job{}, Counts: l.Counts, Next: l.Next, AsOf: l.AsOf}
	silent := srv.silent(r)
	for _, rec := range l.Jobs {
		key := rec.Key()
		j := srv.view(&broker.Found{
			Record: rec, AsOf: l.AsOf, First: !slices.Contains(l.Later, key), Provisional: slices.Contains(l.Provisional, key),
			Starting:  slices.Contains(l.Starting, key),
			Emergency: l.Emergencies[key], NoLevel: l.NoLevel[key], Why: l.Why[key],
		}, false)
		if j.Short = l.Short[key]; j.ID != rec.ID {
			j.Short = string(j.ID) // the short one means the first of that ID
		}
		j.Silent = srv.unsure(&j, silent)
		out.Jobs = append(out.Jobs, j)
	}
	writeJSON(w, http.StatusOK, out)
	return nil
}

// readList reads which jobs are asked for.
func readList(r *http.Request) (in broker.List, err error) {
	q := r.URL.Query()
	if in.Limit, err = queryLimit(r); err != nil {
		return in, err
	}
	bad := func(format string, args ...any) (broker.List, error) {
		return in, fail(http.StatusBadRequest, api.CodeBadRequest, format, args...)
	}
	for s := range strings.SplitSeq(q.Get("state"), ",") {
		if s != "" && !slices.Contains(job.States, job.State(s)) {
			return bad("?state=%.40s: one of %s, or several with commas between them", s, joined(job.States))
		}
		if s != "" {
			in.States = append(in.States, job.State(s))
		}
	}
	for _, s := range q["label"] {
		c, err := label.ParseSelector(s)
		if err != nil {
			return bad("?label: %v", err)
		}
		in.Labels = append(in.Labels, c)
	}
	if s := q.Get("since"); s != "" {
		t, err := time.Parse(time.RFC3339, s)
		if err != nil {
			return bad("?since=%.40s: a time such as 2026-01-31T15:04:05Z", s)
		}
		in.Since = clock.At(t)
	}
	in.Name, in.Broker, in.Emergency, in.After = q.Get("name"), q.Get("broker"), q.Get("emergency"), q.Get("after")
	in.Submitter = q.Get("submitter")
	in.Urgent, in.Paused, in.Count = queryYes(r, "urgent"), queryYes(r, "paused"), queryYes(r, "count")
	if err := broker.ValidCursor(in.After); err != nil {
		return bad("?after: %v", err)
	}
	return in, nil
}

// unsure reports whether nobody here knows how a job stands: the broker where it is placed is silent. A job without a place
// is at none, and who has said goodbye has told first what it had begun (rule M2).
func (srv *Server) unsure(j *api.Job, silent map[string]bool) bool {
	switch {
	case j.State.Final() || j.State == job.StatePending || !silent[j.Executor]:
		return false
	case j.State == job.StateQueued:
		return !srv.roll()[j.Executor].Left()
	}
	return true
}

// silent lists the brokers that do not answer this one, those that were given up, too, and those that have left; and those that
// did not answer when a request had them asked, and have not been heard since.
func (srv *Server) silent(r *http.Request) map[string]bool {
	out := map[string]bool{}
	for name := range srv.unheardBy(r) {
		out[name] = true
	}
	for _, m := range srv.host.Brokers() {
		if m.Name != srv.cfg.Name && (m.Status == membership.Left || m.Status == membership.Failed && !srv.proven(m.Name)) {
			out[m.Name] = true
		}
	}
	for name, p := range srv.coordination().PeerBrokers {
		if !p.Healthy {
			out[name] = true
		}
	}
	return out
}

// provisionalUntil says what the end of a job waits for. Of who has only to answer it says, too, when nothing passes between
// the two: long before SWIM gives somebody up, "asked" would sound as if the answer were on its way.
func (srv *Server) provisionalUntil(f *broker.Found) string {
	if len(f.Asked) == 0 {
		return f.Until
	}
	text, peers := f.Until, srv.coordination().PeerBrokers
	for _, name := range f.Asked {
		if p, known := peers[name]; known && !p.Healthy {
			text += fmt.Sprintf("; but %s is %s (if it is gone for good: `ucp cluster forget %s`)", name, p.Health, name)
		}
	}
	return text
}

// shownState is the state that people are told: of a job that has just been started it is not known yet whether it runs.
func shownState(f *broker.Found) job.State {
	if f.Starting {
		return job.StateStarting
	}
	return f.Record.State()
}

// view shows a job as the API does.
func (srv *Server) view(f *broker.Found, whole bool) api.Job {
	r := f.Record
	j := api.Job{
		ID: r.ID, Name: r.Spec.ShownName(), Submitter: r.Spec.Submitter, Key: r.Key(), State: shownState(f), Origin: r.Origin, Owner: r.Owner.Broker,
		Executor: r.Place.Broker, Attempt: r.Place.Attempt.Seq, Try: r.Place.Try, Losses: r.Losses,
		Provisional: f.Provisional, ProvisionalUntil: srv.provisionalUntil(f), SetAside: f.SetAside, SubmittedAt: clock.TimeOf(r.Submitted()), Why: f.Why, Displaced: f.Displaced,
		Rejected: []api.Accepted{}, Superseded: []api.Verdict{},
		AsOf: f.AsOf.UTC(), KnownBy: f.KnownBy, Members: f.Members,
		SameID: f.SameID,
	}
	j.Emergency, j.NoLevel = string(f.Emergency), f.NoLevel
	for _, p := range r.Pauses {
		j.Pauses = append(j.Pauses, api.Pause{At: p.By.Broker(), For: p.For, Emergency: p.Emergency, Mode: p.Mode, From: p.From, To: p.To})
	}
	if c := r.Checkpoint; c != nil && !r.Finished() {
		j.Checkpoint = &api.Checkpoint{
			Attempt: c.Attempt.Token(), Earlier: c.Attempt != r.Place.Attempt, At: clock.TimeOf(c.At), Ran: time.Duration(c.Ran).Milliseconds(),
			Bytes: c.Bytes, Tree: c.Tree, Holders: append([]string{}, f.Holders...),
		}
	}
	for _, x := range r.Returns {
		j.Returned = append(j.Returned, api.Returned{Executor: x.By.Broker(), Attempt: x.Attempt.Token(), At: clock.TimeOf(x.At), Reason: x.Reason, Began: x.Began, Never: x.Never})
	}
	if !f.First {
		j.ID = job.ID(r.Key()[:len(r.ID)+1+shortDigest])
	}
	if whole {
		j.CausalToken = f.Past.Token()
		for _, c := range r.Courses() {
			if f.Starting && c.Attempt == r.Place.Attempt && c.State == job.AttemptRunning {
				c.State, c.Started = job.AttemptStarting, 0
			}
			a := api.Attempt{
				Executor: c.Executor, Attempt: c.Attempt.Token(), State: c.State, StartedAt: c.Started, EndedAt: c.Ended,
				ExitCode: c.ExitCode, Reason: c.Reason, Began: c.Began,
			}
			if k := c.Kept; k != nil {
				a.Kept = &api.Kept{Stdout: k.Stdout, Stderr: k.Stderr, Outputs: k.Outputs}
			}
			j.Attempts = append(j.Attempts, a)
		}
		if j.Module = moduleView(r); !r.IsStub() {
			j.Spec = &r.Spec
		}
	}
	if rep, ok := r.Present(); ok && rep.Phase == job.Running && !r.Loads() && !f.Starting {
		j.StartedAt = clock.TimeOf(rep.At)
	}
	if v := r.Verdict(); v != nil {
		j.Removed = r.IsStub() || v.IsBare()
		j.Reason, j.FinishedAt = v.Reason, clock.TimeOf(v.At)
	}
	if rep := r.Accepted(); rep != nil && j.Removed {
		j.Executor = rep.Dot.Actor.Broker()
	} else if rep != nil {
		a := accepted(*rep)
		res := rep.Result
		j.Accepted, j.Executor = &a, a.Executor
		j.ExitCode, j.TimedOut, j.StartedAt, j.FinishedAt = res.ExitCode, res.TimedOut(), res.Started, res.Finished
		j.Stdout, j.Stderr, j.Outputs = res.Stdout, res.Stderr, res.Outputs
	} else if rep := r.Left(); rep != nil && r.Finished() {
		j.Stdout, j.Stderr, j.Outputs = rep.Result.Stdout, rep.Result.Stderr, rep.Result.Outputs
	}
	for _, rep := range r.Late() {
		j.Rejected = append(j.Rejected, accepted(rep))
	}
	for _, v := range r.Superseded() {
		s := api.Verdict{Outcome: v.Outcome, By: v.Dot.Actor.Broker(), Reason: v.Reason, At: clock.TimeOf(v.At)}
		if v.Report != nil {
			a := accepted(*v.Report)
			s.Result = &a
		}
		j.Superseded = append(j.Superseded, s)
	}
	return j
}

func accepted(r job.Report) api.Accepted {
	a := api.Accepted{Executor: r.Dot.Actor.Broker(), Attempt: r.Attempt.Token(), At: clock.TimeOf(r.At)}
	if res := r.Result; res != nil {
		a.Outcome, a.ExitCode = res.Outcome, res.ExitCode
		a.Stdout, a.Stderr, a.Outputs = res.Stdout, res.Stderr, res.Outputs
		for _, x := range res.Read {
			a.Read = append(a.Read, api.ReadEnd{Job: x.Job, By: x.By.Broker(), At: clock.TimeOf(x.At)})
		}
	}
	return a
}

// shortDigest is how much of the spec's digest tells a job from another with its ID
// (rule J3).
const shortDigest = 8

// joined lists words of some kind.
func joined[T ~string](words []T) string {
	var out []string
	for _, w := range words {
		out = append(out, string(w))
	}
	return strings.Join(out, ", ")
}

// dryRun says what would become of a job, and does nothing.
func (srv *Server) dryRun(w http.ResponseWriter, r *http.Request, spec job.Spec, past causal.Context) error {
	var runs *api.Module
	if name, named := spec.ModuleName(); named {
		v, err := srv.findModule(r, data.Name(name))
		if err != nil {
			return err
		}
		runs = &api.Module{Name: name, Digest: v.Content.Digest, At: clock.TimeOf(v.At), Broker: v.Dot.Actor.Broker()}
	}
	p, err := ask[*broker.Prospects](r.Context(), srv, func(t broker.Token) broker.Input {
		return broker.DryRun{Token: t, Spec: spec, Past: past}
	})
	if err != nil {
		return err
	}
	out := api.DryRun{Brokers: []api.Prospect{}, Module: runs, Warnings: warnings(p.NoLevel, littleCPU(&spec))}
	for _, x := range p.Brokers {
		out.Brokers = append(out.Brokers, api.Prospect{
			Broker: x.Broker, Strategy: x.Strategy, Meets: orEmpty(x.Meets), Lacks: orEmpty(x.Lacks), Cost: x.Cost, Score: x.Score,
			Starts: x.Starts, Yields: orEmpty(x.Yields), Why: x.Why,
		})
	}
	writeJSON(w, http.StatusOK, out)
	return nil
}

// littleCPU warns of a spec that may mean cores where it says millicores; "" if it does not look like that.
func littleCPU(spec *job.Spec) string {
	if n := spec.Resources.CPU; n > 0 && n < 10 {
		return fmt.Sprintf("it asks for %d millicores of CPU, less than a hundredth of a core: in a spec cpu is in millicores, and 1000 is one core", n)
	}
	return ""
}

// warnings are those texts that are none of "".
func warnings(texts ...string) []string {
	return slices.DeleteFunc(texts, func(s string) bool { return s == "" })
}

func orEmpty(list []string) []string {
	if list == nil {
		return []string{}
	}
	return list
}
