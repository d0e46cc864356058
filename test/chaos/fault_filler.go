package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/urban-compute/ucp/api"
	"github.com/urban-compute/ucp/job"
	"github.com/urban-compute/ucp/test/rig"
)

// The fault of jobs that take the disk from all others.
var fillerKinds = []kind{
	{name: "filler", lane: resources, needs: inBox, takes: 8 * time.Second, lasts: time.Second, draw: func(d *dealer) (fault, []int) {
		return filler{}, []int{smallDisk}
	}},
}

// filler is two jobs that write without end at a broker with a small disk: one that may have more than there is, which
// that broker returns before its reserve is touched (rule J12), and one that may have little, which fails.
type filler struct{}

const (
	fillerEndsWithin   = 15 * time.Second // from when a filler has written what ends it
	fillerWritesWithin = time.Minute      // on a starved machine even a filler writes little
	fillerNear         = 32 << 20         // bytes above the reserve, below which a broker ends who has written most
)

// Begin implements fault.
func (filler) Begin(ctx context.Context, w *world) error {
	b := w.brokers[smallDisk]
	w.tell("jobs fill the disk of %s", b.Name)
	fillDisk(ctx, w, b, 8<<20, "failed", func(j api.Job) bool {
		return j.State == job.StateFailed && strings.Contains(j.Reason, "wrote more than its 8 MiB")
	})
	fillDisk(ctx, w, b, job.DefaultDisk, "been returned", func(j api.Job) bool {
		for _, a := range j.Attempts {
			if a.State == job.AttemptReturned && strings.Contains(a.Reason, "nearly full") {
				return true
			}
		}
		return false
	})
	if err := w.until(ctx, 6*time.Second, b.Client().Ready); err != nil && ctx.Err() == nil {
		w.problem("jobs have filled the disk of %s, and it does not serve any more: %v", b.Name, err)
	}
	return nil
}

// fillDisk submits a job that may have so much of the disk and wants more, until it has ended as it must, and then cancels it.
func fillDisk(ctx context.Context, w *world, b *rig.Broker, disk int64, must string, ended func(api.Job) bool) {
	w.mu.Lock()
	w.pinned++
	id := job.ID(fmt.Sprintf("filler-%d-%05d", w.o.seed, w.pinned))
	w.mu.Unlock()
	spec := job.Spec{
		Driver: job.Process, Command: "sh", Args: []string{"-c", "while :; do head -c 16000000 /dev/zero >> big; sleep 0.1; done"},
		Disk: disk, Constraints: []string{"name=" + b.Name}, Priority: job.Priority{User: 10},
		// Beside others a program gets of the cores what it asks for. It asks for half of one, and writes much at once, so that it
		// fills the disk in seconds however busy the machine is. A disk in memory is charged to who writes.
		Resources: job.Resources{CPU: 500, Memory: smallDiskBytes + 64<<20},
	}
	enough := uint64(smallReserve + fillerNear) // less than that is free when it has written what ends it
	if free, err := rig.Free(b.Disk); err == nil && disk < fillerNear && free > uint64(2*disk) {
		enough = free - uint64(2*disk)
	}
	err := w.until(ctx, fillerEndsWithin, func(ctx context.Context) error {
		_, err := w.submitAt(ctx, b, &task{id: id, spec: spec})
		return err
	})
	if err != nil {
		return // it takes no jobs, which other faults look at
	}
	due, overdue := time.Now().Add(fillerEndsWithin), error(nil)
	err = w.until(ctx, fillerWritesWithin, func(ctx context.Context) error {
		j, err := b.Client().Job(ctx, string(id), 0)
		if err == nil && ended(j) {
			return nil
		}
		if err == nil {
			err = fmt.Errorf("it is %s: %w", j.State, errors.New(or(j.Reason, "no reason")))
		}
		if free, ferr := rig.Free(b.Disk); ferr == nil && free > enough {
			due = time.Now().Add(fillerEndsWithin)
		}
		if time.Now().After(due) {
			overdue = err
			return nil
		}
		return err
	})
	switch {
	case ctx.Err() != nil:
	case overdue != nil:
		w.problem("%s, which fills the disk of %s, has not %s %v after it had written what ends it: %v", id, b.Name, must, fillerEndsWithin, overdue)
	case err != nil:
		w.tell("%s has written too little of the disk of %s within %v: %v", id, b.Name, fillerWritesWithin, err)
	}
	_, _ = b.Client().Cancel(ctx, string(id)) // it may have ended
}

// End implements fault.
func (filler) End(ctx context.Context, w *world) error {
	b := w.brokers[smallDisk]
	w.tell("nothing fills the disk of %s any more", b.Name)
	w.mustTake(ctx, b)
	return nil
}
