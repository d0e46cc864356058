package main

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path"
	"path/filepath"
	"slices"

	"github.com/urban-compute/ucp/api"
	"github.com/urban-compute/ucp/job"
)

// outputFile is one file that a job left: what it must hold, and how to get it.
type outputFile struct {
	blob *job.Blob
	open func(ctx context.Context, id string) (io.ReadCloser, error)
	// Of a directory open hands out its manifest, and within a file in it, by its path from the job's root.
	within func(ctx context.Context, id, path string) (io.ReadCloser, error)
	mode   fs.FileMode // of a file in a directory; 0 is that of any new file
}

// outputFiles lists the job's output paths.
func outputFiles(client *api.Client, j *api.Job) map[string]outputFile {
	return filesAt(j.Outputs, client.Output)
}

func filesAt(outputs map[string]job.Blob, open func(ctx context.Context, id, path string) (io.ReadCloser, error)) map[string]outputFile {
	files := map[string]outputFile{}
	for p, b := range outputs {
		files[p] = outputFile{blob: &b, open: func(ctx context.Context, id string) (io.ReadCloser, error) { return open(ctx, id, p) }, within: open}
	}
	return files
}

// keptFiles lists what is kept of an attempt that was stopped in the middle, of a job that goes on: its outputs, and what it
// wrote as "stdout" and "stderr", unless an output has that name.
func keptFiles(client *api.Client, a *api.Attempt) map[string]outputFile {
	file := func(path string) func(ctx context.Context, id string) (io.ReadCloser, error) {
		return func(ctx context.Context, id string) (io.ReadCloser, error) {
			return client.Kept(ctx, id, a.Attempt, path)
		}
	}
	files := filesAt(a.Kept.Outputs, func(ctx context.Context, id, path string) (io.ReadCloser, error) {
		return client.Kept(ctx, id, a.Attempt, "outputs/"+path)
	})
	return withStreams(files, outputFile{blob: a.Kept.Stdout, open: file("stdout")}, outputFile{blob: a.Kept.Stderr, open: file("stderr")})
}

// withStreams adds what a job wrote to its stdout and stderr, as files of these names unless there are such.
func withStreams(files map[string]outputFile, stdout, stderr outputFile) map[string]outputFile {
	for name, f := range map[string]outputFile{"stdout": stdout, "stderr": stderr} {
		if _, taken := files[name]; !taken && f.blob != nil {
			files[name] = f
		}
	}
	return files
}

// fetchFiles writes the files of a job below dir and returns their paths, sorted.
// The paths come from outside: os.Root keeps every one of them below dir, also
// where symlinks lie in wait. A file that is there is replaced only when the new
// one has come whole.
func fetchFiles(ctx context.Context, id, dir string, files map[string]outputFile) ([]string, error) {
	names := slices.Sorted(maps.Keys(files))
	if len(names) == 0 {
		return []string{}, nil
	}
	if err := os.MkdirAll(dir, 0o777); err != nil {
		return nil, fmt.Errorf("--to: %w", err)
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, fmt.Errorf("--to: %w", err)
	}
	defer root.Close()
	for _, name := range names {
		fetch := fetchFile
		if job.IsDirectory(name) {
			fetch = fetchTree
		}
		if err := fetch(ctx, root, id, name, files[name]); err != nil {
			return nil, fmt.Errorf("fetching output %q of job %s into %s: %w", name, id, dir, err)
		}
	}
	return names, nil
}

var errOutside = errors.New("the path leads out of the directory; nothing was written")

// wrongContent says that what came is not what the job wrote.
func wrongContent(n int64, sum string, want *job.Blob) error {
	return fmt.Errorf("the content is not what the job wrote (%d bytes with SHA-256 %.12s, expected %d with %.12s); try again, or ask another broker", n, sum, want.Size, want.Digest)
}

// partName is how a file is called until it has come whole. A name may be as long as the file system allows: nothing can be
// added to it.
func partName(name string) string {
	mark := sha256.Sum256([]byte(name))
	return ".ucp-part-" + hex.EncodeToString(mark[:8])
}

func fetchFile(ctx context.Context, root *os.Root, id, name string, f outputFile) (err error) {
	name = job.PathOf(name)
	local := filepath.FromSlash(name)
	if !filepath.IsLocal(local) {
		return errOutside
	}
	r, err := f.open(ctx, id)
	if err != nil {
		return err
	}
	defer r.Close()
	if dir := path.Dir(name); dir != "." {
		if err := root.MkdirAll(filepath.FromSlash(dir), 0o777); err != nil {
			return err
		}
	}
	part := filepath.Join(filepath.Dir(local), partName(name))
	mode := fs.FileMode(0o666)
	if f.mode != 0 {
		mode = f.mode | 0o600 // it is written, and may be replaced
	}
	w, err := root.OpenFile(part, os.O_CREATE|os.O_TRUNC|os.O_WRONLY, mode)
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, root.Remove(part))
		}
	}()
	sum := sha256.New()
	n, err := io.Copy(io.MultiWriter(w, sum), io.LimitReader(r, f.blob.Size+1))
	if err := errors.Join(err, w.Close()); err != nil {
		return err
	}
	if got := hex.EncodeToString(sum.Sum(nil)); n != f.blob.Size || got != string(f.blob.Digest) {
		return wrongContent(n, got, f.blob)
	}
	return root.Rename(part, local)
}
