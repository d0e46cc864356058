package main

import (
	"context"
	"debug/buildinfo"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"time"
)

// binary is ucp, built for one system.
type binary struct {
	os, arch string
	path     string
	info     *buildinfo.BuildInfo
}

// name is how files for this system are named.
func (b *binary) name() string { return b.os + "_" + b.arch }

// build builds ucp for each system, and takes the version from what was built.
func (r *release) build(ctx context.Context, targets []string) error {
	for _, target := range targets {
		goos, arch, found := strings.Cut(target, "/")
		if !found {
			return fmt.Errorf("platform %q: write OS/ARCH, such as linux/arm64", target)
		}
		b, err := r.buildFor(ctx, goos, arch)
		if err != nil {
			return err
		}
		r.binaries = append(r.binaries, *b)
	}
	return r.readVersion()
}

// buildFor builds for one system. Nothing of this machine is part of it: no paths, no C, no levels of processors from the environment.
func (r *release) buildFor(ctx context.Context, goos, arch string) (*binary, error) {
	b := &binary{os: goos, arch: arch, path: filepath.Join(r.stage, goos+"_"+arch, "ucp")}
	cmd := exec.CommandContext(ctx, "go", "build", "-trimpath", "-buildvcs=true", "-ldflags=-s -w", "-o", b.path, "./cmd/ucp")
	cmd.Dir = r.root
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOFLAGS=", "GOWORK=off", "GOEXPERIMENT=", "GOAMD64=v1", "GOARM64=v8.0", "GOOS="+goos, "GOARCH="+arch)
	if out, err := cmd.CombinedOutput(); err != nil {
		return nil, fmt.Errorf("building for %s/%s: %w\n%s", goos, arch, err, out)
	}
	var err error
	b.info, err = buildinfo.ReadFile(b.path)
	return b, err
}

// host is a binary that runs here; it is built if it is none of the release.
func (r *release) host(ctx context.Context) (*binary, error) {
	for i := range r.binaries {
		if b := &r.binaries[i]; b.os == runtime.GOOS && b.arch == runtime.GOARCH {
			return b, nil
		}
	}
	return r.buildFor(ctx, runtime.GOOS, runtime.GOARCH)
}

// readVersion takes version, revision and time from what was built.
func (r *release) readVersion() error {
	info := r.binaries[0].info
	version, found := strings.CutPrefix(info.Main.Version, "v")
	if !found {
		return fmt.Errorf("the binary says that its version is %q, where Go should have found that of the commit", info.Main.Version)
	}
	r.version = version
	var at string
	for _, s := range info.Settings {
		switch s.Key {
		case "vcs.revision":
			r.revision = s.Value
		case "vcs.time":
			at = s.Value
		}
	}
	var err error
	if r.at, err = time.Parse(time.RFC3339, at); err != nil {
		return fmt.Errorf("time of the commit: %w", err)
	}
	if text := os.Getenv(epochVariable); text != "" {
		seconds, err := strconv.ParseInt(text, 10, 64)
		if err != nil || seconds < 0 {
			return errors.New(epochVariable + ": write the seconds since 1970")
		}
		r.at = time.Unix(seconds, 0).UTC()
	}
	return nil
}

// epochVariable may give another time for all that is made, in seconds (https://reproducible-builds.org/docs/source-date-epoch).
const epochVariable = "SOURCE_DATE_EPOCH"
