package executor

import (
	"bytes"
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
	"github.com/urban-compute/ucp/module"
)

// Limits of what a worker keeps compiled. A module's machine code is several times as large as the module.
const (
	maxWarm      = 8         // modules
	maxWarmBytes = 32 << 20  // bytes of wasm, in total
	maxModule    = 128 << 20 // bytes of one module
	maxGarbage   = 8 << 20   // bytes, about, of what a worker that runs a job has not yet collected
)

// modules compiles wasm modules and keeps the most recently used ones warm. All workers share compiled modules
// on disk (see moduleCache).
//
// Each module has a runtime of its own, which takes less than a millisecond to make, since the engine keeps what it has compiled in a
// directory of its runtime's. It serves all jobs: the memory limit, which differs from job to job, is not part of a
// compiled module (see guestMemory).
type modules struct {
	log   *slog.Logger
	cache string
	warm  []*loadedModule // most recent first
}

// loadedModule is a compiled command, ready to be instantiated.
type loadedModule struct {
	digest job.Digest
	rt     wazero.Runtime
	cache  wazero.CompilationCache // on the disk; nil if it could not be kept there
	code   wazero.CompiledModule
	size   int64
	min    uint64 // 64 KiB pages of memory at its start
	shared int64  // bytes of its code that all workers share
}

func newModules(cacheDir string, log *slog.Logger) *modules {
	return &modules{log: log, cache: cacheDir}
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
func (m *modules) get(ctx context.Context, digest job.Digest, file string) (mod *loadedModule, cold bool, err error) {
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
	m.warm = append([]*loadedModule{mod}, m.warm...)
	m.evict(ctx)
	return mod, true, nil
}

func (m *modules) load(ctx context.Context, digest job.Digest, file string) (*loadedModule, error) {
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
	if err := module.Check(bytes.NewReader(b)); err != nil {
		return nil, err
	}
	mod, err := m.compile(ctx, digest, b)
	if err != nil {
		return nil, fmt.Errorf("the module is not valid WebAssembly: %w", err)
	}
	start, ok := mod.code.ExportedFunctions()["_start"]
	if !ok || len(start.ParamTypes()) != 0 || len(start.ResultTypes()) != 0 {
		mod.close(ctx)
		return nil, errors.New("the module exports no _start: it is a library (reactor), not a program; build it as a command")
	}
	mod.digest, mod.size, mod.min = digest, info.Size(), module.MemoryMin(b)
	m.slim(mod)
	return mod, nil
}

// slim makes what stays of a module small: its code is shared with other workers, and what only compiling needs goes.
func (m *modules) slim(mod *loadedModule) {
	dropBodies(mod.code)
	if mod.cache == nil {
		return
	}
	var err error
	if mod.shared, err = shareCode(mod.code, codeFile(m.cache, mod.digest)); err != nil {
		m.log.Warn("the code of a module is not shared with other workers", "module", string(mod.digest), "err", err)
	}
}

// compile compiles a module, or reads what was compiled before. It does without the disk where that does not serve: a full disk,
// or a file that a power failure has damaged, must not look like a broken module.
func (m *modules) compile(ctx context.Context, d job.Digest, b []byte) (*loadedModule, error) {
	dir := entryDir(m.cache, d)
	_, err := os.Stat(codeFile(m.cache, d))
	complete := err == nil
	mod, err := compileIn(ctx, dir, b)
	if err != nil && complete {
		m.log.Warn("a compiled module in the cache is damaged; it is compiled again", "module", string(d), "err", err)
		_ = removeTree(dir)
		mod, err = compileIn(ctx, dir, b)
	}
	if err == nil {
		return mod, nil
	}
	mod, perr := compileIn(ctx, "", b)
	if perr != nil {
		return nil, perr
	}
	m.log.Warn("a compiled module can't be kept on the disk", "dir", dir, "err", err)
	return mod, nil
}

// compileIn compiles a module with what the engine has in a directory, where it leaves what it makes; "" is without one.
func compileIn(ctx context.Context, dir string, b []byte) (_ *loadedModule, err error) {
	mod, cfg := &loadedModule{}, runtimeConfig()
	if dir != "" {
		if mod.cache, err = wazero.NewCompilationCacheWithDir(dir); err != nil {
			return nil, err
		}
		cfg = cfg.WithCompilationCache(mod.cache)
	}
	defer func() {
		if err != nil {
			mod.close(ctx)
		}
	}()
	if mod.rt, err = newRuntime(ctx, cfg); err != nil {
		return nil, err
	}
	if mod.code, err = mod.rt.CompileModule(ctx, b); err != nil {
		return nil, err
	}
	return mod, nil
}

// close gives back what a module takes.
func (m *loadedModule) close(ctx context.Context) {
	if m.code != nil {
		_ = m.code.Close(ctx)
	}
	if m.rt != nil {
		_ = m.rt.Close(ctx)
	}
	if m.cache != nil {
		_ = m.cache.Close(ctx)
	}
}

// evict closes the least recently used modules that are over the limits, but never the newest one.
func (m *modules) evict(ctx context.Context) {
	var sum int64
	for i, w := range m.warm {
		sum += w.size
		if i > 0 && (i >= maxWarm || sum > maxWarmBytes) {
			for _, old := range m.warm[i:] {
				old.close(ctx)
			}
			m.warm = m.warm[:i:i]
			return
		}
	}
}

// cold reports whether the module must be compiled before it can run.
func (m *modules) cold(d job.Digest) bool {
	return d != "" && !slices.ContainsFunc(m.warm, func(w *loadedModule) bool { return w.digest == d })
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
