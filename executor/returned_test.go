package executor

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/urban-compute/ucp/job"
	"github.com/urban-compute/ucp/module"
)

// wasReturned runs a task and requires that it is returned for a reason that says all of says; began is whether its
// program may have run.
func (r *rig) wasReturned(t Task, began bool, says ...string) Update {
	r.t.Helper()
	r.e.Start(t)
	u := r.ended(t)
	require.True(r.t, u.Returned, "it was this broker's fault: %+v", u.Result)
	require.Equal(r.t, job.Failed, u.Result.Outcome, "for owners that know of no returns")
	require.Empty(r.t, u.Result.Blobs())
	require.Equal(r.t, began, u.Began, "whether it may have run")
	for _, text := range says {
		require.Contains(r.t, u.Result.Reason, text)
	}
	return u
}

// A worker that ends before it has loaded the module, or speaks no language of ours, as when the program is another one
// by now, is no failure of the job's.
func TestReturnedWorkerThatDoesNotStart(t *testing.T) {
	r := newRig(t, func(c *Config) { c.Worker, c.IdleWorkers = []string{otherArg}, -1 })
	r.wasReturned(r.wasm(), false, "worker")
	require.ErrorContains(t, r.e.Probe(t.Context()), "worker")
}

func TestReturnedModuleThatIsNotReadyInTime(t *testing.T) {
	r := newRig(t, func(c *Config) { c.CacheDir = t.TempDir() })
	r.e.load = time.Millisecond
	r.wasReturned(r.wasm(), false, "not ready to run after 1ms")
}

func TestReturnedBlobsThatAreGone(t *testing.T) {
	r := newRig(t)
	r.wasReturned(r.module(job.Digest(strings.Repeat("0", 64))), false, "finding the module")
	task := r.wasm("copy", "in", "out")
	task.Spec.Inputs = map[string]string{"in": string(r.put([]byte("x")))}
	blobs := r.e.cfg.Blobs
	r.e.cfg.Blobs = vanishing{blobs, job.Digest(task.Spec.Inputs["in"])} // between the look and the copy
	r.wasReturned(task, false, "copying input in")
}

// vanishing is a store of which a file vanishes as soon as somebody has asked for it.
type vanishing struct {
	Blobs
	gone job.Digest
}

func (v vanishing) Path(d job.Digest) (string, error) {
	p, err := v.Blobs.Path(d)
	if d == v.gone {
		p += ".gone"
	}
	return p, err
}

// What the store says to output that it can't keep is never the job's fault, whatever it is.
func TestReturnedOutputThatCannotBeStored(t *testing.T) {
	r := newRig(t)
	for _, err := range []error{syscall.ENOSPC, syscall.EDQUOT, syscall.EROFS, syscall.EIO, errors.New("below the reserve")} {
		r.e.cfg.Blobs = failing{r.blobs, err}
		r.wasReturned(r.wasm("echo", "x"), true, "storing stdout", err.Error())
	}
	require.Equal(t, 3, *r.run(r.wasm("exit", "3")).ExitCode, "that is the program's")
}

type failing struct {
	Blobs
	err error
}

func (f failing) Put(context.Context, io.Reader) (job.Blob, error) {
	return job.Blob{}, fmt.Errorf("putting: %w", f.err)
}

// What is wrong with a job is its failure at any broker.
func TestFailedIsWhatTheProgramDid(t *testing.T) {
	r := newRig(t, native)
	nested := r.wasm()
	in := string(r.put([]byte("x")))
	nested.Spec.Inputs = map[string]string{"a": in, "a/b": in}
	inner := r.sh("")
	inner.Spec.Command = "./not-an-input"
	missing := r.wasm()
	missing.Spec.Outputs = []string{"nothing"}
	link := r.sh("mkfifo pipe")
	link.Spec.Outputs = []string{"pipe"}
	for _, task := range []Task{nested, inner, missing, link, r.wasm("exit", "9"), r.wasm("panic"), r.sh("kill -KILL $$"), r.wasm("eat", "1000")} {
		r.e.Start(task)
		u := r.ended(task)
		require.Equal(t, job.Failed, u.Result.Outcome)
		require.False(t, u.Returned, "%+v", u.Result)
	}
}

// A native program that this machine does not have may be on another one.
func TestReturnedProgramThatIsNotHere(t *testing.T) {
	r := newRig(t, native)
	tool := filepath.Join(t.TempDir(), "tool")
	require.NoError(t, os.WriteFile(tool, []byte("#!/bin/sh\n"), 0o600))
	for name, says := range map[string]string{"no-such-program-here": "not found", tool + ".gone": "no such file", tool: "permission denied"} {
		task := r.sh("")
		task.Spec.Command = name
		u := r.wasReturned(task, false, "starting "+name, says)
		require.True(t, u.Result.Permanent, "it is not worth another try here")
	}
}

// What a program that came with its job needs of the machine may be on another one, too: an interpreter, a loader, a processor.
func TestReturnedInterpreterThatIsNotHere(t *testing.T) {
	r := newRig(t, native)
	brought := func(program string) Task {
		task := r.sh("")
		task.Spec.Command, task.Spec.Inputs = "./bin/tool", map[string]string{"bin/tool": string(r.put([]byte(program)))}
		return task
	}
	for program, says := range map[string]string{
		"#!/no/such/interpreter\n":                        "the interpreter or loader that it names is not here",
		elfMagic + strings.Repeat("\x00", 60) + "no more": "it is for another kind of machine",
	} {
		u := r.wasReturned(brought(program), false, "starting ./bin/tool", says)
		require.True(t, u.Result.Permanent, "it is not worth another try here")
	}
	text := brought("no program")
	r.e.Start(text)
	require.False(t, r.ended(text).Returned, "nowhere can it be started")
}

func TestReturnedDirectoryThatIsGone(t *testing.T) {
	r := newRig(t, native)
	require.NoError(t, os.RemoveAll(r.e.cfg.Dir))
	require.NoError(t, os.WriteFile(r.e.cfg.Dir, nil, 0o600))
	r.wasReturned(r.sh("echo x"), false, "preparing the job's directory")
	require.ErrorContains(t, r.e.Probe(t.Context()), "not a directory")
}

func TestReturnedNativeWorkerKilled(t *testing.T) {
	r := newRig(t, native)
	task := r.sh("echo up; sleep 1000")
	r.e.Start(task)
	r.says(task, "up")
	require.NoError(t, syscall.Kill(r.workerPID(task), syscall.SIGKILL))
	u := r.ended(task)
	require.True(t, u.Returned)
	require.True(t, u.Began)
}

// Of two programs that were killed the kernel has killed one, if it says that it has killed something, and that one had
// not taken as much as it was allowed.
func TestKilledWithinLimits(t *testing.T) {
	ended := func(script string) *os.ProcessState {
		cmd := exec.Command("sh", "-c", script)
		_ = cmd.Run()
		return cmd.ProcessState
	}
	killed := ended("kill -KILL $$")
	require.True(t, killedWithinLimits(killed, 1<<30, 1))
	require.False(t, killedWithinLimits(killed, 1<<30, 0), "the kernel has killed nothing")
	require.False(t, killedWithinLimits(killed, 1<<10, 1), "it had more than its limit")
	require.False(t, killedWithinLimits(ended("exit 137"), 1<<30, 1))
	require.False(t, killedWithinLimits(ended("kill -SEGV $$"), 1<<30, 1))
}

func TestDeathOfAWorker(t *testing.T) {
	cmd := exec.Command("sh", "-c", "exit 2")
	_ = cmd.Run()
	for said, want := range map[string]fault{
		"fatal error: all goroutines are asleep": unknownFault,
		"runtime: failed to create new OS thread (have 5 already; errno=11)\nruntime: may need to increase max user processes (ulimit -u)":        brokerFault,
		"runtime: out of memory: cannot allocate 4194304-byte block (12345678 in use)\nfatal error: out of memory":                                brokerFault,
		"runtime: out of memory: cannot allocate 1073741824-byte block (8159232 in use)\nfatal error: out of memory":                              jobFault,
		"SIGBUS: bus error\nPC=0x0 m=2 sigcode=2 addr=0x0":                                                                                        brokerFault,
		"runtime: newstack sp=0xc000 stack=[0xc000, 0xc001]\nruntime: g 23: unexpected return pc for runtime.sigpanic called from 0x7fc22c300000": brokerFault,
		"fatal error: runtime: cannot allocate memory":                                                                                            jobFault,
	} {
		d := deathOf(cmd.ProcessState, said)
		require.Equal(t, want, d.fault, said)
		require.Equal(t, want != jobFault, d.report(false).Returned, "before the program has begun")
		require.Equal(t, want == brokerFault, d.report(true).Returned, "afterwards")
	}
}

// What a job has written is gone with the directory where jobs run: that it has succeeded would be wrong, and that it
// failed, too.
func TestReturnedOutputWhoseDirectoryIsGone(t *testing.T) {
	for what, put := range map[string]func(dir string) error{
		"nothing is there": func(string) error { return nil },
		"a file is there":  func(dir string) error { return os.WriteFile(dir, nil, 0o600) },
	} {
		t.Run(what, func(t *testing.T) {
			r := newRig(t, native)
			task := r.sh("echo up; while [ ! -e go ]; do sleep 0.01; done")
			r.e.Start(task)
			r.says(task, "up")
			dir, aside := r.e.cfg.Dir, filepath.Join(t.TempDir(), "aside")
			require.NoError(t, os.Rename(dir, aside))
			require.NoError(t, put(dir))
			require.NoError(t, os.WriteFile(filepath.Join(aside, "1", rootName, "go"), nil, 0o600))
			u := r.ended(task)
			require.True(t, u.Returned, "%+v", u.Result)
			require.True(t, u.Began)
			require.Contains(t, u.Result.Reason, "reading the job's directory")
		})
	}
}

// A module that this broker does not run is returned for good, before a worker has seen it, and is not compiled ahead of need.
func TestReturnedModuleThatIsNotAllowed(t *testing.T) {
	bad := module.NotAllowed{}
	forbid := job.Digest("")
	r := newRig(t, func(c *Config) {
		c.AllowModule = func(d job.Digest) error {
			if d == forbid {
				return fmt.Errorf("it is signed by nobody: %w", bad)
			}
			return nil
		}
	})
	forbid = r.put(tinyModule("_start", 0))
	task := r.module(forbid)
	require.True(t, r.wasReturned(task, false, "it is signed by nobody").Result.Permanent)
	require.Len(t, r.of(task), 1, "it never started")
	require.Equal(t, job.Succeeded, r.run(r.wasm("echo", "x")).Outcome)
}
