package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/urban-compute/ucp/api"
	"github.com/urban-compute/ucp/job"
)

// sources opens the files that a person names. "-" is stdin, once: it is copied
// to a temporary file, because a file is read twice, to name it and to send it.
type sources struct {
	in    io.Reader
	spool string // the temporary file, "" for none
	used  string // what took stdin
}

// open returns the content of a file for the flag or argument what.
func (s *sources) open(what, path string) (api.Content, error) {
	if path != "-" {
		info, err := os.Stat(path)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", what, err)
		}
		if info.IsDir() {
			return nil, fmt.Errorf("%s: %s is a directory; name the files in it one by one", what, path)
		}
		if info.Size() > job.MaxBlob {
			return nil, fmt.Errorf("%s: %s has %s, at most %s are allowed", what, path, humanBytes(info.Size()), humanBytes(job.MaxBlob))
		}
		return fileContent(path), nil
	}
	if s.used != "" {
		return nil, fmt.Errorf("%s: \"-\" (stdin) is already taken by %s", what, s.used)
	}
	s.used = what
	f, err := os.CreateTemp("", "ucp-stdin-*")
	if err != nil {
		return nil, fmt.Errorf("%s: keeping stdin: %w", what, err)
	}
	s.spool = f.Name()
	n, err := io.Copy(f, io.LimitReader(s.in, job.MaxBlob+1))
	if err := errors.Join(err, f.Close()); err != nil {
		return nil, fmt.Errorf("%s: reading stdin: %w", what, err)
	}
	if n > job.MaxBlob {
		return nil, fmt.Errorf("%s: stdin has more than the %s that are allowed", what, humanBytes(job.MaxBlob))
	}
	return fileContent(s.spool), nil
}

// close removes what open made.
func (s *sources) close() {
	if s.spool != "" {
		_ = os.Remove(s.spool) // the system clears its temporary directory anyway
	}
}

func fileContent(path string) api.Content {
	return func() (io.ReadCloser, error) { return os.Open(path) }
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

// checkWasm refuses what is plainly no module before it is uploaded.
func checkWasm(path string, content api.Content) error {
	r, err := content()
	if err != nil {
		return err
	}
	defer r.Close()
	head := make([]byte, job.ModuleHeader)
	n, err := io.ReadFull(r, head)
	if err != nil && !errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) {
		return fmt.Errorf("reading %s: %w", path, err)
	}
	err = job.CheckModule(head[:n])
	switch {
	case err == nil:
		return nil
	case strings.HasPrefix(string(head), "\x00asm"):
		return fmt.Errorf("%s: %w", path, err)
	}
	return fmt.Errorf("%s: %w; a native program needs --driver process", path, err)
}
