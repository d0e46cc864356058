package executor

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"syscall"
	"time"

	"github.com/urban-compute/ucp/clock"
	"github.com/urban-compute/ucp/job"
)

// unheld returns the result of an attempt of which nothing is left: one that never ran, or that is returned.
func (a *attempt) unheld(rep report) job.Result {
	a.returned = rep.Returned
	return job.Result{
		Outcome: job.Failed, Reason: rep.Failure, Permanent: rep.Permanent,
		Started: clock.At(a.begun), Finished: clock.At(time.Now()),
	}
}

// result turns a worker's report into a job's result and stores what the job wrote: stdout and stderr, and its
// outputs. Of an attempt that failed, or was stopped by StopAndKeep, those that are there are kept, unless its spec does not want that.
func (a *attempt) result(rep report) job.Result {
	a.began = rep.Began
	if rep = a.blame(rep); rep.Returned {
		return a.unheld(rep)
	}
	res := job.Result{
		Outcome: job.Succeeded, ExitCode: rep.Code, Reason: rep.Failure, Permanent: rep.Permanent,
		Started: clock.At(a.begun), Finished: clock.At(time.Now()),
	}
	if rep.Failure != "" {
		res.Outcome = job.Failed
	}
	if !rep.Touched || a.stopped && !errors.Is(context.Cause(a.ctx), errKept) {
		return res
	}
	if a.stopped {
		a.e.report(Update{Key: a.task.Key, Attempt: a.task.Attempt, Phase: PhaseGone})
		a.leaves(rep)
	}
	if err := a.retryWhileScarce(a.storing().Done(), func() error { return a.collect(&res) }); isOurs(err) {
		return a.unheld(returned(err.Error()))
	} else if err != nil {
		res.Outcome, res.Outputs = job.Failed, nil
		if res.Reason == "" {
			res.Reason = err.Error()
		}
	}
	return res
}

// blame looks whether a program that failed was at fault: on a machine that can't keep a file it had no chance to keep
// its own, and where there are hardly any processes left none to start its own.
func (a *attempt) blame(rep report) report {
	if rep.Failure == "" || rep.Returned || rep.Permanent || a.stopped {
		return rep
	}
	if err := a.e.keepsFiles(false); err != nil {
		return returned(fmt.Sprintf("this broker can't keep a file (%v), and the job ended with: %s", err, rep.Failure))
	}
	if a.task.Spec.Driver == job.Process {
		if err := checkProcesses(); err != nil {
			return returned(fmt.Sprintf("%v, and the job ended with: %s", err, rep.Failure))
		}
	}
	return rep
}

// collect stores the attempt's files as blobs. That the directory above the job's own is there is this broker's affair.
func (a *attempt) collect(res *job.Result) error {
	dir, err := os.OpenRoot(a.dir)
	if errors.Is(err, fs.ErrNotExist) && a.e.isHome() {
		return nil // nothing was written after all
	} else if err != nil {
		return brokerError{fmt.Errorf("reading the job's directory: %w", err)}
	}
	defer dir.Close()
	for _, s := range []struct {
		name string
		blob **job.Blob
	}{{stdoutName, &res.Stdout}, {stderrName, &res.Stderr}} {
		b, err := a.store(dir, s.name)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		} else if err != nil {
			return fmt.Errorf("storing %s: %w", s.name, err)
		}
		*s.blob = &b
	}
	if len(a.task.Spec.Outputs) == 0 || !a.task.Spec.KeepsOutputs(res.Outcome) {
		return nil
	}
	root, err := dir.OpenRoot(rootName)
	if err != nil {
		return fmt.Errorf("reading the job's directory: %w", err)
	}
	defer root.Close()
	return a.collectOutputs(root, res)
}

// store puts one file into the blob store. It opens the file with O_NONBLOCK, because a named pipe that the
// job put in its place would block otherwise.
func (a *attempt) store(root *os.Root, name string) (job.Blob, error) {
	f, err := root.OpenFile(name, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return job.Blob{}, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return job.Blob{}, err
	}
	if !info.Mode().IsRegular() {
		return job.Blob{}, errors.New("not a regular file")
	}
	if info.Size() > job.MaxBlob {
		return job.Blob{}, fmt.Errorf("%s is over the limit of %s for one file", bytesOf(info.Size()), bytesOf(job.MaxBlob))
	}
	if err := a.e.checkRoom(info.Size()); err != nil {
		return job.Blob{}, err
	}
	b, err := a.e.cfg.Blobs.Put(a.storing(), io.LimitReader(f, job.MaxBlob))
	if err != nil {
		return b, brokerError{err}
	}
	return b, nil
}

// storing returns the context for storing results. Only Close ends it: a stop that comes after the job has
// ended must not lose the result.
func (a *attempt) storing() context.Context { return a.e.ctx }
