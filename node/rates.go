package node

import (
	"context"
	"io"
	"sync"

	"golang.org/x/time/rate"
)

// ratePiece is how many bytes may come or go at once, however low the rate.
const ratePiece = 4 << 10

// burstOf is how many bytes may come or go at once at a rate: what it allows in 50 ms, since a wait takes a millisecond longer than it
// should, and who may catch up on no more than 4 KiB then loses half of 8 MiB a second.
func burstOf(limit rate.Limit) int {
	return int(min(max(limit/20, ratePiece), 1<<20)) // of an unbounded rate it does not matter
}

// maxRated bounds for how many peers a rate is remembered.
const maxRated = 1024

// rates bound how fast blobs go to each peer, and come from each.
type rates struct {
	mu      sync.Mutex
	most    rate.Limit
	sent    func(bytes int)          // hears of what goes to peers
	buckets map[string]*rate.Limiter // by peer, and which way
}

func limitOf(bytes int64) rate.Limit {
	if bytes == 0 {
		return rate.Inf
	}
	return rate.Limit(bytes)
}

func newRates(most int64, sent func(bytes int)) *rates {
	return &rates{most: limitOf(most), sent: sent, buckets: map[string]*rate.Limiter{}}
}

// set changes the rate, also of what is on its way.
func (r *rates) set(most int64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.most = limitOf(most)
	for _, b := range r.buckets {
		b.SetLimit(r.most)
		b.SetBurst(burstOf(r.most))
	}
}

// of is the bucket of a peer, for one way.
func (r *rates) of(way, peer string) *rate.Limiter {
	r.mu.Lock()
	defer r.mu.Unlock()
	key := way + " " + peer
	b := r.buckets[key]
	if b == nil {
		if len(r.buckets) >= maxRated { // who still uses one has it to the end
			clear(r.buckets)
		}
		b = rate.NewLimiter(r.most, burstOf(r.most))
		r.buckets[key] = b
	}
	return b
}

// rated is a reader that waits for its turn.
type rated struct {
	io.Reader
	ctx    context.Context
	bucket *rate.Limiter
	passed func(bytes int) // hears of what was read
}

// from bounds how fast the answer of a peer is read.
func (r *rates) from(ctx context.Context, peer string, body io.Reader) io.Reader {
	return rated{body, ctx, r.of("from", peer), func(int) {}}
}

// to bounds how fast what is sent to a peer is read.
func (r *rates) to(ctx context.Context, peer string, body io.Reader) io.Reader {
	return rated{body, ctx, r.of("to", peer), r.sent}
}

// Read implements io.Reader.
func (r rated) Read(b []byte) (int, error) {
	if r.bucket.Limit() == rate.Inf {
		n, err := r.Reader.Read(b)
		r.passed(n)
		return n, err
	}
	n, err := r.Reader.Read(b[:min(len(b), ratePiece)])
	r.passed(n)
	if waited := r.bucket.WaitN(r.ctx, n); waited != nil && err == nil {
		err = waited
	}
	return n, err
}

// SetMaxRate changes Config.MaxRate while the broker runs; 0 is unbounded.
func (n *Node) SetMaxRate(bytes int64) { n.peers.rates.set(bytes) }
