package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"time"

	"github.com/urban-compute/ucp/test/rig"
)

// The faults of the machine below a broker: it may start no more processes, others take its cores, or its disk fails.
var machineKinds = []kind{
	{name: "few-processes", lane: resources, needs: onPids, lasts: 5 * time.Second, draw: func(d *dealer) (fault, []int) {
		who := d.some(1)
		return &fewProcesses{n: who[0]}, who
	}},
	{name: "starved", lane: resources, lasts: 8 * time.Second, draw: func(d *dealer) (fault, []int) {
		return &starved{}, nil
	}},
	{name: "io-errors", lane: resources, needs: onLoop, lasts: 4 * time.Second, draw: func(d *dealer) (fault, []int) {
		who := d.some(1)
		return ioErrors{who[0]}, who
	}},
}

// fewProcesses is a broker that may have hardly more processes and threads than it has. It goes on, and what it is given
// waits or is returned (rule J12).
type fewProcesses struct {
	n  int
	lo func() error // lifts the limit
}

// processesLeft is how many processes and threads such a broker may add.
const processesLeft = 4

// Begin implements fault.
func (f *fewProcesses) Begin(ctx context.Context, w *world) (err error) {
	b := w.brokers[f.n]
	if f.lo, err = b.LimitProcesses(processesLeft); err != nil {
		return err
	}
	w.tell("%s may have %d processes and threads more than it has", b.Name, processesLeft)
	w.submitPinned(ctx, b)
	if err := w.until(ctx, 6*time.Second, b.Client().Ready); err != nil && ctx.Err() == nil {
		w.problem("%s may start no more processes, and does not serve any more: %v", b.Name, err)
	}
	return nil
}

// End implements fault.
func (f *fewProcesses) End(_ context.Context, w *world) error {
	b := w.brokers[f.n]
	if f.lo == nil {
		return nil
	}
	err := f.lo()
	w.tell("%s may start processes again", b.Name)
	if !b.Running() {
		w.problem("%s has ended by itself for want of threads; its log is %s", b.Name, b.Log)
		return first(err, w.back(b))
	}
	return err
}

// starved is a machine on which others keep all cores busy, ten times over.
type starved struct{ loops []*exec.Cmd }

// loopsPerCore is how many programs want each core of a starved machine.
const loopsPerCore = 10

// Begin implements fault.
func (s *starved) Begin(_ context.Context, w *world) error {
	n := loopsPerCore * runtime.NumCPU()
	w.tell("%d programs keep the %d cores busy that all brokers have", n, runtime.NumCPU())
	for range n {
		loop := exec.Command("sh", "-c", "while :; do :; done")
		if err := loop.Start(); err != nil {
			return fmt.Errorf("starting a busy loop: %w", err)
		}
		s.loops = append(s.loops, loop)
	}
	return nil
}

// End implements fault.
func (s *starved) End(_ context.Context, w *world) (err error) {
	for _, loop := range s.loops {
		err = first(err, loop.Process.Kill())
		_ = loop.Wait() // it was killed
	}
	w.tell("the cores are free again")
	return err
}

// ioErrors is a disk for running jobs that fails: what is written does not get there, its file system notices, and writes
// nothing more.
type ioErrors struct{ n int }

// Begin implements fault.
func (x ioErrors) Begin(ctx context.Context, w *world) error {
	b := w.brokers[x.n]
	dir, aside := runDir(b)
	if err := os.MkdirAll(aside, 0o700); err != nil {
		return err
	}
	if err := b.MountFailing(dir, aside); err != nil {
		return err
	}
	w.tell("the disk on which %s runs jobs fails", b.Name)
	return w.mustWithdraw(ctx, b)
}

// End implements fault.
func (x ioErrors) End(_ context.Context, w *world) error {
	b := w.brokers[x.n]
	dir, aside := runDir(b)
	w.tell("%s has a disk again on which it runs jobs", b.Name)
	return first(b.UnmountFailing(dir, aside), os.RemoveAll(aside))
}

// barMachine takes note of which of these faults can't be made here.
func (o *options) barMachine() {
	if err := rig.CanLimitProcesses(); err != nil {
		o.bar(err.Error(), onPids)
	}
	if why := o.barred[inBox]; why != "" {
		o.bar(why, onLoop)
	} else if err := rig.TryLoop(); err != nil {
		o.bar(err.Error(), onLoop)
	}
}
