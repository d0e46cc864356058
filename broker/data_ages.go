package broker

import (
	"cmp"
	"encoding/binary"
	"maps"
	"slices"
	"time"

	"github.com/urban-compute/ucp/broker/kind"
	"github.com/urban-compute/ucp/broker/wire"
	"github.com/urban-compute/ucp/clock"
	"github.com/urban-compute/ucp/data"
)

// dataAge is since when what a name has of old or removed versions stands as it does, in uptime of this broker (rules T1, D3, D4).
type dataAge struct {
	latest time.Duration               // its latest version
	old    map[clock.Dot]time.Duration // of each version that is there, and not the latest: since it is not, or since this broker holds it
	oldest time.Duration               // the smallest of old, where there is any
}

// note takes in since when a version has not been the latest.
func (a *dataAge) note(v clock.Dot, at time.Duration) {
	if len(a.old) == 0 || at < a.oldest {
		a.oldest = at
	}
	if a.old == nil {
		a.old = map[clock.Dot]time.Duration{}
	}
	a.old[v] = at
}

// dataRetention is for how long versions of named data are kept that are not the latest (rule D3).
func (c *Config) dataRetention() time.Duration { return cmp.Or(c.DataRetention, c.Retention) }

// keepAge notes since when things stand, where there is something old or removed. Changed: another version is the latest.
func (n *names) keepAge(r *data.Record, changed bool) {
	was, known := n.ages[r.Name]
	if !r.Aged() && !r.Trimmable() {
		if known {
			delete(n.ages, r.Name)
			n.dropSince(kind.DataRef(r.Name))
		}
		return
	}
	is := dataAge{latest: was.latest}
	if changed || !known {
		is.latest = n.up
	}
	for v := range r.Old() {
		at, noted := was.old[v.Dot]
		if !noted {
			at = n.up
		}
		is.note(v.Dot, at)
	}
	if known && is.latest == was.latest && maps.Equal(is.old, was.old) {
		return
	}
	n.ages[r.Name] = is
	n.ledger.KeepOwn(sinceName(kind.DataRef(r.Name)), is.encode())
}

// recallAge takes in what was stored before this start. It reports whether that is of use.
func (n *names) recallAge(name data.Name, value []byte) bool {
	r := n.get(name)
	if r == nil || !r.Aged() && !r.Trimmable() {
		return false
	}
	stored, ok := decodeDataAge(value)
	if !ok {
		return false
	}
	a := dataAge{latest: stored.latest}
	for v := range r.Old() {
		at, noted := stored.old[v.Dot]
		if !noted {
			at = a.latest // an earlier version has stored one age for all of them
		}
		a.note(v.Dot, at)
	}
	n.ages[name] = a
	return true
}

// encode is how it is stored: since when the latest version stands, in milliseconds, as earlier versions have it alone, and behind that the
// versions that are not the latest.
func (a dataAge) encode() []byte {
	b := binary.AppendUvarint(nil, uint64(a.latest.Milliseconds()))
	for _, d := range slices.SortedFunc(maps.Keys(a.old), clock.Dot.Compare) {
		b = binary.AppendUvarint(b, uint64(a.old[d].Milliseconds()))
		b = binary.AppendUvarint(b, d.Counter)
		b = binary.AppendUvarint(b, uint64(len(d.Actor)))
		b = append(b, d.Actor...)
	}
	return b
}

func decodeDataAge(b []byte) (a dataAge, ok bool) {
	next := func() (v uint64) {
		v, k := binary.Uvarint(b)
		if ok = ok && k > 0; ok {
			b = b[k:]
		}
		return v
	}
	age := func() time.Duration {
		ms := next()
		ok = ok && ms <= maxMillis
		return time.Duration(ms) * time.Millisecond
	}
	ok = true
	a.latest = age()
	for ok && len(b) > 0 && len(a.old) < data.MaxVersions {
		at, counter, length := age(), next(), next()
		if ok = ok && length <= uint64(len(b)); ok {
			a.note(clock.Dot{Actor: clock.Actor(b[:length]), Counter: counter}, at)
			b = b[length:]
		}
	}
	return a, ok && len(b) == 0
}

// sweep drops versions that are old (rule D3), and lets go of what all are known to know as removed (rule D4).
func (n *names) sweep() {
	keep := n.cfg.dataRetention()
	var due []data.Name
	for name, a := range n.ages {
		if n.trimDue(a) || len(a.old) > 0 && keep > 0 && n.up-a.oldest >= keep {
			due = append(due, name)
		}
	}
	slices.Sort(due)
	for _, name := range due {
		r, a := n.get(name), n.ages[name]
		switch {
		case r == nil:
			delete(n.ages, name)
		case n.dropOld(r, a, keep):
		case n.trimDue(a) && r.Trimmable() && n.forgettable(r.Dots):
			n.trim(r)
		}
	}
}

// trimDue reports whether a name has stood as it does for the retention, so that its removed versions need no place any more.
func (n *names) trimDue(a dataAge) bool {
	return n.cfg.Retention > 0 && n.up-a.latest >= n.cfg.Retention
}

// dropOld drops the versions that have not been the latest for the retention, if this broker is the one to do so; after as much time
// again whoever still holds them does: its disk may be an older copy, and the others have long forgotten them. It reports whether
// there were any.
func (n *names) dropOld(r *data.Record, a dataAge, keep time.Duration) bool {
	if keep <= 0 {
		return false
	}
	if n.successor(r.Key(), "") != n.self {
		keep *= 2
	}
	isOld := func(v *data.Version) bool {
		at, noted := a.old[v.Dot]
		return noted && n.up-at >= keep
	}
	for v := range r.Old() {
		if !isOld(v) {
			continue
		}
		if n.needs(wire.V6) == nil {
			n.write(r.Name, func(dot clock.Dot, old *data.Record) *data.Record { return old.Remove(isOld, n.stamp(), true, dot) })
		}
		return true
	}
	return false
}
