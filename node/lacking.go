package node

import (
	"maps"
	"slices"
	"sync"

	"github.com/urban-compute/ucp/carry"
	"github.com/urban-compute/ucp/job"
)

// lacking are the blobs that were looked for here and that nobody who is there had: a file that this broker packs for others asks for
// them (rule B1).
type lacking struct {
	mu  sync.Mutex
	set map[job.Digest]struct{}
}

// note takes in how the search for a blob has ended.
func (l *lacking) note(d job.Digest, found bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	switch {
	case found:
		delete(l.set, d)
	case len(l.set) < carry.MaxLacks:
		if l.set == nil {
			l.set = map[job.Digest]struct{}{}
		}
		l.set[d] = struct{}{}
	}
}

// list lists those that have not come since, sorted.
func (l *lacking) list(here func(job.Digest) bool) []job.Digest {
	l.mu.Lock()
	all := slices.Sorted(maps.Keys(l.set))
	l.mu.Unlock()
	return slices.DeleteFunc(all, func(d job.Digest) bool {
		if !here(d) {
			return false
		}
		l.note(d, true)
		return true
	})
}
