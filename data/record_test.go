package data

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/urban-compute/ucp/canon"
	"github.com/urban-compute/ucp/clock"
	"github.com/urban-compute/ucp/job"
	"github.com/urban-compute/ucp/register"
)

func digest(n int) job.Digest { return job.Digest(fmt.Sprintf("%064x", n)) }

func content(n int) Content { return Content{Digest: digest(n), Size: int64(n)} }

// Records that brokers can come to hold are a join-semilattice, byte for byte (rule L2), also where both bounds drop versions,
// and survive a disk.
func TestMergeIsAJoin(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var brokers []*replica
		for i := range 10 {
			brokers = append(brokers, &replica{actor: clock.Actor(fmt.Sprintf("b%d~1", i))})
		}
		now := clock.Hybrid(1)
		for range rapid.IntRange(1, 30).Draw(t, "steps") {
			x := rapid.SampledFrom(brokers).Draw(t, "broker")
			switch rapid.IntRange(0, 4).Draw(t, "step") {
			case 0, 1:
				for range rapid.IntRange(1, MaxEach+1).Draw(t, "versions") {
					now++
					d := x.dot()
					x.r = Put("n", x.r, content(int(now)), 1+now%7, d).ClaimedBy(rapid.SampledFrom([]string{"", "anna", "bert"}).Draw(t, "subject"), 1+now%7, d)
				}
			case 2:
				x.remove(t, now)
			default:
				if y := rapid.SampledFrom(brokers).Draw(t, "from"); y.r != nil && y != x {
					x.take(y)
				}
			}
		}
		var held []*Record
		for _, x := range brokers {
			if x.r != nil {
				held = append(held, x.r)
			}
		}
		if len(held) == 0 {
			return
		}
		draw := func() *Record {
			r := *rapid.SampledFrom(held).Draw(t, "record")
			if rapid.Bool().Draw(t, "newer") {
				r.Unknown = canon.Unknown{rapid.SampledFrom([]string{"zone", "age"}).Draw(t, "field"): "x"}
			}
			return &r
		}
		a, b, c := draw(), draw(), draw()
		join := func(x, y *Record) *Record { m, _ := Merge(x, y); return m }
		require.Equal(t, join(a, b).Encode(), join(b, a).Encode(), "commutative")
		require.Equal(t, join(join(a, b), c).Encode(), join(a, join(b, c)).Encode(), "associative")
		same, changed := Merge(a, a)
		require.False(t, changed)
		require.Same(t, a, same)
		before := a.Encode()
		m, changed := Merge(a, b)
		require.Equal(t, changed, string(m.Encode()) != string(before), "changed says what is news (rule L6)")
		require.Equal(t, before, a.Encode(), "records are immutable")
		require.LessOrEqual(t, len(m.Versions), MaxVersions)

		for _, r := range []*Record{a, m} {
			back, err := Decode(r.Encode())
			require.NoError(t, err)
			require.Equal(t, r.Encode(), back.Encode())
		}
	})
}

// Of two contents under one stamp and one update, as a machine writes that was resumed from a snapshot, one stays everywhere (rule K3).
func TestTwoContentsOfOneVersion(t *testing.T) {
	dot := clock.Dot{Actor: "a~1", Counter: 1}
	x, y := Put("n", nil, content(1), 1, dot), Put("n", nil, content(2), 1, dot)
	one, _ := Merge(x, y)
	other, _ := Merge(y, x)
	require.Equal(t, one.Encode(), other.Encode())
	require.Len(t, one.Versions, 1)
}

// An older copy of a disk brings nothing back of what all have let go of, though the name is there still (rule D4).
func TestAnOlderCopyBringsNothingBack(t *testing.T) {
	older := Put("n", nil, content(1), 1, clock.Dot{Actor: "a~1", Counter: 1})
	r := Put("n", older, content(2), 2, clock.Dot{Actor: "b~1", Counter: 1})
	r = r.Remove(func(v *Version) bool { return v.Dot.Actor == "a~1" }, 3, true, clock.Dot{Actor: "b~1", Counter: 2}).Trimmed()
	for _, pair := range [][2]*Record{{older, r}, {r, older}} {
		m, _ := Merge(pair[0], pair[1])
		require.Equal(t, r.Encode(), m.Encode())
	}
}

// replica is one broker in a history.
type replica struct {
	actor clock.Actor
	wrote uint64
	skew  clock.Hybrid
	r     *Record
}

func (x *replica) dot() clock.Dot {
	x.wrote++
	return clock.Dot{Actor: x.actor, Counter: x.wrote}
}

// In every history in which brokers write, delete, drop and exchange, with clocks that differ as they like: of what one holds the
// version that it writes is the latest there; what was removed stays so wherever that is known; and when all have exchanged
// they hold the same, with everything that nobody has removed and that no bound has dropped (rules D1 to D3).
func TestHistoriesConverge(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		brokers := []*replica{{actor: "a~1"}, {actor: "b~1"}, {actor: "c~1", skew: 1000}}
		removed := map[clock.Dot]bool{}
		written := map[string][]clock.Dot{}
		now := clock.Hybrid(1)
		for range rapid.IntRange(1, 40).Draw(t, "steps") {
			x := rapid.SampledFrom(brokers).Draw(t, "broker")
			now++
			switch rapid.IntRange(0, 6).Draw(t, "step") {
			case 0, 1:
				x.r = Put("n", x.r, content(int(now)), now+x.skew, x.dot())
				require.Equal(t, clock.Dot{Actor: x.actor, Counter: x.wrote}, x.r.Latest().Dot, "knowledge beats a clock (rule D1)")
				written[x.actor.Broker()] = append(written[x.actor.Broker()], x.r.Latest().Dot)
			case 2:
				for _, d := range x.remove(t, now) {
					removed[d] = true
				}
			case 3:
				if x.r != nil && !slices.ContainsFunc(brokers, func(y *replica) bool { return y.r == nil || !y.r.Dots.Covers(x.r.Dots) }) {
					if r := x.r.Trimmed(); r != nil {
						x.r = r
					}
				}
			default:
				if y := rapid.SampledFrom(brokers).Draw(t, "from"); y.r != nil && y != x {
					x.take(y)
				}
			}
			if x.r != nil {
				for v := range x.r.There() {
					require.Equal(t, x.r.Name, Name("n"))
					require.NotNil(t, v.Content)
				}
			}
		}
		for range 2 {
			for _, x := range brokers {
				for _, y := range brokers {
					if x != y && y.r != nil {
						x.take(y)
					}
				}
			}
		}
		if brokers[0].r == nil {
			return
		}
		there := map[clock.Dot]bool{}
		for v := range brokers[0].r.There() {
			there[v.Dot] = true
			require.False(t, removed[v.Dot], "%v was removed", v.Dot)
		}
		for _, x := range brokers[1:] {
			require.Equal(t, brokers[0].r.Encode(), x.r.Encode())
			require.Equal(t, brokers[0].r.Shown(), x.r.Shown())
		}
		for _, list := range written {
			for _, d := range list[max(0, len(list)-MaxEach):] {
				require.Equal(t, !removed[d], there[d], "%v", d)
			}
		}
	})
}

// remove removes all versions, or all but the latest, and returns which these were.
func (x *replica) remove(t *rapid.T, now clock.Hybrid) (removed []clock.Dot) {
	if x.r == nil || x.r.Latest() == nil {
		return nil
	}
	old := rapid.Bool().Draw(t, "old")
	last := x.r.Latest().Dot
	which := func(v *Version) bool { return !old || v.Dot != last }
	for v := range x.r.There() {
		if which(v) {
			removed = append(removed, v.Dot)
		}
	}
	if r := x.r.Remove(which, now, old, x.dot()); r != nil {
		x.r = r
	}
	return removed
}

func (x *replica) take(y *replica) {
	if x.r == nil {
		x.r = y.r
		return
	}
	x.r, _ = Merge(x.r, y.r)
}

// One busy side of a split does not push out what the other has written (rule D1).
func TestABusySideLeavesTheOthers(t *testing.T) {
	quiet := Put("n", nil, content(1), 1, clock.Dot{Actor: "q~1", Counter: 1})
	var busy *Record
	for i := range 100 {
		busy = Put("n", busy, content(2), clock.Hybrid(10+i), clock.Dot{Actor: "b~1", Counter: uint64(i + 1)})
	}
	m, _ := Merge(quiet, busy)
	require.Len(t, m.Versions, MaxEach+1)
	require.Equal(t, clock.Actor("q~1"), m.Versions[MaxEach].Dot.Actor)
	require.Equal(t, uint64(100), m.Latest().Dot.Counter)
}

// A deletion takes what it knew of, and nothing else (rule D2): a version of the other side is there again, though its stamp is
// earlier.
func TestADeletionTakesWhatItKnew(t *testing.T) {
	here := Put("n", nil, content(1), 9, clock.Dot{Actor: "a~1", Counter: 1})
	gone := here.Remove(func(*Version) bool { return true }, 20, false, clock.Dot{Actor: "a~1", Counter: 2})
	require.Nil(t, gone.Latest())
	require.Nil(t, gone.Remove(func(*Version) bool { return true }, 21, false, clock.Dot{Actor: "a~1", Counter: 3}), "nothing is left to delete")
	there := Put("n", nil, content(2), 5, clock.Dot{Actor: "b~1", Counter: 1})
	m, changed := Merge(gone, there)
	require.True(t, changed)
	require.Equal(t, digest(2), m.Latest().Content.Digest)
	m, _ = Merge(m, here)
	require.Equal(t, digest(2), m.Latest().Content.Digest, "an old copy brings nothing back")
	require.Equal(t, []string{string(digest(2))}, slices.Collect(m.Blobs()))

	require.True(t, m.Trimmable())
	require.Len(t, m.Trimmed().Versions, 1)
	require.Nil(t, gone.Trimmed(), "nothing is left of it")
}

// A version that is written under a name which others have forgotten creates it again (rule D4).
func TestEachVersionCreatesTheName(t *testing.T) {
	r := Put("n", nil, content(1), 1, clock.Dot{Actor: "a~1", Counter: 1})
	r = Put("n", r, content(2), 2, clock.Dot{Actor: "b~1", Counter: 7})
	require.Contains(t, slices.Collect(r.Creations()), clock.Dot{Actor: "b~1", Counter: 7})
	again := r.Again(clock.Dot{Actor: "a~2", Counter: 1}, true)
	require.Contains(t, slices.Collect(again.Creations()), clock.Dot{Actor: "a~2", Counter: 1})
}

// A stamp that no clock shows leaves room above it for the next versions, and what lies beyond is refused.
func TestStampsHaveAnEnd(t *testing.T) {
	r := Put("n", nil, content(1), clock.Hybrid(1<<63), clock.Dot{Actor: "a~1", Counter: 1})
	_, err := Decode(r.Encode())
	require.NoError(t, err)
	r = Put("n", r, content(2), 3, clock.Dot{Actor: "b~1", Counter: 1})
	_, err = Decode(r.Encode())
	require.NoError(t, err)
	require.Len(t, r.Versions, 2)
}

// What each actor signs of a record is what it has written, and stays the same whatever others write (rule H1).
func TestSlots(t *testing.T) {
	parts := func(r *Record, by clock.Actor, after uint64) (out []string) {
		r.Slots(by, after, func(part string, content []byte) { out = append(out, part+" "+string(content)) })
		return out
	}
	one := Put("n", nil, content(1), 1, clock.Dot{Actor: "a~1", Counter: 1})
	two := Put("n", one, content(2), 2, clock.Dot{Actor: "b~1", Counter: 4})
	require.Equal(t, parts(one, "a~1", 0), parts(two, "a~1", 0))
	require.Len(t, parts(two, "b~1", 0), 1)
	require.Empty(t, parts(two, "b~1", 4))
	gone := two.Remove(func(*Version) bool { return true }, 3, false, clock.Dot{Actor: "c~1", Counter: 1})
	require.Empty(t, parts(gone, "a~1", 0))
	require.Len(t, parts(gone, "c~1", 0), 2)
	require.True(t, strings.HasPrefix(parts(gone, "c~1", 0)[0], "removal "))
	require.Empty(t, parts(gone, "c~1", 1))

	var claims []clock.Dot
	gone.Claims(func(d clock.Dot, part string, _ []byte) { claims = append(claims, d) })
	require.Equal(t, []clock.Dot{{Actor: "c~1", Counter: 1}, {Actor: "c~1", Counter: 1}}, claims, "each names the update that has written it (rule H3)")
}

// What does not validate is refused (rules L10, L11).
func TestBadRecords(t *testing.T) {
	good := func() *Record {
		r := Put("n/a", nil, Content{Digest: digest(1), Size: 1, Job: "j-1", Attempt: "1.2"}, 1, clock.Dot{Actor: "a~1", Counter: 1})
		return Put("n/a", r, content(2), 2, clock.Dot{Actor: "b~1", Counter: 1})
	}
	_, err := Decode(good().Encode())
	require.NoError(t, err)
	for what, spoil := range map[string]func(*Record){
		"name":          func(r *Record) { r.Name = "n//a" },
		"long name":     func(r *Record) { r.Name = Name(strings.Repeat("a/", 17) + "a") },
		"order":         func(r *Record) { slices.Reverse(r.Versions) },
		"twice":         func(r *Record) { r.Versions[1] = r.Versions[0] },
		"no dot of its": func(r *Record) { r.Versions[0].Dot.Counter = 9 },
		"no stamp":      func(r *Record) { r.Versions[1].At = 0 },
		"far stamp":     func(r *Record) { r.Versions[0].At = clock.MaxCounter + 1 },
		"digest":        func(r *Record) { r.Versions[0].Content.Digest = "x" },
		"size":          func(r *Record) { r.Versions[0].Content.Size = -1 },
		"job":           func(r *Record) { r.Versions[0].Content.Job = "no job" },
		"attempt":       func(r *Record) { r.Versions[0].Content.Attempt = "1.2" },
		"neither":       func(r *Record) { r.Versions[0].Content = nil },
		"both":          func(r *Record) { r.Versions[0].Removed = &Mark{At: 1, Dot: clock.Dot{Actor: "a~1", Counter: 1}} },
		"nobody's": func(r *Record) {
			r.Versions[0].Content, r.Versions[0].Removed = nil, &Mark{At: 1, Dot: clock.Dot{Counter: 1}}
		},
		"none of its": func(r *Record) {
			r.Versions[0].Content, r.Versions[0].Removed = nil, &Mark{At: 1, Dot: clock.Dot{Actor: "c~1", Counter: 1}}
		},
		"not created":    func(r *Record) { r.Register = register.Register{Dots: r.Dots} },
		"too many of it": func(r *Record) { r.Versions = nine(); r.Dots.Set(clock.Dot{Actor: "a~1", Counter: 9}) },
	} {
		bad := good()
		for i := range bad.Versions {
			c := *bad.Versions[i].Content
			bad.Versions[i].Content = &c
		}
		spoil(bad)
		_, err := Decode(bad.Encode())
		require.Error(t, err, what)
	}
	_, err = Decode(make([]byte, MaxSize+1))
	require.ErrorContains(t, err, "at most")
	_, err = Decode([]byte{0xc1})
	require.Error(t, err)
}

// What Decode takes a broker must be able to merge, write and read again, whoever has made it up: its store is read at its next start.
func TestWhatIsMadeUpIsReadAgain(t *testing.T) {
	ours := Put("n/x", nil, content(1), 7, clock.Dot{Actor: "a~1", Counter: 5})
	theirs := Put("n/x", nil, content(2), 6, clock.Dot{Actor: "a~1", Counter: 3})
	theirs.Dots.Set(clock.Dot{Actor: "a~1", Counter: 9})
	theirs, err := Decode(theirs.Encode())
	require.NoError(t, err)
	nothing, changed := Merge(ours, theirs)
	require.True(t, changed)
	nothing, err = Decode(nothing.Encode())
	require.NoError(t, err, "each says that the other's version is gone")
	require.Nil(t, nothing.Latest())
	require.True(t, nothing.Trimmable())
	require.Nil(t, nothing.Trimmed())

	last := Put("n/x", nil, content(1), clock.MaxCounter, clock.Dot{Actor: "b~1", Counter: 1})
	for _, actor := range []clock.Actor{"a~1", "c~1"} {
		r, err := Decode(Put("n/x", last, content(2), 7, clock.Dot{Actor: actor, Counter: 1}).Encode())
		require.NoError(t, err, "there is no later stamp")
		require.Len(t, r.Versions, 2)
	}
}

// nine are more versions of one broker than a record keeps.
func nine() (out []Version) {
	c := content(1)
	for n := uint64(9); n > 0; n-- {
		out = append(out, Version{At: clock.Hybrid(n), Dot: clock.Dot{Actor: "a~1", Counter: n}, Content: &c})
	}
	return out
}

func TestNames(t *testing.T) {
	for _, name := range []Name{"a", "sensors/quake/today", "A.b_c-1/2"} {
		require.NoError(t, name.Valid(), name)
		require.NoError(t, ValidPrefix(string(name)+"/"))
		require.ErrorContains(t, ValidPrefix(string(name)), "slash")
	}
	for _, name := range []Name{"", "/a", "a/", "a//b", "a b", "../a", "a/.b", "a:b", Name(strings.Repeat("x", 65)), Name(strings.Repeat("a/", 16) + "a")} {
		require.Error(t, name.Valid(), name)
	}
	require.NoError(t, ValidPrefix(""))
	require.Error(t, ValidPrefix("/"))
	require.True(t, Name("a/b").Below("a/"))
	require.False(t, Name("ab").Below("a/"))
	require.True(t, Name("ab").Below(""))
}
