package node

import (
	"context"
	"fmt"
	"runtime"
	"sync"
	"time"

	"github.com/urban-compute/ucp/broker"
	"github.com/urban-compute/ucp/head"
	"github.com/urban-compute/ucp/ledger"
	"github.com/urban-compute/ucp/node/httpd"
	"github.com/urban-compute/ucp/store"
)

// maxInbox bounds the inputs that wait for the loop; beyond it clients are asked
// to come back (rule A2).
const maxInbox = 4096

// maxDrain bounds how many inputs one turn takes in before it looks at the clock
// again.
const maxDrain = 1024

// engine owns the broker core and its store: the Ready loop. All others send it
// inputs.
type engine struct {
	core  *broker.Broker
	store *store.Store
	now   func() time.Time
	began time.Time          // now at the engine's start
	act   func(broker.Ready) // carries out a Ready whose commit is synced; must not block

	sign      func(*ledger.Batch) ([]*head.Head, []ledger.Op, error) // signs a commit before it is written (rule H1), and how that is stored; nil where nothing is signed
	committed func(took time.Duration)                               // hears of each commit
	synced    func(...*head.Head)                                    // what was signed is on the disk

	inbox   chan broker.Input
	stopped chan struct{} // closed when run has returned

	mu    sync.Mutex
	calls map[broker.Token]chan broker.Answer
	last  broker.Token
}

func newEngine(core *broker.Broker, st *store.Store, now func() time.Time, act func(broker.Ready)) *engine {
	return &engine{
		core: core, store: st, now: now, began: now(), act: act,
		committed: func(time.Duration) {},
		inbox:     make(chan broker.Input, maxInbox),
		stopped:   make(chan struct{}),
		calls:     map[broker.Token]chan broker.Answer{},
	}
}

// Tell gives the loop an input, waiting for room; it is for inputs that must not
// be lost. After the loop has ended they go nowhere.
func (e *engine) Tell(in broker.Input) {
	select {
	case e.inbox <- in:
	case <-e.stopped:
	}
}

// Ask gives the loop an input and waits for its answer. It fails with ErrBusy
// when the inbox is full, with ErrStopped, or with the context's error; the
// input may have been stepped all the same.
func (e *engine) Ask(ctx context.Context, make func(broker.Token) broker.Input) (broker.Answer, error) {
	answers, err := e.AskAll(ctx, 1, func(tokens []broker.Token) broker.Input { return make(tokens[0]) })
	if err != nil {
		return nil, err
	}
	return answers[0], nil
}

// AskAll gives the loop an input that has n answers, and waits for all. It fails as Ask does; the answers that had come
// by then stand in their places, the others are nil.
func (e *engine) AskAll(ctx context.Context, n int, input func([]broker.Token) broker.Input) ([]broker.Answer, error) {
	tokens, calls := make([]broker.Token, n), make([]chan broker.Answer, n)
	for i := range n {
		tokens[i], calls[i] = e.register()
		defer e.forget(tokens[i])
	}
	answers := make([]broker.Answer, n)
	select {
	case e.inbox <- input(tokens):
	default:
		return answers, httpd.ErrBusy
	}
	for i, call := range calls {
		select {
		case answers[i] = <-call:
		case <-ctx.Done():
			for _, t := range tokens[i:] {
				e.Tell(broker.Abandon{Token: t})
			}
			return answers, ctx.Err()
		case <-e.stopped:
			return answers, httpd.ErrStopped
		}
	}
	return answers, nil
}

func (e *engine) register() (broker.Token, chan broker.Answer) {
	ch := make(chan broker.Answer, 1)
	e.mu.Lock()
	defer e.mu.Unlock()
	e.last++
	e.calls[e.last] = ch
	return e.last, ch
}

func (e *engine) forget(t broker.Token) {
	e.mu.Lock()
	defer e.mu.Unlock()
	delete(e.calls, t)
}

func (e *engine) answer(list []broker.Response) {
	if len(list) == 0 {
		return
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	for _, a := range list {
		if ch := e.calls[a.Token]; ch != nil {
			ch <- a.Answer // it has room: one answer a token
			delete(e.calls, a.Token)
		}
	}
}

// run is the loop. It returns nil when the context has ended and nothing is
// being written any more, or the error that makes going on impossible.
func (e *engine) run(ctx context.Context) error {
	defer close(e.stopped)
	commits, done := make(chan broker.Ready), make(chan error, 1)
	var wg sync.WaitGroup
	wg.Go(func() { e.commit(commits, done) })
	defer wg.Wait()
	defer close(commits)

	wake := time.NewTimer(0)
	defer wake.Stop()
	var out broker.Ready // is being committed
	busy := false
	for {
		select {
		case <-ctx.Done():
			if busy {
				return <-done
			}
			return nil
		case in := <-e.inbox:
			if err := e.core.Step(e.tick()); err != nil {
				return err
			}
			if err := e.core.Step(in); err != nil {
				return err
			}
		case <-wake.C:
			if err := e.core.Step(e.tick()); err != nil {
				return err
			}
		case err := <-done:
			if err != nil {
				return err
			}
			busy = false
			e.finish(out)
		}
		if busy {
			continue
		}
		if err := e.drain(); err != nil {
			return err
		}
		out = e.core.Ready()
		if next := out.Wake; !next.IsZero() {
			wake.Reset(max(next.Sub(e.tick().Now), time.Millisecond))
		}
		if out.Commit.Empty() {
			e.finish(out)
			continue
		}
		busy = true
		commits <- out
	}
}

// tick says what time it is. Now goes on from the engine's start by the monotonic clock, and has no reading of
// it: the core compares, rounds and stores instants, and a machine's clock that is set must not move them.
func (e *engine) tick() broker.Tick {
	now := e.now()
	return broker.Tick{Now: e.began.Round(0).Add(now.Sub(e.began)), Wall: now.Round(0)}
}

// drain takes in all that waits, so that one fsync serves it. Those who have just
// been answered get the chance to ask for more first: a commit of one that the
// others then wait for would halve what 64 clients get.
func (e *engine) drain() error {
	runtime.Gosched()
	for range maxDrain {
		select {
		case in := <-e.inbox:
			if err := e.core.Step(in); err != nil {
				return err
			}
		default:
			return nil
		}
	}
	return nil
}

// finish carries a Ready out whose commit is synced (rule I4).
func (e *engine) finish(rd broker.Ready) {
	e.core.Advance(rd)
	e.answer(rd.Answers)
	e.act(rd)
}

// commit writes what it is given, one fsync each: the group commit of all that
// was stepped meanwhile.
func (e *engine) commit(in <-chan broker.Ready, done chan<- error) {
	var b store.Batch // its memory serves every commit
	for rd := range in {
		begun := e.now()
		err := e.write(&b, rd.Commit)
		e.committed(e.now().Sub(begun))
		done <- err
	}
}

// write writes a commit, and what was signed of it.
func (e *engine) write(b *store.Batch, c *ledger.Batch) error {
	if e.sign == nil {
		return write(e.store, b, c)
	}
	signed, ops, err := e.sign(c)
	if err != nil {
		return err
	}
	if err := write(e.store, b, c, ops...); err != nil {
		return err
	}
	e.synced(signed...)
	return nil
}

// maxWrite is the size at which a commit is written in parts. A part is sound on
// its own: the clock stands last, and records that no clock covers are held, but
// not relied on.
const maxWrite = 16 << 20

func write(st *store.Store, b *store.Batch, c *ledger.Batch, signed ...ledger.Op) error {
	ops := append(c.Ops(), signed...)
	for _, op := range ops {
		if op.Value == nil {
			b.Delete(op.Key)
		} else {
			b.Set(op.Key, op.Value)
		}
		if b.Size() > maxWrite {
			if err := st.Commit(b); err != nil {
				return fmt.Errorf("commit of %d writes: %w", len(ops), err)
			}
		}
	}
	if err := st.Commit(b); err != nil {
		return fmt.Errorf("commit of %d writes: %w", len(ops), err)
	}
	return nil
}
