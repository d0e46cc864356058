package main

import (
	"context"
	"fmt"
	"time"

	"github.com/urban-compute/ucp/test/rig"
)

// idleGroup has brokers that are left alone, with all settings as they come.
func idleGroup() group {
	return group{
		name: "idle",
		open: func(ctx context.Context, l *lab, name string) (*cluster, error) {
			return l.start(ctx, name, 3, onLoopback, same())
		},
		rows: []row{{
			name: "idle-cpu", requirement: 13, limit: "1 % of a core a peer",
			how: "idle brokers with the default settings, 3 and then 5 of them: CPU time of their processes by /proc over 12 s, of a core, for each " +
				"broker and for each of its peers",
			within: 2 * time.Minute, check: idleCPU,
		}},
	}
}

// idleLimit is in percent of a core.
const idleLimit = 1.0

func idleCPU(ctx context.Context, c *cluster) (string, error) {
	small, err := c.idle(ctx)
	if err != nil {
		return "", err
	}
	for range 2 {
		if err := c.add().Start(); err != nil {
			return "", err
		}
	}
	if err := c.whole(ctx, c.brokers); err != nil {
		return "", err
	}
	large, err := c.idle(ctx)
	figure := fmt.Sprintf("3 brokers: %.2f %% each, %.2f %% a peer; 5: %.2f %% each, %.2f %% a peer", small, small/2, large, large/4)
	if err != nil {
		return figure, err
	}
	if worst := max(small/2, large/4); worst > idleLimit {
		return figure, fmt.Errorf("%.2f %% of a core a peer, at most %.0f %% are allowed", worst, idleLimit)
	}
	return figure, nil
}

// idle measures what a broker uses at the mean, in percent of a core.
func (c *cluster) idle(ctx context.Context) (float64, error) {
	const settle, over = 6 * time.Second, 12 * time.Second
	if err := rig.Pause(ctx, settle); err != nil {
		return 0, err
	}
	before, err := cpuOfAll(c.brokers)
	if err != nil {
		return 0, err
	}
	began := time.Now()
	if err := rig.Pause(ctx, over); err != nil {
		return 0, err
	}
	after, err := cpuOfAll(c.brokers)
	return 100 * (after - before).Seconds() / time.Since(began).Seconds() / float64(len(c.brokers)), err
}

// cpuOfAll is what the brokers themselves have used; idle ones have no workers.
func cpuOfAll(all []*rig.Broker) (sum time.Duration, err error) {
	for _, b := range all {
		d, err := cpuOf(b.Pid())
		if err != nil {
			return 0, err
		}
		sum += d
	}
	return sum, nil
}
