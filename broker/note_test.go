package broker

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/urban-compute/ucp/job"
	"github.com/urban-compute/ucp/resolve"
)

// A note says where, and for whom, in fields of their own: nobody has to read the text for it.
func TestNotesOfJobs(t *testing.T) {
	b := newCore(Config{Actor: "a~1"})
	b.watched = true
	r := &job.Record{ID: "map"}
	b.tellState(nil, r)
	placed := &job.Record{ID: "map", Place: job.Placement{Broker: "c", Actor: "c~1", Attempt: job.Attempt{Seq: 1}}}
	b.tellState(r, placed)
	b.tellState(placed, placed)
	done := *placed
	done.Verdicts = []job.Verdict{{Outcome: job.Failed, Reason: "exit code 3"}}
	b.tellState(placed, &done)
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
	b.tellState(nil, r)
	require.Empty(t, b.out.Notes, "nobody asks for jobs' states")
}
