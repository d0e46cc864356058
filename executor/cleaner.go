package executor

import (
	"errors"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
)

// maxDirty bounds how many directories wait to be removed. An attempt that finds the queue full removes its
// own directory, so that the disk fills no faster than it is emptied.
const maxDirty = 256

// cleaner removes the directories of ended attempts in the background.
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
		c.log.Warn("cannot remove a job's directory; it stays until the next start", "dir", dir, "err", err)
	}
}

// close removes what is still queued and then ends the goroutine. Nothing may be queued after it was called.
func (c *cleaner) close() {
	close(c.dirs)
	c.done.Wait()
}

// clean removes the attempt's directory, if the attempt may have made one.
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

// removeTree removes a directory and its contents, including directories whose permissions a job has taken
// away from its own user.
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
