package executor

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/urban-compute/ucp/job"
)

// cacheRig is a cache with entries of 10 blocks each, "a" the last used.
type cacheRig struct {
	*moduleCache
	t      *testing.T
	mapped []job.Digest // by running workers
	idle   []job.Digest // whose idle workers were ended
	told   []job.Digest
}

const entrySize = 10 * diskBlock

func newCacheRig(t *testing.T, most int64, modules ...string) *cacheRig {
	r := &cacheRig{t: t}
	dir := t.TempDir()
	r.moduleCache = &moduleCache{
		dir: entriesDir(dir), most: most, held: map[job.Digest]int{},
		tell:    func(list []job.Digest) { r.told = list },
		inUse:   func(d job.Digest) bool { return slices.Contains(r.mapped, d) },
		endIdle: func(d job.Digest) { r.idle = append(r.idle, d) },
	}
	for i, d := range modules {
		r.fill(d)
		when := time.Now().Add(time.Duration(-i) * time.Hour)
		require.NoError(t, os.Chtimes(filepath.Join(r.dir, d), when, when))
	}
	require.NoError(t, r.load(dir))
	return r
}

// fill makes an entry as a worker does.
func (r *cacheRig) fill(d string) {
	engine := filepath.Join(r.dir, d, "engine")
	require.NoError(r.t, os.MkdirAll(engine, 0o700))
	require.NoError(r.t, os.WriteFile(filepath.Join(engine, "key"), make([]byte, entrySize-3*diskBlock), 0o600))
	require.NoError(r.t, os.WriteFile(filepath.Join(r.dir, d, codeName), make([]byte, 3*diskBlock-1), 0o600))
}

// holds lists what is on the disk.
func (r *cacheRig) holds() string {
	entries, err := os.ReadDir(r.dir)
	require.NoError(r.t, err)
	var names []string
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return strings.Join(names, " ")
}

func TestModuleCacheIsBounded(t *testing.T) {
	r := newCacheRig(t, 3*entrySize, "a", "b", "c", "d")
	require.Equal(t, "a b c", r.holds(), "the bound may be less than it was")
	require.Equal(t, []job.Digest{"a", "b", "c"}, r.told)
	require.EqualValues(t, 3*entrySize, r.size())
	r.used("c")
	release := r.hold("new")
	r.fill("new")
	r.used("new")
	release()
	require.Equal(t, "a c new", r.holds(), "b was not used for the longest time")
	require.Equal(t, []job.Digest{"new", "c", "a"}, r.told)
	require.Equal(t, []job.Digest{"d", "b"}, r.idle)
	require.False(t, r.has("b"))

	later := &cacheRig{t: t, moduleCache: &moduleCache{dir: r.dir, most: 1 << 30, held: map[job.Digest]int{}}}
	later.tell = func(list []job.Digest) { later.told = list }
	later.inUse, later.endIdle = r.inUse, r.endIdle
	require.NoError(t, later.load(filepath.Dir(r.dir)))
	require.Equal(t, r.told, later.told, "in that order after a restart, too")
}

func TestModuleCacheGivesWay(t *testing.T) {
	r := newCacheRig(t, 1<<30, "a", "b", "c", "d", "e")
	r.mapped = []job.Digest{"e"}
	release := r.hold("c")
	require.Zero(t, r.giveWay(0))
	require.EqualValues(t, entrySize, r.giveWay(1))
	require.Equal(t, "a b c e", r.holds(), "a running worker has mapped e, and keeps it")
	require.EqualValues(t, 2*entrySize, r.giveWay(10*entrySize))
	require.Equal(t, "c e", r.holds(), "an attempt holds c")
	require.Zero(t, r.giveWay(1))
	release()
	require.EqualValues(t, entrySize, r.giveWay(1))
	require.Equal(t, []job.Digest{"e"}, r.told)
	r.mapped = nil
	require.EqualValues(t, entrySize, r.giveWay(1))
	require.Zero(t, r.size())
}

// What a module has that is larger than the whole cache stays as long as an attempt uses it.
func TestModuleLargerThanTheCache(t *testing.T) {
	r := newCacheRig(t, entrySize-1)
	release := r.hold("a")
	r.fill("a")
	r.used("a")
	require.True(t, r.has("a"))
	release()
	require.Empty(t, r.holds())
}

// What is not complete, or of no use, is not kept: neither over a start nor when the attempt has ended whose worker made it.
func TestModuleCacheKeepsWhatIsComplete(t *testing.T) {
	r := newCacheRig(t, 1<<30, "a")
	half := filepath.Join(r.dir, "half", "engine", "key.tmp")
	release, other := r.hold("half"), r.hold("half")
	require.NoError(t, os.MkdirAll(filepath.Dir(half), 0o700))
	require.NoError(t, os.WriteFile(half, []byte("x"), 0o600))
	r.used("half")
	release()
	require.FileExists(t, half, "another attempt compiles it")
	other()
	require.Equal(t, "a", r.holds())
	require.Len(t, r.list, 1)

	dir := filepath.Dir(r.dir)
	require.NoError(t, os.MkdirAll(filepath.Dir(half), 0o700))
	for _, old := range []string{"compiled-v1", "code-v1", "wazero-v1-amd64-linux", "modules-v0"} {
		require.NoError(t, os.MkdirAll(filepath.Join(dir, old, "x"), 0o700))
	}
	require.NoError(t, r.load(dir))
	require.Equal(t, "a", r.holds())
	left, err := os.ReadDir(dir)
	require.NoError(t, err)
	require.Len(t, left, 1)
}

// With real workers: the disk has what the last used modules need, one that runs keeps its own, and what was removed is compiled
// again.
func TestCompiledModulesAreRemoved(t *testing.T) {
	told := &toldModules{news: make(chan struct{}, 1)}
	dir := t.TempDir()
	r := newRig(t, func(c *Config) { c.CacheDir, c.ModuleCache, c.Compiled, c.IdleTimeout = dir, 1, told.set, time.Hour })
	endless := r.module(r.put(endlessModule()))
	r.e.Start(endless)
	require.Eventually(t, func() bool { return r.e.account.hasCode(endless.Spec.Module) }, time.Minute, time.Millisecond)
	a, b := r.put(tinyModule("_start", 0)), r.put(tinyModule("_start", 1))
	for _, d := range []job.Digest{a, b, a} {
		require.Equal(t, job.Succeeded, r.run(r.module(d)).Outcome)
		require.Eventually(t, func() bool { return !r.e.cache.has(d) }, time.Minute, time.Millisecond, "it is beyond the bound")
		require.True(t, r.e.cache.has(endless.Spec.Module), "it runs")
	}
	require.Zero(t, r.e.FreeDisk(1))
	require.Equal(t, []job.Digest{endless.Spec.Module}, told.get())
	r.e.Stop(endless.Key, endless.Attempt)
	r.ended(endless)
	require.Eventually(t, func() bool { return r.e.CacheUse().Bytes == 0 }, time.Minute, time.Millisecond)
}

// Compiled modules are removed before a job ends for what it has written, and before output is refused.
func TestCompiledModulesGiveWayToJobs(t *testing.T) {
	var told []int64
	w := newDiskWatch(t.TempDir(), 0)
	free := int64(leastRoom)
	w.free = func() (int64, error) { return free, nil }
	left := int64(1)
	w.giveWay = func(bytes int64) int64 { told = append(told, bytes); defer func() { left = 0 }(); return left }
	running := map[*attempt]*written{{e: &Executor{}, dir: t.TempDir()}: {ended: true}} // which is looked at when nothing gives way
	w.look(time.Now(), running)
	require.Empty(t, told)
	free -= 10
	w.look(time.Now(), running)
	require.Equal(t, []int64{10}, told)
	require.Zero(t, w.pause, "nobody was looked for")
	w.look(time.Now(), running)
	require.NotZero(t, w.pause)
}

// Output is kept with what compiled modules leave.
func TestCompiledModulesGiveWayToOutput(t *testing.T) {
	const reserve = 100
	r := newCacheRig(t, 1<<30, "a")
	e := &Executor{cache: r.moduleCache, disk: newDiskWatch(t.TempDir(), reserve)}
	e.disk.free = func() (int64, error) { return reserve + entrySize - r.size(), nil }
	require.NoError(t, e.checkRoom(outputShare*reserve))
	require.Equal(t, "a", r.holds())
	require.NoError(t, e.checkRoom(outputShare*reserve+1))
	require.Empty(t, r.holds())
	require.ErrorIs(t, e.checkRoom(outputShare*reserve+entrySize+1), syscall.ENOSPC)
}

// The bound follows the reserve where nothing is said.
func TestModuleCacheDefault(t *testing.T) {
	for reserve, want := range map[int64]int64{256 << 20: 1 << 30, 0: 1 << 30, -1: 1 << 30, 100: 400} {
		c, err := Config{Dir: "d", CacheDir: "c", Blobs: diskBlobs{}, Report: func(Update) {}, DiskReserve: reserve}.withDefaults()
		require.NoError(t, err)
		require.Equal(t, want, c.ModuleCache)
	}
}
