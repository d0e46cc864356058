package broker

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/urban-compute/ucp/clock"
	"github.com/urban-compute/ucp/job"
)

// The small parts that the stories use without looking at them.

func someRecord(t require.TestingT, i int, at clock.Hybrid) *job.Record {
	s := job.Spec{Command: "work", Args: []string{fmt.Sprint(i)}, Priority: job.Priority{User: job.DefaultUser}}
	require.NoError(t, s.Complete())
	return job.New(job.ID(fmt.Sprintf("j%d", i)), s, s.Digest(), job.Stamp{Dot: clock.Dot{Actor: "a~1", Counter: uint64(i + 1)}, At: at})
}

// Pages of a list, laid together, are all jobs, newest first, each once, whatever
// the size of a page and however many have the same age.
func TestListPages(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		x := newJobIndex()
		var want []string
		records := map[string]*job.Record{}
		for i := range rapid.IntRange(0, 30).Draw(t, "jobs") {
			r := someRecord(t, i, clock.Hybrid(rapid.IntRange(1, 4).Draw(t, "age")))
			x.update(nil, r)
			records[r.Key()] = r
			want = append(want, r.Key())
		}
		slices.SortFunc(want, func(a, b string) int {
			if records[a].Submitted() != records[b].Submitted() {
				return int(records[b].Submitted()) - int(records[a].Submitted())
			}
			return -1 * map[bool]int{true: -1, false: 1}[a < b]
		})
		var got []string
		size := rapid.IntRange(1, 7).Draw(t, "page")
		for after := ""; ; {
			require.NoError(t, ValidCursor(after))
			keys, next, err := x.page("", size, after)
			require.NoError(t, err)
			require.LessOrEqual(t, len(keys), size)
			got = append(got, keys...)
			if next == "" {
				break
			}
			require.Len(t, keys, size, "a page that is not the last is full")
			after = next
		}
		require.Equal(t, want, got)
	})
}

func TestCursors(t *testing.T) {
	for _, bad := range []string{"?", "x", "AAAA", "!!"} {
		require.ErrorContains(t, ValidCursor(bad), "earlier page", bad)
	}
	it := jobItem{key: "j1~abc", at: 7}
	got, err := parseCursor(it.cursor())
	require.NoError(t, err)
	require.Equal(t, it, got)
}

// The sums of what is placed where, and of who owns how much, are those of the
// unfinished records: after any history they equal a count from scratch.
func TestIndexSumsEqualTheRecords(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		x := newJobIndex()
		now := map[int]*job.Record{}
		for step := range rapid.IntRange(1, 40).Draw(t, "steps") {
			i := rapid.IntRange(0, 4).Draw(t, "job")
			old := now[i]
			r := someRecord(t, i, 5)
			if old != nil {
				dot := clock.Dot{Actor: "a~1", Counter: uint64(step + 10)}
				r = old.With(dot, func(r *job.Record) { alter(t, dot, r) })
			}
			x.update(old, r)
			now[i] = r
		}
		fresh := newJobIndex()
		for _, r := range now {
			fresh.update(nil, r)
		}
		for _, broker := range []string{"a", "b"} {
			require.True(t, x.load[broker].Fits(fresh.load[broker]) && fresh.load[broker].Fits(x.load[broker]), "load of %s", broker)
			for _, s := range job.States {
				require.Equal(t, fresh.owned[broker][s], x.owned[broker][s], "%s of %s", s, broker)
			}
		}
		require.Equal(t, fresh.byKey.Len(), x.byKey.Len())
		require.Equal(t, fresh.byAge.Len(), x.byAge.Len())
	})
}

func alter(t *rapid.T, dot clock.Dot, r *job.Record) {
	name := rapid.SampledFrom([]string{"a", "b"}).Draw(t, "who")
	switch rapid.IntRange(0, 4).Draw(t, "what") {
	case 0:
		r.Owner = job.Assignment{Tenure: job.Tenure{Epoch: r.Owner.Tenure.Epoch + 1}, Broker: name, Actor: clock.Actor(name + "~1")}
	case 1:
		r.Place = job.Placement{Attempt: job.Attempt{Tenure: r.Owner.Tenure, Seq: r.Place.Attempt.Seq + 1}, Broker: name, Actor: clock.Actor(name + "~1")}
	case 2:
		r.SetReport(job.Report{Attempt: r.Place.Attempt, Dot: clock.Dot{Actor: r.Place.Actor, Counter: dot.Counter}, Phase: job.Running})
	case 3:
		r.Created = []job.Stamp{{Dot: dot, At: r.Created[0].At - 1}} // an earlier creation was merged in
	case 4:
		if !r.Finished() {
			r.AddVerdict(job.Verdict{Dot: dot, Outcome: job.Failed})
		}
	}
}

func TestTimers(t *testing.T) {
	var x timers
	_, ok := x.next()
	require.False(t, ok)
	require.Empty(t, x.due(9))
	x.add(5, "b")
	x.add(3, "c")
	x.add(5, "a")
	x.add(5, "a")
	at, ok := x.next()
	require.True(t, ok)
	require.Equal(t, job.Time(3), at)
	require.Empty(t, x.due(2))
	require.Equal(t, []string{"c", "a", "b"}, x.due(5))
	require.Empty(t, x.due(100))
}

// What a peer is known to hold is bounded: the oldest are forgotten.
func TestDigests(t *testing.T) {
	d := newDigests()
	name := func(i int) job.Digest { return job.Digest(fmt.Sprint(i)) }
	for i := range maxDigests + 10 {
		d.add(name(i))
		d.add(name(i))
	}
	require.Len(t, d.known, maxDigests)
	require.Len(t, d.order, maxDigests)
	require.False(t, d.all([]job.Digest{name(9)}))
	require.True(t, d.all([]job.Digest{name(10), name(maxDigests + 9)}))
	require.False(t, d.all([]job.Digest{name(10), "other"}))
	require.True(t, (*digests)(nil).all(nil))
	require.False(t, (*digests)(nil).all([]job.Digest{"x"}))
}

// S1: the ring successors are live members, each once, and everybody is somebody's.
func TestRing(t *testing.T) {
	w := newWorld()
	names := []string{"a", "b", "c", "d", "e"}
	for _, name := range names {
		w.start(name, func(c *Config) { c.Replicas = 3 })
	}
	w.nodes["d"].b = nil // it has failed
	w.meet()
	copies := map[string]int{}
	for _, name := range names {
		if b := w.nodes[name].b; b != nil {
			require.Len(t, b.ring, 2)
			for _, s := range b.ring {
				require.NotEqual(t, name, s)
				require.NotEqual(t, "d", s)
				copies[s]++
			}
			require.Len(t, b.Peers(), 4)
		}
	}
	require.Equal(t, map[string]int{"a": 2, "b": 2, "c": 2, "e": 2}, copies)
	require.Len(t, w.nodes["a"].b.successors(99), 3)
}

// The random numbers are the same on every machine, and lie where they should.
func TestRandomIsRepeatable(t *testing.T) {
	r := random(42)
	require.Equal(t, []uint64{13679457532755275413, 2949826092126892291, 5139283748462763858}, []uint64{r.next(), r.next(), r.next()}, "splitmix64")
	seen := map[int]bool{}
	for range 1000 {
		n, f := r.below(7), r.fraction()
		seen[n] = true
		require.True(t, 0 <= n && n < 7 && 0 <= f && f < 1)
	}
	require.Len(t, seen, 7)
}

// An input of no known type is an error of the shell, and the only one.
func TestUnknownInput(t *testing.T) {
	w := newWorld()
	n := w.start("a", func(*Config) {})
	require.ErrorContains(t, n.b.Step(nil), "unknown input")
	require.Equal(t, "a", n.b.Name())
}

// S5: under pressure the exchange stretches, at most twofold, and the row says so.
func TestPressure(t *testing.T) {
	w := newWorld()
	b := w.start("a", func(*Config) {}).b
	for given, want := range map[float64]float64{0: 1, 1: 1, 1.5: 1.5, 9: 2} {
		require.NoError(t, b.Step(Pressure{Stretch: given}))
		require.Equal(t, want, b.ownRow(false).Stretch)
		require.LessOrEqual(t, b.interval(), time.Duration(want*float64(time.Minute)))
		require.GreaterOrEqual(t, b.interval(), time.Duration(want*0.89*float64(time.Minute)))
	}
}

// S5: somebody else who answers at a peer's address is as good as no answer: the
// pause grows.
func TestAnotherOneAnswers(t *testing.T) {
	w := newWorld()
	n := w.start("a", func(*Config) {})
	n.seen["b"] = Member{Name: "b", Actor: "b~1", HTTPAddr: "b:1", Status: Alive}
	w.roster(n)
	for range 3 {
		w.step(n, Acked{Peer: "b", Reply: Reply{Version: Version, From: "x", Actor: "x~1"}})
	}
	require.Equal(t, 3, n.b.links["b"].failures)
	require.False(t, n.b.links["b"].heard)
}

// Whoever gives up waiting leaves nothing behind.
func TestAbandon(t *testing.T) {
	w := newWorld()
	n := w.start("a", func(*Config) {})
	n.seen["b"] = Member{Name: "b", Actor: "b~1", Status: Alive} // silent: every gate waits
	w.roster(n)
	s := someRecord(t, 1, 1).Spec
	w.step(n, Submit{Token: 1, ID: "j1", Spec: s})
	w.step(n, Await{Token: 2, ID: "j1"})
	w.step(n, Await{Token: 3, ID: "j1"})
	w.step(n, Cancel{Token: 4, ID: "j1"})
	require.Len(t, n.b.order, 2)
	for _, token := range []Token{0, 1, 2, 4, 9} {
		w.step(n, Abandon{Token: token})
	}
	require.Len(t, n.b.order, 1, "the verdict's gate is nobody's to give up")
	require.Empty(t, n.b.cancels)
	require.Equal(t, map[Token]string{3: n.b.order[0].key}, n.b.waiting)
	w.now = w.now.Add(time.Minute)
	must(n.b.Step(Tick{Now: w.now}))
	answers := n.b.Ready().Answers
	require.Len(t, answers, 1)
	require.Equal(t, Token(3), answers[0].Token)
	require.Empty(t, n.b.waiters)
	require.Empty(t, n.b.waiting)
}

// An archive that fails stops the owner: no decision rests on a disk that lies.
func TestArchiveFailureIsAnError(t *testing.T) {
	w := newWorld()
	n := w.start("a", func(*Config) {})
	w.ask(n, "j1", func(tok Token) Input { return Submit{Token: tok, ID: "j1", Spec: someRecord(t, 1, 1).Spec} })
	w.settle()
	w.ask(n, "cancel", func(tok Token) Input { return Cancel{Token: tok, ID: "j1"} })
	w.settle()
	w.start("a", func(*Config) {}) // the finished job is only on the disk now
	for k := range n.disk {
		if k[0] == 'r' {
			delete(n.disk, k)
		}
	}
	must(n.b.Step(Tick{Now: w.now}))
	require.ErrorContains(t, n.b.Step(Get{Token: 1, ID: "j1"}), "gone from the store")
}

// Of many capable brokers a few are compared, and over time all.
func TestCandidatesAreAFew(t *testing.T) {
	w := newWorld()
	n := w.start("a", func(*Config) {})
	for i := range 50 {
		name := fmt.Sprintf("m%02d", i)
		actor := clock.Actor(name + "~1")
		n.seen[name] = Member{Name: name, Actor: actor, Status: Alive}
		n.b.rows[name] = Row{Name: name, Actor: actor, Capabilities: w.cfg.Capabilities}
	}
	w.roster(n)
	s := someRecord(t, 1, 1).Spec
	seen := map[string]bool{}
	for range 500 {
		list := n.b.candidates(&s)
		require.Len(t, list, 1+sampled)
		require.Equal(t, "a", list[0])
		for _, name := range list {
			seen[name] = true
		}
	}
	require.Len(t, seen, 51)
}

// The state for push-pull is renewed when it is stale, and not for every Ready.
func TestPublishIsBounded(t *testing.T) {
	w := newWorld()
	n := w.start("a", func(*Config) {})
	published := 0
	for i := range 100 {
		must(n.b.Step(Tick{Now: w.now.Add(time.Duration(i) * 10 * time.Millisecond)}))
		must(n.b.Step(Submit{Token: Token(i + 1), ID: job.ID(fmt.Sprint(i)), Spec: someRecord(t, i, 1).Spec}))
		rd := n.b.Ready()
		if rd.State != nil {
			published++
			require.Equal(t, n.b.Clock(), rd.State.Rows[0].Clock)
		}
		n.b.Advance(rd)
	}
	require.Equal(t, 5, published, "every 200 ms of one second")
}
