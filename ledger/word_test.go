package ledger

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/urban-compute/ucp/clock"
	"github.com/urban-compute/ucp/test/story"
)

func dot(a clock.Actor, n uint64) clock.Dot { return clock.Dot{Actor: a, Counter: n} }

// good is a set that was created by these updates, on its way.
func good(key string, dots ...clock.Dot) Entry {
	s := &set{key: key, dots: dots, born: dots[:1]}
	return Entry{Ref: setRef(key), Dots: s.Writers(), Encoded: s.Encode(), Record: s}
}

// bad is a record that nobody can read.
func bad(key, text string, dots ...clock.Dot) Entry {
	return Entry{Ref: setRef(key), Dots: clock.NewVector(dots...), Encoded: []byte(text)}
}

// TestBadRecordsNeedAWitness holds whose word it takes to hold back our clock (rule X4).
func TestBadRecordsNeedAWitness(t *testing.T) {
	upto := func(n uint64) clock.Tips { return clock.NewTips(dot("b~1", n), dot("c~1", n)) }
	fresh := func() *Ledger {
		l := New("a~1", nil, setSchema)
		_, err := l.Merge(Delta{From: "b~1", Entries: []Entry{good("x", dot("b~1", 1), dot("c~1", 1))}, Clock: upto(1)})
		require.NoError(t, err)
		return l
	}
	merge := func(l *Ledger, from clock.Actor, e Entry) Merged {
		m, err := l.Merge(Delta{From: from, Since: upto(1), Entries: []Entry{e}, Clock: upto(5)})
		require.NoError(t, err)
		require.True(t, m.Adopted)
		return m
	}

	l := fresh()
	require.False(t, func() bool { m := merge(l, "b~1", bad("z", "?", dot("b~1", 3))); return m.Voided() }(), "its writer says so")
	require.Equal(t, 1, l.Quarantined())
	require.Equal(t, clock.NewTips(dot("b~1", 2), dot("c~1", 5)), l.Clock())

	l = fresh()
	m := merge(l, "c~1", bad("z", "?", dot("b~1", 3)))
	require.True(t, m.Voided(), "its word on b counts for nothing")
	require.Zero(t, l.Quarantined())
	require.Equal(t, clock.NewTips(dot("b~1", 1), dot("c~1", 5)), l.Clock(), "nor is b's update taken for held")
	merge(l, "c~1", bad("z", "?", dot("b~1", 3)))
	merge(l, "c~2", bad("z", "?", dot("b~1", 3)))
	merge(l, "d~1", bad("z", "another", dot("b~1", 3)))
	require.Zero(t, l.Quarantined(), "the same broker again, and other bytes, are no witness")
	merge(l, "e~1", bad("z", "another", dot("b~1", 3)))
	require.Equal(t, 1, l.Quarantined(), "a second one is")
	require.Equal(t, dot("b~1", 2), dot("b~1", clock.Vector(l.Clock()).Get("b~1")))

	l = fresh()
	m = merge(l, "b~1", bad("z", "?", dot("b~1", 3), dot("c~1", 2)))
	require.True(t, m.Voided())
	require.Equal(t, clock.NewTips(dot("b~1", 2), dot("c~1", 1)), l.Clock(), "b says nothing of c")

	l = fresh()
	merge(l, "c~1", bad("z", "?", dot("b~1", 3)))
	merge(l, "d~1", good("z", dot("b~1", 3)))
	require.Equal(t, uint64(5), clock.Vector(l.Clock()).Get("b~1"), "a readable state ends the doubt")
	merge(l, "d~1", bad("z", "?", dot("b~1", 4)))
	require.Zero(t, l.Quarantined())

	for i := range 2 * maxQuarantined { // however much one peer invents
		merge(l, "c~1", bad(fmt.Sprint("y", i), "?", dot("b~1", 9)))
	}
	require.LessOrEqual(t, len(l.hearsay), maxQuarantined)
	require.Zero(t, l.Quarantined())
}

// A store in which the version before has kept a counter that nobody counts to opens, without it.
func TestPoisonedStoreOpens(t *testing.T) {
	disk := story.Disk{}
	disk.Write(clockKey, encodeClock(clock.Tips{dot("b~1", 1<<63), dot("c~1", 3)}))
	c, err := StoredClock(disk.Scan)
	require.NoError(t, err)
	require.Equal(t, clock.NewTips(dot("c~1", 3)), c)
}

// TestNobodyElseWritesForUs holds that neither a record nor a clock makes us believe that we wrote what we did
// not (rule X1): the next update would get a dot that others take for one that they hold.
func TestNobodyElseWritesForUs(t *testing.T) {
	l := New("a~1", nil, setSchema)
	_, err := l.Apply(setRef("own"), func(d clock.Dot, _ Record) Record {
		return &set{key: "own", dots: []clock.Dot{d}, born: []clock.Dot{d}}
	})
	require.NoError(t, err)

	m, err := l.Merge(Delta{From: "b~1", Entries: []Entry{good("x", dot("b~1", 1), dot("a~1", 7)), good("y", dot("b~1", 2), dot("a~1", 1))}, Clock: clock.NewTips(dot("a~1", 1<<40), dot("b~1", 2), dot("c~1", 3))})
	require.NoError(t, err)
	require.Equal(t, []Ref{setRef("x")}, m.Forged)
	require.True(t, m.Adopted)
	require.Len(t, m.News, 1)
	require.Equal(t, clock.NewTips(dot("a~1", 1), dot("c~1", 3)), l.Clock(), "what x brought of b is not held")
	require.Equal(t, clock.NewTips(dot("a~1", 1), dot("c~1", 3)), l.Seen())
	m, err = l.Merge(Delta{From: "b~1", Since: clock.NewTips(dot("a~1", 1)), Clock: clock.NewTips(dot("a~1", 1<<40), dot("d~1", 1))})
	require.NoError(t, err)
	require.True(t, m.Adopted)
	require.Equal(t, clock.NewTips(dot("a~1", 1), dot("c~1", 3), dot("d~1", 1)), l.Seen())
	x, err := l.Get(setRef("x"))
	require.NoError(t, err)
	require.Nil(t, x)
}
