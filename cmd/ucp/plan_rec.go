package main

import (
	"archive/zip"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path"
	"path/filepath"
	"slices"
	"time"

	"github.com/urban-compute/ucp/api"
	"github.com/urban-compute/ucp/job"
	"github.com/urban-compute/ucp/plan"
)

// fetchPlanJob fetches what a job of a plan left, into a directory with its name or, of a plan of REC's, as REC hands it over.
func (c *cli) fetchPlanJob(ctx context.Context, client *api.Client, j *api.Job, to string) (fetched, error) {
	_, name, _, _ := plan.Split(j.ID)
	if j.Spec != nil {
		if d := plan.DeliveryOf(j.Spec.Labels); d.Is() && j.State.Final() && !j.Removed {
			return c.fetchREC(ctx, client, j, &d, name, to)
		}
	}
	return c.fetchResult(ctx, client, string(j.ID), filepath.Join(to, name))
}

// fetchREC fetches what a job left as REC's client gets it: its results as one zip, and its named results each as a file.
func (c *cli) fetchREC(ctx context.Context, client *api.Client, j *api.Job, d *plan.Delivery, name, to string) (out fetched, err error) {
	out = fetched{ID: j.ID, Dir: to, Files: []string{}}
	now, err := c.awaitLeft(ctx, client, *j)
	if err != nil {
		return out, err
	}
	if j = &now; j.Stdout == nil && j.Stderr == nil && len(j.Outputs) == 0 && j.State != job.StateSucceeded {
		return out, nil // it never ran
	}
	left, err := os.MkdirTemp("", "ucp-plan-*")
	if err != nil {
		return out, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(left)) }()
	root, err := os.OpenRoot(left)
	if err != nil {
		return out, err
	}
	defer root.Close()
	if _, err := fetchFiles(ctx, string(j.ID), left, outputFiles(client, j)); err != nil {
		return out, err
	}
	for at, f := range map[string]outputFile{d.Stdout: {blob: j.Stdout, open: client.Stdout}, d.Stderr: {blob: j.Stderr, open: client.Stderr}} {
		if at == "" {
			continue
		}
		if f.blob == nil { // it wrote nothing: an empty file
			if err = root.MkdirAll(path.Dir(at), 0o777); err == nil {
				err = root.WriteFile(at, nil, 0o666)
			}
		} else {
			err = fetchFile(ctx, root, string(j.ID), job.PathText(at), f)
		}
		if err != nil {
			return out, fmt.Errorf("fetching %s of job %s: %w", at, j.ID, err)
		}
	}
	if err := os.MkdirAll(to, 0o777); err != nil {
		return out, fmt.Errorf("--to: %w", err)
	}
	target, err := os.OpenRoot(to)
	if err != nil {
		return out, fmt.Errorf("--to: %w", err)
	}
	defer target.Close()
	put := func(file string, write func(io.Writer) error) error {
		if err := writeWithin(target, file, write); err != nil {
			return fmt.Errorf("writing %s of job %s into %s: %w", file, j.ID, to, err)
		}
		out.Files = append(out.Files, file)
		return nil
	}
	when := j.FinishedAt.Time()
	if d.Receiver != "" {
		err := put(name+"_result.zip", func(w io.Writer) error { return zipPaths(w, root, d.Results, "", when) })
		if err != nil {
			return out, err
		}
	}
	for _, data := range slices.Sorted(maps.Keys(d.Named)) {
		at := d.Named[data]
		info, err := root.Stat(at)
		if errors.Is(err, fs.ErrNotExist) {
			fmt.Fprintf(c.err, "ucp: job %s has not left %s, its result %s\n", j.ID, oneLine(at), oneLine(data))
			continue
		}
		if err != nil {
			return out, err
		}
		err = put(data, func(w io.Writer) error {
			if info.IsDir() {
				return zipPaths(w, root, []string{at}, path.Dir(at), when)
			}
			return copyFrom(w, root, at)
		})
		if err != nil {
			return out, err
		}
	}
	return out, nil
}

// writeWithin writes a file below a directory, whole or not at all.
func writeWithin(root *os.Root, file string, write func(io.Writer) error) (err error) {
	local := filepath.FromSlash(file)
	if !filepath.IsLocal(local) {
		return errOutside
	}
	if dir := filepath.Dir(local); dir != "." {
		if err := root.MkdirAll(dir, 0o777); err != nil {
			return err
		}
	}
	part := filepath.Join(filepath.Dir(local), partName(file, ""))
	w, err := root.OpenFile(part, os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o666)
	if err != nil {
		return err
	}
	if err = errors.Join(write(w), w.Close()); err == nil {
		err = root.Rename(part, local)
	}
	if err != nil {
		err = errors.Join(err, root.Remove(part))
	}
	return err
}

func copyFrom(w io.Writer, root *os.Root, name string) error {
	f, err := root.Open(name)
	if err != nil {
		return err
	}
	defer f.Close()
	_, err = io.Copy(w, f)
	return err
}

// zipPaths writes files, and the files of directories, into an archive, as REC does: files alone, without empty directories, called
// by their paths relative to a directory. What is not there is left out.
func zipPaths(w io.Writer, root *os.Root, paths []string, relative string, when time.Time) error {
	z := zip.NewWriter(w)
	in := map[string]bool{}
	add := func(name string) error {
		info, err := root.Stat(name)
		if errors.Is(err, fs.ErrNotExist) || err == nil && !info.Mode().IsRegular() || in[name] {
			return nil
		}
		if err != nil {
			return err
		}
		in[name] = true
		rel, err := filepath.Rel(relative, filepath.FromSlash(name))
		if err != nil {
			return err
		}
		h := &zip.FileHeader{Name: filepath.ToSlash(rel), Method: zip.Deflate, Modified: when}
		h.SetMode(info.Mode().Perm())
		to, err := z.CreateHeader(h)
		if err != nil {
			return err
		}
		return copyFrom(to, root, name)
	}
	for _, p := range paths {
		err := fs.WalkDir(root.FS(), p, func(name string, e fs.DirEntry, err error) error {
			switch {
			case errors.Is(err, fs.ErrNotExist):
				return nil
			case err != nil || e.IsDir():
				return err
			}
			return add(name)
		})
		if err != nil {
			return err
		}
	}
	return z.Close()
}
