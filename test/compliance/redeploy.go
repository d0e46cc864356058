package main

import (
	"context"
	"fmt"
	"os"
	"syscall"
	"time"

	"github.com/urban-compute/ucp/api"
	"github.com/urban-compute/ucp/job"
	"github.com/urban-compute/ucp/test/rig"
)

// redeployDelay is the --redeploy-delay of the brokers that lose an executor.
const redeployDelay = time.Second

// replaceWithin is from the detection to the new placement: that delay, and the second
// that docs/design.md allows ("Where a job stands").
const replaceWithin = redeployDelay + time.Second

var redeployRow = row{
	name: "redeploy", requirement: 10, limit: "elsewhere 2 s after detection; one accepted, the late one rejected",
	how: "--redeploy-delay 1s: SIGSTOP to the executor of a job of 3 s (its worker goes on) until another broker has run the job; then " +
		"SIGCONT, until the late result stands in `rejected` at every broker; all name the same accepted attempt",
	within: 2 * time.Minute, check: redeploy,
}

func redeploy(ctx context.Context, c *cluster) (string, error) {
	const id = "redeployed"
	owner, tag := c.brokers[0], fmt.Sprintf("%s-%d", id, os.Getpid())
	spec := command(200, guestLine(guestTicks, tag, "3s"), "name!="+owner.Name)
	spec.Resources.Memory = guestMemory
	if _, err := submit(ctx, owner, id, spec, ""); err != nil {
		return "", err
	}
	j, err := reaches(ctx, owner, id, 10*time.Second, job.StateRunning)
	if err != nil {
		return "", err
	}
	lost, other := c.brokers[1], c.brokers[2]
	if j.Executor == other.Name {
		lost, other = other, lost
	}
	runs := func(context.Context) error { _, err := processOf(tag); return err }
	if _, err := until(ctx, 10*time.Second, runs); err != nil { // a record says so before
		return "", err
	}
	lost.Signal(syscall.SIGSTOP)
	defer lost.Signal(syscall.SIGCONT)
	seen, moved, err := moves(ctx, owner, lost.Name, id)
	if err != nil {
		return "", err
	}
	accepted, err := ended(ctx, owner, id, 20*time.Second)
	if err != nil {
		return "", err
	}
	if _, err := until(ctx, 20*time.Second, func(ctx context.Context) error {
		if runs(ctx) == nil {
			return fmt.Errorf("the job still runs somewhere")
		}
		return nil
	}); err != nil {
		return "", err
	}
	lost.Signal(syscall.SIGCONT)
	late, err := everywhere(ctx, c.brokers, 20*time.Second, func(ctx context.Context, b *rig.Broker) error {
		j, err := b.Client().Job(ctx, id, 0)
		return first(err, rejects(&j, &accepted, other.Name, lost.Name))
	})
	figure := fmt.Sprintf("SIGSTOP seen after %s, placed elsewhere %s later", tenths(seen), tenths(moved))
	if err == nil {
		figure += fmt.Sprintf("; 1 accepted (%s), 1 rejected (%s), %s after its return", other.Name, lost.Name, tenths(late))
	}
	return figure, first(err, c.whole(ctx, c.brokers), inTime("placing it elsewhere", moved, replaceWithin))
}

// moves waits until the owner has lost a job's executor, and then until the job has
// another.
func moves(ctx context.Context, owner *rig.Broker, lost, id string) (seen, moved time.Duration, err error) {
	if seen, err = until(ctx, 3*detectWithin, func(ctx context.Context) error { return lists(ctx, owner, lost, false) }); err != nil {
		return 0, 0, err
	}
	moved, err = until(ctx, 3*detectWithin, func(ctx context.Context) error {
		j, err := owner.Client().Job(ctx, id, 0)
		if err == nil && j.Executor == lost {
			err = fmt.Errorf("the job is %s at %s", j.State, j.Executor)
		}
		return err
	})
	return seen, moved, err
}

// rejects is an error unless the first result is accepted and the other is listed as
// rejected.
func rejects(j, was *api.Job, accepted, rejected string) error {
	switch {
	case j.State != job.StateSucceeded || j.Accepted == nil:
		return fmt.Errorf("the job is %s without a result", j.State)
	case j.Accepted.Executor != accepted || was.Accepted == nil || j.Accepted.Attempt != was.Accepted.Attempt:
		return fmt.Errorf("the accepted result is that of %s, attempt %s", j.Accepted.Executor, j.Accepted.Attempt)
	case len(j.Rejected) != 1 || j.Rejected[0].Executor != rejected:
		return fmt.Errorf("rejected are %v, not the late result of %s", j.Rejected, rejected)
	}
	return nil
}
