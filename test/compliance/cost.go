package main

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/urban-compute/ucp/resolve"
)

// costRow compares causal with the baseline, fcfs, as docs/performance.md does for whole
// submissions. What dependencies alone add to a decision stands beside it.
var costRow = row{
	name: "causal-cost", requirement: 13, limit: "3 % more than fcfs",
	how: "in this process: queues of 10,000 jobs, a quarter with dependencies, under causal and under fcfs (the baseline) take the same arrivals by turns of 50: how " +
		"much longer causal takes to decide, median of 400 turns; and beside it how much longer than causal on the same jobs without dependencies",
	check: causalCost,
}

// costLimit is what causal ordering may add.
const costLimit = 0.03

// Turns are short, so that whatever else the machine does meets both alike.
const (
	costTurns = 400
	costTurn  = 50
)

func causalCost(context.Context, *cluster) (string, error) {
	start := time.Now()
	wall := func() time.Duration { return time.Since(start) }
	backlogs := []*backlog{newBacklog(resolve.Causal, 10_000), backlogOf(resolve.Causal, 10_000, true), newBacklog(resolve.FCFS, 10_000)}
	var each, free, fcfs []float64
	for i := range costTurns {
		var took [3]time.Duration
		for k := range backlogs {
			which := (i + k) % len(backlogs) // which one is first alternates
			for range costTurn {
				took[which] += backlogs[which].arrive(wall)
			}
		}
		each = append(each, took[0].Seconds()*1e6/costTurn)
		free = append(free, took[0].Seconds()/took[1].Seconds()-1)
		fcfs = append(fcfs, took[0].Seconds()/took[2].Seconds()-1)
	}
	figure := fmt.Sprintf("%+.1f %% beside fcfs, %.1f us a decision; dependencies alone add %.1f %% to it", 100*median(fcfs), median(each), 100*median(free))
	if cost := median(fcfs); cost > costLimit {
		return figure, fmt.Errorf("causal ordering adds %.1f %%, at most %.0f %% are allowed", 100*cost, 100*costLimit)
	}
	return figure, nil
}

func median(list []float64) float64 {
	s := slices.Sorted(slices.Values(list))
	return s[len(s)/2]
}
