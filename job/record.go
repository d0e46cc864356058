package job

import (
	"cmp"
	"fmt"
	"iter"
	"slices"

	"github.com/urban-compute/ucp/canon"
	"github.com/urban-compute/ucp/clock"
)

// Limits of a record's collections. Each keeps "the k smallest (or largest) by a
// total order": with any other limit, merging would not be a join (rule L2).
const (
	MaxCreated  = 8 // creations, the earliest
	maxVerdicts = 8
	maxReports  = 8
	maxDeps     = 16 // dependencies of one creation (rule C3)
	maxAfter    = 16 // jobs for which one job waits (rule C4)
	maxPauses   = 16 // the latest ones are kept
)

// Record is everything that is known about one job. Records are immutable: a change is made to a copy
// ([Record.With]), so that readers may keep the record that they have. The exported fields are read-only
// outside of this package, except inside With.
type Record struct {
	ID       ID           `codec:"id"`
	Spec     Spec         `codec:"spec"`
	Created  []Stamp      `codec:"created"`            // the earliest first
	Origin   string       `codec:"origin"`             // broker of the earliest creation
	Owner    Assignment   `codec:"owner"`              // the broker that is responsible for the job
	Place    Placement    `codec:"place"`              // the broker that executes the job
	Reports  []Report     `codec:"reports,omitempty"`  // one per executor's actor, sorted by actor
	Verdicts []Verdict    `codec:"verdicts,omitempty"` // the earliest first; that one decides, unless another is sealed
	Seal     *Seal        `codec:"seal,omitempty"`     // of a verdict that was stable as another came (rule F2); nil for nearly every job
	Dots     clock.Vector `codec:"dots"`               // the latest dot of each writer
	Ended    []Ending     `codec:"ended,omitempty"`    // how the jobs in Spec.After ended, sorted by ID (rule C4)

	Pauses []Pause `codec:"pauses,omitempty"` // when the job was preempted, the earliest first
	Stub   Digest  `codec:"stub,omitempty"`   // half of the spec's digest, where nothing else is known of the spec (rule M4)
	Losses uint64  `codec:"losses,omitempty"` // executors that were lost, each alone, while the job ran there (rule P4)

	Loading    *Loading    `codec:"loading,omitempty"`    // the report that says that its attempt loads (rule J14); nil for most jobs
	Kept       *Report     `codec:"kept,omitempty"`       // of the attempt that was last stopped to run again, and had written something (rule J13); nil for most jobs
	Checkpoint *Checkpoint `codec:"checkpoint,omitempty"` // from which the next attempt goes on (rule J17); nil for most jobs
	Returns    []Return    `codec:"returns,omitempty"`    // attempts that their executors could not carry out, the latest first (rule J12)

	Unknown canon.Unknown `codec:"-"` // fields of a newer broker, kept (rule L2)

	key string // derived from ID and Spec, which never change
}

// Stamp is one creation of the job: its dot, its time, and which jobs the submitter
// had seen (rule C1).
type Stamp struct {
	Dot  clock.Dot    `codec:"dot"`
	At   clock.Hybrid `codec:"at"`
	Deps []Dependency `codec:"deps,omitempty"`
}

// Dependency identifies a job that the submitter had seen, and its creation.
type Dependency struct {
	Job ID        `codec:"job"`
	Dot clock.Dot `codec:"dot"`
}

// Ending is the verdict that decides a predecessor, that is, a job in Spec.After. It is copied into this job's
// record, so that the predecessor's record may be forgotten (rule C4).
type Ending struct {
	Job     ID           `codec:"job"`
	At      clock.Hybrid `codec:"at"`
	By      clock.Actor  `codec:"by"`
	Outcome Outcome      `codec:"outcome"`
	Sealed  uint64       `codec:"sealed,omitempty"` // how many closes its seal knows of, and one; 0 if it is not sealed (rule F2)
	// Read are the blobs that this job reads of that one, by [Source.Part]: of those that it has left (rule C6).
	Read map[string]Digest `codec:"read,omitempty"`
}

// before reports whether e decides where f is noted, too, as their verdicts do: by the seals, then the earlier one.
func (e Ending) before(f Ending) bool {
	return cmp.Or(cmp.Compare(f.Sealed, e.Sealed), cmp.Compare(e.At, f.At), cmp.Compare(e.By, f.By), cmp.Compare(e.Outcome, f.Outcome), compareReads(e.Read, f.Read)) < 0
}

// EndingFor says how a finished job has ended, for the record of one that runs after it (rule C4), and what that one reads of it (rule C6).
func (r *Record) EndingFor(successor *Spec) Ending {
	v := r.Verdict()
	e := Ending{Job: r.ID, At: v.At, By: v.Dot.Actor, Outcome: v.Outcome, Read: r.read(successor)}
	if r.Seal != nil {
		e.Sealed = clock.Following(r.Seal.Closes)
	}
	return e
}

func (s Stamp) compare(t Stamp) int {
	return cmp.Or(cmp.Compare(s.At, t.At), s.Dot.Compare(t.Dot))
}

// Tenure identifies one assignment of an owner, by epoch, time and writer. Tenures are totally ordered (rule
// J4); the highest one is in force.
type Tenure struct {
	Epoch uint64       `codec:"e"`
	At    clock.Hybrid `codec:"t"`
	By    clock.Actor  `codec:"b"`
}

// compare orders tenures by epoch, hybrid time and writer (rule J4).
func (t Tenure) compare(u Tenure) int {
	return cmp.Or(cmp.Compare(t.Epoch, u.Epoch), cmp.Compare(t.At, u.At), cmp.Compare(t.By, u.By))
}

// Assignment makes a broker the owner of a job: the owner places the job and
// accepts its result.
type Assignment struct {
	Tenure Tenure      `codec:"tenure"`
	Broker string      `codec:"broker"`
	Actor  clock.Actor `codec:"actor"`
}

// Attempt identifies one attempt at running a job: the owner's tenure and a number
// that grows with every placement. It is the job's fencing token (rule J4).
type Attempt struct {
	Tenure Tenure `codec:"tenure"`
	Seq    uint64 `codec:"seq"`
}

// Compare orders attempts, like cmp.Compare. The highest attempt is the one that should run.
func (a Attempt) Compare(b Attempt) int {
	return cmp.Or(a.Tenure.compare(b.Tenure), cmp.Compare(a.Seq, b.Seq))
}

// IsZero reports whether this is the zero Attempt, that is, whether there is no attempt.
func (a Attempt) IsZero() bool { return a == Attempt{} }

// Token returns the attempt as the job sees it in UCP_ATTEMPT:
// "epoch.seq.time.writer". Different attempts have different tokens.
func (a Attempt) Token() string {
	return fmt.Sprintf("%d.%d.%x.%s", a.Tenure.Epoch, a.Seq, uint64(a.Tenure.At), a.Tenure.By)
}

// Placement names the executor of an attempt. Only the owner writes it.
type Placement struct {
	Attempt   Attempt     `codec:"attempt"`
	Broker    string      `codec:"broker"`
	Actor     clock.Actor `codec:"actor"`
	Try       int         `codec:"try"`             // how many retries preceded; 0 for the first attempt
	NotBefore clock.Time  `codec:"after,omitempty"` // end of the pause before a retry
}

// IsZero reports whether the job was never placed.
func (p Placement) IsZero() bool { return p.Attempt.IsZero() }

// Phase is the progress of an attempt at its executor.
type Phase string

// The phases of an attempt, in their usual order.
const (
	Queued    Phase = "queued"    // it waits for free resources, or for its inputs
	Running   Phase = "running"   // its start is decided and durable
	Suspended Phase = "suspended" // it does not run, but keeps its memory
	Stopped   Phase = "stopped"   // it was stopped because another attempt replaced it
	Done      Phase = "done"      // it has ended; Result says how
)

// Report is an executor's report on its attempt. Each executor's actor has one slot in Record.Reports, to
// which only that executor writes (rule J5). (Record.Reports is a slice and not a map because the codec fills
// absent fields of a map's struct values from the value that it decoded before.)
type Report struct {
	Attempt Attempt      `codec:"attempt"`
	Dot     clock.Dot    `codec:"dot"`
	At      clock.Hybrid `codec:"at"`
	Phase   Phase        `codec:"phase"`
	Result  *Result      `codec:"result,omitempty"` // only if Phase is Done
}

func (r Report) compare(s Report) int {
	return cmp.Or(r.Attempt.Compare(s.Attempt), cmp.Compare(r.Dot.Counter, s.Dot.Counter), cmp.Compare(r.Dot.Actor, s.Dot.Actor))
}

// Verdict ends a job. A broker that knows a verdict does not write another one, so several verdicts are
// always concurrent. The earliest one decides, unless another is sealed (rule F2), and the others are remembered (rule J1).
type Verdict struct {
	At      clock.Hybrid `codec:"at"`
	Dot     clock.Dot    `codec:"dot"` // Dot.Actor is the writer
	Outcome Outcome      `codec:"outcome"`
	Reason  string       `codec:"reason,omitempty"`
	Report  *Report      `codec:"report,omitempty"` // the accepted result, if there is one
}

func (v Verdict) compare(w Verdict) int {
	return cmp.Or(cmp.Compare(v.At, w.At), cmp.Compare(v.Dot.Actor, w.Dot.Actor), cmp.Compare(v.Dot.Counter, w.Dot.Counter))
}

// New returns the record of a submission. The job is owned by the broker whose
// actor wrote the stamp's dot, with a tenure of epoch 1. digest is spec.Digest().
func New(id ID, spec Spec, digest Digest, stamp Stamp) *Record {
	spec.MinReplicas = 0 // it says when the submission is answered, not what the job is
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

// With returns a copy of the record that edit has changed, with dot as the change's dot. edit must not modify
// the elements of the record's slices and maps, because the original shares them: it may set fields, and call
// SetReport, SetLoading, SetKept, SetCheckpoint, AddCreation, AddVerdict, SetSeal, AddPause, EndPauses, SetEnding and AddReturn.
func (r *Record) With(dot clock.Dot, edit func(*Record)) *Record {
	c := *r
	c.Dots = r.Dots.Clone()
	c.Dots.Set(dot)
	edit(&c)
	if c.IsStub() {
		c.Stub = ""
		return c.ToStub()
	}
	return &c
}

// SetReport puts a report into the slot of its dot's actor. It may only be called
// inside [Record.With].
func (r *Record) SetReport(rep Report) {
	r.Reports, _ = mergeReports(r.Reports, []Report{rep})
}

// Pause is a time in which a job did not run because it was preempted. Pauses are in the
// record so that every broker can tell which job was preempted, for which job, for how long and because of which
// emergency, even if the executor is not reachable any more.
type Pause struct {
	By        clock.Actor `codec:"by"`           // the executor that preempted the job
	From      clock.Time  `codec:"from"`         // when the job was stopped
	To        clock.Time  `codec:"to,omitempty"` // when it continued; 0 until then. Of two values the earlier one counts
	For       ID          `codec:"for"`          // the job that got its resources
	Emergency string      `codec:"em,omitempty"` // ID of the emergency that had raised that job's level, or ""
	Mode      Preemption  `codec:"mode"`         // Suspend, or Requeue if the job started again from the beginning
}

// compare orders pauses by time, and then by their other fields except To.
func (p Pause) compare(q Pause) int {
	return cmp.Or(cmp.Compare(p.From, q.From), cmp.Compare(p.By, q.By), cmp.Compare(p.For, q.For), cmp.Compare(p.Emergency, q.Emergency), cmp.Compare(p.Mode, q.Mode))
}

// AddPause records that the job was preempted. It may only be called inside [Record.With].
func (r *Record) AddPause(p Pause) { r.Pauses, _ = mergePauses(r.Pauses, []Pause{p}) }

// EndPauses records that the job continues at the given time, which ends its open pauses. It may only be
// called inside [Record.With].
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

// SetEnding records how a predecessor ended. It may only be called inside [Record.With].
func (r *Record) SetEnding(e Ending) {
	r.Ended, _ = mergeEndings(r.Ended, []Ending{e})
}

// Notes reports whether the record notes how a predecessor has ended: so, or as another of its ends that decides.
func (r *Record) Notes(e Ending) bool {
	return slices.ContainsFunc(r.Ended, func(f Ending) bool { return f.Job == e.Job && !e.before(f) })
}

// HasEnding reports whether the record notes how a predecessor has ended.
func (r *Record) HasEnding(id ID) bool {
	_, noted := r.endingOf(id)
	return noted
}

// Waits lists the predecessors whose ending is not yet in the record (rule C4).
func (r *Record) Waits() (out []ID) {
	for _, id := range r.Spec.After {
		if !slices.ContainsFunc(r.Ended, func(e Ending) bool { return e.Job == id }) {
			out = append(out, id)
		}
	}
	return out
}

// Barred returns the ending of the first predecessor that did not succeed, if the job may run only
// after the success of all (rule C4); ok is false if there is none.
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

// AddCreation adds a creation to a record that others would take for one that they have forgotten (rules L7, K3). It may
// only be called inside [Record.With], with a stamp of now.
func (r *Record) AddCreation(s Stamp) {
	r.Created, _ = canon.Smallest(r.Created, []Stamp{s}, Stamp.compare, MaxCreated)
}

// AddVerdict adds a verdict. It may only be called inside [Record.With], by a broker that
// knows no verdict on the job (rule J1).
func (r *Record) AddVerdict(v Verdict) {
	r.Verdicts, _ = canon.Smallest(r.Verdicts, []Verdict{v}, Verdict.compare, maxVerdicts)
}

// Key implements ledger.Record. The key is made of ID and spec, so that two jobs that
// were given the same ID on two sides of a partition remain two jobs (rule J3).
func (r *Record) Key() string { return r.key }

// Writers implements ledger.Record: it returns the latest dot of each writer of the record.
func (r *Record) Writers() clock.Vector { return r.Dots }

// Key returns a job's ledger key: the ID, a tilde and half of the spec's digest.
func Key(id ID, spec Digest) string { return string(id) + "~" + string(spec[:32]) }

// Creations implements ledger.Record: it yields the dots of the job's creations. A broker whose clock covers
// all of them, and that does not have the record, has forgotten it (rule L7).
func (r *Record) Creations() iter.Seq[clock.Dot] {
	return func(yield func(clock.Dot) bool) {
		for _, s := range r.Created {
			if !yield(s.Dot) {
				return
			}
		}
	}
}

// Blobs implements ledger.Record: it yields the digests of all blobs that the job needs: its module and
// inputs, also those that other jobs have left, and the outputs of every result in the record, even of those that do not count; but not what an attempt left
// that was stopped to run again, once the job has ended with a result, nor its checkpoint, once it has ended. A digest may be yielded twice.
func (r *Record) Blobs() iter.Seq[string] {
	return func(yield func(string) bool) {
		all := func(list []Digest) bool {
			return !slices.ContainsFunc(list, func(d Digest) bool { return !yield(string(d)) })
		}
		output := func(rep *Report) bool { return rep == nil || rep.Result == nil || all(rep.Result.Blobs()) }
		ok := all(r.Needs())
		for i := 0; ok && i < len(r.Reports); i++ {
			ok = output(&r.Reports[i])
		}
		for i := 0; ok && i < len(r.Verdicts); i++ {
			ok = output(r.Verdicts[i].Report)
		}
		if ok && r.Accepted() == nil {
			output(r.Kept)
		}
	}
}

// Predecessors lists the jobs that this one refers to: those in Spec.After, and
// those that its submitter had seen (rule C1). They must not be forgotten until
// this job is finished (rule L8).
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

// Stamps calls visit with every stamp in the record and its writer.
func (r *Record) Stamps(visit func(at clock.Hybrid, by clock.Actor)) {
	visit(r.Submitted(), r.Created[0].Dot.Actor)
	visit(r.Owner.Tenure.At, r.Owner.Tenure.By)
	for _, rep := range r.Reports {
		visit(rep.At, rep.Dot.Actor)
	}
	if k := r.Kept; k != nil {
		visit(k.At, k.Dot.Actor)
	}
	if c := r.Checkpoint; c != nil {
		visit(c.At, c.Dot.Actor)
	}
	for _, v := range r.Verdicts {
		visit(v.At, v.Dot.Actor)
	}
}
