package node

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/urban-compute/ucp/broker/membership"
	"github.com/urban-compute/ucp/chunk"
	"github.com/urban-compute/ucp/job"
	"github.com/urban-compute/ucp/store"
)

// Bounds of what is fetched from several brokers.
const (
	maxSources  = 4
	askedAtMost = 16              // brokers that are asked whether they have it, too
	headStart   = 2 * time.Second // that is given to the search for chunks in other blobs that are here

	// One request asks for what its source brings in about pieceTime, between the least and the most.
	pieceTime  = 4 * time.Second
	leastPiece = 128 << 10
	firstPiece = 256 << 10
	mostPiece  = 8 << 20
)

// gather puts a blob together of chunks, which brokers are asked for that have it: first the one that has given the list.
func (p *peers) gather(ctx context.Context, first membership.Member, d job.Digest, part *store.Partial, list chunk.List) (came int64, err error) {
	a, err := newAssembly(ctx, part, list)
	if err != nil {
		return 0, err
	}
	arrivingOf(ctx).measuredBy(func() (here, size int64) { return list.Size() - a.left(), list.Size() })
	drawing, cancel := context.WithCancel(ctx)
	var helpers sync.WaitGroup
	defer helpers.Wait()
	defer cancel()
	p.plantFirst(drawing, &helpers, d, a)
	if a.left() > 0 {
		err = p.gatherFrom(drawing, first, d, a)
	}
	cancel()
	helpers.Wait() // nothing is written after this
	if a.left() > 0 {
		return a.came, errors.Join(err, fmt.Errorf("blob %.12s: %v", d, a))
	}
	return a.came, part.Finish(ctx)
}

// plantFirst looks for chunks in other blobs that are here. It has a head start, and goes on beside the transfer: over a fast
// link that is over first.
func (p *peers) plantFirst(ctx context.Context, helpers *sync.WaitGroup, d job.Digest, a *assembly) {
	planted := make(chan struct{})
	helpers.Go(func() {
		defer close(planted)
		p.blobs.plant(ctx, d, a)
	})
	t := time.NewTimer(headStart)
	defer t.Stop()
	select {
	case <-planted:
	case <-t.C:
	case <-ctx.Done():
	}
}

// gatherFrom asks sources for chunks until all are here, or no source is left.
func (p *peers) gatherFrom(ctx context.Context, first membership.Member, d job.Digest, a *assembly) error {
	var mu sync.Mutex
	var failed error
	var work sync.WaitGroup
	add := func(m membership.Member) {
		work.Go(func() {
			if err := p.draw(ctx, m, d, a); err != nil {
				mu.Lock()
				defer mu.Unlock()
				failed = errors.Join(failed, fmt.Errorf("%s: %w", m.Name, err))
			}
		})
	}
	add(first)
	if a.left() > firstPiece {
		for _, m := range p.others(ctx, first, d) {
			add(m)
		}
	}
	work.Wait()
	return failed
}

// others finds more brokers that have a blob.
func (p *peers) others(ctx context.Context, first membership.Member, d job.Digest) (out []membership.Member) {
	var mu sync.Mutex
	var asked errgroup.Group
	asked.SetLimit(maxSources)
	for i, m := range p.holders(nil) {
		if i > askedAtMost {
			break
		}
		if m.Name == first.Name {
			continue
		}
		asked.Go(func() error {
			ctx, cancel := context.WithTimeout(ctx, askWithin)
			defer cancel()
			if has, err := p.holds(ctx, m.HTTPAddr, m.Name, m.Actor, d); err == nil && has {
				mu.Lock()
				defer mu.Unlock()
				out = append(out, m)
			}
			return nil
		})
	}
	_ = asked.Wait() // none fails the others
	return out[:min(len(out), maxSources-1)]
}

// draw asks one source for chunks, row by row, until all are here or it fails. What has come of it stays.
func (p *peers) draw(ctx context.Context, from membership.Member, d job.Digest, a *assembly) error {
	piece, rate := int64(firstPiece), 0.0
	for tries := 1; a.left() > 0; {
		if err := ctx.Err(); err != nil {
			return err
		}
		r := a.take(min(piece, max(a.left()/maxSources, leastPiece)))
		if r == nil {
			r = a.takeOver(rate)
		}
		if r == nil {
			a.wait(ctx)
			continue
		}
		var err error
		waited := p.transfers.run(ctx, from.Name, func() error {
			err = p.drawRun(ctx, from, d, a, r)
			return nil
		})
		took, brought := time.Since(r.began), r.bytes
		a.end(r)
		if brought > 0 {
			tries = 1
			rate = float64(brought) / max(took.Seconds(), 0.001)
			piece = min(max(int64(rate*pieceTime.Seconds()), leastPiece), mostPiece)
		}
		switch {
		case waited != nil:
			return waited
		case err == nil:
			continue
		case !errors.As(err, new(*brokenError)) || tries >= resumeTries:
			return err
		}
		p.log.Debug("a transfer broke, and is resumed", "peer", from.Name, "blob", string(d), "error", err)
		select {
		case <-time.After(resumePause << tries):
		case <-ctx.Done():
		}
		tries++
	}
	return nil
}

// drawRun asks a source for one row of chunks.
func (p *peers) drawRun(ctx context.Context, from membership.Member, d job.Digest, a *assembly, r *run) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	at, end, ok := a.start(r, cancel)
	if !ok {
		return nil
	}
	resp, err := p.get(ctx, from, d, at, strconv.FormatInt(end-1, 10))
	if errors.As(err, new(*url.Error)) { // it may be back soon
		err = &brokenError{err}
	}
	if err != nil {
		return p.orTaken(a, r, err)
	}
	defer resp.Body.Close()
	start, total, ok := contentRange(resp.Header.Get("Content-Range"))
	if resp.StatusCode != http.StatusPartialContent || !ok || start != at || total != a.list.Size() {
		return fmt.Errorf("asked for bytes %d to %d of blob %.12s of %d it answers %s, %.80q", at, end-1, d, a.list.Size(), resp.Status, resp.Header.Get("Content-Range"))
	}
	body := newWatched(p.rates.from(ctx, from.Name, resp.Body), p.cfg.PeerTimeout, cancel)
	defer body.stop()
	body.arriving, body.from = arrivingOf(ctx), from.Name
	var buf [chunk.Max]byte
	for {
		i, c, more := a.following(r)
		if !more {
			return nil
		}
		if _, err := io.ReadFull(body, buf[:c.Size]); err != nil {
			return p.orTaken(a, r, &brokenError{err})
		}
		if err := a.have(i, buf[:c.Size]); err != nil {
			return err
		}
		a.got(r, c.Size)
	}
}

// orTaken is the error of a row, unless another source has taken the rest of it.
func (p *peers) orTaken(a *assembly, r *run, err error) error {
	if _, _, more := a.following(r); !more {
		return nil
	}
	return err
}
