package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/urban-compute/ucp/api"
	"github.com/urban-compute/ucp/job"
)

// patience bounds what a person waits for; 0 sets no bound.
type patience struct {
	place time.Duration // until some broker takes the job
	total time.Duration // until it has ended

	trouble func(error)    // is told while nobody answers
	among   func(*api.Job) // one of many: is told of a job that no broker has taken for a while; what is shown of one job alone would be too much
	silent  func(*api.Job) // likewise, of a job whose broker does not answer
}

// allSilent is how long a wait without a bound goes on while no broker at all answers: power comes back after minutes.
const allSilent = 10 * time.Minute

// options make a wait that goes on with the other brokers when the one that is asked does not answer any more, and
// does not end before its time.
func (p *patience) options(poll time.Duration, seen func(api.Job) error) api.WaitOptions {
	o := api.WaitOptions{Poll: poll, Seen: seen, Others: true, Patience: allSilent, Trouble: p.trouble}
	if p.total > 0 {
		o.Patience = p.total // of which the context knows better how much is left
	}
	return o
}

func (p *patience) register(cmd *cobra.Command) {
	cmd.Flags().DurationVar(&p.place, "place-timeout", 0, "give up with exit code 2 when the job has had no broker for this time, since none has taken it, or it was returned; the job stays (0: never)")
}

// sayAfter is how long a job that no broker has taken waits until it is said why, where no terminal shows it. What one queues for is
// said at the end of the first request that waits for it, some half a minute later.
const sayAfter = 2 * time.Second

// poll is how long one request may wait: short where something may have to be
// shown or decided meanwhile.
func (c *cli) poll(p patience, placed bool) time.Duration {
	d := api.MaxWait
	if c.terminal || !placed || p.place > 0 { // a broker that has taken it may return it
		d = sayAfter
	}
	if p.place > 0 {
		d = min(d, p.place)
	}
	return d
}

// errPlaced ends a wait for a placement.
var errPlaced = errors.New("placed")

// follow waits until the job is final. Until then it shows, to a person at a
// terminal, how the job stands; without one it says why no broker has taken it, each reason once, or for what it queues. submitted is when the patience began.
func (c *cli) follow(ctx context.Context, client *api.Client, id string, submitted time.Time, p patience) (api.Job, error) {
	if p.total > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeoutCause(ctx, p.total, fmt.Errorf("the job has not ended after %v, and goes on", p.total))
		defer cancel()
	}
	progress := &progress{}
	if p.among == nil {
		progress = c.newProgress()
	}
	defer progress.clear()
	say := c.newReasons(progress, "is queued").say
	back := &returned{patience: p}
	if back.say = p.among; back.say == nil && !c.terminal {
		back.say = c.newReasons(progress, "waits").say
	}
	silent := false
	seen := func(j api.Job) error {
		switch {
		case !j.Silent || silent:
		case p.silent != nil:
			p.silent(&j)
		default:
			progress.aside(c.err, oneLine(fmt.Sprintf("ucp: WARNING: job %s is %s: %s, where it was last, does not answer", j.ID, stateIn(&j), j.Executor))+"\n")
		}
		silent = j.Silent
		if j.State == job.StateQueued && p.among == nil && !c.terminal && time.Since(submitted) >= sayAfter && j.Why != "" {
			say(&j)
			say = func(*api.Job) {} // who is ahead of it changes all the time
		}
		if err := back.seen(&j, time.Now()); err != nil {
			return err
		}
		if !j.State.Final() {
			progress.show(strings.TrimSuffix(fmt.Sprintf("job %s is %s: %s", j.ID, stateIn(&j), j.Why), ": "))
		}
		return nil
	}
	p.trouble = func(err error) { progress.show(fmt.Sprintf("waiting for job %s: %v", id, err)) }
	if p.place > 0 || !c.terminal || p.among != nil {
		j, err := c.awaitPlacement(ctx, client, id, submitted, p, seen)
		if err != nil || j.State.Final() {
			return j, err
		}
		back.placed = true
	}
	j, err := client.Wait(ctx, id, p.options(c.poll(p, true), seen))
	return j, stillRunning(ctx, id, err)
}

// returned follows a job that a broker had taken and that has none again: it was returned, say, and no other can take it.
type returned struct {
	patience patience
	say      func(*api.Job) // is told why it waits; nil where a terminal shows that
	placed   bool           // a broker had taken it
	since    time.Time      // when it was first seen without one again
}

// seen takes in how the job stands, and gives up when it has had no broker for as long as it may take to find one.
func (b *returned) seen(j *api.Job, now time.Time) error {
	switch {
	case j.State != job.StatePending:
		b.placed, b.since = true, time.Time{}
	case !b.placed:
	case b.since.IsZero():
		b.since = now
		fallthrough
	default:
		if b.say != nil && j.Why != "" {
			b.say(j)
		}
		if p := b.patience.place; p > 0 && now.Sub(b.since) >= p {
			return notPlaced(j, p)
		}
	}
	return nil
}

// awaitPlacement waits until some broker has taken the job, at most p.place, if that is not 0.
func (c *cli) awaitPlacement(ctx context.Context, client *api.Client, id string, submitted time.Time, p patience, seen func(api.Job) error) (api.Job, error) {
	say := p.among
	if say == nil && !c.terminal {
		say = c.newReasons(&progress{}, "waits").say
	}
	j, err := client.Wait(ctx, id, p.options(c.poll(p, false), func(j api.Job) error {
		waited := time.Since(submitted)
		switch {
		case j.State != job.StatePending:
			return errPlaced
		case p.place > 0 && waited >= p.place:
			return notPlaced(&j, p.place)
		case say != nil && waited >= sayAfter && j.Why != "":
			say(&j)
		}
		return seen(j)
	}))
	if errors.Is(err, errPlaced) {
		return j, nil
	}
	return j, stillRunning(ctx, id, err)
}

func notPlaced(j *api.Job, after time.Duration) error {
	why := j.Why
	if why == "" {
		why = "no broker has taken it"
	}
	return &exitCode{code: exitNotPlaced, err: fmt.Errorf("job %s is not placed after %v: %s; it stays: wait with `ucp job wait %s`, or end it with `ucp job cancel %s`",
		j.ID, after, why, j.ID, j.ID)}
}

// stillRunning tells a person who stopped waiting how to go on.
func stillRunning(ctx context.Context, id string, err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, errInterrupted):
		return fmt.Errorf("interrupted; job %s goes on: follow it with `ucp job wait %s`, or end it with `ucp job cancel %s`", id, id, id)
	case ctx.Err() != nil:
		return fmt.Errorf("waiting for job %s: %w", id, context.Cause(ctx))
	}
	return fmt.Errorf("waiting for job %s: %w", id, err)
}

// leftWithin is how long the broker that stops a cancelled or expired job may take to say what it left: longer than it
// gives the program to end by itself.
const leftWithin = 15 * time.Second

// awaitLeft waits until it is known what a final job left that was stopped in the middle. After leftWithin, or an
// interrupt, it goes on with what there is, and says so.
func (c *cli) awaitLeft(ctx context.Context, client *api.Client, j api.Job) (api.Job, error) {
	ctx, cancel := context.WithTimeout(ctx, leftWithin)
	defer cancel()
	for at := stoppingAt(&j); at != ""; at = stoppingAt(&j) {
		select {
		case <-ctx.Done():
			fmt.Fprintf(c.err, "ucp: job %s: %s has not said what it left; `ucp job result %s` fetches that later\n", j.ID, at, j.ID)
			return j, nil
		case <-time.After(100 * time.Millisecond):
		}
		again, err := client.Job(ctx, string(j.ID), 0)
		if ctx.Err() != nil {
			continue
		}
		if err != nil {
			return j, err
		}
		j = again
	}
	return j, nil
}

// stoppingAt returns the broker that is stopping the job, or "".
func stoppingAt(j *api.Job) string {
	for _, a := range j.Attempts {
		if a.State == job.AttemptStopping {
			return a.Executor
		}
	}
	return ""
}
