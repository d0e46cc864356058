package httpd

import (
	"context"
	"errors"
	"fmt"
	"net/http"

	"github.com/urban-compute/ucp/api"
	"github.com/urban-compute/ucp/broker"
	"github.com/urban-compute/ucp/clock"
	"github.com/urban-compute/ucp/data"
	"github.com/urban-compute/ucp/job"
	"github.com/urban-compute/ucp/module"
)

// checkModule refuses a module, which is in this broker's store, that it does not run, or that is not WebAssembly that can run here.
func (srv *Server) checkModule(d job.Digest) error {
	switch err := srv.host.AllowsModule(d); {
	case errors.As(err, new(module.NotAllowed)):
		return fail(http.StatusUnprocessableEntity, api.CodeInvalid, "module: %v", err)
	case err != nil:
		return err
	}
	if srv.isWasm.known(d) {
		return nil
	}
	b, err := srv.store.Blobs().Open(string(d))
	if err != nil {
		return err
	}
	defer b.Close()
	var refused module.Refused
	err = module.Check(b)
	switch {
	case errors.As(err, &refused):
		return fail(http.StatusUnprocessableEntity, api.CodeInvalid, "module: blob %.12s: %v", d, err)
	case err != nil:
		return err
	}
	srv.isWasm.add(d)
	return nil
}

// namedModules are the modules of the jobs of one request that are named data (rule D8): each name is looked up once, so that all of
// them run the same version.
type namedModules struct {
	srv   *Server
	r     *http.Request
	found map[string]foundModule
}

type foundModule struct {
	version *data.Version
	err     error
}

// of returns the version for which the module of a job stands that is about to be submitted, as one that this broker holds and has
// looked at. It is nil where the spec names no data, and where none can be had, but that very job was taken before: it keeps its own.
func (m *namedModules) of(id job.ID, spec *job.Spec, digest job.Digest) (*data.Version, error) {
	name, named := spec.ModuleName()
	if !named {
		return nil, nil
	}
	x, known := m.found[name]
	if !known {
		x.version, x.err = m.srv.bringModule(m.r, data.Name(name))
		if m.found == nil {
			m.found = map[string]foundModule{}
		}
		m.found[name] = x
	}
	if x.err != nil && m.srv.isTaken(m.r.Context(), job.Key(id, digest)) {
		return nil, nil
	}
	return x.version, x.err
}

// mostBrought is how often a module is brought for one submission: while its job hears of an earlier version, as when a split heals.
const mostBrought = 3

// brought goes on with a submission, where the answer is that its job was taken before and that its module is not here: it brings that, and
// asks again.
func (srv *Server) brought(ctx context.Context, in broker.Submit, a broker.Answer) (broker.Answer, error) {
	for range mostBrought {
		absent, ok := a.(*broker.ModuleAbsent)
		if !ok {
			return a, nil
		}
		r := absent.Record
		in.Brought = r.Module()
		if err := srv.host.Need(ctx, in.Brought, []string{r.Owner.Broker, r.Place.Broker}); err != nil {
			return nil, srv.lacksModule(r, err)
		}
		var err error
		if a, err = srv.askToTake(ctx, in); err != nil {
			return nil, err
		}
	}
	if absent, ok := a.(*broker.ModuleAbsent); ok {
		return nil, srv.lacksModule(absent.Record, fmt.Errorf("it was another one each time that it was brought, %d times", mostBrought))
	}
	return a, nil
}

func (srv *Server) lacksModule(r *job.Record, err error) error {
	return fail(http.StatusServiceUnavailable, api.CodeUnavailable, "job %s was taken before, and its module, a version of %s (blob %.12s), can't be had now: %v; submitting it again with the same ID is safe",
		r.ID, r.Spec.Module, r.Module(), err)
}

// isTaken reports whether a job is known here, by its key.
func (srv *Server) isTaken(ctx context.Context, key string) bool {
	f, err := ask[*broker.Found](ctx, srv, func(t broker.Token) broker.Input { return broker.Get{Token: t, ID: key} })
	return err == nil && f.Record.Key() == key
}

// bringModule looks a name up, and brings what it stands for here.
func (srv *Server) bringModule(r *http.Request, name data.Name) (*data.Version, error) {
	v, err := srv.findModule(r, name)
	if err != nil {
		return nil, err
	}
	if err := srv.fetchData(r.Context(), name, v.Content.Digest, v); err != nil {
		return nil, err
	}
	return v, srv.checkModule(v.Content.Digest)
}

// findModule looks up what a name stands for, when this broker knows as much as its client: the latest version, which is a file.
func (srv *Server) findModule(r *http.Request, name data.Name) (*data.Version, error) {
	if _, err := srv.caughtUp(r); err != nil {
		return nil, err
	}
	a, err := ask[broker.Answer](r.Context(), srv, func(t broker.Token) broker.Input { return broker.GetData{Token: t, Name: name} })
	if err != nil {
		return nil, err
	}
	f, ok := a.(*broker.DataFound)
	if !ok {
		return nil, noModule(a)
	}
	v := f.Record.Latest()
	if v.Content.Directory {
		return nil, fail(http.StatusUnprocessableEntity, api.CodeInvalid, "module: data %s is a directory, and a module is a file", name)
	}
	return v, nil
}

// noModule says that nothing is there under the name of a module.
func noModule(a broker.Answer) error {
	none, ok := a.(*broker.NoSuchData)
	if !ok {
		return refusal(a)
	}
	const refused = http.StatusUnprocessableEntity
	if none.Record != nil {
		return fail(refused, api.CodeInvalid, "module: data %s was removed", none.Name)
	}
	return fail(refused, api.CodeInvalid, "module: no data %s is known here%s", none.Name, meant(none.Nearest))
}

// moduleView says which version of named data the module of a job is; nil where its spec names none.
func moduleView(r *job.Record) *api.Module {
	name, _ := r.Spec.ModuleName()
	e, noted := r.ModuleVersion()
	if !noted {
		return nil
	}
	return &api.Module{Name: name, Digest: r.Module(), At: clock.TimeOf(e.At), Broker: e.By.Broker()}
}
