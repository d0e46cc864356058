package executor

// A fence is a second wall around modules, behind the first, which is that WebAssembly has no way out: a worker of modules that
// somebody has taken over from within, through a hole in the engine, can do little. It has no capability, and Landlock lets it use the
// files of blobs, of compiled modules and of running jobs, and nothing else. The spawner puts a thread behind the fence and starts the
// worker from it, which so is behind it from its first instruction on; the worker itself adds a filter of system calls, before it
// hears of a module. It starts no program, opens no socket, and signals nobody (decision 0172).
type fence struct {
	Landlock int      `codec:"landlock,omitempty"` // version of the interface; 0 is none
	Read     []string `codec:"read,omitempty"`     // directories
	Write    []string `codec:"write,omitempty"`
}

// moduleWalls are those that may stand around modules.
var moduleWalls = []string{WallPrivileges, WallFiles, WallTCP, WallSignals, WallSeccomp}

// buildFence finds out which walls stand around modules on this machine.
func (e *Executor) buildFence() error {
	if e.cfg.Sandbox.Off {
		e.around = noSandbox("switched off by --no-sandbox").only(moduleWalls)
	} else {
		a := exploreHere()
		e.around = a.sandbox(false).only(moduleWalls)
		e.filtered = a.Seccomp
		e.fence = &fence{Landlock: a.Landlock, Read: []string{e.cfg.Blobs.Dir()}, Write: []string{e.cfg.Dir, e.cfg.CacheDir}}
		if len(e.around.Missing) > 0 {
			e.cfg.Logger.Warn("workers of modules are not confined in every way", "sandbox", e.around.String())
		}
	}
	return e.around.demand(e.cfg.Sandbox.Require)
}

// AroundModules says which walls stand around WebAssembly jobs, behind that which WebAssembly is itself.
func (e *Executor) AroundModules() Sandbox { return e.around }
