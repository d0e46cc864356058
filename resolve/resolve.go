// Package resolve decides which jobs run when not all can: it is handed a
// snapshot and returns a decision with reasons. It is where conflicts between
// jobs are settled, by one of several strategies, so that the same snapshot
// gives the same decision on every machine.
//
// [Plan] is the reference: pure, total, written to be read. [Queue] is the
// index that gives the same decision (a property test holds it to that), fast
// enough to be asked on every event.
//
// Today there is one strategy, fcfs: first come, first served, by the arrival
// order (hybrid time, actor). Jobs that fit together start at once; one that
// does not fit waits, and nothing that came later overtakes it, so that a large
// job is never starved by small ones.
package resolve

import (
	"cmp"
	"fmt"
	"slices"

	"github.com/urban-compute/ucp/clock"
	"github.com/urban-compute/ucp/job"
)

// Strategy names how conflicts are decided.
type Strategy string

// FCFS is first come, first served.
const FCFS Strategy = "fcfs"

// Candidate is a job that wants to run, or does.
type Candidate struct {
	Key     string        // the job's ledger key
	Arrived clock.Hybrid  // of its earliest creation
	By      clock.Actor   // who wrote that
	Want    job.Resources // what it holds while it runs
}

// CandidateOf takes from a record what a decision needs.
func CandidateOf(r *job.Record) Candidate {
	return Candidate{Key: r.Key(), Arrived: r.Created[0].At, By: r.Created[0].Dot.Actor, Want: r.Spec.Resources}
}

// compare is the arrival order; the key makes it total.
func (c Candidate) compare(d Candidate) int {
	return cmp.Or(cmp.Compare(c.Arrived, d.Arrived), cmp.Compare(c.By, d.By), cmp.Compare(c.Key, d.Key))
}

// Snapshot is all that a decision rests on.
type Snapshot struct {
	Capacity job.Resources
	Running  []Candidate
	Pending  []Candidate
}

// Decision says what to do now.
type Decision struct {
	Start []string // keys, in the order in which they were chosen
	Defer []Defer  // the other pending jobs, in the order of their turn
}

// Defer says why a job does not start now, in words.
type Defer struct{ Key, Why string }

// Plan decides first come, first served. The order in which the snapshot lists
// jobs does not matter.
func Plan(s Snapshot) Decision {
	free := s.Capacity
	for _, c := range s.Running {
		free = free.Minus(c.Want)
	}
	var d Decision
	for _, c := range slices.SortedFunc(slices.Values(s.Pending), Candidate.compare) {
		switch lack := free.Lacks(c.Want); {
		case len(d.Defer) > 0:
			d.Defer = append(d.Defer, Defer{c.Key, behind(len(d.Defer))})
		case lack != "":
			d.Defer = append(d.Defer, Defer{c.Key, lack})
		default:
			free = free.Minus(c.Want)
			d.Start = append(d.Start, c.Key)
		}
	}
	return d
}

func behind(n int) string {
	if n == 1 {
		return "behind 1 job that came first"
	}
	return fmt.Sprintf("behind %d jobs that came first", n)
}
