package ledger

import (
	"errors"
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/urban-compute/ucp/clock"
	"github.com/urban-compute/ucp/job"
	"github.com/urban-compute/ucp/test/story"
)

// What was taken and written is what a ledger loads: records, clock and what it
// would send to anybody (rule I4).
func TestLoadEqualsWhatWasSynced(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		r := newReplica("a")
		for range rapid.IntRange(0, 30).Draw(t, "writes") {
			key := fmt.Sprint("j", rapid.IntRange(1, 5).Draw(t, "key"))
			_, err := touch(r.Ledger, key, rapid.Bool().Draw(t, "closes"))
			require.NoError(t, err)
			if rapid.Bool().Draw(t, "sync") {
				r.sync()
			}
		}
		r.sync()
		visited := map[string]bool{}
		l := New("a~2", r.disk, setSchema)
		require.NoError(t, l.Load(r.disk.Scan, func(ref Ref, rec Record) {
			require.Equal(t, ref.Key, rec.Key())
			visited[ref.Key] = true
		}))
		require.Len(t, visited, r.Len())
		require.Equal(t, r.Clock(), l.Clock())
		require.Equal(t, r.Len(), l.Len())
		require.Equal(t, r.Live(nil), l.Live(nil))
		require.Equal(t, r.contents(), (&replica{Ledger: l}).contents())
		since := clock.NewTips(clock.Dot{Actor: "a~1", Counter: uint64(rapid.IntRange(0, 30).Draw(t, "since"))})
		require.Equal(t, r.lacks(since, 0), l.lacks(since, 0))
		require.Empty(t, l.Take().Ops(), "loading changes nothing")
	})
}

// Of a clock a batch holds the brokers of which an entry has changed, and no other, however many the clock names (rule K4). A store
// in which a version before has kept it as a whole is read, and gets the new form with the next change.
func TestClocksAreStoredByBroker(t *testing.T) {
	for _, old := range []bool{false, true} {
		r := newReplica("a")
		c := clock.Tips{dot("b~1", 3), dot("b~2", 1), dot("c~1", 2)}
		if old {
			r.disk.Write(clockKey, encodeClock(c))
			r.disk.Write(stableKey, encodeClock(c[:1]))
			require.NoError(t, r.Load(r.disk.Scan, nil))
		} else {
			_, err := r.Merge(Delta{Clock: c})
			require.NoError(t, err)
			r.RaiseStable(c[:1])
			r.sync()
		}
		_, err := touch(r.Ledger, "j1", false)
		require.NoError(t, err)
		_, err = r.Merge(Delta{Clock: clock.Tips{dot("b~2", 2)}})
		require.NoError(t, err)
		r.RaiseStable(clock.Tips{dot("c~1", 1)})
		var keys []string
		for _, op := range r.Take().Ops() {
			keys = append(keys, fmt.Sprintf("%q", op.Key))
			r.disk.Write(op.Key, op.Value)
		}
		want := []string{`"rset\x00j1"`, `"c\x00a"`, `"c\x00b"`, `"s\x00c"`}
		if old {
			want = []string{`"rset\x00j1"`, `"c"`, `"c\x00a"`, `"c\x00b"`, `"c\x00c"`, `"s"`, `"s\x00b"`, `"s\x00c"`}
		}
		require.Equal(t, want, keys)
		l := New("a~2", nil, setSchema)
		require.NoError(t, l.Load(r.disk.Scan, nil))
		require.Equal(t, "{a~1:1 b~1:3 b~2:2 c~1:2}", l.Clock().String())
		require.Equal(t, "{b~1:3 c~1:1}", l.StableClock().String())
	}
}

// A batch holds each changed record once, and the clock only when that changed.
func TestTakeIsOneBatch(t *testing.T) {
	r := newReplica("a")
	require.True(t, r.Take().Empty())
	for range 3 {
		_, err := touch(r.Ledger, "j1", false)
		require.NoError(t, err)
	}
	b := r.Take()
	require.Len(t, b.Ops(), 2)
	require.Equal(t, "rset\x00j1", string(b.Ops()[0].Key))
	require.Equal(t, "j1 a~1:1* a~1:2 a~1:3", string(b.Ops()[0].Value))
	require.Equal(t, "c\x00a", string(b.Ops()[1].Key))
	require.True(t, r.Take().Empty())

	// A merge of a record alone, as from a page, leaves the clock as it is (rule L5).
	in, err := decodeSet([]byte("j2 b~1:1*"))
	require.NoError(t, err)
	m, err := r.Merge(Delta{Entries: []Entry{{Ref: setRef(in.key), Record: in}}})
	require.NoError(t, err)
	require.False(t, m.Adopted)
	require.Len(t, r.Take().Ops(), 1)
}

// An update that turns out to be none uses no dot.
func TestApplyNothing(t *testing.T) {
	r := newReplica("a")
	rec, err := r.Apply(setRef("j1"), func(d clock.Dot, old Record) Record {
		require.Nil(t, old)
		require.Equal(t, clock.Dot{Actor: "a~1", Counter: 1}, d)
		return nil
	})
	require.NoError(t, err)
	require.Nil(t, rec)
	require.Empty(t, r.Clock())
	require.True(t, r.Take().Empty())
}

// A disk that holds what this broker can't have written stops the load, and the
// error says what and where.
func TestLoadRefusesADamagedDisk(t *testing.T) {
	for name, c := range map[string]struct{ key, value, hint string }{
		"record":       {"rset\x00j1", "j1", `set "j1"`},
		"kind":         {"rdance\x00j1", "j1 a:1", "this version does not know"},
		"key":          {"rset", "j1 a:1", "stray key"},
		"clock":        {"c", "\xff\xff", "clock"},
		"clock, order": {"c", string(encodeClock(clock.Tips{{Actor: "b", Counter: 1}, {Actor: "a", Counter: 1}})), "clock"},
	} {
		t.Run(name, func(t *testing.T) {
			d := story.Disk{c.key: []byte(c.value)}
			require.ErrorContains(t, New("a~1", d, setSchema).Load(d.Scan, nil), c.hint)
		})
	}
}

// Job records pass through a ledger as any other kind.
func TestJobRecords(t *testing.T) {
	schema := SchemaOf("job", job.DecodeRecord, job.Merge)
	a, b := New("a~1", story.Disk{}, schema), New("b~1", story.Disk{}, schema)
	spec := job.Spec{Command: "true", Priority: job.Priority{User: job.DefaultUser}}
	require.NoError(t, spec.Complete())
	ref := Ref{"job", job.Key("j1", spec.Digest())}
	_, err := a.Apply(ref, func(dot clock.Dot, _ Record) Record {
		return job.New("j1", spec, spec.Digest(), job.Stamp{Dot: dot, At: 7})
	})
	require.NoError(t, err)

	d, ok, err := a.Delta(b.Clock(), 1<<20)
	require.NoError(t, err)
	require.True(t, ok)
	d.Entries[0].Record, err = b.Decode("job", d.Entries[0].Encoded)
	require.NoError(t, err)
	m, err := b.Merge(d)
	require.NoError(t, err)
	require.True(t, m.Adopted)
	require.Equal(t, []Ref{ref}, []Ref{m.News[0].Ref})
	require.Nil(t, m.News[0].Old)
	got, err := b.Get(ref)
	require.NoError(t, err)
	require.Equal(t, job.StatePending, got.(*job.Record).State())
	require.True(t, b.Has(clock.Dot{Actor: "a~1", Counter: 1}))
	require.Equal(t, clock.Actor("b~1"), b.self)

	_, err = b.Decode("dance", nil)
	require.ErrorContains(t, err, "unknown kind")
	_, err = b.Decode("job", []byte("x"))
	require.Error(t, err)
}

// brokenDisk fails to read.
type brokenDisk struct{}

func (brokenDisk) Get([]byte) ([]byte, bool, error) {
	return nil, false, errors.New("input/output error")
}

func (brokenDisk) Walk(_, _ []byte, _ func(key, value []byte) bool) error {
	return errors.New("input/output error")
}

// The stable clock is stored with the batch after it was raised, never goes back, and costs nothing when nothing
// moved.
func TestStableClockIsStored(t *testing.T) {
	disk := story.Disk{}
	l := New("a~1", disk, setSchema)
	require.False(t, l.Dirty())
	l.RaiseStable(clock.NewTips(dot("a~1", 2), dot("b~1", 1)))
	held := l.StableClock()
	l.RaiseStable(clock.NewTips(dot("a~1", 1), dot("b~1", 3)))
	require.Equal(t, clock.NewTips(dot("a~1", 2), dot("b~1", 1)), held, "who holds the one before keeps it")
	require.True(t, l.Dirty())
	for _, op := range l.Take().Ops() {
		disk.Write(op.Key, op.Value)
	}
	l.RaiseStable(clock.NewTips(dot("b~1", 2)))
	require.False(t, l.Dirty())
	require.True(t, l.Take().Empty())

	again := New("a~2", disk, setSchema)
	require.NoError(t, again.Load(disk.Scan, nil))
	require.Equal(t, clock.NewTips(dot("a~1", 2), dot("b~1", 3)), again.StableClock())

	again.ResetStable()
	require.True(t, again.Dirty())
	for _, op := range again.Take().Ops() {
		disk.Write(op.Key, op.Value)
	}
	again = New("a~3", disk, setSchema)
	require.NoError(t, again.Load(disk.Scan, nil))
	require.Empty(t, again.StableClock(), "it started over (rule M2)")
}
