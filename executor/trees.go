package executor

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/urban-compute/ucp/job"
	"github.com/urban-compute/ucp/tree"
)

// blobFile is the path of a blob's file below the directory of all blobs.
func blobFile(dir string, d job.Digest) string {
	return filepath.Join(dir, string(d[:2]), string(d[2:]))
}

// unusable says that an input can't be used on any broker.
type unusable struct{ error }

func (u unusable) Unwrap() error { return u.error }

// manifestAt reads a manifest that has come as the input of that name.
func manifestAt(name, file string) (*tree.Manifest, error) {
	b, err := os.ReadFile(file)
	if err != nil {
		return nil, fmt.Errorf("input %s: %w", name, err)
	}
	m, err := tree.Decode(b)
	if err != nil {
		return nil, unusable{fmt.Errorf("input %s is no directory: %w", name, err)}
	}
	return m, nil
}

// given is what the inputs of an order take on the disk.
type given struct{ bytes, names int64 }

// measureInputs adds up the inputs of an order, and sees to it that all files of its directories are here.
func (a *attempt) measureInputs(o *order) error {
	g := &a.given
	for name, file := range o.Inputs {
		g.names++
		if !job.IsDirectory(name) {
			info, err := os.Stat(file)
			if err == nil {
				g.bytes += wholeBlocks(info.Size())
			}
			continue
		}
		m, err := manifestAt(name, file)
		if err != nil {
			return err
		}
		o.Blobs = a.e.cfg.Blobs.Dir()
		g.names += int64(len(m.Entries))
		for i := range m.Entries {
			e := &m.Entries[i]
			if !e.IsFile() {
				continue
			}
			g.bytes += wholeBlocks(e.Size)
			p, err := a.e.cfg.Blobs.Path(e.Digest)
			if err != nil {
				return fmt.Errorf("finding %s of input %s: %w", job.PathText(e.Path), name, err)
			}
			if p != blobFile(o.Blobs, e.Digest) {
				return fmt.Errorf("blob %.12s lies at %s, where no worker looks for it", e.Digest, p)
			}
		}
	}
	return nil
}

// unpackInput makes an input that is a directory. Its files can be read and written by the job, whatever their modes.
func unpackInput(root *os.Root, name string, o *order) error {
	m, err := manifestAt(name, o.Inputs[name])
	if err != nil {
		return err
	}
	dir := strings.TrimSuffix(name, "/")
	return m.Unpack(root, dir, func(files []*tree.Entry) error {
		for _, e := range files {
			if err := copyFile(root, e.At(dir), blobFile(o.Blobs, e.Digest), e.Mode|0o600); err != nil {
				return err
			}
		}
		return nil
	})
}

// tree stores an output that is to be kept as one directory: its files, and a manifest of them.
func (c *collector) tree(name string) error {
	dir := strings.TrimSuffix(name, "/")
	m, err := tree.Walk(c.root, dir, tree.Walker{
		Store: func(at string) (job.Blob, error) { return c.a.store(c.root, at) },
		Leave: func(at, what string) error { c.leave(at, what); return nil },
	})
	if err != nil {
		return fmt.Errorf("storing output %s: %w", name, err)
	}
	text, err := m.Encode()
	if err != nil {
		return fmt.Errorf("storing output %s: %w", name, err)
	}
	b, err := c.a.e.cfg.Blobs.Put(c.a.storing(), bytes.NewReader(text))
	if err != nil {
		return brokerError{fmt.Errorf("storing output %s: %w", name, err)}
	}
	c.kept[job.PathText(name)] = b
	return nil
}
