package node

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"time"

	"github.com/urban-compute/ucp/api"
	"github.com/urban-compute/ucp/broker"
	"github.com/urban-compute/ucp/broker/ack"
	"github.com/urban-compute/ucp/clock"
	"github.com/urban-compute/ucp/job"
)

// push brings a blob to a peer; it ends in a Pushed.
func (p *peers) push(x ack.Push) {
	p.work.Go(func() {
		err := p.upload(p.ctx, x)
		if err != nil {
			p.log.Warn("a copy of a blob did not reach its peer", "peer", x.To, "blob", x.Digest, "error", err)
		}
		p.engine.Tell(broker.Pushed{Peer: x.To, Actor: x.Actor, Digest: x.Digest, Failed: err != nil})
	})
}

// upload sends what a peer lacks of a blob. When that breaks it goes on where it ended, as a download does.
func (p *peers) upload(ctx context.Context, x ack.Push) error {
	if manifest, isTree := x.Digest.Tree(); isTree {
		return p.uploadTree(ctx, x, manifest)
	}
	before := int64(0)
	for tries := 1; ; tries++ {
		var at int64
		err := p.transfers.run(ctx, x.To, func() (err error) {
			at, err = p.uploadRest(ctx, x)
			return err
		})
		if at > before { // the attempt before has brought something
			before, tries = at, 1
		}
		if !errors.As(err, new(*brokenError)) || ctx.Err() != nil || tries == resumeTries {
			return err
		}
		p.log.Debug("a transfer broke, and is resumed", "peer", x.To, "blob", string(x.Digest), "error", err)
		select {
		case <-time.After(resumePause << tries):
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// uploadRest sends what a peer lacks of a blob, and says where that begins.
func (p *peers) uploadRest(ctx context.Context, x ack.Push) (at int64, err error) {
	d := x.Digest
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	has, at, err := p.cameTo(ctx, x.Addr, x.To, x.Actor, d)
	if err != nil || has {
		return at, err
	}
	if !p.blobs.soundFile(ctx, d) {
		return at, fmt.Errorf("blob %s is not here any more, or damaged", d)
	}
	blob, err := p.blobs.store.Blobs().Open(string(d))
	if err != nil {
		return at, err
	}
	defer blob.Close()
	if at >= blob.Size() { // it can't be right, and is written over
		at = 0
	}
	if _, err := blob.Seek(at, io.SeekStart); err != nil {
		return at, err
	}
	body := newWatched(p.rates.to(ctx, x.To, blob), p.cfg.PeerTimeout, cancel)
	defer body.stop()
	put, err := http.NewRequestWithContext(ctx, http.MethodPut, p.blobURL(x.Addr, d), body)
	if err != nil {
		return at, err
	}
	put.ContentLength = blob.Size() - at
	if at > 0 {
		put.Header.Set("Content-Range", fmt.Sprintf("bytes %d-%d/%d", at, blob.Size()-1, blob.Size()))
	}
	resp, err := p.do(put, x.To, x.Actor)
	if err != nil {
		if blob.Size() >= api.ResumableFrom {
			err = &brokenError{err}
		}
		return at, err
	}
	defer resp.Body.Close()
	if resp.StatusCode/100 != 2 {
		msg, err := io.ReadAll(io.LimitReader(resp.Body, 200))
		err = fmt.Errorf("%s: %s (%w)", resp.Status, msg, err)
		if resp.StatusCode == http.StatusTooManyRequests || at > 0 { // somebody else sends it, or what had come was wrong
			err = &brokenError{err}
		}
		return at, err
	}
	return at, nil
}

// cameTo asks a broker whether it has a blob, undamaged, and how much of it has come if not. Earlier brokers keep no part.
func (p *peers) cameTo(ctx context.Context, addr, name string, actor clock.Actor, d job.Digest) (has bool, came int64, err error) {
	head, err := http.NewRequestWithContext(ctx, http.MethodHead, p.blobURL(addr, d), nil)
	if err != nil {
		return false, 0, err
	}
	resp, err := p.do(head, name, actor)
	if err != nil {
		return false, 0, err
	}
	_ = resp.Body.Close() // a HEAD has none
	switch resp.StatusCode {
	case http.StatusOK:
		return true, 0, nil
	case http.StatusNotFound:
		came, err := strconv.ParseInt(resp.Header.Get(api.UploadOffsetHeader), 10, 64)
		if err != nil || came < 0 {
			came = 0
		}
		return false, came, nil
	}
	return false, 0, fmt.Errorf("%s does not say whether it has blob %.12s: %s", addr, d, resp.Status)
}

// holds asks a broker whether it has a blob, undamaged.
func (p *peers) holds(ctx context.Context, addr, name string, actor clock.Actor, d job.Digest) (bool, error) {
	has, _, err := p.cameTo(ctx, addr, name, actor, d)
	return has, err
}
