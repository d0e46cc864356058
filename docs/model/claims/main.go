// Command claims explores rule F3 of docs/protocol.md: when a broker believes that a record which it holds was finished
// and forgotten by all others.
//
// Three members and one record, which a created. A clock is reduced to "covers the record" (whoever covers it and lacks
// it has forgotten it, as far as a peer can tell). One member, b, may lie: it says that it has forgotten what it holds,
// that its clock covers what it never had, and that its stable clock covers everything. Disks may be restored
// from a copy, or lost, and a may start again on an intact one; the power may fail for all at once, so that nobody is proven (M3).
// Blobs, stubs and the order of verdicts are left out.
//
// Properties: nobody drops an unfinished record that nobody has finished ("lost"), nobody runs again what
// others have forgotten ("zombie"), or what clients were told as firm ("firm"), and when all hear each other, and nothing else happens,
// no record waits for good ("waits").
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

	lies, restarts, powerCut bool  // what may happen
	restores, wipes          uint8 // whose disks may be restored, or lost, once each, as sets
	beyond                   bool  // as many disks are lost as hold copies: then only "lost" and "waits" are looked at
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
	record   uint8 // none, live or done
	stable   bool  // its stable clock covers the record, its verdict included
	saw      uint8 // who has told that, as a set
	proven   bool  // this start
	heard    uint8 // who has answered it that is not proven either, as a set
	disputed bool  // held, but neither run nor shown
	answered uint8 // who has answered that it is absent, or in doubt there, too, as a set
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
	lost, zombie, undo bool
}

func bit(i int) uint8 { return 1 << i }

const all = 1<<members - 1

// answered notes that j says that it does not have what i holds, or is in doubt itself.
func (r rule) answered(s *state, i, j int) {
	x := &s.m[i]
	if x.record != live || x.proven && !x.disputed && !r.anyTime {
		return // refuted: nobody can have forgotten what this start has never told as stable
	}
	x.answered |= bit(j)
	x.disputed = true
	if r.oneWord || x.answered|bit(i) == all {
		s.lost = s.lost || !s.finished
		x.record, x.disputed, x.answered = none, false, 0
	}
}

// take lets i take in all that j tells in answer: its record or that it has none, and its clock.
func (r rule) take(s state, i, j int) state {
	x, y := &s.m[i], s.m[j]
	switch {
	case y.record != none && x.record == none && x.covers:
		if !x.stable && y.record == live { // created under its clock, not under its stable one
			x.record, x.disputed = live, true
		}
	case y.record != none:
		x.record, x.covers = max(x.record, y.record), true
		switch {
		case x.record == done || y.proven && !y.disputed: // a holder refutes all claims
			x.disputed, x.answered = false, 0
		case !y.disputed, r.silent && !x.disputed:
		case r.absentOnly:
			x.disputed = x.disputed || !x.proven
		default:
			r.answered(&s, i, j)
		}
	case y.covers && x.record == live:
		r.answered(&s, i, j)
	case y.covers && x.record == none:
		x.covers = true
	}
	x.saw &^= bit(j)
	if y.stable {
		x.saw |= bit(j)
	}
	if x.heard |= bit(j); y.proven || bits.OnesCount8(x.heard)+1 >= r.copies() {
		x.proven, x.heard = true, 0
	}
	if r.unresolved && x.proven {
		x.disputed = false
	}
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
			if honest := !(r.lies && i == liar); honest {
				t.zombie, t.undo = s.forgotten, s.firm
			}
			step(t, name(i)+" runs it and finishes it")
		}
		if x.record == done && !x.stable && s.allKnow(r) {
			t := s
			t.m[i].stable = true
			t.firm = t.firm || bits.OnesCount8(t.told()|r.word()) >= r.copies()
			step(t, "it is stable at "+name(i))
		}
		if x.record == done && x.stable && x.saw|bit(i)|r.word() == all {
			t := s
			t.m[i].record = none
			t.forgot |= bit(i)
			t.forgotten = true
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
		r.disks(s, i, step)
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
	if r.restarts && s.starts < 2 {
		t := s
		t.m[0] = s.m[0].again()
		t.starts++
		step(t, "a starts again, its disk intact")
	}
}

// disks are the steps in which the disk of i is copied, restored or lost.
func (r rule) disks(s state, i int, step func(state, string)) {
	if r.restores&^s.copied&bit(i) != 0 {
		t := s
		t.copied |= bit(i)
		t.disk[i] = s.m[i].again()
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

// told is where the record is stable.
func (s *state) told() (set uint8) {
	for i, x := range s.m {
		if x.stable {
			set |= bit(i)
		}
	}
	return set
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
	case x.disputed && !y.disputed:
		return "; the record is in no doubt there any more"
	case x.record == none && y.record != none:
		return "; it has the record now"
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
		return "waits: the record is disputed, whoever hears whom"
	}
	return ""
}

// waits reports whether a record is still disputed when all have heard each other often.
func (r rule) waits(s state) bool {
	for range 4 * members {
		if s.inDoubt() == 0 {
			return false
		}
		for i := range members {
			for j := range members {
				if i != j {
					s = r.take(s, i, j)
				}
			}
		}
	}
	return true
}

func (r rule) search(most int) explore.Result {
	var s state
	s.m[0] = member{covers: true, record: live, proven: true}
	for i := range members {
		s.m[i].proven = true
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
	of := func(name, breaks string, r rule) explore.Case {
		return explore.Case{Name: name, Breaks: breaks, Most: most, Search: r.search}
	}
	return []explore.Case{
		of("mended, restored", "", rule{restores: a, restarts: true}),
		of("mended, liar", "", rule{lies: true}),
		of("mended, liar, restart", "lost", rule{lies: true, restarts: true}),
		of("mended, restored, power cut", "", rule{restores: a, powerCut: true}),
		of("mended, two restored", "", rule{restores: a | b}),
		of("mended, restored and lost", "", rule{restores: a, wipes: c}),
		of("mended, W restored", "", rule{restores: a | b, beyond: true, powerCut: true}),
		of("mended, two, power cut", "", rule{restores: a | b, powerCut: true}),
		of("itself, restored, power cut", "firm", rule{restores: a, powerCut: true, itself: true}),
		of("one-word, liar", "lost", rule{lies: true, oneWord: true}),
		of("as-written, liar", "lost", rule{lies: true, anyTime: true}),
		of("as-written, restored", "", rule{restores: a, restarts: true, anyTime: true}),
		of("unresolved, restored", "zombie", rule{restores: a, restarts: true, unresolved: true}),
		of("absent only, two restored", "waits", rule{restores: a | b, absentOnly: true}),
		of("silent, two restored", "zombie", rule{restores: a | b, silent: true}),
		{Name: "minted, removed", Most: most, Search: mint{}.search},
		{Name: "minted at once, removed", Breaks: "zombie", Most: most, Search: mint{atOnce: true}.search},
		{Name: "minted, a lie before that", Breaks: "zombie", Most: most, Search: mint{early: true}.search},
	}
}

func main() { explore.Main(cases()) }
