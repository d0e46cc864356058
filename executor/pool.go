package executor

import (
	"slices"
	"sync"
	"time"

	"github.com/urban-compute/ucp/job"
)

// pool holds the idle workers. How many there are in all follows the demand,
// which the core bounds: an attempt that finds none idle starts one.
type pool struct {
	e      *Executor
	mu     sync.Mutex
	idle   []*remote // longest idle first
	all    map[*remote]struct{}
	fill   bool // a goroutine is starting spare workers
	closed bool
	armed  bool          // the janitor will look again by itself
	wake   chan struct{} // for the janitor: somebody went idle
}

func newPool(e *Executor) *pool {
	return &pool{e: e, all: map[*remote]struct{}{}, wake: make(chan struct{}, 1)}
}

// acquire returns a worker for the driver: one that holds the module, else the
// one that holds the fewest, so that the others stay warm for what they know,
// else a new one.
func (p *pool) acquire(native bool, module job.Digest) (*remote, error) {
	if r := p.take(native, module); r != nil {
		p.refill()
		return r, nil
	}
	return p.start(native)
}

func (p *pool) take(native bool, module job.Digest) *remote {
	p.mu.Lock()
	defer p.mu.Unlock()
	best := -1
	for i, r := range slices.Backward(p.idle) { // of equals, the one used last
		if r.native != native {
			continue
		}
		if _, ok := r.warm[module]; ok {
			best = i
			break
		}
		if best < 0 || len(r.warm) < len(p.idle[best].warm) {
			best = i
		}
	}
	if best < 0 {
		return nil
	}
	r := p.idle[best]
	p.idle = slices.Delete(p.idle, best, best+1)
	return r
}

func (p *pool) start(native bool) (*remote, error) {
	r, err := p.e.startRemote(native)
	if err != nil {
		return nil, err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		r.kill()
		return nil, errClosed
	}
	p.all[r] = struct{}{}
	return r, nil
}

// release gives a healthy worker back.
func (p *pool) release(r *remote) {
	p.mu.Lock()
	if p.closed {
		p.mu.Unlock()
		r.kill()
		return
	}
	r.since = time.Now()
	p.idle = append(p.idle, r)
	tidy := !p.armed && (len(p.idle) > p.e.cfg.IdleWorkers || len(r.warm) > 0)
	p.mu.Unlock()
	if tidy {
		select {
		case p.wake <- struct{}{}:
		default:
		}
	}
}

// gone forgets a worker that is dead.
func (p *pool) gone(r *remote) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.all, r)
	if i := slices.Index(p.idle, r); i >= 0 {
		p.idle = slices.Delete(p.idle, i, i+1)
	}
}

// refill starts wasm workers until IdleWorkers are idle, unless that is under
// way already.
func (p *pool) refill() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.fill || p.closed || p.missing() <= 0 {
		return
	}
	p.fill = true
	p.e.workers.Go(func() {
		for {
			p.mu.Lock()
			if p.closed || p.missing() <= 0 {
				p.fill = false
				p.mu.Unlock()
				return
			}
			p.mu.Unlock()
			r, err := p.start(false)
			if err != nil {
				p.e.cfg.Logger.Error("no spare worker: jobs start later, or not at all", "err", err)
				p.mu.Lock()
				p.fill = false
				p.mu.Unlock()
				return
			}
			p.release(r)
		}
	})
}

// missing counts the idle wasm workers that are not there; p.mu is held.
func (p *pool) missing() int {
	n := p.e.cfg.IdleWorkers
	for _, r := range p.idle {
		if !r.native {
			n--
		}
	}
	return n
}

// janitor ends workers that are idle for long: those that are not needed as
// spares, and spares that hold warm modules, which are replaced by fresh ones. A
// warm worker takes three times the memory, and an idle broker should be small. It
// sleeps while there are none.
func (p *pool) janitor(quit <-chan struct{}) {
	timer := time.NewTimer(time.Hour)
	timer.Stop()
	defer timer.Stop()
	for {
		select {
		case <-quit:
			return
		case <-p.wake:
		case <-timer.C:
		}
		expired, next := p.expire(time.Now())
		for _, r := range expired {
			_ = r.stdin.Close() // an idle worker ends by itself
			r.kill()
		}
		if len(expired) > 0 {
			p.refill()
		}
		if next > 0 {
			timer.Reset(next)
		}
	}
}

// expire takes out the idle workers whose time is up, the longest idle first,
// and tells when the next one's will be; 0 is never.
func (p *pool) expire(now time.Time) (expired []*remote, next time.Duration) {
	p.mu.Lock()
	defer p.mu.Unlock()
	spare := max(p.e.cfg.IdleWorkers, 0)
	keep := p.idle[:0:0]
	wasm := 0
	for _, r := range slices.Backward(p.idle) {
		age := now.Sub(r.since)
		if !r.native {
			wasm++
		}
		switch {
		case !r.native && wasm <= spare && len(r.warm) == 0:
			keep = append(keep, r)
		case age >= p.e.cfg.IdleTimeout:
			expired = append(expired, r)
		default:
			keep = append(keep, r)
			if left := p.e.cfg.IdleTimeout - age; next == 0 || left < next {
				next = left
			}
		}
	}
	slices.Reverse(keep)
	p.idle = keep
	p.armed = next > 0
	return expired, next
}

// close kills every worker and lets none start.
func (p *pool) close() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.closed = true
	p.idle = nil
	for r := range p.all {
		r.kill()
	}
}
