package httpd

import (
	"context"
	"maps"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/urban-compute/ucp/api"
	"github.com/urban-compute/ucp/job"
)

// finished looks up a job that has ended, and its result or that of the attempt that is asked for; of such an attempt also
// while the job goes on.
func (srv *Server) finished(r *http.Request) (*job.Result, *job.Record, error) {
	id, err := pathID(r)
	if err != nil {
		return nil, nil, err
	}
	wait, err := queryDuration(r, "wait")
	if err != nil {
		return nil, nil, err
	}
	past, err := srv.caughtUp(r)
	if err != nil {
		return nil, nil, err
	}
	f, err := srv.awaitOwn(r, id, wait, past)
	if err != nil {
		return nil, nil, err
	}
	if token := r.URL.Query().Get("attempt"); token != "" {
		return resultOf(f.Record, token)
	}
	if !f.Record.Finished() {
		return nil, nil, fail(http.StatusConflict, api.CodeConflict, "job %s is %s; its output is there when it has ended", f.Record.ID, shownState(f))
	}
	if r := f.Record; r.IsStub() || r.Verdict().IsBare() {
		return nil, nil, fail(http.StatusGone, api.CodeGone, "job %s has %s; its output was removed when its retention was over", r.ID, r.State())
	}
	if rep := f.Record.Accepted(); rep != nil {
		return rep.Result, f.Record, nil
	}
	if rep := f.Record.Left(); rep != nil {
		return rep.Result, f.Record, nil
	}
	return &job.Result{}, f.Record, nil // cancelled before it ran: it wrote nothing
}

// resultOf finds the result of an attempt that may have been rejected or superseded: after a split both outputs are kept as
// long as the job; and what one left that was stopped to run again, as long as the job has no result (rule J13).
func resultOf(rec *job.Record, token string) (*job.Result, *job.Record, error) {
	var known []string
	look := func(rep *job.Report) *job.Result {
		if rep == nil || rep.Result == nil {
			return nil
		}
		if rep.Attempt.Token() == token {
			return rep.Result
		}
		known = append(known, rep.Attempt.Token())
		return nil
	}
	for _, v := range rec.Verdicts {
		if res := look(v.Report); res != nil {
			return res, rec, nil
		}
	}
	for _, rep := range rec.Reports {
		if res := look(&rep); res != nil {
			return res, rec, nil
		}
	}
	if res := look(rec.Left()); res != nil {
		return res, rec, nil
	}
	slices.Sort(known)
	return nil, nil, fail(http.StatusNotFound, api.CodeNotFound, "job %s has no result of attempt %.80q; it has those of: %s", rec.ID, token, strings.Join(slices.Compact(known), ", "))
}

// handleOutput sends what a job wrote to stdout or stderr, byte for byte, also
// when another broker ran it.
func (srv *Server) handleOutput(w http.ResponseWriter, r *http.Request) error {
	if queryYes(r, "follow") {
		return srv.follow(w, r)
	}
	res, rec, err := srv.finished(r)
	if err != nil {
		return err
	}
	blob := res.Stdout
	if strings.HasSuffix(r.URL.Path, "/stderr") {
		blob = res.Stderr
	}
	w.Header().Set("Content-Type", "application/octet-stream")
	if blob == nil {
		return nil
	}
	return srv.sendBlob(w, r, *blob, rec)
}

// handleOutputFile sends one file of the output paths, or the manifest of a directory.
func (srv *Server) handleOutputFile(w http.ResponseWriter, r *http.Request) error {
	res, rec, err := srv.finished(r)
	if err != nil {
		return err
	}
	path := r.PathValue("path")
	blob, ok := res.Outputs[path]
	if !ok {
		blob, ok, err = srv.fileWithin(r.Context(), res, rec, path)
		if err != nil {
			return err
		}
	}
	if !ok {
		return fail(http.StatusNotFound, api.CodeNotFound, "job %s has no output %q; it has: %s", rec.ID, path, strings.Join(slices.Sorted(maps.Keys(res.Outputs)), ", "))
	}
	w.Header().Set("Content-Type", "application/octet-stream")
	if job.IsDirectory(path) {
		w.Header().Set("Content-Type", "application/json")
	}
	return srv.sendBlob(w, r, blob, rec)
}

// fileWithin finds a file in the directory of which its path, as text, says that it is part.
func (srv *Server) fileWithin(ctx context.Context, res *job.Result, rec *job.Record, path string) (b job.Blob, ok bool, err error) {
	for dir, manifest := range res.Outputs {
		inner, within := strings.CutPrefix(path, dir)
		if !job.IsDirectory(dir) || !within {
			continue
		}
		if err := srv.fetchOutput(ctx, manifest.Digest, rec); err != nil {
			return b, false, err
		}
		m, err := srv.host.Manifest(manifest.Digest)
		if err != nil {
			return b, false, err
		}
		if e := m.Find(job.PathOf(inner)); e != nil && e.IsFile() {
			return job.Blob{Digest: e.Digest, Size: e.Size}, true, nil
		}
	}
	return b, false, nil
}

// fetchOutput brings an output blob, or all of a directory, here from whoever holds it: the broker that
// ran the job, then its owner.
func (srv *Server) fetchOutput(ctx context.Context, d job.Digest, rec *job.Record) error {
	from := []string{rec.Owner.Broker, rec.Origin}
	if rep := rec.Accepted(); rep != nil {
		from = append([]string{rep.Dot.Actor.Broker()}, from...)
	}
	if rep := rec.Left(); rep != nil {
		from = append([]string{rep.Dot.Actor.Broker()}, from...)
	}
	for _, rep := range rec.Reports {
		from = append(from, rep.Dot.Actor.Broker())
	}
	if err := srv.host.Need(ctx, d, from); err != nil {
		return fail(http.StatusServiceUnavailable, api.CodeUnavailable, "the output of job %s (blob %.12s) can't be had now: %v; the broker that holds it may come back", rec.ID, d, err)
	}
	return nil
}

func (srv *Server) sendBlob(w http.ResponseWriter, r *http.Request, b job.Blob, rec *job.Record) error {
	if err := srv.fetchOutput(r.Context(), b.Digest, rec); err != nil {
		return err
	}
	f, err := srv.store.Blobs().Open(string(b.Digest))
	if err != nil {
		return err
	}
	defer f.Close()
	w.Header().Set("ETag", `"`+string(b.Digest)+`"`)
	http.ServeContent(w, r, "", time.Time{}, f) // the client sees that bytes are missing
	return nil
}
