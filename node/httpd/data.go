package httpd

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/urban-compute/ucp/access"
	"github.com/urban-compute/ucp/api"
	"github.com/urban-compute/ucp/broker"
	"github.com/urban-compute/ucp/clock"
	"github.com/urban-compute/ucp/data"
	"github.com/urban-compute/ucp/job"
	"github.com/urban-compute/ucp/label"
	"github.com/urban-compute/ucp/store"
)

// pathName reads the name of data in a path.
func pathName(r *http.Request) (data.Name, error) {
	name := data.Name(r.PathValue("name"))
	if err := name.Valid(); err != nil {
		return "", fail(http.StatusBadRequest, api.CodeBadRequest, "%v", err)
	}
	return name, nil
}

// versionOf reads how clients name a version: by the update that wrote it.
func versionOf(text string) (d clock.Dot, err error) {
	actor, counter, _ := strings.Cut(text, ":")
	d.Actor = clock.Actor(actor)
	d.Counter, err = strconv.ParseUint(counter, 10, 64)
	if err != nil || d.Counter == 0 || len(actor) > 96 || !label.ValidName(d.Actor.Broker()) {
		return d, fail(http.StatusBadRequest, api.CodeBadRequest, "%.100q is no version: give one back as an answer names it", text)
	}
	return d, nil
}

// latestOf reads what a client takes for the latest version, nil when it does not say, and the zero one for none.
func latestOf(text string) (*clock.Dot, error) {
	switch text {
	case "":
		return nil, nil
	case api.NoVersion:
		return &clock.Dot{}, nil
	}
	d, err := versionOf(text)
	return &d, err
}

// handlePutData lets a name stand for what the body holds, or for a blob or directory that was uploaded before.
func (srv *Server) handlePutData(w http.ResponseWriter, r *http.Request) error {
	name, err := pathName(r)
	if err != nil {
		return err
	}
	known, err := latestOf(r.URL.Query().Get("if"))
	if err != nil {
		return err
	}
	past, err := srv.caughtUp(r) // what its writer has seen it is written in view of (rule D1)
	if err != nil {
		return err
	}
	if err := srv.diskReserve(); err != nil {
		return err
	}
	content, err := srv.contentOf(w, r)
	if err != nil {
		return err
	}
	c := callerOf(r)
	done, err := ask[*broker.DataWritten](r.Context(), srv, func(t broker.Token) broker.Input {
		return broker.PutData{Token: t, Name: name, Content: content, If: known, Past: past, By: c.name, Any: c.scopes.Has(access.Operate)}
	})
	if err != nil {
		return err
	}
	status := http.StatusOK
	switch {
	case done.New && done.Degraded:
		status = http.StatusAccepted
	case done.New:
		status = http.StatusCreated
	}
	o := orderOf(r)
	o.detail = fmt.Sprintf("%.12s, %d bytes", content.Digest, content.Size)
	return srv.answerWritten(w, status, done)
}

func (srv *Server) answerWritten(w http.ResponseWriter, status int, done *broker.DataWritten) error {
	out := dataView(done.Record)
	out.New, out.Removed, out.Replicas, out.Degraded = done.New, done.Removed, done.Replicas, done.Degraded
	out.CausalToken, out.AsOf = done.Past.Token(), srv.host.CityTime().UTC()
	w.Header().Set(api.TokenHeader, out.CausalToken)
	writeJSON(w, status, out)
	return nil
}

// contentOf is what a request names, or what its body holds, which is stored.
func (srv *Server) contentOf(w http.ResponseWriter, r *http.Request) (data.Content, error) {
	text, directory := r.URL.Query().Get("digest"), queryYes(r, "directory")
	switch {
	case text == "" && directory:
		return data.Content{}, fail(http.StatusBadRequest, api.CodeBadRequest, "?directory=1: say with ?digest= which manifest, and upload that and its files first")
	case text == "":
		return srv.storeBody(w, r)
	case !job.ValidDigest(text):
		return data.Content{}, fail(http.StatusBadRequest, api.CodeBadRequest, "?digest=%.80s is not a SHA-256: 64 lower-case hexadecimal digits", text)
	case r.ContentLength != 0:
		return data.Content{}, fail(http.StatusBadRequest, api.CodeBadRequest, "?digest= names a blob that was uploaded before, so there is no body to read")
	}
	c := data.Content{Digest: job.Digest(text), Directory: directory}
	lacking, err := srv.host.Lacks(r.Context(), c.Blob(), maxNamedBlobs)
	if err != nil {
		return c, srv.noDirectory(c.Blob(), err)
	}
	if len(lacking) > 0 {
		return c, fail(http.StatusUnprocessableEntity, api.CodeMissingBlobs, "upload these first, with PUT /v1/blobs/{sha256}: %s", joined(lacking))
	}
	c.Size, _ = srv.store.Blobs().Touch(text)
	return c, nil
}

// storeBody stores what a body holds.
func (srv *Server) storeBody(w http.ResponseWriter, r *http.Request) (c data.Content, err error) {
	if err := plainBody(r); err != nil {
		return c, err
	}
	announced := min(max(r.ContentLength, 0), job.MaxBlob)
	give, why := srv.host.Hold(announced)
	if why != "" {
		return c, noSpace(why)
	}
	body := &counted{r: http.MaxBytesReader(w, r.Body, job.MaxBlob), arrived: give, left: announced}
	defer func() { give(body.left) }()
	digest, size, err := srv.store.Blobs().Put(r.Context(), body, job.MaxBlob)
	switch {
	case errors.Is(err, store.ErrTooLarge):
		return c, fail(http.StatusRequestEntityTooLarge, api.CodeTooLarge, "%v", err)
	case errors.Is(err, syscall.ENOSPC):
		return c, fail(http.StatusInsufficientStorage, api.CodeNoSpace, "%v", err)
	}
	return data.Content{Digest: job.Digest(digest), Size: size}, err
}

// handleRemoveData removes all versions of a name that are known here.
func (srv *Server) handleRemoveData(w http.ResponseWriter, r *http.Request) error {
	name, err := pathName(r)
	if err != nil {
		return err
	}
	known, err := latestOf(r.URL.Query().Get("if"))
	if err != nil {
		return err
	}
	past, err := srv.caughtUp(r)
	if err != nil {
		return err
	}
	done, err := ask[*broker.DataWritten](r.Context(), srv, func(t broker.Token) broker.Input {
		return broker.RemoveData{Token: t, Name: name, If: known, Past: past}
	})
	if err != nil {
		return err
	}
	orderOf(r).detail = fmt.Sprintf("%d versions", done.Removed)
	return srv.answerWritten(w, http.StatusOK, done)
}

// handleData sends the content of a version, tells what a name stands for, or lists the names below a prefix, which ends with a
// slash.
func (srv *Server) handleData(w http.ResponseWriter, r *http.Request) error {
	if text := r.PathValue("name"); text == "" || strings.HasSuffix(text, "/") {
		return srv.listData(w, r, text)
	}
	name, err := pathName(r)
	if err != nil {
		return err
	}
	f, err := srv.awaitData(r, name)
	if err != nil {
		return err
	}
	w.Header().Set(api.TokenHeader, f.Past.Token())
	if queryYes(r, "versions") {
		out := dataView(f.Record)
		out.CausalToken, out.AsOf = f.Past.Token(), f.AsOf.UTC()
		writeJSON(w, http.StatusOK, out)
		return nil
	}
	v, err := chosenVersion(r, f.Record)
	if err != nil {
		return err
	}
	return srv.sendVersion(w, r, name, v)
}

// awaitData looks a name up, as the request's causal token, ?wait= and ?known= ask.
func (srv *Server) awaitData(r *http.Request, name data.Name) (*broker.DataFound, error) {
	wait, err := queryDuration(r, "wait")
	if err != nil {
		return nil, err
	}
	known, err := latestOf(r.URL.Query().Get("known"))
	if err != nil {
		return nil, err
	}
	past, err := srv.caughtUp(r)
	if err != nil {
		return nil, err
	}
	if wait > 0 {
		if known == nil {
			known = &clock.Dot{} // for the first version
		}
		ctx, cancel := context.WithTimeout(r.Context(), wait)
		defer cancel()
		stop := context.AfterFunc(srv.host.Leaving(), cancel)
		defer stop()
		f, err := ask[*broker.DataFound](ctx, srv, func(t broker.Token) broker.Input {
			return broker.AwaitData{Token: t, Name: name, Known: *known, Past: past}
		})
		if err == nil || ctx.Err() == nil {
			return f, err
		}
	}
	return ask[*broker.DataFound](r.Context(), srv, func(t broker.Token) broker.Input { return broker.GetData{Token: t, Name: name, Past: past} })
}

// chosenVersion is the version that a request asks for, the latest one if it names none.
func chosenVersion(r *http.Request, rec *data.Record) (*data.Version, error) {
	text := r.URL.Query().Get("version")
	if text == "" {
		return rec.Latest(), nil
	}
	dot, err := versionOf(text)
	if err != nil {
		return nil, err
	}
	for i := range rec.Versions {
		v := &rec.Versions[i]
		switch {
		case v.Dot != dot:
		case !v.There():
			return nil, fail(http.StatusGone, api.CodeGone, "version %s of %s was removed", text, rec.Name)
		default:
			return v, nil
		}
	}
	return nil, fail(http.StatusNotFound, api.CodeNotFound, "%s has no version %s here; GET /v1/data/%[1]s?versions=1 lists those that it has", rec.Name, text)
}

// sendVersion sends the content of a version, or a file of a directory, whichever broker holds it.
func (srv *Server) sendVersion(w http.ResponseWriter, r *http.Request, name data.Name, v *data.Version) error {
	c := *v.Content
	path := r.URL.Query().Get("path")
	if path != "" && !c.Directory {
		return fail(http.StatusNotFound, api.CodeNotFound, "%s is a file, and has no ?path=%.200s", name, path)
	}
	if err := srv.fetchData(r.Context(), name, c.Digest, v); err != nil {
		return err
	}
	w.Header().Set("Content-Type", "application/octet-stream")
	if path != "" {
		m, err := srv.host.Manifest(c.Digest)
		if err != nil {
			return err
		}
		e := m.Find(path)
		if e == nil || !e.IsFile() {
			return fail(http.StatusNotFound, api.CodeNotFound, "the directory %s has no file %.200q", name, path)
		}
		if c.Digest = e.Digest; c.Digest != v.Content.Digest {
			if err := srv.fetchData(r.Context(), name, c.Digest, v); err != nil {
				return err
			}
		}
	} else if c.Directory {
		w.Header().Set("Content-Type", "application/json")
	}
	b, err := srv.store.Blobs().Open(string(c.Digest))
	if err != nil {
		return err
	}
	defer b.Close()
	w.Header().Set("ETag", `"`+string(c.Digest)+`"`)
	w.Header().Set(api.VersionHeader, v.Dot.String())
	http.ServeContent(w, r, "", time.Time{}, b) // the client sees that bytes are missing
	return nil
}

// fetchData brings a blob of a version here.
func (srv *Server) fetchData(ctx context.Context, name data.Name, d job.Digest, v *data.Version) error {
	if err := srv.host.Need(ctx, d, []string{v.Dot.Actor.Broker()}); err != nil {
		return fail(http.StatusServiceUnavailable, api.CodeUnavailable, "version %v of %s (blob %.12s) can't be had now: %v; the broker that holds it may come back", v.Dot, name, d, err)
	}
	return nil
}

// listData lists the names below a prefix.
func (srv *Server) listData(w http.ResponseWriter, r *http.Request, prefix string) error {
	if err := data.ValidPrefix(prefix); err != nil {
		return fail(http.StatusBadRequest, api.CodeBadRequest, "%v", err)
	}
	limit, err := queryLimit(r)
	if err != nil {
		return err
	}
	if _, err := srv.caughtUp(r); err != nil {
		return err
	}
	in := broker.ListData{Prefix: prefix, After: r.URL.Query().Get("after"), Limit: limit, Removed: queryYes(r, "removed")}
	l, err := ask[*broker.DataListing](r.Context(), srv, func(t broker.Token) broker.Input { in.Token = t; return in })
	if err != nil {
		return err
	}
	out := api.DataList{Data: []api.Data{}, Next: l.Next, AsOf: l.AsOf.UTC()}
	for _, rec := range l.Records {
		d := dataView(rec)
		d.AsOf = out.AsOf
		out.Data = append(out.Data, d)
	}
	writeJSON(w, http.StatusOK, out)
	return nil
}

// dataView is how a name is shown.
func dataView(r *data.Record) api.Data {
	out := api.Data{Name: string(r.Name), Owner: r.Owner(), Versions: []api.DataVersion{}}
	for _, v := range r.Versions {
		x := api.DataVersion{Version: v.Dot.String(), At: clock.TimeOf(v.At), Broker: v.Dot.Actor.Broker()}
		if c := v.Content; c != nil {
			x.Digest, x.Size, x.Directory, x.Job, x.Attempt = c.Digest, c.Size, c.Directory, c.Job, c.Attempt
		}
		if m := v.Removed; m != nil {
			x.RemovedAt, x.RemovedBy, x.Old = clock.TimeOf(m.At), m.Dot.Actor.Broker(), m.Old
		}
		out.Versions = append(out.Versions, x)
	}
	for i := range out.Versions {
		if out.Versions[i].There() {
			out.Latest = &out.Versions[i]
			break
		}
	}
	return out
}

// noSuchData says that nothing is there under a name.
func noSuchData(v *broker.NoSuchData) error {
	if v.Record != nil {
		return fail(http.StatusNotFound, api.CodeNotFound, "data %s was removed", v.Name)
	}
	return fail(http.StatusNotFound, api.CodeNotFound, "no data %s is known here%s", v.Name, meant(v.Nearest))
}

// dataOwned says that a name is somebody else's.
func dataOwned(v *broker.DataOwned) error {
	if v.Job {
		return fail(http.StatusForbidden, api.CodeForbidden, "named_outputs: data %s belongs to %s, who has written it first: a job writes it that %[2]s submits", v.Name, v.Owner)
	}
	return fail(http.StatusForbidden, api.CodeForbidden, "data %s belongs to %s, who has written it first: to write it takes that name, or the scope %s", v.Name, v.Owner, access.Operate)
}

// dataConflict says that a name stands for another version than the request takes for its latest.
func dataConflict(v *broker.DataConflict) error {
	is := "nothing"
	if v.Record != nil && v.Record.Latest() != nil {
		is = "version " + v.Record.Latest().Dot.String()
	}
	return fail(http.StatusConflict, api.CodeConflict, "%s stands for %s; nothing was done", v.Name, is)
}
