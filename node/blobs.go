package node

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"strings"
	"time"

	"github.com/urban-compute/ucp/broker"
	"github.com/urban-compute/ucp/broker/kind"
	"github.com/urban-compute/ucp/job"
	"github.com/urban-compute/ucp/ledger"
	"github.com/urban-compute/ucp/node/httpd"
	"github.com/urban-compute/ucp/store"
)

// blobs are the files that jobs bring and make: modules, inputs, output. It watches over those in
// this broker's store.
type blobs struct {
	store   *store.Store
	grace   time.Duration // how long a blob that no record names is kept
	scarce  func() bool   // whether the disk is near its reserve, where that is known; else nil
	engine  *engine
	metrics *httpd.Metrics
	log     *slog.Logger
	cutting chan struct{} // held by those who make lists of chunks
}

// soundFile reports whether a blob is here and undamaged. A damaged one is moved aside, and fetched again
// from another holder like one that never was here.
func (b *blobs) soundFile(ctx context.Context, d job.Digest) bool {
	err := b.store.Blobs().Sound(ctx, string(d))
	var corrupt *store.CorruptBlobError
	if errors.As(err, &corrupt) {
		b.metrics.Corrupt()
		b.engine.Tell(broker.Damaged{Digest: d})
		b.log.Error("a blob is damaged, and was moved aside; it is fetched again when a job needs it", "blob", string(d), "aside", corrupt.Aside)
	}
	return err == nil
}

// scarceGrace is the grace where the disk is near its reserve, if it is shorter. Those who upload are refused then, but what
// came before must find its record.
const scarceGrace = 5 * time.Minute

// sweep removes, from time to time, the blobs that no record names (rule L8), until the context
// ends. Two sweeps are the grace apart: the store remembers from one to the next what was relied on.
func (b *blobs) sweep(ctx context.Context) error {
	t := time.NewTicker(b.look())
	defer t.Stop()
	last := time.Now()
	for {
		select {
		case <-ctx.Done():
			return nil
		case now := <-t.C:
			if !b.due(now.Sub(last)) {
				continue
			}
			last = now
			if err := b.sweepOnce(ctx); err != nil && ctx.Err() == nil {
				b.log.Error("removing blobs that no job names", "error", err)
			}
		}
	}
}

// look is how often it is looked whether it is time for a sweep.
func (b *blobs) look() time.Duration { return min(b.grace, scarceGrace) }

// due reports whether it is time for the next sweep, about so long after the last one.
func (b *blobs) due(since time.Duration) bool {
	since += b.look() / 2
	return since >= b.grace || since >= scarceGrace && b.scarce != nil && b.scarce()
}

// errMayName ends a look at the records that finds one whose blobs can't be known.
var errMayName = errors.New("it may name any blob")

// sweepOnce marks what the records on the disk name, and sweeps the rest. What was
// uploaded, checked by a submission or fetched within the grace stays: its record may
// still be on its way.
func (b *blobs) sweepOnce(ctx context.Context) error {
	named, err := namedBlobs(b.store)
	if errors.Is(err, errMayName) {
		b.log.Warn("no blobs are removed, and the disk may fill, as long as a record can't be read that may name them", "error", err)
		return nil
	}
	if err == nil {
		err = b.nameFiles(named)
	}
	if err != nil {
		return err
	}
	count, size, err := b.store.Blobs().Sweep(ctx, func(d string) bool { return named[job.Digest(d)] })
	if count > 0 {
		b.metrics.Swept(count)
		b.log.Info("removed blobs that no job names any more", "blobs", count, "bytes", size)
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

// Path implements executor.Blobs.
func (b *blobs) Path(d job.Digest) (string, error) {
	if d == job.Empty { // every broker has it (rule C6); nothing else keeps it here
		if _, _, err := b.store.Blobs().Put(context.Background(), strings.NewReader(""), 0); err != nil {
			return "", err
		}
	}
	if !b.soundFile(context.Background(), d) { // checked when it was fetched: a look at the file system
		return "", fmt.Errorf("blob %s: %w", d, store.ErrNotFound)
	}
	return b.store.Blobs().Path(string(d))
}

// Dir implements executor.Blobs.
func (b *blobs) Dir() string { return b.store.Blobs().Dir() }

// Put implements executor.Blobs.
func (b *blobs) Put(ctx context.Context, r io.Reader) (job.Blob, error) {
	d, size, err := b.store.Blobs().Put(ctx, r, job.MaxBlob)
	if err != nil {
		return job.Blob{}, fmt.Errorf("storing output: %w", err)
	}
	return job.Blob{Digest: job.Digest(d), Size: size}, nil
}
