package executor

import (
	"cmp"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"github.com/urban-compute/ucp/job"
)

// moduleCache owns the compiled modules on the disk. Each has a directory of its own, its entry, named by the module's digest:
// what the engine keeps there, and the code that workers map (see shareCode). That code comes last, so an entry that has it is
// complete. Workers fill entries; only the cache removes them: the longest unused first, and none that an attempt or a running
// worker uses.
type moduleCache struct {
	dir     string
	most    int64                 // bytes that all entries may have
	tell    func([]job.Digest)    // is told maxTold of the list when it has changed
	inUse   func(job.Digest) bool // a running worker has mapped its code
	endIdle func(job.Digest)      // ends the idle workers that have

	mu   sync.Mutex
	list []entry // the last used first
	held map[job.Digest]int
}

type entry struct {
	module job.Digest
	size   int64 // bytes on the disk
}

const (
	unordered = 16  // modules, the last used: which of them was used last is told only when another one has come to them
	maxTold   = 256 // modules
	// cachedTimes is how many times its size a module has in the cache, or fewer: 8 to 9 were measured.
	cachedTimes = 10
)

// entriesDir is where the entries are that this version of the engine has made.
func entriesDir(cacheDir string) string { return filepath.Join(cacheDir, "modules-"+engineVersion()) }

// entryDir is where a compiled module is kept.
func entryDir(cacheDir string, d job.Digest) string {
	return filepath.Join(entriesDir(cacheDir), string(d))
}

// load reads what earlier starts have compiled, the last used first, and tells of it. It removes all that is of no use: what
// another version has made, and what is not complete.
func (c *moduleCache) load(cacheDir string) error {
	if err := os.MkdirAll(c.dir, 0o700); err != nil {
		return err
	}
	old, err := os.ReadDir(cacheDir)
	if err != nil {
		return err
	}
	for _, e := range old {
		if path := filepath.Join(cacheDir, e.Name()); path != c.dir {
			_ = removeTree(path)
		}
	}
	entries, err := os.ReadDir(c.dir)
	if err != nil {
		return err
	}
	var found []os.FileInfo
	for _, e := range entries {
		info, err := e.Info()
		switch {
		case err != nil:
		case c.has(job.Digest(e.Name())):
			found = append(found, info)
		default:
			_ = removeTree(filepath.Join(c.dir, e.Name()))
		}
	}
	slices.SortStableFunc(found, func(a, b os.FileInfo) int {
		return cmp.Or(b.ModTime().Compare(a.ModTime()), cmp.Compare(a.Name(), b.Name()))
	})
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, f := range found {
		d := job.Digest(f.Name())
		c.list = append(c.list, entry{d, c.sizeOf(d)})
	}
	c.shrink()
	if len(c.list) > 0 {
		c.say()
	}
	return nil
}

// has reports whether a module is compiled.
func (c *moduleCache) has(d job.Digest) bool {
	_, err := os.Stat(filepath.Join(c.dir, string(d), codeName))
	return err == nil
}

// hold keeps the entry of a module, or the place of one that is yet to be made, until release is called. Then what a worker that
// was ended has left of one is removed.
func (c *moduleCache) hold(d job.Digest) (release func()) {
	if d == "" {
		return func() {}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.held[d]++
	return func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		if c.held[d]--; c.held[d] > 0 {
			return
		}
		delete(c.held, d)
		if !c.has(d) {
			_ = removeTree(filepath.Join(c.dir, string(d)))
		}
		c.shrink() // it may be what was beyond the bound
	}
}

// used notes that a module is compiled, and used now.
func (c *moduleCache) used(d job.Digest) {
	if d == "" {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	i := slices.IndexFunc(c.list, func(e entry) bool { return e.module == d })
	if i == 0 || !c.has(d) { // where the disk had no room for it, it is not compiled for others
		return
	}
	if i > 0 {
		c.list = slices.Delete(c.list, i, i+1)
	}
	now := time.Now()
	_ = os.Chtimes(filepath.Join(c.dir, string(d)), now, now) // a later start takes it for less used than it was
	c.list = slices.Insert(c.list, 0, entry{d, c.sizeOf(d)})
	if !c.shrink() && (i < 0 || i >= unordered) {
		c.say()
	}
}

// size returns how many bytes all entries have.
func (c *moduleCache) size() int64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.sum()
}

// giveWay removes the longest unused modules until so many bytes are free, as far as that goes, and returns how many are: those that
// idle workers have mapped when these have ended.
func (c *moduleCache) giveWay(bytes int64) (freed int64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if freed = c.evict(bytes); freed > 0 {
		c.say()
	}
	return freed
}

// shrink removes what is beyond the bound, and tells if it has; the caller holds c.mu.
func (c *moduleCache) shrink() bool {
	if c.evict(c.sum()-c.most) == 0 {
		return false
	}
	c.say()
	return true
}

// evict removes entries, the longest unused first, until so many bytes are free; the caller holds c.mu.
func (c *moduleCache) evict(bytes int64) (freed int64) {
	for i := len(c.list) - 1; i >= 0 && freed < bytes; i-- {
		e := c.list[i]
		if c.held[e.module] > 0 || c.inUse(e.module) {
			continue
		}
		c.endIdle(e.module)
		dir := filepath.Join(c.dir, string(e.module))
		_ = os.Remove(filepath.Join(dir, codeName)) // from here on it is not complete, whatever happens
		_ = removeTree(dir)
		c.list = slices.Delete(c.list, i, i+1)
		freed += e.size
	}
	return freed
}

func (c *moduleCache) sum() (all int64) {
	for _, e := range c.list {
		all += e.size
	}
	return all
}

// sizeOf returns how many bytes an entry has on the disk.
func (c *moduleCache) sizeOf(d job.Digest) (sum int64) {
	_ = filepath.WalkDir(filepath.Join(c.dir, string(d)), func(_ string, f fs.DirEntry, err error) error {
		if err != nil {
			return nil // it is being removed
		}
		if info, err := f.Info(); err == nil && info.Mode().IsRegular() {
			sum += wholeBlocks(info.Size())
		}
		return nil
	})
	return sum
}

// say tells of the modules; the caller holds c.mu.
func (c *moduleCache) say() {
	told := make([]job.Digest, min(len(c.list), maxTold))
	for i := range told {
		told[i] = c.list[i].module
	}
	c.tell(told)
}

// FreeDisk removes compiled modules that nobody uses, the longest unused first, until so many bytes of the disk are free, and returns
// how many are: they cost time to make again, so that all else comes first. It waits for the disk.
func (e *Executor) FreeDisk(bytes int64) (freed int64) { return e.cache.giveWay(bytes) }

// CacheUse is what compiled modules take of the disk, and what they may, in bytes.
type CacheUse struct{ Bytes, Most int64 }

// CacheUse returns that.
func (e *Executor) CacheUse() CacheUse { return CacheUse{e.cache.size(), e.cache.most} }
