// Command presence explores rule P1 of docs/protocol.md: whom a broker counts as lost, although SWIM may say anything.
//
// One broker, the observer, watches another, the subject. Time passes in beats. SWIM is an adversary: it says "failed"
// and "alive" as it likes, and may go on saying "failed" of a broker that lives and talks to us (a forged death, a link
// that works one way only). Messages between the two may be lost, arrive at any later time, and arrive again. The
// subject may die at any time, and start again as another actor.
//
// What is abstracted: the delay that doubles for who flaps and the backoff of P2 (they make the observer wait longer,
// never less), isolation (J7), and a third broker: who is present is learnt from itself and from SWIM alone, and what
// SWIM hears from a third is "anything" already.
package main

import (
	"fmt"

	"github.com/urban-compute/ucp/docs/model/explore"
)

// In beats. Ages beyond never are all the same.
const (
	lease = 2
	delay = 1 // how long an absent broker may refute that
	never = lease + delay + 2
)

// proof is what counts as proof of life.
type proof int

const (
	afterVerdict proof = iota // it names a stamp of ours, not older than the lease, sent after SWIM's last "failed"
	withinLease               // it names a stamp of ours that is not older than the lease
	anyMessage                // it is a message
	coversAll                 // its clock covers all that we have written
	coversNew                 // its clock covers something that we have written within the lease
)

// rule is one reading of P1; the zero one is the rule as it was mended.
type rule struct {
	proof
	fromArrival bool // the lease runs from the message's arrival, not from when the stamp was sent
	forever     bool // there is no lease: only SWIM's next word begins another absence
	recordsLast bool // the message's records are reviewed before the absence ends
	takesAll    bool // records of a lost broker are taken in, though the message proves nothing
	anyStart    bool // a message of a superseded incarnation is heard, too
	backdated   bool // the absence after a lease begins when the lease ended, not when that is noticed
	waits       bool // the observer does not ask an absent broker, but waits for the usual exchange

	only string // the property to look at; empty is all
}

// stamp is when the observer sent something.
type stamp struct {
	age   uint8
	after bool // it was sent after SWIM's last "failed"
}

func (a stamp) newest(b stamp) stamp {
	if b.age < a.age || b.age == a.age && b.after {
		return b
	}
	return a
}

// letter is the message under way in one direction.
type letter struct {
	there   bool
	start   uint8 // of the subject, who sent it
	stamp   stamp // when it was sent, or which one of the observer's it names
	covered uint8 // age of the newest update of the observer that it covers
	news    bool  // it carries a job that the subject owns
}

type state struct {
	// the subject
	up    bool
	start uint8 // 1 or 2
	heard stamp // the newest of the observer that this start has got
	saw   uint8 // age of the newest update of the observer that it holds
	job   bool  // it has one, which it owns

	toSubject, toObserver letter

	// the observer
	wrote  uint8 // age of its newest update
	knows  uint8 // the newest start of the subject that it has heard of
	proof  uint8 // age of what the lease runs from
	held   bool  // proof of life has ended the absence that SWIM's word began
	failed bool  // SWIM's last word
	absent uint8 // age of the absence, and 1; 0 is none
	lost   bool
	holds  bool // the subject's job
	asked  bool // it has sent something in this beat

	// what only we see
	silent  stamp // the newest that any start of the subject has got
	trip    stamp // the newest that its present start has got, and of which the observer has had word
	since   uint8 // age of SWIM's last "failed"
	ran     uint8 // beats since the observer last stood still
	noticed bool  // the absence was noticed in this very step
	took    bool  // the observer took over what the subject's own message brought
	back    bool  // the subject has got what was sent in this beat
	both    bool  // and the observer an answer
	kind    bool  // since SWIM's last "failed" the network has carried all that was sent, and the answers
}

func older(age uint8, by int) uint8 { return uint8(min(int(age)+by, never)) }

// pass lets beats go by, in which the observer does nothing.
func (s *state) pass(beats int) {
	for _, age := range []*uint8{&s.heard.age, &s.saw, &s.toSubject.stamp.age, &s.toObserver.stamp.age, &s.toObserver.covered,
		&s.toSubject.covered, &s.wrote, &s.proof, &s.silent.age, &s.trip.age} {
		*age = older(*age, beats)
	}
	if s.failed {
		s.since = older(s.since, beats)
	}
	if s.absent > 0 {
		s.absent = older(s.absent, beats)
	}
	s.noticed, s.asked, s.back, s.both = false, false, false, false
}

// look is what the observer does before anything else: it sees whether the lease has ended, and whether it has waited
// long enough.
func (s *state) look(r rule) {
	if s.failed && s.held && !r.forever && s.proof > lease {
		s.held, s.absent, s.noticed = false, 1, true
		if r.backdated {
			s.absent = s.proof - lease
		}
	}
	if s.absent > delay {
		s.lost = true
	}
}

// proves says whether a letter is proof of life, and from when the lease runs.
func (r rule) proves(s *state, l letter) (yes bool, from uint8) {
	switch r.proof {
	case afterVerdict:
		yes, from = l.stamp.age <= lease && (l.stamp.after || !s.failed), l.stamp.age
	case withinLease:
		yes, from = l.stamp.age <= lease, l.stamp.age
	case anyMessage:
		yes = true
	case coversAll:
		yes = l.covered <= s.wrote
	case coversNew:
		yes = l.covered <= lease
	}
	if r.fromArrival {
		from = 0
	}
	return yes, from
}

// supersede notes a newer start: the earlier one is dead, and with it all that it proved.
func (s *state) supersede(start uint8) {
	if start <= s.knows {
		return
	}
	s.knows, s.proof, s.trip = start, never, stamp{age: never}
	if s.held {
		s.held, s.absent = false, 1
	}
}

// hear takes in a letter of the subject.
func (s *state) hear(r rule, l letter) {
	if l.start < s.knows && !r.anyStart {
		return
	}
	s.supersede(l.start)
	if l.start == s.knows {
		s.trip = s.trip.newest(l.stamp)
	}
	wasLost := s.lost
	yes, from := r.proves(s, l)
	if yes {
		s.proof = min(s.proof, from)
		if s.absent > 0 {
			s.absent, s.lost, s.held = 0, false, true
		}
	}
	if l.news && !s.holds && (!s.lost || r.takesAll) {
		s.holds = true
		s.took = s.lost || r.recordsLast && wasLost
	}
}

// next lists the steps.
func (r rule) next(s state, step func(state, string)) {
	r.pass(s, step)
	r.observe(s, step)
	live(s, step)
	r.arrive(s, step)
	say(s, step)
}

// pass lets time go by.
func (r rule) pass(s state, step func(state, string)) {
	if s.absent == 0 || s.asked || r.waits { // who is absent is asked in each beat
		t := s
		t.kind = s.kind && (!s.asked || s.both)
		t.pass(1)
		t.ran = min(s.ran+1, delay+1)
		t.look(r)
		step(t, "a beat passes"+consequence(s, t))
	}
	t := s
	t.kind, t.ran = false, 0
	t.pass(never)
	t.look(r)
	step(t, "the observer stands still for long, and wakes"+consequence(s, t))
}

// observe is what the observer does by itself. Updates are written only where the rule looks at them.
func (r rule) observe(s state, step func(state, string)) {
	if s.wrote > 0 && (r.proof == coversAll || r.proof == coversNew) {
		t := s
		t.wrote = 0
		step(t, "the observer writes an update")
	}
	t := s
	t.toSubject = letter{there: true, stamp: stamp{after: s.failed}, covered: s.wrote}
	t.asked = true
	step(t, "the observer sends a message")
}

// live is what the subject does.
func live(s state, step func(state, string)) {
	if s.up && s.toSubject.there {
		t := s
		t.heard = s.heard.newest(s.toSubject.stamp)
		t.saw = min(s.saw, s.toSubject.covered)
		t.silent = s.silent.newest(t.heard)
		t.back = s.back || s.toSubject.stamp.age == 0 && (s.toSubject.stamp.after || !s.failed)
		step(t, fmt.Sprintf("A~%d gets the message, sent %s", s.start, ago(s.toSubject.stamp.age)))
	}
	if s.up {
		t := s
		t.toObserver = letter{there: true, start: s.start, stamp: s.heard, covered: s.saw, news: s.job}
		with := ""
		if s.job {
			with = ", with its job"
		}
		step(t, fmt.Sprintf("A~%d sends a message%s; the newest of ours that it has got was sent %s", s.start, with, ago(s.heard.age)))
		if !s.job {
			t = s
			t.job = true
			step(t, "the subject takes a job")
		}
		t = s
		t.up, t.back, t.both, t.kind = false, false, false, false
		step(t, fmt.Sprintf("A~%d dies", s.start))
	} else if s.start == 1 {
		t := s
		t.up, t.start, t.heard, t.saw = true, 2, stamp{age: never}, never
		step(t, "the subject starts again, as A~2")
	}
}

// arrive lets the subject's message reach the observer.
func (r rule) arrive(s state, step func(state, string)) {
	if l := s.toObserver; l.there {
		t := s
		t.look(r)
		t.hear(r, l)
		t.both = s.both || s.back && l.stamp.age == 0 && (l.stamp.after || !s.failed) && l.start == s.start
		step(t, fmt.Sprintf("the observer gets a message of A~%d%s", l.start, consequence(s, t)))
	}
}

// say lets SWIM say the opposite of what it said last.
func say(s state, step func(state, string)) {
	t := s
	if !s.failed {
		t.failed, t.since, t.absent, t.held, t.kind = true, 0, 1, false, s.up
		t.heard.after, t.toSubject.stamp.after, t.toObserver.stamp.after, t.silent.after, t.trip.after = false, false, false, false, false
		t.back, t.both, t.asked = false, false, false
		step(t, "SWIM says that the subject has failed")
	} else {
		t.failed, t.absent, t.lost, t.held, t.since = false, 0, false, false, 0
		if s.up {
			t.supersede(s.start)
		}
		step(t, "SWIM says that the subject is alive")
	}
}

func ago(age uint8) string {
	switch age {
	case 0:
		return "in this beat"
	case 1:
		return "a beat ago"
	case never:
		return "long ago, or never"
	default:
		return fmt.Sprint(age, " beats ago")
	}
}

// consequence says what the observer concludes.
func consequence(s, t state) (said string) {
	if s.absent == 0 && t.absent > 0 {
		said += "; an absence begins"
	}
	if s.absent > 0 && t.absent == 0 {
		said += "; the absence ends"
	}
	if !s.lost && t.lost {
		said += "; the subject is lost"
	}
	if !s.took && t.took {
		said += "; the observer takes over the job that it brings"
	}
	return said
}

// property is what must never be seen.
type property struct {
	name, what string
	seen       func(s state) bool
}

var properties = []property{
	{"early", "it is lost, though SWIM says that it is alive",
		func(s state) bool { return s.lost && !s.failed }},
	{"early", "it is lost, though it has answered within the lease what was sent after SWIM's word",
		func(s state) bool { return s.lost && s.trip.age <= lease && s.trip.after }},
	{"early", "it is lost in the step in which its absence is noticed",
		func(s state) bool { return s.lost && s.noticed }},
	{"unasked", "it is lost, though it lives and all that was sent has reached it",
		func(s state) bool { return s.lost && s.kind }},
	{"late", "nothing that was sent after SWIM's word has ever reached it, and it is not lost",
		func(s state) bool {
			return !s.lost && s.failed && !s.silent.after && s.since > delay && s.ran > delay
		}},
	{"later", "for longer than lease and delay nothing has reached it, and it is not lost",
		func(s state) bool {
			return !s.lost && s.failed && s.silent.age > lease+delay && s.since > lease+delay && s.ran > delay
		}},
	{"storm", "the message by which it speaks makes the observer take over its job",
		func(s state) bool { return s.took }},
	{"deaf", "messages have just passed both ways, and it is lost",
		func(s state) bool { return s.lost && s.both && s.up && s.start == s.knows }},
}

func (r rule) broken(s state) string {
	for _, p := range properties {
		if (r.only == "" || r.only == p.name) && p.seen(s) {
			return p.name + ": " + p.what
		}
	}
	return ""
}

func (r rule) search(most int) explore.Result {
	start := state{up: true, start: 1, knows: 1}
	return explore.Search(explore.Model[state]{Start: start, Next: r.next, Broken: r.broken}, most)
}

func main() { explore.Main(cases()) }
