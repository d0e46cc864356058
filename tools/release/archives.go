package main

import (
	"archive/tar"
	"compress/gzip"
	"context"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"time"
)

// entry is a file or a directory of an archive. All else of it is the same everywhere.
type entry struct {
	name string // of a directory with a / at its end
	mode int64
	from string // the file it is read from
	text []byte // or what it holds
	uid  int
}

// writeArchives writes a .tar.gz for each system: the binary and what goes with it.
func (r *release) writeArchives(context.Context) error {
	for i := range r.binaries {
		b := &r.binaries[i]
		top := "ucp_" + r.version + "_" + b.name()
		entries := []entry{
			{name: top + "/ucp", mode: 0o755, from: b.path},
			{name: top + "/LICENSE", mode: 0o644, from: filepath.Join(r.root, "LICENSE")},
			{name: top + "/LICENSES-OF-OTHERS", mode: 0o644, from: filepath.Join(r.stage, "copyright")},
			{name: top + "/README.md", mode: 0o644, from: filepath.Join(r.root, "README.md")},
			{name: top + "/config.example.yaml", mode: 0o644, from: filepath.Join(r.root, "config.example.yaml")},
			{name: top + "/ucp.service", mode: 0o644, from: filepath.Join(r.root, "deploy/systemd/ucp.service")},
		}
		for _, dir := range []string{"man", "completion"} {
			files, err := filepath.Glob(filepath.Join(r.stage, dir, "*"))
			if err != nil {
				return err
			}
			for _, f := range files {
				entries = append(entries, entry{name: top + "/" + dir + "/" + filepath.Base(f), mode: 0o644, from: f})
			}
		}
		if err := writeFile(filepath.Join(r.out, top+".tar.gz"), func(w io.Writer) error {
			z, _ := gzip.NewWriterLevel(w, gzip.BestCompression) // the level is one
			return errors.Join(writeTar(z, r.at, entries), z.Close())
		}); err != nil {
			return err
		}
	}
	return nil
}

// writeTar writes an archive with its entries in the order of their names.
func writeTar(w io.Writer, at time.Time, entries []entry) error {
	slices.SortFunc(entries, func(a, b entry) int {
		if a.name < b.name {
			return -1
		}
		return 1
	})
	t := tar.NewWriter(w)
	for _, e := range entries {
		if err := e.write(t, at); err != nil {
			return err
		}
	}
	return t.Close()
}

func (e *entry) write(t *tar.Writer, at time.Time) error {
	h := &tar.Header{Name: e.name, Mode: e.mode, ModTime: at, Uid: e.uid, Gid: e.uid, Typeflag: tar.TypeReg, Format: tar.FormatUSTAR}
	if e.name[len(e.name)-1] == '/' {
		h.Typeflag = tar.TypeDir
		return t.WriteHeader(h)
	}
	text := e.text
	if e.from != "" {
		var err error
		if text, err = os.ReadFile(e.from); err != nil {
			return err
		}
	}
	h.Size = int64(len(text))
	if err := t.WriteHeader(h); err != nil {
		return err
	}
	_, err := t.Write(text)
	return err
}

// writeFile makes a file of a release, which everybody may read.
func writeFile(path string, write func(io.Writer) error) error {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_TRUNC|os.O_WRONLY, fs.FileMode(0o644)) //nolint:gosec // it is for others
	if err != nil {
		return err
	}
	return errors.Join(write(f), f.Close())
}
