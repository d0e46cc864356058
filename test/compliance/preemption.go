package main

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/urban-compute/ucp/api"
	"github.com/urban-compute/ucp/clock"
	"github.com/urban-compute/ucp/emergency"
	"github.com/urban-compute/ucp/job"
	"github.com/urban-compute/ucp/resolve"
	"github.com/urban-compute/ucp/test/rig"
)

var preemptionRow = row{
	name: "preemption", requirement: 7, limit: "1 s to start, 1 s to go on; the victim stands still",
	how: "under emergency a job that writes the time every 20 ms holds the core of one broker; another waits that names a flood; the flood is declared " +
		"at a second broker and cleared at a third: until the named job runs, until the first goes on; the lines of the first show when it ran",
	check: preemption,
}

// The two jobs.
const victim, urgent = "preempt-low", "preempt-flood"

func preemption(ctx context.Context, c *cluster) (figure string, err error) {
	at := c.brokers[0]
	if _, err := at.Client().SetStrategy(ctx, string(resolve.Emergency), false); err != nil {
		return "", err
	}
	low := command(roomCPU, guestLine(guestTicks, victim, "4s"), "name="+at.Name)
	low.Resources.Memory = guestMemory
	if _, err := submit(ctx, at, victim, low, ""); err != nil {
		return "", err
	}
	if _, err := reaches(ctx, at, victim, 10*time.Second, job.StateRunning); err != nil {
		return "", err
	}
	spec := sleeps(roomCPU, time.Minute, "name="+at.Name)
	spec.Priority.Emergency = "compliance-flood"
	if _, err := submit(ctx, at, urgent, spec, ""); err != nil {
		return "", err
	}
	defer func() { err = first(err, c.cancel(ctx, at, urgent)) }()
	if _, err := until(ctx, 10*time.Second, func(ctx context.Context) error { return waitsAt(ctx, at, urgent) }); err != nil {
		return "", err
	}
	if err := rig.Pause(ctx, 500*time.Millisecond); err != nil { // it writes
		return "", err
	}
	began := time.Now()
	e, _, err := c.brokers[1].Client().Declare(ctx, emergency.Declaration{Type: "compliance-flood", Level: "critical", TTL: clock.Duration(time.Hour)})
	if err != nil {
		return "", err
	}
	starts, err := c.changes(ctx, at, job.StateRunning, job.StateSuspended, began)
	if err != nil {
		_, _ = c.brokers[2].Client().ClearEmergency(ctx, string(e.ID), true) // as good as it can be
		return "", err
	}
	if err := rig.Pause(ctx, 500*time.Millisecond); err != nil {
		return "", err
	}
	cleared := time.Now()
	if _, err := c.brokers[2].Client().ClearEmergency(ctx, string(e.ID), true); err != nil {
		return "", err
	}
	goesOn, err := c.changes(ctx, at, "", job.StateRunning, cleared)
	if err != nil {
		return "", err
	}
	j, err := ended(ctx, at, victim, 20*time.Second)
	if err != nil {
		return "", err
	}
	still, err := stoodStill(ctx, at, &j, began.Add(starts), cleared)
	figure = fmt.Sprintf("starts after %s, the other goes on after %s; it stood still for %s", tenths(starts), tenths(goesOn), tenths(still))
	return figure, first(err, inTime("starting", starts, time.Second), inTime("going on", goesOn, time.Second))
}

// changes waits until both jobs are in these states, "" is any, and returns how long
// that was after a time.
func (c *cluster) changes(ctx context.Context, at *rig.Broker, of, victimIs job.State, since time.Time) (time.Duration, error) {
	_, err := until(ctx, 10*time.Second, func(ctx context.Context) error {
		for id, want := range map[string]job.State{urgent: of, victim: victimIs} {
			j, err := at.Client().Job(ctx, id, 0)
			if err != nil {
				return err
			}
			if want != "" && j.State != want {
				return fmt.Errorf("job %s is %s, not %s (%s)", id, j.State, want, j.Why)
			}
		}
		return nil
	})
	return time.Since(since), err
}

// stoodStill is for how long the victim wrote nothing, by its own lines. It is an error
// when it wrote while it had to stand still, or did not go on where it was.
func stoodStill(ctx context.Context, at *rig.Broker, j *api.Job, from, to time.Time) (longest time.Duration, err error) {
	text, err := output(ctx, at, victim)
	if err != nil {
		return 0, err
	}
	last, early, lines := int64(0), 0, strings.Fields(string(text))
	for _, l := range lines {
		ms, err := strconv.ParseInt(l, 10, 64)
		if err != nil {
			return 0, err
		}
		if t := time.UnixMilli(ms); t.After(from) && t.Before(to) {
			return 0, fmt.Errorf("it wrote a line %v after it was suspended", t.Sub(from))
		}
		if ms < from.UnixMilli() {
			early++
		}
		if last > 0 {
			longest = max(longest, time.Duration(ms-last)*time.Millisecond)
		}
		last = ms
	}
	if early == 0 || longest < to.Sub(from) {
		return longest, fmt.Errorf("it wrote %d lines before it was suspended, and then paused for %v", early, longest)
	}
	if want := int(4 * time.Second / tickEvery); len(lines) != want || j.Attempt != 1 || j.State != job.StateSucceeded {
		return longest, fmt.Errorf("it %s in attempt %d with %d lines of %d", j.State, j.Attempt, len(lines), want)
	}
	return longest, nil
}
