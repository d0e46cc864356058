package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"sync"

	"github.com/urban-compute/ucp/api"
	"github.com/urban-compute/ucp/job"
	"github.com/urban-compute/ucp/module"
)

// sources opens the files that a person names, each as it is when it is first opened: it is read twice, to name it and to
// send it, and perhaps again for another broker. Stdin ("-", for one use only), and what can be read but once, such as a
// FIFO or <(command), is copied to a temporary file. Of a file that grows what it had at first is taken.
type sources struct {
	mu     sync.Mutex
	in     io.Reader
	spools map[string]string // by path, the temporary files
	used   string            // what took stdin
}

// unspooled opens a file for the flag what to be read once, without a copy of it on the disk.
func (s *sources) unspooled(what, path string) (io.ReadCloser, error) {
	if path != "-" {
		return os.Open(path)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.used != "" {
		return nil, fmt.Errorf("\"-\" (stdin) is already taken by %s", s.used)
	}
	s.used = what
	return io.NopCloser(s.in), nil
}

// open returns the content of a file for the flag or argument what.
func (s *sources) open(what, path string) (api.Content, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if path == "-" && s.used != "" && s.used != what {
		return nil, fmt.Errorf("%s: \"-\" (stdin) is already taken by %s", what, s.used)
	}
	if spool, ok := s.spools[path]; ok {
		return fileContent(spool, job.MaxBlob), nil
	}
	if path == "-" {
		s.used = what
		return s.spool(what, path, "stdin", s.in)
	}
	info, err := os.Stat(path)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", what, err)
	}
	switch {
	case info.IsDir():
		return nil, fmt.Errorf("%s: %s is a directory%s", what, path, dirHint(what, path))
	case !info.Mode().IsRegular() || info.Size() == 0: // files below /proc say that they are empty, and are not
		f, err := os.Open(path)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", what, err)
		}
		defer f.Close()
		return s.spool(what, path, path, f)
	case info.Size() > job.MaxBlob:
		return nil, fmt.Errorf("%s: %s has %s, at most %s are allowed", what, path, humanBytes(info.Size()), humanBytes(job.MaxBlob))
	}
	return fileContent(path, info.Size()), nil
}

// dirHint says how a directory is given.
func dirHint(what, path string) string {
	if at, ok := strings.CutPrefix(what, "--input "); ok {
		return fmt.Sprintf("; to give all that is in it, write --input %s/=%s", at, path)
	}
	return ", where a file is wanted"
}

// spool copies what can be read but once.
func (s *sources) spool(what, path, called string, from io.Reader) (api.Content, error) {
	f, err := os.CreateTemp("", "ucp-input-*")
	if err != nil {
		return nil, fmt.Errorf("%s: keeping %s: %w", what, called, err)
	}
	if s.spools == nil {
		s.spools = map[string]string{}
	}
	s.spools[path] = f.Name()
	n, err := io.Copy(f, io.LimitReader(from, job.MaxBlob+1))
	if err := errors.Join(err, f.Close()); err != nil {
		return nil, fmt.Errorf("%s: reading %s: %w", what, called, err)
	}
	if n > job.MaxBlob {
		return nil, fmt.Errorf("%s: %s has more than the %s that are allowed", what, called, humanBytes(job.MaxBlob))
	}
	return fileContent(f.Name(), n), nil
}

// close removes what open made.
func (s *sources) close() {
	for _, path := range s.spools {
		_ = os.Remove(path) // the system clears its temporary directory anyway
	}
}

// fileContent is the first size bytes of a file: what it had when it was opened first, although it has grown since.
func fileContent(path string, size int64) api.Content {
	return func() (io.ReadCloser, error) {
		f, err := os.Open(path)
		if err != nil {
			return nil, err
		}
		return struct {
			io.Reader
			io.Closer
		}{io.LimitReader(f, size), f}, nil
	}
}

// upload makes sure that the broker holds the content, sends it when it does
// not, and returns its digest.
func (c *cli) upload(ctx context.Context, client *api.Client, what string, content api.Content) (job.Digest, error) {
	b, err := api.Measure(content)
	if err != nil {
		return "", fmt.Errorf("%s: %w", what, err)
	}
	has, err := client.HasBlob(ctx, b.Digest)
	if err != nil || has {
		return b.Digest, err
	}
	p := c.newProgress()
	defer p.clear()
	if _, err = client.PutBlob(ctx, b, p.watch(what, b, content)); err != nil {
		return "", fmt.Errorf("uploading %s: %w", what, err)
	}
	return b.Digest, nil
}

// checkWasm refuses what brokers can't run before it is uploaded.
func checkWasm(path string, content api.Content) error {
	return checkModule(path, content, "a native program needs --driver process")
}

// checkModule is checkWasm, which says of what is no module at all how it would run.
func checkModule(path string, content api.Content, otherwise string) error {
	r, err := content()
	if err != nil {
		return err
	}
	defer r.Close()
	var refused module.Refused
	err = module.Check(r)
	switch {
	case err == nil:
		return nil
	case !errors.As(err, &refused):
		return fmt.Errorf("reading %s: %w", path, err)
	case errors.Is(err, module.ErrNotWasm):
		return fmt.Errorf("%s: %w; %s", path, err, otherwise)
	}
	return fmt.Errorf("%s: %w", path, err)
}
