package httpd

import (
	"context"
	"net"
	"net/http"
	"sync"
	"time"

	"golang.org/x/sync/semaphore"

	"github.com/urban-compute/ucp/api"
)

// inFlight is how many bytes of messages may be under way into memory at once, from members and from anybody else; one
// address that is no member's has at most half of that.
const (
	inFlight       = 64 << 20
	inFlightSource = inFlight / 2
)

// budgets bound the memory that bodies take, of members apart from all others: what strangers send half and never end can't
// keep the cluster's own messages out, nor those of other strangers.
type budgets struct {
	members, others *semaphore.Weighted

	mu sync.Mutex
	by map[string]*share // of those strangers that send something now, by address
}

// share is what one address may have under way.
type share struct {
	room  *semaphore.Weighted
	users int
}

func newBudgets() *budgets {
	return &budgets{members: semaphore.NewWeighted(inFlight), others: semaphore.NewWeighted(inFlight), by: map[string]*share{}}
}

// take takes bytes for an address as soon as they are free, its own share first, and returns what gives them back.
func (b *budgets) take(ctx context.Context, source string, member bool, size int64) (release func(), err error) {
	if member {
		if err := b.members.Acquire(ctx, size); err != nil {
			return nil, err
		}
		return func() { b.members.Release(size) }, nil
	}
	b.mu.Lock()
	own := b.by[source]
	if own == nil {
		own = &share{room: semaphore.NewWeighted(inFlightSource)}
		b.by[source] = own
	}
	own.users++
	b.mu.Unlock()
	leave := func() {
		b.mu.Lock()
		defer b.mu.Unlock()
		if own.users--; own.users == 0 {
			delete(b.by, source)
		}
	}
	if err := own.room.Acquire(ctx, size); err != nil {
		leave()
		return nil, err
	}
	if err := b.others.Acquire(ctx, size); err != nil {
		own.room.Release(size)
		leave()
		return nil, err
	}
	return func() {
		b.others.Release(size)
		own.room.Release(size)
		leave()
	}, nil
}

// reserve takes what a message of at most so many bytes may need, as soon as that is free, and returns what gives it back.
func (srv *Server) reserve(r *http.Request, most int64) (release func(), err error) {
	ctx, cancel := context.WithTimeout(r.Context(), srv.cfg.PeerTimeout)
	defer cancel()
	size := most // compressed, or of a length that is not said
	if n := r.ContentLength; n >= 0 && n < size && r.Header.Get("Content-Encoding") == "" {
		size = n
	}
	source := sourceOf(r.RemoteAddr)
	release, err = srv.memory.take(ctx, source, srv.sources.member(source), size)
	if err != nil {
		return nil, fail(http.StatusServiceUnavailable, api.CodeUnavailable, "too many messages are under way here; come back")
	}
	return release, nil
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
