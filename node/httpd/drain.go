package httpd

import (
	"net/http"
	"time"

	"github.com/urban-compute/ucp/api"
	"github.com/urban-compute/ucp/broker"
	"github.com/urban-compute/ucp/label"
)

// maxDrainDeadline bounds how far away the deadline of a drain may be.
const maxDrainDeadline = 30 * 24 * time.Hour

// handleDrain takes an operator's word that a broker is to run nothing new, or with DELETE that it may again (rule M5).
func (srv *Server) handleDrain(w http.ResponseWriter, r *http.Request) error {
	in := broker.DrainMember{Name: r.PathValue("name"), Resume: r.Method == http.MethodDelete}
	if !label.ValidName(in.Name) {
		return fail(http.StatusBadRequest, api.CodeBadRequest, "%.80q is not a broker's name", in.Name)
	}
	if s := r.URL.Query().Get("deadline"); s != "" {
		d, err := time.ParseDuration(s)
		if err != nil || d <= 0 || d > maxDrainDeadline || in.Resume {
			return fail(http.StatusBadRequest, api.CodeBadRequest, "?deadline=%.40s: write a duration such as 10m, at most %v, and only to drain", s, maxDrainDeadline)
		}
		in.Deadline, orderOf(r).detail = d, "within "+d.String()
	}
	done, err := ask[*broker.MemberDrained](r.Context(), srv, func(t broker.Token) broker.Input { in.Token = t; return in })
	if err != nil {
		return err
	}
	writeJSON(w, http.StatusOK, api.DrainedMember{
		Name: done.Broker, Drained: done.Since != 0, Since: done.Since, Deadline: done.Until, Before: done.Was, Running: done.Running, Stay: done.Stay, Waits: done.Waits,
		Replicas: done.Replicas, Degraded: done.Degraded,
	})
	return nil
}

// drains are the brokers that are drained, by name, as last published.
func (srv *Server) drains() map[string]*api.Drain {
	out := map[string]*api.Drain{}
	if s := srv.host.Overview(); s != nil {
		for _, d := range s.Drains {
			out[d.Broker] = &api.Drain{Since: d.Since, Deadline: d.Until, Stays: d.Stays, Waits: d.Waits}
		}
	}
	return out
}
