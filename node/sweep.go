package node

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/urban-compute/ucp/broker"
	"github.com/urban-compute/ucp/broker/kind"
	"github.com/urban-compute/ucp/job"
	"github.com/urban-compute/ucp/ledger"
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

// errMayName ends a look at the records that finds one whose blobs can't be known.
var errMayName = errors.New("it may name any blob")

// sweepOnce marks what the records on the disk name, and sweeps the rest. What was
// uploaded, checked by a submission or fetched within BlobGrace stays: its record may
// still be on its way.
func (n *Node) sweepOnce() error {
	named, err := namedBlobs(n.store)
	if errors.Is(err, errMayName) {
		n.log.Info("no blobs are removed, since one record can't be read", "error", err)
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

// namedBlobs lists the blobs that any record on the disk names. One that can't be read (in
// quarantine, or of a kind that only a newer version knows) may name any.
func namedBlobs(st *store.Store) (map[job.Digest]bool, error) {
	named := map[job.Digest]bool{}
	err := st.Snapshot(func(scan func([]byte, func(key, value []byte) error) error) error {
		if bad, err := ledger.StoredQuarantine(scan); bad > 0 || err != nil {
			return cmp.Or(err, fmt.Errorf("%d records of other brokers are in quarantine: %w", bad, errMayName))
		}
		return ledger.Records(scan, kind.Schemas, func(s ledger.Stored) error {
			switch {
			case errors.Is(s.Err, ledger.ErrUnknownKind):
				return fmt.Errorf("%w: %w", s.Err, errMayName)
			case s.Err != nil:
				return s.Err
			}
			for d := range s.Record.Blobs() {
				named[job.Digest(d)] = true
			}
			return nil
		})
	})
	return named, err
}
