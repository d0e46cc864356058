package resolve

import (
	"fmt"

	"github.com/urban-compute/ucp/clock"
)

// EDF is earliest deadline first (Liu and Layland, JACM 1973): on a single processor that may suspend jobs, no
// order meets all deadlines when this one does not. A job displaces what is due later without a margin: deadlines
// do not move, and so two jobs can't displace each other in turn. What has no deadline comes after all that has
// one. Among equals the score decides, as under priority.
const EDF Strategy = "edf"

// noDeadline is the first of a job without a deadline: less than that of any deadline.
const noDeadline = -1 << 62

// dueFirst has the earlier deadline go first.
func dueFirst(c *Candidate) int64 {
	if c.Deadline == 0 {
		return noDeadline
	}
	return max(-int64(max(c.Deadline, 0)), noDeadline+1)
}

// dueTier has jobs without a deadline be victims before all that have one.
func dueTier(first int64) int64 {
	if first <= noDeadline {
		return 0
	}
	return 1
}

func dueOutranks(first, other int64) string {
	return fmt.Sprintf("deadline %s comes before %s", dueText(first), dueText(other))
}

// dueText is the deadline of a first.
func dueText(first int64) string {
	if first <= noDeadline {
		return "none"
	}
	return clock.Time(-first).Time().Format("2006-01-02T15:04:05.999Z07:00")
}
