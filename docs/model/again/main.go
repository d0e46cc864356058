// Command again explores what becomes of an emergency that is declared again under its ID when some brokers have forgotten the one before,
// and others have not (rules E3, E6, F3 and L7 of docs/protocol.md).
//
// Three brokers and one ID, which each may declare twice and clear once, and forgets when it is over. Time passes in steps of thirty days:
// what was declared in one is over in the next, and may be forgotten there. Each has an hour of its own in one case: the clock of c is a step
// ahead. Records pass from one broker to another in any order, so that every split is among what is searched. One disk may be replaced
// by an older copy, once. Events are left out: they are hints of the same content.
//
// Properties, when at last all hear each other: it is in force at all or at none, and where it is all hold the same ("differ"); one that was declared in this step where nothing was known of it, and that nobody has cleared in this step, is in force ("swallowed");
// and one that was cleared where it was known is not ("zombie").
package main

import (
	"fmt"

	"github.com/urban-compute/ucp/docs/model/explore"
)

const (
	members = 3
	each    = 2              // declarations of each
	decls   = members * each // declaration d is of the member d / each
	steps   = 3              // steps of time
)

// rule is one reading of the rules; the zero one is the rules as they stand.
type rule struct {
	joined  bool // one life: whatever has the ID is joined
	byStamp bool // each declaration where nothing is known is a life, and the later one counts whole
	noFloor bool // who has forgotten lives goes by its clock alone
	silent  bool // nobody says again what others lack

	ahead    bool // the clock of c is a step ahead
	declares uint8
	clears   uint8
	restores bool
}

// updates is a set: declarations, clears, and what was said again.
type updates uint16

func declaration(d int) updates       { return 1 << d }
func clearOf(i int) updates           { return 1 << (decls + i) }
func saidAgain(i int) updates         { return 1 << (decls + members + i) }
func (u updates) has(w updates) bool  { return w&^u == 0 }
func bit(i int) uint8                 { return 1 << i }
func name(i int) string               { return string(rune('a' + i)) }
func declName(d int) string           { return fmt.Sprintf("%s%d", name(d/each), d%each+1) }
func (r record) sameAs(o record) bool { r.dots, o.dots = 0, 0; return r == o }

// record is what a broker holds of the emergency; the zero one is nothing.
type record struct {
	life    uint8
	created updates // declarations, and clears of what was not known
	cleared updates
	dots    updates
}

type member struct {
	r      record
	clock  updates
	stable updates
	told   [members]updates
	tolds  [members]updates
	floor  uint8 // the latest life that it has forgotten
	heard  uint8 // whose present start it has heard
	again  bool  // it has to say again what it holds
	since  uint8 // the step in which it first held what it holds, by its uptime
}

type state struct {
	m        [members]member
	now      uint8
	stamp    [decls]uint8     // and one, 0 of what was not declared
	fresh    updates          // declarations made where nothing was known
	knew     [members]updates // what each clear knew
	clearAt  [members]uint8
	copied   bool
	restored bool
	copy     member
}

// at is what the clock of a member shows.
func (r rule) at(s *state, i int) uint8 {
	if r.ahead && i == members-1 {
		return s.now + 1
	}
	return s.now
}

// since is when what is held was declared first, and whether it was.
func (s *state) since(x record) (at uint8, declared bool) {
	for d := range decls {
		if x.created&declaration(d) != 0 && (!declared || s.stamp[d]-1 < at) {
			at, declared = s.stamp[d]-1, true
		}
	}
	return at, declared
}

// over reports whether what is held has ended, and its time, too.
func (s *state) over(x record) bool {
	at, declared := s.since(x)
	return !declared || at < s.now
}

func (s *state) active(x record) bool {
	_, declared := s.since(x)
	return declared && x.cleared == 0 && !s.over(x)
}

// merge is rule E3, and E6.
func (r rule) merge(a, b record) record {
	switch {
	case a.dots == 0 || !r.joined && a.life < b.life:
		return b
	case b.dots == 0 || !r.joined && b.life < a.life:
		return a
	}
	return record{a.life, a.created | b.created, a.cleared | b.cleared, a.dots | b.dots}
}

func (r rule) pull(s *state, i, j int) {
	x, y := &s.m[i], &s.m[j]
	r.meets(s, i, j)
	r.meets(s, j, i)
	if y.clock.has(x.clock) {
		y.told[i], y.tolds[i] = x.clock, x.stable
	}
	if y.r.dots != 0 && !x.clock.has(y.r.dots) {
		if x.r.dots == 0 && x.clock.has(y.r.created) {
			r.forgottenBy(s, j)
		} else {
			was := x.r
			x.r = r.merge(x.r, y.r)
			x.clock |= y.r.dots
			if !r.silent && was.dots != 0 && !s.active(x.r) && !x.r.sameAs(y.r) {
				x.again = true
			}
		}
	}
	if x.r.dots != 0 && y.r.dots == 0 && y.clock.has(x.r.created) && x.r.cleared == 0 {
		r.forgottenBy(s, i) // an audit
	}
	x.clock |= y.clock
	x.told[j], x.tolds[j] = y.clock, y.stable
	r.settle(s, i)
	r.settle(s, j)
}

// forgottenBy lets i hear that somebody has forgotten what it holds.
func (r rule) forgottenBy(s *state, i int) {
	if x := &s.m[i]; !s.active(x.r) && !x.again {
		x.floor, x.r, x.again = max(x.floor, x.r.life), record{}, false
	}
}

func (r rule) meets(s *state, i, j int) {
	if x := &s.m[i]; r.restores && x.heard&bit(j) == 0 {
		x.heard |= bit(j)
		x.told[j], x.tolds[j] = 0, 0
	}
}

func (r rule) settle(s *state, i int) {
	x := &s.m[i]
	if x.r.dots == 0 {
		x.since = s.now
	}
	meet := x.clock
	for j := range members {
		if j != i {
			meet &= x.told[j]
		}
	}
	x.stable |= meet
}

// lifeOf is the life in which i declares or clears what it does not know.
func (r rule) lifeOf(s *state, i int) uint8 {
	at := r.at(s, i) + 1
	if r.joined {
		return 1
	}
	if r.byStamp {
		at *= 8 // and what is declared later in the same step is later
		for d := range decls {
			if s.stamp[d] == r.at(s, i)+1 {
				at++
			}
		}
	}
	if !r.noFloor {
		at = max(at, s.m[i].floor+1)
	}
	return at
}

func (r rule) write(s *state, i int, add record) {
	x := &s.m[i]
	if x.r.dots == 0 {
		x.since = s.now
	}
	if add.life = x.r.life; x.r.dots == 0 {
		add.life, add.created = r.lifeOf(s, i), add.dots
	}
	x.r = record{add.life, x.r.created | add.created, x.r.cleared | add.cleared, x.r.dots | add.dots}
	x.clock |= add.dots
	x.again = false
	r.settle(s, i)
}

// declare lets i declare the emergency, where nothing is known of it: what is known is changed, which brings nothing new here, or
// is refused.
func (r rule) declare(s *state, i int) (d int, ok bool) {
	if s.m[i].r.dots != 0 || r.declares&bit(i) == 0 {
		return 0, false
	}
	for d = i * each; d < (i+1)*each; d++ {
		if s.stamp[d] == 0 {
			s.stamp[d] = r.at(s, i) + 1
			s.fresh |= declaration(d)
			r.write(s, i, record{dots: declaration(d)})
			return d, true
		}
	}
	return 0, false
}

// mayForget is rule F3.
func (s *state) mayForget(i int) bool {
	x := &s.m[i]
	if x.r.dots == 0 || x.again || !s.over(x.r) || x.since == s.now || !x.stable.has(x.r.dots) {
		return false
	}
	for j := range members {
		if j != i && !x.tolds[j].has(x.r.dots) {
			return false
		}
	}
	return true
}

func (r rule) next(s state, step func(state, string)) {
	if t := s; r.restores && !s.copied {
		t.copied, t.copy = true, s.m[0]
		step(t, "the disk of a is copied")
	}
	if t := s; s.copied && !s.restored {
		t.restore()
		step(t, "a starts from the copy")
	}
	if t := s; s.now+1 < steps {
		t.now++
		for i := range members {
			if t.m[i].r.dots == 0 {
				t.m[i].since = t.now
			}
		}
		step(t, "thirty days pass")
	}
	for i := range members {
		for j := range members {
			if t := s; i != j {
				r.pull(&t, i, j)
				step(t, fmt.Sprintf("%s takes in what %s holds", name(i), name(j)))
			}
		}
		t := s
		if d, ok := r.declare(&t, i); ok {
			step(t, fmt.Sprintf("%s declares %s", name(i), declName(d)))
		}
		if t := s; r.clears&bit(i) != 0 && s.m[i].clock&clearOf(i) == 0 && s.m[i].r.cleared == 0 {
			what := name(i) + " clears what it knows"
			if s.m[i].r.dots == 0 {
				what = name(i) + " clears what it does not know"
			}
			t.knew[i], t.clearAt[i] = s.m[i].r.created, r.at(&s, i)+1
			r.write(&t, i, record{dots: clearOf(i), cleared: clearOf(i)})
			step(t, what)
		}
		if t := s; s.mayForget(i) {
			x := &t.m[i]
			x.floor, x.r, x.again = max(x.floor, x.r.life), record{}, false
			step(t, name(i)+" forgets it")
		}
		if t := s; s.m[i].again {
			r.write(&t, i, record{dots: saidAgain(i)})
			step(t, name(i)+" says it again")
		}
	}
}

// restore replaces the disk of a by its copy.
func (s *state) restore() {
	s.restored, s.m[0], s.copy = true, s.copy, member{}
	s.m[0].heard, s.m[0].told, s.m[0].tolds = bit(0), [members]updates{}, [members]updates{}
	for i := 1; i < members; i++ {
		s.m[i].heard &^= bit(0)
	}
}

func (r rule) broken(s state) string {
	for range 10 {
		for i := range members {
			for j := range members {
				if i != j {
					r.pull(&s, i, j)
				}
			}
			if x := &s.m[i]; x.again {
				r.write(&s, i, record{dots: saidAgain(i)})
				for j := range members { // a later update of the same writer: nobody has heard of it
					if j != i {
						s.m[j].clock &^= saidAgain(i)
					}
				}
			}
		}
	}
	for i := range members {
		for j := range i {
			x, y := s.m[j].r, s.m[i].r
			if s.active(x) != s.active(y) {
				return fmt.Sprintf("differ: it is in force at one of %s and %s for good", name(j), name(i))
			}
			if s.active(x) && !x.sameAs(y) {
				return fmt.Sprintf("differ: %s and %s hold different things for good", name(j), name(i))
			}
		}
	}
	var late updates // clears of this step, or by a clock that is ahead
	for i := range members {
		if s.clearAt[i] > s.now {
			late |= clearOf(i)
		}
	}
	for d := range decls {
		if s.fresh&declaration(d) == 0 || s.stamp[d] != s.now+1 || r.ahead && d/each == members-1 {
			continue
		}
		held := false // somewhere, still: the disk that held it may be another one
		for i := range members {
			held = held || s.m[i].clock.has(declaration(d))
		}
		if held && late == 0 && !s.active(s.m[0].r) {
			return "swallowed: " + declName(d) + " was declared, nobody has cleared it, and it is not in force"
		}
		for i := range members {
			if s.knew[i]&declaration(d) != 0 && s.m[d/each].r.created == declaration(d) && s.active(s.m[0].r) && s.m[i].clock.has(clearOf(i)) {
				return "zombie: " + declName(d) + " was cleared, and is in force"
			}
		}
	}
	return ""
}

func (r rule) search(most int) explore.Result {
	var start state
	for i := range start.m {
		start.m[i].heard = bit(members) - 1
	}
	return explore.Search(explore.Model[state]{Start: start, Next: r.next, Broken: r.broken}, most)
}

// cases are the rules, and what each part of them is for.
func cases() []explore.Case {
	const a, b, c = 1 << 0, 1 << 1, 1 << 2
	of, _ := explore.Variants(20_000_000, rule.search)
	return []explore.Case{
		of("one declares", "", rule{declares: a}),
		of("one declares, one clears", "", rule{declares: a, clears: b}),
		of("two declare, one clears", "", rule{declares: a | b, clears: a}),
		of("restored disk", "", rule{declares: a, clears: b, restores: true}),
		of("a clock ahead", "", rule{declares: a, clears: c, ahead: true}),
		of("a clock ahead, restored disk", "", rule{declares: a, clears: c, ahead: true, restores: true}),
		of("joined", "differ", rule{joined: true, silent: true, declares: a}),
		of("joined, said again", "swallowed", rule{joined: true, declares: a}),
		of("no floor", "swallowed", rule{noFloor: true, declares: a, clears: c, ahead: true}),
		of("silent", "differ", rule{silent: true, declares: a, clears: c, ahead: true, restores: true}),
	}
}

func main() { explore.Main(cases()) }
