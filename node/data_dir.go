package node

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"
)

// dataDir is the data directory as it was when the broker started. What is removed under a broker that runs it would still write, and
// acknowledge, for as long as no file has to be opened, and nothing of that would be there at its next start.
type dataDir struct {
	path string
	held map[string]os.FileInfo // what must stay the same, by name
}

// lookAtDataDir notes what the data directory is; nil where it is in memory, as in simulations.
func lookAtDataDir(c *Config) (*dataDir, error) {
	if c.FS != nil {
		return nil, nil
	}
	d := &dataDir{path: c.DataDir, held: map[string]os.FileInfo{}}
	for _, name := range []string{"LOCK", "db", "blobs"} {
		is, err := os.Stat(filepath.Join(d.path, name))
		if err != nil {
			return nil, fmt.Errorf("data directory: %w", err)
		}
		d.held[name] = is
	}
	return d, nil
}

// check is an error when the directory, or what the store has in it, was removed or replaced.
func (d *dataDir) check() error {
	for name, was := range d.held {
		switch is, err := os.Stat(filepath.Join(d.path, name)); {
		case errors.Is(err, fs.ErrNotExist), err == nil && !os.SameFile(was, is):
			return fmt.Errorf("%s in the data directory %s was removed or replaced while the broker ran: what it takes from now on would be lost, so it ends. Others go on with its jobs; started again with an empty directory it begins from nothing", name, d.path)
		}
	}
	return nil
}

// watch looks until the context ends; that the directory is gone ends the broker.
func (d *dataDir) watch(ctx context.Context) error {
	if d == nil {
		return nil
	}
	t := time.NewTicker(reserveEvery)
	defer t.Stop()
	for {
		if err := d.check(); err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return nil
		case <-t.C:
		}
	}
}
