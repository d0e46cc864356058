package node

import (
	"context"
	"slices"
	"sync"

	"github.com/urban-compute/ucp/job"
)

// Of blobs, maxTransfers are under way from or to peers at once, and perPeer from or to one of them: one that is slow does
// not keep the others waiting.
const (
	maxTransfers = 8
	perPeer      = 2
)

// transfers bounds the blobs, or pieces of large ones, that are under way. When there is room, what is the most urgent goes first,
// and of what is as urgent who has waited for the longest time; and nothing is begun from or to a peer beside what is more urgent.
type transfers struct {
	mu      sync.Mutex
	running map[string][]*transfer // by peer
	total   int                    // of these
	waiting []*transfer            // in the order in which they have come
}

// transfer is one of them.
type transfer struct {
	peer    string
	urgency func() int
	ready   chan struct{} // closed when it may begin
}

// run runs a transfer from or to a peer when it is its turn.
func (t *transfers) run(ctx context.Context, peer string, f func() error) error {
	x := &transfer{peer: peer, urgency: urgencyOf(ctx), ready: make(chan struct{})}
	t.mu.Lock()
	t.waiting = append(t.waiting, x)
	t.begin()
	t.mu.Unlock()
	defer t.end(x)
	select {
	case <-x.ready:
		return f()
	case <-ctx.Done():
		return ctx.Err()
	}
}

// end takes a transfer out, which may have begun or not.
func (t *transfers) end(x *transfer) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if i := slices.Index(t.waiting, x); i >= 0 {
		t.waiting = slices.Delete(t.waiting, i, i+1)
		return
	}
	t.total--
	t.running[x.peer] = slices.DeleteFunc(t.running[x.peer], func(y *transfer) bool { return y == x })
	if len(t.running[x.peer]) == 0 {
		delete(t.running, x.peer)
	}
	t.begin()
}

// begin lets transfers begin as long as there is room. The caller holds mu.
func (t *transfers) begin() {
	for t.total < maxTransfers {
		next, most := -1, 0
		for i, x := range t.waiting {
			if u := x.urgency(); (next < 0 || u > most) && t.hasRoom(x.peer, u) {
				next, most = i, u
			}
		}
		if next < 0 {
			return
		}
		x := t.waiting[next]
		t.waiting = slices.Delete(t.waiting, next, next+1)
		t.running[x.peer] = append(t.running[x.peer], x)
		t.total++
		close(x.ready)
	}
}

// hasRoom reports whether a transfer of this urgency may begin from or to a peer.
func (t *transfers) hasRoom(peer string, urgency int) bool {
	for _, y := range t.running[peer] {
		if y.urgency() > urgency {
			return false
		}
	}
	return len(t.running[peer]) < perPeer
}

// urgencyKey is where a context carries how urgent what is done in it is.
type urgencyKey struct{}

// withUrgency lets what is done in a context be as urgent as a function says, which may say something else later.
func withUrgency(ctx context.Context, urgency func() int) context.Context {
	return context.WithValue(ctx, urgencyKey{}, urgency)
}

// What no job here waits for is as urgent as a job of the usual priority: what a client waits for, and copies of what was
// submitted or has been made. Copies that are to stay here can wait.
const (
	usualUrgency = job.DefaultUser
	leastUrgency = -1
)

// urgencyOf is how urgent what is done in a context is.
func urgencyOf(ctx context.Context) func() int {
	if f, ok := ctx.Value(urgencyKey{}).(func() int); ok {
		return f
	}
	return func() int { return usualUrgency }
}
