package node

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"sync/atomic"

	"golang.org/x/sync/errgroup"

	"github.com/urban-compute/ucp/api"
	"github.com/urban-compute/ucp/broker/ack"
	"github.com/urban-compute/ucp/broker/membership"
	"github.com/urban-compute/ucp/clock"
	"github.com/urban-compute/ucp/job"
	"github.com/urban-compute/ucp/store"
	"github.com/urban-compute/ucp/tree"
)

// A directory (job.TreeOf) is here when its manifest and all files that this names are. So a broker that confirms a
// directory has confirmed each file (rules A1, J11, R3), and a sweep keeps what a manifest names that a record names.
// What is no manifest names no files: nothing is asked for because of it, and the job that needs it fails.

// filesAtOnce bounds how many files of one directory are fetched at the same time.
const filesAtOnce = 4

// manifest reads a manifest that is here.
func (b *blobs) manifest(d job.Digest) (*tree.Manifest, error) {
	f, err := b.store.Blobs().Open(string(d))
	if err != nil {
		return nil, err
	}
	defer f.Close()
	if f.Size() > tree.MaxManifest {
		return nil, &notManifest{fmt.Errorf("it has %d bytes, and a manifest has at most %d", f.Size(), tree.MaxManifest)}
	}
	all, err := io.ReadAll(f)
	if err != nil {
		return nil, err
	}
	m, err := tree.Decode(all)
	if err != nil {
		return nil, &notManifest{err}
	}
	return m, nil
}

// notManifest says why a blob is no manifest.
type notManifest struct{ error }

func (e *notManifest) Unwrap() error { return e.error }

// filesOf lists the files of a manifest that is here; none of what is no manifest.
func (b *blobs) filesOf(d job.Digest) ([]job.Digest, error) {
	m, err := b.manifest(d)
	if errors.As(err, new(*notManifest)) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	return m.Files(), nil
}

// has reports whether a blob, or all of a directory, is here, as far as names tell.
func (b *blobs) has(d job.Digest) bool {
	m, isTree := d.Tree()
	if !isTree {
		_, here := b.store.Blobs().Has(string(d))
		return here
	}
	if !b.has(m) {
		return false
	}
	files, err := b.filesOf(m)
	for _, f := range files {
		if !b.has(f) {
			return false
		}
	}
	return err == nil
}

// lacks lists what of a blob or a directory is not here, undamaged: the manifest, or files, at most so many.
func (b *blobs) lacks(ctx context.Context, d job.Digest, most int) ([]job.Digest, error) {
	m, isTree := d.Tree()
	if !isTree {
		m = d
	}
	if !b.soundFile(ctx, m) {
		return []job.Digest{m}, nil
	}
	if !isTree {
		return nil, nil
	}
	manifest, err := b.manifest(m)
	if errors.Is(err, store.ErrNotFound) {
		return []job.Digest{m}, nil
	}
	if err != nil {
		return nil, err
	}
	var out []job.Digest
	for _, f := range manifest.Files() {
		if !b.soundFile(ctx, f) {
			if out = append(out, f); len(out) == most {
				break
			}
		}
	}
	return out, ctx.Err()
}

// sound reports whether a blob, or all of a directory, is here and undamaged.
func (b *blobs) sound(ctx context.Context, d job.Digest) bool {
	lacking, err := b.lacks(ctx, d, 1)
	return len(lacking) == 0 && (err == nil || errors.As(err, new(*notManifest)))
}

// nameFiles adds what the manifests name among what records name.
func (b *blobs) nameFiles(named map[job.Digest]bool) error {
	var manifests []job.Digest
	for d := range named {
		if m, isTree := d.Tree(); isTree {
			manifests = append(manifests, m)
		}
	}
	for _, m := range manifests {
		named[m] = true
		files, err := b.filesOf(m)
		if err != nil && !errors.Is(err, store.ErrNotFound) {
			return fmt.Errorf("reading manifest %.12s: %w", m, err)
		}
		for _, f := range files {
			named[f] = true
		}
	}
	return nil
}

// findTree gets what is lacking here of a directory, as find gets a blob.
func (p *peers) findTree(ctx context.Context, manifest job.Digest, from []string) (came int64, err error) {
	if !p.blobs.soundFile(ctx, manifest) {
		if came, err = p.find(ctx, manifest, from); err != nil {
			return came, err
		}
	}
	lacking, err := p.blobs.lacks(ctx, job.TreeOf(manifest), tree.MaxEntries)
	if err != nil {
		if errors.As(err, new(*notManifest)) {
			return came, nil
		}
		return came, err
	}
	var files errgroup.Group
	files.SetLimit(filesAtOnce)
	var all atomic.Int64
	for _, f := range lacking {
		files.Go(func() error {
			n, err := p.find(ctx, f, from)
			all.Add(n)
			if err != nil {
				return fmt.Errorf("file %.12s of directory %.12s: %w", f, manifest, err)
			}
			return nil
		})
	}
	err = files.Wait()
	return came + all.Load(), err
}

// lackedBy asks a broker what it lacks of a directory: some of the files, or the manifest.
func (p *peers) lackedBy(ctx context.Context, addr, name string, actor clock.Actor, manifest job.Digest) ([]job.Digest, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, p.blobURL(addr, manifest)+"?missing=1", nil)
	if err != nil {
		return nil, err
	}
	resp, err := p.do(req, name, actor)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	switch resp.StatusCode {
	case http.StatusOK:
	case http.StatusNotFound:
		return []job.Digest{manifest}, nil
	default:
		return nil, fmt.Errorf("%s does not say what it lacks of directory %.12s: %s", addr, manifest, resp.Status)
	}
	var out api.Missing
	if err := json.NewDecoder(io.LimitReader(resp.Body, 1<<20)).Decode(&out); err != nil {
		return nil, fmt.Errorf("%s does not say what it lacks of directory %.12s: %w", addr, manifest, err)
	}
	return out.Missing, nil
}

// uploadTree sends what a peer lacks of a directory.
func (p *peers) uploadTree(ctx context.Context, x ack.Push, manifest job.Digest) error {
	sent := map[job.Digest]bool{}
	for {
		lacking, err := p.lackedBy(ctx, x.Addr, x.To, x.Actor, manifest)
		if err != nil || len(lacking) == 0 {
			return err
		}
		for _, d := range lacking {
			if sent[d] {
				return fmt.Errorf("%s lacks %.12s of directory %.12s, although it has taken it", x.To, d, manifest)
			}
			sent[d] = true
			file := x
			file.Digest = d
			if err := p.upload(ctx, file); err != nil {
				return err
			}
		}
	}
}

// holdsTree asks a broker whether it has all of a directory.
func (p *peers) holdsTree(ctx context.Context, m membership.Member, manifest job.Digest) (bool, error) {
	lacking, err := p.lackedBy(ctx, m.HTTPAddr, m.Name, m.Actor, manifest)
	return err == nil && len(lacking) == 0, err
}
