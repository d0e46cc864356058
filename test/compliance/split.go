package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/urban-compute/ucp/api"
	"github.com/urban-compute/ucp/clock"
	"github.com/urban-compute/ucp/emergency"
	"github.com/urban-compute/ucp/job"
	"github.com/urban-compute/ucp/test/rig"
)

// reuniteWithin is what docs/design.md promises of a healed split: one exchange of 60 s.
const reuniteWithin = time.Minute

// splitGroup cuts a network of four in two halves.
func splitGroup() group {
	return group{
		name: "split",
		open: func(ctx context.Context, l *lab, name string) (*cluster, error) {
			if l.network == nil {
				return nil, lacking{"the network between brokers can't be split here: " + l.o.noSplits}
			}
			return l.start(ctx, name, splitBrokers, l.network.Place, same("--sync-interval", shortSync.String(), "--redeploy-delay", redeployDelay.String(),
				"--isolation-delay", "10s", "--replicas", "2"))
		},
		rows: []row{
			{
				name: "split", requirement: 11, limit: "both go on; 60 s to reunite",
				how: "4 brokers in network namespaces, the links between b1 b2 and b3 b4 cut: when each half has noticed, 10 jobs are submitted and run to " +
					"their end in each, a job of before goes on; the links are mended: until all see each other and have equal clocks; `ucp cluster verify`",
				within: 3 * time.Minute, check: split,
			},
			{
				name: "sync-conflicts", requirement: 5, limit: "one outcome everywhere, the earliest; by the clock",
				how: "the same cut: in both halves the same job is cancelled, one ID gets two specs, one emergency two levels, the cluster two strategies; " +
					"clocks are concurrent; the links are mended: clocks become equal, the earlier verdict and creation win at all 4, the later is kept",
				within: 2 * time.Minute, check: syncConflicts,
			},
		},
	}
}

// halves are the two parts.
func (c *cluster) halves() [2][]*rig.Broker { return [2][]*rig.Broker{c.brokers[:2], c.brokers[2:]} }

// cut cuts the links between the halves.
func (c *cluster) cut() error {
	lost := map[rig.Link]float64{}
	for _, l := range rig.Cut([]int{0, 1}, []int{2, 3}) {
		lost[l] = 1
	}
	return c.lab.network.Set(lost)
}

func (c *cluster) mend() error { return c.lab.network.Set(nil) }

func split(ctx context.Context, c *cluster) (figure string, err error) {
	const before = "split-before"
	if _, err := submit(ctx, c.brokers[0], before, sleeps(100, 12*time.Second, "name="+c.brokers[0].Name), ""); err != nil {
		return "", err
	}
	if _, err := reaches(ctx, c.brokers[0], before, 10*time.Second, job.StateRunning); err != nil {
		return "", err
	}
	if err := c.cut(); err != nil {
		return "", err
	}
	defer func() { err = first(err, c.mend()) }()
	noticed, err := everywhere(ctx, c.brokers, 3*detectWithin, func(ctx context.Context, b *rig.Broker) error {
		s, err := b.Client().Coordination(ctx)
		if err == nil && (s.HealthyPeers != 1 || s.UnhealthyPeers != 2) {
			err = fmt.Errorf("%s sees %d of 3 others", b.Name, s.HealthyPeers)
		}
		return err
	})
	if err != nil {
		return "", err
	}
	ids, slowest, err := c.workApart(ctx)
	if err != nil {
		return "", err
	}
	if err := c.mend(); err != nil {
		return "", err
	}
	reunited, err := c.reunites(ctx)
	if err != nil {
		return "", err
	}
	if _, err := c.ucp(ctx, "--addr", c.brokers[3].HTTP, "cluster", "verify", "--wait", "30s"); err != nil {
		return "", err
	}
	for _, id := range append(ids, before) {
		if err := c.sameEnd(ctx, id); err != nil {
			return "", err
		}
	}
	figure = fmt.Sprintf("noticed after %s; %d jobs ended apart, the slowest after %s; reunited %s after mending", tenths(noticed), len(ids), tenths(slowest), tenths(reunited))
	return figure, inTime("reuniting", reunited, reuniteWithin)
}

// workApart lets each half run jobs.
func (c *cluster) workApart(ctx context.Context) (ids []string, slowest time.Duration, err error) {
	for k, half := range c.halves() {
		for i := range 10 {
			b, id := half[i%2], fmt.Sprintf("apart-%d-%d", k, i)
			began := time.Now()
			if _, err := submit(ctx, b, id, command(100, []string{"echo", id}), ""); err != nil {
				return nil, 0, err
			}
			j, err := ended(ctx, b, id, 20*time.Second)
			if err != nil {
				return nil, 0, err
			}
			if j.State != job.StateSucceeded {
				return nil, 0, fmt.Errorf("job %s is %s: %s", id, j.State, j.Reason)
			}
			if e := c.byName(j.Executor); !slices.Contains(half, e) {
				return nil, 0, fmt.Errorf("job %s of one half was run by %s of the other", id, j.Executor)
			}
			slowest, ids = max(slowest, time.Since(began)), append(ids, id)
		}
	}
	return ids, slowest, nil
}

func (c *cluster) byName(name string) *rig.Broker {
	for _, b := range c.brokers {
		if b.Name == name {
			return b
		}
	}
	return nil
}

// reunites waits until all see each other and hold as much, and returns how long that
// was.
func (c *cluster) reunites(ctx context.Context) (time.Duration, error) {
	return until(ctx, 2*reuniteWithin, func(ctx context.Context) error {
		var one clock.Vector
		for i, b := range c.brokers {
			s, err := b.Client().Coordination(ctx)
			switch {
			case err != nil:
				return err
			case s.HealthyPeers != len(c.brokers)-1:
				return fmt.Errorf("%s sees %d others", b.Name, s.HealthyPeers)
			case i == 0:
				one = s.Clock
			case s.Clock.Compare(one) != clock.Equal:
				return fmt.Errorf("the clocks of b1 and %s differ: %v and %v", b.Name, one, s.Clock)
			}
		}
		return nil
	})
}

// sameEnd is an error unless all brokers show one accepted result of a job, the same.
func (c *cluster) sameEnd(ctx context.Context, id string) error {
	var one api.Job
	for i, b := range c.brokers {
		j, err := b.Client().Job(ctx, id, 0)
		switch {
		case err != nil:
			return fmt.Errorf("job %s at %s: %w", id, b.Name, err)
		case j.State != job.StateSucceeded || j.Accepted == nil:
			return fmt.Errorf("job %s is %s at %s: %s", id, j.State, b.Name, j.Reason)
		case i == 0:
			one = j
		case j.Accepted.Attempt != one.Accepted.Attempt || j.Accepted.Executor != one.Accepted.Executor:
			return fmt.Errorf("of job %s b1 has the result of %s, %s that of %s", id, one.Accepted.Executor, b.Name, j.Accepted.Executor)
		}
	}
	return nil
}

// What both halves write to, each in its own way.
const (
	bothCancel  = "both-cancel"
	bothSubmit  = "both-submit"
	bothDeclare = emergency.ID("both-declare")
)

func syncConflicts(ctx context.Context, c *cluster) (figure string, err error) {
	a, b := c.brokers[0], c.brokers[2]
	if _, err := submit(ctx, a, bothCancel, command(100, []string{"true"}, "nobody-has-this"), ""); err != nil {
		return "", err
	}
	if _, err := c.known(ctx, bothCancel, 10*time.Second); err != nil {
		return "", err
	}
	if err := c.cut(); err != nil {
		return "", err
	}
	defer func() { err = first(err, c.mend()) }()
	if err := c.contradict(ctx, a, b); err != nil {
		return "", err
	}
	var clocks [2]clock.Vector
	for i, x := range []*rig.Broker{a, b} {
		s, err := x.Client().Coordination(ctx)
		if err != nil {
			return "", err
		}
		clocks[i] = s.Clock
	}
	if o := clocks[0].Compare(clocks[1]); o != clock.Concurrent {
		return "", fmt.Errorf("with both halves having written, their clocks are %v, not concurrent: %v, %v", o, clocks[0], clocks[1])
	}
	if err := c.mend(); err != nil {
		return "", err
	}
	took, err := c.reunites(ctx)
	if err != nil {
		return "", err
	}
	err = c.agreed(ctx)
	figure = fmt.Sprintf("4 contradictions, 1 outcome each at 4 brokers %s after mending; clocks concurrent, then equal", tenths(took))
	if err != nil {
		figure = fmt.Sprintf("clocks equal %s after mending", tenths(took))
	}
	return figure, first(err, inTime("reuniting", took, reuniteWithin))
}

// contradict writes what contradicts itself: the first half says everything first.
func (c *cluster) contradict(ctx context.Context, a, b *rig.Broker) error {
	for i, at := range []*rig.Broker{a, b} {
		if _, err := at.Client().Cancel(ctx, bothCancel); err != nil {
			return fmt.Errorf("cancelling at %s: %w", at.Name, err)
		}
		spec := command(100, []string{"echo", at.Name})
		if _, err := submit(ctx, at, bothSubmit, spec, ""); err != nil {
			return err
		}
		if _, _, err := at.Client().Declare(ctx, emergency.Declaration{
			ID: bothDeclare, Type: "both", Level: job.LevelText([]string{"critical", "low"}[i]), TTL: clock.Duration(time.Hour),
		}); err != nil {
			return fmt.Errorf("declaring at %s: %w", at.Name, err)
		}
		if _, err := at.Client().SetStrategy(ctx, []string{"priority", "fcfs"}[i], true); err != nil {
			return fmt.Errorf("setting the strategy at %s: %w", at.Name, err)
		}
		if err := rig.Pause(ctx, 20*time.Millisecond); err != nil { // of the clock: later is later
			return err
		}
	}
	return nil
}

// agreed is an error unless all brokers came to the same, which the rules say: the first
// verdict (J1), the first creation (J3), the latest level (E3) and setting.
func (c *cluster) agreed(ctx context.Context) error {
	var errs []error
	for _, at := range c.brokers {
		if _, err := until(ctx, 15*time.Second, func(ctx context.Context) error { return c.agreedAt(ctx, at) }); err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", at.Name, err))
		}
	}
	return errors.Join(errs...)
}

func (c *cluster) agreedAt(ctx context.Context, at *rig.Broker) error {
	a, b := c.brokers[0].Name, c.brokers[2].Name
	j, err := at.Client().Job(ctx, bothCancel, 0)
	if err != nil {
		return err
	}
	if j.State != job.StateCancelled || len(j.Superseded) != 1 || j.Superseded[0].By != b || j.FinishedAt > j.Superseded[0].At {
		return fmt.Errorf("the job that both cancelled is %s at %v, superseded %+v; the later one is of %s", j.State, j.FinishedAt.Time(), j.Superseded, b)
	}
	if j, err = at.Client().Job(ctx, bothSubmit, 0); err != nil {
		return err
	}
	if j.Origin != a || j.State != job.StateSucceeded || len(j.SameID) != 1 {
		return fmt.Errorf("the ID that both gave belongs to the job of %s (%s), also %v; the first is of %s", j.Origin, j.State, j.SameID, a)
	}
	if err := outputIs(ctx, at, bothSubmit, a+"\n"); err != nil {
		return err
	}
	if j, err = at.Client().Job(ctx, j.SameID[0], 0); err != nil || j.Origin != b || j.State != job.StateSucceeded {
		return first(err, fmt.Errorf("the other job of that ID is %s, of %s", j.State, j.Origin))
	}
	e, err := at.Client().Emergency(ctx, string(bothDeclare))
	if err != nil || e.Level != "low" {
		return first(err, fmt.Errorf("the emergency is %s, later it was said to be low", e.Level))
	}
	s, err := at.Client().Strategy(ctx)
	if err != nil || s.Strategy != "fcfs" {
		return first(err, fmt.Errorf("the strategy is %s, later it was set to fcfs", s.Strategy))
	}
	return nil
}
