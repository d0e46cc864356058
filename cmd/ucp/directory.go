package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/urban-compute/ucp/api"
	"github.com/urban-compute/ucp/job"
	"github.com/urban-compute/ucp/tree"
)

// localTree is a directory of this machine, as a manifest and the files of which it consists.
type localTree struct {
	dir      string
	manifest []byte
	files    map[job.Digest]string // by content, one path of each
	sizes    map[job.Digest]int64
}

// readTree reads a directory, each file once, to name it by its content. What can't be part of a job's directory is an error.
func readTree(what, dir string) (*localTree, error) {
	info, err := os.Stat(dir)
	if err == nil && !info.IsDir() {
		err = fmt.Errorf("%s is no directory; a file has a path without a slash at its end", dir)
	}
	if err != nil {
		return nil, fmt.Errorf("%s: %w", what, err)
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", what, err)
	}
	defer root.Close()
	t := &localTree{dir: dir, files: map[job.Digest]string{}, sizes: map[job.Digest]int64{}}
	m, err := tree.Walk(root, ".", tree.Walker{
		Store: func(name string) (job.Blob, error) {
			path := filepath.Join(dir, filepath.FromSlash(name))
			b, err := api.Measure(fileContent(path, job.MaxBlob+1))
			if err != nil {
				return job.Blob{}, fmt.Errorf("%s: %w", path, err)
			}
			t.files[b.Digest], t.sizes[b.Digest] = path, b.Size
			return job.Blob(b), nil
		},
		Leave: func(name, kind string) error {
			return fmt.Errorf("%s is %s, which a job's directory can't hold; leave it out, or put a file in its place", filepath.Join(dir, name), kind)
		},
	})
	if err == nil {
		t.manifest, err = m.Encode()
	}
	if err != nil {
		return nil, fmt.Errorf("%s: %w", what, err)
	}
	return t, nil
}

// sendTree makes sure that the broker holds a directory of this machine, and returns the digest of its manifest.
func (c *cli) sendTree(ctx context.Context, client *api.Client, what, dir string) (job.Digest, error) {
	t, err := readTree(what, dir)
	if err != nil {
		return "", err
	}
	d, err := c.upload(ctx, client, what, api.Bytes(t.manifest))
	if err != nil {
		return "", err
	}
	line := c.newProgress()
	defer line.clear()
	sent := map[job.Digest]bool{}
	for {
		lacking, err := client.MissingFiles(ctx, d)
		if err != nil || len(lacking) == 0 {
			return d, err
		}
		for _, f := range lacking {
			if t.files[f] == "" || sent[f] {
				return "", fmt.Errorf("%s: the broker asks for file %.12s of it again and again", what, f)
			}
			sent[f] = true
		}
		send := func(ctx context.Context, i int) (bool, error) {
			f := lacking[i]
			return client.PutBlob(ctx, api.Blob{Digest: f, Size: t.sizes[f]}, fileContent(t.files[f], t.sizes[f]))
		}
		err = pipelined(ctx, len(lacking), atOnce, send, func(i int, _ bool, err error) error {
			if err != nil {
				return fmt.Errorf("uploading %s: %w", t.files[lacking[i]], err)
			}
			line.show(fmt.Sprintf("%s: sent %d of %d files", dir, i+1, len(lacking)))
			return nil
		})
		if err != nil {
			return "", err
		}
	}
}

// maxSeen is how much of a manifest is read at most: one byte more than any has.
const maxSeen = tree.MaxManifest + 1

// fetchTree writes a directory that a job left below root, at its own path. Files are replaced one by one, each when the
// new one has come whole; what else is there stays.
func fetchTree(ctx context.Context, root *os.Root, id, name string, f outputFile) error {
	text, err := f.manifest(ctx, id)
	if err != nil {
		return err
	}
	m, err := tree.Decode(text)
	if err != nil {
		return fmt.Errorf("the manifest of the directory is not to be used: %w", err)
	}
	dir := strings.TrimSuffix(job.PathOf(name), "/")
	if !filepath.IsLocal(filepath.FromSlash(dir)) {
		return errOutside
	}
	if err := root.MkdirAll(filepath.FromSlash(dir), 0o777); err != nil {
		return err
	}
	if a, b := alikeButForCase(m); a != "" && foldsCase(root, dir) {
		return fmt.Errorf("%q and %q are one name here, and nothing was written: unpack `ucp job result` of this job on another machine", a, b)
	}
	return m.Unpack(root, dir, func(files []*tree.Entry) error {
		fetch := func(ctx context.Context, i int) (struct{}, error) {
			e := files[i]
			text := name + job.PathText(e.Path)
			return struct{}{}, fetchFile(ctx, root, id, text, outputFile{
				blob: &job.Blob{Digest: e.Digest, Size: e.Size}, mode: e.Mode,
				open: func(ctx context.Context, id string) (io.ReadCloser, error) { return f.within(ctx, id, text) },
			})
		}
		return pipelined(ctx, len(files), atOnce, fetch, func(i int, _ struct{}, err error) error {
			if err != nil {
				return fmt.Errorf("%q: %w", files[i].Path, err)
			}
			return nil
		})
	})
}

// manifest fetches the manifest of a directory.
func (f *outputFile) manifest(ctx context.Context, id string) ([]byte, error) {
	r, err := f.open(ctx, id)
	if err != nil {
		return nil, err
	}
	defer r.Close()
	text, err := io.ReadAll(io.LimitReader(r, min(f.blob.Size, maxSeen)+1))
	if err != nil {
		return nil, err
	}
	got, err := api.Measure(api.Bytes(text))
	if err == nil && got != api.Blob(*f.blob) {
		err = wrongContent(got.Size, string(got.Digest), f.blob)
	}
	return text, err
}

// alikeButForCase returns two entries of a manifest that some file systems take for one; none if there are no such.
func alikeButForCase(m *tree.Manifest) (a, b string) {
	seen := map[string]string{}
	for i := range m.Entries {
		p := m.Entries[i].Path
		folded := strings.ToLower(strings.ToUpper(p))
		if other, taken := seen[folded]; taken {
			return other, p
		}
		seen[folded] = p
	}
	return "", ""
}

// foldsCase reports whether names that differ by case only are the same in a directory, by trying it.
func foldsCase(root *os.Root, dir string) bool {
	probe := filepath.Join(filepath.FromSlash(dir), ".ucp-case")
	f, err := root.OpenFile(probe, os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		return true // what can't be tried is not believed
	}
	_, err = root.Lstat(filepath.Join(filepath.FromSlash(dir), ".UCP-CASE"))
	return errors.Join(f.Close(), root.Remove(probe)) != nil || !errors.Is(err, fs.ErrNotExist)
}

// measureTree names a directory by its manifest, and sends nothing.
func measureTree(what, dir string) (job.Digest, error) {
	t, err := readTree(what, dir)
	if err != nil {
		return "", err
	}
	b, err := api.Measure(func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(t.manifest)), nil })
	return b.Digest, err
}
