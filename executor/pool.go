package executor

import (
	"slices"
	"sync"
	"time"

	"github.com/urban-compute/ucp/job"
)

// pool holds the idle workers. The total number of workers follows the demand, which the core limits: an attempt
// that finds no idle worker starts one.
type pool struct {
	e         *Executor
	mu        sync.Mutex
	idle      []*remote // longest idle first
	all       map[*remote]struct{}
	refilling bool // a goroutine is starting spare workers
	closed    bool
	timerSet  bool          // the janitor's timer is running
	wake      chan struct{} // tells the janitor that a worker became idle
}

func newPool(e *Executor) *pool {
	return &pool{e: e, all: map[*remote]struct{}{}, wake: make(chan struct{}, 1)}
}

// acquire returns a worker for the driver: an idle one that holds the module; or else the idle one that holds the
// fewest modules, so that the others stay warm for theirs; or else a new one.
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
	for i, r := range slices.Backward(p.idle) { // among equals, the one used last
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

// release returns a healthy worker to the pool.
func (p *pool) release(r *remote) {
	p.mu.Lock()
	if p.closed {
		p.mu.Unlock()
		r.kill()
		return
	}
	r.since = time.Now()
	p.idle = append(p.idle, r)
	tidy := !p.timerSet && (len(p.idle) > p.e.cfg.IdleWorkers || len(r.warm) > 0)
	p.mu.Unlock()
	p.makeRoom()
	if tidy {
		select {
		case p.wake <- struct{}{}:
		default:
		}
	}
}

// makeRoom ends idle workers that hold compiled modules, the longest idle first, until all that are idle take no more
// memory than the running jobs leave. Fresh spare workers stay, since they are small, and the next job would start one
// anyhow.
func (p *pool) makeRoom() {
	if p.e.cfg.Memory == 0 {
		return
	}
	room := p.e.freeMemory()
	p.mu.Lock()
	var ended []*remote
	sizes := map[*remote]int64{}
	sum := int64(0)
	for _, r := range p.idle {
		if s, ok := readProcess(r.pid()); ok {
			sizes[r] = s.rss()
			sum += sizes[r]
		}
	}
	p.idle = slices.DeleteFunc(p.idle, func(r *remote) bool {
		if sum <= room || len(r.warm) == 0 {
			return false
		}
		sum -= sizes[r]
		ended = append(ended, r)
		return true
	})
	p.mu.Unlock()
	for _, r := range ended {
		r.kill()
	}
	if len(ended) > 0 {
		p.refill()
	}
}

// forget drops a worker that is dead.
func (p *pool) forget(r *remote) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.all, r)
	if i := slices.Index(p.idle, r); i >= 0 {
		p.idle = slices.Delete(p.idle, i, i+1)
	}
}

// refill starts wasm workers in the background until IdleWorkers are idle, unless that is already under way.
func (p *pool) refill() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.refilling || p.closed || p.missing() <= 0 {
		return
	}
	p.refilling = true
	p.e.workers.Go(func() {
		for {
			p.mu.Lock()
			if p.closed || p.missing() <= 0 {
				p.refilling = false
				p.mu.Unlock()
				return
			}
			p.mu.Unlock()
			r, err := p.start(false)
			if err != nil {
				p.e.cfg.Logger.Error("cannot start a spare worker; jobs start later, or not at all", "err", err)
				p.mu.Lock()
				p.refilling = false
				p.mu.Unlock()
				return
			}
			p.release(r)
		}
	})
}

// missing returns how many idle wasm workers are lacking. The caller holds p.mu.
func (p *pool) missing() int {
	n := p.e.cfg.IdleWorkers
	for _, r := range p.idle {
		if !r.native {
			n--
		}
	}
	return n
}

// janitor ends workers that have been idle for long: those that are not needed as spares, and spares that
// hold warm modules, which are replaced by fresh ones. A warm worker takes three times the memory of a fresh
// one, and an idle broker should be small. The janitor sleeps while there are no such workers.
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

// expire removes and returns the idle workers whose time is up, and says how long until the next one's is; 0
// means that there is none.
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
	p.timerSet = next > 0
	return expired, next
}

// close kills every worker and prevents new ones.
func (p *pool) close() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.closed = true
	p.idle = nil
	for r := range p.all {
		r.kill()
	}
}
