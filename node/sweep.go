package node

import (
	"bytes"
	"context"
	"errors"
	"time"

	"github.com/urban-compute/ucp/broker"
	"github.com/urban-compute/ucp/job"
	"github.com/urban-compute/ucp/store"
)

// sound reports whether a blob is here and undamaged. A damaged one is moved aside,
// and is fetched again from another holder like one that never was here.
func (n *Node) sound(ctx context.Context, d job.Digest) bool {
	err := n.store.Blobs().Sound(ctx, string(d))
	var corrupt *store.CorruptBlobError
	if errors.As(err, &corrupt) {
		n.metrics.corrupt.Inc()
		n.engine.tell(broker.Damaged{Digest: d})
		n.log.Error("a blob is damaged, and was moved aside; it is fetched again when somebody needs it", "blob", string(d), "aside", corrupt.Aside)
	}
	return err == nil
}

// sweepBlobs removes, from time to time, the blobs that no record names (rule L8). Two
// sweeps are BlobGrace apart: the store remembers from one to the next what was relied on.
func (n *Node) sweepBlobs() error {
	t := time.NewTicker(n.cfg.BlobGrace)
	defer t.Stop()
	for {
		select {
		case <-n.ctx.Done():
			return nil
		case <-t.C:
			if err := n.sweepOnce(); err != nil && n.ctx.Err() == nil {
				n.log.Error("removing blobs that nobody needs", "error", err)
			}
		}
	}
}

// errUnreadable ends a look at the records that finds one it can't read.
var errUnreadable = errors.New("a record in quarantine may name any blob")

// sweepOnce marks what the records on the disk name, and sweeps the rest. What was
// uploaded, checked by a submission or fetched within BlobGrace stays: its record may
// still be on its way.
func (n *Node) sweepOnce() error {
	named, err := n.namedBlobs()
	if errors.Is(err, errUnreadable) {
		n.log.Info("no blobs are removed: " + err.Error())
		return nil
	}
	if err != nil {
		return err
	}
	count, size, err := n.store.Blobs().Sweep(n.ctx, n.cfg.Now().Add(-n.cfg.BlobGrace), func(d string) bool { return named[job.Digest(d)] })
	if count > 0 {
		n.metrics.swept.Add(float64(count))
		n.log.Info("removed blobs that no job names any more", "blobs", count, "bytes", size)
	}
	return err
}

func (n *Node) namedBlobs() (map[job.Digest]bool, error) {
	named := map[job.Digest]bool{}
	result := func(rep *job.Report) {
		if rep != nil && rep.Result != nil {
			for _, d := range rep.Result.Blobs() {
				named[d] = true
			}
		}
	}
	err := n.store.Scan(nil, func(key, value []byte) error {
		switch {
		case bytes.HasPrefix(key, []byte("q")):
			return errUnreadable
		case !bytes.HasPrefix(key, []byte("r")):
			return nil
		}
		rec, err := job.DecodeRecord(bytes.Clone(value))
		if err != nil {
			return err
		}
		for _, d := range rec.Spec.Blobs() {
			named[d] = true
		}
		for _, rep := range rec.Reports {
			result(&rep)
		}
		for _, v := range rec.Verdicts {
			result(v.Report)
		}
		return nil
	})
	return named, err
}
