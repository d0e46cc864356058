package broker

import (
	"fmt"
	"maps"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/urban-compute/ucp/broker/membership"
	"github.com/urban-compute/ucp/broker/wire"
	"github.com/urban-compute/ucp/clock"
	"github.com/urban-compute/ucp/emergency"
	"github.com/urban-compute/ucp/job"
	"github.com/urban-compute/ucp/test/race"
)

// J9: of many brokers some within the scope of what makes a job urgent are always among those that are compared, and some out of it.
func TestCandidatesWithinTheScope(t *testing.T) {
	w := newWorld()
	n := w.start("a", func(*Config) {})
	within := []string{"m07", "m33"}
	for i := range 50 {
		name := fmt.Sprintf("m%02d", i)
		actor := clock.Actor(name + "~1")
		n.seen[name] = membership.Member{Name: name, Actor: actor, Status: membership.Alive}
		said := wire.Metadata{Name: name, Actor: actor, Capabilities: w.cfg.Capabilities}
		if slices.Contains(within, name) {
			said.Capabilities.Labels = map[string]string{"district": "3"}
		}
		n.b.members.Learn(said, true)
	}
	w.roster(n)
	w.pass(time.Second)
	declareAt(t, w, "a", "fire-1", "fire", "critical", "district=3")
	r := someRecord(t, 1, 1)
	candidates := func(names string) []string {
		r.Spec.Priority.Emergency = names
		return n.b.ownership.candidates(r, n.b.ownership.decisions.stakesOf(r), sampled)
	}
	for range 100 {
		list := candidates("fire")
		require.Len(t, list, 1+sampled+len(within))
		require.Subset(t, list, within)
	}
	require.Len(t, candidates(""), 1+sampled)
	require.Len(t, candidates("critical"), 1+sampled, "a level of its own is the same everywhere")

	said := n.b.members.Metadata("m07") // it has started again, in another district
	said.Version++
	said.Capabilities.Labels = map[string]string{"district": "4"}
	n.b.members.Learn(said, true)
	w.pass(balanceEvery)
	require.NotContains(t, n.b.jobs.precedence.sets, "m07")
	for range 20 {
		require.Len(t, candidates("fire"), 1+sampled+1)
	}
}

// declareAt declares an emergency at a broker, for an hour.
func declareAt(t require.TestingT, w *world, at, id, kind, level, scope string) {
	d, err := emergency.ParseDeclaration(fmt.Appendf(nil, `{"id":%q,"type":%q,"level":%q,"scope":%q,"ttl":"1h"}`, id, kind, level, scope))
	require.NoError(t, err)
	w.ask(w.nodes[at], "", func(tok Token) Input { return Declare{Token: tok, Declaration: d} })
	w.settle()
}

// obey does what shells do at once: what is told to stand still or to stop has done so.
func obey(w *world) {
	for busy := true; busy; {
		w.settle()
		busy = false
		for _, name := range w.names {
			n := w.nodes[name]
			for _, key := range slices.Sorted(maps.Keys(n.pauses)) {
				p := n.pauses[key]
				delete(n.pauses, key)
				w.paused(n, key)
				w.step(n, Paused{Key: key, Attempt: p.Attempt})
				busy = true
			}
			for _, key := range slices.Sorted(maps.Keys(n.stops)) {
				s := n.stops[key]
				delete(n.stops, key)
				delete(n.running, key)
				delete(n.still, key)
				w.step(n, Reported{Key: key, Attempt: s.Attempt, Stopped: true})
				busy = true
			}
		}
	}
}

// live lets time go by while shells obey.
func live(w *world, d time.Duration) {
	for end := w.now.Add(d); w.now.Before(end); {
		w.pass(min(2*time.Second, end.Sub(w.now)))
		obey(w)
	}
}

// J9: urgent jobs come to rest, whatever their owners know of emergencies, and in whatever order: while nothing begins, ends, or is declared, none moves.
// And one that waits where it has its level is not moved to wait where it has none.
func TestUrgentJobsComeToRest(t *testing.T) {
	if race.Enabled {
		t.Skip("the core has no goroutine: scripts/test.sh runs it without the race detector, in a tenth of the time")
	}
	rapid.Check(t, func(t *rapid.T) {
		w := newWorld()
		names := []string{"a", "b", "c", "d"}[:rapid.IntRange(2, 4).Draw(t, "brokers")]
		for i, name := range names {
			w.start(name, func(c *Config) {
				c.Replicas, c.Seed, c.SyncInterval = 1, uint64(i), 10*time.Second
				c.Capabilities.Labels = map[string]string{"district": fmt.Sprint(i % 3)}
			})
		}
		w.meet()
		w.pass(w.cfg.AckTimeout)
		someone := func() string { return rapid.SampledFrom(names).Draw(t, "at") }
		for i := range rapid.IntRange(4, 16).Draw(t, "steps") {
			switch rapid.IntRange(0, 7).Draw(t, "what") {
			case 0:
				id := fmt.Sprintf("e%d", rapid.IntRange(0, 2).Draw(t, "emergency"))
				declareAt(t, w, someone(), id, rapid.SampledFrom([]string{"fire", "flood"}).Draw(t, "type"), rapid.SampledFrom([]string{"medium", "high", "critical"}).Draw(t, "level"),
					fmt.Sprintf("district=%d", rapid.IntRange(0, 2).Draw(t, "district")))
			case 1:
				w.ask(w.nodes[someone()], "", func(tok Token) Input {
					return Clear{Token: tok, ID: fmt.Sprintf("e%d", rapid.IntRange(0, 2).Draw(t, "emergency"))}
				})
			case 2:
				n := w.nodes[someone()]
				for _, key := range slices.Sorted(maps.Keys(n.running))[:min(1, len(n.running))] {
					run := n.running[key]
					delete(n.running, key)
					w.step(n, Reported{Key: key, Attempt: run.Attempt, Result: job.Result{Outcome: job.Succeeded, Started: clock.At(w.now), Finished: clock.At(w.now)}})
				}
			case 3:
				live(w, rapid.SampledFrom([]time.Duration{300 * time.Millisecond, 6 * time.Second}).Draw(t, "time"))
			default:
				spec := job.Spec{Command: "work", Resources: job.Resources{CPU: rapid.SampledFrom([]int64{200, 500, 1000}).Draw(t, "cpu")}, Priority: job.Priority{User: job.DefaultUser,
					Emergency: rapid.SampledFrom([]string{"", "fire", "flood", "e1", "high"}).Draw(t, "names")}, Preemption: rapid.SampledFrom([]job.Preemption{"", job.Requeue, job.Never}).Draw(t, "mode")}
				require.NoError(t, spec.Complete())
				w.ask(w.nodes[someone()], "", func(tok Token) Input { return Submit{Token: tok, ID: job.ID(fmt.Sprintf("j%02d", i)), Spec: spec} })
			}
			obey(w)
		}
		live(w, 30*time.Second)
		before := places(w)
		live(w, 60*time.Second)
		require.Equal(t, before, places(w))
		require.Empty(t, w.errors, "invariants_test.go")
	})
}

// places are where the unfinished jobs are, as their owners say, and by which attempt.
func places(w *world) map[string]job.Placement {
	out := map[string]job.Placement{}
	for _, name := range w.names {
		b := w.nodes[name].b
		for _, ref := range b.liveJobs(func(r *job.Record) bool { return r.Owner.Broker == name }) {
			out[ref.Key] = b.record(ref.Key).Place
		}
	}
	return out
}
