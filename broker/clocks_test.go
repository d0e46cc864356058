package broker

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/urban-compute/ucp/broker/replication"
	"github.com/urban-compute/ucp/clock"
	"github.com/urban-compute/ucp/job"
)

var right = time.Date(2026, 11, 27, 9, 0, 0, 0, time.UTC)

const (
	day  = 24 * time.Hour
	year = 365 * day
)

// What time it is at a start, from what was stored: the machine's clock, the same as far off as it was before, or
// what was stored, whichever makes this broker have been down the shorter (rule T2).
func TestClocksAtAStart(t *testing.T) {
	for name, x := range map[string]struct {
		off   time.Duration // of the city's time from the machine's clock, as stored
		wall  time.Duration // of the machine's clock at the start, an hour after that
		want  time.Duration // of the city's time
		unset bool
	}{
		"a clock that is right":                             {0, 0, 0, false},
		"one that was twenty years ahead, and is":           {-20 * year, 20 * year, 0, false},
		"one that was twenty years ahead, and was set":      {-20 * year, 0, 0, false},
		"one that was two days behind, and is":              {2 * day, -2 * day, 0, true},
		"one that was two days behind, and was set":         {2 * day, 0, 0, false},
		"one that was right, and shows 1970":                {0, -56 * year, -time.Hour, true},
		"one that had booted in 1970, and does so again":    {56 * year, -56*year - time.Hour, -time.Hour, true},
		"one that had booted in 1970, and was set":          {56 * year, 0, 0, false},
		"one that was set back a little":                    {0, -time.Hour - 30*time.Second, -time.Hour - 30*time.Second, false},
		"one that was right, and is twenty years ahead":     {0, 20 * year, 20 * year, false}, // nothing says otherwise
		"one that was a year ahead, and is two years ahead": {-year, 2 * year, year, false},
	} {
		stored := clocks{up: time.Hour, city: right, wall: right.Add(-x.off)}
		c := clocks{skew: time.Minute}
		require.NoError(t, c.decode(stored.encode()), name)
		now := right.Add(time.Hour)
		first, _ := c.tick(Tick{Now: now, Wall: now.Add(x.wall)}, alone)
		require.True(t, first, name)
		require.Equal(t, x.want, c.cityTime().Sub(now), name)
		require.Equal(t, x.unset, c.unset, name)
		require.Equal(t, time.Hour, c.up, name)
	}
	require.ErrorContains(t, new(clocks).decode([]byte{1}), "the stored clocks are 01")
}

func alone() []replication.Reading { return nil }

// The city's time is the median of the clocks that have a vote (rule T2).
func TestClocksThatVote(t *testing.T) {
	own := func(off ...time.Duration) (out []replication.Reading) {
		for _, d := range off {
			out = append(out, replication.Reading{Own: right.Add(d), City: right.Add(d)})
		}
		return out
	}
	unset := func(off ...time.Duration) []replication.Reading {
		out := own(off...)
		for i := range out {
			out[i].Unset = true
		}
		return out
	}
	for name, x := range map[string]struct {
		wall     time.Duration
		others   []replication.Reading
		want     time.Duration
		disputed bool
	}{
		"two of three agree":                         {20 * year, own(0, 0), 0, false},
		"a minute off":                               {time.Minute, own(0, 0), 0, false},
		"less is the messages' way":                  {time.Second, own(0, 0), time.Second, false},
		"of two that differ each goes by its own":    {20 * year, own(0), 20 * year, true},
		"the nearer of two in the middle":            {0, own(day, 2*day, 3*day), day, true},
		"three clocks, none alike":                   {20 * year, own(0, -2*day), 0, false},
		"those without a vote are not heard":         {0, append(own(0), unset(-56*year, -56*year, -56*year)...), 0, false},
		"the only vote":                              {day, unset(0, 0, 0), day, false},
		"who has no vote follows those that have":    {-56 * year, append(own(0), unset(-36*year, -36*year)...), 0, false},
		"who has no vote follows also one":           {-56 * year, own(20 * year), 20 * year, false},
		"where nobody has one, all have":             {-56 * year, unset(-10*year, -10*year), -10 * year, false},
		"who has no vote and is alone goes on as is": {-56 * year, nil, neverSet.Sub(right), false},
	} {
		c := clocks{skew: time.Minute}
		c.tick(Tick{Now: right, Wall: right.Add(x.wall)}, func() []replication.Reading { return x.others })
		require.Equal(t, x.want, c.cityTime().Sub(right), name)
		require.Equal(t, x.disputed, c.disputed, name)
	}
}

// However the machine's clock jumps and whatever others say, uptime passes as time does, a clock that agrees with
// most is followed at once, and stamps never go back (rules T1, T2).
func TestClocksNeverStopUptime(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		off := rapid.SampledFrom([]time.Duration{0, time.Second, 50 * time.Second, -50 * time.Second, time.Minute, -time.Hour, -2 * day, 20 * year, -56 * year})
		c := clocks{skew: time.Minute, up: time.Hour}
		now, passed, last := right, time.Duration(0), c.stamp()
		city := time.Time{}
		for range rapid.IntRange(1, 30).Draw(t, "ticks") {
			others := []replication.Reading{}
			for range rapid.IntRange(0, 4).Draw(t, "others") {
				at := now.Add(off.Draw(t, "clock"))
				others = append(others, replication.Reading{Own: at, City: now.Add(off.Draw(t, "city")), Unset: rapid.Bool().Draw(t, "unset")})
			}
			c.tick(Tick{Now: now, Wall: now.Add(off.Draw(t, "wall"))}, func() []replication.Reading { return others })
			require.Equal(t, time.Hour+passed, c.up)
			if back := city.Sub(c.cityTime()); back <= c.skew {
				require.LessOrEqual(t, back, time.Duration(0), "it runs back, although no clock was wrong")
			}
			city = c.cityTime()
			at := c.stamp()
			require.Greater(t, at, last)
			last = at
			d := time.Duration(rapid.IntRange(0, 5000).Draw(t, "ms")) * time.Millisecond
			now, passed = now.Add(d), passed+d
		}
		all := []replication.Reading{{Own: now, City: now}, {Own: now, City: now}, {Own: now, City: now}, {Own: now, City: now}, {Own: now, City: now}}
		later := 3 * c.skew
		for i := range all {
			all[i].Own, all[i].City = now.Add(later), now.Add(later)
		}
		c.tick(Tick{Now: now.Add(later), Wall: now.Add(later)}, func() []replication.Reading { return all[:4] })
		require.LessOrEqual(t, c.cityTime().Sub(now.Add(later)).Abs(), reading, "four others that are right decide")
	})
}

// A broker that has booted in 1970 notices at once, when its clock is set right, which instants have passed.
func TestATimeThatLeaps(t *testing.T) {
	w := newWorld()
	w.node("a").skew = -56 * year
	n := w.start("a", func(*Config) {})
	w.meet()
	w.pass(3 * time.Second)
	spec := job.Spec{Command: "work", Constraints: []string{"gpu"}, Priority: job.Priority{User: job.DefaultUser}}
	require.NoError(t, spec.Complete())
	spec.Priority.Deadline = clock.At(w.now.Add(-time.Minute))
	w.ask(n, "j1", func(token Token) Input { return Submit{Token: token, ID: "j1", Spec: spec} })
	w.pass(3 * time.Second)
	require.Equal(t, job.StatePending, onlyJob(n).State(), "as far as a knows it is long before that")
	n.skew = 0
	w.settle()
	require.Equal(t, job.StateExpired, onlyJob(n).State())
}

// That the city's time was wrong is said once; that it goes slower for a while is not (rule T2).
func TestALeapIsSaidOnce(t *testing.T) {
	w := newWorld()
	w.node("a").skew = -56 * year
	n := w.start("a", func(*Config) {})
	leaps := func(of time.Duration) (said []time.Duration) {
		for range 100 {
			w.now = w.now.Add(of / 100)
			must(n.b.Step(Tick{Now: w.now, Wall: w.now.Add(n.skew)}))
			rd := n.b.Ready()
			n.b.Advance(rd)
			if rd.Leapt != 0 {
				said = append(said, rd.Leapt.Round(day))
			}
		}
		return said
	}
	require.Empty(t, leaps(10*time.Second), "at a start nothing was wrong")
	n.skew = 0
	behind := w.now.Sub(n.b.clocks.cityTime()).Round(day)
	require.Equal(t, []time.Duration{behind}, leaps(10*time.Second))
	n.skew = -50 * time.Second
	require.Empty(t, leaps(10*time.Second))
	require.Equal(t, -5*time.Second, n.b.clocks.cityTime().Sub(w.now).Round(time.Second), "it goes at half its speed")
	require.Empty(t, leaps(100*time.Second))
	require.Equal(t, -50*time.Second, n.b.clocks.cityTime().Sub(w.now).Round(time.Second))
}

func onlyJob(n *node) *job.Record {
	var r *job.Record
	_, err := n.b.jobs.page(&job.Filter{}, 1, "", func(key string) bool { r = n.b.record(key); return true })
	must(err)
	return r
}

// In a store of a version that kept no ages, what is finished counts as known from the first start of this version
// on; its clock must not be behind that version's own stamps (rules T1, T2).
func TestAStoreWithoutAges(t *testing.T) {
	w := newWorld()
	w.cfg.Retention = time.Minute
	n := w.start("a", func(*Config) {})
	w.meet()
	w.pass(3 * time.Second)
	w.submit(n, "j1")
	w.settle()
	for key, run := range n.running {
		w.step(n, Reported{Key: key, Attempt: run.Attempt, Result: job.Result{Outcome: job.Succeeded}})
	}
	w.settle()
	require.Equal(t, job.StateSucceeded, onlyJob(n).State())
	w.crash("a", false)
	for key := range n.disk {
		if strings.HasPrefix(key, "o") {
			delete(n.disk, key)
		}
	}
	w.now = w.now.Add(30 * day)
	n.skew = -60 * day
	n = w.start("a", func(*Config) {})
	w.meet()
	w.pass(50 * time.Second)
	require.NotNil(t, onlyJob(n))
	require.True(t, n.b.clocks.unset)
	require.Equal(t, -30*day, n.b.clocks.cityTime().Sub(w.now).Round(time.Hour), "its last stamps go on")
	w.pass(30 * time.Second)
	require.Zero(t, n.b.jobs.byEnd.Len())
}
