package main

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/urban-compute/ucp/api"
	"github.com/urban-compute/ucp/clock"
	"github.com/urban-compute/ucp/job"
	"github.com/urban-compute/ucp/resolve"
	"github.com/urban-compute/ucp/test/rig"
)

// One backlog waits for one core, and each strategy has its own favourite among it.
//
//	c        came first                          user 3                        300 points
//	a        what b's submitter had seen         user 1                        100, inherits b's
//	b        the highest score                   user 9, weight 10           1,100
//	e        the highest level                   level low                   1,000
//	s1, s2   half a core each                    user 8                        800 each, 1,600 together
//	d        the only deadline, hours away       user 0                          0
var backlogNames = []string{"c", "a", "b", "e", "s1", "s2", "d"}

// favourite is the job of the backlog that starts first under a strategy.
type favourite struct {
	first []string
	why   string
}

// favourites are worked out by hand. A strategy that is not listed is held to what package resolve decides in this
// process: that shows that a broker adopts it, not that it is right.
var favourites = map[resolve.Strategy]favourite{
	resolve.Causal:    {[]string{"a"}, "the job that the most urgent one's submitter had seen"},
	resolve.Priority:  {[]string{"b"}, "the one of the highest score (1,100)"},
	resolve.Emergency: {[]string{"e"}, "the one with an emergency level, though its score is lower (1,000)"},
	resolve.Optimal:   {[]string{"s1", "s2"}, "the two that fit together and are worth more (1,600)"},
	resolve.FCFS:      {[]string{"c"}, "the one that came first"},
}

// favouriteOf is what is expected of a strategy.
func favouriteOf(s resolve.Strategy) favourite {
	if f, ok := favourites[s]; ok {
		f.why += ", which no other strategy starts first,"
		return f
	}
	now := clock.At(time.Now())
	backlog := resolve.Snapshot{Now: now, Strategy: s, Weights: resolve.DefaultWeights(), Capacity: job.Resources{CPU: roomCPU, Memory: roomMemory}}
	for i, name := range backlogNames {
		spec := contender(name, &rig.Broker{})
		p := spec.Priority
		c := &resolve.Candidate{
			Key: name, Arrived: clock.HybridAt(now.Time().Add(time.Duration(i-len(backlogNames)) * time.Millisecond)),
			Want: job.Resources{CPU: spec.Resources.CPU, Memory: 1},
			User: int(p.User), Level: max(job.Level(p.Emergency), 0), Weight: int(p.Weight), Part: spec.WeightPart, Urgency: spec.Urgency, Deadline: p.Deadline, Mode: spec.Preemption,
		}
		if name == "b" {
			c.Deps = []string{"a"}
		}
		backlog.Pending = append(backlog.Pending, c)
	}
	return favourite{resolve.Plan(backlog).Start, "what package resolve starts in this process"}
}

// strategyRows has one row for each strategy, and one for the cluster's.
func strategyRows() (out []row) {
	for _, s := range resolve.All() {
		f := favouriteOf(s)
		out = append(out, row{
			name: "strategy-" + string(s), requirement: 6, limit: strings.Join(f.first, " and ") + " first; same process",
			how: fmt.Sprintf("%d jobs wait for one core under another strategy; PUT /v1/strategy %s, then the core is free: %s must start",
				len(backlogNames), s, f.why),
			check: func(ctx context.Context, c *cluster) (string, error) { return firstUnder(ctx, c, s, f.first) },
		})
	}
	return append(out, row{
		name: "strategy-switch", requirement: 6, limit: "2 s; the running job is not touched",
		how:   "PUT /v1/strategy with cluster at one broker while a job runs at another: until all three have it; the job's attempt and start stay, processes too",
		check: switching,
	})
}

// contender makes the spec of one of the backlog.
func contender(name string, at *rig.Broker) job.Spec {
	spec := sleeps(roomCPU, 20*time.Second, "name="+at.Name)
	spec.Preemption = job.Never
	switch p := &spec.Priority; name {
	case "a":
		p.User = 1
	case "b":
		p.User, p.Weight = 9, 10
	case "c":
		p.User = 3
	case "d":
		p.User, p.Deadline = 0, clock.At(time.Now().Add(3*time.Hour))
	case "e":
		p.User, p.Emergency = 0, "low"
	default:
		p.User, spec.Resources.CPU = 8, roomCPU/2
	}
	return spec
}

// firstUnder lets the backlog come under one strategy and decides under another.
func firstUnder(ctx context.Context, c *cluster, s resolve.Strategy, want []string) (figure string, err error) {
	at := c.brokers[0]
	before, pid, err := c.alive(ctx, at)
	if err != nil {
		return "", err
	}
	all := resolve.All()
	other := all[(slices.Index(all, s)+1)%len(all)]
	if _, err := at.Client().SetStrategy(ctx, string(other), false); err != nil {
		return "", err
	}
	id := func(name string) string { return fmt.Sprintf("%s-%s", s, name) }
	holder := sleeps(roomCPU, time.Minute, "name="+at.Name)
	holder.Preemption = job.Never
	if _, err := submit(ctx, at, id("holder"), holder, ""); err != nil {
		return "", err
	}
	if _, err := reaches(ctx, at, id("holder"), 10*time.Second, job.StateRunning); err != nil {
		return "", err
	}
	ids, token := []string{}, ""
	for _, name := range backlogNames {
		seen := ""
		if name == "b" {
			seen = token
		}
		done, err := submit(ctx, at, id(name), contender(name, at), seen)
		if err != nil {
			return "", err
		}
		if name == "a" {
			token = done.CausalToken
		}
		ids = append(ids, id(name))
	}
	defer func() { err = first(err, c.cancel(ctx, at, append(ids, id("holder"))...)) }()
	if _, err := at.Client().SetStrategy(ctx, string(s), false); err != nil {
		return "", err
	}
	if _, err := at.Client().Cancel(ctx, id("holder")); err != nil {
		return "", err
	}
	got, err := started(ctx, at, id, len(want))
	figure = strings.Join(got, " and ") + " first"
	if err == nil && !slices.Equal(got, want) {
		err = fmt.Errorf("%s started, not %s", figure, strings.Join(want, " and "))
	}
	return figure, first(err, c.sameLife(ctx, at, before, pid))
}

// started waits until n of the backlog run, and names those that do.
func started(ctx context.Context, at *rig.Broker, id func(string) string, n int) (got []string, err error) {
	_, err = until(ctx, 10*time.Second, func(ctx context.Context) error {
		got = nil
		for _, name := range backlogNames {
			j, err := at.Client().Job(ctx, id(name), 0)
			if err != nil {
				return err
			}
			if j.State == job.StateRunning {
				got = append(got, name)
			}
		}
		if len(got) < n {
			return fmt.Errorf("%d of the jobs run (%v)", len(got), got)
		}
		return nil
	})
	return got, err
}

// alive is which life of a broker this is.
func (c *cluster) alive(ctx context.Context, b *rig.Broker) (api.Coordination, int, error) {
	s, err := b.Client().Coordination(ctx)
	return s, b.Pid(), err
}

// sameLife is an error when a broker was started again since.
func (c *cluster) sameLife(ctx context.Context, b *rig.Broker, before api.Coordination, pid int) error {
	s, err := b.Client().Coordination(ctx)
	if err == nil && (s.Actor != before.Actor || b.Pid() != pid || s.Uptime < before.Uptime) {
		err = fmt.Errorf("%s was started again: actor %s, before %s", b.Name, s.Actor, before.Actor)
	}
	return err
}

func switching(ctx context.Context, c *cluster) (figure string, err error) {
	const id = "switch-runs"
	a, at := c.brokers[0], c.brokers[2]
	before, pid, err := c.alive(ctx, at)
	if err != nil {
		return "", err
	}
	if _, err := submit(ctx, at, id, sleeps(100, time.Minute, "name="+at.Name), ""); err != nil {
		return "", err
	}
	was, err := reaches(ctx, at, id, 10*time.Second, job.StateRunning)
	if err != nil {
		return "", err
	}
	defer func() { err = first(err, c.cancel(ctx, at, id)) }()
	var longest time.Duration
	order := resolve.All()
	slices.Reverse(order)
	order = append(order, resolve.Priority) // for the rows after this one
	for _, s := range order {
		if _, err := a.Client().SetStrategy(ctx, string(s), true); err != nil {
			return "", err
		}
		took, err := everywhere(ctx, c.brokers, 10*time.Second, func(ctx context.Context, b *rig.Broker) error {
			got, err := b.Client().Strategy(ctx)
			if err == nil && got.Strategy != string(s) {
				err = fmt.Errorf("its strategy is %s, not %s", got.Strategy, s)
			}
			return err
		})
		if err != nil {
			return "", err
		}
		longest = max(longest, took)
	}
	now, err := at.Client().Job(ctx, id, 0)
	if err == nil && (now.State != job.StateRunning || now.Attempt != was.Attempt || now.StartedAt != was.StartedAt) {
		err = fmt.Errorf("the job is %s, attempt %d, since %v", now.State, now.Attempt, now.StartedAt)
	}
	figure = fmt.Sprintf("%d switches, the slowest everywhere after %s", len(order), tenths(longest))
	return figure, first(err, c.sameLife(ctx, at, before, pid), inTime("a switch", longest, 2*time.Second))
}
