package ack

import (
	"time"

	"github.com/urban-compute/ucp/job"
)

// digests remembers the blobs that were lately seen somewhere. The oldest are
// dropped, and what was seen too long ago counts no more, since it may have been
// swept: either costs a look at the place itself.
type digests struct {
	known map[job.Digest]time.Time // when it was seen
	order []job.Digest
}

const maxDigests = 4096

func newDigests() *digests { return &digests{known: map[job.Digest]time.Time{}} }

func (d *digests) add(x job.Digest, now time.Time) {
	_, known := d.known[x]
	d.known[x] = now
	if known {
		return
	}
	d.order = append(d.order, x)
	if len(d.order) > maxDigests {
		delete(d.known, d.order[0])
		d.order = d.order[1:]
	}
}

// forget drops a blob that is there no more.
func (d *digests) forget(x job.Digest) {
	if _, known := d.known[x]; known {
		d.known[x] = time.Time{}
	}
}

// all reports whether every one of the blobs was seen since then; nil has seen none.
func (d *digests) all(list []job.Digest, since time.Time) bool {
	for _, x := range list {
		if d == nil {
			return false
		}
		if at, known := d.known[x]; !known || at.Before(since) || at.IsZero() {
			return false
		}
	}
	return true
}
