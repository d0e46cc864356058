package job

import (
	"cmp"
	"slices"

	"github.com/urban-compute/ucp/canon"
	"github.com/urban-compute/ucp/clock"
)

// Merge returns the least upper bound of two copies of a record, and whether it
// holds anything that a does not (rule L6: only that is passed on). Neither argument
// is changed; if b adds nothing, a itself is returned.
//
// Each field is merged by a join over a total order, so that the whole is
// commutative, associative and idempotent (rule L2):
//
//  1. Created: union, the MaxCreated earliest. Origin is that of the earliest.
//  2. Owner: the highest tenure (rule J4).
//  3. Place: the highest attempt (rule J4).
//  4. Reports: for each executor its highest (attempt, dot); of those the maxReports highest (rule J5).
//  5. Verdicts: union, the maxVerdicts earliest, and the sealed one (rules J1, F2).
//  6. Dots: the vector join.
//  7. Ended: for each predecessor the one that decides, by its seal, then the earliest (rule C4).
//  8. Pauses: union, for each the earliest end; of those the maxPauses latest.
//  9. Losses: the maximum (rule P4).
//  10. Seal: that of the writer who knew of more closes of members, then of the earlier verdict, then the one written again more often, then of the lower dot (rule F2).
//  11. Returns: union, the MaxReturns latest attempts (rule J12).
//  12. Loading: that of the later attempt, then of the later report (rule J14).
//  13. Kept: the highest (attempt, dot), as of reports (rule J13).
//  14. Checkpoint: that for which the job had run longest, then that of the later attempt (rule J17).
//  15. Unknown: union; of two values of one field the greater encoding.
//
// A stub (rule M4) is a record of which less is known: of two copies of one creation or verdict the fuller one stays, and
// what is whole stays whole.
//
// The records must have the same key, and therefore the same ID and Spec (rule J3). Equal
// versions have equal contents, because no dot and no stamp of an actor is
// used twice (rule I1).
func Merge(a, b *Record) (merged *Record, changed bool) {
	if a.IsStub() && !b.IsStub() {
		m, _ := Merge(b, a)
		return m, true
	}
	m := *a
	var c [17]bool
	m.Created, c[0] = canon.Smallest(a.Created, b.Created, Stamp.compare, MaxCreated)
	if m.Created[0].compare(a.Created[0]) != 0 {
		m.Origin = b.Origin
	}
	m.Owner, c[1] = mergeMax(a.Owner, b.Owner, func(x, y Assignment) int { return x.Tenure.compare(y.Tenure) })
	m.Place, c[2] = mergeMax(a.Place, b.Place, func(x, y Placement) int { return x.Attempt.Compare(y.Attempt) })
	m.Reports, c[3] = mergeReports(a.Reports, b.Reports)
	m.Seal, c[12] = mergeSeals(a, b)
	m.Verdicts, c[4] = mergeVerdicts(a.Verdicts, b.Verdicts, m.Seal)
	if !a.Dots.Covers(b.Dots) {
		m.Dots = a.Dots.Clone()
		c[5] = m.Dots.Merge(b.Dots)
	}
	m.Ended, c[6] = mergeEndings(a.Ended, b.Ended)
	m.Pauses, c[7] = mergePauses(a.Pauses, b.Pauses)
	m.Losses, c[8] = mergeMax(a.Losses, b.Losses, cmp.Compare)
	m.Returns, c[13] = mergeReturns(a.Returns, b.Returns)
	m.Loading, c[14] = mergeLoading(a.Loading, b.Loading)
	m.Kept, c[15] = mergeKept(a.Kept, b.Kept)
	m.Checkpoint, c[16] = mergeCheckpoints(a.Checkpoint, b.Checkpoint)
	m.Unknown, c[9] = a.Unknown.Merge(b.Unknown)
	c[10] = fullest(&m.Created, b.Created, Stamp.compare, Stamp.fuller)
	c[11] = fullest(&m.Verdicts, b.Verdicts, Verdict.compare, Verdict.fuller)
	if c == [17]bool{} {
		return a, false
	}
	return &m, true
}

// mergeEndings returns the ending that decides of each job in two sorted lists, and
// whether the result differs from a.
func mergeEndings(a, b []Ending) (out []Ending, changed bool) {
	if len(b) == 0 {
		return a, false
	}
	out = slices.Clone(a)
	for _, e := range b {
		i, known := slices.BinarySearchFunc(out, e.Job, func(x Ending, id ID) int { return cmp.Compare(x.Job, id) })
		switch {
		case !known:
			out, changed = slices.Insert(out, i, e), true
		case e.before(out[i]):
			out[i], changed = e, true
		}
	}
	if !changed {
		return a, false
	}
	return out[:min(len(out), maxAfter)], true
}

// mergePauses returns the join of two sorted lists of pauses, and whether the result differs from a.
// The order of pauses does not depend on To, so that the limit drops the same pauses whatever
// is known about their ends.
func mergePauses(a, b []Pause) (out []Pause, changed bool) {
	if len(b) == 0 {
		return a, false
	}
	out = slices.Clone(a)
	for _, p := range b {
		i, known := slices.BinarySearchFunc(out, p, Pause.compare)
		if !known {
			out = slices.Insert(out, i, p)
		} else if p.To != 0 && (out[i].To == 0 || p.To < out[i].To) {
			out[i].To = p.To
		}
	}
	out = out[max(0, len(out)-maxPauses):]
	if slices.Equal(a, out) {
		return a, false
	}
	return out, true
}

// mergeReturns returns the join of two lists of returned attempts, and whether the result differs from a.
func mergeReturns(a, b []Return) ([]Return, bool) {
	return canon.Smallest(a, b, Return.compare, MaxReturns)
}

// mergeMax returns the greater value, and whether that is b.
func mergeMax[T any](a, b T, compare func(T, T) int) (T, bool) {
	if compare(b, a) > 0 {
		return b, true
	}
	return a, false
}

// mergeReports returns the highest report of each actor, and of those the
// maxReports highest, sorted by actor. It also returns whether the result differs from a.
func mergeReports(a, b []Report) ([]Report, bool) {
	if len(b) == 0 {
		return a, false
	}
	out := slices.Clone(a)
	for _, rep := range b {
		i, ok := slices.BinarySearchFunc(out, rep.Dot.Actor, func(r Report, a clock.Actor) int { return cmp.Compare(r.Dot.Actor, a) })
		if !ok {
			out = slices.Insert(out, i, rep)
		} else if out[i].compare(rep) < 0 {
			out[i] = rep
		}
	}
	for len(out) > maxReports {
		lowest := slices.MinFunc(out, Report.compare)
		out = slices.DeleteFunc(out, func(r Report) bool { return r.compare(lowest) == 0 })
	}
	if slices.EqualFunc(a, out, func(x, y Report) bool { return x.compare(y) == 0 }) {
		return a, false
	}
	return out, true
}
