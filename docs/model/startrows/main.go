// Command startrows explores rules K1 to K3 of docs/protocol.md: a clock with one entry a name, however often that name
// starts, whoever is absent, and whatever disk it starts from.
//
// Two or three members. Member A starts again on an intact disk, or from a copy of its disk as it was at some time, each time
// as another actor; its first dot is a start row that names its parents, the entries of its own name that its clock held. A
// creates a job, anybody finishes it, and who knows that all have it as stable forgets it. A pull is atomic.
//
// Properties, by letter:
//
//	a  whose clock covers a record that somebody holds has had it, or somebody has forgotten it
//	A  no unfinished record is dropped as forgotten
//	b  what all have finished and forgotten is neither taken in nor run again
//	c  no dot is used for two contents
//	d  when all have talked to all, clocks and records are equal
//	e  while one member is silent, the clocks of the others have at most two entries of A, and one for each restored disk
//	l  a clock that has a start has its parents
//	r  a start says one thing only about its parents, also when it goes on as a copy of itself that was made before it had written
package main

import (
	"fmt"
	"strings"

	"github.com/urban-compute/ucp/docs/model/explore"
)

const (
	starts  = 5 // of A, at most
	members = 3 // at most
	actors  = starts + members - 1
)

// vector is the model's clock: two bits an actor.
type vector uint32

func (c vector) get(actor int) int { return int(c>>(2*actor)) & 3 }

func (c vector) with(actor, n int) vector { return c&^(3<<(2*actor)) | vector(n)<<(2*actor) }

func (c vector) join(d vector) (r vector) {
	for a := range actors {
		r = r.with(a, max(c.get(a), d.get(a)))
	}
	return r
}

func (c vector) meet(d vector) (r vector) {
	for a := range actors {
		r = r.with(a, min(c.get(a), d.get(a)))
	}
	return r
}

func (c vector) covers(d vector) bool { return c.join(d) == c }

// ofA is the part of a clock that is about A.
func (c vector) ofA() vector { return c & (1<<(2*starts) - 1) }

// dots is a set of dots: three bits an actor.
type dots uint32

func dot(actor, n int) dots { return 1 << (3*actor + n - 1) }

func (c vector) has(set dots) bool {
	for a := range actors {
		for n := c.get(a) + 1; n <= 3; n++ {
			if set&dot(a, n) != 0 {
				return false
			}
		}
	}
	return true
}

// States of a job.
const (
	absent = iota
	live
	done
)

type record struct {
	state          uint8
	disputed       bool // held, not run, until audited
	created, wrote dots
}

type broker struct {
	start  uint8  // A's own
	heard  uint8  // the highest start of A that is known, and 1
	begun  vector // what its start held of A as it began, where its row comes with its first write
	proven bool
	clock  vector
	stable vector
	told   [members]vector
	tolds  [members]vector // what each told as stable
	job    record
}

type state struct {
	b                         [members]broker
	disk                      broker // the copy of A's
	copied                    bool
	used                      dots
	minted                    uint8          // which starts have been used
	parents                   [starts]vector // of each start
	restored, started, writes uint8

	made, finished, forgot, allForgot bool
	twice, dropped, zombie, two       bool
}

// rule is what may happen, and which properties are looked at.
type rule struct {
	members, starts, restores, updates int
	silent                             bool // the last member talks to nobody, as property e has it
	noFinish, noForget                 bool
	look                               string

	noParents bool // a start row names no parents
	sameActor bool // a disk that looks intact goes on as the actor that it names
	noAudit   bool // a start runs what it holds before anybody has answered it

	late    bool // a start row is written with the first update, and says what was held as the start began
	present bool // and what is held by then
	resumes bool // A's copy goes on as the start that it was, as a machine from a snapshot
}

func (r rule) looks(property string) bool { return strings.Contains(r.look, property) }

func actor(s *state, i int) int {
	if i == 0 {
		return int(s.b[0].start)
	}
	return starts + i - 1
}

// settle computes a broker's stable clock.
func (r rule) settle(b *broker, i int) {
	c := b.clock
	for m := range r.members {
		if m != i {
			c = c.meet(b.told[m])
		}
	}
	b.stable = b.stable.join(c)
	b.tolds[i] = b.stable
}

// write gives broker i its next dot, if the model has room for it.
func (r rule) write(s *state, i int) (dots, bool) {
	b, a := &s.b[i], actor(s, i)
	if i == 0 && b.clock.get(a) == 0 && r.late {
		r.row(s)
	}
	n := b.clock.get(a) + 1
	if n > 3 {
		return 0, false
	}
	d := dot(a, n)
	b.clock = b.clock.with(a, n)
	s.twice = s.twice || s.used&d != 0
	s.used |= d
	r.settle(b, i)
	return d, true
}

// row writes the row of A's start before its first update.
func (r rule) row(s *state) {
	b := &s.b[0]
	says := b.begun
	if r.present {
		says = b.clock.ofA()
	}
	row := dot(int(b.start), 1)
	s.two = s.two || s.used&row != 0 && s.parents[b.start] != says
	s.parents[b.start] = says
	s.used |= row
	b.clock = b.clock.with(int(b.start), 1)
}

// known is the highest start of A that a broker knows, and 1.
func known(b *broker) int {
	k := int(b.heard)
	for a := range starts {
		if b.clock.get(a) > 0 {
			k = max(k, a+1)
		}
	}
	return k
}

// mint lets A go on as the lowest unused start from lowest on: it writes a start row. Above the lowest any number may be
// drawn; since a restored disk does not know of the starts after it, a start may be lower than one that others know.
func (r rule) mint(s state, lowest int, void bool, each func(state)) {
	for a := lowest; a < starts; a++ {
		if s.minted&(1<<a) != 0 {
			continue
		}
		t := s
		b := &t.b[0]
		t.minted |= 1 << a
		b.start, b.heard = uint8(a), uint8(a+1)
		if void {
			b.told, b.tolds = [members]vector{}, [members]vector{}
		}
		b.proven = r.noAudit
		if r.late {
			b.begun = b.clock.ofA()
			each(t)
			continue
		}
		if !r.noParents {
			t.parents[a] = b.clock.ofA()
		}
		if _, ok := r.write(&t, 0); ok {
			each(t)
		}
	}
}

// above mints the lowest start that is free.
func (r rule) above(s state, lowest int, void bool) (t state, ok bool) {
	r.mint(s, lowest, void, func(x state) {
		if !ok {
			t, ok = x, true
		}
	})
	return t, ok
}

// claimed: somebody says that he has forgotten i's job, and his stable clock is c.
func (r rule) claimed(s *state, i int, c vector) {
	j := s.b[i].job
	if !c.has(j.created) {
		return
	}
	if j.state == live {
		for m := range r.members { // a live one is audited: everybody must have answered "absent"
			if o := s.b[m].job; m != i && o.state != absent && !o.disputed {
				return
			}
		}
	}
	s.dropped = s.dropped || !s.finished
	s.b[i].job = record{}
}

// pull lets i take in what j holds. It fails where the model has no room.
func (r rule) pull(s state, i, j int) (state, bool) {
	if i == 0 || j == 0 {
		a, p := &s.b[0], &s.b[i+j]
		if k := known(p); k > int(a.start)+1 || p.clock.get(int(a.start)) > a.clock.get(int(a.start)) { // K3
			t, ok := r.above(s, max(k, known(a)), false)
			if !ok {
				return s, false
			}
			s = t
			a, p = &s.b[0], &s.b[i+j]
		}
		if p.heard != a.start+1 {
			p.heard, p.told[0], p.tolds[0] = a.start+1, 0, 0
		}
	}
	x, y := &s.b[i], &s.b[j]
	if in := y.job; in.state != absent && !x.clock.has(in.wrote) && !in.disputed {
		switch {
		case x.job.state != absent || !x.clock.has(in.created):
			s.zombie = s.zombie || x.job.state == absent && s.allForgot
			x.job = record{state: max(x.job.state, in.state), created: x.job.created | in.created, wrote: x.job.wrote | in.wrote}
		case x.stable.has(in.created):
			r.claimed(&s, j, x.stable)
		default:
			in.disputed = true
			x.job = in
		}
	}
	if !x.proven {
		if x.job.state != absent && y.job.state == absent && y.clock.has(x.job.created) {
			if y.stable.has(x.job.created) {
				r.claimed(&s, i, y.stable)
			} else {
				x.job.disputed = true
			}
		}
		x.proven = true
	}
	x.clock = x.clock.join(y.clock)
	x.told[j] = y.clock
	r.settle(x, i)
	x.tolds[j] = y.stable
	if y.clock.covers(x.clock) {
		y.told[i], y.tolds[i] = x.clock, x.stable
		r.settle(y, j)
	}
	return s, true
}

func (r rule) forget(s state, i int) (state, bool) {
	b := &s.b[i]
	if b.job.state != done {
		return s, false
	}
	for m := range r.members {
		if !b.tolds[m].has(b.job.wrote) {
			return s, false
		}
	}
	b.job = record{}
	s.forgot, s.allForgot = true, true
	for m := range r.members {
		s.allForgot = s.allForgot && s.b[m].job.state == absent
	}
	return s, true
}

func (r rule) next(s state, to func(state, string)) {
	step := func(t state, what string) { to(t.normal(), what) }
	for i := range r.members {
		for j := range r.members {
			if t, ok := r.pull(s, i, j); i != j && ok && t != s {
				minted := ""
				if t.b[0].start != s.b[0].start {
					minted = fmt.Sprintf("; A goes on as A~%d (K3)", t.b[0].start+1)
				}
				step(t, fmt.Sprintf("%s pulls from %s%s", name(i), name(j), minted))
			}
		}
	}
	if t := s; !s.made {
		if d, ok := r.write(&t, 0); ok {
			t.b[0].job, t.made = record{state: live, created: d, wrote: d}, true
			step(t, fmt.Sprintf("A~%d creates the job", s.b[0].start+1))
		}
	}
	for i := range r.members {
		if b := s.b[i]; b.job.state == live && b.proven && !b.job.disputed && !r.noFinish {
			t := s
			if d, ok := r.write(&t, i); ok {
				t.b[i].job.state, t.finished, t.zombie = done, true, t.zombie || s.allForgot
				t.b[i].job.wrote |= d
				step(t, name(i)+" finishes the job")
			}
		}
		if t, ok := r.forget(s, i); ok && !r.noForget {
			step(t, name(i)+" forgets the job")
		}
	}
	if t := s; s.b[0].job.state == live && int(s.writes) < r.updates {
		if d, ok := r.write(&t, 0); ok {
			t.writes++
			t.b[0].job.wrote |= d
			step(t, fmt.Sprintf("A~%d updates the job", s.b[0].start+1))
		}
	}
	r.again(s, step)
}

// normal leaves out of what is stable, and of what was told, the dots that no record has any more, or none has had: nothing is
// asked about these but whether they cover a record, and what is written later has later dots.
func (s state) normal() state {
	all := []*broker{&s.b[0], &s.b[1], &s.b[2], &s.disk}
	var held dots
	for _, b := range all {
		held |= b.job.created | b.job.wrote
	}
	for _, b := range all {
		b.stable = b.stable.only(held)
		for m := range members {
			b.told[m], b.tolds[m] = b.told[m].only(held), b.tolds[m].only(held)
		}
	}
	return s
}

// only is the least clock that covers the same of these dots.
func (c vector) only(set dots) vector {
	for a := range actors {
		n := c.get(a)
		for n > 0 && set&dot(a, n) == 0 {
			n--
		}
		c = c.with(a, n)
	}
	return c
}

// again lists the starts of A.
func (r rule) again(s state, step func(state, string)) {
	if r.restores > 0 && (!s.copied || r.resumes && s.disk != s.b[0]) {
		t := s
		t.copied, t.disk = true, s.b[0]
		step(t, "A's disk is copied")
	}
	if int(s.started) == r.starts {
		return
	}
	t := s
	t.started++
	if u, ok := r.above(t, known(&t.b[0]), true); ok {
		step(u, fmt.Sprintf("A starts again, its disk intact, as A~%d", u.b[0].start+1))
	}
	if tips(&s, s.b[0].clock) > 1 && s.b[0].proven {
		if u, ok := r.above(t, known(&t.b[0]), false); ok {
			step(u, fmt.Sprintf("A sees several tips of its own, and goes on as A~%d (K2)", u.b[0].start+1))
		}
	}
	if s.copied && r.resumes {
		t := s
		t.b[0] = s.disk
		step(t, fmt.Sprintf("A's copy goes on as A~%d", s.disk.start+1))
	}
	if s.copied && int(s.restored) < r.restores {
		t.restored++
		t.b[0] = s.disk
		if r.sameActor {
			step(t, fmt.Sprintf("A starts from the copy, and goes on as A~%d", t.b[0].start+1))
		}
		if int(t.restored) == r.restores {
			t.disk, t.copied = broker{}, !r.resumes
		}
		r.mint(t, known(&t.b[0]), true, func(u state) {
			step(u, fmt.Sprintf("A starts from the copy, as A~%d", u.b[0].start+1))
		})
	}
}

// tips counts the entries of A that no other one implies.
func tips(s *state, c vector) (count int) {
	for a := range starts {
		tip := c.get(a) > 0
		for b := range starts {
			tip = tip && (b == a || c.get(b) == 0 || s.parents[b].get(a) < c.get(a))
		}
		if tip {
			count++
		}
	}
	return count
}

func name(i int) string { return string("ABC"[i]) }

func (r rule) broken(s state) string {
	switch {
	case s.dropped && r.looks("A"):
		return "A: an unfinished record was dropped as forgotten"
	case s.zombie && r.looks("b"):
		return "b: what all had finished and forgotten was taken in or run again"
	case s.two && r.looks("r"):
		return "r: a start says two things about its parents"
	case s.twice && r.looks("c"):
		return "c: a dot is used twice"
	case r.looks("a") && s.made && !s.forgot && r.hole(&s):
		return "a: a clock covers a record that its broker never had"
	case r.looks("l") && r.orphan(&s):
		return "l: a clock has a start without its parents"
	}
	if r.looks("d") || r.looks("e") {
		return r.converged(s)
	}
	return ""
}

func (r rule) hole(s *state) bool {
	for h := range r.members {
		for i := range r.members {
			if s.b[h].job.state != absent && s.b[i].job.state == absent && s.b[i].clock.has(s.b[h].job.created) {
				return true
			}
		}
	}
	return false
}

func (r rule) orphan(s *state) bool {
	for i := range r.members {
		for a := range starts {
			if s.b[i].clock.get(a) > 0 && !s.b[i].clock.covers(s.parents[a]) {
				return true
			}
		}
	}
	return false
}

// converged lets all talk until nothing changes any more, and then compares.
func (r rule) converged(s state) string {
	talking := r.members
	if r.silent {
		talking--
	}
	for i := range r.members {
		if known(&s.b[i]) >= starts { // no number is left to go on with
			return ""
		}
	}
	for range 8 {
		was := s
		for i := range talking {
			for j := range talking {
				t, ok := r.pull(s, i, j)
				if i == j {
					continue
				}
				if !ok {
					return ""
				}
				s = t
			}
		}
		if s == was {
			break
		}
	}
	for i := range talking {
		if r.looks("d") && s.b[i].clock != s.b[0].clock {
			return "d: clocks stay apart"
		}
		if r.looks("d") && !s.forgot && (s.b[i].job.state == absent) != (s.b[0].job.state == absent) {
			return "d: the job is here and not there, after all have talked"
		}
		if r.looks("e") && tips(&s, s.b[i].clock) > 2+int(s.restored) {
			return "e: more entries of A than two and one for each restored disk"
		}
	}
	return ""
}

// first is the state in which a search begins.
func (r rule) first() (s state) {
	s.minted = 1
	for i := range s.b {
		s.b[i].proven, s.b[i].heard = true, 1
	}
	if _, ok := r.write(&s, 0); !ok {
		panic("there is room for A's first start row")
	}
	c := s.b[0].clock
	for i := range s.b {
		s.b[i].clock, s.b[i].stable = c, c
		for m := range r.members {
			s.b[i].told[m], s.b[i].tolds[m] = c, c
		}
	}
	return s
}

func (r rule) search(most int) explore.Result {
	m := explore.Model[state]{Start: r.first(), Next: r.next, Broken: r.broken}
	if r.members == 3 && !r.silent && !r.looks("d") && !r.looks("e") {
		m.Twin = twin
	}
	return explore.Search(m, most)
}

// twin is a state with B and C in each other's place: both do the same. (The order in which all talk, properties d and e, is the
// one thing that tells them apart.)
func twin(s state) state {
	s.b[1], s.b[2] = s.b[2], s.b[1]
	for _, b := range []*broker{&s.b[0], &s.b[1], &s.b[2], &s.disk} {
		b.told[1], b.told[2] = b.told[2], b.told[1]
		b.tolds[1], b.tolds[2] = b.tolds[2], b.tolds[1]
		b.clock, b.stable, b.begun = b.clock.twin(), b.stable.twin(), b.begun.twin()
		for m := range members {
			b.told[m], b.tolds[m] = b.told[m].twin(), b.tolds[m].twin()
		}
		b.job.created, b.job.wrote = b.job.created.twin(), b.job.wrote.twin()
	}
	s.used = s.used.twin()
	for i := range s.parents {
		s.parents[i] = s.parents[i].twin()
	}
	return s
}

// twin is a clock with the entries of B and C in each other's place.
func (c vector) twin() vector {
	b, at := c.get(starts), starts
	return c.with(at, c.get(at+1)).with(at+1, b)
}

// twin is the same for dots.
func (d dots) twin() dots {
	const b, c = 3 * starts, 3 * (starts + 1)
	const of = dots(7)
	return d&^(of<<b|of<<c) | d>>b&of<<c | d>>c&of<<b
}
