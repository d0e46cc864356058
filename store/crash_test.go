package store

import (
	"crypto/rand"
	"errors"
	"fmt"
	"maps"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

// powerCuts records, before each operation that changes the disk, what the disk would
// hold after a power cut at that moment, and what had been confirmed by then.
type powerCuts struct {
	mem   *vfs.MemFS
	every int

	mu       sync.Mutex
	n        int
	promised int
	cuts     []powerCut
}

type powerCut struct {
	fs       *vfs.MemFS
	promised int
	op       string
}

func (p *powerCuts) before(op errorfs.Op) error {
	if !changes(op) {
		return nil
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.n++; p.n%p.every == 0 {
		// None, some or all of the unsynced data survives.
		fs := crashed(p.mem, []int{0, 50, 100, 20}[(p.n/p.every)%4], uint64(p.n))
		p.cuts = append(p.cuts, powerCut{fs, p.promised, fmt.Sprintf("%d: %v %s", p.n, op.Kind, op.Path)})
	}
	return nil
}

func (p *powerCuts) promise(n int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.promised = n
}

// TestPowerCutAnywhere cuts the power before every change that the store makes on its
// disk, from the first Open on. Every confirmed commit is there. No other commit is there
// partially (each writes two keys), or without the commits before it.
func TestPowerCutAnywhere(t *testing.T) {
	const commits = 30
	mem := vfs.NewCrashableMem()
	p := &powerCuts{mem: mem, every: 1}
	s := mustOpen(t, small(errorfs.Wrap(mem, errorfs.InjectorFunc(p.before))))
	value := func(i int) string { return strings.Repeat(text(i), 1000) } // large enough for a few flushes
	for i := 1; i <= commits; i++ {
		var b Batch
		b.Set([]byte("a"+text(i)), []byte(value(i)))
		b.Set([]byte("b"+text(i)), []byte(value(i)))
		require.NoError(t, s.Commit(&b))
		p.promise(i)
	}
	require.NoError(t, s.Close())
	require.Greater(t, len(p.cuts), 2*commits)

	for _, cut := range p.cuts {
		s, err := Open(small(cut.fs))
		require.NoError(t, err, "power cut before %s", cut.op)
		got := contents(t, s, "")
		for i := 1; i <= commits; i++ {
			a, hasA := got["a"+text(i)]
			b, hasB := got["b"+text(i)]
			_, hasNext := got["a"+text(i+1)]
			require.Equal(t, hasA, hasB, "power cut before %s: half of commit %d", cut.op, i)
			require.True(t, hasA || (i > cut.promised && !hasNext), "power cut before %s: commit %d of %d is lost", cut.op, i, cut.promised)
			if hasA {
				require.True(t, a == value(i) && b == value(i), "power cut before %s: commit %d is torn", cut.op, i)
			}
		}
		require.NoError(t, s.Close())
	}
	t.Logf("%d power cuts", len(p.cuts))
}

// TestStateMachine runs random commits, clean restarts, power cuts and failed
// commits against a map.
func TestStateMachine(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		m := &machine{model: map[string]string{}, mem: vfs.NewCrashableMem()}
		m.open(t)
		defer func() { _ = m.s.Close() }()
		t.Repeat(map[string]func(*rapid.T){
			"commit":   m.commit, // several times, so that restarts find something
			"commit 2": m.commit,
			"commit 3": m.commit,
			"commit 4": m.commit,
			"commit 5": m.commit,
			"restart":  func(t *rapid.T) { require.NoError(t, m.s.Close()); m.open(t) },
			"powercut": m.powerCut,
			"fault":    m.faultyCommit,
			"":         func(t *rapid.T) { require.Equal(t, m.model, contents(t, m.s, "")) },
		})
	})
}

// machine is a store and the model of what it must hold.
type machine struct {
	model map[string]string
	mem   *vfs.MemFS
	trip  errorfs.Toggle
	s     *Store
}

func (m *machine) open(t *rapid.T) {
	m.trip.Injector = errorfs.InjectorFunc(func(op errorfs.Op) error {
		if op.Kind == errorfs.OpFileSyncData || op.Kind == errorfs.OpFileSync {
			return errors.New("fsync: input/output error")
		}
		return nil
	})
	m.trip.Off()
	s, err := Open(small(errorfs.Wrap(m.mem, &m.trip)))
	require.NoError(t, err)
	m.s = s
	_, err = s.Identify("", "a", time.Unix(1_800_000_000, 0), rand.Reader)
	require.NoError(t, err)
}

// draw fills a batch and returns the model as it is after the batch.
func (m *machine) draw(t *rapid.T) (*Batch, map[string]string) {
	next := maps.Clone(m.model)
	var b Batch
	for range rapid.IntRange(1, 5).Draw(t, "writes") {
		k := rapid.StringMatching("[a-c][a-e]").Draw(t, "key")
		if rapid.IntRange(0, 3).Draw(t, "kind") == 0 {
			b.Delete([]byte(k))
			delete(next, k)
			continue
		}
		v := strings.Repeat(rapid.StringN(0, 4, 16).Draw(t, "value"), rapid.SampledFrom([]int{1, 100, 4000}).Draw(t, "times"))
		b.Set([]byte(k), []byte(v))
		next[k] = v
	}
	return &b, next
}

func (m *machine) commit(t *rapid.T) {
	b, next := m.draw(t)
	require.NoError(t, m.s.Commit(b))
	m.model = next
}

func (m *machine) powerCut(t *rapid.T) {
	percent := rapid.SampledFrom([]int{0, 30, 100}).Draw(t, "unsynced percent")
	after := crashed(m.mem, percent, rapid.Uint64().Draw(t, "seed"))
	require.NoError(t, m.s.Close())
	m.mem = after
	m.open(t)
}

// faultyCommit lets the fsync of a commit fail. After the restart the commit is
// there completely or not at all.
func (m *machine) faultyCommit(t *rapid.T) {
	b, next := m.draw(t)
	m.trip.On()
	require.ErrorIs(t, m.s.Commit(b), errFailed)
	m.trip.Off()
	b, _ = m.draw(t)
	require.ErrorIs(t, m.s.Commit(b), errFailed, "the store stays frozen when the disk seems to work again")
	after := crashed(m.mem, rapid.SampledFrom([]int{0, 100}).Draw(t, "unsynced percent"), 1)
	require.Error(t, m.s.Close())
	m.mem = after
	m.open(t)
	if got := contents(t, m.s, ""); !maps.Equal(got, m.model) {
		m.model = next
	}
}
