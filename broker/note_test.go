package broker

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/urban-compute/ucp/clock"
	"github.com/urban-compute/ucp/job"
	"github.com/urban-compute/ucp/resolve"
)

// A note says where, and for whom, in fields of their own: nobody has to read the text for it.
func TestNotesOfJobs(t *testing.T) {
	b := newCore(Config{Actor: "a~1"})
	b.watched = true
	r := &job.Record{ID: "map"}
	b.tellState(nil, r, false)
	placed := &job.Record{ID: "map", Place: job.Placement{Broker: "c", Actor: "c~1", Attempt: job.Attempt{Seq: 1}}}
	b.tellState(r, placed, false)
	b.tellState(placed, placed, false)
	done := *placed
	done.Verdicts = []job.Verdict{{Outcome: job.Failed, Reason: "exit code 3"}}
	b.tellState(placed, &done, false)
	b.tellDisplaced(resolve.Preempt{Victim: "map~1", For: "pumps~2", Mode: job.Requeue, Why: "it outranks"})

	var got []Note
	for _, n := range b.out.Notes {
		n.Job = nil
		got = append(got, n)
	}
	require.Equal(t, []Note{
		{Kind: "job", ID: "map", What: "pending", Text: "map is pending"},
		{Kind: "job", ID: "map", What: "queued", Text: "map is queued at c", Place: "c"},
		{Kind: "job", ID: "map", What: "failed", Text: "map has failed at c: exit code 3", Place: "c"},
		{Kind: "preemption", ID: "map", What: "requeued", Text: "map makes room for pumps at a: it outranks", Place: "a", For: "pumps"},
	}, got)

	b.watched, b.out.Notes = false, nil
	b.tellState(nil, r, false)
	require.Empty(t, b.out.Notes, "nobody asks for jobs' states")

	paused, again := *placed, *placed
	paused.Pauses = []job.Pause{{By: "c~1", From: 5, For: "pumps", Emergency: "flood-1", Mode: job.Suspend}}
	again.Pauses = []job.Pause{{By: "c~1", From: 5, To: 6, For: "pumps", Emergency: "flood-1", Mode: job.Suspend}, {By: "a~1", From: 7, For: "pumps", Mode: job.Requeue}}
	whole := &Broker{core: b}
	whole.tellChange(placed, &paused)
	whole.tellChange(&paused, &again)
	whole.tellChange(nil, &again)
	require.Len(t, b.out.Notes, 1, "once, and nothing that this broker has decided itself, nor what was long ago")
	require.Equal(t, "map makes room for pumps at c, because of flood-1", b.out.Notes[0].Text)
	require.Equal(t, []string{"preemption", "map", "suspended", "c", "pumps"}, []string{b.out.Notes[0].Kind, b.out.Notes[0].ID, b.out.Notes[0].What, b.out.Notes[0].Place, string(b.out.Notes[0].For)})
}

// After a split that has healed a result that does not count is told as one, once, and the end that decides is not told
// again as another one's success.
func TestNotesOfLosingResults(t *testing.T) {
	b := &Broker{core: newCore(Config{Actor: "a~1"})}
	at := func(h, m int) clock.Hybrid {
		return clock.HybridAt(time.Date(2026, 1, 31, h, m, 0, 0, time.UTC))
	}
	report := func(by clock.Actor, seq uint64, h, m int) job.Report {
		return job.Report{Attempt: job.Attempt{Seq: seq}, Dot: clock.Dot{Actor: by, Counter: 9}, At: at(h, m), Phase: job.Done, Result: &job.Result{Outcome: job.Succeeded}}
	}
	ours, theirs := report("van-3~1", 1, 22, 6), report("van-2~1", 2, 22, 5)
	verdict := func(r *job.Report) job.Verdict {
		return job.Verdict{At: r.At, Dot: r.Dot, Outcome: r.Result.Outcome, Report: r}
	}
	old := &job.Record{ID: "map", Place: job.Placement{Broker: "van-3", Actor: "van-3~1"}, Reports: []job.Report{ours}, Verdicts: []job.Verdict{verdict(&ours)}}
	healed := &job.Record{
		ID: "map", Place: job.Placement{Broker: "van-2", Actor: "van-2~1"}, Reports: []job.Report{theirs, ours},
		Verdicts: []job.Verdict{verdict(&theirs), verdict(&ours)},
	}
	b.tellChange(old, healed)
	b.tellChange(healed, healed)
	require.Len(t, b.out.Notes, 1)
	n := b.out.Notes[0]
	require.Equal(t, "map ran twice: van-3 succeeded at 22:06:00, too; van-2's result (succeeded) came first and counts", n.Text)
	require.Equal(t, []string{"job", "map", "rejected", "van-3"}, []string{n.Kind, n.ID, n.What, n.Place})

	b.out.Notes = nil
	cancelled := &job.Record{ID: "map", Verdicts: []job.Verdict{{At: at(22, 0), Dot: clock.Dot{Actor: "van-1~1", Counter: 1}, Outcome: job.Cancelled}}}
	late := *cancelled
	late.Reports = []job.Report{ours}
	b.tellChange(cancelled, &late)
	require.Equal(t, "map ran twice: van-3 succeeded at 22:06:00, too; it had ended before: cancelled", b.out.Notes[0].Text)
}
