package node

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"

	"github.com/urban-compute/ucp/broker/membership"
	"github.com/urban-compute/ucp/chunk"
	"github.com/urban-compute/ucp/job"
	"github.com/urban-compute/ucp/store"
)

// chunkedFrom is the size in bytes from which a blob has a list of chunks.
const chunkedFrom = 1 << 20

// chunks is the list of chunks of a blob that is here and sound. It is made when it is asked for first, which takes reading all
// of the blob, and kept beside it.
func (b *blobs) chunks(ctx context.Context, d job.Digest) ([]byte, error) {
	blobs := b.store.Blobs()
	size, here := blobs.Touch(string(d))
	if !here || size < chunkedFrom {
		return nil, fmt.Errorf("chunks of blob %.12s: %w", d, store.ErrNotFound)
	}
	if list, err := blobs.Chunks(string(d), chunk.MaxEncoded(size)); err == nil {
		return list, nil
	}
	select {
	case b.cutting <- struct{}{}:
		defer func() { <-b.cutting }()
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	blob, err := blobs.Open(string(d))
	if err != nil {
		return nil, err
	}
	defer blob.Close()
	l, err := chunk.Split(ctx, blob)
	if err != nil {
		return nil, err
	}
	list := l.Encode()
	return list, blobs.KeepChunks(string(d), list)
}

// listOf asks a broker for the list of chunks of a blob. It is errAbsent where that has none, as brokers of earlier versions.
func (p *peers) listOf(ctx context.Context, from membership.Member, d job.Digest) (list []byte, l chunk.List, err error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, p.blobURL(from.HTTPAddr, d)+"/chunks", nil)
	if err != nil {
		return nil, nil, err
	}
	resp, err := p.do(req, from.Name, from.Actor)
	if err != nil {
		return nil, nil, err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return nil, nil, fmt.Errorf("%s lists no chunks: %s: %w", from.Name, resp.Status, errAbsent)
	}
	body := newWatched(resp.Body, p.cfg.PeerTimeout, cancel)
	defer body.stop()
	list, err = io.ReadAll(io.LimitReader(body, chunk.MaxEncoded(job.MaxBlob)+1))
	if err != nil {
		return nil, nil, err
	}
	if l, err = chunk.Decode(list, job.MaxBlob); err != nil {
		err = fmt.Errorf("the list of chunks of %s: %w: %w", from.Name, err, errAbsent)
	}
	return list, l, err
}

// Bounds of what is looked at here for a blob that is fetched: other blobs of a similar size, since what is another version of it has
// one, and what is read altogether, as a multiple of its own size.
const (
	maxSeeds    = 16
	seedsWithin = 2 // as large, or as small, at most
	seedsRead   = 4
)

// seed is a blob that may have chunks of another one.
type seed struct {
	digest job.Digest
	size   int64
}

// seeds lists blobs that are here and may have something in common with one of so many bytes, the likeliest first.
func (b *blobs) seeds(ctx context.Context, d job.Digest, size int64) []seed {
	var out []seed
	unlike := func(x seed) int64 { return max(x.size-size, size-x.size) }
	compare := func(a, b seed) int { return cmp.Or(cmp.Compare(unlike(a), unlike(b)), cmp.Compare(a.digest, b.digest)) }
	err := b.store.Blobs().Each(func(digest string, has int64) error {
		if has >= chunkedFrom && has <= size*seedsWithin && has >= size/seedsWithin && digest != string(d) {
			out = append(out, seed{job.Digest(digest), has})
		}
		if len(out) > 64*maxSeeds {
			slices.SortFunc(out, compare)
			out = out[:maxSeeds]
		}
		return ctx.Err()
	})
	if err != nil {
		return nil
	}
	slices.SortFunc(out, compare)
	return out[:min(len(out), maxSeeds)]
}

// plant takes the chunks that a blob lacks from other blobs that are here.
func (b *blobs) plant(ctx context.Context, d job.Digest, a *assembly) {
	budget := seedsRead * a.list.Size()
	for _, s := range b.seeds(ctx, d, a.list.Size()) {
		if budget -= s.size; budget < 0 || ctx.Err() != nil || a.left() == 0 {
			return
		}
		if err := b.plantFrom(ctx, s, a); err != nil && ctx.Err() == nil {
			b.log.Debug("a blob that is here could not be looked at for what another one lacks", "blob", string(s.digest), "error", err)
		}
	}
}

// plantFrom takes what is lacking from one blob. What it reads is verified like what comes from others.
func (b *blobs) plantFrom(ctx context.Context, s seed, a *assembly) error {
	list, err := b.chunks(ctx, s.digest)
	if err != nil {
		return err
	}
	l, err := chunk.Decode(list, s.size)
	if err != nil {
		return err
	}
	blob, err := b.store.Blobs().Open(string(s.digest))
	if err != nil {
		return err
	}
	defer blob.Close()
	var buf [chunk.Max]byte
	for _, c := range l {
		for _, i := range a.lacks(c.ID) {
			if err := ctx.Err(); err != nil {
				return err
			}
			if _, err := blob.ReadAt(buf[:c.Size], c.At); err != nil && !errors.Is(err, io.EOF) {
				return err
			}
			if err := a.have(i, buf[:c.Size]); err != nil && !errors.Is(err, errWrongChunk) {
				return err
			}
		}
	}
	return nil
}
