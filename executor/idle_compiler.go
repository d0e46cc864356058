package executor

import (
	"context"
	"slices"
	"sync"
	"time"

	"github.com/urban-compute/ucp/job"
)

// idleCompiler compiles modules that may be wanted here when there is nothing else to do: one at a time, in a worker of the
// lowest priority, which ends when the module is in the disk cache, or at once when a job needs the turn or the memory.
type idleCompiler struct {
	e    *Executor
	wake chan struct{}
	idle time.Duration // how long no job has run before it begins; but for tests

	mu     sync.Mutex
	wanted []job.Digest // the latest first
	busy   time.Time    // when a job was here last
	memory int64        // bytes that what it compiles takes; 0 while it does not
	cancel context.CancelFunc
	ended  bool // by giveWay
}

const (
	idleBefore = 5 * time.Second  // before a module is compiled that no job waits for
	blobWait   = 30 * time.Second // until it is looked again whether a module is here, and whether there is room for it
	maxWanted  = 16               // modules
)

func newIdleCompiler(e *Executor) *idleCompiler {
	return &idleCompiler{e: e, wake: make(chan struct{}, 1), idle: idleBefore}
}

// Prepare asks that a module is compiled when this broker has nothing else to do, if it is in the blob store by then. Of
// several the latest are remembered.
func (e *Executor) Prepare(d job.Digest) { e.idle.want(d) }

func (b *idleCompiler) want(d job.Digest) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if slices.Contains(b.wanted, d) {
		return
	}
	b.wanted = append([]job.Digest{d}, b.wanted...)
	b.wanted = b.wanted[:min(len(b.wanted), maxWanted)]
	b.look()
}

// look has the goroutine look whether there is something to do.
func (b *idleCompiler) look() {
	select {
	case b.wake <- struct{}{}:
	default:
	}
}

// noteJob notes that a job has come or gone.
func (b *idleCompiler) noteJob() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.busy = time.Now()
}

// giveWay ends what is compiled now.
func (b *idleCompiler) giveWay() {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.cancel != nil {
		b.ended = true
		b.cancel()
	}
}

// makeRoom ends what is compiled now if the running jobs do not leave the memory for it.
func (b *idleCompiler) makeRoom() {
	b.mu.Lock()
	memory := b.memory
	b.mu.Unlock()
	if memory > 0 && memory > b.e.account.free() {
		b.giveWay()
	}
}

// run compiles what is wanted, until quit is closed.
func (b *idleCompiler) run(quit <-chan struct{}) {
	timer := time.NewTimer(time.Hour)
	timer.Stop()
	defer timer.Stop()
	for {
		select {
		case <-quit:
			return
		case <-b.wake:
		case <-timer.C:
		}
		if wait := b.step(); wait > 0 {
			timer.Reset(wait)
		}
	}
}

// step compiles one module, if there is one and it may. It returns after what time to look again; 0 is not before somebody
// wants a module.
func (b *idleCompiler) step() time.Duration {
	if left := b.untilIdle(); left > 0 {
		return left
	}
	b.mu.Lock()
	b.wanted = slices.DeleteFunc(b.wanted, b.e.cache.has)
	wanted := slices.Clone(b.wanted)
	b.mu.Unlock()
	if len(wanted) == 0 {
		return 0
	}
	for _, d := range wanted {
		path, err := b.e.cfg.Blobs.Path(d)
		if err != nil || !b.e.hasDiskFor(sizeOf(path)*cachedTimes) {
			continue // it may be on its way; others are not removed for it
		}
		if b.e.cfg.AllowModule(d) != nil {
			b.forget(d)
			continue
		}
		if b.compile(d, path) {
			b.forget(d)
		}
		return b.idle
	}
	return blobWait
}

// untilIdle is how long there must be no job yet before there is nothing else to do.
func (b *idleCompiler) untilIdle() time.Duration {
	b.e.mu.Lock()
	running := len(b.e.tasks)
	b.e.mu.Unlock()
	b.mu.Lock()
	defer b.mu.Unlock()
	if running > 0 {
		return b.idle
	}
	return max(b.idle-time.Since(b.busy), 0)
}

func (b *idleCompiler) forget(d job.Digest) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.wanted = slices.DeleteFunc(b.wanted, func(x job.Digest) bool { return x == d })
}

// compile compiles a module, unless there is no turn or no memory for it. It reports whether there is nothing left to do:
// it is compiled, or can't be.
func (b *idleCompiler) compile(d job.Digest, path string) (over bool) {
	size := sizeOf(path)
	if b.e.cfg.Memory > 0 && size*compilerMemory > b.e.account.free() {
		return false
	}
	ctx, cancel := context.WithCancel(b.e.ctx)
	defer cancel()
	leave, ok := b.e.turns.tryIdle(d, size, cancel)
	if !ok {
		return false
	}
	defer leave()
	defer b.e.cache.hold(d)()
	b.mu.Lock()
	b.memory, b.cancel, b.ended = size*compilerMemory, cancel, false
	b.mu.Unlock()
	defer func() {
		b.mu.Lock()
		defer b.mu.Unlock()
		b.memory, b.cancel = 0, nil
	}()
	r, err := b.e.pool.start(forIdleHours)
	if err != nil {
		return false
	}
	defer func() {
		r.kill()
		for range r.in { // until it is dead: its memory is free
		}
	}()
	if err := r.send(toWorker{Run: &order{Driver: job.Wasm, Module: d, Wasm: path, Idle: true}}); err != nil {
		return false
	}
	for {
		select {
		case m, alive := <-r.in:
			switch {
			case !alive:
				return false
			case m.Done != nil && m.Done.Failure == "":
				b.e.cache.used(d)
				return true
			case m.Done != nil:
				return !m.Done.Returned
			}
		case <-ctx.Done():
			return false
		}
	}
}

// hasDiskFor reports whether a compiled module of the given size fits into the cache, and on the disk, without anything else having
// to go.
func (e *Executor) hasDiskFor(size int64) bool {
	room, known := e.disk.room()
	return e.cache.size()+size <= e.cache.most && (!known || room >= leastRoom+size)
}
