package ledger

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/urban-compute/ucp/clock"
)

// finish makes n finished records at a replica: more than stay in memory.
func finish(t testing.TB, r *replica, n int) {
	for i := range n {
		_, err := touch(r.Ledger, fmt.Sprintf("j%05d", i), true)
		require.NoError(t, err)
	}
}

// Finished records leave memory once they are on disk, the oldest first (rule L1);
// unfinished ones never do, and none before its sync.
func TestFinishedRecordsLeaveMemory(t *testing.T) {
	r := newReplica("a")
	_, err := touch(r.Ledger, "unfinished", false)
	require.NoError(t, err)
	finish(t, r, keepFinished+100)
	b := r.Take()
	require.Len(t, r.held, keepFinished+101, "nothing leaves before it is synced")
	for _, op := range b.Ops() {
		r.disk[string(op.Key)] = op.Value
	}
	r.Stable(b)
	require.Len(t, r.held, keepFinished+1)
	require.Len(t, r.archived, 100)
	require.NotContains(t, r.held, setRef("j00000"))
	require.Contains(t, r.held, setRef("unfinished"))
	require.Equal(t, keepFinished+101, r.Len())
	require.Equal(t, []Ref{setRef("unfinished")}, r.Live(nil))
}

// What has left memory is found, sent and merged as before.
func TestArchivedRecordsAreStillThere(t *testing.T) {
	a, b := newReplica("a"), newReplica("b")
	finish(t, a, keepFinished+100)
	a.sync()
	require.Equal(t, "j00000 a~1:1* closed", a.set("j00000").String(), "found")

	d, ok, err := a.Delta(nil, 1<<20)
	require.NoError(t, err)
	require.True(t, ok)
	require.Len(t, d.Entries, keepFinished+100, "sent")
	b.receive(d)
	_, err = touch(b.Ledger, "j00000", false)
	require.NoError(t, err)

	d, _, err = b.Delta(a.Clock(), 1<<20)
	require.NoError(t, err)
	news, adopted := a.receive(d)
	require.True(t, adopted)
	require.Len(t, news, 1, "merged")
	require.Equal(t, "j00000 a~1:1* closed", news[0].Old.(*set).String())
	require.Equal(t, "j00000 a~1:1* b~1:1 closed", a.set("j00000").String())
	require.Equal(t, keepFinished+100, a.Len(), "counted once")

	// A repetition brings nothing back into memory.
	held := len(a.held)
	news, _ = a.receive(d)
	require.Empty(t, news)
	require.Len(t, a.held, held)

	_, err = touch(a.Ledger, "j00001", false)
	require.NoError(t, err)
	require.Equal(t, "j00001 a~1:2* a~1:1125 closed", a.set("j00001").String(), "a local update finds it too")
}

// A record that changed again after its batch was taken stays in memory: only an
// older state of it is on disk.
func TestChangedAgainStaysInMemory(t *testing.T) {
	r := newReplica("a")
	finish(t, r, 1)
	b := r.Take()
	_, err := touch(r.Ledger, "j00000", true)
	require.NoError(t, err)
	r.Stable(b)
	for i := range keepFinished + 10 {
		_, err := touch(r.Ledger, fmt.Sprintf("k%05d", i), true)
		require.NoError(t, err)
	}
	require.Contains(t, r.held, setRef("j00000"))
	r.sync()
	require.Equal(t, "j00000 a~1:1* a~1:2 closed", r.set("j00000").String())
	require.Equal(t, keepFinished+11, r.Len())
}

// The same when it changed after it had already become one of those that may leave.
func TestChangedBeforeItLeavesStaysInMemory(t *testing.T) {
	r := newReplica("a")
	finish(t, r, keepFinished+10)
	r.sync()
	_, err := touch(r.Ledger, "first", true)
	require.NoError(t, err)
	r.sync()
	for i := range keepFinished + 10 {
		_, err := touch(r.Ledger, fmt.Sprintf("k%05d", i), true)
		require.NoError(t, err)
	}
	b := r.Take()
	_, err = touch(r.Ledger, "first", true)
	require.NoError(t, err)
	r.Stable(b)
	require.Contains(t, r.held, setRef("first"), "its newest state is nowhere else")
	require.Contains(t, r.Take().refs, setRef("first"))
}

// A disk that fails, or has lost a record, is an error and never "no such job".
func TestArchiveThatFails(t *testing.T) {
	r := newReplica("a")
	finish(t, r, keepFinished+1)
	r.sync()
	gone := setRef("j00000")
	delete(r.disk, string(RecordKey(gone)))
	_, err := r.Get(gone)
	require.ErrorContains(t, err, `set "j00000" is gone`)
	r.disk[string(RecordKey(gone))] = []byte("?")
	_, err = r.Get(gone)
	require.ErrorContains(t, err, `stored record set "j00000"`)

	r.archive = brokenDisk{}
	_, err = r.Get(gone)
	require.ErrorContains(t, err, "input/output error")
	_, err = r.Apply(gone, nil)
	require.ErrorContains(t, err, "input/output error")
	_, err = r.Merge(Delta{Entries: []Entry{{Ref: gone, Record: &set{key: gone.Key}}}})
	require.ErrorContains(t, err, "input/output error")
	_, _, err = r.Delta(nil, 1<<20)
	require.ErrorContains(t, err, "input/output error")

	rec, err := r.Get(setRef("never was"))
	require.NoError(t, err, "what never was is not looked for on the disk")
	require.Nil(t, rec)
}

// The merge that fails half way tells what it has changed, and adopts no clock.
func TestMergeThatFailsAdoptsNothing(t *testing.T) {
	r := newReplica("a")
	finish(t, r, keepFinished+1)
	r.sync()
	r.archive = brokenDisk{}
	in, err := decodeSet([]byte("new b~1:1*"))
	require.NoError(t, err)
	before := r.Clock()
	m, err := r.Merge(Delta{
		Entries: []Entry{{Ref: setRef("new"), Record: in}, {Ref: setRef("j00000"), Record: &set{key: "j00000"}}},
		Clock:   clock.Tips(in.Writers()),
	})
	require.Error(t, err)
	require.False(t, m.Adopted)
	require.Len(t, m.News, 1)
	require.Equal(t, before, r.Clock())
}
