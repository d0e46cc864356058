package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/urban-compute/ucp/api"
	"github.com/urban-compute/ucp/job"
	"github.com/urban-compute/ucp/test/rig"
)

// cluster is the brokers of a group.
type cluster struct {
	lab     *lab
	dir     string
	brokers []*rig.Broker
	place   func(i int) rig.Place
	atEnd   []func() // what else goes with it
}

// answerWithin is the patience with one answer.
const answerWithin = 5 * time.Second

// start starts n brokers with these arguments and waits until all see each other. What
// it returns must be ended, also with an error.
func (l *lab) start(ctx context.Context, name string, n int, place func(int) rig.Place, args func(i int) []string) (*cluster, error) {
	c, err := l.launch(name, n, place, args)
	if err != nil {
		return c, err
	}
	return c, c.whole(ctx, c.brokers)
}

// launch starts a cluster, and does not wait until it is whole.
func (l *lab) launch(name string, n int, place func(int) rig.Place, args func(i int) []string) (*cluster, error) {
	c := &cluster{lab: l, dir: filepath.Join(l.o.dir, name), place: place}
	for i := range n {
		c.add(args(i)...)
	}
	if err := c.brokers[0].Start(); err != nil {
		return c, err
	}
	errs := make([]error, n)
	var all sync.WaitGroup
	for i, b := range c.brokers[1:] {
		all.Go(func() { errs[i] = b.Start() })
	}
	all.Wait()
	return c, errors.Join(errs...)
}

func onLoopback(int) rig.Place { return rig.Loopback() }

// same are the same arguments for all brokers.
func same(args ...string) func(int) []string { return func(int) []string { return args } }

// add makes a broker without starting it. It joins those that have started.
func (c *cluster) add(args ...string) *rig.Broker {
	i := len(c.brokers)
	name := fmt.Sprintf("b%d", i+1)
	b := &rig.Broker{
		Name: name, Disk: filepath.Join(c.dir, name), Log: filepath.Join(c.dir, name+".log"),
		Program: c.lab.o.ucp, Place: c.place(i), City: c.lab.city, Args: append([]string{"--disk-reserve", "16MiB"}, args...),
	}
	others := c.brokers[:i:i]
	b.Peers = func() (out []string) {
		for _, p := range c.brokers {
			if p != b && p.Gossip != "" && p.Running() {
				out = append(out, p.Gossip)
			}
		}
		return out
	}
	c.brokers = append(others, b)
	_ = os.MkdirAll(b.Disk, 0o700) // the broker's start says what is wrong with it
	return b
}

// end ends all processes.
func (c *cluster) end() {
	for _, b := range c.brokers {
		b.End()
	}
	for _, f := range c.atEnd {
		f()
	}
}

// whole waits until each of these brokers sees all others of them, and nobody else.
func (c *cluster) whole(ctx context.Context, who []*rig.Broker) error {
	for _, b := range who {
		if _, err := until(ctx, rig.StartWithin, func(ctx context.Context) error {
			s, err := b.Client().Coordination(ctx)
			if err == nil && (s.HealthyPeers != len(who)-1 || s.UnhealthyPeers > 0) {
				err = fmt.Errorf("%s sees %d healthy and %d unhealthy peers, not %d and 0", b.Name, s.HealthyPeers, s.UnhealthyPeers, len(who)-1)
			}
			return err
		}); err != nil {
			return fmt.Errorf("the brokers do not all see each other: %w", err)
		}
	}
	return nil
}

// until asks again and again until there is no error or the time is over, and returns
// how long that took.
func until(ctx context.Context, within time.Duration, ask func(context.Context) error) (time.Duration, error) {
	began := time.Now()
	ctx, cancel := context.WithTimeout(ctx, within)
	defer cancel()
	for {
		one, done := context.WithTimeout(ctx, answerWithin)
		err := ask(one)
		done()
		if err == nil {
			return time.Since(began), nil
		}
		if rig.Pause(ctx, 20*time.Millisecond) != nil {
			return time.Since(began), fmt.Errorf("after %v: %w", time.Since(began).Round(100*time.Millisecond), err)
		}
	}
}

// everywhere is until at all of these brokers.
func everywhere(ctx context.Context, who []*rig.Broker, within time.Duration, ask func(context.Context, *rig.Broker) error) (time.Duration, error) {
	errs := make([]error, len(who))
	began := time.Now()
	var all sync.WaitGroup
	for i, b := range who {
		all.Go(func() {
			if _, errs[i] = until(ctx, within, func(ctx context.Context) error { return ask(ctx, b) }); errs[i] != nil {
				errs[i] = fmt.Errorf("%s: %w", b.Name, errs[i])
			}
		})
	}
	all.Wait()
	return time.Since(began), errors.Join(errs...)
}

// others are all brokers of a list but one.
func others(who []*rig.Broker, b *rig.Broker) (out []*rig.Broker) {
	for _, x := range who {
		if x != b {
			out = append(out, x)
		}
	}
	return out
}

// command is a job that runs a native program, at brokers where these conditions hold.
func command(cpu int64, line []string, conditions ...string) job.Spec {
	return job.Spec{
		Driver: job.Process, Command: line[0], Args: line[1:], Constraints: conditions,
		Resources: job.Resources{CPU: cpu, Memory: job.DefaultMemory}, Priority: job.Priority{User: job.DefaultUser},
	}
}

// sleeps is a job that does nothing for a while.
func sleeps(cpu int64, d time.Duration, conditions ...string) job.Spec {
	return command(cpu, []string{"sleep", fmt.Sprint(d.Seconds())}, conditions...)
}

// submit hands in a job.
func submit(ctx context.Context, b *rig.Broker, id string, spec job.Spec, token string) (api.Submission, error) {
	s, err := b.Client().Submit(ctx, spec, api.SubmitOptions{ID: job.ID(id), Token: token})
	if err != nil {
		err = fmt.Errorf("submitting %s at %s: %w", id, b.Name, err)
	}
	return s, err
}

// reaches waits until a broker shows the job in one of these states.
func reaches(ctx context.Context, b *rig.Broker, id string, within time.Duration, states ...job.State) (j api.Job, err error) {
	_, err = until(ctx, within, func(ctx context.Context) error {
		var err error
		if j, err = b.Client().Job(ctx, id, 0); err != nil {
			return err
		}
		for _, s := range states {
			if j.State == s {
				return nil
			}
		}
		return fmt.Errorf("job %s is %s at %s, not %s (%s%s)", id, j.State, b.Name, states[0], j.Why, j.Reason)
	})
	return j, err
}

// ended waits until a broker shows the job as ended.
func ended(ctx context.Context, b *rig.Broker, id string, within time.Duration) (api.Job, error) {
	return reaches(ctx, b, id, within, job.StateSucceeded, job.StateFailed, job.StateCancelled, job.StateExpired)
}

// stretched is the present interval between two exchanges at a broker.
func stretched(ctx context.Context, b *rig.Broker) (time.Duration, error) {
	s, err := b.Client().Coordination(ctx)
	return time.Duration(float64(s.SyncInterval) * s.SyncStretch), err
}

// tenths rounds for people.
func tenths(d time.Duration) string {
	if d < time.Second {
		return d.Round(time.Millisecond).String()
	}
	return fmt.Sprintf("%.1f s", d.Seconds())
}

// inTime is an error when something took longer than it may.
func inTime(what string, took, limit time.Duration) error {
	if took <= limit {
		return nil
	}
	return fmt.Errorf("%s took %s, at most %s are allowed", what, tenths(took), tenths(limit))
}
