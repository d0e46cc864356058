package ledger

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/urban-compute/ucp/clock"
)

// The starts of these tests, one after the other.
var first, second, third = clock.StartActor("b", 1), clock.StartActor("b", 2), clock.StartActor("b", 3)

// rowOf is the entry of a start's row in a delta.
func rowOf(a clock.Actor, parents ...clock.Dot) Entry {
	r := &Row{a, clock.NewTips(parents...)}
	return Entry{Ref: Ref{Starts, r.Key()}, Dots: r.Writers(), Encoded: r.Encode(), Record: r}
}

// tell merges a delta of a peer.
func tell(t *testing.T, l *Ledger, from clock.Actor, c clock.Tips, entries ...Entry) Merged {
	t.Helper()
	for i, e := range entries {
		entries[i].Record, _ = l.Decode(e.Kind, e.Encoded)
	}
	m, err := l.Merge(Delta{From: from, Entries: entries, Clock: c})
	require.NoError(t, err)
	return m
}

// K1: a hole in what a start held (rule L10) keeps the start out of the clock, until the hole is filled.
func TestAHoleInAParent(t *testing.T) {
	l := New("c~1", nil, setSchema)
	tell(t, l, first, clock.NewTips(dot(first, 2)), good("x", dot(first, 1)), bad("y", "?", dot(first, 2)))
	require.Equal(t, clock.NewTips(dot(first, 1)), l.Clock())
	tell(t, l, second, clock.NewTips(dot(second, 2)), rowOf(second, dot(first, 2)), good("z", dot(second, 2)))
	require.Equal(t, clock.NewTips(dot(first, 1)), l.Clock(), "else who is behind us inherits the hole")
	require.Equal(t, clock.NewTips(dot(second, 2)), l.Seen())
	tell(t, l, second, nil, good("y", dot(first, 2)))
	require.Equal(t, clock.NewTips(dot(second, 2)), l.Clock())
}

// K1, X4: what one peer alone says of others' updates is not adopted, nor a start that stands for it.
func TestAStartThatStandsForHearsay(t *testing.T) {
	l := New("c~1", nil, setSchema)
	tell(t, l, "d~1", clock.NewTips(dot(second, 2), dot("d~1", 1)), bad("y", "?", dot(first, 2)), rowOf(second, dot(first, 2)), good("z", dot(second, 2), dot("d~1", 1)))
	require.Equal(t, clock.NewTips(dot("d~1", 1)), l.Seen())
	tell(t, l, second, clock.NewTips(dot(second, 2)), good("y", dot(first, 2)), rowOf(second, dot(first, 2)), good("z", dot(second, 2)))
	require.Equal(t, clock.NewTips(dot(second, 2), dot("d~1", 1)), l.Clock())
}

// K1: who can't read a row does not take its start for held; when it can, all is as if it always could.
func TestARowThatCanNotBeRead(t *testing.T) {
	l := New("c~1", nil, setSchema)
	tell(t, l, first, clock.NewTips(dot(first, 1)), good("x", dot(first, 1)))
	e := rowOf(second, dot(first, 1))
	e.Encoded = append(e.Encoded, 0)
	tell(t, l, second, clock.NewTips(dot(second, 2)), e, good("z", dot(second, 2)))
	require.Equal(t, clock.NewTips(dot(first, 1)), l.Clock())
	require.Equal(t, clock.NewTips(dot(first, 1), dot(second, 2)), l.Seen(), "what it stands for is not known")
	require.Equal(t, 1, l.Quarantined())
	tell(t, l, second, nil, rowOf(second, dot(first, 1)))
	require.Equal(t, clock.NewTips(dot(second, 2)), l.Clock())
	require.Equal(t, clock.NewTips(dot(second, 2)), l.Seen())
	require.Zero(t, l.Quarantined())
}

// X1: a row never changes, nobody writes ours, and none holds more of us than we wrote.
func TestRowsThatAreNotTrue(t *testing.T) {
	self := clock.StartActor("a", 7)
	l := New(self, nil, setSchema)
	tell(t, l, second, clock.NewTips(dot(second, 1)), rowOf(second, dot(first, 3)))
	later := clock.StartActor("a", 8)
	for name, e := range map[string]Entry{
		"another than before":        rowOf(second, dot(first, 4)),
		"of our own start":           rowOf(self),
		"what we have never written": rowOf(later, dot(self, 1)),
	} {
		m := tell(t, l, "d~1", clock.NewTips(dot(e.Dots[0].Actor, 5)), e)
		require.Equal(t, []Ref{e.Ref}, m.Forged, name)
		require.Equal(t, clock.NewTips(dot(second, 1)), l.Clock(), name)
	}
	for name, e := range map[string]Entry{
		"another broker's parents":    rowOf(second, dot("c~1", 3)),
		"a parent that comes later":   rowOf(second, dot(third, 3)),
		"of an actor without a start": rowOf("b~1"),
	} {
		_, err := l.Decode(Starts, e.Encoded)
		require.Error(t, err, name)
	}
	tell(t, l, "e~1", clock.NewTips(dot(second, 1), dot(third, 2)), good("z", dot(third, 1), dot(third, 2)))
	m := tell(t, l, "d~1", nil, rowOf(third, dot(second, 1<<40)))
	require.Empty(t, m.Forged)
	require.False(t, l.Has(dot(second, 2)), "a start that wrote something else first has no row")
}

// K1: a start does not list what it could not read of its own name, as after a restore.
func TestARowListsWhatIsHeld(t *testing.T) {
	l := New("b~1", nil, setSchema)
	l.RowIf(func() bool { return true })
	for _, peer := range []clock.Actor{"c~1", "d~1"} { // two witnesses (rule X4)
		tell(t, l, peer, clock.NewTips(dot(first, 2), dot(second, 1)), good("x", dot(first, 1)), bad("y", "?", dot(first, 2)), good("z", dot(second, 1)))
	}
	l.GoOnAs(third)
	_, err := touch(l, "w", false)
	require.NoError(t, err)
	row, err := l.Get(Ref{Starts, string(third)})
	require.NoError(t, err)
	require.Equal(t, clock.NewTips(dot(first, 1), dot(second, 1)), row.(*Row).Parents)
	require.Equal(t, clock.NewTips(dot(third, 2)), l.Clock())
	require.Equal(t, clock.NewTips(dot(first, 2), dot(third, 2)), l.Seen())
}

// K1, K5: a start writes its row before its first update, if all can read one then, and lists what it holds of its name.
func TestAStartWritesItsRow(t *testing.T) {
	r := newReplica("b")
	rows := false
	start := func(a clock.Actor) {
		r.mint = func() (clock.Actor, bool) { return a, rows }
		r.sync()
		r.start()
	}
	write := func(key string) {
		_, err := touch(r.Ledger, key, false)
		require.NoError(t, err)
	}
	write("w")
	start(first)
	write("x")
	require.Equal(t, clock.NewTips(dot("b~1", 1), dot(first, 1)), r.Clock(), "nothing may be written that somebody can't read")
	rows = true
	write("x")
	require.Equal(t, clock.NewTips(dot("b~1", 1), dot(first, 2)), r.Clock(), "nor later in that start")
	start(second)
	_, err := r.Apply(setRef("x"), func(d clock.Dot, _ Record) Record {
		require.Equal(t, dot(second, 2), d)
		return nil
	})
	require.NoError(t, err)
	require.Zero(t, r.Wrote(), "who changes nothing writes nothing")
	write("x")
	write("y")
	require.Equal(t, clock.NewTips(dot(second, 3)), r.Clock())
	row, err := r.Get(Ref{Starts, string(second)})
	require.NoError(t, err)
	require.Equal(t, &Row{second, clock.NewTips(dot("b~1", 1), dot(first, 2))}, row)
	require.True(t, r.Has(dot("b~1", 1)))

	// It is on disk, it travels to whoever lacks the start, and only to them.
	start(third)
	require.Equal(t, clock.NewTips(dot(second, 3)), r.Clock())
	for since, want := range map[string]int{"{}": 4, "{b1}": 3, "{second}": 2} {
		c := map[string]clock.Tips{"{b1}": clock.NewTips(dot("b~1", 1)), "{second}": clock.NewTips(dot(second, 1))}[since]
		d, ok, err := r.Delta(c, 1<<20)
		require.NoError(t, err)
		require.True(t, ok)
		require.Len(t, d.Entries, want, since)
	}
	require.NoError(t, r.Forget(Ref{Starts, string(second)}), "rows stay")
	require.False(t, r.Forgotten(Ref{Starts, string(second)}, nil))
}

// K2: what is looked at for a delta does not grow with the starts, and the index of an actor goes with its records.
func TestOldStartsCostNothing(t *testing.T) {
	r := newReplica("b")
	const starts = 500
	for i := range starts {
		r.mint = func() (clock.Actor, bool) { return clock.StartActor("b", clock.Start(i+1)), true }
		r.sync()
		r.start()
		_, err := touch(r.Ledger, fmt.Sprint(i), true)
		require.NoError(t, err)
		if i > 0 {
			require.NoError(t, r.Forget(setRef(fmt.Sprint(i-1))))
		}
	}
	require.Len(t, r.index, 1)
	require.Len(t, r.Clock(), 1)
	last := r.Clock()[0].Actor
	behind, _ := r.behind(clock.NewTips(dot(last, 1)), 0)
	require.Equal(t, []part{{last, 1, 2}}, behind)
	require.Less(t, testing.AllocsPerRun(10, func() { r.behind(clock.NewTips(dot(last, 1)), 0) }), 10.0)
	behind, _ = r.behind(nil, 0)
	require.Len(t, behind, starts, "who knows nothing gets every row")
	require.Equal(t, uint64(starts*2), r.Lineage().Beyond(r.Clock(), nil))
}

// L11: a start that holds very many tips of its own name lists so many as a row may have, those with rows first; the
// next one lists the others.
func TestMoreTipsThanARowMayList(t *testing.T) {
	r := newReplica("b")
	old := clock.NewVector(dot(first, 1))
	for i := range maxParents + 10 {
		old.Set(dot(clock.Actor(fmt.Sprintf("b~%05d", i)), 1))
	}
	tell(t, r.Ledger, "c~1", clock.Tips(old))
	for i, left := range []int{12, 1} {
		r.sync()
		r.mint = func() (clock.Actor, bool) { return clock.StartActor("b", clock.Start(2+i)), true }
		r.start()
		_, err := touch(r.Ledger, "x", false)
		require.NoError(t, err)
		require.Len(t, r.Clock(), left)
		require.True(t, r.Lineage().HasAll(r.Clock(), old))
	}
	row, err := r.Get(Ref{Starts, string(second)})
	require.NoError(t, err)
	require.Contains(t, row.(*Row).Parents, dot(first, 1))
	_, err = decodeRow(row.Encode())
	require.NoError(t, err)
}

// many makes a ledger that holds n starts of b, one after the other, each with one update beside its row, and some records
// that they have written.
func many(t *testing.T, n int, records ...Entry) *Ledger {
	l := New("c~1", nil, setSchema)
	parent := dot("b~old", 3)
	for i := range n {
		records = append(records, rowOf(startOf(i+1), parent))
		parent = dot(startOf(i+1), 2)
	}
	tell(t, l, parent.Actor, clock.NewTips(parent), records...)
	return l
}

func startOf(i int) clock.Actor { return clock.StartActor("b", clock.Start(i)<<32) }

// K2: of a broker the last 4,096 rows are kept. Earlier ones go when every member holds what they stand for, and no tip and no
// record needs them.
func TestRowsAreTrimmed(t *testing.T) {
	const n = keepRows + 10
	last := dot(startOf(n), 2)
	for name, x := range map[string]struct {
		stable clock.Tips
		record clock.Dot
		want   int
	}{
		"every member holds all":                  {clock.Tips{last}, clock.Dot{}, keepRows},
		"somebody may lack all":                   {nil, clock.Dot{}, n},
		"somebody has the first start":            {clock.Tips{dot(startOf(1), 2)}, clock.Dot{}, n},
		"somebody has the first five":             {clock.Tips{dot(startOf(5), 2)}, clock.Dot{}, n - 4},
		"somebody lacks an update of the third":   {clock.Tips{dot(startOf(3), 1)}, clock.Dot{}, n - 2},
		"a record has an update of the third":     {clock.Tips{last}, dot(startOf(3), 2), n - 2},
		"a record was made before there were any": {clock.Tips{last}, dot("b~old", 1), n},
	} {
		t.Run(name, func(t *testing.T) {
			var records []Entry
			if !x.record.IsZero() {
				records = append(records, good("x", x.record))
			}
			l := many(t, n, records...)
			l.RaiseStable(x.stable)
			disk := map[string]bool{}
			count := func() (rows int) {
				for _, op := range l.Take().Ops() {
					disk[string(op.Key)] = op.Value != nil
				}
				for key, there := range disk {
					if ref, ok := RefOf([]byte(key)); ok && ref.Kind == Starts && there {
						rows++
					}
				}
				return rows
			}
			require.Equal(t, n, count())
			l.TrimRows()
			require.Equal(t, x.want, count())
			require.Len(t, l.Lineage().Starts("b"), x.want)
			require.Equal(t, clock.Tips{last}, l.Clock())
			require.True(t, x.record.IsZero() || l.Has(x.record), "what is held the clock stands for")
			require.True(t, l.Lineage().Covers(l.Clock(), l.StableClock()))
		})
	}
}

// K2: an unfinished record of a start whose row has gone may have been forgotten, and may come from a disk that was restored:
// it is not taken in, its sender is not told that it was forgotten, and no clock that stands for it is adopted. The row
// does not come back either.
func TestOfAStartWhoseRowHasGone(t *testing.T) {
	const n = keepRows + 10
	l := many(t, n)
	l.RaiseStable(clock.NewTips(dot(startOf(n), 2)))
	l.TrimRows()
	before := l.Clock()
	for i, a := range []clock.Actor{startOf(3), "b~old"} {
		of := dot("d~1", uint64(i+1))
		m := tell(t, l, "d~1", clock.NewTips(dot(a, 2), of), good("x", dot(a, 2)), good("y", of))
		require.Equal(t, []Ref{setRef("x")}, m.Held)
		require.Empty(t, m.Forgotten)
		x, err := l.Get(setRef("x"))
		require.NoError(t, err)
		require.Nil(t, x)
		require.False(t, l.Has(dot(a, 2)))
		require.True(t, l.Has(of), "all else is taken in")
	}
	tell(t, l, "d~1", nil, rowOf(startOf(3), dot(startOf(2), 2)))
	require.Len(t, l.Lineage().Starts("b"), keepRows)
	require.Equal(t, before, l.Clock().Of("b"))

	ended := &set{key: "z", dots: []clock.Dot{dot(startOf(3), 2)}, born: []clock.Dot{dot(startOf(3), 2)}, closed: true}
	m := tell(t, l, "d~1", nil, Entry{Ref: setRef("z"), Dots: ended.Writers(), Encoded: ended.Encode()})
	require.Equal(t, []Ref{setRef("z")}, m.Forgotten, "all have forgotten one that had ended")
	m = tell(t, l, "d~1", nil, good("x", dot(startOf(n+1), 1)))
	require.Len(t, m.News, 1, "a later start is news")
}
