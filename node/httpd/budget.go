package httpd

import (
	"context"
	"net"
	"net/http"
	"sync"
	"time"

	"golang.org/x/sync/semaphore"

	"github.com/urban-compute/ucp/api"
	"github.com/urban-compute/ucp/broker/wire"
)

// inFlight is how many bytes of messages may be under way into memory at once, from members and from anybody else.
const inFlight = 64 << 20

// budgets bound the memory that bodies take, of members apart from all others: what strangers send half and never end can't
// keep the cluster's own messages out.
type budgets struct{ members, others *semaphore.Weighted }

func newBudgets() budgets {
	return budgets{semaphore.NewWeighted(inFlight), semaphore.NewWeighted(inFlight)}
}

// reserve takes what a message may need, as soon as that is free, and returns what gives it back.
func (srv *Server) reserve(r *http.Request) (release func(), err error) {
	ctx, cancel := context.WithTimeout(r.Context(), srv.cfg.PeerTimeout)
	defer cancel()
	size := int64(wire.MaxMessage) // compressed, or of a length that is not said
	if n := r.ContentLength; n >= 0 && n < size && r.Header.Get("Content-Encoding") == "" {
		size = n
	}
	from := srv.memory.others
	if srv.sources.member(sourceOf(r.RemoteAddr)) {
		from = srv.memory.members
	}
	if err := from.Acquire(ctx, size); err != nil {
		return nil, fail(http.StatusServiceUnavailable, api.CodeUnavailable, "too many messages are under way here; come back")
	}
	return func() { from.Release(size) }, nil
}

// sourcesFor is how long a list of the members' addresses is relied on.
const sourcesFor = time.Second

// sources knows the addresses of members: those that they gossip from, and those where they say they serve HTTP.
type sources struct {
	host Host

	mu    sync.Mutex
	asked time.Time
	known map[string]bool
}

// member reports whether some member has this address.
func (s *sources) member(source string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if time.Since(s.asked) > sourcesFor {
		s.asked, s.known = time.Now(), map[string]bool{}
		for _, m := range s.host.Members() {
			for _, addr := range []string{m.Addr, m.Tags["http"]} {
				if host, _, err := net.SplitHostPort(addr); err == nil {
					s.known[host] = true
				}
			}
		}
	}
	return s.known[source]
}
