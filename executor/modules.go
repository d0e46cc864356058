package executor

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"os"
	"runtime"
	"runtime/debug"
	"runtime/metrics"
	"slices"

	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/api"
	"github.com/tetratelabs/wazero/experimental"

	"github.com/urban-compute/ucp/executor/wasi"
	"github.com/urban-compute/ucp/job"
)

// Limits of what a worker keeps compiled. A module's machine code is several times as large as the module.
const (
	maxWarm      = 8         // modules
	maxWarmBytes = 32 << 20  // bytes of wasm, in total
	maxModule    = 128 << 20 // bytes of one module
	maxGarbage   = 8 << 20   // bytes, about, of what a worker that runs a job has not yet collected
)

// modules compiles wasm modules and keeps the most recently used ones warm. All workers share compiled modules
// on disk (wazero's cache, keyed by the module's hash, the CPU and wazero's version).
//
// One runtime serves all jobs: the memory limit, which differs from job to job, is not part of a compiled
// module (see guestMemory).
type modules struct {
	log   *slog.Logger
	cache string
	rt    wazero.Runtime
	plain wazero.Runtime // without the disk cache; made when the cache turns out to be damaged
	warm  []*module      // most recent first
}

// module is a compiled command, ready to be instantiated.
type module struct {
	digest job.Digest
	rt     wazero.Runtime // that compiled it
	code   wazero.CompiledModule
	size   int64
	min    uint64 // 64 KiB pages of memory at its start
	shared int64  // bytes of its code that all workers share
}

func newModules(ctx context.Context, cacheDir string, log *slog.Logger) (*modules, error) {
	m := &modules{log: log, cache: cacheDir}
	cache, err := wazero.NewCompilationCacheWithDir(cacheDir)
	if err != nil {
		log.Warn("cannot open the cache of compiled modules; they are not kept on disk", "dir", cacheDir, "err", err)
		cache = wazero.NewCompilationCache()
	}
	m.rt, err = newRuntime(ctx, runtimeConfig().WithCompilationCache(cache))
	return m, err
}

// features are what modules may use: what the engine has beyond WebAssembly 2.0, but for threads, which WASI
// preview 1 can't start.
const features = api.CoreFeaturesV2 | experimental.CoreFeaturesTailCall | experimental.CoreFeaturesExtendedConst |
	experimental.CoreFeaturesExceptionHandling | experimental.CoreFeaturesTypedFunctionReferences

// runtimeConfig lets a running module be ended from inside only on systems where the kernel does not kill the
// worker when its broker dies. The package comment says what that costs.
func runtimeConfig() wazero.RuntimeConfig {
	return wazero.NewRuntimeConfig().WithCoreFeatures(features).WithCloseOnContextDone(runtime.GOOS != "linux")
}

func newRuntime(ctx context.Context, cfg wazero.RuntimeConfig) (wazero.Runtime, error) {
	rt := wazero.NewRuntimeWithConfig(ctx, cfg)
	return rt, wasi.Instantiate(ctx, rt)
}

// get returns the module, which is either warm or is compiled from its file; cold is true in the second case.
// Every error is the module's own fault and permanent, unless it is an *os.PathError.
func (m *modules) get(ctx context.Context, digest job.Digest, file string) (mod *module, cold bool, err error) {
	for i, w := range m.warm {
		if w.digest == digest {
			copy(m.warm[1:i+1], m.warm[:i])
			m.warm[0] = w
			return w, false, nil
		}
	}
	defer settle()
	mod, err = m.load(ctx, digest, file)
	if err != nil {
		return nil, true, err
	}
	m.warm = append([]*module{mod}, m.warm...)
	m.evict(ctx)
	return mod, true, nil
}

func (m *modules) load(ctx context.Context, digest job.Digest, file string) (*module, error) {
	info, err := os.Stat(file)
	if err != nil {
		return nil, err
	}
	if info.Size() > maxModule {
		return nil, fmt.Errorf("the module has %s, over the limit of %s", bytesOf(info.Size()), bytesOf(maxModule))
	}
	strain(info.Size())
	b, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	if err := job.CheckModule(b); err != nil {
		return nil, err
	}
	rt, code, err := m.compile(ctx, b)
	if err != nil {
		if feature := missing(b, err); feature != "" {
			return nil, fmt.Errorf("the module needs %s, which workers do not have; build it without: %w", feature, err)
		}
		return nil, fmt.Errorf("the module is not valid WebAssembly: %w", err)
	}
	start, ok := code.ExportedFunctions()["_start"]
	if !ok || len(start.ParamTypes()) != 0 || len(start.ResultTypes()) != 0 {
		_ = code.Close(ctx)
		return nil, errors.New("the module exports no _start: it is a library (reactor), not a program; build it as a command")
	}
	mod := &module{digest: digest, rt: rt, code: code, size: info.Size(), min: memoryMin(b)}
	m.slim(mod)
	return mod, nil
}

// slim makes what stays of a module small: its code is shared with other workers, and what only compiling needs goes.
func (m *modules) slim(mod *module) {
	dropBodies(mod.code)
	var err error
	if mod.shared, err = shareCode(mod.code, codeFile(m.cache, mod.digest)); err != nil {
		m.log.Warn("the code of a module is not shared with other workers", "module", string(mod.digest), "err", err)
	}
}

// compile falls back to a runtime without the disk cache: a cache file that a power failure has damaged must not
// look like a broken module.
func (m *modules) compile(ctx context.Context, b []byte) (wazero.Runtime, wazero.CompiledModule, error) {
	code, err := m.rt.CompileModule(ctx, b)
	if err == nil {
		return m.rt, code, nil
	}
	if m.plain == nil {
		plain, perr := newRuntime(ctx, runtimeConfig())
		if perr != nil {
			return nil, nil, err
		}
		m.plain = plain
	}
	code, perr := m.plain.CompileModule(ctx, b)
	if perr != nil {
		return nil, nil, perr
	}
	m.log.Warn("a compiled module in the disk cache is damaged; delete the directory to repair it", "dir", m.cache, "err", err)
	return m.plain, code, nil
}

// evict closes the least recently used modules that are over the limits, but never the newest one.
func (m *modules) evict(ctx context.Context) {
	var sum int64
	for i, w := range m.warm {
		sum += w.size
		if i > 0 && (i >= maxWarm || sum > maxWarmBytes) {
			for _, old := range m.warm[i:] {
				_ = old.code.Close(ctx)
			}
			m.warm = m.warm[:i:i]
			return
		}
	}
}

// cold reports whether the module must be compiled before it can run.
func (m *modules) cold(d job.Digest) bool {
	return d != "" && !slices.ContainsFunc(m.warm, func(w *module) bool { return w.digest == d })
}

// digests lists the warm modules, so that the broker can choose a worker by them.
func (m *modules) digests() []job.Digest {
	out := make([]job.Digest, len(m.warm))
	for i, w := range m.warm {
		out[i] = w.digest
	}
	return out
}

// strain has garbage collected as often as it takes to stay within what is charged for compiling a module of the given size. The
// module's code, of about four times its size, is not on the heap.
func strain(size int64) {
	debug.SetGCPercent(50)
	debug.SetMemoryLimit(size*(compilerMemory-4) + workerSpare)
}

// settle returns to the system what loading a module has left, and has garbage collected from now on before there is much of it:
// what this process takes beside the job's memory is charged to the job by then, with little to spare.
func settle() {
	debug.SetMemoryLimit(math.MaxInt64)
	debug.FreeOSMemory()
	live := []metrics.Sample{{Name: "/memory/classes/heap/objects:bytes"}}
	metrics.Read(live)
	debug.SetGCPercent(int(min(max(maxGarbage*100/max(live[0].Value.Uint64(), 1), 10), 100)))
}
