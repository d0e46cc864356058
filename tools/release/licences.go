package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"runtime/debug"
	"slices"
)

// licenceFiles are the names of files that go wherever the code goes.
var licenceFiles = regexp.MustCompile(`(?i)^(licen[cs]e|copying|notice|copyright|patents)([-._].*)?$`)

// carried are what others have written that is in the binaries, and no module of Go.
var carried = []string{"node/httpd/ui/static/lib"}

// collectLicences writes the licences of all that is in the binaries into one file, ours first.
func (r *release) collectLicences(ctx context.Context) error {
	var all bytes.Buffer
	own, err := os.ReadFile(filepath.Join(r.root, "LICENSE"))
	if err != nil {
		return err
	}
	fmt.Fprintf(&all, "ucp %s\n\n%s", r.version, own)
	if err := addLicences(&all, "The Go standard library, "+r.binaries[0].info.GoVersion, goRoot(ctx)); err != nil {
		return err
	}
	for _, dir := range carried {
		if err := addLicences(&all, dir, filepath.Join(r.root, dir)); err != nil {
			return err
		}
	}
	dirs, err := r.moduleDirs(ctx)
	if err != nil {
		return err
	}
	for _, m := range r.modules() {
		if err := addLicences(&all, m.Path+" "+m.Version, dirs[m.Path+"@"+m.Version]); err != nil {
			return err
		}
	}
	return os.WriteFile(filepath.Join(r.stage, "copyright"), all.Bytes(), 0o600)
}

// modules are those that one of the binaries is made of, each once.
func (r *release) modules() (out []*debug.Module) {
	seen := map[string]bool{}
	for i := range r.binaries {
		for _, m := range r.binaries[i].info.Deps {
			for m.Replace != nil {
				m = m.Replace
			}
			if !seen[m.Path] {
				seen[m.Path] = true
				out = append(out, m)
			}
		}
	}
	slices.SortFunc(out, func(a, b *debug.Module) int { return bytes.Compare([]byte(a.Path), []byte(b.Path)) })
	return out
}

// moduleDirs says where the source of each module is: its path and version -> the directory.
func (r *release) moduleDirs(ctx context.Context) (map[string]string, error) {
	cmd := exec.CommandContext(ctx, "go", "list", "-m", "-json", "all")
	cmd.Dir, cmd.Stderr = r.root, os.Stderr
	out, err := cmd.Output()
	if err != nil {
		return nil, fmt.Errorf("listing modules: %w", err)
	}
	dirs := map[string]string{}
	for d := json.NewDecoder(bytes.NewReader(out)); ; {
		var m struct{ Path, Version, Dir string }
		switch err := d.Decode(&m); {
		case errors.Is(err, io.EOF):
			return dirs, nil
		case err != nil:
			return nil, err
		}
		dirs[m.Path+"@"+m.Version] = m.Dir
	}
}

// addLicences adds what the directory has. A module without any is not given to others.
func addLicences(to *bytes.Buffer, of, dir string) error {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return fmt.Errorf("licence of %s: %w", of, err)
	}
	found := false
	for _, e := range entries {
		if e.IsDir() || !licenceFiles.MatchString(e.Name()) || filepath.Ext(e.Name()) == ".go" {
			continue
		}
		text, err := os.ReadFile(filepath.Join(dir, e.Name()))
		if err != nil {
			return err
		}
		found = true
		fmt.Fprintf(to, "\n----------------------------------------\n%s: %s\n\n%s\n", of, e.Name(), bytes.TrimSpace(text))
	}
	if !found {
		return fmt.Errorf("%s has no licence in %s, and is part of ucp", of, dir)
	}
	return nil
}

// goRoot is where Go is.
func goRoot(ctx context.Context) string {
	out, err := exec.CommandContext(ctx, "go", "env", "GOROOT").Output()
	if err != nil {
		return runtime.GOROOT()
	}
	return string(bytes.TrimSpace(out))
}
