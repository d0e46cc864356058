package httpd

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/urban-compute/ucp/api"
	"github.com/urban-compute/ucp/broker"
	"github.com/urban-compute/ucp/broker/causal"
)

// defaultTimeout bounds what a request waits for: what a causal token names, or
// min_replicas.
const defaultTimeout = 10 * time.Second

// readPast reads a request's causal token (rule C3), from its header or ?causal_token=,
// and its ?timeout=.
func readPast(r *http.Request) (causal.Context, time.Duration, error) {
	token := r.Header.Get(api.TokenHeader)
	if r.URL.RawQuery != "" {
		if q := r.URL.Query().Get("causal_token"); q != "" {
			token = q
		}
	}
	past, err := causal.Parse(token)
	if err != nil {
		return nil, 0, fail(http.StatusBadRequest, api.CodeBadRequest, "%v", err)
	}
	timeout, err := queryDuration(r, "timeout")
	if timeout == 0 {
		timeout = defaultTimeout
	}
	return past, timeout, err
}

// caughtUp waits until this broker knows at least what the request's causal token
// names: then a client reads its own writes at any broker (rule C3).
func (srv *Server) caughtUp(r *http.Request) (causal.Context, error) {
	past, timeout, err := readPast(r)
	if err != nil || len(past) == 0 {
		return past, err
	}
	ctx, cancel := context.WithTimeout(r.Context(), timeout+srv.cfg.PeerTimeout)
	defer cancel()
	a, err := ask[broker.Answer](ctx, srv, func(t broker.Token) broker.Input {
		return broker.CatchUp{Token: t, Past: past, Timeout: timeout}
	})
	behind, ok := a.(*broker.StillBehind)
	if err != nil || !ok {
		return past, err
	}
	met, _ := srv.host.Contacts()
	var missing []string
	for _, x := range behind.Missing {
		name := x.Dot.Actor.Broker()
		text := fmt.Sprintf("update %d of %s", x.Dot.Counter, x.Dot.Actor)
		if x.Job != "" {
			text += fmt.Sprintf(" (job %s)", x.Job)
		}
		if at := met[name].Seen; !at.IsZero() {
			text += fmt.Sprintf(", which was last heard %v ago", srv.cfg.Now().Sub(at).Round(time.Second))
		} else if name != srv.cfg.Name {
			text += ", which was never heard since this broker's start"
		}
		missing = append(missing, text)
	}
	return past, fail(http.StatusGatewayTimeout, api.CodeBehind,
		"after %v this broker does not yet know all that the causal token names: %s", timeout.Round(time.Millisecond), strings.Join(missing, "; "))
}
