package executor

import (
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path"
	"path/filepath"
	"slices"
	"sync"

	"github.com/urban-compute/ucp/job"
)

// Names inside an attempt's directory. A wasm job sees only rootName.
const (
	rootName   = "root"
	stdoutName = "stdout"
	stderrName = "stderr"
	tmpName    = "tmp"
)

// scratch is the directory of one attempt, as used by the worker that runs it. It is made when it is first
// needed, so a module that only computes does not touch the disk.
type scratch struct {
	dir      string
	make     func() error
	touched  bool
	out, err output
}

func newScratch(dir string) *scratch {
	s := &scratch{dir: dir}
	s.make = sync.OnceValue(func() error {
		s.touched = true
		return os.MkdirAll(s.root(), 0o700)
	})
	s.out = output{path: filepath.Join(dir, stdoutName), mkdir: s.make}
	s.err = output{path: filepath.Join(dir, stderrName), mkdir: s.make}
	return s
}

// root returns the job's own directory: a wasm job's "/", or a native job's working directory.
func (s *scratch) root() string { return filepath.Join(s.dir, rootName) }

// prepare makes the directories and copies the inputs that the order names. All paths go through os.Root,
// even though they were validated when the job was submitted. Files get mode perm.
func (s *scratch) prepare(o *order, perm os.FileMode) error {
	if len(o.Dirs) == 0 && len(o.Inputs) == 0 && len(o.Secrets) == 0 && !o.NeedDir {
		return nil
	}
	if err := s.make(); err != nil {
		return brokerError{err}
	}
	if o.Again {
		return nil
	}
	if err := s.restore(o); err != nil {
		return fmt.Errorf("putting back the checkpoint: %w", err)
	}
	root, err := os.OpenRoot(s.root())
	if err != nil {
		return brokerError{err}
	}
	defer root.Close()
	for _, dir := range o.Dirs {
		if err := root.MkdirAll(dir, 0o700); err != nil {
			return fmt.Errorf("making directory %s: %w", dir, err)
		}
	}
	names := make([]string, 0, len(o.Inputs))
	for name := range o.Inputs {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, name := range names {
		put := func() error { return copyInput(root, name, o.Inputs[name], perm) }
		if job.IsDirectory(name) {
			put = func() error { return unpackInput(root, name, o) }
		}
		if err := put(); err != nil {
			return fmt.Errorf("copying input %s: %w", name, err)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(o.Secrets)) {
		if err := putSecret(root, name, o.Secrets[name]); err != nil {
			return fmt.Errorf("writing secret %s: %w", name, err)
		}
	}
	return nil
}

// putSecret writes a secret to where nothing is yet, for the job's user alone.
func putSecret(root *os.Root, name, content string) error {
	if err := root.MkdirAll(path.Dir(name), 0o700); err != nil {
		return err
	}
	f, err := root.OpenFile(name, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o400)
	if err != nil {
		return err
	}
	_, err = f.WriteString(content)
	return errors.Join(err, f.Close())
}

func copyInput(root *os.Root, name, from string, perm os.FileMode) error {
	if dir := path.Dir(name); dir != "." {
		if err := root.MkdirAll(dir, 0o700); err != nil {
			return err
		}
	}
	return copyFile(root, name, from, perm)
}

// copyFile copies a blob to where nothing is yet.
func copyFile(root *os.Root, name, from string, perm os.FileMode) error {
	src, err := os.Open(from)
	if err != nil {
		return brokerError{err}
	}
	defer src.Close()
	dst, err := root.OpenFile(name, os.O_CREATE|os.O_EXCL|os.O_WRONLY, perm)
	if err != nil {
		return err
	}
	if _, err := io.Copy(dst, src); err != nil {
		dst.Close()
		return err
	}
	return dst.Close()
}

// close closes both outputs, and returns an error if something that the job wrote could not be kept.
func (s *scratch) close() error {
	if err := s.out.close(); err != nil {
		s.err.close()
		return fmt.Errorf("keeping stdout: %w", err)
	}
	if err := s.err.close(); err != nil {
		return fmt.Errorf("keeping stderr: %w", err)
	}
	return nil
}
