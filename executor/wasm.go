package executor

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"os"
	"runtime"
	"strings"

	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/experimental"
	"github.com/tetratelabs/wazero/sys"

	"github.com/urban-compute/ucp/executor/wasi"
	"github.com/urban-compute/ucp/job"
)

// runWasm runs a module as a WASI preview 1 command. It calls loaded when it had to compile the module first:
// the job's own timeout counts from then on.
func (w *worker) runWasm(ctx context.Context, o *order, dir *scratch, loaded func(*loadedModule) error) report {
	compiled := w.limitCompiler(o)
	mod, cold, err := w.modules.get(ctx, o.Module, o.Wasm)
	compiled()
	if cold {
		w.cold = true
	}
	if err != nil {
		var io *os.PathError
		ours := errors.As(err, &io) || isOurs(err)
		return report{Failure: "loading the module: " + err.Error(), Returned: ours, Permanent: !ours}
	}
	if cold {
		if err := loaded(mod); err != nil {
			return report{Failure: err.Error()}
		}
	}
	mem := &w.memory
	mem.begin(o.Memory)
	if need := mod.min * wasmPage; need > mem.limit {
		return report{Permanent: true, Failure: fmt.Sprintf(
			"the module needs %s of memory to start, over the job's limit of %s; ask for more memory", bytesOf(int64(need)), bytesOf(o.Memory))}
	}
	if err := dir.prepare(o, 0o600); err != nil {
		return unprepared(err)
	}
	prog, done, err := program(o, dir)
	if err != nil {
		return returned(err.Error())
	}
	defer done()
	ctx = prog.Context(experimental.WithMemoryAllocator(ctx, mem))
	r := mem.explain(o.Memory, call(ctx, mod, moduleConfig(o)))
	if prog.OverDisk() {
		r = report{Failure: overDisk(o.Disk)}
	}
	r.Began = true
	return r
}

// call instantiates the module and runs its _start.
func call(ctx context.Context, mod *loadedModule, cfg wazero.ModuleConfig) report {
	inst, err := mod.rt.InstantiateModule(ctx, mod.code, cfg)
	if inst != nil {
		defer inst.Close(ctx)
	}
	var exit *sys.ExitError
	switch {
	case err == nil:
		return exited(0)
	case errors.As(err, &exit):
		return exited(exit.ExitCode())
	default:
		return report{Failure: trapReason(err)}
	}
}

// exited returns the report of a program that exited by itself. Every code but 0 is a failure.
func exited(code uint32) report {
	c := int(code)
	r := report{Code: &c}
	if code != 0 {
		r.Failure = job.ExitReason(c)
	}
	return r
}

// trapReason returns the first lines of wazero's message: what went wrong, and the innermost functions.
func trapReason(err error) string {
	const lines, size = 6, 600
	all := strings.Split(strings.TrimSpace(err.Error()), "\n")
	if len(all) > lines {
		all = append(all[:lines], "...")
	}
	s := strings.Join(all, "\n")
	s = strings.TrimPrefix(s, "module[] function[_start] failed: ")
	if len(s) > size {
		s = s[:size] + "..."
	}
	return strings.ToValidUTF8(s, "?")
}

// explain adds to a failure's reason that the module had been refused memory. A module that succeeded
// nevertheless did without it.
func (m *guestMemory) explain(limit int64, r report) report {
	switch {
	case r.Failure == "":
	case m.short:
		r.Failure, r.Returned = fmt.Sprintf("this machine had no more memory for the job, below its limit of %s (%s)", bytesOf(limit), r.Failure), true
	case m.refused:
		r.Failure = fmt.Sprintf("memory limit %s exceeded (%s)", bytesOf(limit), r.Failure)
	}
	return r
}

// moduleConfig gives the module its arguments and environment, and the real clocks and randomness.
func moduleConfig(o *order) wazero.ModuleConfig {
	cfg := wazero.NewModuleConfig().
		WithName(""). // anonymous, so that instances never collide; nothing imports it
		WithArgs(append([]string{o.Name}, o.Args...)...).
		WithSysWalltime().WithNanotime(wasi.Nanotime, 1).WithOsyield(runtime.Gosched).
		WithRandSource(rand.Reader)
	for _, kv := range o.Env {
		k, v, _ := strings.Cut(kv, "=")
		cfg = cfg.WithEnv(k, v)
	}
	return cfg
}

// program gives the module its files: the job's directory, which is made when it is first needed, and its standard
// streams. The caller must call done to close what was opened.
func program(o *order, dir *scratch) (prog *wasi.Program, done func(), err error) {
	var stdin *os.File
	if o.Stdin != "" {
		if stdin, err = os.Open(o.Stdin); err != nil {
			return nil, nil, fmt.Errorf("opening stdin: %w", err)
		}
	}
	prog = wasi.NewProgram(wasi.Stdio{In: stdin, Out: &dir.out, Err: &dir.err}, o.Disk, func() (*os.Root, error) {
		if err := dir.make(); err != nil {
			return nil, err
		}
		root, err := os.OpenRoot(dir.root())
		if err == nil {
			_ = root.Mkdir("tmp", 0o700) // many programs take it for granted; the job may have put something else there
		}
		return root, err
	})
	return prog, func() {
		prog.Close()
		if stdin != nil {
			stdin.Close()
		}
	}, nil
}
