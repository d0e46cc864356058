// Command claims explores rule F3 of docs/protocol.md: when a broker believes that a record which it holds was finished
// and forgotten by all others.
//
// Three members and one record, which a created. A clock is reduced to "covers the record" (whoever covers it and lacks
// it has forgotten it, as far as a peer can tell). One member, b, may lie: it says that it has forgotten what it holds,
// that its clock covers what it never had, and that its stable clock covers everything. The disk of a may be restored
// from a copy, and a may start again on an intact one; the power may fail for all at once, so that nobody is proven (M3).
// Blobs, stubs and the order of verdicts are left out.
//
// Properties: nobody drops an unfinished record that nobody has finished ("lost"), and nobody runs again what all
// others have forgotten ("zombie").
//
// minted.go explores what a broker that was removed, and is back, says again (M2, K3).
package main

import (
	"fmt"
	"math/bits"

	"github.com/urban-compute/ucp/docs/model/explore"
)

const (
	members = 3
	liar    = 1
	copies  = 2 // W: one disk may be lost
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

	lies, restarts, restores, powerCut bool // what may happen
}

type member struct {
	covers   bool  // its clock covers the record
	record   uint8 // none, live or done
	stable   bool  // its stable clock covers the record, its verdict included
	saw      uint8 // who has told that, as a set
	proven   bool  // this start
	heard    uint8 // who has answered it that is not proven either, as a set
	absent   uint8 // who has answered the audit "absent"
	disputed bool  // held, but neither run nor shown
}

type state struct {
	m        [members]member
	copied   bool
	disk     member // the copy of a's disk
	restored bool
	starts   uint8
	cut      bool // the power has failed

	finished     bool  // somebody has finished it
	forgot       uint8 // who has forgotten it by the rule
	lost, zombie bool
}

func bit(i int) uint8 { return 1 << i }

const all = 1<<members - 1

// answered notes that j says that it does not have what i holds.
func (r rule) answered(s *state, i, j int) {
	x := &s.m[i]
	if x.record != live || x.proven && !x.disputed && !r.anyTime {
		return // refuted: nobody can have forgotten what this start has never told as stable
	}
	x.absent |= bit(j)
	x.disputed = true
	if r.oneWord || x.absent|bit(i) == all {
		s.lost = s.lost || !s.finished
		x.record, x.disputed, x.absent = none, false, 0
	}
}

// take lets i take in all that j tells in answer: its record or that it has none, and its clock.
func (r rule) take(s state, i, j int) state {
	x, y := &s.m[i], s.m[j]
	switch {
	case y.record != none && x.record == none && x.covers:
		if !x.stable { // created under its clock, not under its stable one
			x.record, x.disputed = y.record, true
		}
	case y.record != none:
		x.record, x.covers = max(x.record, y.record), true
		if !y.disputed { // a holder refutes all claims
			x.disputed, x.absent = false, 0
		}
	case y.covers && x.record == live:
		r.answered(&s, i, j)
	case y.covers && x.record == done && x.stable:
		x.record = none
	case y.covers && x.record == none:
		x.covers = true
	}
	x.saw &^= bit(j)
	if y.stable {
		x.saw |= bit(j)
	}
	if x.heard |= bit(j); y.proven || bits.OnesCount8(x.heard)+1 >= copies {
		x.proven, x.heard = true, 0
	}
	if r.unresolved && x.proven {
		x.disputed = false
	}
	return s
}

func (r rule) next(s state, step func(state, string)) {
	for i := range members {
		for j := range members {
			if t := s; i != j && !(r.lies && j == liar) {
				t = r.take(s, i, j)
				step(t, fmt.Sprintf("%s takes in what %s answers%s", name(i), name(j), consequence(s.m[i], t.m[i])))
			}
		}
		x := s.m[i]
		if x.record == live && x.proven && !x.disputed {
			t := s
			t.m[i].record, t.finished = done, true
			t.zombie = s.forgot|bit(i) == all && !(r.lies && i == liar)
			step(t, name(i)+" runs it and finishes it")
		}
		if x.record == done && !x.stable && s.allKnow(r) {
			t := s
			t.m[i].stable = true
			step(t, "it is stable at "+name(i))
		}
		if x.record == done && x.stable && x.saw|bit(i)|r.word() == all {
			t := s
			t.m[i].record = none
			t.forgot |= bit(i)
			step(t, name(i)+" forgets it")
		}
		if r.lies && i != liar {
			if x.record == live {
				t := s
				r.answered(&t, i, liar)
				step(t, fmt.Sprintf("b lies to %s: it has forgotten it%s", name(i), consequence(x, t.m[i])))
			}
			if !x.covers {
				t := s
				t.m[i].covers = true
				step(t, fmt.Sprintf("b tells %s a clock that covers it, without the record", name(i)))
			}
		}
	}
	if r.restores && !s.copied {
		t := s
		t.copied, t.disk = true, s.m[0]
		step(t, "the disk of a is copied")
	}
	again := func(m member) state {
		t := s
		t.m[0] = m.again()
		t.m[0].proven = r.itself && s.cut
		t.starts++
		return t
	}
	if r.powerCut && !s.cut {
		t := s
		t.cut = true
		for i := range members {
			t.m[i] = s.m[i].again()
			t.m[i].proven = r.itself
		}
		step(t, "the power fails, and all start again")
	}
	if r.restores && s.copied && !s.restored {
		t := again(s.disk)
		t.restored = true
		t.disk = member{}
		t.forgot &^= bit(0)
		step(t, "a starts from the copy")
	}
	if r.restarts && s.starts < 2 {
		step(again(s.m[0]), "a starts again, its disk intact")
	}
}

// again is a member that has started from what is on its disk.
func (m member) again() member {
	return member{covers: m.covers, record: m.record, stable: m.stable}
}

// word is whose word all take for having told a stable clock that covers everything.
func (r rule) word() uint8 {
	if r.lies {
		return bit(liar)
	}
	return 0
}

// allKnow reports whether each member has the verdict, or has forgotten it.
func (s state) allKnow(r rule) bool {
	for i, x := range s.m {
		if x.record != done && s.forgot&bit(i) == 0 && r.word()&bit(i) == 0 {
			return false
		}
	}
	return true
}

func name(i int) string { return string("abc"[i]) }

func consequence(x, y member) string {
	switch {
	case x.record != none && y.record == none:
		return "; it drops the record"
	case x.record == none && y.record != none && y.disputed, !x.disputed && y.disputed:
		return "; the record is disputed there"
	case x.record == none && y.record != none:
		return "; it has the record now"
	}
	return ""
}

func broken(s state) string {
	switch {
	case s.lost:
		return "lost: an unfinished record was dropped, and nobody had finished it"
	case s.zombie:
		return "zombie: what all others have forgotten was run again"
	}
	return ""
}

func (r rule) search(most int) explore.Result {
	var s state
	s.m[0] = member{covers: true, record: live, proven: true}
	for i := range members {
		s.m[i].proven = true
	}
	return explore.Search(explore.Model[state]{Start: s, Next: r.next, Broken: broken}, most)
}

// cases are the rule, and what each part of it is for.
func cases() []explore.Case {
	const most = 20_000_000
	of := func(name, breaks string, r rule) explore.Case {
		return explore.Case{Name: name, Breaks: breaks, Most: most, Search: r.search}
	}
	return []explore.Case{
		of("mended, restored", "", rule{restores: true, restarts: true}),
		of("mended, liar", "", rule{lies: true}),
		of("mended, liar, restart", "lost", rule{lies: true, restarts: true}),
		of("mended, restored, power cut", "", rule{restores: true, powerCut: true}),
		of("itself, restored, power cut", "zombie", rule{restores: true, powerCut: true, itself: true}),
		of("one-word, liar", "lost", rule{lies: true, oneWord: true}),
		of("as-written, liar", "lost", rule{lies: true, anyTime: true}),
		of("as-written, restored", "", rule{restores: true, restarts: true, anyTime: true}),
		of("unresolved, restored", "zombie", rule{restores: true, restarts: true, unresolved: true}),
		{Name: "minted, removed", Most: most, Search: mint{}.search},
		{Name: "minted at once, removed", Breaks: "zombie", Most: most, Search: mint{atOnce: true}.search},
		{Name: "minted, a lie before that", Breaks: "zombie", Most: most, Search: mint{early: true}.search},
	}
}

func main() { explore.Main(cases()) }
