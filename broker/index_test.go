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
			x.update(nil, r, 0)
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
			var keys []string
			next, err := x.page(&job.Filter{}, size, after, func(key string) bool { keys = append(keys, key); return true })
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

// A page that is looked for among many that are not chosen ends after some, and the next one goes on behind them.
func TestPagesAreBounded(t *testing.T) {
	x := newJobIndex()
	for i := range mostLooked + 10 {
		it := jobItem{key: fmt.Sprintf("j%05d~0", i), at: clock.Hybrid(i), state: job.StatePending}
		x.byKey.ReplaceOrInsert(it)
		x.byAge.ReplaceOrInsert(it)
	}
	looked := 0
	onlyOldest := func(key string) bool { looked++; return key == "j00000~0" }
	next, err := x.page(&job.Filter{}, 5, "", onlyOldest)
	require.NoError(t, err)
	require.NotEmpty(t, next)
	require.Equal(t, mostLooked, looked)
	next, err = x.page(&job.Filter{}, 5, next, onlyOldest)
	require.NoError(t, err)
	require.Empty(t, next)
	require.Equal(t, mostLooked+10, looked)
	_, err = x.page(&job.Filter{States: []job.State{job.StateFailed}}, 5, "", func(string) bool { panic("of another state") })
	require.NoError(t, err)
}

// What is shown of an ID means that job, and no other.
func TestShortIDs(t *testing.T) {
	x := newJobIndex()
	for _, key := range []string{"pumps~1", "pumps~2", "pumps-district-7~1", "0198c2f4-1111~1", "0198c2f4-1112~1", "0198c2f4-1112~2", "k7m2p9q4x3w8~1", "k7m2p9q4~5"} {
		x.byKey.ReplaceOrInsert(jobItem{key: key})
	}
	for id, want := range map[job.ID]string{
		"pumps": "pumps", "pumps-district-7": "pumps-di", "0198c2f4-1111": "0198c2f4-1111", "0198c2f4-1112": "0198c2f4-1112",
		"k7m2p9q4": "k7m2p9q4", "k7m2p9q4x3w8": "k7m2p9q4x", "unknown-one": "unknown-",
	} {
		require.Equal(t, want, x.short(id), id)
	}
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
			x.update(old, r, 0)
			now[i] = r
		}
		fresh := newJobIndex()
		for _, r := range now {
			fresh.update(nil, r, 0)
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

// Whoever goes through the finished jobs some at a time, round and round, has looked at each when it has asked for as many
// as there are, wherever it began (rule R3).
func TestFinishedJobsGoRound(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		x := newJobIndex()
		var want []string
		for i := range rapid.IntRange(0, 30).Draw(t, "jobs") {
			r := someRecord(t, i, clock.Hybrid(rapid.IntRange(1, 4).Draw(t, "age")))
			r = r.With(clock.Dot{Actor: "a~1", Counter: uint64(100 + i)}, func(r *job.Record) {
				r.AddVerdict(job.Verdict{At: 9, Dot: clock.Dot{Actor: "a~1", Counter: uint64(100 + i)}, Outcome: job.Cancelled})
			})
			x.update(nil, r, time.Duration(rapid.IntRange(0, 3).Draw(t, "since")))
			want = append(want, r.Key())
		}
		from := endItem{since: time.Duration(rapid.IntRange(0, 5).Draw(t, "from"))}
		var got []string
		for left := len(want); left > 0; {
			n := min(left, rapid.IntRange(1, 7).Draw(t, "at once"))
			var keys []string
			keys, from = x.endedBehind(from, n)
			got = append(got, keys...)
			left -= n
		}
		slices.Sort(want)
		slices.Sort(got)
		if !slices.Equal(want, got) {
			t.Fatalf("looked at %v of %v", got, want)
		}
	})
}
