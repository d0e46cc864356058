package main

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
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
// added to it. What was to be in it is in the name, too: a part is only gone on with where it is one of the same content.
func partName(name string, d job.Digest) string {
	mark := sha256.Sum256([]byte(name + "\x00" + string(d)))
	return ".ucp-part-" + hex.EncodeToString(mark[:8])
}

// fetchFile writes a file, unless it is there with this content. What comes of it before it breaks off, or this program ends, stays under
// another name, and is gone on with when the same is asked for again.
func fetchFile(ctx context.Context, root *os.Root, id, name string, f outputFile) (err error) {
	name = job.PathOf(name)
	local := filepath.FromSlash(name)
	if !filepath.IsLocal(local) {
		return errOutside
	}
	mode := fs.FileMode(0o666)
	if f.mode != 0 {
		mode = f.mode | 0o600 // it is written, and may be replaced
	}
	if f.isThere(root, local) {
		return nil
	}
	if dir := path.Dir(name); dir != "." {
		if err := root.MkdirAll(filepath.FromSlash(dir), 0o777); err != nil {
			return err
		}
	}
	part := filepath.Join(filepath.Dir(local), partName(fmt.Sprintf("%s\x00%o", name, f.mode), f.blob.Digest))
	r, w, sum, err := f.openPart(ctx, id, root, part, mode)
	if err != nil {
		return err
	}
	defer r.Close()
	at := api.Begins(r)
	n, err := io.Copy(io.MultiWriter(w, sum), io.LimitReader(r, f.blob.Size+1-at))
	n += at
	if err := errors.Join(err, w.Close()); err != nil {
		if n == 0 {
			return errors.Join(err, root.Remove(part))
		}
		return fmt.Errorf("%w; the %d of %d bytes that have come are kept: the same command goes on behind them", err, n, f.blob.Size)
	}
	if got := hex.EncodeToString(sum.Sum(nil)); n != f.blob.Size || got != string(f.blob.Digest) {
		return errors.Join(wrongContent(n, got, f.blob), root.Remove(part))
	}
	return root.Rename(part, local)
}

// openPart opens what is to become a file, and its content behind that which has come of it already, of which it returns a hash. Where there is
// none, no file is left behind.
func (f *outputFile) openPart(ctx context.Context, id string, root *os.Root, part string, mode fs.FileMode) (r io.ReadCloser, w *os.File, sum hash.Hash, err error) {
	w, err = root.OpenFile(part, os.O_CREATE|os.O_RDWR, mode)
	if err != nil {
		return nil, nil, nil, err
	}
	sum = sha256.New()
	came, err := io.Copy(sum, io.LimitReader(w, f.blob.Size+1))
	if err == nil && came < f.blob.Size {
		ctx = api.WithBegun(ctx, came, f.blob.Digest)
	}
	if err == nil {
		r, err = f.open(ctx, id)
	}
	if err == nil && api.Begins(r) != came {
		sum = sha256.New()
		_, err = w.Seek(0, io.SeekStart)
		err = errors.Join(err, w.Truncate(0))
	}
	if err == nil {
		return r, w, sum, nil
	}
	if r != nil {
		_ = r.Close()
	}
	if err = errors.Join(err, w.Close()); came == 0 {
		err = errors.Join(err, root.Remove(part))
	}
	return nil, nil, nil, err
}

// isThere reports whether a file is there with the content that it is to have, and as a program where it is to be one.
func (f *outputFile) isThere(root *os.Root, local string) bool {
	info, err := root.Lstat(local)
	if err != nil || !info.Mode().IsRegular() || info.Size() != f.blob.Size || f.mode != 0 && (info.Mode()^f.mode)&0o100 != 0 {
		return false
	}
	r, err := root.Open(local)
	if err != nil {
		return false
	}
	defer r.Close()
	sum := sha256.New()
	_, err = io.Copy(sum, io.LimitReader(r, f.blob.Size+1))
	return err == nil && hex.EncodeToString(sum.Sum(nil)) == string(f.blob.Digest)
}
