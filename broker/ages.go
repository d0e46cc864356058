package broker

import (
	"encoding/binary"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/urban-compute/ucp/broker/kind"
	"github.com/urban-compute/ucp/clock"
	"github.com/urban-compute/ucp/data"
	"github.com/urban-compute/ucp/emergency"
	"github.com/urban-compute/ucp/job"
	"github.com/urban-compute/ucp/ledger"
)

// What is kept for a time is kept for a time of this broker's own uptime, from when it first held the
// thing (rule T1): no clock that is wrong, here or elsewhere, makes it older or younger. Both are
// this broker's own affair: they are stored beside the ledger (ledger.KeepOwn), and never replicated.
//
// A broker that is up for five minutes a day needs most of a year for a retention of a day: what it
// keeps is bounded by counts (Config.RetentionCount).

// How often the clocks are stored: with what is written anyway, and when nothing is, so that an idle
// disk is left alone. A crash loses as much uptime at most.
const (
	keepClocksBusy = 10 * time.Second
	keepClocksIdle = time.Minute
)

// clocksName is what they are called among the broker's own values; the others are called after
// records.
const clocksName = "clocks"

func sinceName(ref ledger.Ref) string { return string(ref.Kind) + "\x00" + ref.Key }

// keepSince stores that the age of a thing counts from now.
func (c *core) keepSince(ref ledger.Ref) {
	c.ledger.KeepOwn(sinceName(ref), binary.AppendUvarint(nil, uint64(c.up.Milliseconds())))
}

// dropSince stores that it has no age.
func (c *core) dropSince(ref ledger.Ref) { c.ledger.KeepOwn(sinceName(ref), nil) }

// keepClocks stores what time it is, from time to time.
func (c *core) keepClocks() {
	age := c.now.Sub(c.kept)
	if !c.started() || age < keepClocksBusy || age < keepClocksIdle && !c.ledger.Dirty() {
		return
	}
	c.kept = c.now
	c.ledger.KeepOwn(clocksName, c.clocks.encode())
}

// clocksDue is when they are to be stored at the latest.
func (c *core) clocksDue() time.Time {
	if !c.started() {
		return time.Time{}
	}
	return c.kept.Add(keepClocksIdle)
}

// StoredUptime is for how long the broker of a store has been up over all its starts, as was last stored; 0 in the
// store of a version that did not count it. The shell may count on from there, where it keeps ages of its own.
func StoredUptime(scan ledger.Scan) (time.Duration, error) {
	var c clocks
	err := ledger.Own(scan, func(name string, value []byte) error {
		if name != clocksName {
			return nil
		}
		return c.decode(value)
	})
	return c.up, err
}

// loadOwn takes in what earlier starts have stored for themselves, after the records.
func (b *Broker) loadOwn(scan ledger.Scan) error {
	kept := false // who took part
	err := ledger.Own(scan, func(name string, value []byte) error {
		if name == clocksName {
			return b.clocks.decode(value)
		}
		of, key, ok := strings.Cut(name, "\x00")
		if of == asideKind {
			if !b.recallAside(key, value) {
				b.ledger.KeepOwn(name, nil)
			}
			return nil
		}
		if of == adoptedKind {
			b.enrolment.recallAdopted(key)
			return nil
		}
		if of == madeUpKind {
			if !b.authors.recall(key, value) {
				b.ledger.KeepOwn(name, nil)
			}
			return nil
		}
		ms, n := binary.Uvarint(value)
		switch {
		case of == partKind && ok && n > 0:
			b.peers.Recall(key, ms) // an epoch
			kept = true
			return nil
		case of == proofKind && n > 0:
			return b.recallProof(value[n:])
		case of == livesKind && n > 0:
			b.emergencies.lives.forgotten = ms
			return nil
		case of == headKind && n > 0:
			b.heads.recall(clock.Actor(key), value[n:])
			return nil
		case of == doubtKind:
			if !b.recallDoubt(key) {
				b.ledger.KeepOwn(name, nil)
			}
			return nil
		case !ok || n <= 0 || ms > maxMillis:
			return fmt.Errorf("the stored value %q of this broker is %x", name, value)
		}
		held := false
		switch ledger.Kind(of) {
		case kind.Job:
			held = b.jobs.recallEnd(key, time.Duration(ms)*time.Millisecond) || b.recallDeadline(key, ms)
		case kind.Emergency:
			held = b.emergencies.recallOver(emergency.ID(key), time.Duration(ms)*time.Millisecond)
		case kind.Data:
			held = b.names.recallAge(data.Name(key), value)
		}
		if !held { // a commit was cut off, or an older version has forgotten it
			b.dropSince(ledger.Ref{Kind: ledger.Kind(of), Key: key})
		}
		return nil
	})
	if !kept {
		b.foundPart()
	}
	for _, key := range b.jobs.ageless(b.up) {
		b.jobs.recallEnd(key, b.up)
		b.keepSince(kind.JobRef(key))
	}
	return err
}

// timeChanged lets all that goes by the city's time look again: it has changed otherwise than by passing.
func (b *Broker) timeChanged() {
	b.emergencies.refresh()
	b.decisions.retime(b.attempts.keys())
	b.reviewWhere(dueOf)
	for _, key := range slices.Sorted(maps.Keys(b.deadlines)) {
		b.keepDeadline(key)
	}
}

// dueOf reports whether a job has a deadline.
func dueOf(r *job.Record) bool { return r.Spec.Priority.Deadline != 0 || r.Spec.DeadlineIn != 0 }

// A deadline that a client gave as a duration is so long after the submission, by the clock of the
// broker that took it (rule T3). deadlines are what is left of these, as this broker has reckoned it
// when it first held the job; from then on no clock that is set moves it.
type deadlines map[string]time.Time // by key; when, by core.now; before the first Tick by the city's time

// meet reckons how long a job still has that this broker holds for the first time: its creation is dated by the
// broker that took it, whose clock is read from what it last said of its stamps.
func (c *core) meet(r *job.Record) {
	d := time.Duration(r.Spec.DeadlineIn)
	if d == 0 || r.Finished() || !c.started() {
		return
	}
	now := c.cityTime()
	by := r.Created[0].Dot.Actor.Broker()
	at := c.peers.Stamping(by)
	if x, ok := c.peers.Reading(by); ok && x.City.After(at) { // what it said last came late: nobody stamps behind the city's time
		at = x.City
	}
	if !at.IsZero() && at.Sub(now).Abs() > reading {
		now = at
	}
	age := now.Sub(clock.TimeOf(r.Submitted()).Time())
	c.deadlines[r.Key()] = c.now.Add(d - min(max(age, 0), d))
	c.keepDeadline(r.Key())
}

// keepDeadline stores when a deadline passes, as the city's time is now.
func (c *core) keepDeadline(key string) {
	at := c.cityTime().Add(c.deadlines[key].Sub(c.now))
	c.ledger.KeepOwn(sinceName(kind.JobRef(key)), binary.AppendUvarint(nil, uint64(max(at.UnixMilli(), 0))))
}

// recallDeadline takes in what an earlier start has stored: when a deadline passes, by the city's time. It
// reports whether the job has one.
func (b *Broker) recallDeadline(key string, ms uint64) bool {
	r := b.record(key)
	if r == nil || r.Finished() || r.Spec.DeadlineIn == 0 {
		return false
	}
	b.deadlines[key] = time.UnixMilli(int64(ms))
	return true
}

// beginDeadlines lets those run that were stored.
func (c *core) beginDeadlines() {
	for key, at := range c.deadlines {
		c.deadlines[key] = c.now.Add(at.Sub(c.city))
	}
}

// deadline is when a job is of no use any more, by the city's time; 0 is never.
func (c *core) deadline(r *job.Record) clock.Time {
	if r.Spec.DeadlineIn == 0 {
		return r.Spec.Priority.Deadline
	}
	at, ok := c.deadlines[r.Key()]
	if !ok {
		return clock.TimeOf(r.Submitted()) + clock.Time(time.Duration(r.Spec.DeadlineIn).Milliseconds())
	}
	return clock.At(c.city.Add(at.Sub(c.now)))
}
