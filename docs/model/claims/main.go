// Command claims explores rule F3 of docs/protocol.md: when a broker believes that a record which it holds was finished
// and forgotten by all others.
//
// Three members and one record, which a created. A clock is reduced to "covers the record" (whoever covers it and lacks
// it has forgotten it, as far as a peer can tell). One member, b, may lie: it says that it has forgotten what it holds,
// that its clock covers what it never had, and that its stable clock covers everything. Disks may be restored
// from a copy, or lost, and a may start again on an intact one; the power may fail for all at once, so that nobody is proven (M3).
// One may come only later, or be of another cluster; each knows a roll of who takes part (M1). The record may be a stray, which
// no clock will ever cover (L5). Blobs, stubs and the order of verdicts are left out.
//
// Properties: nobody drops an unfinished record that nobody has finished ("lost"), nobody runs again what
// others have forgotten ("zombie"), or what clients were told as firm ("firm"), and when all hear each other, and nothing else happens,
// no record and no start that is not proven waits for good, and all hold the same ("waits").
//
// minted.go explores what a broker that was removed, and is back, says again (M2, K3).
package main

import (
	"fmt"
	"math/bits"

	"github.com/urban-compute/ucp/docs/model/explore"
)

const (
	members = 4 // at most
	liar    = 1
)

const (
	none = iota
	live
	done
)

// rule is one reading of F3; the zero one is the rule as it was mended.
type rule struct {
	oneWord    bool // a record that one member says it has forgotten is dropped
	anyTime    bool // a claim counts whenever it comes, not only before this start was proven
	unresolved bool // a disputed record runs as soon as this start is proven
	itself     bool // a start after a power cut is proven before anybody has answered it
	absentOnly bool // who says that it is in doubt, too, does not count like one that lacks it
	silent     bool // who disputes a record tells that only to those that dispute it, too
	anybody    bool // whoever answers counts for W, also who has come since
	sinceStart bool // who was in the roll at this start counts for W, not only who has been proven while this disk was
	forgetful  bool // a start remembers no doubt of an earlier one
	noFounders bool // who founded the roll counts no more than others
	admitted   bool // who is admitted by a start that is proven counts for W, and not only once it is proven, too
	dies       bool // that W hold a record in doubt does not save it
	keeps      bool // who refutes a claim leaves it at that: whoever makes it never takes the record in
	newcomers  bool // who has come since the record was created creates it again, too
	unjudged   bool // an audit says nothing of what no clock covers

	lies, restarts, powerCut bool  // what may happen
	restores, wipes          uint8 // whose disks may be restored, or lost, once each, as sets
	beyond                   bool  // as many disks are lost as hold copies: then only "lost" and "waits" are looked at
	joins, strangers         uint8 // who comes later, with an empty disk, or proven in a cluster of others
	mints                    uint8 // whom the liar may make begin another start, as often as it likes (K3)
	held                     uint8 // who holds the record at first, beside a
	stray                    bool  // no clock covers the record
	four                     int   // 1 where there are four members
}

// copies is W: fewer disks than that are lost together.
func (r rule) copies() int {
	if r.beyond {
		return 2
	}
	return max(2, bits.OnesCount8(r.restores|r.wipes)+1)
}

type member struct {
	covers   bool  // its clock covers the record
	again    bool  // it covers another creation of it, too, written by who has refuted that it was forgotten
	record   uint8 // none, live or done
	stable   bool  // its stable clock covers the record, its verdict included
	saw      uint8 // who has told that, as a set
	proven   bool  // this start
	heard    uint8 // who has answered it that is not proven either, as a set
	disputed bool  // held, but neither run nor shown
	answered uint8 // who has answered that it is absent, or in doubt there, too, as a set
	doubters uint8 // of these, who is in doubt
	roll     uint8 // who takes part, as far as it knows
	old      uint8 // who has been proven while this disk was
}

type state struct {
	m      [members]member
	disk   [members]member // copies of disks
	copied uint8
	spoilt uint8 // whose disk was restored, or lost
	starts uint8
	cut    bool // the power has failed

	finished           bool // somebody has finished it
	forgotten          bool // somebody has forgotten it by the rule
	firm               bool // clients were told its end as firm
	forgot             uint8
	counted            uint8 // who took part where somebody has called it firm, or forgotten it
	lost, zombie, undo bool
}

func bit(i int) uint8 { return 1 << i }

// has reports whether a set holds all of another.
func has(set, all uint8) bool { return all&^set == 0 }

// members is how many there are, three as a rule.
func (r rule) members() int { return max(3, r.four*members) }

// first is who takes part from the first on.
func (r rule) first() uint8 { return (bit(r.members()) - 1) &^ (r.joins | r.strangers) }

// answered notes that j says that it does not have what i holds, or is in doubt itself.
func (r rule) answered(s *state, i, j int, absent bool) {
	x := &s.m[i]
	if x.record != live || x.proven && !x.disputed && !r.anyTime {
		if took := r.newcomers || r.first()&bit(i) != 0; x.record == live && absent && took && !r.keeps {
			x.again = true
		}
		return // refuted: nobody can have forgotten what this start has never told as stable
	}
	x.answered |= bit(j)
	x.disputed = true
	if x.doubters &^= bit(j); !absent {
		x.doubters |= bit(j)
	}
	holders := bits.OnesCount8((x.doubters | bit(i)) & r.first())
	switch {
	case !r.dies && holders >= r.copies():
		x.settle()
	case r.oneWord || has(x.answered|bit(i), x.roll):
		s.lost = s.lost || !s.finished
		x.record = none
		x.settle()
	}
}

// settle ends a dispute.
func (m *member) settle() { m.disputed, m.answered, m.doubters = false, 0, 0 }

// learn takes in who takes part. What others have told counts others than these.
func (m *member) learn(roll uint8) {
	if !has(m.roll, roll) {
		m.roll |= roll
		m.saw = 0
	}
}

// judges reports whether y can say of all that x remembers whether it was forgotten.
func (r rule) judges(x, y member) bool {
	if x.record == live && !x.covers {
		return y.covers || !r.unjudged && y.record != none // it says so as it takes it
	}
	return y.covers || !x.covers
}

// prove looks whether i is proven by what j has answered (M3).
func (r rule) prove(s *state, i, j int) {
	x, y := &s.m[i], s.m[j]
	if !r.judges(*x, y) {
		return
	}
	x.heard |= bit(j)
	counts := x.old
	if r.first()&bit(i) != 0 && !r.noFounders {
		counts |= r.first()
	}
	if r.anybody {
		counts = 1<<members - 1
	}
	enough := counts&bit(i) != 0 && bits.OnesCount8(x.heard&counts)+1 >= min(r.copies(), bits.OnesCount8(x.roll))
	if y.proven || enough || has(x.heard|bit(i), x.roll) {
		x.proven, x.heard = true, 0
	}
}

// keep notes on the disk of i that j was proven while i was.
func (r rule) keep(s *state, i, j int) {
	switch x, y := &s.m[i], s.m[j]; {
	case x.proven && r.admitted:
		x.old = x.roll
	case x.proven && y.proven:
		x.old |= bit(i) | bit(j)
	}
}

// take lets i take in all that j tells in answer: its record or that it has none, and its clock. A record comes although
// the clock of i covers it only if j has heard an earlier clock of i.
func (r rule) take(s state, i, j int, earlier bool) state {
	x, y := &s.m[i], s.m[j]
	if y.roll&bit(i) == 0 || x.roll != 0 && x.roll&bit(j) == 0 {
		return s // nothing is told to, or taken from, who does not take part
	}
	x.learn(y.roll)
	switch {
	case y.record != none && x.record == none && x.covers && y.again && !x.again: // it was created again
		x.record, x.again = y.record, true
		s.forgot &^= bit(i)
	case y.record != none && x.record == none && x.covers:
		if earlier && !x.stable && y.record == live { // created under its clock, not under its stable one
			x.record, x.disputed = live, true
		}
	case y.record != none:
		x.record, x.covers, x.again = max(x.record, y.record), x.covers || y.covers, x.again || y.again
		switch {
		case x.record == done || y.proven && !y.disputed: // a holder refutes all claims
			x.settle()
		case !y.disputed, r.silent && !x.disputed:
		case r.absentOnly:
			x.disputed = x.disputed || !x.proven
		default:
			r.answered(&s, i, j, false)
		}
	case y.covers && x.record == live && (y.again || !x.again):
		r.answered(&s, i, j, true)
	case y.covers && x.record == none:
		x.covers, x.again = true, x.again || y.again
	}
	x.saw &^= bit(j)
	if y.stable && has(y.roll, x.roll) {
		x.saw |= bit(j)
	}
	r.prove(&s, i, j)
	if r.unresolved && x.proven {
		x.settle()
	}
	r.keep(&s, i, j)
	return s
}

// inDoubt is who holds the record in doubt.
func (s *state) inDoubt() (set uint8) {
	for i, x := range s.m {
		if x.disputed {
			set |= bit(i)
		}
	}
	return set
}

func (r rule) next(s state, step func(state, string)) {
	for i := range r.members() {
		for j := range r.members() {
			if t := s; i != j && !(r.lies && j == liar) {
				t = r.take(s, i, j, true)
				step(t, fmt.Sprintf("%s takes in what %s answers%s", name(i), name(j), consequence(s.m[i], t.m[i])))
			}
			r.meets(s, i, j, step)
		}
		x := s.m[i]
		if x.record == live && x.proven && !x.disputed {
			t := s
			t.m[i].record, t.finished = done, true
			if honest := !(r.lies && i == liar); honest {
				counted := s.counted&bit(i) != 0 // who did not count may end it again, which decides nothing (decision 0021)
				t.zombie, t.undo = s.forgotten && counted, s.firm && counted
			}
			step(t, name(i)+" runs it and finishes it")
		}
		if x.record == done && !x.stable && s.allKnow(r, i) {
			t := s
			t.m[i].stable = true
			t.counted |= x.roll
			t.firm = t.firm || bits.OnesCount8(t.told()|r.word()) >= min(r.copies(), bits.OnesCount8(x.roll))
			step(t, "it is stable at "+name(i))
		}
		if x.record == done && x.stable && has(x.saw|bit(i)|r.word(), x.roll) {
			t := s
			t.m[i].record = none
			t.forgot |= bit(i)
			t.forgotten = true
			step(t, name(i)+" forgets it")
		}
		if r.lies && i != liar {
			if x.record == live {
				t := s
				r.answered(&t, i, liar, true)
				step(t, fmt.Sprintf("b lies to %s: it has forgotten it%s", name(i), consequence(x, t.m[i])))
			}
			if !x.covers {
				t := s
				t.m[i].covers = true
				step(t, fmt.Sprintf("b tells %s a clock that covers it, without the record", name(i)))
			}
		}
		if r.mints&bit(i) != 0 {
			t := s
			t.m[i] = r.again(x)
			step(t, "b lies to "+name(i)+" about its updates, and it begins another start")
		}
		r.disks(s, i, step)
	}
	if r.powerCut && !s.cut {
		t := s
		t.cut = true
		for i := range r.members() {
			t.m[i] = r.again(s.m[i])
			t.m[i].proven = r.itself
		}
		step(t, "the power fails, and all start again")
	}
	if r.restarts && s.starts < 2 {
		t := s
		t.m[0] = r.again(s.m[0])
		t.starts++
		step(t, "a starts again, its disk intact")
	}
}

// disks are the steps in which the disk of i is copied, restored or lost.
func (r rule) disks(s state, i int, step func(state, string)) {
	if r.restores&^s.copied&bit(i) != 0 {
		t := s
		t.copied |= bit(i)
		t.disk[i] = r.again(s.m[i])
		step(t, "the disk of "+name(i)+" is copied")
	}
	start := func(disk member, how string) {
		t := s
		t.m[i] = disk
		t.m[i].proven = r.itself && s.cut
		t.spoilt |= bit(i)
		t.disk[i] = member{}
		t.forgot &^= bit(i)
		step(t, name(i)+" starts "+how)
	}
	if r.restores&s.copied&^s.spoilt&bit(i) != 0 {
		start(s.disk[i], "from the copy")
	}
	if r.wipes&^s.spoilt&bit(i) != 0 {
		start(member{}, "with an empty disk")
	}
}

// meets lets i and j know of each other where one of them has yet to come: i, which takes part, admits j.
func (r rule) meets(s state, i, j int, step func(state, string)) {
	if (r.joins|r.strangers)&bit(j) == 0 || s.m[i].roll&bit(i) == 0 || s.m[i].roll&bit(j) != 0 {
		return
	}
	t := s
	t.m[i].learn(bit(j))
	if r.strangers&bit(j) != 0 {
		t.m[j].learn(bit(i))
	}
	r.keep(&t, i, j)
	step(t, name(j)+" comes, and "+name(i)+" admits it")
}

// again is a member that has started from what is on its disk.
func (r rule) again(m member) member {
	if r.sinceStart {
		m.old = m.roll
	}
	return member{covers: m.covers, again: m.again, record: m.record, stable: m.stable, roll: m.roll, old: m.old, disputed: m.disputed && !r.forgetful}
}

// word is whose word all take for having told a stable clock that covers everything.
func (r rule) word() uint8 {
	if r.lies {
		return bit(liar)
	}
	return 0
}

// told is where the record is stable.
func (s *state) told() (set uint8) {
	for i, x := range s.m {
		if x.stable {
			set |= bit(i)
		}
	}
	return set
}

// allKnow reports whether each member that i knows of has the verdict, or has forgotten it, and knows of these members, too.
func (s state) allKnow(r rule, i int) bool {
	roll := s.m[i].roll
	for j, x := range s.m {
		knows := has(x.roll, roll) && x.covers && (x.again || !s.m[i].again) && (x.record == done || s.forgot&bit(j) != 0)
		if roll&bit(j) != 0 && !knows && r.word()&bit(j) == 0 {
			return false
		}
	}
	return roll&bit(i) != 0
}

func name(i int) string { return string("abcd"[i]) }

func consequence(x, y member) string {
	switch {
	case x.record != none && y.record == none:
		return "; it drops the record"
	case x.record == none && y.record != none && y.disputed, !x.disputed && y.disputed:
		return "; the record is disputed there"
	case x.disputed && !y.disputed:
		return "; the record is in no doubt there any more"
	case x.record == none && y.record != none:
		return "; it has the record now"
	case !x.proven && y.proven:
		return "; it is proven"
	}
	return ""
}

func (r rule) broken(s state) string {
	switch {
	case s.lost:
		return "lost: an unfinished record was dropped, and nobody had finished it"
	case s.zombie && !r.beyond:
		return "zombie: what others have forgotten was run again"
	case s.undo && !r.beyond:
		return "firm: what clients were told as firm was run again"
	case !r.lies && r.waits(s):
		return "waits: the record is disputed, a start not proven, or some hold what others never take in, whoever hears whom"
	}
	return ""
}

// waits reports whether a record is still disputed, a start not proven, or the record not everywhere, when all have heard each other
// often.
func (r rule) waits(s state) bool {
	for range 4 * members {
		if s.inDoubt() == 0 && s.allProven() && r.same(s) {
			return false
		}
		for i := range r.members() {
			for j := range r.members() {
				if s.m[j].roll != 0 {
					r.meets(s, i, j, func(t state, _ string) { s = t })
				}
				if i != j {
					s = r.take(s, i, j, false)
				}
			}
		}
	}
	return true
}

// same reports whether all that take part hold the record if one holds it unfinished that has taken part since it was created.
func (r rule) same(s state) bool {
	lacks, holds := false, false
	for i, x := range s.m {
		lacks = lacks || x.roll&bit(i) != 0 && x.record == none
		holds = holds || r.first()&bit(i) != 0 && x.record == live
	}
	return !lacks || !holds
}

// allProven reports whether all that take part are proven.
func (s state) allProven() bool {
	for i, x := range s.m {
		for _, y := range s.m {
			if !x.proven && y.roll&bit(i) != 0 {
				return false
			}
		}
	}
	return true
}

func (r rule) search(most int) explore.Result {
	var s state
	for i := range r.members() {
		x := &s.m[i]
		switch {
		case r.joins&bit(i) != 0:
			continue
		case r.strangers&bit(i) != 0:
			x.roll = bit(i)
		default:
			x.roll = r.first()
		}
		x.proven, x.old = true, x.roll
		if i == 0 || r.held&bit(i) != 0 {
			x.covers, x.record = !r.stray, live
		}
	}
	return explore.Search(explore.Model[state]{Start: s, Next: r.next, Broken: r.broken}, most)
}

// cases are the rule, and what each part of it is for.
func cases() []explore.Case {
	const (
		most = 20_000_000
		a    = 1 << 0
		b    = 1 << 1
		c    = 1 << 2
	)
	of, long := explore.Variants(most, rule.search)
	return []explore.Case{
		of("mended, restored", "", rule{restores: a, restarts: true}),
		of("mended, liar", "", rule{lies: true}),
		of("mended, liar, restart", "lost", rule{lies: true, restarts: true}),
		of("mended, restored, power cut", "", rule{restores: a, powerCut: true}),
		of("mended, two restored", "", rule{restores: a | b}),
		of("mended, restored and lost", "", rule{restores: a, wipes: c}),
		of("mended, W restored", "", rule{restores: a | b, beyond: true, powerCut: true}),
		of("keeps, W restored", "waits", rule{restores: a | b, beyond: true, powerCut: true, keeps: true}),
		of("newcomers create, too", "zombie", rule{restores: a, joins: b, newcomers: true}),
		of("mended, two, power cut", "", rule{restores: a | b, powerCut: true}),
		of("itself, restored, power cut", "firm", rule{restores: a, powerCut: true, itself: true}),
		of("one-word, liar", "lost", rule{lies: true, oneWord: true}),
		of("as-written, liar", "lost", rule{lies: true, anyTime: true}),
		of("as-written, restored", "", rule{restores: a, restarts: true, anyTime: true}),
		of("unresolved, restored", "zombie", rule{restores: a, restarts: true, unresolved: true}),
		of("absent only, two restored", "waits", rule{restores: a | b, absentOnly: true}),
		of("silent, two restored", "zombie", rule{restores: a | b, silent: true}),
		of("mended, newcomer", "", rule{restores: a, joins: b}),
		of("mended, newcomer, power", "", rule{restores: a, joins: b, powerCut: true}),
		of("mended, newcomer, lost", "", rule{wipes: a, joins: b, powerCut: true}),
		long("mended, newcomer, W = 3", "", rule{restores: a, wipes: c, joins: b, powerCut: true, four: 1}),
		long("mended, two newcomers", "", rule{restores: a, joins: b | c, powerCut: true, four: 1}),
		long("admitted, two newcomers", "firm", rule{restores: a, joins: b | c, powerCut: true, four: 1, admitted: true}),
		of("anybody, newcomer", "firm", rule{restores: a, joins: b, anybody: true}),
		of("since start, newcomer", "", rule{restores: a, joins: b, sinceStart: true}),
		of("since start, power", "firm", rule{restores: a, joins: b, powerCut: true, sinceStart: true}),
		long("forgetful, power", "zombie", rule{restores: a, joins: b, powerCut: true, forgetful: true}),
		of("strangers", "firm", rule{restores: a, strangers: b}),
		of("mended, starts by lies", "", rule{lies: true, mints: a | c, held: c}),
		of("dies, starts by lies", "lost", rule{lies: true, mints: a | c, held: c, dies: true}),
		of("mended, stray", "", rule{restores: a, powerCut: true, stray: true}),
		of("unjudged, stray", "waits", rule{powerCut: true, stray: true, unjudged: true}),
		{Name: "minted, removed", Most: most, Search: mint{}.search},
		{Name: "minted at once, removed", Breaks: "zombie", Most: most, Search: mint{atOnce: true}.search},
		{Name: "minted, a lie before that", Breaks: "zombie", Most: most, Search: mint{early: true}.search},
	}
}

func main() { explore.Main(cases()) }
