package main

import (
	"context"
	"fmt"
	"os/exec"
)

// What the brokers of the group of jobs are told: what their metadata must then say.
const (
	roomCPU     = 1000
	roomMemory  = 2 << 30
	keptHistory = 8
)

var zones = []string{"north", "south", "south"}

// jobsGroup has jobs that compete for one core, at brokers that differ in their labels.
func jobsGroup() group {
	rows := []row{metadataRow}
	rows = append(rows, strategyRows()...)
	return group{
		name: "jobs",
		open: func(ctx context.Context, l *lab, name string) (*cluster, error) {
			return l.start(ctx, name, 3, onLoopback, func(i int) []string {
				return []string{
					"--sync-interval", "2s", "--cpu", fmt.Sprintf("%dm", roomCPU), "--memory", fmt.Sprint(roomMemory), "--device", "camera=2",
					"--label", "zone=" + zones[i], "--conflict-history", fmt.Sprint(keptHistory),
				}
			})
		},
		rows: append(rows, causalOrderRow, tiesRow, historyRow, preemptionRow, trackingRow, endpointsRow),
	}
}

// ucp runs the command line against a broker, or with no broker beside all of them.
func (c *cluster) ucp(ctx context.Context, args ...string) ([]byte, error) {
	cmd := exec.CommandContext(ctx, c.lab.o.ucp, args...)
	cmd.Env = c.lab.city.Environment()
	out, err := cmd.Output()
	if err != nil {
		if e, ok := err.(*exec.ExitError); ok {
			err = fmt.Errorf("%w: %.300s", err, e.Stderr)
		}
		return nil, fmt.Errorf("ucp %v: %w", args, err)
	}
	return out, nil
}
