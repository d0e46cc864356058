package executor

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
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

// result turns a worker's report into a job's result and stores what the job wrote: stdout and stderr of
// every job, output paths only of a job that succeeded.
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
	if !rep.Touched || a.stopped {
		return res
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
// its own.
func (a *attempt) blame(rep report) report {
	if rep.Failure == "" || rep.Returned || rep.Permanent || a.stopped {
		return rep
	}
	if err := a.e.keepsFiles(false); err != nil {
		return returned(fmt.Sprintf("this broker can't keep a file (%v), and the job ended with: %s", err, rep.Failure))
	}
	return rep
}

// collect stores the attempt's files as blobs.
func (a *attempt) collect(res *job.Result) error {
	dir, err := os.OpenRoot(a.dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	} else if err != nil {
		return fmt.Errorf("reading the job's directory: %w", err)
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
	if len(a.task.Spec.Outputs) == 0 || res.Outcome != job.Succeeded {
		return nil
	}
	root, err := dir.OpenRoot(rootName)
	if err != nil {
		return fmt.Errorf("reading the job's directory: %w", err)
	}
	defer root.Close()
	res.Outputs = map[string]job.Blob{}
	for _, name := range a.task.Spec.Outputs {
		if err := a.collectPath(root, path.Clean(name), res.Outputs); err != nil {
			return err
		}
	}
	return nil
}

// collectPath stores a named output: a file, or the regular files of a directory. A symbolic link is followed
// only if it was itself named as an output, and os.Root makes sure that it does not lead out of the job's
// directory.
func (a *attempt) collectPath(root *os.Root, name string, out map[string]job.Blob) error {
	info, err := root.Stat(name)
	if errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("the job succeeded but left no output %s", name)
	} else if err != nil {
		return fmt.Errorf("output %s: %w", name, err)
	}
	if !info.IsDir() {
		return a.collectFile(root, name, info, out)
	}
	f, err := root.Open(name)
	if err != nil {
		return fmt.Errorf("output %s: %w", name, err)
	}
	defer f.Close()
	for {
		entries, err := f.ReadDir(256)
		for _, e := range entries {
			inner := path.Join(name, e.Name())
			switch {
			case e.IsDir():
				err = a.collectPath(root, inner, out)
			case e.Type().IsRegular():
				err = a.collectFile(root, inner, nil, out)
			default: // links, pipes and the like are left out
				continue
			}
			if err != nil {
				return err
			}
		}
		if err == io.EOF {
			return nil
		} else if err != nil {
			return fmt.Errorf("output %s: %w", name, err)
		}
	}
}

func (a *attempt) collectFile(root *os.Root, name string, info os.FileInfo, out map[string]job.Blob) error {
	if info != nil && !info.Mode().IsRegular() {
		return fmt.Errorf("output %s is neither a file nor a directory", name)
	}
	if _, dup := out[name]; !dup && len(out) == job.MaxOutputFiles {
		return fmt.Errorf("the job left more than %d output files; let it pack them into an archive", job.MaxOutputFiles)
	}
	b, err := a.store(root, name)
	if err != nil {
		return fmt.Errorf("storing output %s: %w", name, err)
	}
	out[name] = b
	return nil
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
	b, err := a.e.cfg.Blobs.Put(a.storing(), io.LimitReader(f, job.MaxBlob))
	if err != nil {
		return b, brokerError{err}
	}
	return b, nil
}

// storing returns the context for storing results. Only Close ends it: a stop that comes after the job has
// ended must not lose the result.
func (a *attempt) storing() context.Context { return a.e.ctx }
