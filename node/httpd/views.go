package httpd

import (
	"context"
	"encoding/json"
	"io"
	"maps"
	"net/http"
	"slices"
	"sync"
	"time"

	"github.com/urban-compute/ucp/api"
)

const (
	// viewsWithin bounds how long brokers are asked how they see the others.
	viewsWithin = 2 * time.Second
	// viewsFor is for how long what they have said is said again, so that many who look cost no more than one.
	viewsFor = time.Second
	// mostViews is how many brokers are asked, the first by name: a matrix of more is read by nobody.
	mostViews = 64
	// viewsAtOnce is how many are asked at the same time.
	viewsAtOnce = 16
	// maxView bounds what one of them says, in bytes.
	maxView = 256 << 10
)

// views is how the brokers saw each other when they were last asked.
type views struct {
	mu   sync.Mutex // held while they are asked: who comes meanwhile gets the same
	at   time.Time
	last *api.Views
}

// handleViews says how each broker sees the others: a split looks different from each side, and only all views together show it.
func (srv *Server) handleViews(w http.ResponseWriter, _ *http.Request) error {
	srv.viewing.mu.Lock()
	defer srv.viewing.mu.Unlock()
	if v := &srv.viewing; v.last == nil || srv.cfg.Now().Sub(v.at) > viewsFor {
		// Not with the request's context: others may wait for the same answer.
		ctx, cancel := context.WithTimeout(srv.host.Leaving(), viewsWithin)
		defer cancel()
		v.last, v.at = srv.views(ctx), srv.cfg.Now()
	}
	writeJSON(w, http.StatusOK, srv.viewing.last)
	return nil
}

// views asks all brokers that are heard.
func (srv *Server) views(ctx context.Context) *api.Views {
	out := &api.Views{Views: map[string]api.View{}, Silent: map[string]string{}, AsOf: srv.cfg.Now().UTC()}
	own := srv.coordination()
	out.Views[srv.cfg.Name] = viewOf(&own)
	var mu sync.Mutex
	var wg sync.WaitGroup
	turn := make(chan struct{}, viewsAtOnce)
	names := slices.Sorted(maps.Keys(own.PeerBrokers))
	for _, name := range names[:min(len(names), mostViews)] {
		if p := own.PeerBrokers[name]; !p.Healthy {
			out.Silent[name] = p.Health
			continue
		}
		wg.Go(func() {
			turn <- struct{}{} // each is given back within viewsWithin
			defer func() { <-turn }()
			v, err := srv.viewFrom(ctx, name)
			mu.Lock()
			defer mu.Unlock()
			if err != nil {
				out.Silent[name] = "does not say how it sees the others"
				return
			}
			out.Views[name] = v
		})
	}
	wg.Wait()
	return out
}

// viewFrom asks one broker.
func (srv *Server) viewFrom(ctx context.Context, name string) (api.View, error) {
	body, err := srv.host.Follow(ctx, name, "/broker/coordination-status")
	if err != nil {
		return api.View{}, err
	}
	defer body.Close()
	var c api.Coordination
	if err := json.NewDecoder(io.LimitReader(body, maxView)).Decode(&c); err != nil {
		return api.View{}, err
	}
	return viewOf(&c), nil
}

// viewOf is what of a broker's status is of how it sees the others.
func viewOf(c *api.Coordination) api.View {
	v := api.View{Peers: map[string]api.PeerView{}, HeldBack: c.HeldBack, HeldBackBy: c.HeldBackBy, AsOf: c.AsOf}
	for name, p := range c.PeerBrokers {
		v.Peers[name] = api.PeerView{Healthy: p.Healthy, Health: p.Health, LastSeen: p.LastSeen, Behind: p.Behind, Ahead: p.Ahead, RTT: p.RTT}
	}
	return v
}
