// Command data explores how a name of data merges (rules D1 to D4 of docs/protocol.md): versions that are written on both
// sides of a split, deleted, dropped since they are old, and at last forgotten with their name.
//
// Three brokers and one name; each may write some versions of it, delete it, and drop its old versions, at any time. Records
// pass from one broker to another in any order, so that every split and every order of its healing is among what is searched.
// One machine's clock may be ahead by more than others follow (I3). A record keeps a few versions of each writer, and of all.
// One disk may be replaced by an older copy, once. What only that disk held is lost then, and excused. Liars are left out: see `claims`.
//
// Properties, when at last all hear each other: all hold the same ("differ"); what nobody has deleted, nor dropped, and whose
// writer has written nothing since, is there ("lost"); what was deleted or dropped is not ("zombie"); the latest version is none
// that another one was written in view of ("latest"); and a name that nobody has deleted is there ("empty").
package main

import (
	"fmt"
	"math/bits"

	"github.com/urban-compute/ucp/docs/model/explore"
)

const (
	members = 3
	each    = 2              // versions that a member may write
	all     = members * each // version v is of the member v / each
)

// rule is one reading of the rules; the zero one is the rules as they stand.
type rule struct {
	honest   bool // a version has the stamp of its writer's clock, also where what its writer knows has a later one
	placeful bool // what is removed keeps no place: a set of what was removed stands beside the bounded versions
	placeles bool // what is removed keeps no place, and nothing stands in for it
	byStamp  bool // a deletion removes all versions before its stamp
	oneBound bool // the latest versions of all are kept, whoever wrote them
	once     bool // only the first version creates the record
	whole    bool // places go only with the record, when nothing is there any more
	eager    bool // versions that are there may be forgotten, too
	revives  bool // what one copy lists is taken, though the other one knew it and has let go of it
	oneWord  bool // who says that it has forgotten a name is believed, also where it is there
	patient  bool // nobody but the one whose affair it is drops what is old
	stays    bool // and never where it is there
	ownClock bool // what this broker's clock covers may be forgotten, whatever others hold

	ahead    bool // the clock of c is far ahead
	writes   int  // versions that each may write, at most each
	deletes  uint8
	drops    uint8
	forgets  bool
	restores bool  // the disk of a may be replaced by an older copy
	unwrites uint8 // who writes nothing
}

const (
	none    = iota
	there   // a version with its content
	removed // the place of one without it
)

// updates is a set: that of each version, and of what each member has removed.
type updates uint16

func written(v int) updates { return 1 << v }
func removal(i int) updates { return 1 << (all + i) }
func late(i int) updates    { return 1 << (all + members + i) } // what it drops at last, since nobody else has

func (u updates) has(w updates) bool { return w&^u == 0 }

type member struct {
	held   bool
	v      [all]uint8
	gone   uint8   // with placeful, what was removed; with byStamp, the stamp
	dots   updates // of the record
	clock  updates
	stable updates
	told   [members]updates // what others have told that they hold
	tolds  [members]updates // and as stable
	absent uint8            // who says that it has forgotten what is there
	heard  uint8            // whose present start it has heard
}

type state struct {
	m         [members]member
	stamp     [all]uint8 // 0 of a version that was not written
	knew      [all]uint8 // versions in view of which each was written
	count     uint8      // versions that were written
	killed    uint8      // versions that somebody has deleted who knew them
	dropped   uint8      // versions that somebody has dropped
	deleters  uint8
	droppers  uint8
	forgotten uint8
	by        [members]uint8 // of killed and dropped, what each has removed
	lost      uint8          // versions that only the disk held which was replaced
	copied    bool
	restored  bool
	copy      member
}

func bit(i int) uint8   { return 1 << i }
func name(i int) string { return string(rune('a' + i)) }

// versionName is such as a1.
func versionName(v int) string { return fmt.Sprintf("%s%d", name(v/each), v%each+1) }

// after reports whether version v is later than w by their stamps.
func (s *state) after(v, w int) bool {
	return s.stamp[v] > s.stamp[w] || s.stamp[v] == s.stamp[w] && v > w
}

// bound keeps the latest version of each writer, and with oneBound the two latest of all.
func (r rule) bound(s *state, x *member) {
	for v := range all {
		later := 0
		for w := range all {
			if x.v[w] != none && w != v && s.after(w, v) && (r.oneBound || w/each == v/each) {
				later++
			}
		}
		if r.oneBound && later >= 2 || !r.oneBound && later >= 1 {
			if x.v[v] != none {
				x.v[v] += 10
			}
		}
	}
	for v := range all {
		if x.v[v] >= 10 {
			x.v[v] = none
		}
	}
}

// normal is the one form of a record.
func (r rule) normal(s *state, x *member) {
	for v := range all {
		switch {
		case r.placeful && x.gone&bit(v) != 0:
			x.v[v] = none
		case r.byStamp && x.v[v] == there && s.stamp[v] <= x.gone:
			x.v[v] = removed
		case r.placeles && x.v[v] == removed:
			x.v[v] = none
		}
	}
	r.bound(s, x)
}

// merge takes the record of y into x.
func (r rule) merge(s *state, x, y *member) {
	for v := range all {
		switch a, b := x.v[v], y.v[v]; {
		case !r.revives && (a == none && x.dots.has(written(v)) || b == none && y.dots.has(written(v))):
			x.v[v] = none // one of the two has let go of it
		default:
			x.v[v] = max(a, b)
		}
	}
	x.absent = 0
	if r.byStamp {
		x.gone = max(x.gone, y.gone)
	} else {
		x.gone |= y.gone
	}
	x.held = true
	x.dots |= y.dots
	r.normal(s, x)
}

// known is the versions of which a record knows, and live those that are there.
func (r rule) known(x *member) (set uint8) {
	if r.placeful {
		set = x.gone
	}
	for v := range all {
		if x.v[v] != none {
			set |= bit(v)
		}
	}
	return set
}

func (x *member) live() (set uint8) {
	for v := range all {
		if x.v[v] == there {
			set |= bit(v)
		}
	}
	return set
}

// creations are those that a receiver's clock must cover to call a record forgotten.
func (r rule) creations(s *state, x *member) (u updates) {
	if r.once { // the first, which may be of a version that is not kept any more
		first := -1
		for v := range all {
			if x.dots.has(written(v)) && (first < 0 || s.after(first, v)) {
				first = v
			}
		}
		if first >= 0 {
			u = written(first)
		}
		return u
	}
	return updates(r.known(x))
}

// pull lets i take in the delta of j, and each hear what the other holds.
func (r rule) pull(s *state, i, j int) {
	x, y := &s.m[i], &s.m[j]
	r.meets(s, i, j)
	r.meets(s, j, i)
	if y.clock.has(x.clock) {
		y.told[i], y.tolds[i] = x.clock, x.stable
	}
	if y.held && !x.clock.has(y.dots) {
		if !x.held && x.clock.has(r.creations(s, y)) {
			r.absentAt(y, j, i) // j is told so
		} else {
			r.merge(s, x, y)
			x.clock |= x.dots
		}
	}
	if x.held && !y.held && y.clock.has(r.creations(s, x)) { // an audit
		r.absentAt(x, i, j)
	}
	x.clock |= y.clock
	x.told[j], x.tolds[j] = y.clock, y.stable
	r.settle(s, i)
	r.settle(s, j)
}

// meets lets i hear which start of j speaks: what an earlier one has told is void (F1).
func (r rule) meets(s *state, i, j int) {
	if x := &s.m[i]; r.restores && x.heard&bit(j) == 0 {
		x.heard |= bit(j)
		x.told[j], x.tolds[j] = 0, 0
	}
}

// absentAt lets i hear that j has forgotten what it holds.
func (r rule) absentAt(x *member, i, j int) {
	if x.live() == 0 || r.eager || r.oneWord {
		x.drop()
		return
	}
	if !r.forgets || r.stays {
		return
	}
	if x.absent |= bit(j); x.absent|bit(i) == bit(members)-1 {
		x.drop()
	}
}

// settle raises what is stable at i.
func (r rule) settle(s *state, i int) {
	x := &s.m[i]
	if !r.forgets { // it serves nothing else
		x.stable, x.told, x.tolds = 0, [members]updates{}, [members]updates{}
		return
	}
	meet := x.clock
	for j := range members {
		if j != i {
			meet &= x.told[j]
		}
	}
	x.stable |= meet
}

// write lets i write its next version.
func (r rule) write(s *state, i int) (v int, ok bool) {
	x := &s.m[i]
	for n := range r.writes {
		if v = i*each + n; s.stamp[v] == 0 {
			ok = true
			break
		}
	}
	if !ok || r.unwrites&bit(i) != 0 {
		return 0, false
	}
	s.count++
	at := s.count
	if r.ahead && i == members-1 {
		at += 8
	}
	for w := range all {
		if r.known(x)&bit(w) != 0 && (!r.honest || w/each == i) {
			at = max(at, s.stamp[w]+1)
		}
	}
	s.stamp[v], s.knew[v] = at, r.known(x)
	x.held, x.absent = true, 0
	x.v[v] = there
	x.dots |= written(v)
	x.clock |= written(v)
	r.normal(s, x)
	r.settle(s, i)
	return v, true
}

// remove lets i remove some versions.
func (r rule) remove(s *state, i int, set uint8, by updates) {
	x := &s.m[i]
	for v := range all {
		if set&bit(v) == 0 {
			continue
		}
		x.v[v] = removed
		switch {
		case r.byStamp:
			x.gone = max(x.gone, s.stamp[v])
		case r.placeful:
			x.gone |= bit(v)
		}
	}
	s.by[i] |= set
	x.absent = 0
	x.dots |= by
	x.clock |= by
	r.normal(s, x)
	r.settle(s, i)
}

// latest is the latest version that is there, -1 for none.
func (s *state) latest(x *member) int {
	last := -1
	for v := range all {
		if x.v[v] == there && (last < 0 || s.after(v, last)) {
			last = v
		}
	}
	return last
}

// mayForget is rule F3, of what was removed.
func (r rule) mayForget(x *member, i int) bool {
	live := x.live()
	if !x.held || !r.forgets || live == r.known(x) && !r.eager || live != 0 && r.whole {
		return false
	}
	if r.ownClock {
		return true
	}
	for j := range members {
		if j != i && !x.tolds[j].has(x.dots) {
			return false
		}
	}
	return x.stable.has(x.dots)
}

// forget lets go of the places of what was removed, and of the record when nothing is left.
func (r rule) forget(x *member) {
	for v := range all {
		if x.v[v] == removed {
			x.v[v] = none
		}
	}
	if x.live() == 0 || r.eager {
		x.drop()
	}
}

func (x *member) drop() { x.held, x.v, x.gone, x.dots, x.absent = false, [all]uint8{}, 0, 0, 0 }

// restore replaces the disk of a by its copy: what it told as another start counts from when it is heard.
func (s *state) restore() {
	was := s.m[0]
	s.restored, s.m[0] = true, s.copy
	s.m[0].heard, s.m[0].told, s.m[0].tolds = bit(0), [members]updates{}, [members]updates{}
	var others updates
	for i := range members {
		s.m[i].heard &^= bit(0)
		if i == 0 {
			s.m[0].heard = bit(0)
		}
		others |= s.m[i].clock
	}
	s.m[0].heard |= bit(0)
	for v := range all {
		if s.stamp[v] != 0 && !others.has(written(v)) {
			s.lost |= bit(v)
		}
	}
	if was.clock.has(removal(0)) && !others.has(removal(0)) {
		gone := s.by[0] &^ (s.by[1] | s.by[2])
		s.killed &^= gone
		s.dropped &^= gone
		s.by[0] = 0
	}
}

func (r rule) next(s state, step func(state, string)) {
	if t := s; r.restores && !s.copied {
		t.copied, t.copy = true, s.m[0]
		step(t, "the disk of a is copied")
	}
	if t := s; s.copied && !s.restored {
		t.restore()
		t.copy = member{}
		step(t, "a starts from the copy")
	}
	for i := range members {
		for j := range members {
			if t := s; i != j {
				r.pull(&t, i, j)
				step(t, fmt.Sprintf("%s takes in what %s holds", name(i), name(j)))
			}
		}
		t := s
		if v, ok := r.write(&t, i); ok {
			step(t, fmt.Sprintf("%s writes %s, at %d", name(i), versionName(v), t.stamp[v]))
		}
		x := s.m[i]
		if live := x.live(); live != 0 && r.deletes&^s.deleters&bit(i) != 0 {
			t := s
			t.deleters |= bit(i)
			t.killed |= live
			r.remove(&t, i, live, removal(i))
			step(t, name(i)+" deletes it")
		}
		if live := x.live(); bits.OnesCount8(live) > 1 && r.drops&^s.droppers&bit(i) != 0 {
			t := s
			old := live &^ bit(s.latest(&x))
			t.droppers |= bit(i)
			t.dropped |= old
			r.remove(&t, i, old, removal(i))
			step(t, name(i)+" drops its old versions")
		}
		if r.mayForget(&x, i) && s.forgotten&bit(i) == 0 {
			t := s
			t.forgotten |= bit(i)
			r.forget(&t.m[i])
			step(t, name(i)+" forgets what was removed")
		}
	}
}

func (r rule) broken(s state) string {
	for round := range 8 {
		for i := range members {
			for j := range members {
				if i != j {
					r.pull(&s, i, j)
				}
			}
			x := &s.m[i]
			if old := x.live() &^ bit(max(s.latest(x), 0)); r.restores && !r.patient && round == 3 && bits.OnesCount8(x.live()) > 1 {
				s.dropped |= old
				r.remove(&s, i, old, late(i))
			}
			if r.mayForget(&s.m[i], i) && !r.eager {
				r.forget(&s.m[i])
			}
		}
	}
	x := &s.m[0]
	for i := 1; i < members; i++ {
		if s.m[i].held != x.held || s.m[i].v != x.v || s.m[i].gone != x.gone {
			return "differ: " + name(0) + " and " + name(i) + " hold different things for good"
		}
	}
	live := x.live()
	for v := range all {
		if s.stamp[v] == 0 || s.lost&bit(v) != 0 {
			continue
		}
		again := v%each+1 < each && s.stamp[v+1] != 0 // its writer has written since
		switch gone := (s.killed|s.dropped)&bit(v) != 0; {
		case gone && live&bit(v) != 0:
			return "zombie: " + versionName(v) + " is there again"
		case !gone && !again && live&bit(v) == 0:
			return "lost: " + versionName(v) + " is not there, though nobody has removed it"
		}
	}
	if last := s.latest(x); last >= 0 {
		for v := range all {
			if live&bit(v) != 0 && s.knew[v]&bit(last) != 0 {
				return "latest: " + versionName(v) + " was written in view of " + versionName(last) + ", which is the latest"
			}
		}
	}
	if s.count > 0 && s.killed == 0 && s.lost == 0 && live == 0 {
		return "empty: nobody has deleted it, and it is not there"
	}
	return ""
}

func start() (s state) {
	for i := range s.m {
		s.m[i].heard = bit(members) - 1
	}
	return s
}

func (r rule) search(most int) explore.Result {
	return explore.Search(explore.Model[state]{Start: start(), Next: r.next, Broken: r.broken}, most)
}

// cases are the rules, and what each part of them is for.
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
	long := func(name, breaks string, r rule) explore.Case {
		x := of(name, breaks, r)
		x.Long = true
		return x
	}
	return []explore.Case{
		of("one version each", "", rule{writes: 1, deletes: a | c, drops: b, ahead: true}),
		of("two versions each of two", "", rule{writes: 2, deletes: c, drops: b, ahead: true, unwrites: b}),
		of("forgetting", "", rule{writes: 2, deletes: a | c, forgets: true, unwrites: b | c}),
		of("forgetting, dropping", "", rule{writes: 1, deletes: c, drops: b, forgets: true, unwrites: c}),
		of("restored disk", "", rule{writes: 1, deletes: b, forgets: true, restores: true, unwrites: c}),
		of("restored disk, patient", "differ", rule{writes: 1, deletes: b, forgets: true, restores: true, patient: true, unwrites: c}),
		of("restored disk, revives", "differ", rule{writes: 1, drops: b, forgets: true, restores: true, revives: true, patient: true, unwrites: c}),
		of("restored disk, stays", "differ", rule{writes: 1, deletes: b, forgets: true, restores: true, stays: true, unwrites: b | c}),
		long("forgetting, two writers", "", rule{writes: 1, deletes: a | c, forgets: true, unwrites: c}),
		of("honest", "latest", rule{writes: 1, ahead: true, honest: true}),
		of("placeless", "differ", rule{writes: 1, deletes: a, placeles: true}),
		of("removed beside the bound", "differ", rule{writes: 2, deletes: b, placeful: true, revives: true, unwrites: b | c}),
		of("by stamp", "lost", rule{writes: 1, deletes: a, byStamp: true}),
		of("one bound", "lost", rule{writes: 2, oneBound: true}),
		of("created once", "differ", rule{writes: 2, deletes: a | c, forgets: true, unwrites: b | c, once: true}),
		of("forgets whole names only", "differ", rule{writes: 1, deletes: a | c, forgets: true, unwrites: c, whole: true}),
		of("forgets what is there", "lost", rule{writes: 1, forgets: true, eager: true}),
		of("by its own clock", "differ", rule{writes: 1, deletes: a, forgets: true, ownClock: true}),
	}
}

func main() { explore.Main(cases()) }
