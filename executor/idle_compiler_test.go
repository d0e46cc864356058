package executor

import (
	"encoding/binary"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/urban-compute/ucp/job"
	"github.com/urban-compute/ucp/test/slow"
)

// toldModules keeps which modules an executor says that it has compiled.
type toldModules struct {
	mu   sync.Mutex
	list []job.Digest
	news chan struct{}
}

func (m *toldModules) set(list []job.Digest) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.list = list
	select {
	case m.news <- struct{}{}:
	default:
	}
}

func (m *toldModules) get() []job.Digest {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.list
}

// await waits until a module is among them.
func (m *toldModules) await(t *testing.T, d job.Digest) {
	late := time.After(2 * time.Minute)
	for !slices.Contains(m.get(), d) {
		select {
		case <-m.news:
		case <-late:
			require.FailNow(t, "it is not compiled")
		}
	}
}

func idleRig(t *testing.T, cache string, change ...func(*Config)) (*rig, *toldModules) {
	told := &toldModules{news: make(chan struct{}, 1)}
	r := newRig(t, append(change, func(c *Config) { c.CacheDir, c.Compiled = cache, told.set })...)
	r.e.idle.idle = 10 * time.Millisecond
	return r, told
}

// compiling waits until a module is compiled for nobody.
func (r *rig) compiling() {
	for end := time.Now().Add(time.Minute); ; time.Sleep(time.Millisecond) { // the process has no news for us
		r.e.idle.mu.Lock()
		at := r.e.idle.memory > 0
		r.e.idle.mu.Unlock()
		if at {
			return
		}
		require.True(r.t, time.Now().Before(end), "nothing is compiled")
	}
}

// What is prepared is compiled when there is nothing else to do, in a worker that ends then; a job that wants it need not
// compile. A later start knows it.
func TestPrepare(t *testing.T) {
	cache := t.TempDir()
	r, told := idleRig(t, cache)
	d := r.put(slow.Module(100, 1000))
	r.e.Prepare(job.Digest("0000000000000000000000000000000000000000000000000000000000000000")) // is not here
	r.e.Prepare(d)
	told.await(t, d)
	leave, err := r.e.turns.enter(t.Context(), "other", 1, nil) // whoever has to compile waits now
	require.NoError(t, err)
	defer leave()
	require.Equal(t, job.Succeeded, r.run(r.module(d)).Outcome)

	_, later := idleRig(t, cache)
	require.Equal(t, []job.Digest{d}, later.get())
}

// A job that has to compile does not wait for what no job waits for, and that starts over afterwards.
func TestPreparedGivesWayToTheTurn(t *testing.T) {
	r, told := idleRig(t, t.TempDir())
	d := r.put(slow.Module(400, 6000))
	r.e.Prepare(d)
	r.compiling()
	begin := time.Now()
	task := r.module(r.put(tinyModule("_start", 0)))
	require.Equal(t, job.Succeeded, r.run(task).Outcome)
	require.Less(t, time.Since(begin), 4*time.Second)
	require.NotContains(t, told.get(), d)
	require.Contains(t, r.e.idle.wanted, d)
	r.compiling()
}

// A job that needs no turn ends it only where its memory is wanted.
func TestPreparedGivesWayToMemory(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector needs memory of its own; scripts/test.sh runs it without")
	}
	small := slow.Module(400, 6000)
	padding := append([]byte{1, 'x'}, make([]byte, 2<<20)...) // a custom section, so that compiling is taken to need some 60 MiB
	small = append(binary.AppendUvarint(append(small, 0), uint64(len(padding))), padding...)
	most := int64(len(small))*compilerMemory + 100<<20
	r, _ := idleRig(t, t.TempDir(), func(c *Config) { c.Memory = most })
	known := r.put(tinyModule("_start", 0))
	first := r.run(r.module(known))
	require.Equal(t, job.Succeeded, first.Outcome, first.Reason)
	r.e.Prepare(r.put(small))
	r.compiling()
	ended := func(memory int64) bool {
		task := r.module(known)
		task.Spec.Resources.Memory = memory
		res := r.run(task)
		require.Equal(t, job.Succeeded, res.Outcome, res.Reason)
		r.e.idle.mu.Lock()
		defer r.e.idle.mu.Unlock()
		return r.e.idle.cancel == nil || r.e.idle.ended
	}
	require.False(t, ended(50<<20))
	require.True(t, ended(110<<20))
}

// Beyond its bound the disk cache takes nothing for which no job waits; what is no module is not tried again.
func TestPrepareIsBounded(t *testing.T) {
	cache := t.TempDir()
	r, told := idleRig(t, cache)
	b := newIdleCompiler(r.e) // which nobody runs
	b.idle = 0
	d := r.put(tinyModule("_start", 0))
	most := r.e.cache.most
	r.e.cache.most = cachedTimes*sizeOf(blobFile(r.blobs.dir, d)) - 1
	b.want(d)
	require.Equal(t, blobWait, b.step(), "it is looked at again")
	require.Empty(t, told.get())
	r.e.cache.most = most
	b.step()
	require.Equal(t, []job.Digest{d}, told.get())
	bad := r.put([]byte("\x00asm\x01\x00\x00\x00 and nonsense"))
	b.want(bad)
	b.step()
	require.NotContains(t, told.get(), bad)
	require.NotContains(t, b.wanted, bad, "it is over with it")
	for i := range 2 * maxWanted {
		b.want(job.Digest(rune('a' + i)))
	}
	require.Len(t, b.wanted, maxWanted)
}
