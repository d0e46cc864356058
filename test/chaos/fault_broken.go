package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/urban-compute/ucp/api"
	"github.com/urban-compute/ucp/job"
	"github.com/urban-compute/ucp/test/rig"
)

// The faults of a broker that goes on and can't carry out jobs: its program file, or the directory where jobs run, is
// not what it was. No job may fail for that. The broker returns what it is given, withdraws its offer, and offers again
// when it can (rule J12).
var brokenKinds = []kind{
	{name: "program", lane: resources, takes: 4 * time.Second, lasts: 3 * time.Second, draw: func(d *dealer) (fault, []int) {
		who := d.some(1)
		return program{who[0]}, who
	}},
	{name: "run-file", lane: resources, lasts: 4 * time.Second, draw: func(d *dealer) (fault, []int) {
		who := d.some(1)
		return runFile{who[0]}, who
	}},
	{name: "run-read-only", lane: resources, needs: inBox, lasts: 4 * time.Second, draw: func(d *dealer) (fault, []int) {
		who := d.some(1)
		return runReadOnly{who[0]}, who
	}},
}

// program is an upgrade in place that goes wrong: the program file of a broker that runs is replaced by a script, cut
// short and removed, which concerns nobody who runs already; and then the file that runs may not be executed any more.
type program struct{ n int }

// Begin implements fault.
func (x program) Begin(ctx context.Context, w *world) error {
	b := w.brokers[x.n]
	was, _ := withdrawn(ctx, b)
	for _, s := range []struct {
		what  string
		spoil func() error
	}{
		{"replaced by a script", func() error { return replaceFile(b.Program, []byte("#!/bin/sh\nexit 1\n")) }},
		{"truncated", func() error { return replaceFile(b.Program, []byte("\x7fELF")) }},
		{"removed", func() error { return os.Remove(b.Program) }},
	} {
		w.tell("the program file of %s is %s", b.Name, s.what)
		if err := s.spoil(); err != nil {
			return err
		}
		w.submitPinned(ctx, b)
		if err := rig.Pause(ctx, time.Second); err != nil {
			return err
		}
	}
	if now, err := withdrawn(ctx, b); err == nil && was == "" && now != "" {
		w.problem("%s withdraws its offer although the program that it runs is whole: %s", b.Name, now)
	}
	w.tell("the program of %s may not be executed any more", b.Name)
	if err := os.Chmod(b.ProgramThatRuns(), 0); err != nil {
		return err
	}
	return w.mustWithdraw(ctx, b)
}

// End implements fault.
func (x program) End(_ context.Context, w *world) error {
	b := w.brokers[x.n]
	err := os.Chmod(b.ProgramThatRuns(), 0o700)
	w.tell("%s has its program back", b.Name)
	return first(err, rig.CopyProgram(w.o.ucp, b.Program))
}

// replaceFile puts another file in the place of one that may be in use.
func replaceFile(path string, content []byte) error {
	if err := os.WriteFile(path+".new", content, 0o700); err != nil {
		return err
	}
	return os.Rename(path+".new", path)
}

// runFile is a directory where jobs run in whose place there is a file.
type runFile struct{ n int }

func runDir(b *rig.Broker) (dir, aside string) {
	return filepath.Join(b.Disk, "run"), filepath.Join(b.Disk, "run.aside")
}

// Begin implements fault.
func (x runFile) Begin(ctx context.Context, w *world) error {
	b := w.brokers[x.n]
	dir, aside := runDir(b)
	w.tell("a file takes the place of the directory in which %s runs jobs", b.Name)
	if err := os.Rename(dir, aside); err != nil {
		return err
	}
	if err := os.WriteFile(dir, nil, 0o600); err != nil {
		return err
	}
	return w.mustWithdraw(ctx, b)
}

// End implements fault.
func (x runFile) End(_ context.Context, w *world) error {
	b := w.brokers[x.n]
	dir, aside := runDir(b)
	w.tell("%s has the directory back in which it runs jobs", b.Name)
	return first(os.RemoveAll(dir), os.Rename(aside, dir))
}

// runReadOnly is a directory where jobs run that becomes read-only.
type runReadOnly struct{ n int }

// Begin implements fault.
func (x runReadOnly) Begin(ctx context.Context, w *world) error {
	b := w.brokers[x.n]
	dir, _ := runDir(b)
	w.tell("the directory in which %s runs jobs becomes read-only", b.Name)
	if err := b.MountReadOnly(dir); err != nil {
		return err
	}
	return w.mustWithdraw(ctx, b)
}

// End implements fault.
func (x runReadOnly) End(_ context.Context, w *world) error {
	b := w.brokers[x.n]
	dir, _ := runDir(b)
	w.tell("%s may write again to the directory in which it runs jobs", b.Name)
	return b.UnmountReadOnly(dir)
}

// pinnedText is what a pinned job writes.
const pinnedText = "here"

// pinnedOnes is how many pinned jobs are submitted at a time: together they need more workers than are idle.
const pinnedOnes = 12

// submitPinned submits jobs that one broker alone can run, at that broker. Those that are acknowledged must succeed, as
// all jobs.
func (w *world) submitPinned(ctx context.Context, b *rig.Broker) {
	var all sync.WaitGroup
	for range pinnedOnes {
		all.Go(func() {
			t, err := w.pinnedTask(b)
			if err != nil {
				w.problem("making a job: %v", err)
				return
			}
			if s, err := w.submitAt(ctx, b, t); err == nil {
				w.acks.add(acknowledged{task: t, at: time.Now(), by: b.Name, copies: s.Replicas, degraded: s.Degraded, asked: 1})
			}
		})
	}
	all.Wait()
}

func (w *world) pinnedTask(b *rig.Broker) (*task, error) {
	w.mu.Lock()
	w.pinned++
	id := job.ID(fmt.Sprintf("pinned-%d-%05d", w.o.seed, w.pinned))
	w.mu.Unlock()
	out, err := api.Measure(api.Bytes([]byte(pinnedText)))
	return &task{id: id, kind: pinned, out: &out, spec: job.Spec{
		Driver: job.Process, Command: "sh", Args: []string{"-c", "sleep 1; printf '" + pinnedText + "'"},
		Constraints: []string{"name=" + b.Name}, Resources: job.Resources{CPU: 10}, Priority: job.Priority{User: 10},
	}}, err
}

// withdrawsWithin is how long a broker may take until a job that it can't carry out has reached its turn there.
const withdrawsWithin = 15 * time.Second

var errOffers = errors.New("it still offers to run jobs")

// mustWithdraw gives a broker jobs that it can't carry out, until it withdraws its offer.
func (w *world) mustWithdraw(ctx context.Context, b *rig.Broker) error {
	began := time.Now()
	err := w.until(ctx, withdrawsWithin, func(ctx context.Context) error {
		why, err := withdrawn(ctx, b)
		if err == nil && why == "" {
			w.submitPinned(ctx, b)
			return errOffers
		}
		if err == nil {
			w.tell("%s withdraws its offer: %s", b.Name, why)
		}
		return err
	})
	switch {
	case ctx.Err() != nil:
		return ctx.Err()
	case err != nil:
		w.problem("%s can't carry out jobs, and has not withdrawn its offer after %v: %v", b.Name, tenth(time.Since(began)), err)
		return nil
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.withdrew++
	return nil
}

// withdrawn is why a broker has withdrawn its offer, "" when it has not.
func withdrawn(ctx context.Context, b *rig.Broker) (why string, err error) {
	ctx, cancel := context.WithTimeout(ctx, answerWithin)
	defer cancel()
	s, err := b.Client().Coordination(ctx)
	return s.Withdrawn, err
}

// offersWithin is how long a broker whose trouble is over may take to notice: the longest pause between two probes,
// and a probe.
const offersWithin = 75 * time.Second

// checkOffers demands that every broker offers to run jobs again.
func (w *world) checkOffers(ctx context.Context) {
	for _, b := range w.members() {
		err := w.until(ctx, offersWithin, func(ctx context.Context) error {
			why, err := withdrawn(ctx, b)
			if err == nil && why != "" {
				err = fmt.Errorf("its offer is withdrawn: %s", why)
			}
			return err
		})
		if err != nil && ctx.Err() == nil {
			w.problem("%s does not notice that it can carry out jobs again: %v", b.Name, err)
		}
	}
}
