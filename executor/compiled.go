package executor

import (
	"cmp"
	"os"
	"path/filepath"
	"slices"
	"sync"

	"github.com/urban-compute/ucp/job"
)

// compiled lists the modules that are in the disk cache, as far as this executor knows, the last used first. Which they are
// stands in files beside the cache, empty and named by the modules' digests, so that a broker knows it again when it
// starts.
type compiled struct {
	dir  string
	tell func([]job.Digest) // is told maxTold of the list when it has changed

	mu   sync.Mutex
	list []job.Digest
}

func newCompiled(cacheDir string, tell func([]job.Digest)) *compiled {
	return &compiled{dir: filepath.Join(cacheDir, "compiled-"+engineVersion()), tell: tell} // what another version has compiled is no use
}

// load reads which modules earlier starts have compiled, the latest first, and tells of them.
func (c *compiled) load() error {
	if err := os.MkdirAll(c.dir, 0o700); err != nil {
		return err
	}
	entries, err := os.ReadDir(c.dir)
	if err != nil {
		return err
	}
	var files []os.FileInfo
	for _, e := range entries {
		if info, err := e.Info(); err == nil {
			files = append(files, info)
		}
	}
	slices.SortStableFunc(files, func(a, b os.FileInfo) int {
		return cmp.Or(b.ModTime().Compare(a.ModTime()), cmp.Compare(a.Name(), b.Name()))
	})
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, f := range files[:min(len(files), maxKnown)] {
		c.list = append(c.list, job.Digest(f.Name()))
	}
	if len(c.list) > 0 {
		c.say()
	}
	return nil
}

// has reports whether a module is compiled.
func (c *compiled) has(d job.Digest) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Contains(c.list, d)
}

// used notes that a module is compiled, and used now.
func (c *compiled) used(d job.Digest) {
	if d == "" {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	i := slices.Index(c.list, d)
	switch {
	case i == 0:
		return
	case i > 0:
		c.list = slices.Delete(c.list, i, i+1)
	default:
		_ = os.WriteFile(filepath.Join(c.dir, string(d)), nil, 0o600) // a later start compiles it again, if need be
	}
	c.list = slices.Insert(c.list, 0, d)
	c.list = c.list[:min(len(c.list), maxKnown)]
	if i < 0 || i >= unordered {
		c.say()
	}
}

const (
	unordered = 16  // modules, the last used: which of them was used last is told only when another one has come to them
	maxTold   = 256 // modules
)

// say tells of the modules; the caller holds c.mu.
func (c *compiled) say() { c.tell(slices.Clone(c.list[:min(len(c.list), maxTold)])) }
