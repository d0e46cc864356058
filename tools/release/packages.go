package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/goreleaser/nfpm/v2"
	_ "github.com/goreleaser/nfpm/v2/deb" // writes .deb
	_ "github.com/goreleaser/nfpm/v2/rpm" // writes .rpm
)

// recipe says what is in the packages.
const recipe = "deploy/package/nfpm.yaml"

// packagers are the kinds of packages.
var packagers = []string{"deb", "rpm"}

// writePackages writes the packages for each Linux.
func (r *release) writePackages(context.Context) error {
	for i := range r.binaries {
		if r.binaries[i].os != "linux" {
			continue
		}
		for _, kind := range packagers {
			if err := r.writePackage(kind, r.binaries[i].arch); err != nil {
				return fmt.Errorf("%s for %s: %w", kind, r.binaries[i].arch, err)
			}
		}
	}
	return nil
}

func (r *release) writePackage(kind, arch string) error {
	info, err := r.packageInfo(kind, arch)
	if err != nil {
		return err
	}
	packager, err := nfpm.Get(kind)
	if err != nil {
		return err
	}
	var out bytes.Buffer
	if err := packager.Package(info, &out); err != nil {
		return err
	}
	return writeFile(filepath.Join(r.out, packager.ConventionalFileName(info)), func(w io.Writer) error {
		_, err := out.WriteTo(w)
		return err
	})
}

// packageInfo reads the recipe for a kind of package; an unknown key is an error.
func (r *release) packageInfo(kind, arch string) (*nfpm.Info, error) {
	text, err := os.ReadFile(filepath.Join(r.root, recipe))
	if err != nil {
		return nil, err
	}
	values := map[string]string{"VERSION": r.version, "ARCH": arch, "STAGE": r.stage, "SOURCE": r.root}
	// The library fills in variables in some places only.
	filled := os.Expand(string(text), func(name string) string { return values[name] })
	config, err := nfpm.ParseWithEnvMapping(bytes.NewReader([]byte(filled)), func(string) string { return "" })
	if err != nil {
		return nil, err
	}
	info, err := config.Get(kind)
	if err != nil {
		return nil, err
	}
	info = nfpm.WithDefaults(info)
	info.MTime = r.at
	return info, nfpm.PrepareForPackager(info, kind)
}
