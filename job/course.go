package job

import (
	"slices"
	"strings"

	"github.com/urban-compute/ucp/clock"
)

// Course is how one attempt at a job stands, or how it ended.
type Course struct {
	Attempt  Attempt
	Executor string     // the broker's name
	State    string     // one of the Attempt constants
	Started  clock.Time // 0 if it has not started, or that is not known
	Ended    clock.Time // 0 if it has not ended, or that is not known
	ExitCode *int       // as in Result
	Reason   string     // why it failed, or was returned; what is to be said of the outputs of one that was stopped
	Began    bool       // of one that was returned: the program may have run
	Kept     *Result    // what it had written, of one that has no result that counts (rule J13); nil if nothing is kept
}

// The states of an attempt.
const (
	AttemptQueued    = "queued"
	AttemptStarting  = "starting" // as in StateStarting; no record says so
	AttemptLoading   = "loading"  // as in StateLoading
	AttemptRunning   = "running"
	AttemptSuspended = "suspended"
	AttemptSucceeded = "succeeded"
	AttemptFailed    = "failed"
	AttemptReturned  = "returned" // its broker could not carry it out (rule J12)
	AttemptStopped   = "stopped"  // the job was over, or another attempt had taken its place
	AttemptStopping  = "stopping" // the job was cancelled or has expired; its broker has not said yet what it left (rule J13)
	AttemptEarlier   = "earlier"  // all that is known is that there was one: a later report of its broker has taken the place of its own (rule J5)
	AttemptLost      = "lost"     // it had started, and its broker was lost, or has not said how it ended
)

// maxEarlier bounds the attempts that are listed though nothing is known of them: the latest of these.
const maxEarlier = 64

// Courses derives from the record alone what is known of each attempt, the earliest first. Of several at one start of a
// broker only of the latest and of those that were returned is known how they stand: an executor has one report (rule J5). That there
// were others the numbers of placements tell (rule J4), which follow one another, also from owner to owner; of these Course has no
// executor, and the tenure of the next attempt.
func (r *Record) Courses() []Course {
	var out []Course
	add := func(c Course) {
		if !slices.ContainsFunc(out, func(x Course) bool { return x.Attempt == c.Attempt && x.Executor == c.Executor }) {
			out = append(out, c)
		}
	}
	for _, x := range r.Returns {
		add(Course{Attempt: x.Attempt, Executor: x.By.Broker(), State: AttemptReturned, Ended: clock.TimeOf(x.At), Reason: x.Reason, Began: x.Began})
	}
	for _, v := range r.Verdicts {
		if v.Report != nil && !v.Report.Attempt.IsZero() {
			add(r.course(v.Report))
		}
	}
	for _, rep := range slices.Backward(r.Reports) { // of two starts of one process the later one first (rule K3)
		add(r.course(&rep))
	}
	left := r.Left()
	if left != nil {
		add(r.course(left))
	}
	if p := r.Place; !p.IsZero() {
		add(r.course(&Report{Attempt: p.Attempt, Dot: clock.Dot{Actor: p.Actor}, Phase: Queued}))
	}
	for i := range out {
		if left != nil && out[i].Attempt == left.Attempt && out[i].Executor == left.Dot.Actor.Broker() {
			out[i].Kept = left.Result
		}
	}
	slices.SortStableFunc(out, func(a, b Course) int { return a.Attempt.Compare(b.Attempt) })
	return withEarlier(out)
}

// withEarlier adds the attempts that no report tells of: the numbers between those that are listed.
func withEarlier(known []Course) (out []Course) {
	left := maxEarlier
	for i, next := range slices.Backward(known) {
		out = append(out, next)
		below := uint64(0)
		if i > 0 {
			below = known[i-1].Attempt.Seq
		}
		for seq := next.Attempt.Seq; seq > below+1 && left > 0; left-- {
			seq--
			out = append(out, Course{Attempt: Attempt{Tenure: next.Attempt.Tenure, Seq: seq}, State: AttemptEarlier})
		}
	}
	slices.Reverse(out)
	return out
}

// course reads what an executor has said of its attempt.
func (r *Record) course(rep *Report) Course {
	c := Course{Attempt: rep.Attempt, Executor: rep.Dot.Actor.Broker()}
	over := r.Finished() || rep.Attempt != r.Place.Attempt
	switch {
	case rep.Phase == Done && rep.Result != nil:
		res := rep.Result
		c.State, c.Started, c.Ended, c.ExitCode, c.Reason = AttemptFailed, res.Started, res.Finished, res.ExitCode, res.Reason
		switch {
		case res.Outcome == Succeeded:
			c.State = AttemptSucceeded
		case res.wasStopped():
			c.State = AttemptStopped
			c.Reason = strings.TrimPrefix(strings.TrimPrefix(res.Reason, StoppedReason), "; ")
		}
	case rep.Phase == Stopped:
		c.State, c.Ended = AttemptStopped, clock.TimeOf(rep.At)
	case !over && r.Loading.says(rep):
		c.State = AttemptLoading
		return c
	case rep.Phase == Queued:
		if c.State = AttemptQueued; over {
			c.State = AttemptStopped
		}
	case over && r.stops(rep):
		c.State = AttemptStopping
	case over:
		c.State = AttemptLost
	case rep.Phase == Suspended:
		c.State = AttemptSuspended
	default:
		c.State = AttemptRunning
	}
	if rep.Phase == Running {
		c.Started = clock.TimeOf(rep.At)
	}
	return c
}

// stops reports whether the job's end stops its present attempt.
func (r *Record) stops(rep *Report) bool {
	v := r.Verdict()
	return v != nil && (v.Outcome == Cancelled || v.Outcome == Expired) && rep.Attempt == r.Place.Attempt
}
