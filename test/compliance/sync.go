package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/urban-compute/ucp/api"
	"github.com/urban-compute/ucp/test/rig"
)

// shortSync is the interval of the brokers that are waited for.
const shortSync = 5 * time.Second

// syncGroup has only the periodic exchange.
func syncGroup() group {
	return group{
		name: "sync",
		open: func(ctx context.Context, l *lab, name string) (*cluster, error) {
			return l.start(ctx, name, 3, onLoopback, same("--news-links=false", "--sync-interval", shortSync.String(), "--replicas", "1"))
		},
		rows: []row{{
			name: "sync-interval", requirement: 0, limit: "the interval: 5 s, stretched as the status says; default 1m0s",
			how: "3 brokers, --news-links=false --sync-interval 5s: six jobs, two written at each broker at odd times, are looked for at the " +
				"others; then nothing is written: until each has exchanged clocks with each (attempts of coordination-status); the default of a fourth broker",
			check: syncInterval,
		}},
	}
}

// syncInterval measures how long news takes that only the exchange carries.
func syncInterval(ctx context.Context, c *cluster) (string, error) {
	limit := shortSync
	for _, b := range c.brokers {
		d, err := stretched(ctx, b)
		if err != nil {
			return "", err
		}
		limit = max(limit, d)
	}
	// A young link makes its first exchange early.
	if err := rig.Pause(ctx, 3*time.Second); err != nil {
		return "", err
	}
	took, errs := make([]time.Duration, 6), make([]error, 6)
	var all sync.WaitGroup
	for i := range took {
		all.Go(func() {
			errs[i] = rig.Pause(ctx, time.Duration(i)*1100*time.Millisecond)
			if errs[i] == nil {
				took[i], errs[i] = spreads(ctx, c, i, 3*limit)
			}
		})
	}
	all.Wait()
	if err := errors.Join(errs...); err != nil {
		return "", err
	}
	longest := slices.Max(took)
	quiet, err := c.exchanges(ctx, 3*limit)
	if err != nil {
		return "", err
	}
	// Under load the interval may have been stretched meanwhile.
	for _, b := range c.brokers {
		d, err := stretched(ctx, b)
		if err != nil {
			return "", err
		}
		limit = max(limit, d)
	}
	standard, err := defaultInterval(ctx, c)
	figure := fmt.Sprintf("slowest of 12 arrivals after %s, all 6 pairs after %s, interval now %s; default %v", tenths(longest), tenths(quiet), tenths(limit), standard)
	if err != nil {
		return figure, err
	}
	if standard != time.Minute {
		return figure, fmt.Errorf("the default interval is %v", standard)
	}
	// A reader looks every 20 ms, and what arrives is synced before it is shown.
	return figure, first(inTime("the slowest arrival", longest, limit+200*time.Millisecond), inTime("the slowest pair", quiet, limit+200*time.Millisecond))
}

// exchanges waits until every broker has sent a message to every other, though there is
// no news: push-pull alone meets one at random (rule S2).
func (c *cluster) exchanges(ctx context.Context, within time.Duration) (time.Duration, error) {
	before := map[string]api.Coordination{}
	for _, b := range c.brokers {
		var err error
		if before[b.Name], err = b.Client().Coordination(ctx); err != nil {
			return 0, err
		}
	}
	return everywhere(ctx, c.brokers, within, func(ctx context.Context, b *rig.Broker) error {
		s, err := b.Client().Coordination(ctx)
		if err != nil {
			return err
		}
		for name, p := range s.PeerBrokers {
			if p.Attempts <= before[b.Name].PeerBrokers[name].Attempts {
				return fmt.Errorf("%s has sent nothing to %s", b.Name, name)
			}
		}
		return nil
	})
}

// spreads writes a job at one broker and waits until all others know it.
func spreads(ctx context.Context, c *cluster, i int, within time.Duration) (time.Duration, error) {
	b, id := c.brokers[i%len(c.brokers)], fmt.Sprint("news-", i)
	if _, err := submit(ctx, b, id, command(100, []string{"true"}, "name="+b.Name), ""); err != nil {
		return 0, err
	}
	return c.known(ctx, id, within)
}

// known waits until all brokers know a job.
func (c *cluster) known(ctx context.Context, id string, within time.Duration) (time.Duration, error) {
	return everywhere(ctx, c.brokers, within, knows(id))
}

// defaultInterval asks a broker that was told none.
func defaultInterval(ctx context.Context, c *cluster) (time.Duration, error) {
	b := c.add()
	if err := b.Start(); err != nil {
		return 0, err
	}
	s, err := b.Client().Coordination(ctx)
	return time.Duration(s.SyncInterval), err
}
