package main

import (
	"context"
	"slices"
	"syscall"
	"time"

	"github.com/urban-compute/ucp/test/rig"
)

// The faults of processes: SIGKILL, SIGSTOP, SIGTERM, and starts.
var processKinds = []kind{
	{name: "kill", lasts: 5 * time.Second, draw: func(d *dealer) (fault, []int) { return drawKill(d, 1, false) }},
	{name: "kill-many", lasts: 4 * time.Second, draw: func(d *dealer) (fault, []int) { return drawKill(d, 2, false) }},
	{name: "kill-all", lasts: 2 * time.Second, draw: func(d *dealer) (fault, []int) { return drawKill(d, d.n, false) }},
	{name: "kill-twice", lasts: time.Second, draw: func(d *dealer) (fault, []int) { return drawKill(d, 1, true) }},
	{name: "pause", lasts: 10 * time.Second, draw: func(d *dealer) (fault, []int) {
		who := d.some(1)
		return pauses(who), who
	}},
	{name: "leave", lasts: 5 * time.Second, draw: func(d *dealer) (fault, []int) {
		who := d.some(1)
		return leaves(who), who
	}},
	{name: "rolling", takes: 10 * time.Second, draw: func(d *dealer) (fault, []int) { return rolling{}, nil }}, // takes one after the other
	{name: "join", lasts: time.Second, once: true, draw: func(d *dealer) (fault, []int) { return joins{d.n}, []int{d.n} }},
	{name: "workers", lane: resources, lasts: 10 * time.Second, draw: func(d *dealer) (fault, []int) {
		who := d.some(2)
		return &workers{who: who}, who
	}},
	{name: "spawners", lane: resources, lasts: time.Second, draw: func(d *dealer) (fault, []int) {
		who := d.some(2)
		return spawners(who), who
	}},
}

// kills is SIGKILL for some brokers at once. They come back one after the other.
type kills struct {
	who   []int
	gaps  []time.Duration // before each comes back, after the one before
	again time.Duration   // after a start SIGKILL comes once more; negative: it does not
}

func drawKill(d *dealer, n int, twice bool) (fault, []int) {
	k := &kills{who: d.some(n), again: -1}
	for range k.who {
		k.gaps = append(k.gaps, d.between(0, 1500*time.Millisecond))
	}
	if twice {
		k.again = d.between(0, 400*time.Millisecond)
	}
	return k, k.who
}

// Begin implements fault.
func (k *kills) Begin(_ context.Context, w *world) error {
	w.tell("%s killed", w.are(k.who))
	return w.kill(k.who)
}

// End implements fault.
func (k *kills) End(ctx context.Context, w *world) error {
	for i, n := range k.who {
		b := w.brokers[n]
		if k.again >= 0 {
			w.tell("%s starts, and is killed %v later", b.Name, k.again.Round(time.Millisecond))
			if err := b.Spawn(); err != nil {
				return err
			}
			err := rig.Pause(ctx, k.again)
			if killed := b.Kill(); killed != nil || err != nil {
				return first(err, killed)
			}
		}
		if i > 0 {
			if err := rig.Pause(ctx, k.gaps[i]); err != nil {
				return err
			}
		}
		if err := w.back(b); err != nil {
			return err
		}
	}
	w.tell("%s back", w.are(k.who))
	return nil
}

// pauses is SIGSTOP for brokers, whose workers go on, and SIGCONT.
type pauses []int

// Begin implements fault.
func (p pauses) Begin(_ context.Context, w *world) error {
	w.tell("%s stopped (SIGSTOP), workers go on", w.are(p))
	for _, i := range p {
		w.absent(w.brokers[i], paused)
		w.brokers[i].Signal(syscall.SIGSTOP)
	}
	return nil
}

// End implements fault.
func (p pauses) End(_ context.Context, w *world) error {
	for _, i := range p {
		w.brokers[i].Signal(syscall.SIGCONT)
		w.present(w.brokers[i])
	}
	w.tell("%s going on", w.are(p))
	return nil
}

// leaves is SIGTERM: a broker hands over and goes, and starts again some time later.
type leaves []int

// Begin implements fault.
func (l leaves) Begin(_ context.Context, w *world) error {
	w.tell("%s told to leave (SIGTERM)", w.are(l))
	for _, i := range l {
		w.brokers[i].Signal(syscall.SIGTERM)
	}
	return nil
}

// End implements fault.
func (l leaves) End(_ context.Context, w *world) error {
	for _, i := range l {
		if err := w.brokers[i].Left(leaveWithin); err != nil {
			return err
		}
		if err := w.back(w.brokers[i]); err != nil {
			return err
		}
	}
	w.tell("%s back", w.are(l))
	return nil
}

// leaveWithin is how long a broker may take until it has left: it drains for
// drainTimeout at most.
const leaveWithin = 30 * time.Second

// rolling restarts every broker, one after the other, as an update would.
type rolling struct{}

// Begin implements fault.
func (rolling) Begin(ctx context.Context, w *world) error {
	w.tell("all are restarted, one after the other")
	var left []int
	for i := range w.members() {
		left = append(left, i)
	}
	for len(left) > 0 {
		i, err := w.takeAny(ctx, left) // one that no other fault has
		if err != nil {
			return err
		}
		left = slices.DeleteFunc(left, func(x int) bool { return x == i })
		err = w.restart(w.brokers[i])
		w.free([]int{i})
		if err != nil {
			return err
		}
	}
	w.tell("all have been restarted")
	return nil
}

// End implements fault.
func (rolling) End(context.Context, *world) error { return nil }

// restart lets one broker leave and starts it again.
func (w *world) restart(b *rig.Broker) error {
	if err := b.Leave(leaveWithin); err != nil {
		return err
	}
	return w.back(b)
}

// joins is a new broker that comes into the running cluster, and stays.
type joins struct{ n int }

// Begin implements fault.
func (j joins) Begin(ctx context.Context, w *world) error {
	b := w.brokers[j.n]
	if b.Client() != nil {
		return nil // it is here already
	}
	w.tell("%s, which is new, joins", b.Name)
	if err := b.Start(); err != nil {
		return err
	}
	w.joined(b)
	if l, err := b.Load(ctx); err == nil {
		w.before[b.Name] = l // else it is measured by what another used
	}
	return nil
}

// End implements fault.
func (joins) End(context.Context, *world) error { return nil }

// spawners is SIGKILL for the processes that start the workers of two brokers. Those start others.
type spawners []int

// Begin implements fault.
func (s spawners) Begin(_ context.Context, w *world) error {
	n := 0
	for _, i := range s {
		for _, pid := range w.brokers[i].Spawners() {
			if syscall.Kill(pid, syscall.SIGKILL) == nil {
				n++
			}
		}
	}
	w.tell("the %d processes that start the workers of %s are killed", n, w.names(s))
	return nil
}

// End implements fault.
func (spawners) End(context.Context, *world) error { return nil }

// workers is SIGSTOP for the processes in which two brokers run jobs, and SIGCONT.
type workers struct {
	who  []int
	pids []int
}

// Begin implements fault.
func (x *workers) Begin(_ context.Context, w *world) error {
	for _, i := range x.who {
		x.pids = append(x.pids, w.brokers[i].Workers()...)
	}
	for _, pid := range x.pids {
		_ = syscall.Kill(pid, syscall.SIGSTOP) // fails when it has just ended
	}
	w.tell("the %d workers of %s stand still (SIGSTOP)", len(x.pids), w.names(x.who))
	return nil
}

// End implements fault.
func (x *workers) End(_ context.Context, w *world) error {
	for _, pid := range x.pids {
		_ = syscall.Kill(pid, syscall.SIGCONT)
	}
	x.pids = nil
	w.tell("the workers of %s go on", w.names(x.who))
	return nil
}
