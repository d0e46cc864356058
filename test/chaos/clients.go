package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"github.com/urban-compute/ucp/api"
	"github.com/urban-compute/ucp/test/rig"
)

// answerWithin is a client's patience with one broker before it asks another, with
// the same ID (PUT is idempotent across brokers).
const answerWithin = 4 * time.Second

// acknowledged is a job that a broker has promised to keep.
type acknowledged struct {
	*task
	at       time.Time
	by       string // the broker that has promised
	copies   int    // on so many disks, it said
	degraded bool   // fewer copies than --replicas
	asked    int    // submissions until the answer arrived
}

// acks collects what was promised; readers see a growing list.
type acks struct {
	mu   sync.Mutex
	list []acknowledged
}

func (a *acks) add(x acknowledged) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.list = append(a.list, x)
}

// from returns the list from the i-th on.
func (a *acks) from(i int) []acknowledged {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.list[i:len(a.list):len(a.list)]
}

// ofClients counts those that clients have submitted: all but the pinned ones.
func (a *acks) ofClients() (n int) {
	for _, x := range a.from(0) {
		if x.kind != pinned {
			n++
		}
	}
	return n
}

// submitAll lets the clients submit all jobs, evenly over the time, and returns when
// all are acknowledged or ctx has ended.
func (w *world) submitAll(ctx context.Context) {
	var next atomic.Int64
	var clients sync.WaitGroup
	begin := time.Now()
	for c := range w.o.clients {
		rnd := rand.New(rand.NewPCG(w.o.seed, 100+uint64(c)))
		clients.Go(func() {
			for {
				i := int(next.Add(1)) - 1
				if i >= len(w.tasks) {
					return
				}
				due := begin.Add(w.over * time.Duration(i) / time.Duration(len(w.tasks)))
				if rig.Pause(ctx, time.Until(due)) != nil {
					return
				}
				if !w.submit(ctx, rnd, w.tasks[i]) {
					return
				}
			}
		})
	}
	clients.Wait()
}

// submit submits one job, wherever, until somebody acknowledges it.
func (w *world) submit(ctx context.Context, rnd *rand.Rand, t *task) bool {
	for asked := 1; ; asked++ {
		all := w.members()
		b := all[rnd.IntN(len(all))]
		began := time.Now()
		s, err := w.submitAt(ctx, b, t)
		if ctx.Err() == nil {
			w.served.note(b, "submissions", began, err == nil || refused(err) || noSpace(err))
		}
		if err == nil {
			w.acks.add(acknowledged{task: t, at: time.Now(), by: b.Name, copies: s.Replicas, degraded: s.Degraded, asked: asked})
			return true
		}
		if refused(err) {
			w.problem("%s: %s refuses it: %v", t.id, b.Name, err)
			return true
		}
		if rig.Pause(ctx, time.Duration(20+rnd.IntN(80))*time.Millisecond) != nil {
			return false
		}
	}
}

func (w *world) submitAt(ctx context.Context, b *rig.Broker, t *task) (api.Submission, error) {
	ctx, cancel := context.WithTimeout(ctx, answerWithin)
	defer cancel()
	c := b.Client()
	for _, content := range t.blobs {
		blob, err := api.Measure(api.Bytes(content))
		if err != nil {
			return api.Submission{}, err
		}
		if has, err := c.HasBlob(ctx, blob.Digest); err != nil {
			return api.Submission{}, err
		} else if has {
			continue
		}
		if _, err := c.PutBlob(ctx, blob, api.Bytes(content)); err != nil {
			return api.Submission{}, err
		}
	}
	return c.Submit(ctx, t.spec, api.SubmitOptions{ID: t.id})
}

// refused reports whether an error is an answer that another try can't better.
func refused(err error) bool {
	var e *api.Error
	if !errors.As(err, &e) {
		return false
	}
	switch e.Status {
	case 408, 429, 500, 502, 503, 504, 507:
		return false
	}
	return e.Code != api.CodeMissingBlobs // it has lost them since
}

// noSpace reports whether an error says that the disk is full: a clear answer, for
// which there is another broker.
func noSpace(err error) bool {
	var e *api.Error
	return errors.As(err, &e) && e.Status == 507
}

// watch asks a broker about acknowledged jobs, again and again, until ctx ends: first
// those whose end it has not yet shown as firm, now and then one that it has.
func (w *world) watch(ctx context.Context, b *rig.Broker, rnd *rand.Rand) {
	var open []acknowledged
	seen := 0
	for {
		fresh := w.acks.from(seen)
		seen += len(fresh)
		open = append(open, fresh...)
		i := -1
		var t *task
		switch all := w.acks.from(0); {
		case len(open) > 0 && rnd.IntN(5) > 0:
			i = rnd.IntN(len(open))
			t = open[i].task
		case len(all) > 0:
			t = all[rnd.IntN(len(all))].task
		default:
			if rig.Pause(ctx, 50*time.Millisecond) != nil {
				return
			}
			continue
		}
		firm, err := w.look(ctx, b, t)
		if firm && i >= 0 {
			open[i] = open[len(open)-1]
			open = open[:len(open)-1]
		}
		rest := 8 * time.Millisecond
		if err != nil && !notFound(err) {
			rest = 200 * time.Millisecond
		}
		if rig.Pause(ctx, rest) != nil {
			return
		}
	}
}

// look asks a broker how a job stands, and tells the witness.
func (w *world) look(ctx context.Context, b *rig.Broker, t *task) (firm bool, err error) {
	j, err := w.get(ctx, b, t)
	if err != nil {
		return false, err
	}
	return j.firm, nil
}

// looked is a job as a broker has shown it.
type looked struct {
	api.Job
	firm bool
}

func (w *world) get(ctx context.Context, b *rig.Broker, t *task) (looked, error) {
	ctx, cancel := context.WithTimeout(ctx, answerWithin)
	defer cancel()
	asked := time.Now()
	j, err := b.Client().Job(ctx, string(t.id), 0)
	if !errors.Is(err, context.Canceled) { // by us, at the end
		w.served.note(b, "reads", asked, err == nil || notFound(err))
	}
	if notFound(err) {
		w.witness.missed(b.Name, t.id, asked, time.Now())
	}
	if err != nil {
		return looked{}, err
	}
	if j.ID != t.id {
		return looked{}, fmt.Errorf("%s answers for %s when asked for %s", b.Name, j.ID, t.id)
	}
	return looked{j, w.witness.saw(b.Name, t.id, j, asked, time.Now())}, nil
}

func notFound(err error) bool {
	var e *api.Error
	return errors.As(err, &e) && e.Status == 404
}
