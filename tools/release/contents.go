package main

import (
	"context"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"time"

	cdx "github.com/CycloneDX/cyclonedx-go"
)

// writeContents writes for each binary what it is made of, as CycloneDX: what the binary itself says, and what it carries that is not of
// Go.
func (r *release) writeContents(context.Context) error {
	for i := range r.binaries {
		bom, err := r.contents(&r.binaries[i])
		if err != nil {
			return err
		}
		name := "ucp_" + r.version + "_" + r.binaries[i].name() + ".cdx.json"
		if err := writeFile(filepath.Join(r.out, name), func(w io.Writer) error {
			return cdx.NewBOMEncoder(w, cdx.BOMFileFormatJSON).SetPretty(true).EncodeVersion(bom, cdx.SpecVersion1_6)
		}); err != nil {
			return err
		}
	}
	return nil
}

func (r *release) contents(b *binary) (*cdx.BOM, error) {
	self := component(cdx.ComponentTypeApplication, b.info.Main.Path, b.info.Main.Version, "pkg:golang/")
	self.Name = "ucp"
	self.Licenses = &cdx.Licenses{{License: &cdx.License{ID: "Apache-2.0"}}}
	standard := component(cdx.ComponentTypeLibrary, "std", b.info.GoVersion, "pkg:golang/")
	components := []cdx.Component{standard}
	for _, m := range b.info.Deps {
		for m.Replace != nil {
			m = m.Replace
		}
		c := component(cdx.ComponentTypeLibrary, m.Path, m.Version, "pkg:golang/")
		if sum, found := strings.CutPrefix(m.Sum, "h1:"); found {
			digest, err := base64.StdEncoding.DecodeString(sum)
			if err != nil {
				return nil, fmt.Errorf("sum of %s: %w", m.Path, err)
			}
			c.Hashes = &[]cdx.Hash{{Algorithm: cdx.HashAlgoSHA256, Value: hex.EncodeToString(digest)}} // of Go's listing of its files
		}
		components = append(components, c)
	}
	vendored, err := r.vendored()
	if err != nil {
		return nil, err
	}
	components = append(components, vendored...)

	bom := cdx.NewBOM()
	bom.Metadata = &cdx.Metadata{Timestamp: r.at.Format(time.RFC3339), Component: &self}
	bom.Components = &components
	var refs []string
	for i := range components {
		refs = append(refs, components[i].BOMRef)
	}
	bom.Dependencies = &[]cdx.Dependency{{Ref: self.BOMRef, Dependencies: &refs}}
	return bom, nil
}

func component(kind cdx.ComponentType, name, version, purl string) cdx.Component {
	ref := purl + name + "@" + version
	return cdx.Component{Type: kind, Name: name, Version: version, BOMRef: ref, PackageURL: ref}
}

// library is how the README beside the libraries of the dashboard names each.
var library = regexp.MustCompile(`(?m)\b(lit-html|uPlot) (\d+\.\d+\.\d+)`)

// vendored are the libraries in JavaScript.
func (r *release) vendored() (out []cdx.Component, err error) {
	text, err := os.ReadFile(filepath.Join(r.root, carried[0], "README.md"))
	if err != nil {
		return nil, err
	}
	for _, m := range library.FindAllStringSubmatch(string(text), -1) {
		out = append(out, component(cdx.ComponentTypeLibrary, m[1], m[2], "pkg:npm/"))
	}
	if len(out) == 0 {
		return nil, fmt.Errorf("%s/README.md names no library with its version", carried[0])
	}
	return out, nil
}
