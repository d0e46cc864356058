package ack

import (
	"time"

	"github.com/urban-compute/ucp/broker/membership"
	"github.com/urban-compute/ucp/broker/replication"
	"github.com/urban-compute/ucp/clock"
	"github.com/urban-compute/ucp/job"
)

// hedgeAfter is for how long a broker that should hold a copy may be silent before the next one
// on the ring gets one, too (rule A1; Dean and Barroso, "The Tail at Scale", 2013).
const hedgeAfter = 200 * time.Millisecond

// Demand is what must be on enough brokers before somebody is answered.
type Demand struct {
	Dot      clock.Dot    // an update
	Blobs    []job.Digest // and the blobs that go with it
	Deadline time.Time    // then the answer is given all the same, as degraded
	Least    int          // copies that the client insists on; 0 is none
	Final    time.Time    // how long it waits for those, when there are fewer at the deadline
}

// Waiters holds back what waits for copies, in the order in which it came. W is what waits. Make
// one with [NewWaiters].
type Waiters[W any] struct {
	replicas int // brokers that should hold a record before it is acknowledged; at least 1
	members  *membership.Membership
	peers    *replication.Replication
	holders  *Holders
	now      time.Time

	list   []*waiter[W]
	due    time.Time // when the first of them is answered at the latest
	hedges int       // how many more brokers than usual get copies, since some are silent
}

type waiter[W any] struct {
	Demand
	who   W
	since time.Time
}

// Durable is what need wait no longer.
type Durable[W any] struct {
	Who    W
	Copies int // brokers that hold what it waited for, this one included
}

// NewWaiters makes an empty Waiters.
func NewWaiters[W any](replicas int, members *membership.Membership, peers *replication.Replication, holders *Holders) *Waiters[W] {
	return &Waiters[W]{replicas: replicas, members: members, peers: peers, holders: holders}
}

// Tick says what time it is.
func (w *Waiters[W]) Tick(now time.Time) { w.now = now }

// Goal is how many copies are enough now: fewer than asked for when fewer brokers are alive and counted on
// (rule R2).
func (w *Waiters[W]) Goal() int {
	goal := 1
	for _, name := range w.members.Ring() {
		if goal < w.replicas && w.peers.CountsOn(name) {
			goal++
		}
	}
	return goal
}

// Degraded reports whether that many copies are fewer than asked for.
func (w *Waiters[W]) Degraded(copies int) bool { return copies < w.replicas }

// Reach is how many brokers on the ring are to hold copies of what is written here, now: as many as are asked
// for, one more for each hedge, and those between them that are not counted on (rule R2).
func (w *Waiters[W]) Reach() (reach int) {
	want := w.replicas - 1 + w.hedges
	for i, name := range w.members.Ring() {
		if want == 0 {
			break
		}
		if w.peers.CountsOn(name) {
			want--
			reach = i + 1
		}
	}
	return reach + want
}

// Copies counts the brokers that hold an update and its blobs, this one included: its own commit
// precedes every answer.
func (w *Waiters[W]) Copies(dot clock.Dot, blobs []job.Digest) int {
	n := 1
	for _, name := range w.members.Names() {
		if w.peers.Copy(name, dot) && w.holders.Has(name, blobs) {
			n++
		}
	}
	return n
}

// Add lets somebody wait, unless the demand is met: then it returns what is durable.
func (w *Waiters[W]) Add(d Demand, who W) (durable []Durable[W]) {
	x := &waiter[W]{Demand: d, who: who, since: w.now}
	if n, met := w.met(x, w.Goal()); met {
		return []Durable[W]{{who, n}}
	}
	w.keep(x)
	return nil
}

func (w *Waiters[W]) keep(x *waiter[W]) {
	w.list = append(w.list, x)
	if due := x.due(w.now); w.due.IsZero() || due.Before(w.due) {
		w.due = due
	}
}

// met reports whether one need wait no longer, and how many copies there are.
func (w *Waiters[W]) met(x *waiter[W], goal int) (copies int, met bool) {
	n := w.Copies(x.Dot, x.Blobs)
	switch late := !w.now.Before(x.Deadline); {
	case n >= max(goal, x.Least):
		return n, true
	case x.Least == 0 || n >= x.Least:
		return n, late
	}
	return n, !w.now.Before(x.Final)
}

// due is when one must be looked at again.
func (x *waiter[W]) due(now time.Time) time.Time {
	if x.Least > 0 && !now.Before(x.Deadline) {
		return x.Final
	}
	return x.Deadline
}

// Check returns what has become durable, or has waited for long enough.
func (w *Waiters[W]) Check() (durable []Durable[W]) {
	goal, all := w.Goal(), w.list
	w.list, w.due = all[:0], time.Time{}
	for _, x := range all {
		if n, met := w.met(x, goal); met {
			durable = append(durable, Durable[W]{x.who, n})
		} else {
			w.keep(x)
		}
	}
	clear(all[len(w.list):])
	if len(w.list) == 0 {
		w.hedges = 0
	}
	return durable
}

// Expired reports whether something has waited for long enough: it is time to Check.
func (w *Waiters[W]) Expired() bool { return !w.due.IsZero() && !w.now.Before(w.due) }

// Drop takes those back that nobody waits for any more.
func (w *Waiters[W]) Drop(gone func(W) bool) {
	for i, x := range w.list {
		if gone(x.who) {
			w.list = append(w.list[:i], w.list[i+1:]...)
			return
		}
	}
}

// Instead lets those who wait for an update for which other says so wait for another one.
func (w *Waiters[W]) Instead(other func(clock.Dot) clock.Dot) {
	for _, x := range w.list {
		x.Dot = other(x.Dot)
	}
}

// Len is how many wait.
func (w *Waiters[W]) Len() int { return len(w.list) }

// Hedge lets the next broker on the ring have copies when those before it are silent (rule A1).
func (w *Waiters[W]) Hedge() {
	ring := w.members.Ring()
	if len(w.list) == 0 || w.now.Before(w.hedgeDue()) || w.Reach() >= len(ring) {
		return
	}
	w.hedges++
	name := ring[w.Reach()-1]
	w.peers.TellNow(name)
	for _, x := range w.list {
		for _, d := range x.Blobs {
			w.holders.Push(name, d)
		}
	}
}

func (w *Waiters[W]) hedgeDue() time.Time {
	return w.list[0].since.Add(time.Duration(w.hedges+1) * hedgeAfter)
}

// Due is when Expired or Hedge will have something to do; zero is never.
func (w *Waiters[W]) Due() time.Time {
	if len(w.list) == 0 {
		return time.Time{}
	}
	if at := w.hedgeDue(); at.Before(w.due) && w.Reach() < len(w.members.Ring()) {
		return at
	}
	return w.due
}
