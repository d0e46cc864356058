// Command ends explores what a start that is not proven makes of ends on its disk (rules F2, F3, M3 of docs/protocol.md): others may have
// seen another end of the same job as firm, and have forgotten it, so that no delta brings it.
//
// Three members and one job, which all hold at first, and which two of them may end: the first end by its time decides, unless the
// other one is sealed. W is 2. The disk of a may be restored from a copy; a and b may start again on an intact one; the power may fail for
// all at once; c may lie, once to each start: it says that it has forgotten the job. What passes in one message and its answer is two
// steps: records and clocks, and the answer to what a start asks. Membership, stubs and orphans are left out.
//
// Properties: no end that was called firm changes ("firm"), and when all hear each other, nothing else happens, and all hold the job, no
// end stays in doubt ("waits").
package main

import (
	"fmt"
	"math/bits"

	"github.com/urban-compute/ucp/docs/model/explore"
)

const (
	members = 3
	copies  = 2 // W
	restore = 0 // whose disk may be replaced by a copy
	liar    = 2
)

// rule is one reading of F3; the zero one is the rule as it stands.
type rule struct {
	unasked       bool // nobody is asked of ends
	ownClock      bool // who is asked sends what the present clock of who asks lacks, not what is newer than the disk
	raised        bool // a start that is not proven seals by what has become stable since
	lasts         bool // nobody ends a doubt
	unprovenTells bool // what a start that is not proven tells as stable counts
	unsealed      bool // who is asked does not seal the end that is stable there
	kept          bool // what comes of a job that was forgotten is passed on to nobody

	lies     bool  // what may happen
	powerCut bool  // once a's disk was copied
	starts   uint8 // who may start again on an intact disk, once each; a only when its disk was replaced
}

// dots is a set of updates: the two verdicts, and the seals of each by each member.
type dots uint8

func verdict(v int) dots       { return 1 << (v - 1) }
func sealOf(v, by int) dots    { return 1 << (2 + members*(v-1) + by) }
func (d dots) has(e dots) bool { return e&^d == 0 }

// decides is the verdict that decides a job with these updates, 0 when it has not ended, and the update that says so.
func (d dots) decides() (v int, by dots) {
	for v := 1; v <= 2; v++ {
		for i := range members {
			if s := sealOf(v, i); d.has(s) {
				return v, s
			}
		}
	}
	for v := 1; v <= 2; v++ {
		if d.has(verdict(v)) {
			return v, verdict(v)
		}
	}
	return 0, 0
}

type member struct {
	held         bool
	record       dots // updates of it
	passed       dots // updates of it that came once it was forgotten
	clock        dots // updates that its clock covers
	stable       dots
	disk, before dots          // what its clock covered, and was stable, on the disk with which the proof began
	told, tolds  [members]dots // what each has told that it covers, and as stable
	heard        uint8         // whose present start it has heard
	proven       bool
	witnesses    uint8 // that are not proven
	doubt        bool
	doubters     uint8 // who is in doubt, too
	lied         bool  // the liar has had its say in this start
}

type state struct {
	m                        [members]member
	copy                     member
	copied, restored, failed bool
	starts, ended            uint8
	firm                     int
	changed                  bool
}

func bit(i int) uint8 { return 1 << i }

func name(i int) string { return string(rune('a' + i)) }

// settled is what is stable at a member, as far as it seals by it.
func (r rule) settled(x *member) dots {
	if x.proven || r.raised {
		return x.stable
	}
	return x.before
}

// merge takes in updates of the job.
func (r rule) merge(x *member, i int, d dots) {
	was := x.record
	x.record |= d
	x.clock |= x.record
	v, by := was.decides()
	sealed := x.record>>2 != 0
	if v != 0 && !x.doubt && !sealed && x.record&3 != was&3 && (r.settled(x).has(verdict(v)) || r.settled(x).has(by)) {
		x.record |= sealOf(v, i)
		x.clock |= x.record
	}
}

// meets lets j hear which start of i speaks.
func meets(s *state, j, i int) {
	if x := &s.m[j]; x.heard&bit(i) == 0 {
		x.heard |= bit(i)
		x.told[i], x.tolds[i] = 0, 0
	}
}

// tells is what counts of what a member tells as stable.
func (r rule) tells(x *member) dots {
	if x.proven || r.unprovenTells {
		return x.stable
	}
	return 0
}

// pull lets i take in the delta of j, and j hear of the clock of i.
func (r rule) pull(s *state, i, j int) {
	x, y := &s.m[i], &s.m[j]
	meets(s, i, j)
	meets(s, j, i)
	if y.clock.has(x.clock) {
		y.told[i], y.tolds[i] = x.clock, r.tells(x)
	}
	given := y.passed
	if y.held {
		given = y.record
	}
	switch {
	case x.clock.has(given):
	case x.held:
		r.merge(x, i, given)
	case !r.kept:
		x.passed |= given
	}
	x.clock |= y.clock
	x.told[j], x.tolds[j] = y.clock, r.tells(y)
	settle(s, i)
	settle(s, j)
}

// ask lets j answer what i asks as long as it is not proven, or in doubt.
func (r rule) ask(s *state, i, j int) {
	x, y := &s.m[i], &s.m[j]
	if !x.clock.has(y.clock) || x.heard&bit(j) == 0 || y.heard&bit(i) == 0 {
		return
	}
	if x.held && !x.proven {
		switch {
		case !y.held:
			r.unsure(x, j, true)
		case y.doubt:
			r.unsure(x, j, false)
		}
		base := x.disk
		if r.ownClock {
			base = x.clock
		}
		if y.held && !base.has(y.record) && !r.unasked {
			r.sealAsked(y, j)
			r.merge(x, i, y.record)
		}
	}
	if x.doubt && y.held && y.proven && !y.doubt && !r.lasts {
		r.sealAsked(y, j)
		r.merge(x, i, y.record)
		x.doubt, x.doubters = false, 0
	}
	if !x.proven && y.clock.has(x.disk) {
		x.witnesses |= bit(j)
		x.proven = y.proven || bits.OnesCount8(x.witnesses)+1 >= copies
	}
}

// sealAsked lets j seal what is stable there and decides, when it is asked of it.
func (r rule) sealAsked(y *member, j int) {
	v, by := y.record.decides()
	if v == 0 || y.record>>2 != 0 || y.doubt || r.unsealed || !r.settled(y).has(verdict(v)) && !r.settled(y).has(by) {
		return
	}
	y.record |= sealOf(v, j)
	y.clock |= y.record
}

// unsure notes that the job is absent at j, or in doubt there.
func (r rule) unsure(x *member, j int, absent bool) {
	if v, by := x.record.decides(); r.unasked && v != 0 || v != 0 && x.before.has(by) {
		return
	}
	x.doubt = true
	if x.doubters &^= bit(j); !absent {
		x.doubters |= bit(j)
	}
	if bits.OnesCount8(x.doubters)+1 >= copies && !r.lasts {
		x.doubt, x.doubters = false, 0
	}
}

// begin is another start of i.
func (r rule) begin(s *state, i int) {
	x := &s.m[i]
	if x.proven {
		x.disk, x.before = x.clock, x.stable
	}
	x.proven, x.witnesses, x.doubters, x.heard, x.lied = false, 0, 0, bit(i), false
	x.told, x.tolds = [members]dots{}, [members]dots{}
	for j := range s.m {
		if j != i {
			s.m[j].heard &^= bit(i)
		}
	}
}

// settle raises what is stable at i.
func settle(s *state, i int) {
	x := &s.m[i]
	meet := x.clock
	for j := range members {
		if j != i {
			meet &= x.told[j]
		}
	}
	x.stable |= meet
	if x.stable.has(x.passed) {
		x.passed = 0
	}
}

// calls reports which end is firm at i.
func (r rule) calls(s *state, i int) int {
	x := &s.m[i]
	v, by := x.record.decides()
	if !x.held || v == 0 || !x.proven || x.doubt || !x.stable.has(by) {
		return 0
	}
	n := 1
	for j := range members {
		if j != i && x.tolds[j].has(by) {
			n++
		}
	}
	if n < copies {
		return 0
	}
	return v
}

func (r rule) next(s state, step func(state, string)) {
	for i := range members {
		x := s.m[i]
		for j := range members {
			if i == j {
				continue
			}
			t := s
			r.pull(&t, i, j)
			step(t, fmt.Sprintf("%s takes in the records and the clock of %s", name(i), name(j)))
			t = s
			r.ask(&t, i, j)
			step(t, fmt.Sprintf("%s answers what %s asks", name(j), name(i)))
		}
		if v := i + 1; i < 2 && x.held && x.record.decides0() && s.ended&bit(i) == 0 {
			t := s
			t.ended |= bit(i)
			r.merge(&t.m[i], i, verdict(v))
			step(t, fmt.Sprintf("%s ends it, by the time of end %d", name(i), v))
		}
		if v := r.calls(&s, i); v != 0 && v != s.firm {
			t := s
			t.changed, t.firm = s.firm != 0, v
			step(t, fmt.Sprintf("%s calls end %d firm", name(i), v))
		}
		if all := x.held && x.stable.has(x.record); all && !x.record.decides0() {
			for j := range members {
				all = all && (j == i || x.tolds[j].has(x.record))
			}
			if t := s; all {
				t.m[i].held, t.m[i].record = false, 0
				step(t, name(i)+" forgets it")
			}
		}
		if t := s; r.starts&^s.starts&bit(i) != 0 && (i != restore || s.restored || r.lies) {
			t.starts |= bit(i)
			r.begin(&t, i)
			step(t, name(i)+" starts again")
		}
		if t := s; r.lies && i != liar && x.held && !x.proven && !x.lied {
			t.m[i].lied = true
			r.unsure(&t.m[i], liar, true)
			step(t, fmt.Sprintf("%s says to %s that it has forgotten it", name(liar), name(i)))
		}
	}
	if t := s; !s.copied {
		t.copied, t.copy = true, s.m[restore]
		step(t, "the disk of a is copied")
	}
	if t := s; s.copied && !s.restored && !r.lies {
		t.restored, t.m[restore] = true, s.copy
		r.begin(&t, restore)
		step(t, "a starts from the copy")
	}
	if t := s; r.powerCut && s.copied && !s.failed {
		t.failed = true
		for i := range members {
			r.begin(&t, i)
		}
		step(t, "the power fails, and all start again")
	}
}

// decides0 reports whether a job with these updates has not ended.
func (d dots) decides0() bool { return d&3 == 0 }

func (r rule) broken(s state) string {
	if s.changed {
		return "firm: an end that was called firm has changed"
	}
	for i := range members {
		if !r.lies || !s.m[i].held {
			return ""
		}
	}
	for range 4 {
		for i := range members {
			for j := range members {
				if i != j {
					r.pull(&s, i, j)
					r.ask(&s, i, j)
				}
			}
		}
	}
	for i := range members {
		if s.m[i].doubt {
			return "waits: an end stays in doubt that all hold"
		}
	}
	return ""
}

func (r rule) search(most int) explore.Result {
	var s state
	for i := range members {
		s.m[i] = member{held: true, proven: true, heard: bit(members) - 1}
	}
	return explore.Search(explore.Model[state]{Start: s, Next: r.next, Broken: r.broken}, most)
}

// cases are the rule, and what each part of it is for.
func cases() []explore.Case {
	const (
		most = 20_000_000
		a    = 1 << 0
		b    = 1 << 1
	)
	of, long := explore.Variants(most, rule.search)
	return []explore.Case{
		of("mended", "", rule{}),
		long("mended, starts again", "", rule{starts: a}),
		long("mended, other start", "", rule{starts: b}),
		long("mended, power cut", "", rule{powerCut: true}),
		long("mended, liar", "", rule{lies: true, starts: a}),
		of("unasked", "firm", rule{unasked: true}),
		of("own clock", "firm", rule{ownClock: true}),
		of("unsealed", "firm", rule{unsealed: true}),
		of("kept", "", rule{kept: true}),
		of("kept, unsealed", "firm", rule{kept: true, unsealed: true}),
		long("unproven tells", "firm", rule{starts: b, unprovenTells: true}),
		of("raised", "", rule{raised: true}),
		long("raised, liar", "", rule{raised: true, lies: true, starts: a}),
		long("raised, other start", "", rule{raised: true, starts: b}),
		long("raised, power cut", "", rule{raised: true, powerCut: true}),
		of("lasts, liar", "waits", rule{lasts: true, lies: true, starts: a}),
	}
}

func main() { explore.Main(cases()) }
