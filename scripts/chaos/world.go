package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"
)

// world is one run: brokers, jobs, and what is known of them.
type world struct {
	o       options
	tasks   []*task
	brokers []*broker
	acks    acks
	witness *witness

	begin, healed time.Time
	counted       map[string]int // faults by name
	blows         []*blow

	mu         sync.Mutex
	complaints []string
	counters   map[string]map[string]float64 // broker -> what it counted in this process
	past       map[string]float64            // what ended processes have counted
}

func newWorld(o options) (*world, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	if o.ucp, err = filepath.Abs(o.ucp); err != nil {
		return nil, err
	}
	var module []byte
	if o.wasm != "" {
		if module, err = os.ReadFile(o.wasm); err != nil {
			return nil, err
		}
	}
	if err := os.MkdirAll(filepath.Join(o.dir, "notes"), 0o700); err != nil {
		return nil, err
	}
	w := &world{
		o: o, witness: newWitness(), counted: map[string]int{},
		counters: map[string]map[string]float64{}, past: map[string]float64{},
	}
	if w.tasks, err = tasks(o, self, module); err != nil {
		return nil, err
	}
	for _, name := range []string{"a", "b", "c"} {
		b, err := newBroker(o, name)
		if err != nil {
			return nil, err
		}
		b.peers = func() (out []string) {
			for _, p := range w.brokers {
				if p != b && p.gossip != "" {
					out = append(out, p.gossip)
				}
			}
			return out
		}
		w.brokers = append(w.brokers, b)
	}
	return w, nil
}

// start starts the brokers and waits until all see each other.
func (w *world) start(ctx context.Context) error {
	for _, b := range w.brokers {
		if err := b.start(); err != nil {
			return err
		}
	}
	return w.whole(ctx, startWithin)
}

// whole waits until every broker sees all others.
func (w *world) whole(ctx context.Context, within time.Duration) error {
	ctx, cancel := context.WithTimeoutCause(ctx, within, fmt.Errorf("the brokers do not all see each other after %v", within))
	defer cancel()
	for _, b := range w.brokers {
		for {
			s, err := b.client.Load().Coordination(ctx)
			if err == nil && s.HealthyPeers == len(w.brokers)-1 {
				break
			}
			if pause(ctx, 50*time.Millisecond) != nil {
				return context.Cause(ctx)
			}
		}
	}
	return nil
}

// end ends all processes.
func (w *world) end() {
	for _, b := range w.brokers {
		if b.cmd == nil || b.cmd.Process == nil {
			continue
		}
		b.signal(syscall.SIGKILL)
		_ = b.gone(10 * time.Second) // nothing more can be done
	}
}

// storm lets clients submit and faults happen, while every broker is watched. It
// returns when the last fault is healed and every job is acknowledged.
func (w *world) storm(ctx context.Context) error {
	w.begin = time.Now()
	w.healed = w.begin
	watching, unwatch := context.WithCancel(ctx)
	var watchers sync.WaitGroup
	for i, b := range w.brokers {
		watchers.Go(func() { w.watch(watching, b, rand.New(rand.NewPCG(w.o.seed, 200+uint64(i)))) })
	}
	watchers.Go(func() {
		for pause(watching, time.Second) == nil {
			w.scrape(watching)
		}
	})
	defer watchers.Wait()
	defer unwatch()

	submitting, giveUp := context.WithTimeout(ctx, 2*w.o.over+w.o.settle)
	defer giveUp()
	var clients sync.WaitGroup
	clients.Go(func() { w.submitAll(submitting) })
	err := w.faults(ctx)
	if err != nil {
		giveUp()
	}
	clients.Wait()
	if n := len(w.tasks) - len(w.acks.from(0)); err == nil && n > 0 {
		err = fmt.Errorf("%d jobs were not acknowledged in time", n)
	}
	return errors.Join(err, ctx.Err())
}

// complain notes what is wrong beyond what has a count of its own.
func (w *world) complain(format string, args ...any) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.complaints = append(w.complaints, fmt.Sprintf(format, args...))
}

// scrape reads what the brokers have counted since their start. What a process
// counts between the last look and its end is not known: the sums are "at least".
func (w *world) scrape(ctx context.Context) {
	var all sync.WaitGroup
	for _, b := range w.brokers {
		all.Go(func() {
			ctx, cancel := context.WithTimeout(ctx, 300*time.Millisecond)
			defer cancel()
			if now, err := decisions(ctx, b); err == nil {
				w.mu.Lock()
				defer w.mu.Unlock()
				w.count(b.name, now)
			}
		})
	}
	all.Wait()
}

// count takes in the counters of a broker: one that went down is a new process.
func (w *world) count(name string, now map[string]float64) {
	old := w.counters[name]
	for what, v := range old {
		if now[what] < v {
			w.past[what] += v
		}
	}
	w.counters[name] = now
}

func (w *world) total(what string) int {
	w.mu.Lock()
	defer w.mu.Unlock()
	sum := w.past[what]
	for _, c := range w.counters {
		sum += c[what]
	}
	return int(sum)
}

// decisions reads ucp_decisions_total from /metrics.
func decisions(ctx context.Context, b *broker) (map[string]float64, error) {
	body, err := b.client.Load().Metrics(ctx)
	if err != nil {
		return nil, err
	}
	defer body.Close()
	out := map[string]float64{}
	for lines := bufio.NewScanner(body); lines.Scan(); {
		rest, ok := strings.CutPrefix(lines.Text(), `ucp_decisions_total{what="`)
		if !ok {
			continue
		}
		what, value, _ := strings.Cut(rest, `"} `)
		if out[what], err = strconv.ParseFloat(value, 64); err != nil {
			return nil, err
		}
	}
	return out, nil
}
