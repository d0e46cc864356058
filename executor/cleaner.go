package executor

import (
	"errors"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
)

// maxDirty bounds how many directories wait to be removed; an attempt that finds
// the queue full removes its own, so that disks fill no faster than they empty.
const maxDirty = 256

// cleaner removes the directories of ended attempts, off their critical path.
type cleaner struct {
	log  *slog.Logger
	dirs chan string
	done sync.WaitGroup
}

func newCleaner(log *slog.Logger) *cleaner {
	c := &cleaner{log: log, dirs: make(chan string, maxDirty)}
	c.done.Go(func() {
		for dir := range c.dirs {
			c.remove(dir)
		}
	})
	return c
}

func (c *cleaner) remove(dir string) {
	if err := removeTree(dir); err != nil {
		c.log.Warn("a job's directory stays until the next start", "dir", dir, "err", err)
	}
}

// close removes what waits, then ends. Nobody may add any more.
func (c *cleaner) close() {
	close(c.dirs)
	c.done.Wait()
}

// clean has the attempt's directory removed, if there may be one.
func (a *attempt) clean(touched bool) {
	if !touched {
		return
	}
	select {
	case a.e.cleaner.dirs <- a.dir:
	default:
		a.e.cleaner.remove(a.dir)
	}
}

// removeTree removes a directory with all that is in it, also directories that a
// job has closed to its own user.
func removeTree(dir string) error {
	err := os.RemoveAll(dir)
	if !errors.Is(err, fs.ErrPermission) {
		return err
	}
	_ = filepath.WalkDir(dir, func(p string, d fs.DirEntry, err error) error {
		if d != nil && d.IsDir() {
			_ = os.Chmod(p, 0o700)
		}
		return nil
	})
	return os.RemoveAll(dir)
}
