package node

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"

	"github.com/urban-compute/ucp/broker"
	"github.com/urban-compute/ucp/broker/wire"
	"github.com/urban-compute/ucp/emergency"
	"github.com/urban-compute/ucp/executor"
	"github.com/urban-compute/ucp/job"
	"github.com/urban-compute/ucp/store"
)

// act carries out a Ready whose commit is synced. It runs on the engine's
// goroutine and does not block.
func (n *Node) act(rd broker.Ready) {
	if rd.Overview != nil {
		// Among a hundred brokers a state is made anew each second, and asked for once a minute.
		encoded := sync.OnceValue(func() []byte { return wire.Encode(&rd.Overview.State) })
		n.overview.Store(rd.Overview)
		n.encoded.Store(&encoded)
	}
	for _, s := range rd.Send {
		n.peers.send(s)
	}
	for _, p := range rd.Push {
		n.peers.push(p)
	}
	for _, f := range rd.Fetch {
		n.peers.fetch(f)
	}
	for _, s := range rd.Suspend {
		n.runner.Suspend(s.Key, s.Attempt.Token())
	}
	for _, r := range rd.Resume {
		n.runner.Resume(r.Key, r.Attempt.Token())
	}
	for _, s := range rd.Stop {
		n.runner.Stop(s.Key, s.Attempt.Token())
	}
	for _, h := range rd.Handed {
		n.log.Info("job handed over", "job", string(h.ID), "to", h.To)
	}
	n.actOnEvents(rd)
	for _, r := range rd.Run {
		n.runs.remember(r)
		n.metrics.waited.Observe(r.Waited.Seconds())
		n.runner.Start(executor.Task{Key: r.Key, ID: r.ID, Attempt: r.Attempt.Token(), Spec: r.Spec})
	}
}

// maxFloods bounds the events that wait for Serf; what does not fit is left out: the record
// is on its way (rule E1).
const maxFloods = 256

// actOnEvents floods what is to be flooded, and tells those who watch what has happened.
func (n *Node) actOnEvents(rd broker.Ready) {
	for _, payload := range rd.Flood {
		select {
		case n.floods <- payload:
		default:
			n.log.Warn("an event of an emergency is not flooded, since too many wait; its record is on its way all the same")
		}
	}
	if len(rd.Dropped) > 0 && n.complaints.allow(n.cfg.Now()) {
		n.log.Warn("too many events of emergencies: some are not followed", "the first", string(rd.Dropped[0]))
	}
	for _, x := range rd.Notes {
		if x.Kind == "emergency" || x.Kind == "strategy" {
			n.log.Info(x.Kind, "what", x.What, "id", x.ID, "text", x.Text)
		}
	}
	n.hub.tell(n.name, rd.Notes)
}

// floodEvents hands events to Serf, which may take a moment each.
func (n *Node) floodEvents() error {
	for {
		select {
		case <-n.ctx.Done():
			return nil
		case payload := <-n.floods:
			if err := n.pool.UserEvent(emergency.EventName, payload); err != nil {
				n.log.Warn("flooding an emergency; its record is on its way all the same", "error", err)
			}
		}
	}
}

// report hands an executor's news to the broker.
func (n *Node) report(u executor.Update) {
	if u.Result == nil {
		if attempt, ok := n.runs.find(u.Key, u.Attempt); ok && u.Phase == executor.PhaseSuspended {
			n.engine.tell(broker.Paused{Key: u.Key, Attempt: attempt})
		}
		return // that it runs was in the record before it did
	}
	attempt, ok := n.runs.forget(u.Key, u.Attempt)
	if !ok {
		n.log.Error("the executor reports an attempt that was never started", "key", u.Key, "attempt", u.Attempt)
		return
	}
	n.engine.tell(broker.Reported{Key: u.Key, Attempt: attempt, Result: *u.Result, Stopped: u.Stopped})
}

// running maps the tokens that the executor knows back to attempts.
type running struct {
	mu       sync.Mutex
	attempts map[string]job.Attempt // by key and token
}

func (r *running) remember(x broker.Run) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.attempts == nil {
		r.attempts = map[string]job.Attempt{}
	}
	r.attempts[x.Key+"\x00"+x.Attempt.Token()] = x.Attempt
}

func (r *running) find(key, token string) (job.Attempt, bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	a, ok := r.attempts[key+"\x00"+token]
	return a, ok
}

func (r *running) forget(key, token string) (job.Attempt, bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	id := key + "\x00" + token
	a, ok := r.attempts[id]
	delete(r.attempts, id)
	return a, ok
}

// blobs shows the blob store as the executor wants it.
type blobs struct {
	store *store.Blobs
	sound func(context.Context, job.Digest) bool
}

func (b blobs) Path(d job.Digest) (string, error) {
	if !b.sound(context.Background(), d) { // checked when it was fetched: a look at the file system
		return "", fmt.Errorf("blob %s: %w", d, store.ErrNotFound)
	}
	return b.store.Path(string(d))
}

func (b blobs) Put(ctx context.Context, r io.Reader) (job.Blob, error) {
	d, size, err := b.store.Put(ctx, r, job.MaxBlob)
	if err != nil {
		return job.Blob{}, fmt.Errorf("storing output: %w", err)
	}
	return job.Blob{Digest: job.Digest(d), Size: size}, nil
}

// errAbsent says that a broker has answered that it has not got a blob.
var errAbsent = errors.New("it has it not")

// errNowhere says that no broker that answers has a blob.
var errNowhere = errors.New("no broker that answers has it")
