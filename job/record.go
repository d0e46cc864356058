package job

import (
	"cmp"
	"fmt"
	"iter"
	"slices"

	"github.com/urban-compute/ucp/canon"
	"github.com/urban-compute/ucp/clock"
)

// Bounds of a record's collections. Each keeps "the k smallest (or largest) by a
// total order": any other bound would not be a join (rule L2).
const (
	maxCreated  = 8
	maxVerdicts = 8
	maxReports  = 8
	maxDeps     = 16 // dependencies of one creation (rule C3)
	maxAfter    = 16 // jobs that one waits for (rule C4)
	maxPauses   = 16 // the latest
)

// Record is all that is known of one job. Records are immutable: whoever
// changes one makes a new one with [Record.With], so that readers may keep what
// they were given.
type Record struct {
	ID       ID           `codec:"id"`
	Spec     Spec         `codec:"spec"`
	Created  []Stamp      `codec:"created"`            // the earliest first
	Origin   string       `codec:"origin"`             // broker of the earliest creation
	Owner    Assignment   `codec:"owner"`              // who is responsible
	Place    Placement    `codec:"place"`              // who executes
	Reports  []Report     `codec:"reports,omitempty"`  // one for each executor's actor, sorted by it
	Verdicts []Verdict    `codec:"verdicts,omitempty"` // the earliest first; it decides
	Dots     clock.Vector `codec:"dots"`               // the latest dot of each that wrote here
	Ended    []Ending     `codec:"ended,omitempty"`    // how jobs of Spec.After ended, sorted by their IDs (rule C4)

	Pauses []Pause `codec:"pauses,omitempty"` // when it had to make room for others, the earliest first

	Unknown Unknown `codec:"-"` // fields of a newer broker, kept (rule L2)

	key string // derived from ID and Spec, which never change
}

// Stamp is one creation of the job: which event, when, and what the submitter
// had seen (rule C1).
type Stamp struct {
	Dot  clock.Dot    `codec:"dot"`
	At   clock.Hybrid `codec:"at"`
	Deps []Dependency `codec:"deps,omitempty"`
}

// Dependency names a job that the submitter had seen, by its creation.
type Dependency struct {
	Job ID        `codec:"job"`
	Dot clock.Dot `codec:"dot"`
}

// Ending is how a job ended that this one waits for, copied here so that forgetting
// that job harms nothing (rule C4): its first verdict.
type Ending struct {
	Job     ID           `codec:"job"`
	At      clock.Hybrid `codec:"at"`
	By      clock.Actor  `codec:"by"`
	Outcome Outcome      `codec:"outcome"`
}

func (e Ending) before(f Ending) bool {
	return cmp.Or(cmp.Compare(e.At, f.At), cmp.Compare(e.By, f.By), cmp.Compare(e.Outcome, f.Outcome)) < 0
}

func (s Stamp) compare(t Stamp) int {
	return cmp.Or(cmp.Compare(s.At, t.At), s.Dot.Compare(t.Dot))
}

// Tenure identifies one assignment of an owner: who was made owner in which
// epoch, when, by whom. Tenures are totally ordered (rule J4); the highest
// holds.
type Tenure struct {
	Epoch uint64       `codec:"e"`
	At    clock.Hybrid `codec:"t"`
	By    clock.Actor  `codec:"b"`
}

// Compare orders tenures by epoch, hybrid time, writer (rule J4).
func (t Tenure) Compare(u Tenure) int {
	return cmp.Or(cmp.Compare(t.Epoch, u.Epoch), cmp.Compare(t.At, u.At), cmp.Compare(t.By, u.By))
}

// Assignment makes a broker the owner of a job: the one that places it and
// accepts its result.
type Assignment struct {
	Tenure Tenure      `codec:"tenure"`
	Broker string      `codec:"broker"`
	Actor  clock.Actor `codec:"actor"`
}

// Attempt identifies one try at running a job: the owner's tenure and a number
// that grows with every placement. It is the job's fencing token (rule J4).
type Attempt struct {
	Tenure Tenure `codec:"tenure"`
	Seq    uint64 `codec:"seq"`
}

// Compare orders attempts; the highest is the one that should run.
func (a Attempt) Compare(b Attempt) int {
	return cmp.Or(a.Tenure.Compare(b.Tenure), cmp.Compare(a.Seq, b.Seq))
}

// IsZero reports whether this is the zero value: no attempt.
func (a Attempt) IsZero() bool { return a == Attempt{} }

// Token renders the attempt as the job sees it in UCP_ATTEMPT:
// "epoch.seq.time.writer". Equal tokens are equal attempts.
func (a Attempt) Token() string {
	return fmt.Sprintf("%d.%d.%x.%s", a.Tenure.Epoch, a.Seq, uint64(a.Tenure.At), a.Tenure.By)
}

// Placement names the executor of an attempt; written by the owner alone.
type Placement struct {
	Attempt   Attempt     `codec:"attempt"`
	Broker    string      `codec:"broker"`
	Actor     clock.Actor `codec:"actor"`
	Try       int         `codec:"try"`             // which retry this is; 0 is the first try
	NotBefore clock.Time  `codec:"after,omitempty"` // the pause before a retry
}

// IsZero reports whether the job was never placed.
func (p Placement) IsZero() bool { return p.Attempt.IsZero() }

// Phase is how far an executor is with an attempt.
type Phase string

// The phases of an attempt, in their usual order.
const (
	Queued    Phase = "queued"  // waits for room, or for its inputs
	Running   Phase = "running" // its start is decided and durable
	Suspended Phase = "suspended"
	Stopped   Phase = "stopped" // it was told to, for another attempt
	Done      Phase = "done"    // Result says how it ended
)

// Report is what an executor says of its attempt. It lies in the slot of the
// executor's actor, and only that executor writes there (rule J5). (A slice and
// not a map: the codec fills absent fields of a map's struct values from the value
// that it decoded before.)
type Report struct {
	Attempt Attempt      `codec:"attempt"`
	Dot     clock.Dot    `codec:"dot"`
	At      clock.Hybrid `codec:"at"`
	Phase   Phase        `codec:"phase"`
	Result  *Result      `codec:"result,omitempty"` // when Done
}

func (r Report) compare(s Report) int {
	return cmp.Or(r.Attempt.Compare(s.Attempt), cmp.Compare(r.Dot.Counter, s.Dot.Counter), cmp.Compare(r.Dot.Actor, s.Dot.Actor))
}

// Verdict ends a job. A broker that knows of one writes none, so several are
// always concurrent; the earliest decides and the others are remembered (rule J1).
type Verdict struct {
	At      clock.Hybrid `codec:"at"`
	Dot     clock.Dot    `codec:"dot"` // Dot.Actor is the writer
	Outcome Outcome      `codec:"outcome"`
	Reason  string       `codec:"reason,omitempty"`
	Report  *Report      `codec:"report,omitempty"` // the accepted result, when it is one
}

func (v Verdict) compare(w Verdict) int {
	return cmp.Or(cmp.Compare(v.At, w.At), cmp.Compare(v.Dot.Actor, w.Dot.Actor), cmp.Compare(v.Dot.Counter, w.Dot.Counter))
}

// New makes the record of a submission: created, and owned by the broker whose
// actor wrote the dot (tenure of epoch 1). Digest is the spec's.
func New(id ID, spec Spec, digest Digest, stamp Stamp) *Record {
	spec.MinReplicas = 0 // says how the submission is answered, not what the job is
	broker := stamp.Dot.Actor.Broker()
	return &Record{
		ID: id, Spec: spec,
		Created: []Stamp{stamp},
		Origin:  broker,
		Owner: Assignment{
			Tenure: Tenure{Epoch: 1, At: stamp.At, By: stamp.Dot.Actor},
			Broker: broker, Actor: stamp.Dot.Actor,
		},
		Dots: clock.NewVector(stamp.Dot),
		key:  Key(id, digest),
	}
}

// With returns a copy of the record that the given dot's actor has changed with
// edit. Edit must set or append, never alter what a slice or map of the record
// already holds; for reports and verdicts there are SetReport and AddVerdict.
func (r *Record) With(dot clock.Dot, edit func(*Record)) *Record {
	c := *r
	c.Dots = r.Dots.Clone()
	c.Dots.Set(dot)
	edit(&c)
	return &c
}

// SetReport puts the report into the slot of its dot's actor. Only for use
// within [Record.With].
func (r *Record) SetReport(rep Report) {
	r.Reports, _ = mergeReports(r.Reports, []Report{rep})
}

// Pause is a time in which a running job had to make room for another. It stands in the
// record so that who was stopped, for whom, for how long and because of which emergency can
// be told by every broker, also when the one that did it is gone.
type Pause struct {
	By        clock.Actor `codec:"by"`           // the executor that made it stand still
	From      clock.Time  `codec:"from"`         //
	To        clock.Time  `codec:"to,omitempty"` // when it went on; 0 while it does not. Of two claims the earlier holds
	For       ID          `codec:"for"`          // the job that got its room
	Emergency string      `codec:"em,omitempty"` // ID of what had raised that one's level; "" when nothing had
	Mode      Preemption  `codec:"mode"`         // Suspend, or Requeue: it began again
}

// compare orders pauses: in time, then by what else tells two of them apart.
func (p Pause) compare(q Pause) int {
	return cmp.Or(cmp.Compare(p.From, q.From), cmp.Compare(p.By, q.By), cmp.Compare(p.For, q.For), cmp.Compare(p.Emergency, q.Emergency), cmp.Compare(p.Mode, q.Mode))
}

// AddPause notes that the job stands still from now on. Only for use within [Record.With].
func (r *Record) AddPause(p Pause) { r.Pauses, _ = mergePauses(r.Pauses, []Pause{p}) }

// EndPauses notes that it goes on. Only for use within [Record.With].
func (r *Record) EndPauses(at clock.Time) {
	var ended []Pause
	for _, p := range r.Pauses {
		if p.To == 0 {
			p.To = max(at, p.From, 1)
			ended = append(ended, p)
		}
	}
	r.Pauses, _ = mergePauses(r.Pauses, ended)
}

// SetEnding notes how a predecessor ended. Only for use within [Record.With].
func (r *Record) SetEnding(e Ending) {
	r.Ended, _ = mergeEndings(r.Ended, []Ending{e})
}

// Waits lists the predecessors whose end is not known here yet (rule C4).
func (r *Record) Waits() (out []ID) {
	for _, id := range r.Spec.After {
		if !slices.ContainsFunc(r.Ended, func(e Ending) bool { return e.Job == id }) {
			out = append(out, id)
		}
	}
	return out
}

// Barred returns the first predecessor that has not succeeded, when the job runs only
// after the success of all (rule C4); ok is false when there is none.
func (r *Record) Barred() (e Ending, ok bool) {
	if r.Spec.AfterPolicy == AfterEnd {
		return e, false
	}
	for _, e := range r.Ended {
		if e.Outcome != Succeeded {
			return e, true
		}
	}
	return e, false
}

// AddVerdict adds a verdict. Only for use within [Record.With], by a broker that
// knows of none (rule J1).
func (r *Record) AddVerdict(v Verdict) {
	r.Verdicts, _ = canon.Smallest(r.Verdicts, []Verdict{v}, Verdict.compare, maxVerdicts)
}

// Key is the record's key in the ledger: ID and spec, so that two jobs that
// were given one ID in different parts of a split stay two jobs (rule J3).
func (r *Record) Key() string { return r.key }

// Writers returns the latest dot of each that wrote the record.
func (r *Record) Writers() clock.Vector { return r.Dots }

// Key makes a ledger key: the ID, a tilde and half of the spec's digest.
func Key(id ID, spec Digest) string { return string(id) + "~" + string(spec[:32]) }

// Creations are the dots of the job's creations: a broker whose clock covers them all and that
// lacks the record has forgotten it (rule L7).
func (r *Record) Creations() iter.Seq[clock.Dot] {
	return func(yield func(clock.Dot) bool) {
		for _, s := range r.Created {
			if !yield(s.Dot) {
				return
			}
		}
	}
}

// Blobs are the digests of all blobs that the job needs: its module and inputs, and the output of
// every result that is remembered, also of those that do not count. Some may come twice.
func (r *Record) Blobs() iter.Seq[string] {
	return func(yield func(string) bool) {
		all := func(list []Digest) bool {
			return !slices.ContainsFunc(list, func(d Digest) bool { return !yield(string(d)) })
		}
		output := func(rep *Report) bool { return rep == nil || rep.Result == nil || all(rep.Result.Blobs()) }
		ok := all(r.Spec.Blobs())
		for i := 0; ok && i < len(r.Reports); i++ {
			ok = output(&r.Reports[i])
		}
		for i := 0; ok && i < len(r.Verdicts); i++ {
			ok = output(r.Verdicts[i].Report)
		}
	}
}

// Predecessors lists the jobs that this one names: those that it waits for, and
// those that its submitter had seen (rule C1). They are remembered for as long as
// it is not finished (rule L8).
func (r *Record) Predecessors() []ID {
	if len(r.Spec.After) == 0 && len(r.Created[0].Deps) == 0 {
		return nil
	}
	out := slices.Clone(r.Spec.After)
	for _, s := range r.Created {
		for _, d := range s.Deps {
			out = append(out, d.Job)
		}
	}
	return out
}

// Stamps visits every stamp of the record with its writer.
func (r *Record) Stamps(visit func(at clock.Hybrid, by clock.Actor)) {
	visit(r.Submitted(), r.Created[0].Dot.Actor)
	visit(r.Owner.Tenure.At, r.Owner.Tenure.By)
	for _, rep := range r.Reports {
		visit(rep.At, rep.Dot.Actor)
	}
	for _, v := range r.Verdicts {
		visit(v.At, v.Dot.Actor)
	}
}
