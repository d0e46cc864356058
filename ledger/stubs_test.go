package ledger

import (
	"testing"

	"github.com/stretchr/testify/require"
)

// reduced is a replica with n finished records, all of them stubs on its disk.
func reduced(t testing.TB, n int) *replica {
	r := newReplica("a")
	finish(t, r, n)
	r.sync()
	refs := make([]Ref, 0, n)
	for _, s := range r.contents() {
		refs = append(refs, setRef(s[:6]))
	}
	require.Len(t, refs, n)
	for _, ref := range refs {
		require.NoError(t, r.Reduce(ref))
	}
	r.sync()
	return r
}

// Nothing of a stub is in memory, however many there are; it is found, sent and merged as other records are (rule M4).
func TestStubsAreOnDiskOnly(t *testing.T) {
	const n = keepFinished + 100
	r := reduced(t, n)
	require.Empty(t, r.held)
	require.Empty(t, r.archived)
	require.Empty(t, r.stubs.coming)
	require.Empty(t, r.index)
	require.Equal(t, n, r.Stubs())
	require.Equal(t, n, r.Len())
	require.Equal(t, "j00007 a~1:8* closed stub", r.set("j00007").String())
	require.Len(t, r.disk, n+1, "and its whole record is gone from the disk")

	r.start()
	require.Equal(t, n, r.Stubs(), "counted again")
	b := newReplica("b")
	d, ok, err := r.Delta(b.Clock(), 1<<20)
	require.NoError(t, err)
	require.True(t, ok)
	_, adopted := b.receive(d)
	require.True(t, adopted)
	require.Equal(t, r.contents(), b.contents())
	b.sync()
	require.Empty(t, b.held, "who gets a stub keeps it on disk only, too")

	d, ok, err = r.Delta(b.Clock(), 1<<20)
	require.NoError(t, err)
	require.True(t, ok)
	require.Empty(t, d.Entries, "who has them gets none")
}

// A page looks at so many stubs and no more, since the owner of the ledger waits for it.
func TestPagesOfStubsAreBounded(t *testing.T) {
	r := reduced(t, stubsLooked+10)
	p := r.Pin(nil)
	d, last, err := p.Page(r.Ledger, 1<<30)
	require.NoError(t, err)
	require.False(t, last)
	require.Len(t, d.Entries, stubsLooked)
	require.Nil(t, d.Clock)
	again, last, err := p.Page(r.Ledger, 1<<30)
	require.NoError(t, err)
	require.False(t, last)
	require.Equal(t, d, again, "the same page until it is acknowledged")
	p.Advance()
	d, last, err = p.Page(r.Ledger, 1<<30)
	require.NoError(t, err)
	require.True(t, last)
	require.Len(t, d.Entries, 10)
	require.NotNil(t, d.Clock)
}

// A stub that is forgotten is gone at once, also while the batch that deletes it is being written; and a record that is
// created again under its key stays.
func TestForgottenStubs(t *testing.T) {
	r := reduced(t, 2)
	require.NoError(t, r.Forget(setRef("j00000")))
	gone := func(when string) {
		require.Nil(t, r.set("j00000"), when)
		require.Equal(t, []string{"j00001 a~1:2* closed"}, r.contents(), when)
		require.Equal(t, 1, r.Stubs(), when)
		keys, err := r.StubKeys(setKind, "j0000", 5)
		require.NoError(t, err)
		require.Equal(t, []string{"j00001"}, keys, when)
		d, _, err := r.Delta(nil, 1<<20)
		require.NoError(t, err)
		require.Len(t, d.Entries, 1, when)
		require.True(t, r.Forgotten(setRef("j00000"), r.Clock()), when)
		require.False(t, r.Forgotten(setRef("j00001"), r.Clock()), when)
	}
	gone("before the batch")
	b := r.Take()
	gone("while it is written")
	for _, op := range b.Ops() {
		r.disk.Write(op.Key, op.Value)
	}
	r.Stable(b)
	gone("after it")
	require.Empty(t, r.stubs.gone)

	require.NoError(t, r.Forget(setRef("j00001")))
	_, err := touch(r.Ledger, "j00001", true)
	require.NoError(t, err)
	r.sync()
	require.NoError(t, r.Reduce(setRef("j00001")))
	r.sync()
	require.Equal(t, "j00001 a~1:3* closed stub", r.set("j00001").String())
	r.start()
	require.Equal(t, 1, r.Stubs())
	require.NoError(t, r.Forget(setRef("j00001")))
	r.sync()
	require.Len(t, r.disk, 1, "only the clock is left")
}

// A record that becomes whole again is one record, whatever is on the disk of it, and forgetting it leaves nothing.
func TestWholeAgain(t *testing.T) {
	a, b := newReplica("a"), newReplica("b")
	finish(t, a, 1)
	a.sync()
	d, _, err := a.Delta(nil, 1<<20)
	require.NoError(t, err)
	b.receive(d)
	_, err = touch(b.Ledger, "j00000", true) // news that only b has
	require.NoError(t, err)
	b.sync()
	require.NoError(t, a.Reduce(setRef("j00000")))
	a.sync()

	d, _, err = b.Delta(a.Clock(), 1<<20)
	require.NoError(t, err)
	a.receive(d)
	for range 2 {
		require.Equal(t, "j00000 a~1:1* b~1:1 closed", a.set("j00000").String(), "it is whole")
		require.Equal(t, 1, a.Len())
		require.Zero(t, a.Stubs())
		keys, err := a.StubKeys(setKind, "", 5)
		require.NoError(t, err)
		require.Empty(t, keys)
		a.sync()
		a.start()
	}
	require.NoError(t, a.Forget(setRef("j00000")))
	a.sync()
	for key := range a.disk {
		require.Equal(t, "c\x00", key[:2], "only the clock is left")
	}
}

// Only finished records become stubs, and to make one is no update.
func TestReduceIsNoUpdate(t *testing.T) {
	r := newReplica("a")
	_, err := touch(r.Ledger, "j1", false)
	require.NoError(t, err)
	require.NoError(t, r.Reduce(setRef("j1")))
	require.NoError(t, r.Reduce(setRef("never was")))
	require.Equal(t, "j1 a~1:1*", r.set("j1").String())
	require.Zero(t, r.Stubs())
	_, err = touch(r.Ledger, "j1", true)
	require.NoError(t, err)
	before := r.Clock()
	require.NoError(t, r.Reduce(setRef("j1")))
	require.NoError(t, r.Reduce(setRef("j1")))
	require.Equal(t, before, r.Clock())
	require.Equal(t, 1, r.Stubs())
}

// A stub that becomes whole while a transfer is under way is not missed: its receiver will cover it (rule L5).
func TestWholeAgainWithinATransfer(t *testing.T) {
	a := reduced(t, 3)
	b := newReplica("b")
	d, _, err := a.Delta(nil, 1<<20)
	require.NoError(t, err)
	b.receive(d)
	_, err = touch(b.Ledger, "j00002", true)
	require.NoError(t, err)
	b.sync()

	transfer := a.Pin(nil)
	d, last, err := transfer.Page(a.Ledger, 1)
	require.NoError(t, err)
	require.False(t, last)
	require.Len(t, d.Entries, 1)
	transfer.Advance()

	whole, err := decodeSet([]byte("j00002 a~1:3* b~1:1 closed"))
	require.NoError(t, err)
	_, err = a.Merge(Delta{Entries: []Entry{{Ref: setRef("j00002"), Record: whole}}})
	require.NoError(t, err)
	a.sync()
	d, last, err = transfer.Page(a.Ledger, 1<<20)
	require.NoError(t, err)
	require.True(t, last)
	require.Len(t, d.Entries, 2)
	require.Equal(t, setRef("j00002"), d.Entries[1].Ref)
}

// Who got stubs page by page, each synced before the clock that covers them came, gives them to others, before its next start as
// after it, and whether that clock has ever come.
func TestStubsOfATransfer(t *testing.T) {
	for _, ends := range []bool{true, false} {
		a, b := reduced(t, 5), newReplica("b")
		transfer := a.Pin(nil)
		for number := range 5 {
			d, last, err := transfer.Page(a.Ledger, 1)
			require.NoError(t, err)
			require.Equal(t, number == 4, last)
			if last && !ends {
				break
			}
			_, adopted, ok := b.page(transfer, number, d)
			require.True(t, ok)
			require.Equal(t, last, adopted)
			b.sync()
			transfer.Advance()
		}
		for range 2 {
			c := newReplica("c")
			version := b.Strays()
			require.Equal(t, ends, version == 0)
			require.Equal(t, ends, b.Uncovered() == 0)
			d, ok, err := b.Delta(nil, 1<<20)
			require.NoError(t, err)
			require.True(t, ok)
			c.receive(d)
			require.Equal(t, b.contents(), c.contents())
			d, ok, err = b.DeltaBut(c.Clock(), version, 1<<20)
			require.NoError(t, err)
			require.True(t, ok)
			require.Empty(t, d.Entries, "who has taken them is sent none again")
			b.start()
		}
	}
}
