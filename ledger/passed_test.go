package ledger

import (
	"bytes"
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/urban-compute/ucp/clock"
	"github.com/urban-compute/ucp/test/story"
)

// closed is a set that was created by the first of these updates, and is finished.
func closed(key string, dots ...clock.Dot) Entry {
	e := good(key, dots...)
	e.Record.(*set).closed = true
	e.Encoded = e.Record.Encode()
	return e
}

// L7, L4: what others have written of a record that was forgotten here goes to who lacks it, also after a start, until every member is
// known to hold it. It is nothing else here.
func TestWhatComesOfTheForgottenIsPassedOn(t *testing.T) {
	disk := story.Disk{}
	store := func(l *Ledger) {
		b := l.Take()
		for _, op := range b.Ops() {
			if disk[string(op.Key)] = op.Value; op.Value == nil {
				delete(disk, string(op.Key))
			}
		}
		l.Stable(b)
	}
	passedOn := func(l *Ledger, since clock.Tips) (keys []string) {
		d, _, err := l.Delta(since, 1<<20)
		require.NoError(t, err)
		for _, e := range d.Entries {
			if e.Kind == setKind {
				keys = append(keys, string(e.Encoded))
			}
		}
		return keys
	}
	one, all := clock.NewTips(dot("b~1", 1)), clock.NewTips(dot("b~1", 3), dot("c~1", 1))
	l := New("a~1", disk, setSchema)
	tell(t, l, "b~1", one, closed("x", dot("b~1", 1)))
	require.NoError(t, l.Forget(setRef("x")))

	tell(t, l, "b~1", one, closed("x", dot("b~1", 1)))
	require.Empty(t, passedOn(l, nil), "an old state, which all have had")
	m := tell(t, l, "b~1", nil, closed("x", dot("b~1", 1), dot("b~1", 3)))
	require.Equal(t, []Ref{setRef("x")}, m.Forgotten)
	require.Equal(t, []Ref{setRef("x")}, tell(t, l, "c~1", all, closed("x", dot("b~1", 1), dot("c~1", 1))).Forgotten)
	require.Equal(t, []string{"x b~1:1* b~1:3 c~1:1 closed"}, passedOn(l, one))
	require.Empty(t, passedOn(l, all))
	store(l)

	l = New("a~2", disk, setSchema)
	require.NoError(t, l.Load(disk.Scan, func(Ref, Record) { t.Error("nothing is held") }))
	require.Equal(t, []string{"x b~1:1* b~1:3 c~1:1 closed"}, passedOn(l, one))
	r, err := l.Get(setRef("x"))
	require.NoError(t, err)
	require.Nil(t, r)
	require.True(t, l.Forgotten(setRef("x"), one))
	require.Zero(t, l.Len())
	require.Empty(t, l.EndedBeyond(nil))

	l.RaiseStable(clock.NewTips(dot("b~1", 3)))
	require.NotEmpty(t, passedOn(l, one), "some may lack c's update")
	l.RaiseStable(all)
	require.Empty(t, passedOn(l, nil))
	store(l)
	for key := range disk {
		require.NotEqual(t, byte(passedSpace), key[0])
	}
}

// What is created again under the same key is held, and nothing of the earlier one is passed on any more.
func TestWhatIsCreatedAgainIsNotPassedOn(t *testing.T) {
	l := New("a~1", nil, setSchema)
	tell(t, l, "b~1", clock.NewTips(dot("b~1", 1)), closed("x", dot("b~1", 1)))
	require.NoError(t, l.Forget(setRef("x")))
	tell(t, l, "b~1", clock.NewTips(dot("b~1", 2)), closed("x", dot("b~1", 1), dot("b~1", 2)))
	require.Len(t, l.passed.records, 1)
	tell(t, l, "b~1", clock.NewTips(dot("b~1", 3)), good("x", dot("b~1", 3)))
	require.Empty(t, l.passed.records)
	d, _, err := l.Delta(nil, 1<<20)
	require.NoError(t, err)
	require.Len(t, d.Entries, 1)
}

// Whatever a peer invents, what is passed on is bounded.
func TestWhatIsPassedOnIsBounded(t *testing.T) {
	l := New("a~1", nil, setSchema)
	tell(t, l, "b~1", clock.NewTips(dot("b~1", 1)))
	for i := range uint64(2*maxPassed + 1) {
		tell(t, l, "b~1", nil, closed(fmt.Sprint("x", i), dot("b~1", 1), dot("c~1", i+1)))
		require.LessOrEqual(t, len(l.passed.records), maxPassed)
		require.NotNil(t, l.passed.records[setRef(fmt.Sprint("x", i))])
	}
	require.Len(t, l.passed.records, 1)
	large := string(bytes.Repeat([]byte("y"), maxPassedBytes/3))
	for i := range uint64(6) {
		tell(t, l, "b~1", nil, closed(fmt.Sprint(large, i), dot("b~1", 1), dot("c~1", i+1)))
		size := 0
		for _, e := range l.passed.records {
			size += len(e.encoded)
		}
		require.Equal(t, size, l.passed.size)
		require.LessOrEqual(t, size, maxPassedBytes)
	}
}
