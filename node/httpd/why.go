package httpd

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"time"

	"github.com/urban-compute/ucp/api"
	"github.com/urban-compute/ucp/broker"
	"github.com/urban-compute/ucp/job"
)

const (
	// whyWithin bounds how long the broker is asked where a job is queued.
	whyWithin = time.Second
	// maxWhy bounds what it may say, and maxJobView what is read of it.
	maxWhy     = 400
	maxJobView = 4 << 20
)

// whyThere says why a job that is queued does not run, better than was known so far: its inputs may be on their way, which only the
// broker knows to which they come. Who asks where copies are (?copies=1) has the others asked, and so that broker.
func (srv *Server) whyThere(r *http.Request, f *broker.Found, known string) string {
	rec := f.Record
	switch at := rec.Place.Broker; {
	case rec.State() != job.StateQueued:
		return known
	case at == srv.cfg.Name:
		if text := srv.host.Arriving(rec.Key()); text != "" {
			return text
		}
		return known
	case ofBroker(r) || !queryYes(r, "copies"): // who was asked does not ask on
		return known
	default:
		ctx, cancel := context.WithTimeout(r.Context(), whyWithin)
		defer cancel()
		if text := srv.askWhy(ctx, at, rec.Key()); text != "" {
			return fmt.Sprintf("queued at %s: %s", at, text)
		}
		return known
	}
}

// askWhy asks a broker why a job does not run that is queued there; "" where it does not say.
func (srv *Server) askWhy(ctx context.Context, name, key string) string {
	body, err := srv.host.Follow(ctx, name, "/v1/jobs/"+url.PathEscape(key))
	if err != nil {
		return ""
	}
	defer body.Close()
	var j api.Job
	if err := json.NewDecoder(io.LimitReader(body, maxJobView)).Decode(&j); err != nil || j.State != job.StateQueued || j.Executor != name {
		return ""
	}
	return fmt.Sprintf("%.*s", maxWhy, j.Why)
}
