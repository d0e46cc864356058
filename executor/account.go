package executor

import (
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/urban-compute/ucp/job"
)

// All memory that workers have is charged: to attempts, what they may have by their jobs' limits, what their workers take for
// themselves and, until a module is loaded, what loading it takes; and once for all workers, the code of each module that
// they share. What is charged stays within Config.Memory and Config.ModuleMemory together: an attempt that does not fit waits, after
// all idle workers that are in its way were ended. How much that is, is estimated by the size of a module before it is loaded, and
// measured afterwards.

// What is charged before it can be measured.
const (
	// workerSpare is what a worker may come to take beside its job, in bytes: garbage, and more of its own program.
	workerSpare = 16 << 20
	// freshWorker is what a worker takes that has run nothing.
	freshWorker = 32 << 20
	// loaderMemory is how many times its size the memory is that loading a module takes which was compiled before: 7 to 9 were
	// measured. Compiling takes compilerMemory.
	loaderMemory = 9
	// loadedMemory is how many times its size the memory is of a module that is loaded, its code included: 4 to 5 were measured.
	loadedMemory = 5
)

// account is the memory that the workers of an executor may have, and who has it.
type account struct {
	room int64 // bytes; 0 is not known, and bounds nothing

	mu      sync.Mutex
	running map[*attempt]charge
	changed chan struct{} // closed, and another made, when less is charged
	begun   chan struct{} // tells watch that somebody is charged
}

// charge is what one worker may take, in bytes.
type charge struct {
	limit  int64                // of the job
	worker int64                // of the worker itself
	load   int64                // beside both, until the module is loaded
	code   map[job.Digest]int64 // of modules, shared with all workers that have them
}

func newAccount(room int64) *account {
	return &account{room: room, running: map[*attempt]charge{}, changed: make(chan struct{}), begun: make(chan struct{}, 1)}
}

// put charges an attempt, which it reports if there is room for it when all idle workers are ended. Otherwise more is closed
// when it is worth another try.
func (m *account) put(a *attempt, c charge) (ok bool, more <-chan struct{}) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.room > 0 && total(append(m.list(), c)) > m.room {
		return false, m.changed
	}
	m.running[a] = c
	select {
	case m.begun <- struct{}{}:
	default: // it is told already
	}
	return true, nil
}

// loaded charges an attempt what it takes now that its module is loaded.
func (m *account) loaded(a *attempt, c charge) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.running[a] = c
	m.less()
}

// remove ends what an attempt is charged, if it is.
func (m *account) remove(a *attempt) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if _, here := m.running[a]; here {
		delete(m.running, a)
		m.less()
	}
}

func (m *account) less() {
	close(m.changed)
	m.changed = make(chan struct{})
}

// free returns how many bytes are not charged to attempts.
func (m *account) free() int64 {
	m.mu.Lock()
	defer m.mu.Unlock()
	return max(m.room-total(m.list()), 0)
}

// hasCode reports whether the worker of an attempt has mapped the code of a module.
func (m *account) hasCode(d job.Digest) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, c := range m.running {
		if _, here := c.code[d]; here {
			return true
		}
	}
	return false
}

// charges returns what is charged to attempts, and the process IDs of their workers.
func (m *account) charges() (all []charge, workers map[int]bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	workers = map[int]bool{}
	for a := range m.running {
		if w, here := a.worker.get(); here {
			workers[w.pid] = true
		}
	}
	return m.list(), workers
}

func (m *account) list() []charge { return slices.Collect(maps.Values(m.running)) }

// total adds charges; the code of a module counts once.
func total(all []charge) (sum int64) {
	for _, c := range all {
		sum += c.limit + c.worker + c.load
	}
	return sum + codeOf(all)
}

// codeOf adds the code of all modules that are in charges.
func codeOf(all []charge) (sum int64) {
	code := map[job.Digest]int64{}
	for _, c := range all {
		for d, n := range c.code {
			code[d] = max(code[d], n)
		}
	}
	for _, n := range code {
		sum += n
	}
	return sum
}

// itself returns what a worker takes that runs nothing, measured.
func (r *remote) itself() charge {
	return charge{worker: r.resident(), code: maps.Clone(r.code)}
}

// resident returns the resident memory of a worker in bytes, 0 where it can't be told.
func (r *remote) resident() int64 {
	p, _ := readProcess(r.pid())
	return p.rss()
}

// price returns what an attempt is charged in a worker that it has just got.
func (a *attempt) price(r *remote, o *order) charge {
	c := r.itself()
	c.worker += workerSpare
	c.limit = o.Memory
	if _, warm := r.warm[o.Module]; o.Driver == job.Wasm && !warm {
		c.load = loadMemory(c.limit, sizeOf(o.Wasm), a.e.cache.has(o.Module))
	}
	return c
}

// loadMemory is what getting a module of the given size ready takes beside a job's limit, in bytes: what is the job's nobody else
// uses meanwhile.
func loadMemory(limit, size int64, compiled bool) int64 {
	times := int64(compilerMemory)
	if compiled {
		times = loaderMemory
	}
	return max(size*times-limit, size*loadedMemory)
}

// WorkerMemory returns how many bytes of memory a broker must have at least, for jobs and for what their modules take, to run a job with
// a memory limit and a module of the given size, which was compiled before or not.
func WorkerMemory(limit, size int64, compiled bool) int64 {
	return limit + workerSpare + loadMemory(limit, size, compiled)
}

// room gets an attempt the room for a worker that it has got, or gives the worker back and says why not: errWoken
// when it has waited, and it is worth another try or something else is wanted of the attempt.
func (a *attempt) room(r *remote, o *order) error {
	c := a.price(r, o)
	ok, more := a.e.account.put(a, c)
	if ok {
		a.e.pool.makeRoom()
		return nil
	}
	fits := total([]charge{c}) <= a.e.account.room // with nothing beside it
	_, warm := r.warm[o.Module]
	if useful := warm && len(r.warm) == 1 && fits; len(r.warm) > 0 && !useful {
		r.kill() // what else it holds is in the way
		return errWoken
	}
	a.e.pool.release(r)
	if !fits {
		return tooLittle{fmt.Sprintf("%s; this broker has %s for jobs and for what their modules take, see --memory and --module-memory", c.text(), bytesOf(a.e.account.room)), true}
	}
	if a.roomUntil.IsZero() {
		a.roomUntil = time.Now().Add(a.e.load)
	}
	late := time.NewTimer(time.Until(a.roomUntil))
	defer late.Stop()
	select {
	case <-more:
		return errWoken
	case <-a.wake:
		return errWoken
	case <-late.C:
		return tooLittle{fmt.Sprintf("%s; other jobs have not left that for %v", c.text(), a.e.load), false}
	case <-a.ctx.Done():
		return errStopped
	}
}

// nowLoaded charges an attempt what it takes with its module loaded, the code of which has the given size where workers share it.
func (a *attempt) nowLoaded(r *remote, o *order, code int64) {
	if o.Driver != job.Wasm {
		return
	}
	if code > 0 {
		r.code[o.Module] = code
	}
	c := r.itself()
	c.worker += workerSpare
	c.limit = o.Memory
	a.e.account.loaded(a, c)
}

// text says what the parts of a charge are.
func (c charge) text() string {
	s := fmt.Sprintf("the job needs %s for itself and %s for its worker", bytesOf(c.limit), bytesOf(c.worker))
	if c.load > 0 {
		s += fmt.Sprintf(", and getting its module ready takes %s more", bytesOf(c.load))
	}
	if code := codeOf([]charge{c}); code > 0 {
		s += fmt.Sprintf(", and %s for the code of its modules", bytesOf(code))
	}
	return s
}

// tooLittle says that this broker has too little memory for an attempt: ever, or for now.
type tooLittle struct {
	text string
	ever bool
}

func (e tooLittle) Error() string { return e.text }

// MemoryUse is the memory of an executor's workers, in bytes. What is accounted is the sum of Limits, Workers, Loading and
// Modules.
type MemoryUse struct {
	Room     int64 `json:"room"`     // that all may have: Config.Memory and Config.ModuleMemory
	Limits   int64 `json:"limits"`   // that running jobs may have by their limits
	Workers  int64 `json:"workers"`  // of the workers themselves, the idle ones too
	Idle     int64 `json:"idle"`     // of idle workers, a part of Workers
	Loading  int64 `json:"loading"`  // that modules take while they are compiled or loaded
	Modules  int64 `json:"modules"`  // code that workers share
	Resident int64 `json:"resident"` // that is in use, shared pages once
}

// Accounted returns what is accounted for, in bytes.
func (u MemoryUse) Accounted() int64 { return u.Limits + u.Workers + u.Loading + u.Modules }

// MemoryUse returns what the workers may take of memory now, and what they take. It reads files of /proc for each worker.
func (e *Executor) MemoryUse() MemoryUse {
	u := MemoryUse{Room: e.account.room}
	all, busy := e.account.charges()
	for _, c := range all {
		u.Limits += c.limit
		u.Workers += c.worker
		u.Loading += c.load
	}
	idle, pids := e.pool.charges(busy)
	for _, c := range idle {
		u.Workers += c.worker
		u.Idle += c.worker
	}
	u.Modules = codeOf(append(all, idle...))
	tree := processTree{}
	if e.cfg.AllowProcess {
		tree = treeOf(processes())
	}
	for _, pid := range pids {
		for _, p := range append(tree.descendants(pid), process{pid: pid}) {
			u.Resident += p.proportional()
		}
	}
	return u
}
