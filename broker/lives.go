package broker

import (
	"cmp"
	"encoding/binary"
	"maps"
	"slices"
	"time"

	"github.com/urban-compute/ucp/clock"
	"github.com/urban-compute/ucp/emergency"
	"github.com/urban-compute/ucp/ledger"
)

// An emergency may be declared again under an ID that some brokers have forgotten, and others have not (rule E6). What is declared where
// nothing is known of the ID is therefore another *life* of it, later than any that somebody can have forgotten: records of one life are
// joined, and of two lives the later one stays. If the two were joined, whoever remembers the old one would show the new one as cleared, or as
// long over, and whoever has forgotten it as in force, for good: the update that would bring the one to the other is covered there.

// lives is what this broker knows of the lives of emergencies.
type lives struct {
	forgotten uint64                        // the latest that this disk has forgotten
	again     map[emergency.ID]recollection // what others may lack that have forgotten it
}

// recollection is a record that says something else than one that came, and has ended: who holds that one may have forgotten what is said here,
// and no delta brings it. So it is written again.
type recollection struct {
	at    time.Time
	known clock.Vector // its updates: with more of them somebody was faster
}

// livesKind is what the latest life that was forgotten is called among the broker's own values.
const livesKind = "lives"

// remembered is for how long emergencies are that are over.
func (e *emergencies) remembered() time.Duration {
	return cmp.Or(e.cfg.EmergencyRetention, emergency.Retention)
}

// life is the life of an emergency that is declared or cleared here now. Where nothing is known of it, that is another one.
func (e *emergencies) life(old *emergency.Record) uint64 {
	if old != nil {
		return old.Life
	}
	return emergency.LifeAt(e.cityNow(), e.remembered(), e.lives.forgotten)
}

// declaredLife is the same of a declaration: none while a member is not known to tell lives apart, as one of an earlier version.
func (e *emergencies) declaredLife(old *emergency.Record) uint64 {
	apart := func(name string) bool { return name == e.self || e.members.Metadata(name).Lives }
	if old == nil && slices.ContainsFunc(e.members.Counted(), func(name string) bool { return !apart(name) }) {
		return 0
	}
	return e.life(old)
}

// lived gives a hint of a stock command line, or of an earlier version, which names no life, that of what is known. Where nothing is, a
// declaration keeps none: it may be one of long ago that Serf tells again.
func (e *emergencies) lived(hint *emergency.Record) *emergency.Record {
	r, old := *hint, e.known[hint.ID]
	if r.Life == 0 && (old != nil || r.Version.Seq == 0) {
		r.Life = e.life(old)
	}
	return &r
}

// hasForgotten notes the life of a record that is forgotten here.
func (e *emergencies) hasForgotten(r *emergency.Record) {
	if r != nil && r.Life > e.lives.forgotten {
		e.lives.forgotten = r.Life
		e.ledger.KeepOwn(livesKind+"\x00", binary.AppendUvarint(nil, r.Life))
	}
}

// newIn lists the emergencies of a delta with an update that is not held here.
func (e *emergencies) newIn(d ledger.Delta) (out []*emergency.Record) {
	for _, in := range d.Entries {
		if r, ok := in.Record.(*emergency.Record); ok && !e.holdsAll(r.Dots) {
			out = append(out, r)
		}
	}
	return out
}

// compare looks whether what came of an emergency lacks what is held of it, and has ended.
func (e *emergencies) compare(came *emergency.Record) {
	r := e.held(came.ID)
	if r == nil || r.Ended(e.cityNow()) == 0 || r.Says(came) {
		return
	}
	at := e.now
	if e.successor(string(r.ID), "") != e.self {
		at = at.Add(writeAfter + time.Duration(e.random.Fraction()*float64(writeSpread)))
	}
	e.lives.again[r.ID] = recollection{at, r.Dots}
}

// isToSay reports whether an emergency is to be written again: what is forgotten before that nobody hears of any more.
func (e *emergencies) isToSay(id emergency.ID) bool {
	_, due := e.lives.again[id]
	return due
}

// held is what the ledger holds of an emergency, nil for nothing.
func (e *emergencies) held(id emergency.ID) *emergency.Record {
	rec, err := e.ledger.Get(refOf(id))
	if err != nil {
		e.fail(err)
	}
	r, _ := rec.(*emergency.Record)
	return r
}

// recollect writes what is due.
func (e *emergencies) recollect() {
	for _, id := range slices.Sorted(maps.Keys(e.lives.again)) {
		due := e.lives.again[id]
		if e.now.Before(due.at) {
			continue
		}
		delete(e.lives.again, id)
		r := e.held(id)
		if r == nil || r.Dots.Compare(due.known) != clock.Equal {
			continue
		}
		rec, err := e.ledger.Apply(refOf(id), func(dot clock.Dot, old ledger.Record) ledger.Record {
			return old.(*emergency.Record).Again(dot, false)
		})
		if err != nil {
			e.fail(err)
			return
		}
		e.stats.Recollected++
		e.changedRecord(rec.(*emergency.Record))
	}
}
