package main

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/urban-compute/ucp/test/rig"
)

// The faults of the network between brokers. Clients reach all brokers all the time.
var networkKinds = []kind{
	{name: "split", lane: network, needs: onNetwork, lasts: 12 * time.Second, draw: func(d *dealer) (fault, []int) {
		a, b := d.sides()
		return links{fmt.Sprintf("the network splits: %s | %s", brokerNames(a), brokerNames(b)), "the split is healed", lossy(rig.Cut(a, b), 1)}, nil
	}},
	{name: "one-way", lane: network, needs: onNetwork, lasts: 10 * time.Second, draw: func(d *dealer) (fault, []int) {
		a, b := d.sides()
		lost := map[rig.Link]float64{}
		for _, from := range a {
			for _, to := range b {
				lost[rig.Link{From: from, To: to}] = 1
			}
		}
		return links{fmt.Sprintf("%s no longer heard by %s, but hears them", brokerNames(a), brokerNames(b)), "all hear each other", lost}, nil
	}},
	{name: "bridge", lane: network, needs: onNetwork, lasts: 10 * time.Second, draw: func(d *dealer) (fault, []int) {
		order := d.rnd.Perm(d.n + 1)
		cut := 2 + d.rnd.IntN(d.n-1)
		a, middle, b := order[1:cut], order[0], order[cut:]
		return links{
			fmt.Sprintf("%s and %s are only joined by %s, which hears both", brokerNames(a), brokerNames(b), brokerName(middle)),
			"all hear each other", lossy(rig.Cut(a, b), 1),
		}, nil
	}},
	{name: "loss-10", lane: network, needs: onNetwork, lasts: 8 * time.Second, draw: drawLoss(10)},
	{name: "loss-30", lane: network, needs: onNetwork, lasts: 8 * time.Second, draw: drawLoss(30)},
	{name: "flap", lane: network, needs: onNetwork, lasts: 11 * time.Second, draw: func(d *dealer) (fault, []int) {
		one := d.some(1)[0]
		return &flaps{who: one, lost: alone(one, d.n+1)}, nil
	}},
}

// lossy makes links lose a part of what they carry.
func lossy(list []rig.Link, part float64) map[rig.Link]float64 {
	out := map[rig.Link]float64{}
	for _, l := range list {
		out[l] = part
	}
	return out
}

// alone cuts one of n brokers off.
func alone(one, n int) map[rig.Link]float64 {
	var others []int
	for i := range n {
		if i != one {
			others = append(others, i)
		}
	}
	return lossy(rig.Cut([]int{one}, others), 1)
}

func drawLoss(percent int) func(*dealer) (fault, []int) {
	return func(d *dealer) (fault, []int) {
		lost := map[rig.Link]float64{}
		for i := range d.n + 1 {
			for j := range d.n + 1 {
				if i != j {
					lost[rig.Link{From: i, To: j}] = float64(percent) / 100
				}
			}
		}
		return links{fmt.Sprintf("every link loses %d %% of its packets", percent), "no packet is lost any more", lost}, nil
	}
}

// links spoils some links until it ends.
type links struct {
	begins, ends string
	lost         map[rig.Link]float64
}

// Begin implements fault.
func (l links) Begin(_ context.Context, w *world) error {
	w.tell("%s", l.begins)
	return w.spoil("network", l.lost)
}

// End implements fault.
func (l links) End(_ context.Context, w *world) error {
	w.tell("%s", l.ends)
	return w.spoil("network", nil)
}

// flapEvery is how long the flapping link stays up, and down.
const flapEvery = 2 * time.Second

// flaps is a broker whose link goes up and down.
type flaps struct {
	who   int
	lost  map[rig.Link]float64
	stop  context.CancelFunc
	ended sync.WaitGroup
	err   error
}

// Begin implements fault.
func (f *flaps) Begin(ctx context.Context, w *world) error {
	w.tell("the link of %s goes up and down every %v", brokerName(f.who), flapEvery)
	ctx, f.stop = context.WithCancel(ctx)
	f.ended.Go(func() {
		for f.err == nil {
			f.err = w.spoil("network", f.lost)
			if rig.Pause(ctx, flapEvery) != nil {
				return
			}
			if f.err == nil {
				f.err = w.spoil("network", nil)
			}
			if rig.Pause(ctx, flapEvery) != nil {
				return
			}
		}
	})
	return nil
}

// End implements fault.
func (f *flaps) End(_ context.Context, w *world) error {
	f.stop()
	f.ended.Wait()
	w.tell("the link of %s is steady", brokerName(f.who))
	return first(f.err, w.spoil("network", nil))
}
