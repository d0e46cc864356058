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
	unable    bool // the last one that was to stand by could not be started, and this has been told
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
	if native {
		return p.start(forPrograms)
	}
	return p.start(forModules)
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

func (p *pool) start(of purpose) (*remote, error) {
	r, err := p.e.startRemote(of)
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
	p.unable = false
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

// makeRoom ends idle workers until what they take fits beside what is charged to attempts: those that hold modules first, and
// of them the longest idle.
func (p *pool) makeRoom() {
	room := p.e.account.room
	if room == 0 {
		return
	}
	p.mu.Lock()
	order := slices.SortedStableFunc(slices.Values(p.idle), func(a, b *remote) int { return min(len(b.warm), 1) - min(len(a.warm), 1) })
	take, _ := p.e.account.charges()
	for _, r := range slices.Backward(order) {
		take = append(take, r.itself())
	}
	ended := order[:0]
	for len(ended) < len(order) && total(take) > room {
		ended, take = order[:len(ended)+1], take[:len(take)-1]
	}
	p.idle = slices.DeleteFunc(p.idle, func(r *remote) bool { return slices.Contains(ended, r) })
	p.mu.Unlock()
	for _, r := range ended {
		r.kill()
	}
	if len(ended) > 0 {
		p.refill()
	}
}

// endIdle ends the idle workers that hold a module.
func (p *pool) endIdle(module job.Digest) {
	p.mu.Lock()
	var ended []*remote
	p.idle = slices.DeleteFunc(p.idle, func(r *remote) bool {
		_, holds := r.warm[module]
		if holds {
			ended = append(ended, r)
		}
		return holds
	})
	p.mu.Unlock()
	for _, r := range ended {
		r.kill()
	}
	if len(ended) > 0 {
		p.refill()
	}
}

// spareFits reports whether there is room for another idle worker. The caller holds p.mu.
func (p *pool) spareFits() bool {
	room := p.e.account.room
	take, _ := p.e.account.charges()
	return room == 0 || total(append(append(take, p.idleCharges()...), charge{worker: freshWorker})) <= room
}

// idleCharges returns what the idle workers take. The caller holds p.mu.
func (p *pool) idleCharges() (out []charge) {
	for _, r := range p.idle {
		out = append(out, r.itself())
	}
	return out
}

// charges returns what the workers take that no attempt has, those of the given process IDs, and the process IDs of all.
func (p *pool) charges(busy map[int]bool) (idle []charge, all []int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for r := range p.all {
		all = append(all, r.pid())
		if !busy[r.pid()] && !slices.Contains(p.idle, r) { // it has just started
			idle = append(idle, charge{worker: r.resident()})
		}
	}
	return append(idle, p.idleCharges()...), all
}

// counts returns how many workers have an attempt, and how many stand by.
func (p *pool) counts() (busy, idle int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.all) - len(p.idle), len(p.idle)
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
	if p.refilling || p.closed || p.missing() <= 0 || !p.spareFits() {
		return
	}
	p.refilling = true
	p.e.workers.Go(func() {
		for {
			p.mu.Lock()
			if p.closed || p.missing() <= 0 || !p.spareFits() {
				p.refilling = false
				p.mu.Unlock()
				return
			}
			p.mu.Unlock()
			r, err := p.start(forModules)
			if err != nil {
				p.mu.Lock()
				p.refilling = false
				quiet := p.closed || p.unable // closed, as it is where the broker could not start, and says why itself
				p.unable = true
				p.mu.Unlock()
				if !quiet {
					p.e.cfg.Logger.Error("no worker can be started, so that this broker can't carry out jobs", "err", err)
					p.e.cfg.Unable(err.Error())
				}
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
