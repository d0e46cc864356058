package httpd

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"net/http"
	"path"
	"slices"
	"strings"

	"github.com/urban-compute/ucp/api"
	"github.com/urban-compute/ucp/broker"
	"github.com/urban-compute/ucp/job"
	"github.com/urban-compute/ucp/plan"
	"github.com/urban-compute/ucp/store"
	"github.com/urban-compute/ucp/strictjson"
	"github.com/urban-compute/ucp/tree"
)

// maxPlanSpecs is how many bytes the specs of a plan may have together: they become one batch.
const maxPlanSpecs = api.MaxBatchBytes / 2

// mostDrawn is of how many jobs and arrays a graph is made.
const mostDrawn = 200

// mostTrees is how many directories a plan may name here, each of which is looked for among all files.
const mostTrees = 100

// maxLines is how long a file may be of whose lines an array is made.
const maxLines = 1 << 20

// handlePlan takes a plan as one batch, or says what is wrong with it, or what it would submit. What the plan names of the machine
// on which it was written was uploaded before, and is handed over by its paths: no path of it is one of this machine.
func (srv *Server) handlePlan(w http.ResponseWriter, r *http.Request) error {
	dry := queryYes(r, "dry_run")
	if dry {
		orderOf(r).none = true
	}
	p, release, err := srv.readPlan(w, r)
	if err != nil {
		return srv.nothingTaken(err)
	}
	defer release()
	if dry {
		writeJSON(w, http.StatusOK, p.answer())
		return nil
	}
	if err := srv.diskReserve(); err != nil {
		return srv.nothingTaken(err)
	}
	b, err := srv.planBatch(r, p)
	if err != nil {
		return srv.nothingTaken(err)
	}
	if err := srv.submitAll(r, b); err != nil {
		return err
	}
	out, err := p.taken(b)
	if err != nil {
		return err
	}
	o := orderOf(r)
	o.which, o.detail = string(p.ID), fmt.Sprintf("a plan of %d jobs", out.Jobs)
	status := http.StatusOK
	switch {
	case out.Degraded:
		status = http.StatusAccepted
	case out.Created > 0:
		status = http.StatusCreated
	}
	w.Header().Set(api.TokenHeader, out.CausalToken)
	writeJSON(w, status, out)
	return nil
}

// handedPlan is a plan that was handed over, with its files.
type handedPlan struct {
	*plan.Plan
	srv      *Server
	ctx      context.Context
	given    map[string]job.Digest // files, by their clean paths
	names    []string              // these paths, sorted
	mistakes []plan.Mistake
	files    []api.PlanFile
	digests  map[string]job.Digest // of files, by their path, with a slash at the end of directories
	trees    map[job.Digest][]byte // manifests of directories
	dirs     int                   // that were looked for
}

// readPlan reads the plan of a request. Only one is read at once, for as long as the request lasts.
func (srv *Server) readPlan(w http.ResponseWriter, r *http.Request) (p *handedPlan, release func(), err error) {
	give, err := srv.reserve(r, api.MaxBatchBytes)
	if err != nil {
		return nil, nil, err
	}
	body, _, err := readDocument(w, r, api.MaxBatchBytes, false)
	var in api.PlanOrder
	if err == nil {
		if err = strictjson.Unmarshal(body, &in); err != nil {
			err = fail(http.StatusBadRequest, api.CodeBadRequest, "%v", err)
		}
	}
	if err == nil {
		err = checkPlanOrder(&in)
	}
	if err != nil {
		give()
		return nil, nil, err
	}
	ctx, cancel := context.WithTimeout(r.Context(), srv.cfg.PeerTimeout)
	defer cancel()
	select {
	case srv.planning <- struct{}{}:
	case <-ctx.Done():
		give()
		return nil, nil, fail(http.StatusServiceUnavailable, api.CodeUnavailable, "other plans are being read here; come back")
	}
	p = &handedPlan{srv: srv, ctx: r.Context(), given: map[string]job.Digest{}, digests: map[string]job.Digest{}, trees: map[job.Digest][]byte{}}
	for name, d := range in.Files {
		p.given[path.Clean(name)] = d
	}
	p.names = slices.Sorted(maps.Keys(p.given))
	if err = p.read(&in); err != nil {
		<-srv.planning
		give()
		return nil, nil, err
	}
	return p, func() { <-srv.planning; give() }, nil
}

// checkPlanOrder checks what is checked without the plan itself.
func checkPlanOrder(in *api.PlanOrder) error {
	switch {
	case in.Text == "":
		return fail(http.StatusBadRequest, api.CodeBadRequest, `the plan is empty: send {"name": "FILE.yaml", "text": "..."}`)
	case len(in.Text) > api.MaxPlanText:
		return fail(http.StatusRequestEntityTooLarge, api.CodeTooLarge, "the plan has %d bytes, at most %d are allowed here: `ucp plan run` takes more", len(in.Text), api.MaxPlanText)
	case len(in.Files) > api.MaxPlanFiles:
		return fail(http.StatusRequestEntityTooLarge, api.CodeTooLarge, "%d files are handed over, at most %d are allowed", len(in.Files), api.MaxPlanFiles)
	case in.ID != "" && !plan.ValidID(string(in.ID)):
		return fail(http.StatusBadRequest, api.CodeBadRequest, "%.80q is no ID of a plan: letters, digits, _ and -, at most 64, the first a letter or digit", in.ID)
	}
	for _, name := range slices.Sorted(maps.Keys(in.Files)) {
		if d := in.Files[name]; !job.ValidDigest(string(d)) {
			return fail(http.StatusBadRequest, api.CodeBadRequest, "files[%.80q]: %.80q is not a SHA-256: 64 lower-case hexadecimal digits", name, d)
		}
	}
	if in.ID == "" {
		in.ID = api.NewJobID()
	}
	if in.Name = path.Base(in.Name); in.Name == "." || in.Name == "/" {
		in.Name = "plan"
	}
	return nil
}

// read reads the plan, and looks for its files. Its error is of this broker: mistakes are noted.
func (p *handedPlan) read(in *api.PlanOrder) (err error) {
	p.Plan, err = plan.Read(plan.Source{
		Name: in.Name, Text: []byte(in.Text), ID: in.ID, Lines: p.lines,
		Limits: plan.Limits{Jobs: api.MaxPlanJobs, Bytes: maxPlanSpecs, Mistakes: api.MaxPlanMistakes},
	})
	var m *plan.Mistakes
	switch {
	case errors.As(err, &m):
		p.mistakes = m.List[:min(len(m.List), api.MaxPlanMistakes)]
	case err != nil:
		return err
	}
	for _, j := range p.Jobs {
		for i := range j.Files {
			if len(p.files) > api.MaxPlanFiles || len(p.mistakes) > api.MaxPlanMistakes {
				break
			}
			p.look(j, &j.Files[i])
		}
	}
	if len(p.files) > api.MaxPlanFiles {
		p.mistakes = append(p.mistakes, plan.Mistake{Text: fmt.Sprintf("it names more than %d files: `ucp plan run` takes more", api.MaxPlanFiles)})
	}
	return p.ctx.Err()
}

// lines are those of a file of which an array is made.
func (p *handedPlan) lines(name string) ([]string, error) {
	f := api.PlanFile{Path: name, What: "each"}
	d, given := p.given[path.Clean(name)]
	f.Missing = !given
	if _, known := p.digests[name]; !known {
		p.digests[name] = d
		at := len(p.files)
		p.files = append(p.files, f)
		if given && !p.srv.host.Sound(p.ctx, d) {
			p.files[at].Absent = []job.Digest{d}
		}
	}
	if !given {
		return nil, fmt.Errorf("the file %.80q, of whose lines the jobs are made, was not handed over", name)
	}
	b, err := p.srv.store.Blobs().Open(string(d))
	if errors.Is(err, store.ErrNotFound) {
		return nil, fmt.Errorf("the file %.80q, of whose lines the jobs are made, was not uploaded: PUT /v1/blobs/%s", name, d)
	}
	if err != nil {
		return nil, err
	}
	defer b.Close()
	text, err := io.ReadAll(io.LimitReader(b, maxLines+1))
	if err == nil && len(text) > maxLines {
		err = fmt.Errorf("the file %.80q has more than the %d bytes that the lines of jobs may have here", name, maxLines)
	}
	var out []string
	for line := range strings.Lines(strings.TrimPrefix(string(text), "\ufeff")) {
		out = append(out, strings.TrimRight(line, "\r\n"))
	}
	return out, err
}

// look finds what was handed over for a file of a job.
func (p *handedPlan) look(j *plan.Job, f *plan.File) {
	key := planKey(f)
	if _, known := p.digests[key]; known {
		return
	}
	x := api.PlanFile{Path: f.Path, What: f.What(), Job: j.Group, Line: f.Line, Directory: f.Directory()}
	if x.Directory {
		p.lookDirectory(&x, key)
	} else {
		d, given := p.given[path.Clean(f.Path)]
		p.digests[key], x.Missing = d, !given
		if given && !p.srv.host.Sound(p.ctx, d) {
			x.Absent = []job.Digest{d}
		}
	}
	p.files = append(p.files, x)
}

// planKey is under which name the digest of a file is noted: a path may name a file for one job and a directory for another.
func planKey(f *plan.File) string {
	if f.Directory() {
		return path.Clean(f.Path) + "/"
	}
	return f.Path
}

// lookDirectory makes the manifest of a directory of what was handed over of it, as soon as all of that is here.
func (p *handedPlan) lookDirectory(x *api.PlanFile, key string) {
	p.digests[key] = ""
	if p.dirs++; p.dirs > mostTrees {
		p.mistakes = append(p.mistakes, plan.Mistake{Line: x.Line, Job: x.Job, Text: fmt.Sprintf("%s: the plan names more than %d directories: `ucp plan run` takes more", x.What, mostTrees)})
		return
	}
	var m tree.Manifest
	dirs := map[string]bool{".": true}
	for _, name := range p.names {
		rest, within := strings.CutPrefix(name, key)
		if key == "./" {
			rest, within = name, true
		}
		if !within {
			continue
		}
		d := p.given[name]
		size, here := p.srv.store.Blobs().Has(string(d))
		if !here || !p.srv.host.Sound(p.ctx, d) {
			x.Absent = append(x.Absent, d)
			continue
		}
		var above []string
		for dir := path.Dir(rest); !dirs[dir] && dir != "/" && dir != ".."; dir = path.Dir(dir) {
			dirs[dir] = true
			above = append(above, dir)
		}
		for _, dir := range slices.Backward(above) {
			m.Entries = append(m.Entries, tree.Entry{Path: dir, Dir: true})
		}
		m.Entries = append(m.Entries, tree.Entry{Path: rest, Mode: fs.FileMode(0o644), Digest: d, Size: size})
	}
	x.Missing = len(m.Entries) == 0 && len(x.Absent) == 0
	if x.Missing || len(x.Absent) > 0 {
		return
	}
	slices.SortFunc(m.Entries, func(a, b tree.Entry) int { return strings.Compare(a.Path, b.Path) })
	b, err := m.Encode()
	if err != nil {
		p.mistakes = append(p.mistakes, plan.Mistake{Line: x.Line, Job: x.Job, Text: fmt.Sprintf("%s: the directory %s: %v", x.What, x.Path, err)})
		return
	}
	sum := sha256.Sum256(b)
	d := job.Digest(hex.EncodeToString(sum[:]))
	p.digests[key], p.trees[d] = d, b
}

// answer says what the plan is.
func (p *handedPlan) answer() api.PlanAnswer {
	out := api.PlanAnswer{ID: p.ID, Jobs: len(p.Jobs), Files: append([]api.PlanFile{}, p.files...)}
	for _, m := range p.mistakes {
		out.Mistakes = append(out.Mistakes, api.PlanMistake{Line: m.Line, Job: m.Job, Text: m.Text})
	}
	if len(p.Groups()) > mostDrawn || len(p.mistakes) > 0 {
		return out
	}
	g := p.Graph(nil)
	out.Graph = &api.PlanGraph{Jobs: []api.PlanNode{}, Edges: []api.PlanEdge{}}
	for _, n := range g.Nodes {
		out.Graph.Jobs = append(out.Graph.Jobs, api.PlanNode{Name: n.Name, Jobs: n.Jobs})
	}
	for _, e := range g.Edges {
		out.Graph.Edges = append(out.Graph.Edges, api.PlanEdge{From: e.From, To: e.To, Reads: e.Reads})
	}
	return out
}

// planRefusal says why nothing of the plan can be submitted; nil if it can.
func (p *handedPlan) planRefusal() error {
	if len(p.mistakes) > 0 {
		m := plan.Mistakes{File: string(p.ID), List: p.mistakes}
		return fail(http.StatusUnprocessableEntity, api.CodeInvalid, "the plan has mistakes:\n%s", m.Error())
	}
	var missing, absent []string
	for _, f := range p.files {
		if f.Missing {
			missing = append(missing, f.Path)
		}
		for _, d := range f.Absent {
			absent = append(absent, string(d))
		}
	}
	if len(missing) > 0 {
		return fail(http.StatusUnprocessableEntity, api.CodeInvalid, "the plan names files that were not handed over: %s", few(missing))
	}
	if len(absent) > 0 {
		return fail(http.StatusUnprocessableEntity, api.CodeMissingBlobs, "upload these first, with PUT /v1/blobs/{sha256}: %s", few(absent))
	}
	return nil
}

// few joins texts, at most so many as an error may name.
func few(texts []string) string {
	if len(texts) > maxNamedBlobs {
		texts = append(slices.Clip(texts[:maxNamedBlobs]), "and more")
	}
	return strings.Join(texts, " ")
}

// planBatch makes a batch of a plan's jobs, when every one of them can be submitted.
func (srv *Server) planBatch(r *http.Request, p *handedPlan) (*batch, error) {
	if err := p.planRefusal(); err != nil {
		return nil, err
	}
	past, timeout, err := readPast(r)
	if err != nil {
		return nil, err
	}
	if err := srv.keepTrees(r.Context(), p.trees); err != nil {
		return nil, err
	}
	var runs []plan.Again
	for _, j := range p.Jobs {
		runs = append(runs, plan.Again{Job: j, ID: plan.JobID(p.ID, j.Name, 1), Run: 1})
	}
	runs = p.Ordered(runs)
	ids := plan.NewIDs(func(name string) job.ID { return plan.JobID(p.ID, name, 1) })
	b := &batch{by: callerOf(r), past: past, timeout: timeout, out: make([]api.BatchLine, len(runs)), modules: namedModules{srv: srv, r: r}}
	var m plan.Mistakes
	for i, run := range runs {
		spec, err := p.Final(run.Job, func(f *plan.File) job.Digest { return p.digests[planKey(f)] }, ids, 1)
		if err == nil {
			err = srv.preparePlanned(r.Context(), run.ID, spec, b, i)
		}
		var e *api.Error
		if errors.As(err, &e) && (e.Status >= http.StatusInternalServerError || e.Status == http.StatusForbidden) { // the plan is not what is wrong
			e.Message = fmt.Sprintf("job %s of the plan: %s", run.Job.Name, e.Message)
			return nil, e
		}
		if err != nil {
			m.Add(run.Job.Line, run.Job.Name, "%v", err)
		}
		if len(m.List) >= api.MaxPlanMistakes || r.Context().Err() != nil {
			break
		}
	}
	if m.File = string(p.ID); m.Err() != nil {
		return nil, fail(http.StatusUnprocessableEntity, api.CodeInvalid, "jobs of the plan can't be submitted:\n%s", m.Error())
	}
	return b, r.Context().Err()
}

// preparePlanned puts a job of a plan into a batch as a client's line would. A job that is there under its ID and is another one is refused
// before any is taken.
func (srv *Server) preparePlanned(ctx context.Context, id job.ID, spec job.Spec, b *batch, i int) error {
	text, err := strictjson.Marshal(&spec)
	if err != nil {
		return err
	}
	line, err := json.Marshal(map[string]any{"id": id, "spec": json.RawMessage(text)})
	if err != nil {
		return err
	}
	b.out[i].Line = i + 1
	var refused *api.Error
	if b.out[i].ID, refused = srv.prepare(ctx, line, b, i); refused != nil {
		return refused
	}
	key := job.Key(id, b.jobs[len(b.jobs)-1].Digest)
	f, err := ask[*broker.Found](ctx, srv, func(t broker.Token) broker.Input { return broker.Get{Token: t, ID: string(id)} })
	if err == nil && f.Record.ID == id && f.Record.Key() != key {
		return fmt.Errorf("job %s is there already, and is another one: give this plan another ID", id)
	}
	return nil
}

// keepTrees stores manifests that were made of what a client has uploaded.
func (srv *Server) keepTrees(ctx context.Context, trees map[job.Digest][]byte) error {
	for d, b := range trees {
		if _, here := srv.store.Blobs().Touch(string(d)); here {
			continue
		}
		if _, _, err := srv.store.Blobs().Put(ctx, bytes.NewReader(b), int64(len(b))); err != nil {
			return fmt.Errorf("storing what is in a directory of the plan: %w", err)
		}
	}
	return nil
}

// taken says what has become of the jobs of a plan.
func (p *handedPlan) taken(b *batch) (api.PlanAnswer, error) {
	out := p.answer()
	var refused []string
	for i := range b.out {
		l := &b.out[i]
		if l.Error != nil {
			refused = append(refused, fmt.Sprintf("%s: %s", l.ID, l.Error.Message))
			continue
		}
		if l.Created {
			out.Created++
		}
		if out.Replicas == 0 || l.Replicas < out.Replicas {
			out.Replicas, out.Degraded, out.Wanted = l.Replicas, l.Degraded, l.Wanted
		}
		for _, text := range l.Warnings {
			if !slices.Contains(out.Warnings, text) {
				out.Warnings = append(out.Warnings, text)
			}
		}
	}
	out.CausalToken = b.seen.Token()
	if len(refused) == 0 {
		return out, nil
	}
	e := fail(http.StatusServiceUnavailable, api.CodeUnavailable, "of the %d jobs of plan %s %d were not taken, the others were: %s; submitting the plan again with this ID is safe, and DELETE /v1/jobs/{id} ends what was taken",
		len(b.out), p.ID, len(refused), few(refused[:min(len(refused), 10)]))
	return out, e
}
