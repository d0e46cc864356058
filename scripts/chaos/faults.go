package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"strings"
	"syscall"
	"time"
)

// The kinds of faults.
const (
	kill  = "kill"  // SIGKILL, and a start some time later
	again = "again" // the same, and SIGKILL once more while it starts
	stop  = "pause" // SIGSTOP, and SIGCONT some time later: its workers go on
	leave = "leave" // SIGTERM: it hands over; and a start some time later
)

// fault is one of them: what happens to which brokers, for how long.
type fault struct {
	kind string
	who  []int // in the order in which they come back
	down time.Duration
	gaps []time.Duration // before each comes back, after the one before
}

// name is how the table counts it.
func (f fault) name() string { return fmt.Sprintf("%s %d", f.kind, len(f.who)) }

// card is a fault that is yet to be drawn: how many brokers it will hit.
type card struct {
	kind string
	who  int
}

// One round of faults: the first part comes first, so that every run has it, however
// short.
var (
	first = []card{{kill, 1}, {kill, 2}, {kill, 3}, {stop, 1}, {leave, 1}}
	rest  = []card{{kill, 1}, {kill, 1}, {kill, 2}, {again, 1}, {stop, 1}, {stop, 2}}
)

// dealer draws faults; the same seed draws the same ones.
type dealer struct {
	rnd  *rand.Rand
	hand []card
	n    int // brokers
	most time.Duration
}

func newDealer(seed uint64, n int, most time.Duration) *dealer {
	return &dealer{rnd: rand.New(rand.NewPCG(seed, 2)), n: n, most: most}
}

func (d *dealer) next() fault {
	if len(d.hand) == 0 {
		for _, part := range [][]card{first, rest} {
			for _, i := range d.rnd.Perm(len(part)) {
				d.hand = append(d.hand, part[i])
			}
		}
	}
	c := d.hand[0]
	d.hand = d.hand[1:]
	f := fault{kind: c.kind, who: d.rnd.Perm(d.n)[:c.who]}
	x := d.rnd.Float64()
	if f.kind != stop {
		x *= x // mostly short, sometimes long; a short pause, though, goes unnoticed
	}
	f.down = 200*time.Millisecond + time.Duration(x*float64(d.most))
	f.gaps = make([]time.Duration, len(f.who))
	for i := 1; i < len(f.who); i++ {
		f.gaps[i] = time.Duration(d.rnd.Int64N(int64(2 * time.Second)))
	}
	return f
}

// blow is one SIGKILL that met a broker.
type blow struct {
	broker   string
	at, back time.Time
}

// faults makes faults until the time is over, and each of the first sorts at least
// once. When it returns all brokers run.
func (w *world) faults(ctx context.Context) error {
	d := newDealer(w.o.seed, len(w.brokers), w.o.maxDown)
	until := time.Now().Add(w.o.over)
	for i := 0; i < len(first) || time.Now().Before(until); i++ {
		if err := pause(ctx, 500*time.Millisecond+time.Duration(d.rnd.Int64N(int64(3*time.Second)))); err != nil {
			return err
		}
		f := d.next()
		names := make([]string, len(f.who))
		for i, k := range f.who {
			names[i] = w.brokers[k].name
		}
		fmt.Printf("%6.1fs  %-5s %-6s for %v\n", time.Since(w.begin).Seconds(), f.kind, strings.Join(names, " "), f.down.Round(100*time.Millisecond))
		w.counted[f.name()]++
		if err := w.strike(ctx, f, d.rnd); err != nil {
			return err
		}
		w.healed = time.Now()
	}
	return nil
}

// strike makes one fault and heals it.
func (w *world) strike(ctx context.Context, f fault, rnd *rand.Rand) error {
	w.scrape(ctx) // the counters of a process die with it
	hit, heal := w.killed, w.restarted
	switch f.kind {
	case stop:
		hit = func(b *broker) error { b.signal(syscall.SIGSTOP); return nil }
		heal = func(b *broker) error { b.signal(syscall.SIGCONT); return nil }
	case leave:
		hit = w.left
	}
	for _, k := range f.who {
		if f.kind == kill || f.kind == again { // all at once
			w.brokers[k].signal(syscall.SIGKILL)
		}
	}
	for _, k := range f.who {
		if err := hit(w.brokers[k]); err != nil {
			return err
		}
	}
	if err := pause(ctx, f.down); err != nil {
		return err
	}
	if f.kind == again {
		for _, k := range f.who {
			if err := w.interruptStart(ctx, w.brokers[k], rnd); err != nil {
				return err
			}
		}
	}
	for i, k := range f.who {
		if err := pause(ctx, f.gaps[i]); err != nil {
			return err
		}
		if err := heal(w.brokers[k]); err != nil {
			return err
		}
	}
	return nil
}

func (w *world) killed(b *broker) error {
	at := time.Now()
	b.signal(syscall.SIGKILL)
	w.blows = append(w.blows, &blow{broker: b.name, at: at})
	return b.gone(10 * time.Second)
}

func (w *world) restarted(b *broker) error {
	for _, x := range w.blows {
		if x.broker == b.name && x.back.IsZero() {
			x.back = time.Now()
		}
	}
	return b.start()
}

// left sends a broker away in good order: it drains and hands over.
func (w *world) left(b *broker) error {
	b.signal(syscall.SIGTERM)
	return b.gone(30 * time.Second)
}

// interruptStart starts a broker and kills it at some moment of its start.
func (w *world) interruptStart(ctx context.Context, b *broker, rnd *rand.Rand) error {
	if err := b.spawn(); err != nil {
		return err
	}
	if err := pause(ctx, time.Duration(rnd.Int64N(int64(400*time.Millisecond)))); err != nil {
		return err
	}
	b.signal(syscall.SIGKILL)
	return b.gone(10 * time.Second)
}
