package main

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/urban-compute/ucp/test/rig"
)

// fault is something that happens to the cluster, and is healed some time later. It
// tells what it does (world.tell), each in its own words.
type fault interface {
	Begin(ctx context.Context, w *world) error
	End(ctx context.Context, w *world) error
}

// lane is a sequence of faults, one at a time. Those of different lanes overlap.
type lane int

const (
	processes lane = iota
	resources
	network
	lanes
)

// need is what a fault asks of the machine.
type need string

const (
	onLoopback need = ""
	onNetwork  need = "a network namespace for each broker"
	inBox      need = "mounts of our own"
	onLoop     need = "mounts of our own and loop devices"
	onPids     need = "a limit of processes"
)

// kind is a sort of faults: how one is drawn, and about how long it lasts.
type kind struct {
	name  string
	lane  lane
	needs need
	takes time.Duration // to begin, where that is more than a moment
	lasts time.Duration
	once  bool                                 // a second time is none
	draw  func(d *dealer) (f fault, who []int) // who: the brokers that no other fault may touch meanwhile
}

// kinds is every sort of fault there is.
var kinds = slices.Concat(processKinds, diskKinds, fewKinds, brokenKinds, networkKinds, fillerKinds, machineKinds)

func kindNames() (out []string) {
	for _, k := range kinds {
		out = append(out, k.name)
	}
	return out
}

func isKind(name string) bool { return slices.Contains(kindNames(), name) }

// dealer is what a kind draws from: the same seed draws the same.
type dealer struct {
	rnd *rand.Rand
	n   int // brokers at the start; the one that joins has this number
}

// some draws k different brokers of those that are there from the start.
func (d *dealer) some(k int) []int { return d.rnd.Perm(d.n)[:min(k, d.n)] }

// between draws a time.
func (d *dealer) between(lo, hi time.Duration) time.Duration {
	return lo + time.Duration(d.rnd.Int64N(int64(hi-lo)))
}

// sides draws two groups of all brokers, none of them empty.
func (d *dealer) sides() (a, b []int) {
	order := d.rnd.Perm(d.n + 1)
	cut := 1 + d.rnd.IntN(d.n)
	a, b = order[:cut], order[cut:]
	slices.Sort(a)
	slices.Sort(b)
	return a, b
}

// step is one fault of a plan.
type step struct {
	kind  kind
	fault fault
	who   []int
	at    time.Duration // when it is to begin; later when one of the brokers is taken
	lasts time.Duration
	again bool // its kind has come before: it may be left out when time is short
}

// plan draws the steps of all lanes. Each kind comes once before any comes twice, and
// each comes once, however short the time is.
func plan(o *options) (out [lanes][]step) {
	for l := range lanes {
		var deck []kind
		for _, k := range kinds {
			if only := o.kinds(); k.lane == l && o.barred[k.needs] == "" && (len(only) == 0 || slices.Contains(only, k.name)) {
				deck = append(deck, k)
			}
		}
		d := &dealer{rnd: rand.New(rand.NewPCG(o.seed, 10+uint64(l))), n: o.brokers}
		at := d.between(2*time.Second, 4*time.Second)
		for round := 0; len(deck) > 0 && (round == 0 || at < o.over); round++ {
			order := d.rnd.Perm(len(deck))
			if round == 0 {
				early(deck, order)
			}
			for _, i := range order {
				if round > 0 && at >= o.over {
					break
				}
				k := deck[i]
				if k.once && round > 0 {
					continue
				}
				s := step{kind: k, at: at, again: round > 0, lasts: k.lasts * time.Duration(80+d.rnd.IntN(40)) / 100}
				s.fault, s.who = k.draw(d)
				out[l] = append(out[l], s)
				at += k.takes + s.lasts + d.between(500*time.Millisecond, 2*time.Second)
			}
		}
	}
	return out
}

// early puts the fault in which a broker joins among the first, so that it has time to take part.
func early(deck []kind, order []int) {
	for at, i := range order {
		if deck[i].once && at > 3 {
			order[at], order[3] = order[3], order[at]
		}
	}
}

// lasting is when the last step of a plan is to end: so long jobs are submitted.
func lasting(plan [lanes][]step) (out time.Duration) {
	for _, steps := range plan {
		for _, s := range steps {
			out = max(out, s.at+s.kind.takes+s.lasts)
		}
	}
	return out
}

// tellPlan writes what a seed gives, in the order of time.
func tellPlan(out io.Writer, o *options) {
	var all []step
	for _, steps := range plan(o) {
		all = append(all, steps...)
	}
	slices.SortStableFunc(all, func(a, b step) int { return cmp.Compare(a.at, b.at) })
	fmt.Fprintf(out, "seed %d\n", o.seed)
	for _, s := range all {
		fmt.Fprintf(out, "%6.1fs  %-14s for %4.1fs", s.at.Seconds(), s.kind.name, s.lasts.Seconds())
		for _, i := range s.who {
			fmt.Fprintf(out, "  %s", brokerName(i))
		}
		fmt.Fprintln(out)
	}
}

// walk goes through one lane.
func (w *world) walk(ctx context.Context, steps []step) error {
	for _, s := range steps {
		if err := rig.Pause(ctx, time.Until(w.begin.Add(s.at))); err != nil {
			return err
		}
		if s.again && time.Since(w.begin) > w.o.over {
			continue // faults that wait for each other's brokers take their time
		}
		if err := w.suffer(ctx, s); err != nil {
			return fmt.Errorf("%s: %w", s.kind.name, err)
		}
	}
	return nil
}

// suffer is one fault, from its begin to its end.
func (w *world) suffer(ctx context.Context, s step) error {
	free, err := w.take(ctx, s.who)
	if err != nil {
		return err
	}
	defer free()
	w.counts(s.kind.name)
	err = s.fault.Begin(ctx, w)
	if err == nil {
		err = rig.Pause(ctx, s.lasts)
	}
	// What has begun is ended, even when the run is given up: goroutines and stopped
	// processes are not left behind.
	if ended := s.fault.End(ctx, w); err == nil {
		err = ended
	}
	w.healedNow()
	return err
}

// take keeps brokers from other faults until free is called. All take theirs in the
// order of their numbers, so that nobody waits in a circle.
func (w *world) take(ctx context.Context, who []int) (free func(), err error) {
	who = slices.Sorted(slices.Values(who))
	held := 0
	free = func() { w.free(who[:held]) }
	for _, i := range who {
		select {
		case w.taken[i] <- struct{}{}:
			held++
		case <-ctx.Done():
			free()
			return nil, ctx.Err()
		}
	}
	return free, nil
}

// takeAny takes one of some brokers: one that is free now, else the first that gets free.
func (w *world) takeAny(ctx context.Context, who []int) (taken int, err error) {
	for {
		for _, i := range who {
			select {
			case w.taken[i] <- struct{}{}:
				return i, nil
			default:
			}
		}
		if err := rig.Pause(ctx, 50*time.Millisecond); err != nil {
			return 0, err
		}
	}
}

func (w *world) free(who []int) {
	for _, i := range who {
		<-w.taken[i]
	}
}
