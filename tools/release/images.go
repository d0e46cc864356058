package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/layout"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
	"github.com/google/go-containerregistry/pkg/v1/types"
)

// nobody is the user of a broker in an image: a number that no distribution gives to anybody.
const nobody = 65532

// writeImages writes an image from scratch for each Linux: an archive that is both OCI's layout and what `docker save` writes, and one
// with all of them, for registries.
func (r *release) writeImages(context.Context) error {
	all := mutate.IndexMediaType(empty.Index, types.OCIImageIndex)
	n := 0
	for i := range r.binaries {
		b := &r.binaries[i]
		if b.os != "linux" {
			continue
		}
		image, err := r.image(b)
		if err != nil {
			return fmt.Errorf("image for %s: %w", b.arch, err)
		}
		one := mutate.AppendManifests(mutate.IndexMediaType(empty.Index, types.OCIImageIndex), r.addendum(b, image))
		if err := r.writeImage("ucp_"+r.version+"_"+b.name()+".oci.tar", one, image); err != nil {
			return err
		}
		all = mutate.AppendManifests(all, r.addendum(b, image))
		n++
	}
	if n < 2 {
		return nil
	}
	// One name for all: the index that a registry holds is itself one entry of the layout's.
	top := mutate.AppendManifests(mutate.IndexMediaType(empty.Index, types.OCIImageIndex), mutate.IndexAddendum{
		Add: all, Descriptor: v1.Descriptor{Annotations: r.names()},
	})
	return r.writeImage("ucp_"+r.version+"_linux.oci.tar", top, nil)
}

// names are how an image is called where an archive is loaded.
func (r *release) names() map[string]string {
	return map[string]string{"org.opencontainers.image.ref.name": r.tag(), "io.containerd.image.name": "docker.io/library/ucp:" + r.tag()}
}

// tag is the version as a tag can be written, which has no +.
func (r *release) tag() string { return strings.ReplaceAll(r.version, "+", "-") }

func (r *release) addendum(b *binary, image v1.Image) mutate.IndexAddendum {
	return mutate.IndexAddendum{Add: image, Descriptor: v1.Descriptor{
		Platform: &v1.Platform{OS: b.os, Architecture: b.arch}, Annotations: r.names(),
	}}
}

// image is ucp, a place for its data, one for what is temporary, and nothing else.
func (r *release) image(b *binary) (v1.Image, error) {
	var files bytes.Buffer
	if err := writeTar(&files, r.at, []entry{
		{name: "usr/", mode: 0o755},
		{name: "usr/bin/", mode: 0o755},
		{name: "usr/bin/ucp", mode: 0o755, from: b.path},
		{name: "usr/share/", mode: 0o755},
		{name: "usr/share/doc/", mode: 0o755},
		{name: "usr/share/doc/ucp/", mode: 0o755},
		{name: "usr/share/doc/ucp/copyright", mode: 0o644, from: filepath.Join(r.stage, "copyright")},
		{name: "etc/", mode: 0o755},
		{name: "etc/passwd", mode: 0o644, text: fmt.Appendf(nil, "ucp:x:%d:%d::/var/lib/ucp:/sbin/nologin\n", nobody, nobody)},
		{name: "etc/group", mode: 0o644, text: fmt.Appendf(nil, "ucp:x:%d:\n", nobody)},
		{name: "tmp/", mode: 0o1777},
		{name: "var/", mode: 0o755},
		{name: "var/lib/", mode: 0o755},
		{name: "var/lib/ucp/", mode: 0o700, uid: nobody},
	}); err != nil {
		return nil, err
	}
	layer, err := tarball.LayerFromOpener(func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(files.Bytes())), nil },
		tarball.WithMediaType(types.OCILayer), tarball.WithCompressionLevel(9))
	if err != nil {
		return nil, err
	}
	image := mutate.ConfigMediaType(mutate.MediaType(empty.Image, types.OCIManifestSchema1), types.OCIConfigJSON)
	if image, err = mutate.Append(image, mutate.Addendum{Layer: layer, History: v1.History{Created: v1.Time{Time: r.at}, CreatedBy: "make release"}}); err != nil {
		return nil, err
	}
	return mutate.ConfigFile(image, r.imageConfig(b, image))
}

// imageConfig says how the broker of an image is run. Without settings it is alone on loopback, as anywhere. OCI knows no health
// check; docker and podman read theirs here, and others have probes of their own.
func (r *release) imageConfig(b *binary, image v1.Image) *v1.ConfigFile {
	config, err := image.ConfigFile()
	if err != nil {
		panic(err) // it was made here
	}
	config = config.DeepCopy()
	config.OS, config.Architecture, config.Created, config.Author = b.os, b.arch, v1.Time{Time: r.at}, ""
	config.Config = v1.Config{
		User:         fmt.Sprintf("%d:%d", nobody, nobody),
		Entrypoint:   []string{"/usr/bin/ucp"},
		Cmd:          []string{"agent"},
		Env:          []string{"PATH=/usr/bin", "HOME=/var/lib/ucp", "UCP_DATA_DIR=/var/lib/ucp"},
		WorkingDir:   "/var/lib/ucp",
		Volumes:      map[string]struct{}{"/var/lib/ucp": {}},
		ExposedPorts: map[string]struct{}{"7946/tcp": {}, "7946/udp": {}, "8000/tcp": {}},
		StopSignal:   "SIGTERM",
		Healthcheck: &v1.HealthConfig{
			Test: []string{"CMD", "/usr/bin/ucp", "health"}, Interval: 10 * time.Second, Timeout: 6 * time.Second, StartPeriod: time.Minute, Retries: 6,
		},
		Labels: map[string]string{
			"org.opencontainers.image.title":    "ucp",
			"org.opencontainers.image.version":  r.version,
			"org.opencontainers.image.revision": r.revision,
			"org.opencontainers.image.licenses": "Apache-2.0",
		},
	}
	return config
}

// writeImage writes an OCI layout as one file. With an image, `docker load` of any version takes it, too.
func (r *release) writeImage(name string, index v1.ImageIndex, image v1.Image) error {
	dir := filepath.Join(r.stage, name)
	if _, err := layout.Write(dir, index); err != nil {
		return err
	}
	if image != nil {
		manifest, err := dockerManifest(image, []string{"ucp:" + r.tag(), "ucp:latest"})
		if err != nil {
			return err
		}
		if err := os.WriteFile(filepath.Join(dir, "manifest.json"), manifest, 0o600); err != nil {
			return err
		}
	}
	var entries []entry
	err := filepath.WalkDir(dir, func(path string, d os.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		within, err := filepath.Rel(dir, path)
		entries = append(entries, entry{name: filepath.ToSlash(within), mode: 0o644, from: path})
		return err
	})
	if err != nil {
		return err
	}
	return writeFile(filepath.Join(r.out, name), func(w io.Writer) error { return writeTar(w, r.at, entries) })
}

// dockerManifest lists what `docker load` looks for, in the files of the layout.
func dockerManifest(image v1.Image, tags []string) ([]byte, error) {
	m, err := image.Manifest()
	if err != nil {
		return nil, err
	}
	blob := func(h v1.Hash) string { return "blobs/" + h.Algorithm + "/" + h.Hex }
	var layers []string
	for _, l := range m.Layers {
		layers = append(layers, blob(l.Digest))
	}
	return json.Marshal([]map[string]any{{"Config": blob(m.Config.Digest), "RepoTags": tags, "Layers": layers}})
}
