package broker

import "github.com/urban-compute/ucp/job"

// digests remembers the blobs that were lately seen somewhere; the oldest are
// dropped, which costs a look at the place itself.
type digests struct {
	known map[job.Digest]bool
	order []job.Digest
}

const maxDigests = 4096

func newDigests() *digests { return &digests{known: map[job.Digest]bool{}} }

func (d *digests) add(x job.Digest) {
	if d.known[x] {
		return
	}
	d.known[x] = true
	d.order = append(d.order, x)
	if len(d.order) > maxDigests {
		delete(d.known, d.order[0])
		d.order = d.order[1:]
	}
}

// all reports whether every one of the blobs is known; nil knows none.
func (d *digests) all(list []job.Digest) bool {
	for _, x := range list {
		if d == nil || !d.known[x] {
			return false
		}
	}
	return true
}
