package membership

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/urban-compute/ucp/clock"
)

// S1: the brokers behind one on the ring are the live ones, each once, and the walk around the
// ring that starts at any of them meets all.
func TestRing(t *testing.T) {
	var names []string
	for i := range 7 {
		names = append(names, fmt.Sprintf("b%d", i))
	}
	first := map[string]string{}
	for _, self := range names {
		m := New(Config{Actor: clock.Actor(self + "~1")})
		var roster []Member
		for _, name := range names {
			status := Alive
			if name == "b3" {
				status = Failed
			}
			roster = append(roster, Member{Name: name, Status: status})
		}
		m.Update(time.Unix(0, 0), roster)
		require.Len(t, m.Names(), 6)
		want := slices.DeleteFunc(slices.Clone(names), func(n string) bool { return n == self || n == "b3" })
		require.ElementsMatch(t, want, m.Ring())
		first[self] = m.Ring()[0]
	}
	at, walked := "b0", map[string]bool{}
	for !walked[at] {
		walked[at] = true
		at = first[at]
	}
	require.Len(t, walked, 6, "all but the failed one, in one round")
}

// R3: what a broker has made belongs on it, if it is there, and on those behind it on the ring: of the brokers, as many as are asked for
// take themselves for one of these, the same that the broker itself would choose.
func TestHolds(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		names := rapid.SliceOfNDistinct(rapid.StringMatching("[a-z]{1,3}"), 1, 9, rapid.ID).Draw(rt, "names")
		status := map[string]Status{}
		var roster []Member
		for _, name := range names {
			status[name] = rapid.SampledFrom([]Status{Alive, Alive, Failed}).Draw(rt, name)
			roster = append(roster, Member{Name: name, Status: status[name]})
		}
		see := func(self string) *Membership {
			m := New(Config{Actor: clock.Actor(self + "~1")})
			m.Update(time.Unix(0, 0), roster)
			return m
		}
		of, n := rapid.SampledFrom(names).Draw(rt, "of"), rapid.IntRange(1, 4).Draw(rt, "copies")
		want := see(of).Ring()
		if status[of] == Alive {
			want = append([]string{of}, want...)
		}
		want = want[:min(n, len(want))]
		var got []string
		for _, name := range names {
			if status[name] == Alive && see(name).Holds(of, n) {
				got = append(got, name)
			}
		}
		if slices.Sort(want); !slices.Equal(want, slices.Sorted(slices.Values(got))) {
			rt.Fatalf("%v hold what %s has made, not %v", got, of, want)
		}
	})
}

// All brokers that see the same members name the same successor; one that leaves, or is passed
// over, is not named; each key moves only when its own successor goes.
func TestSuccessor(t *testing.T) {
	see := func(self string, status map[string]Status) *Membership {
		m := New(Config{Actor: clock.Actor(self + "~1")})
		var roster []Member
		for _, name := range []string{"a", "b", "c", "d"} {
			s := Alive
			if status[name] != "" {
				s = status[name]
			}
			roster = append(roster, Member{Name: name, Status: s})
		}
		m.Update(time.Unix(0, 0), roster)
		return m
	}
	named := map[string]int{}
	for i := range 200 {
		key := fmt.Sprint("j", i)
		name := see("a", nil).Successor(key, "", true)
		named[name]++
		require.Equal(t, name, see("b", nil).Successor(key, "", true))
		require.NotEqual(t, name, see("a", nil).Successor(key, name, true))
		leaving := see("a", map[string]Status{"d": Leaving}).Successor(key, "", true)
		require.NotEqual(t, "d", leaving)
		if name != "d" {
			require.Equal(t, name, leaving)
		}
		require.NotEqual(t, "a", see("a", nil).Successor(key, "", false), "it does not stay")
	}
	require.Len(t, named, 4)
	require.Empty(t, New(Config{Actor: "a~1"}).Successor("j", "a", true))
}
