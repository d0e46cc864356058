package resolve

import (
	"cmp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/urban-compute/ucp/clock"
	"github.com/urban-compute/ucp/job"
)

// The ranges of a candidate's factors. A value outside of its range counts as the nearest inside.
const (
	maxLevel   = 4 // 0 none, 1 low, 2 medium, 3 high, 4 critical
	maxUser    = job.MaxUserPriority
	maxCompute = 10
	maxUrgency = job.Milli(1000)
)

// maxDisplacers is how many of the jobs that displaced it a job remembers.
const maxDisplacers = 16

// Candidate is a job that wants to run, or runs. It is plain data. Once it is handed to a [Queue] or put into a
// [Snapshot] it must not be changed: snapshots and recorded conflicts share it.
type Candidate struct {
	Key string `json:"key"`          // the job's ledger key
	ID  string `json:"id,omitempty"` // what a person calls it; the key when empty

	Want      job.Resources `json:"want"`                // what it holds while it runs; at least some CPU and memory
	Exclusive string        `json:"exclusive,omitempty"` // the key that at most one job holds (rule J10)

	User   int `json:"user"`             // user priority, 0 to 10
	Level  int `json:"level,omitempty"`  // emergency level of its own, 0 to 4
	Raised int `json:"raised,omitempty"` // level that it got from what waits for it at other brokers (rule C5)
	Weight int `json:"weight,omitempty"` // computational weight, 0 to 10

	// Part is what the computational weight has beyond Weight, and Urgency, 0 to 1, how urgent the job is without a
	// deadline: one with a deadline goes by that.
	Part    job.Milli `json:"weight_part,omitempty"`
	Urgency job.Milli `json:"urgency,omitempty"`

	Deadline clock.Time     `json:"deadline,omitzero"`
	Length   clock.Duration `json:"length,omitzero"` // how long it is expected to run; 0 is unknown

	Arrived clock.Hybrid `json:"arrived"` // of its earliest creation
	By      clock.Actor  `json:"by"`      // the actor that wrote it

	// Deps are the keys of the nearest jobs that its submitter had seen (rule C1).
	// A key that is not in the snapshot is of a job that has ended or competes
	// elsewhere: the maker of the candidate names what that job had seen instead.
	Deps []string `json:"deps,omitempty"`
	// After are the keys of the jobs whose end it waits for (rule C4).
	After []string `json:"after,omitempty"`

	Mode        job.Preemption `json:"mode,omitempty"`         // what may happen to it; empty is suspend
	Displaced   int            `json:"displaced,omitempty"`    // how often it was displaced
	DisplacedBy []string       `json:"displaced_by,omitempty"` // by which jobs, the latest last
	DisplacedAt int            `json:"displaced_at,omitempty"` // the emergency level that the latest of them had then

	Began   clock.Time     `json:"began,omitzero"`    // when it began to run, or resumed; 0 when it does not run
	Ran     clock.Duration `json:"ran,omitzero"`      // for how long it ran before it was suspended
	Leaving Leaving        `json:"leaving,omitempty"` // it was told to go and still holds what it has
	For     string         `json:"for,omitempty"`     // the job for which it leaves
	ForAt   int            `json:"for_at,omitempty"`  // the emergency level of that job

	Promised bool  `json:"promised,omitempty"` // others were made to leave for it
	Fresh    bool  `json:"fresh,omitempty"`    // no decision has seen it yet
	Lent     *Lent `json:"lent,omitempty"`     // what jobs outside of this snapshot lend to it
	KeyLent  *Lent `json:"key_lent,omitempty"` // the same, of those that want its exclusive key
}

// Leaving says how a running job was told to leave; "" is that it was not.
type Leaving string

// The ways of leaving. A suspended job keeps its memory, devices and exclusive key.
const (
	stays     Leaving = ""
	suspends  Leaving = "suspend"
	requeues  Leaving = "requeue"
	stopsDead Leaving = "stop" // it expired, or was cancelled
)

// Lent is a rank that a job inherited (rule C5). A recorded conflict leaves most jobs out, but not what they did
// to the order.
type Lent struct {
	Level int   `json:"level"`
	Score int64 `json:"score"` // as [Factors.Score]

	// First is what the strategy Under looks at before the score, where that does not
	// follow from the level. To another strategy it means nothing.
	First int64    `json:"first,omitempty"`
	Under Strategy `json:"under,omitempty"`
}

// CandidateOf takes from a record what a decision needs, but for predecessors: the broker knows their keys.
func CandidateOf(r *job.Record) Candidate {
	p := r.Spec.Priority
	c := Candidate{
		Key: r.Key(), ID: string(r.ID), Arrived: r.Created[0].At, By: r.Created[0].Dot.Actor,
		Want: r.Spec.Resources, Exclusive: r.Spec.Exclusive,
		User: int(p.User), Level: max(job.Level(p.Emergency), 0), Weight: int(p.Weight), Part: r.Spec.WeightPart, Urgency: r.Spec.Urgency, Deadline: p.Deadline, Mode: r.Spec.Preemption,
	}
	return c
}

// name is what a person calls the job.
func (c *Candidate) name() string { return cmp.Or(c.ID, c.Key) }

// level is the job's emergency level, its own or what it was raised to.
func (c *Candidate) level() int { return min(max(c.Level, c.Raised, 0), maxLevel) }

// compare is the order of arrival: (hybrid time, actor), and the key makes it total.
func (c *Candidate) compare(d *Candidate) int {
	if c.Arrived != d.Arrived { // nearly always: the strings are not looked at
		return cmp.Compare(c.Arrived, d.Arrived)
	}
	return cmp.Or(cmp.Compare(c.By, d.By), cmp.Compare(c.Key, d.Key))
}

// remaining is how long the job is still expected to run.
func (c *Candidate) remaining() clock.Time {
	return clock.Time(max(time.Duration(c.Length)-time.Duration(c.Ran), 0).Milliseconds())
}

// latest is the last instant at which the job can start, or resume, and meet its deadline; of a job that runs it
// is the deadline.
func (c *Candidate) latest() clock.Time {
	if c.Began != 0 {
		return c.Deadline
	}
	return c.Deadline - c.remaining()
}

// expired reports whether the job can't meet its deadline any more.
func (c *Candidate) expired(now clock.Time) bool { return c.Deadline != 0 && now > c.latest() }

// slacks are how much time is left when urgency takes its next step. It has steps so that an index looks at a job
// four times, and not always.
var slacks = [urgencySteps]clock.Time{60 * minute, 15 * minute, 5 * minute, minute}

const (
	urgencySteps = 4
	minute       = 60_000 // in milliseconds, the unit of clock.Time
)

// weight is the computational weight, its part included.
func (c *Candidate) weight() job.Milli {
	whole := int64(min(max(c.Weight, 0), maxCompute)) // so that no number that an old bundle brings is too large
	return job.Milli(min(max(whole*1000+int64(c.Part), 0), maxCompute*1000))
}

// urgency is how urgent the job is, from 0 to 1: as its deadline is near or, where it has none, as was said.
func (c *Candidate) urgency(now clock.Time) job.Milli {
	if c.Deadline == 0 {
		return min(max(c.Urgency, 0), maxUrgency)
	}
	return maxUrgency * job.Milli(c.nearness(now)) / urgencySteps
}

// fine reports whether the candidate has what bundles before version 3 do not know.
func (c *Candidate) fine() bool { return c.Part != 0 || c.Urgency != 0 }

// nearness is how many of the four steps the deadline has come near. A job that runs keeps the urgency with which
// it began: while it runs, its slack does not shrink.
func (c *Candidate) nearness(now clock.Time) int {
	if c.Deadline == 0 {
		return 0
	}
	if c.Began != 0 {
		now = c.Began
	}
	left, n := c.Deadline-c.remaining()-now, 0
	for n < urgencySteps && left <= slacks[n] {
		n++
	}
	return n
}

// nextChange is the first instant after now at which the job's urgency steps or it
// expires; 0 when there is none.
func (c *Candidate) nextChange(now clock.Time) clock.Time {
	if c.Deadline == 0 {
		return 0
	}
	if c.Began == 0 {
		if n := c.nearness(now); n < urgencySteps {
			return c.Deadline - c.remaining() - slacks[n]
		}
	}
	return c.latest() + 1
}

// suspendedWant is what a suspended job needs to resume: it kept the rest.
func (c *Candidate) suspendedWant() job.Resources {
	return job.Resources{CPU: c.Want.CPU, IO: c.Want.IO}
}

// keeps is what a suspended job holds.
func (c *Candidate) keeps() job.Resources {
	return job.Resources{Memory: c.Want.Memory, Devices: c.Want.Devices}
}

// mode is what may happen to the job when another displaces it.
func (c *Candidate) mode() job.Preemption { return cmp.Or(c.Mode, job.Suspend) }

// freed is what the job gives back when it leaves in this way.
func (c *Candidate) freed(how Leaving) job.Resources {
	if how == suspends {
		return c.suspendedWant()
	}
	return c.Want
}

// devices is a text that is equal for two jobs which want the same devices.
func (c *Candidate) devices() string {
	if len(c.Want.Devices) == 0 {
		return ""
	}
	var names []string
	for name := range c.Want.Devices {
		names = append(names, name)
	}
	slices.Sort(names)
	var b strings.Builder
	for _, name := range names {
		b.WriteString(name + "=" + strconv.FormatInt(c.Want.Devices[name], 10) + " ")
	}
	return b.String()
}

// displaced returns the candidate as it is after it left for another.
func (c *Candidate) displaced(now clock.Time) *Candidate {
	d := *c
	d.Displaced++
	d.DisplacedBy = append(slices.Clone(c.DisplacedBy), c.For)
	d.DisplacedBy = d.DisplacedBy[max(0, len(d.DisplacedBy)-maxDisplacers):]
	d.DisplacedAt = c.ForAt
	if c.Leaving == suspends {
		d.Ran += clock.Duration(time.Duration(max(now-c.Began, 0)) * time.Millisecond)
	} else {
		d.Ran = 0
	}
	d.Began, d.Leaving, d.For, d.ForAt = 0, stays, "", 0
	return &d
}

// started returns the candidate as it is when it runs.
func (c *Candidate) started(now clock.Time) *Candidate {
	d := *c
	d.Began, d.Fresh, d.Promised = max(now, 1), false, false
	return &d
}

// seen returns the candidate as it is after a decision that did not start it.
func (c *Candidate) seen(promised bool) *Candidate {
	if !c.Fresh && (c.Promised || !promised) {
		return c
	}
	d := *c
	d.Fresh, d.Promised = false, c.Promised || promised
	return &d
}

// leaves returns the candidate as it is when it was told to leave for a job (a key, or "") that has this
// emergency level.
func (c *Candidate) leaves(how Leaving, whom string, level int) *Candidate {
	d := *c
	d.Leaving, d.For, d.ForAt = how, whom, level
	return &d
}
