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
	r.dated(func(d clock.Dot) bool { return d.Actor == by && d.Counter > after }, func(_ clock.Dot, part string, content []byte) { yield(part, content) })
	name := by.Broker()
	if r.Owner.Tenure.By == by {
		yield("owner", appendAssignment(buf[:0], &r.Owner))
	}
	if r.Owner.Broker == name && r.Place.Attempt.Tenure == r.Owner.Tenure && !r.Place.IsZero() {
		yield("place", appendPlacement(buf[:0], &r.Place))
	}
	for i := range r.Returns {
		if x := &r.Returns[i]; x.By.Broker() == name {
			yield("return", appendReturn(buf[:0], x))
		}
	}
	for i := range r.Pauses {
		p := &r.Pauses[i]
		if p.By.Broker() == name {
			begun := *p
			begun.To = 0
			yield("pause", appendPause(buf[:0], &begun))
		}
		if p.To != 0 { // who lets the job go on elsewhere says so
			yield("end of a pause", appendPause(buf[:0], p))
		}
	}
	for i := range r.Ended {
		yield("ended", appendEnding(buf[:0], &r.Ended[i]))
	}
	if r.Losses > 0 {
		yield("losses", strconv.AppendUint(buf[:0], r.Losses, 10))
	}
}

// Claims calls yield with each part of the record that names the update by which it was written, and its canonical bytes, which are
// yield's only during the call: whoever has written that update can say whether that is so. The reports that verdicts have accepted
// are among them.
func (r *Record) Claims(yield func(d clock.Dot, part string, content []byte)) {
	var buf [stackBuffer]byte
	cut := map[clock.Dot]bool{} // verdicts of which a stub may have left this much
	for i := range r.Verdicts {
		switch v := &r.Verdicts[i]; {
		case v.Report == nil && v.Reason == "":
			cut[v.Dot] = true
		case v.Report != nil && !v.IsBare():
			yield(v.Report.Dot, "report", appendReport(buf[:0], v.Report))
		}
	}
	r.dated(func(clock.Dot) bool { return true }, func(d clock.Dot, part string, content []byte) {
		if part != "accepted" || !cut[d] {
			yield(d, part, content)
		}
	})
}

// dated shows the parts that name an update that is wanted.
func (r *Record) dated(wanted func(clock.Dot) bool, yield func(d clock.Dot, part string, content []byte)) {
	var buf [stackBuffer]byte
	for i := range r.Created {
		if s := &r.Created[i]; wanted(s.Dot) {
			yield(s.Dot, "creation", appendStamp(buf[:0], &Stamp{Dot: s.Dot, At: s.At})) // as a stub has it
			if len(s.Deps) > 0 {
				yield(s.Dot, "causes", appendStamp(buf[:0], s))
			}
		}
	}
	for i := range r.Reports {
		if rep := &r.Reports[i]; wanted(rep.Dot) {
			yield(rep.Dot, "report", appendReport(buf[:0], rep))
		}
	}
	if k := r.Kept; k != nil && wanted(k.Dot) {
		yield(k.Dot, "kept", appendReport(buf[:0], k))
	}
	if c := r.Checkpoint; c != nil && wanted(c.Dot) {
		yield(c.Dot, "checkpoint", appendCheckpoint(buf[:0], c))
	}
	if l := r.Loading; l != nil && wanted(l.Dot) {
		yield(l.Dot, "loading", appendDot(appendAttempt(buf[:0], &l.Attempt), l.Dot))
	}
	for i := range r.Verdicts {
		if v := &r.Verdicts[i]; wanted(v.Dot) {
			bare := v.bare(r.Dots)
			yield(v.Dot, "verdict", appendVerdict(buf[:0], &bare)) // as a stub has it
			if !v.IsBare() {
				yield(v.Dot, "accepted", appendVerdict(buf[:0], v))
			}
		}
	}
	if s := r.Seal; s != nil && wanted(s.Dot) {
		b := appendUint(appendUint(appendDot(appendDot(buf[:0], s.Dot), s.Verdict), s.Closes), s.Again)
		yield(s.Dot, "seal", b)
	}
}
