package roll

import (
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/urban-compute/ucp/canon"
	"github.com/urban-compute/ucp/clock"
)

func drawRecord(t *rapid.T) *Record {
	dot := func() clock.Dot {
		return clock.Dot{Actor: rapid.SampledFrom([]clock.Actor{"a~1", "b~1", "c~1"}).Draw(t, "actor"), Counter: rapid.Uint64Range(1, 4).Draw(t, "counter")}
	}
	r := Change(nil, "b", "", dot(), clock.Hybrid(rapid.Uint64Range(1, 3).Draw(t, "at")))
	for range rapid.IntRange(0, 4).Draw(t, "changes") {
		closed := rapid.SampledFrom([]Closing{"", Left, Removed}).Draw(t, "closed")
		d := dot()
		if d.Counter <= r.Dots.Get(d.Actor) {
			d.Counter = r.Dots.Get(d.Actor) + 1
		}
		r = Change(r, "b", closed, d, clock.Hybrid(rapid.Uint64Range(1, 3).Draw(t, "at")))
	}
	if rapid.Bool().Draw(t, "two creations") {
		r, _ = Merge(r, Change(nil, "b", "", dot(), 1))
	}
	if rapid.Bool().Draw(t, "newer") {
		r.Unknown = canon.Unknown{rapid.SampledFrom([]string{"zone", "age"}).Draw(t, "name"): rapid.SampledFrom([]string{"x", "y"}).Draw(t, "field")}
	}
	return r
}

// Member records are a join-semilattice, byte for byte (rule L2), and survive a disk.
func TestMemberLaws(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		a, b, c := drawRecord(t), drawRecord(t), drawRecord(t)
		join := func(x, y *Record) *Record { m, _ := Merge(x, y); return m }
		require.Equal(t, join(a, b).Encode(), join(b, a).Encode(), "commutative")
		require.Equal(t, join(join(a, b), c).Encode(), join(a, join(b, c)).Encode(), "associative")
		same, changed := Merge(a, a)
		require.False(t, changed)
		require.Same(t, a, same)
		m, changed := Merge(a, b)
		require.Equal(t, changed, string(m.Encode()) != string(a.Encode()), "changed says what is news (rule L6)")
		require.Equal(t, max(a.Epoch, b.Epoch), m.Epoch)
		for _, x := range []*Record{a, b} {
			require.False(t, x.Epoch == m.Epoch && !x.Open() && m.Open(), "of one epoch a close wins (rule M1)")
		}

		back, err := Decode(a.Encode())
		require.NoError(t, err)
		require.Equal(t, a.Encode(), back.Encode())
	})
}

// Who opens a name after a close begins the next epoch, and so does who says the same again; a close stays in the
// epoch that it closes (rule M1).
func TestEpochs(t *testing.T) {
	dot := func(n uint64) clock.Dot { return clock.Dot{Actor: "a~1", Counter: n} }
	r := Change(nil, "b", "", dot(1), 1)
	require.True(t, r.Open())
	for i, step := range []struct {
		closed Closing
		epoch  uint64
	}{{Left, 1}, {Removed, 1}, {Removed, 2}, {"", 3}, {"", 4}, {Removed, 4}, {"", 5}} {
		next := Change(r, "b", step.closed, dot(uint64(i+2)), 2)
		require.Equal(t, step.epoch, next.Epoch, i)
		require.Equal(t, step.closed == "", next.Open(), i)
		merged, changed := Merge(r, next)
		require.True(t, changed)
		require.Equal(t, next.Encode(), merged.Encode(), "it follows what it was made from")
		r = next
	}
	require.Equal(t, []clock.Dot{dot(1)}, r.Created)

	// Nothing follows the last epoch that is valid: another one nobody could read, its writer's next start included.
	r.Epoch = clock.MaxCounter - 1
	require.False(t, r.Last())
	for _, closed := range []Closing{"", Removed, ""} {
		r = Change(r, "b", closed, r.Dots.Next("a~1"), 3)
		require.True(t, r.Last())
		_, err := Decode(r.Encode())
		require.NoError(t, err)
	}
}

// What the records say together: who is in, and which updates tell of it.
func TestRoll(t *testing.T) {
	var r Roll
	require.True(t, r.Empty())
	require.False(t, r.Has("b") || r.Closed("b"))
	b := Change(nil, "b", "", clock.Dot{Actor: "a~1", Counter: 1}, 1)
	r.Note(Change(nil, "c", "", clock.Dot{Actor: "a~1", Counter: 2}, 1))
	r.Note(b)
	require.Equal(t, []string{"b", "c"}, r.Names())
	gone := Change(b, "b", Left, clock.Dot{Actor: "b~1", Counter: 1}, 2)
	r.Note(gone)
	require.Equal(t, []string{"c"}, r.Names())
	require.True(t, r.Closed("b") && !r.Has("b") && r.Has("c") && !r.Closed("d"))
	require.Same(t, gone, r.Get("b"))
	require.Equal(t, "{a~1:2 b~1:1}", r.Clock().String())
	r.Note(Change(r.Get("c"), "c", Removed, clock.Dot{Actor: "a~1", Counter: 3}, 2))
	require.Empty(t, r.Names())
}

func good() *Record { return Change(nil, "b", "", clock.Dot{Actor: "a~1", Counter: 1}, 1) }

// What does not validate is refused (rule L10).
func TestBadMembers(t *testing.T) {
	_, err := Decode(good().Encode())
	require.NoError(t, err)
	for what, spoil := range map[string]func(*Record){
		"name":      func(r *Record) { r.Name = "no name" },
		"epoch":     func(r *Record) { r.Epoch = 0 },
		"so many":   func(r *Record) { r.Epoch = clock.MaxCounter + 1 },
		"writer":    func(r *Record) { r.By = clock.Dot{} },
		"word":      func(r *Record) { r.By.Counter++ },
		"closing":   func(r *Record) { r.Closed = "vanished" },
		"creations": func(r *Record) { r.Created = nil },
		"order": func(r *Record) {
			r.Created = []clock.Dot{{Actor: "b~1", Counter: 1}, {Actor: "a~1", Counter: 1}}
		},
		"dots": func(r *Record) { r.Dots = clock.Vector{{Actor: "a~1"}} },
	} {
		bad := *good()
		spoil(&bad)
		_, err := Decode(bad.Encode())
		require.Error(t, err, what)
	}
	_, err = Decode(make([]byte, MaxSize+1))
	require.ErrorContains(t, err, "at most")
	_, err = Decode([]byte{0xc1})
	require.Error(t, err)
}

// FuzzDecode checks that whatever comes from outside is refused, or is a record that can be encoded, decoded and
// merged.
func FuzzDecode(f *testing.F) {
	f.Add(good().Encode())
	f.Add(Change(good(), "b", Left, clock.Dot{Actor: "b~1", Counter: 7}, 3).Encode())
	f.Add([]byte{0xc1})
	f.Fuzz(func(t *testing.T, b []byte) {
		r, err := Decode(b)
		if err != nil {
			return
		}
		again, err := Decode(r.Encode())
		require.NoError(t, err)
		require.Equal(t, r.Encode(), again.Encode())
		other := Change(good(), "b", Removed, clock.Dot{Actor: "a~1", Counter: 2}, 2)
		other.Name = r.Name
		ab, _ := Merge(r, other)
		ba, _ := Merge(other, r)
		require.Equal(t, ab.Encode(), ba.Encode())
		_, err = Decode(ab.Encode())
		require.NoError(t, err)
	})
}

// A close is known for good: an opening that follows it does not take it back.
func TestClosesAreCounted(t *testing.T) {
	var r Roll
	dot := func(n uint64) clock.Dot { return clock.Dot{Actor: "a~1", Counter: n} }
	b := Change(nil, "b", "", dot(1), 1)
	r.Note(b)
	require.Zero(t, r.Closes())
	b = Change(b, "b", Removed, dot(2), 2)
	r.Note(b)
	require.Equal(t, uint64(1), r.Closes())
	r.Note(Change(b, "b", "", dot(3), 3))
	require.Equal(t, uint64(1), r.Closes())
	r.Note(Change(Change(nil, "c", "", dot(4), 4), "c", Left, dot(5), 5))
	require.Equal(t, uint64(2), r.Closes())
}

// Clusters that were strangers have each begun a roll; one that began it twice, as two of its brokers did at once, is one
// (rule M3).
func TestBegun(t *testing.T) {
	dot := func(a clock.Actor, n uint64) clock.Dot { return clock.Dot{Actor: a, Counter: n} }
	began := func(a clock.Actor, with ...string) (out []*Record) {
		for i, name := range append(with, a.Broker()) { // itself last
			out = append(out, Change(nil, name, "", dot(a, uint64(i+1)), 1))
		}
		return out
	}
	join := func(records ...*Record) (names []string, at clock.Hybrid) {
		var r Roll
		for _, rec := range records {
			if old := r.Get(rec.Name); old != nil {
				rec, _ = Merge(old, rec)
			}
			r.Note(rec)
		}
		return r.Begun()
	}
	names, _ := join()
	require.Empty(t, names)
	city, other := began("a~1", "b", "e"), began("c~1", "d")
	names, _ = join(city...)
	require.Equal(t, []string{"a"}, names)
	names, _ = join(append(city, Change(city[0], "b", Left, dot("b~1", 1), 2), Change(nil, "f", "", dot("b~1", 2), 3))...)
	require.Equal(t, []string{"a"}, names, "who has closed its own record, or lets others in, begins nothing")
	names, _ = join(append(city, began("b~1", "a", "e")...)...)
	require.Len(t, names, 1)

	met := append(append([]*Record{}, city...), other...)
	met = append(met, Change(nil, "c", "", dot("a~1", 9), 7), Change(nil, "d", "", dot("a~1", 10), 7), Change(nil, "a", "", dot("c~1", 9), 8))
	names, at := join(met...)
	require.Equal(t, []string{"a", "c"}, names)
	require.EqualValues(t, 8, at, "when they have met")
	slices.Reverse(met)
	names, _ = join(met...)
	require.Equal(t, []string{"a", "c"}, names)
}
