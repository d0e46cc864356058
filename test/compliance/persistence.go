package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"time"

	"github.com/urban-compute/ucp/api"
	"github.com/urban-compute/ucp/clock"
	"github.com/urban-compute/ucp/emergency"
	"github.com/urban-compute/ucp/job"
	"github.com/urban-compute/ucp/test/rig"
)

var persistenceRow = row{
	name: "persistence", requirement: 12, limit: "nothing is lost",
	how: "SIGKILL to all three brokers at once, then all start again: 12 ended jobs with their output, 6 that wait for a broker with a label " +
		"that nobody has, an emergency, the cluster's strategy, and each broker's vector clock are as they were, at each broker",
	check: persistence,
}

const (
	endedJobs   = 12
	waitingJobs = 6
)

// memory is what must outlive the processes.
type memory struct {
	jobs      map[string]api.Job
	clocks    map[string]clock.Vector
	emergency emergency.ID
	strategy  string
}

func persistence(ctx context.Context, c *cluster) (string, error) {
	was, err := c.write(ctx)
	if err != nil {
		return "", err
	}
	errs := make([]error, 2*len(c.brokers))
	var all sync.WaitGroup
	for i, b := range c.brokers {
		all.Go(func() { errs[i] = b.Kill() })
	}
	all.Wait()
	began := time.Now()
	for i, b := range c.brokers {
		all.Go(func() { errs[len(c.brokers)+i] = b.Start() })
	}
	all.Wait()
	if err := first(errors.Join(errs...), c.whole(ctx, c.brokers)); err != nil {
		return "", err
	}
	_, err = everywhere(ctx, c.brokers, 20*time.Second, func(ctx context.Context, b *rig.Broker) error { return was.holds(ctx, b) })
	figure := fmt.Sprintf("%d jobs, 1 emergency, strategy %s, 3 clocks; up and complete after %s", len(was.jobs), was.strategy, tenths(time.Since(began)))
	if err != nil {
		figure = ""
	}
	_, clean := c.brokers[0].Client().ClearEmergency(ctx, string(was.emergency), false)
	return figure, first(err, clean)
}

// write makes something to remember, and waits until all brokers hold it.
func (c *cluster) write(ctx context.Context) (*memory, error) {
	was := &memory{jobs: map[string]api.Job{}, clocks: map[string]clock.Vector{}, strategy: "priority"}
	if _, err := c.brokers[0].Client().SetStrategy(ctx, was.strategy, true); err != nil {
		return nil, err
	}
	e, _, err := c.brokers[1].Client().Declare(ctx, emergency.Declaration{Type: "persistence", Level: "low", TTL: clock.Duration(time.Hour)})
	if err != nil {
		return nil, err
	}
	was.emergency = e.ID
	for i := range endedJobs + waitingJobs {
		id, b := fmt.Sprint("kept-", i), c.brokers[i%len(c.brokers)]
		spec := command(100, []string{"echo", id})
		if i >= endedJobs {
			spec.Constraints = []string{"nobody-has-this"}
		}
		if _, err := submit(ctx, b, id, spec, ""); err != nil {
			return nil, err
		}
		j := api.Job{State: job.StatePending}
		if i < endedJobs {
			if j, err = ended(ctx, b, id, 20*time.Second); err != nil {
				return nil, err
			}
		}
		was.jobs[id] = j
	}
	if _, err := everywhere(ctx, c.brokers, 20*time.Second, func(ctx context.Context, b *rig.Broker) error { return was.holds(ctx, b) }); err != nil {
		return nil, fmt.Errorf("before the kill: %w", err)
	}
	for _, b := range c.brokers {
		d, err := b.Client().Digest(ctx, true)
		if err != nil {
			return nil, err
		}
		was.clocks[b.Name] = d.Clock
	}
	return was, nil
}

// holds is an error unless a broker remembers all.
func (m *memory) holds(ctx context.Context, b *rig.Broker) error {
	for id, was := range m.jobs {
		j, err := b.Client().Job(ctx, id, 0)
		switch {
		case err != nil:
			return fmt.Errorf("job %s: %w", id, err)
		case j.State != was.State || (was.Accepted != nil) != (j.Accepted != nil):
			return fmt.Errorf("job %s is %s, it was %s", id, j.State, was.State)
		case was.Accepted == nil:
			continue
		case was.Accepted.Attempt != j.Accepted.Attempt || *was.ExitCode != *j.ExitCode:
			return fmt.Errorf("job %s has another result than it had", id)
		}
		if err := outputIs(ctx, b, id, id+"\n"); err != nil {
			return err
		}
	}
	s, err := b.Client().Coordination(ctx)
	if err != nil {
		return err
	}
	d, err := b.Client().Digest(ctx, true) // with what the entries of its clock imply
	switch {
	case err != nil:
		return err
	case s.Strategy != m.strategy:
		return fmt.Errorf("the strategy is %s, it was %s", s.Strategy, m.strategy)
	case !d.Clock.Covers(m.clocks[b.Name]):
		return fmt.Errorf("the clock %v does not cover what it was: %v", d.Clock, m.clocks[b.Name])
	}
	e, err := b.Client().Emergency(ctx, string(m.emergency))
	if err == nil && !e.Active {
		err = errors.New("the emergency is not active any more")
	}
	return err
}

// outputIs is an error unless a job's stdout is this.
func outputIs(ctx context.Context, b *rig.Broker, id, want string) error {
	got, err := output(ctx, b, id)
	if err == nil && !bytes.Equal(got, []byte(want)) {
		err = fmt.Errorf("the output of %s at %s is %.80q", id, b.Name, got)
	}
	return err
}

// output reads a job's stdout.
func output(ctx context.Context, b *rig.Broker, id string) ([]byte, error) {
	r, err := b.Client().Stdout(ctx, id)
	if err != nil {
		return nil, err
	}
	defer r.Close()
	return io.ReadAll(io.LimitReader(r, 1<<20))
}
