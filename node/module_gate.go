package node

import (
	"errors"
	"io"
	"sync"

	"github.com/urban-compute/ucp/job"
	"github.com/urban-compute/ucp/module"
	"github.com/urban-compute/ucp/store"
)

// moduleGate says which modules this broker runs, and remembers what it has found: a module is read once. Any goroutine may ask it.
type moduleGate struct {
	policy module.Policy
	store  *store.Store

	mu    sync.Mutex
	found map[job.Digest]error // nil: it is allowed
	tags  map[job.Digest][]uint32
}

// maxGated bounds of how many modules is remembered what was found.
const maxGated = 1024

func newModuleGate(p module.Policy, s *store.Store) *moduleGate {
	return &moduleGate{policy: p, store: s, found: map[job.Digest]error{}, tags: map[job.Digest][]uint32{}}
}

// check is a module.NotAllowed when this broker does not run a module; another error when that can't be told.
func (g *moduleGate) check(d job.Digest) error {
	if g.policy.Any() {
		return nil
	}
	g.mu.Lock()
	err, known := g.found[d]
	g.mu.Unlock()
	if known {
		return err
	}
	err = g.policy.Check(string(d), func() (io.ReadCloser, error) { return g.store.Blobs().Open(string(d)) })
	if err == nil || errors.As(err, new(module.NotAllowed)) {
		g.mu.Lock()
		defer g.mu.Unlock()
		remember(g.found, d, err)
	}
	return err
}

// tagsOf returns by what other brokers may allow a module, none where it is not here.
func (g *moduleGate) tagsOf(d job.Digest) []uint32 {
	g.mu.Lock()
	defer g.mu.Unlock()
	if tags, known := g.tags[d]; known {
		return tags
	}
	b, err := g.store.Blobs().Open(string(d))
	if err != nil {
		return nil
	}
	defer b.Close()
	tags, err := module.TagsOf(string(d), b)
	if err != nil {
		return nil
	}
	remember(g.tags, d, tags)
	return tags
}

func remember[V any](in map[job.Digest]V, d job.Digest, v V) {
	if len(in) >= maxGated {
		clear(in)
	}
	in[d] = v
}
