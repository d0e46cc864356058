package httpd

import (
	"errors"
	"net/http"
	"time"

	"github.com/urban-compute/ucp/api"
	"github.com/urban-compute/ucp/broker"
	"github.com/urban-compute/ucp/clock"
	"github.com/urban-compute/ucp/emergency"
	"github.com/urban-compute/ucp/job"
)

// maxDeclaration bounds the body of a declaration.
const maxDeclaration = 8 << 10

// handleDeclare takes a declaration, or new terms of an emergency that is known: 201 for a
// new one.
func (srv *Server) handleDeclare(w http.ResponseWriter, r *http.Request) error {
	b, _, err := readDocument(w, r, maxDeclaration, false)
	if err != nil {
		return err
	}
	d, err := emergency.ParseDeclaration(b)
	if err != nil {
		return fail(http.StatusUnprocessableEntity, api.CodeInvalid, "%v", err)
	}
	if d.ID != "" {
		if _, err := srv.mayChange(r, string(d.ID)); err != nil {
			return err
		}
	}
	if err := callerOf(r).mayDeclare(job.Level(string(d.Level))); err != nil {
		return err
	}
	newType := queryYes(r, "new_type")
	return srv.claim(w, r, func(t broker.Token) broker.Input { return broker.Declare{Token: t, Declaration: d, NewType: newType} })
}

// handleClear ends an emergency for good.
func (srv *Server) handleClear(w http.ResponseWriter, r *http.Request) error {
	id, err := emergencyID(r)
	if err != nil {
		return err
	}
	if id, err = srv.mayChange(r, id); err != nil {
		return err
	}
	force := queryYes(r, "unknown")
	return srv.claim(w, r, func(t broker.Token) broker.Input { return broker.Clear{Token: t, ID: id, Force: force} })
}

// mayChange refuses to change or to clear an emergency whose level the caller may not deal with. It returns the ID of the one
// that is meant. Of one that nobody here has heard of no level is known.
func (srv *Server) mayChange(r *http.Request, id string) (string, error) {
	c := callerOf(r)
	if c.mayDeclare(job.Level("critical")) == nil {
		return id, nil
	}
	l, err := ask[*broker.Emergencies](r.Context(), srv, func(t broker.Token) broker.Input { return broker.ListEmergencies{Token: t, ID: id} })
	var no *api.Error
	declares := r.Method == http.MethodPost
	switch {
	case err != nil && !errors.As(err, &no): // it was not looked up
		return "", err
	case err != nil && declares, err == nil && declares && string(l.List[0].Record.ID) != id: // it has begun another one, at most
		return id, nil
	case err != nil && r.URL.Query().Get("unknown") != "":
		return id, c.mayDeclare(job.Level("critical"))
	case err != nil:
		return "", err
	}
	found := l.List[0].Record
	if !declares && !found.IsMeant(id) {
		return "", noneToClear(id, string(found.ID))
	}
	return string(found.ID), c.mayDeclare(found.Terms.Level)
}

// noneToClear refuses a clear of what is no emergency's ID, nor the type of one.
func noneToClear(id, nearest string) error {
	return fail(http.StatusNotFound, api.CodeNotFound, "no emergency %.80q is known here%s; a clear takes an ID, four letters of its beginning or more, or the type of one; to clear one that this broker has not heard of, give its whole ID and --unknown (?unknown=1)", id, meant(nearest))
}

func emergencyID(r *http.Request) (string, error) {
	id := r.PathValue("id")
	if err := emergency.ID(id).Valid(); err != nil {
		return "", fail(http.StatusBadRequest, api.CodeBadRequest, "%v", err)
	}
	return id, nil
}

// claim steps a declaration or a clear, and answers with what became of it: as many brokers hold it
// then as the answer says (rule A1).
func (srv *Server) claim(w http.ResponseWriter, r *http.Request, in func(broker.Token) broker.Input) error {
	a, err := ask[broker.Answer](r.Context(), srv, in)
	if err != nil {
		return err
	}
	d, ok := a.(*broker.Declared)
	if no, unknown := a.(*broker.NoSuchEmergency); unknown {
		return noneToClear(no.ID, no.Nearest)
	} else if !ok {
		return refusal(a)
	}
	t := d.View.Record.Terms
	o := orderOf(r)
	o.which, o.detail = string(d.View.Record.ID), job.LevelName(t.Level)+" "+t.Type
	status := http.StatusOK
	if d.Created && r.Method == http.MethodPost {
		status = http.StatusCreated
	}
	e := srv.emergencyView(d.View, srv.cfg.Now())
	e.Replicas, e.Degraded = d.Replicas, d.Degraded
	if was := d.Was; was != nil && was.Version.Seq > 0 {
		terms := termsView(&was.Terms)
		e.Was = &terms
	}
	writeJSON(w, status, e)
	return nil
}

// termsView is how terms are shown.
func termsView(t *emergency.Terms) api.EmergencyTerms {
	return api.EmergencyTerms{Type: t.Type, Level: job.LevelName(t.Level), Scope: orEmpty(t.Scope), Select: orEmpty(t.Select), Message: t.Message}
}

func (srv *Server) handleEmergencies(w http.ResponseWriter, r *http.Request) error {
	l, err := ask[*broker.Emergencies](r.Context(), srv, func(t broker.Token) broker.Input { return broker.ListEmergencies{Token: t} })
	if err != nil {
		return err
	}
	out := api.EmergencyList{Emergencies: []api.Emergency{}, AsOf: l.AsOf.UTC()}
	for _, v := range l.List {
		out.Emergencies = append(out.Emergencies, srv.emergencyView(v, l.AsOf))
	}
	writeJSON(w, http.StatusOK, out)
	return nil
}

// handleEmergency shows one emergency and all that it has caused.
func (srv *Server) handleEmergency(w http.ResponseWriter, r *http.Request) error {
	id, err := emergencyID(r)
	if err != nil {
		return err
	}
	l, err := ask[*broker.Emergencies](r.Context(), srv, func(t broker.Token) broker.Input { return broker.ListEmergencies{Token: t, ID: id} })
	if err != nil {
		return err
	}
	writeJSON(w, http.StatusOK, srv.emergencyView(l.List[0], l.AsOf))
	return nil
}

// emergencyView is how one is shown.
func (srv *Server) emergencyView(v *broker.EmergencyView, asOf time.Time) api.Emergency {
	r := v.Record
	e := api.Emergency{
		ID: r.ID, Type: r.Terms.Type, Level: job.LevelName(r.Terms.Level), Scope: orEmpty(r.Terms.Scope), Select: orEmpty(r.Terms.Select),
		Message: r.Terms.Message, DeclaredBy: r.Version.By.Broker(), Until: r.Until(),
		Active: v.Active, Cleared: r.Finished(), EndedAt: v.Ended, InScope: v.InScope, Heard: v.Heard, Caused: v.Caused, AsOf: asOf.UTC(),
	}
	if r.Declared != 0 {
		e.DeclaredAt = clock.TimeOf(r.Declared)
	}
	if r.Finished() {
		e.ClearedAt, e.ClearedBy = clock.TimeOf(r.Cleared[0].At), r.Cleared[0].By.Broker()
	}
	if p := v.Passed; p != nil {
		e.PassedOver = &api.PassedOver{EmergencyTerms: termsView(&p.Terms), DeclaredBy: p.Version.By.Broker(), DeclaredAt: clock.TimeOf(p.Version.At)}
	}
	if v.Reach != nil {
		e.OfBrokers, e.Unmet, e.Away = v.Reach.Of, v.Reach.Unmet, v.Reach.Away
		e.Jobs = &api.JobCounts{Running: v.Reach.Runs, Waiting: v.Reach.Waits}
		for _, at := range v.Reach.At {
			x := api.EmergencyAt{Broker: at.Broker, Strategy: string(at.Strategy), Effect: at.Strategy.Levels(), Unheard: at.Unheard}
			if at.Override != nil {
				x.Chosen = string(at.Override.Of)
			}
			e.Brokers = append(e.Brokers, x)
		}
	}
	for _, x := range v.Effects {
		end := x.Pause.To.Time()
		if x.Pause.To == 0 {
			end = asOf
		}
		e.Effects = append(e.Effects, api.Effect{
			Job: x.Job, State: x.State, At: x.Pause.By.Broker(), For: x.Pause.For, Mode: x.Pause.Mode, From: x.Pause.From, To: x.Pause.To,
			Lasted: clock.Duration(max(end.Sub(x.Pause.From.Time()), 0).Round(time.Millisecond)),
		})
	}
	return e
}
