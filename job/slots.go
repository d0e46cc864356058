package job

import (
	"strconv"

	"github.com/urban-compute/ucp/clock"
)

// Slots calls yield with each part of the record that an actor has written in updates after one, and its canonical bytes, which
// are yield's only during the call. A part is what [Merge] takes or leaves as a whole, so that what is left of a
// writer's after any merge is a set of parts, each as it was written. Of parts that no update is noted of, all that can be the
// actor's are shown, and those that can be anybody's: the writer of the record vouches for them.
func (r *Record) Slots(by clock.Actor, after uint64, yield func(part string, content []byte)) {
	var buf [stackBuffer]byte
	wrote := func(d clock.Dot) bool { return d.Actor == by && d.Counter > after }
	name := by.Broker()
	for i := range r.Created {
		if s := &r.Created[i]; wrote(s.Dot) {
			yield("creation", appendStamp(buf[:0], &Stamp{Dot: s.Dot, At: s.At})) // as a stub has it
			if len(s.Deps) > 0 {
				yield("causes", appendStamp(buf[:0], s))
			}
		}
	}
	if r.Owner.Tenure.By == by {
		yield("owner", appendAssignment(buf[:0], &r.Owner))
	}
	if r.Owner.Broker == name && r.Place.Attempt.Tenure == r.Owner.Tenure && !r.Place.IsZero() {
		yield("place", appendPlacement(buf[:0], &r.Place))
	}
	for i := range r.Reports {
		if rep := &r.Reports[i]; wrote(rep.Dot) {
			yield("report", appendReport(buf[:0], rep))
		}
	}
	if k := r.Kept; k != nil && wrote(k.Dot) {
		yield("kept", appendReport(buf[:0], k))
	}
	if l := r.Loading; l != nil && wrote(l.Dot) {
		yield("loading", appendDot(appendAttempt(buf[:0], &l.Attempt), l.Dot))
	}
	for i := range r.Verdicts {
		if v := &r.Verdicts[i]; wrote(v.Dot) {
			bare := v.bare(r.Dots)
			yield("verdict", appendVerdict(buf[:0], &bare)) // as a stub has it
			if !v.IsBare() {
				yield("accepted", appendVerdict(buf[:0], v))
			}
		}
	}
	if s := r.Seal; s != nil && wrote(s.Dot) {
		b := appendUint(appendUint(appendDot(appendDot(buf[:0], s.Dot), s.Verdict), s.Closes), s.Again)
		yield("seal", b)
	}
	for i := range r.Returns {
		if x := &r.Returns[i]; x.By.Broker() == name {
			yield("return", appendReturn(buf[:0], x))
		}
	}
	for i := range r.Pauses {
		if p := r.Pauses[i]; p.By.Broker() == name {
			begun := p
			begun.To = 0
			yield("pause", appendPause(buf[:0], &begun))
			if p.To != 0 {
				yield("end of a pause", appendPause(buf[:0], &p))
			}
		}
	}
	for i := range r.Ended {
		yield("ended", appendEnding(buf[:0], &r.Ended[i]))
	}
	if r.Losses > 0 {
		yield("losses", strconv.AppendUint(buf[:0], r.Losses, 10))
	}
}
