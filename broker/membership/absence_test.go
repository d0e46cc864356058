package membership

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// watch is a membership of "a" among others, whose time passes by hand.
type watch struct {
	*Membership
	now    time.Time
	roster map[string]Status
}

func newWatch(others ...string) *watch {
	w := &watch{
		Membership: New(Config{Actor: "a~1", RedeployDelay: 3 * time.Second, IsolationDelay: 30 * time.Second}),
		now:        time.Unix(1000, 0), roster: map[string]Status{},
	}
	for _, name := range others {
		w.roster[name] = Alive
	}
	w.see(Alive)
	return w
}

// see changes what SWIM says of some members.
func (w *watch) see(status Status, names ...string) {
	for _, name := range names {
		w.roster[name] = status
	}
	var all []Member
	for name, s := range w.roster {
		all = append(all, Member{Name: name, Status: s})
	}
	w.Update(w.now, all)
}

// pass lets time go by, and lists the brokers that became lost meanwhile.
func (w *watch) pass(d time.Duration) []string {
	w.now = w.now.Add(d)
	return w.Expire(w.now)
}

// A broker that fails is lost when it has not refuted that in time; one that has left is lost
// at once; one that comes back in time is not (rule J6).
func TestAbsentBrokersBecomeLost(t *testing.T) {
	w := newWatch("b", "c", "d")
	require.True(t, w.Due().IsZero())
	w.see(Failed, "b")
	w.see(Left, "c")
	require.Equal(t, []string{"c"}, w.pass(0))
	require.Equal(t, w.now.Add(3*time.Second), w.Due())
	require.Empty(t, w.pass(2*time.Second))
	require.False(t, w.JudgeLost(w.now, "b"))
	require.Equal(t, []string{"b"}, w.pass(time.Second))
	require.True(t, w.JudgeLost(w.now, "b"))
	require.Empty(t, w.pass(time.Hour), "each is told once")

	w.see(Alive, "b")
	require.False(t, w.JudgeLost(w.now, "b"))
	w.see(Failed, "d")
	w.see(Leaving, "d")
	require.Empty(t, w.pass(time.Hour), "it refuted that")
}

// Each failure within ten minutes doubles the wait for the next (rule J6).
func TestFlappingBrokersAreGivenLonger(t *testing.T) {
	w := newWatch("b", "c", "d")
	for _, wait := range []time.Duration{3, 6, 12, 24, 48, 96, 96} {
		w.see(Failed, "b")
		require.Equal(t, w.now.Add(wait*time.Second), w.Due())
		w.now = w.now.Add(time.Second)
		w.see(Alive, "b")
	}
	w.now = w.now.Add(flapMemory + time.Second)
	w.see(Failed, "b")
	require.Equal(t, w.now.Add(3*time.Second), w.Due(), "that was long ago")
}

// A broker that loses most others at once is more likely cut off: it waits before it takes
// anything over (rule J7).
func TestIsolatedBrokersWait(t *testing.T) {
	w := newWatch("b", "c", "d")
	w.see(Failed, "b", "c", "d")
	require.Empty(t, w.pass(29*time.Second))
	require.Equal(t, []string{"b", "c", "d"}, w.pass(time.Second))

	w = newWatch("b", "c", "d", "e")
	w.see(Failed, "b", "c")
	require.Equal(t, []string{"b", "c"}, w.pass(3*time.Second), "most are still here")
}

// A broker that jobs name and nobody knows is given as long as one that this broker might be
// cut off from; this broker itself is never lost.
func TestUnknownBrokersAreGivenTime(t *testing.T) {
	w := newWatch("b")
	require.True(t, w.Absent("z"))
	require.False(t, w.JudgeLost(w.now, "z"))
	require.Empty(t, w.pass(29*time.Second))
	require.Equal(t, []string{"z"}, w.pass(time.Second))
	require.True(t, w.JudgeLost(w.now, "z"))
	require.False(t, w.JudgeLost(w.now, "a"))
	require.False(t, w.Absent("a"))
}
