package main

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"path/filepath"
	"sync"
	"time"

	"github.com/urban-compute/ucp/api"
	"github.com/urban-compute/ucp/job"
	"github.com/urban-compute/ucp/test/rig"
)

// exercise is how many jobs each broker is given when all is healed, before it is looked
// at: many have been started lately, and a leak takes jobs to show.
const exercise = 50

// How much more a broker may use when all is over than a fresh one did: the
// connections and workers that a cluster at rest keeps, and the records of the jobs
// that it has seen. A leak grows with the jobs, and passes this in a round.
const (
	moreGoroutines = 40
	moreFiles      = 60
	moreMemory     = 256 << 20
)

// weigh asks every broker what its process uses; a broker that does not answer is left out.
func (w *world) weigh(ctx context.Context) map[string]rig.Load {
	out := map[string]rig.Load{}
	for _, b := range w.members() {
		ctx, cancel := context.WithTimeout(ctx, answerWithin)
		if l, err := b.Load(ctx); err == nil {
			out[b.Name] = l
		}
		cancel()
	}
	return out
}

// checkLoads compares what brokers use at the end with what they used when they were
// fresh, once our own connections are closed and theirs have had time to.
func (w *world) checkLoads(ctx context.Context, r *report) {
	w.exercise(ctx)
	var after map[string]rig.Load
	var wrong []string
	_ = w.until(ctx, 20*time.Second, func(ctx context.Context) error { // what is wrong in the end is told below
		for _, b := range w.members() {
			b.Client().Close()
		}
		http.DefaultClient.CloseIdleConnections()
		after, wrong = w.weigh(ctx), nil
		for name, l := range after {
			was, known := w.before[name]
			if !known {
				was = w.before[w.brokers[0].Name] // it joined later, and was as fresh as any
			}
			for _, x := range []struct {
				what           string
				was, now, more int64
			}{
				{"goroutines", int64(was.Goroutines), int64(l.Goroutines), moreGoroutines},
				{"file descriptors", int64(was.Files), int64(l.Files), moreFiles},
				{"bytes of memory", was.Memory, l.Memory, moreMemory},
			} {
				if x.now > x.was+x.more {
					wrong = append(wrong, fmt.Sprintf("%s has %d %s; a fresh one had %d, and at most %d more are allowed", name, x.now, x.what, x.was, x.more))
				}
			}
		}
		if len(wrong) > 0 {
			return fmt.Errorf("%d are too many", len(wrong))
		}
		return nil
	})
	r.leaks = append(r.leaks, wrong...)
	if len(wrong) > 0 {
		w.keepBundles(ctx)
	}
	for name, l := range after {
		r.loads = append(r.loads, loads{name, w.before[name], l})
	}
}

// keepBundles writes down what helps to find a leak: profiles of the heap and of goroutines, metrics, status and the log
// of every broker.
func (w *world) keepBundles(ctx context.Context) {
	for _, b := range w.members() {
		ctx, cancel := context.WithTimeout(ctx, 20*time.Second)
		body, err := b.Client().Debug(ctx, true)
		if err == nil {
			var bundle []byte
			bundle, err = io.ReadAll(body)
			err = first(err, body.Close())
			if err == nil {
				err = w.save(filepath.Join("logs", b.Name+".debug.tar.gz"), bundle)
			}
		}
		cancel()
		if err != nil {
			fmt.Printf("the debug bundle of %s can't be kept: %v\n", b.Name, err)
		}
	}
}

// loads is what one broker used, fresh and at the end.
type loads struct {
	broker        string
	before, after rig.Load
}

func (l loads) String() string {
	mib := func(n int64) int64 { return n >> 20 }
	return fmt.Sprintf("%s: goroutines %d -> %d, descriptors %d -> %d, memory %d -> %d MiB", l.broker,
		l.before.Goroutines, l.after.Goroutines, l.before.Files, l.after.Files, mib(l.before.Memory), mib(l.after.Memory))
}

// exercise submits small jobs at every broker and waits for them.
func (w *world) exercise(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, w.o.settle)
	defer cancel()
	var all sync.WaitGroup
	for _, b := range w.members() {
		all.Go(func() {
			for i := range exercise {
				id := job.ID(fmt.Sprintf("rest-%d-%s-%d", w.o.seed, b.Name, i))
				_, err := b.Client().Submit(ctx, job.Spec{Driver: job.Process, Command: "true"}, api.SubmitOptions{ID: id, Wait: api.MaxWait})
				if err != nil {
					w.problem("%s, in a cluster at rest: %s: %v", id, b.Name, err)
					return
				}
			}
		})
	}
	all.Wait()
}
