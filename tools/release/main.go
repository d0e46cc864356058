// Command release builds what is given to others: a static binary for each system, .deb and .rpm packages, images of containers, what
// is in each of them, and the digests of all. It is a module of its own, so that the product needs nothing of what it takes.
//
// It is made of the commit that is checked out, in a clone of its own, so that nothing else can be part of it. The version is that
// commit's, as Go finds it in the tags of git, and is in the binaries. The same commit gives the same bytes: all times are that of the commit, or
// SOURCE_DATE_EPOCH.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"time"
)

// platforms are what is built without being told otherwise.
const platforms = "linux/amd64,linux/arm64,darwin/amd64,darwin/arm64"

func main() {
	root := flag.String("root", "../..", "`DIR` of the source")
	out := flag.String("out", "", "`DIR` that is written, and emptied first (default: dist in the source)")
	targets := flag.String("platforms", platforms, "what to build for")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx, *root, *out, strings.Split(*targets, ",")); err != nil {
		fmt.Fprintln(os.Stderr, "release:", err)
		os.Exit(1)
	}
}

// run makes a release.
func run(ctx context.Context, root, out string, targets []string) error {
	root, err := filepath.Abs(root)
	if err != nil {
		return err
	}
	if out == "" {
		out = filepath.Join(root, "dist")
	}
	if out, err = cleared(out); err != nil {
		return err
	}
	stage, err := os.MkdirTemp("", "ucp-release-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(stage)
	r := &release{root: filepath.Join(stage, "source"), out: out, stage: stage}
	if err := checkout(ctx, root, "HEAD", r.root); err != nil {
		return err
	}
	for _, step := range []func(context.Context) error{
		func(ctx context.Context) error { return r.build(ctx, targets) },
		r.collectLicences, r.writeHelp, r.writeArchives, r.writePackages, r.writeImages, r.writeContents, r.writeDigests,
	} {
		if err := step(ctx); err != nil {
			return err
		}
	}
	fmt.Printf("ucp %s in %s\n", r.version, out)
	return nil
}

// release is one in the making.
type release struct {
	root, out, stage string // of the source, of what is made, of what that is made from
	version          string // such as 1.2.3, or 0.0.0-20261129144500-51e4e46abcde between tags
	revision         string
	at               time.Time // of all that is in it
	binaries         []binary
}

// mark names what is in a release that has others made by a mistake out of the way: the directory is emptied only where it is there.
const mark = "SHA256SUMS"

// cleared makes a directory, or empties one that a release is in.
func cleared(dir string) (string, error) {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return "", err
	}
	entries, err := os.ReadDir(dir)
	if err == nil && len(entries) > 0 {
		if _, err := os.Stat(filepath.Join(dir, mark)); err != nil {
			return "", fmt.Errorf("%s has files, but none named %s: it is no release, and is not emptied", dir, mark)
		}
		if err := os.RemoveAll(dir); err != nil {
			return "", err
		}
	}
	if err := os.MkdirAll(dir, 0o755); err != nil { //nolint:gosec // it is for others
		return "", err
	}
	// From the first moment: what is broken off can be begun again.
	return dir, os.WriteFile(filepath.Join(dir, mark), nil, 0o644) //nolint:gosec // it is for others
}
