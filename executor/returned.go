package executor

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// An attempt ends in one of three ways: it succeeded; it failed, which is what the program did; or it is returned,
// since this broker could not (rule J12). Returned is all that goes wrong before the program's first instruction,
// unless its spec or its module is wrong, and afterwards what goes wrong with this machine: its disk, its memory, its
// processes. This file tells whose fault something was.

// returned is the report of an attempt that this broker could not carry out.
func returned(what string) report { return report{Failure: what, Returned: true} }

// machineErrors are the errors of a machine that is short of something, or damaged. No program is at fault for them.
var machineErrors = []syscall.Errno{
	syscall.ENOSPC, syscall.EDQUOT, syscall.EROFS, syscall.EIO, syscall.EMFILE, syscall.ENFILE, syscall.ENOMEM, syscall.EAGAIN,
	syscall.ESTALE, syscall.ENODEV, syscall.ENXIO,
}

// brokerError marks an error as this broker's own, whatever it is.
type brokerError struct{ error }

// Unwrap lets errors.Is see the cause.
func (e brokerError) Unwrap() error { return e.error }

// isOurs reports whether an error is this broker's or its machine's.
func isOurs(err error) bool {
	var own brokerError
	return errors.As(err, &own) || isOneOf(err, machineErrors)
}

func isOneOf(err error, list []syscall.Errno) bool {
	for _, e := range list {
		if errors.Is(err, e) {
			return true
		}
	}
	return false
}

// specErrors are what the system says to paths of a spec that contradict each other, such as an input inside of
// another one.
var specErrors = []syscall.Errno{syscall.ENOTDIR, syscall.EEXIST, syscall.EISDIR, syscall.ENAMETOOLONG, syscall.ELOOP}

// unprepared is the report of an attempt whose directory could not be prepared. That is this broker's fault, unless the
// spec's paths can't be made on any.
func unprepared(err error) report {
	what := "preparing the job's directory: " + err.Error()
	var system syscall.Errno
	if isOurs(err) || errors.As(err, &system) && !isOneOf(err, specErrors) {
		return returned(what)
	}
	return report{Failure: what}
}

// notStarted is the report of a native program that could not be started. A program that came with the job, which a
// path in the job's directory names, is the job's own, but not what it needs of the machine; any other is a part of this machine,
// and may be found on another one.
func notStarted(name, dir string, err error) report {
	r := report{
		Failure:   fmt.Sprintf("starting %s: %v", name, err),
		Stopped:   errors.Is(err, errStoppedEarly),
		Permanent: errors.Is(err, exec.ErrNotFound) || errors.Is(err, fs.ErrNotExist) || errors.Is(err, fs.ErrPermission),
	}
	brought := strings.ContainsRune(name, filepath.Separator) && !filepath.IsAbs(name)
	if brought {
		if lacks := lacksFor(filepath.Join(dir, name), err); lacks != "" {
			r.Failure += ": " + lacks
			r.Returned, r.Permanent = true, true
			return r
		}
	}
	r.Returned = !r.Stopped && (!brought || isOurs(err))
	return r
}

// lacksFor says what this machine does not have for a program that is there and could not be started; empty if that is not why.
func lacksFor(file string, err error) string {
	f, openErr := os.Open(file)
	if openErr != nil {
		return ""
	}
	defer f.Close()
	info, statErr := f.Stat()
	if statErr != nil || !info.Mode().IsRegular() {
		return ""
	}
	start := make([]byte, len(elfMagic))
	_, _ = io.ReadFull(f, start) // a shorter one is no program
	switch {
	case errors.Is(err, fs.ErrNotExist), errors.Is(err, fs.ErrPermission) && info.Mode()&0o100 != 0:
		return "the interpreter or loader that it names is not here, or not for jobs"
	case errors.Is(err, syscall.ENOEXEC) && string(start) == elfMagic:
		return "it is for another kind of machine"
	}
	return ""
}

// elfMagic is how programs of Linux begin, for whatever processor.
const elfMagic = "\x7fELF"

// death is how a worker ended that was not told to.
type death struct {
	reason string // for people
	fault  fault
}

// fault is whose doing the end of a worker was.
type fault uint8

const (
	unknownFault fault = iota // of what ran in the worker: the program, once that has begun
	jobFault                  // the job went beyond the limits of its worker
	brokerFault               // this machine ended the worker, or could not carry it, and it was within its limits
)

// deathOf says why a worker died. said is what it wrote to stderr.
func deathOf(state *os.ProcessState, said string) death {
	status, ok := state.Sys().(syscall.WaitStatus)
	switch {
	case strings.Contains(said, "failed to create new OS thread"), strings.Contains(said, "pthread_create failed"):
		return death{"this machine had no more threads for the worker", brokerFault}
	case strings.Contains(said, "out of memory"), strings.Contains(said, "cannot allocate memory"):
		if belowItsLimits(said) {
			return death{"this machine had no more memory for the worker", brokerFault}
		}
		return death{"the worker ran out of memory", jobFault}
	case strings.Contains(said, "SIGBUS"), strings.Contains(said, "unexpected return pc for runtime.sigpanic"):
		// What is mapped of a file, its own program or the code of a module: on the stack of a module the runtime fails while it
		// tells of the signal. A module's own faults are no signals.
		return death{"a file that the worker runs can't be read any more", brokerFault}
	case ok && status.Signaled():
		sig := status.Signal()
		d := death{reason: "the worker was killed by " + unix.SignalName(sig)}
		switch sig {
		case syscall.SIGKILL: // a job that takes too much is refused memory, and not killed
			d.reason += " (out of memory?)"
			d.fault = brokerFault
		case syscall.SIGTERM, syscall.SIGINT, syscall.SIGHUP, syscall.SIGQUIT, syscall.SIGBUS: // somebody's, or a page that the disk could not give
			d.fault = brokerFault
		}
		return d
	}
	first, _, _ := strings.Cut(said, "\n")
	if len(first) > 200 {
		first = first[:200] + "..."
	}
	if first != "" {
		first = ": " + strings.ToValidUTF8(first, "?")
	}
	return death{reason: fmt.Sprintf("the worker ended unexpectedly (%s)%s", state, first)}
}

// belowItsLimits reports whether a worker that ran out of memory was clearly below what it may have for itself: what
// the Go runtime says it wanted and had is not half of that. Then it was the machine that had no more.
func belowItsLimits(said string) bool {
	_, text, found := strings.Cut(said, "cannot allocate ")
	var wanted, had uint64
	if _, err := fmt.Sscanf(text, "%d-byte block (%d in use)", &wanted, &had); !found || err != nil {
		return false
	}
	return wanted < workerOverhead/2 && had < workerOverhead/2-wanted
}

// report is the end of the worker as that of its attempt: before the program has begun it is this broker's, unless the job
// was at fault.
func (d death) report(began bool) report {
	return report{Failure: d.reason, Returned: d.fault == brokerFault || d.fault == unknownFault && !began}
}

// probeWait is how long a probe waits for a worker to answer.
const probeWait = 30 * time.Second

// probeSize is how many bytes of a file must be kept for a broker to count as one that can keep files.
const probeSize = 64 << 10

// keepsFiles reports what this machine says to a small file in the directory where jobs run: nil when it can be made,
// written and, with sync set, is on the disk.
func (e *Executor) keepsFiles(sync bool) error {
	f, err := os.CreateTemp(e.cfg.Dir, "probe-")
	if err != nil {
		return err
	}
	_, err = f.Write(make([]byte, probeSize))
	if err == nil && sync {
		err = f.Sync()
	}
	return errors.Join(err, f.Close(), os.Remove(f.Name()))
}

// isHome reports whether the directory where jobs run is still the one that was made, and no other is in its place.
func (e *Executor) isHome() bool {
	now, err := os.Stat(e.cfg.Dir)
	return err == nil && os.SameFile(e.home, now)
}

// Probe finds out whether this broker could carry out a job now: it starts a worker, which answers, and writes a file in
// the directory where jobs run and syncs it. It returns what went wrong, nil if nothing did. A probe does not wait for
// what is short to come free; its caller does.
func (e *Executor) Probe(ctx context.Context) error {
	if err := e.keepsFiles(true); err != nil {
		return fmt.Errorf("keeping a file: %w", err)
	}
	r, err := e.pool.start(forModules)
	if err != nil {
		return err
	}
	defer r.kill()
	if err := r.send(toWorker{Ping: true}); err != nil {
		return fmt.Errorf("speaking to a worker: %w", err)
	}
	late := time.NewTimer(probeWait)
	defer late.Stop()
	select {
	case _, ok := <-r.in:
		if !ok {
			return errors.New(r.death.reason)
		}
		e.pool.refill() // what stands by was perhaps not to be started, either
		return nil
	case <-late.C:
		return fmt.Errorf("a worker did not answer in %v", probeWait)
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-e.ctx.Done():
		return errClosed
	}
}
