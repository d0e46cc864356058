package resolve

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/urban-compute/ucp/clock"
	"github.com/urban-compute/ucp/job"
)

func TestWeightsAreValidated(t *testing.T) {
	require.NoError(t, DefaultWeights().validate())
	require.Equal(t, int64(200), DefaultWeights().starvationBound())
	for _, w := range []Weights{{Waiting: 0}, {Waiting: 1, User: -1}, {Waiting: 1, Emergency: maxWeight + 1}} {
		require.Error(t, w.validate())
	}
}

func TestCandidateOf(t *testing.T) {
	s := job.Spec{Command: "true", Priority: job.Priority{User: job.DefaultUser}}
	require.NoError(t, s.Complete())
	r := job.New("j", s, s.Digest(), job.Stamp{Dot: clock.Dot{Actor: "a~1", Counter: 1}, At: 7})
	require.Equal(t, Candidate{Key: r.Key(), ID: "j", Arrived: 7, By: "a~1", Want: s.Resources, User: 5, Mode: job.Suspend}, CandidateOf(r))
}

// Arrival is (Hybrid, actor); the key makes it total.
func TestCandidateOrder(t *testing.T) {
	in := []Candidate{{Key: "a", Arrived: 1, By: "x"}, {Key: "b", Arrived: 1, By: "x"}, {Key: "a", Arrived: 1, By: "y"}, {Key: "a", Arrived: 2, By: "a"}}
	for i := range in {
		for j := range in {
			require.Equal(t, i < j, in[i].compare(&in[j]) < 0)
			require.Equal(t, i == j, in[i].compare(&in[j]) == 0)
		}
	}
}

// A score orders as its total does, at any time: waiting counts alike for all.
func TestScoreOrdersAsTotal(t *testing.T) {
	w := DefaultWeights()
	a, b := &Candidate{User: 3, Arrived: at(0)}, &Candidate{User: 9, Arrived: at(59 * minute)}
	for _, now := range []clock.Time{60 * minute, 600 * minute, 6000 * minute} {
		x, y := w.Score(a, now), w.Score(b, now)
		require.Less(t, x.Score, y.Score)
		require.Less(t, x.Total, y.Total)
		require.Equal(t, int64(10), y.Total-x.Total, "600 points more for user priority, 590 less for waiting")
	}
}

// A job is held once, however often it is added, and what it holds comes back once,
// however often it is removed.
func TestQueueAddAndRemoveAreIdempotent(t *testing.T) {
	q := NewQueue(cpu(100))
	for range 2 {
		q.Add(Candidate{Key: "j", Want: job.Resources{CPU: 60}})
	}
	require.Equal(t, []string{"j"}, q.Resolve(0).Start)
	q.Add(Candidate{Key: "j", Want: job.Resources{CPU: 60}}) // it runs already
	require.Empty(t, q.Resolve(0).Start)
	running, pending := q.Counts()
	require.Equal(t, [2]int{1, 0}, [2]int{running, pending})
	require.Equal(t, int64(40), q.Free().CPU)
	for range 2 {
		q.Remove("j")
	}
	q.Remove("never was")
	require.Equal(t, int64(100), q.Free().CPU)
	require.False(t, q.Known("j"))
	require.Empty(t, q.after)
	require.Empty(t, q.deps)
	require.Empty(t, q.lines)
	require.Empty(t, q.groups)
	require.Zero(t, q.changes.Len())
}

// What is removed leaves nothing behind in any index.
func TestQueueForgets(t *testing.T) {
	q := NewQueue(testCapacity)
	for _, s := range All() {
		q.SetStrategy(s, DefaultWeights())
		for i := range 50 {
			q.Add(Candidate{Key: fmt.Sprint(i), Want: job.Resources{CPU: 500, Memory: 1, Devices: map[string]int64{"camera": 1}}, Exclusive: fmt.Sprint(i % 7),
				Deps: []string{fmt.Sprint(i - 1)}, After: []string{fmt.Sprint(i - 10)}, Deadline: 100 * minute})
		}
		q.Resolve(minute)
		for i := range 50 {
			q.Remove(fmt.Sprint(i))
		}
		for name, n := range map[string]int{"entries": len(q.entries), "after": len(q.after), "deps": len(q.deps), "lines": len(q.lines),
			"groups": len(q.groups), "changes": q.changes.Len(), "resumes": q.resumes.Len(), "on": len(q.on), "leaving": len(q.leaving), "waits": q.waits} {
			require.Zero(t, n, "%s under %s", name, s)
		}
		require.Equal(t, testCapacity, q.Free())
	}
}

// A switch of strategy stops and loses no job.
func TestSwitchingStrategyLosesNoJob(t *testing.T) {
	q := NewQueue(cpu(300))
	for i := range 20 {
		q.Add(Candidate{Key: fmt.Sprint(i), Want: job.Resources{CPU: 100}, User: i % 10})
	}
	on := q.Resolve(minute).Start
	for _, s := range append(All(), Default) {
		q.SetStrategy(s, DefaultWeights())
		running, pending := q.Counts()
		require.Equal(t, [2]int{3, 17}, [2]int{running, pending})
		for _, key := range on {
			require.Empty(t, q.Why(key))
		}
	}
}

func TestHistoryIsARing(t *testing.T) {
	h := NewHistory(3)
	var ids []string
	for i := range 5 {
		ids = append(ids, h.Add(Conflict{Over: fmt.Sprint(i)}))
	}
	require.Equal(t, 3, h.n)
	require.Equal(t, uint64(5), h.Total())
	overs := func() (out []string) {
		for _, c := range h.Latest(10) {
			out = append(out, c.Over)
		}
		return out
	}
	require.Equal(t, []string{"4", "3", "2"}, overs())
	_, ok := h.Get(ids[0])
	require.False(t, ok, "it was pushed out")
	c, ok := h.Get(ids[3])
	require.True(t, ok)
	require.Equal(t, "3", c.Over)

	h.Resize(2) // memory is short
	require.Equal(t, []string{"4", "3"}, overs())
	h.Add(Conflict{Over: "5"})
	require.Equal(t, []string{"5", "4"}, overs())
	h.Resize(10)
	h.Add(Conflict{Over: "6"})
	require.Equal(t, []string{"6", "5", "4"}, overs())
	require.Equal(t, uint64(7), h.Total())
}

// At most 64 contenders are recorded, the rest are counted; the record decides the
// same.
func TestConflictIsBounded(t *testing.T) {
	for _, s := range All() {
		q := NewQueue(cpu(100))
		q.SetStrategy(s, DefaultWeights())
		for i := range 500 {
			q.Add(Candidate{Key: fmt.Sprintf("j%03d", i), Want: cpu(100), User: i % 11, Arrived: at(int64(i))})
		}
		q.capacity.Memory, q.free.Memory = 100, 100
		d := q.Resolve(minute)
		require.Len(t, d.Start, 1)
		require.Len(t, d.Conflicts, 1)
		c := d.Conflicts[0]
		require.Len(t, c.Snapshot.Pending, maxContenders)
		require.Equal(t, 500-maxContenders, c.Rest)
		e := c.Explain()
		require.Equal(t, d.Start, e.Decision.Start)
		require.Contains(t, e.Sentence, "and 498 more")
	}
}

// A bundle that was exported replays to the same bytes, on every machine: the file
// was written once and is kept.
func TestReplayIsByteIdentical(t *testing.T) {
	c := recorded(t)
	one, err := c.Export()
	require.NoError(t, err)
	path := filepath.Join("testdata", "bundle", "quake.json")
	if os.Getenv("UCP_REWRITE") != "" {
		require.NoError(t, os.MkdirAll(filepath.Dir(path), 0o755))
		require.NoError(t, os.WriteFile(path, one, 0o644))
	}
	kept, err := os.ReadFile(path)
	require.NoError(t, err)
	require.Equal(t, string(kept), string(one))
	again, err := Replay(kept, "")
	require.NoError(t, err)
	require.Equal(t, string(kept), string(again))

	other, err := Replay(kept, FCFS)
	require.NoError(t, err)
	b, err := ReadBundle(other)
	require.NoError(t, err)
	require.Equal(t, FCFS, b.Strategy)
	require.Empty(t, b.Decision.Preempt)
	require.NotEqual(t, string(kept), string(other))
}

func recorded(t *testing.T) Conflict {
	q := NewQueue(job.Resources{CPU: 1000, Memory: 1 << 30, IO: 100})
	q.SetStrategy(Emergency, DefaultWeights())
	q.Add(Candidate{Key: "flood-map~1", ID: "flood-map", Want: job.Resources{CPU: 1000, Memory: 1 << 20}, Level: 1, User: 5, Arrived: at(1000), By: "a~1"})
	q.Resolve(2000)
	q.Add(Candidate{Key: "quake~1", ID: "quake", Want: job.Resources{CPU: 600, Memory: 1 << 20}, Level: 4, User: 5, Arrived: at(3000), By: "b~1"})
	q.Add(Candidate{Key: "tweets~1", ID: "tweets", Want: job.Resources{CPU: 600, Memory: 1 << 20}, User: 9, Arrived: at(2500), By: "b~1", Deps: []string{"flood-map~1"}})
	d := q.Resolve(4000)
	require.Len(t, d.Conflicts, 1)
	require.Equal(t, "Under emergency quake suspends flood-map and runs before tweets: critical goes before no emergency; tweets needs 0.6 cores, 0 free.", d.Conflicts[0].Explain().Sentence)
	return d.Conflicts[0]
}

// What is explained of a conflict, field by field.
func TestExplain(t *testing.T) {
	e := recorded(t).Explain()
	require.Equal(t, "quake~1", e.Winner)
	require.Len(t, e.Contenders, 2)
	quake, tweets := e.Contenders[0], e.Contenders[1]
	require.Equal(t, isSame, quake.Relation)
	require.Equal(t, isConcurrent, tweets.Relation)
	require.Equal(t, []string{"flood-map"}, tweets.Past)
	require.Equal(t, int64(4000), quake.Factors.Emergency)
	require.Equal(t, int64(500), quake.Factors.User)
	require.False(t, quake.Fits)
	require.Equal(t, "needs 0.6 cores, 0 free", quake.Lacks)
	require.Len(t, e.Holders, 1)
	require.Equal(t, "is suspended for quake: critical goes before low", e.Holders[0].Outcome)
	var names []Strategy
	for _, a := range e.Alternative {
		names = append(names, a.Strategy)
		require.NotEmpty(t, a.Sentence)
	}
	require.Equal(t, slices.DeleteFunc(All(), func(s Strategy) bool { return s == Emergency }), names)
}

// A decision that an emergency made another strategy take says so, and gives the same bytes again; under another strategy
// nothing of that is left, and what no emergency has changed has the bytes that it always had.
func TestReplayOfAnOverride(t *testing.T) {
	c := recorded(t)
	plain, err := c.Export()
	require.NoError(t, err)
	require.NotContains(t, string(plain), "override")
	c.Snapshot.Override = &Override{Emergency: "flood-7", Of: Causal}
	b, err := c.Export()
	require.NoError(t, err)
	require.Contains(t, string(b), `"version": 2`)
	require.Contains(t, c.Explain().Sentence, "Under emergency (while flood-7 is in force; otherwise causal) ")
	for _, s := range []Strategy{"", Emergency} {
		again, err := Replay(b, s)
		require.NoError(t, err)
		require.Equal(t, string(b), string(again))
	}
	other, err := Replay(b, Causal)
	require.NoError(t, err)
	require.NotContains(t, string(other), "flood-7")
	want, err := Replay(plain, Causal)
	require.NoError(t, err)
	require.Equal(t, string(want), string(other))
	for _, a := range c.Explain().Alternative {
		require.NotContains(t, a.Sentence, "flood-7")
	}
	_, err = Replay([]byte(strings.Replace(string(b), `"of": "causal"`, `"of": "luck"`, 1)), "")
	require.ErrorContains(t, err, "does not know")
	_, err = Replay([]byte(strings.ReplaceAll(string(b), `"strategy": "emergency"`, `"strategy": "emergency_first"`)), "")
	require.ErrorContains(t, err, "does not know", "no broker writes an alias")
	again, err := Replay(b, "emergency_first")
	require.NoError(t, err)
	require.Equal(t, string(b), string(again))
}

// The prototype's names mean the strategies of today.
func TestNamesOfThePrototype(t *testing.T) {
	for name, want := range map[string]Strategy{
		"vector_clock_causal": Causal, "priority_based": Priority, "emergency_first": Emergency, "resource_optimal": Optimal,
		"first_come_first_served": FCFS, "FCFS": FCFS,
	} {
		got, err := ParseStrategy(name)
		require.NoError(t, err)
		require.Equal(t, want, got)
	}
	_, err := ParseStrategy("fCfS")
	require.Error(t, err)
}

// A bundle has the lowest version that has room for what was decided, and each replays to its own bytes.
func TestReplayOfUrgencyAndFractions(t *testing.T) {
	c := recorded(t)
	whole := *c.Snapshot.Pending[0]
	for _, change := range []func(*Candidate){
		func(c *Candidate) { c.Urgency = 250 },
		func(c *Candidate) { c.Part = 500 },
	} {
		fine := whole
		change(&fine)
		c.Snapshot.Pending = append([]*Candidate{&fine}, c.Snapshot.Pending[1:]...)
		b, err := c.Export()
		require.NoError(t, err)
		require.Contains(t, string(b), `"version": 3`)
		again, err := Replay(b, "")
		require.NoError(t, err)
		require.Equal(t, string(b), string(again))
	}
}

func TestReadBundleRefuses(t *testing.T) {
	c := recorded(t)
	good, err := c.Export()
	require.NoError(t, err)
	for name, bad := range map[string]string{
		"no JSON":          "{",
		"unknown field":    strings.Replace(string(good), `"version"`, `"versoin"`, 1),
		"another version":  strings.Replace(string(good), `"version": 1`, `"version": 4`, 1),
		"no strategy":      strings.ReplaceAll(string(good), `"strategy": "emergency"`, `"strategy": "luck"`),
		"a job without":    strings.Replace(string(good), `"key": "quake~1"`, `"key": ""`, 1),
		"negative want":    strings.Replace(string(good), `"cpu": 600`, `"cpu": -600`, 1),
		"weights too high": strings.Replace(string(good), `"waiting": 10`, `"waiting": 0`, 1),
	} {
		_, err := Replay([]byte(bad), "")
		require.Error(t, err, name)
	}
	_, err = Replay(make([]byte, MaxBundle+1), "")
	require.ErrorContains(t, err, "at most")
	_, err = Replay(good, "luck")
	require.Error(t, err)
}

// Nothing that can be read makes a replay panic, hang, or differ from itself.
func FuzzReplay(f *testing.F) {
	kept, err := os.ReadFile(filepath.Join("testdata", "bundle", "quake.json"))
	if err != nil {
		f.Fatal(err)
	}
	f.Add(kept)
	f.Fuzz(func(t *testing.T, b []byte) {
		for _, s := range All() {
			one, err := Replay(b, s)
			if err != nil {
				return
			}
			two, err := Replay(one, "")
			require.NoError(t, err)
			require.Equal(t, string(one), string(two))
		}
	})
}
