package replication

import (
	"slices"

	"github.com/urban-compute/ucp/broker/wire"
	"github.com/urban-compute/ucp/clock"
	"github.com/urban-compute/ucp/ledger"
)

// told is what one start of a member has said of itself in one message.
type told struct {
	clock  clock.Tips // what it held
	stable clock.Tips // what it knew every member to hold
}

// telling is how this broker tells its clocks (rule K4): it counts their versions, and each member says which one it has
// heard, so that a message says what has changed since then. Where nothing has, and among brokers that are in step nothing
// has, it costs the same however many brokers the clocks name.
type telling struct {
	told
	version uint64            // how often they have changed since the start
	began   uint64            // the version in which the stable clock last started over (rule M2); 0 if it never did
	digest  uint64            // of this version
	changed map[string]uint64 // by broker: the version in which its entries in the clock have changed last
	raised  map[string]uint64 // the same of the stable clock
	said    []uint64          // the digests of the latest versions, in a ring
}

// keepSaid bounds how many versions of its clocks a broker knows again: more than it tells in a sync interval.
const keepSaid = 4096

func newTelling() telling { return telling{changed: map[string]uint64{}, raised: map[string]uint64{}} }

// update begins a version if the clocks are others than before.
func (t *telling) update(now told) {
	if t.version > 0 && now.clock.Equal(t.clock) && now.stable.Equal(t.stable) {
		return
	}
	t.next(now)
}

// beginAnew begins a version with an empty stable clock: what was told of it before counts no more.
func (t *telling) beginAnew(c clock.Tips) {
	t.next(told{clock: c})
	t.began = t.version
}

// exceed begins a version later than one that a member says it has heard, if there is none: our memory was restored, as that
// of a machine from its snapshot, and what we tell would be late there until our versions come to it. Nobody counts so far
// that a lie could leave no room above it.
func (t *telling) exceed(heard uint64) {
	if heard > t.version && heard < clock.MaxCounter/2 {
		t.version = heard
		t.next(t.told)
	}
}

// next begins a version.
func (t *telling) next(now told) {
	t.version++
	for name := range now.clock.Changed(t.clock) {
		t.changed[name] = t.version
	}
	for name := range now.stable.Changed(t.stable) {
		t.raised[name] = t.version
	}
	t.told, t.digest = now, wire.DigestOf(now.clock, now.stable)
	if len(t.said) < keepSaid {
		t.said = append(t.said, t.digest)
	} else {
		t.said[(t.version-1)%keepSaid] = t.digest
	}
}

// since is the part of a clock with the entries of those brokers that have changed after a version.
func since(c clock.Tips, changed map[string]uint64, version uint64) (out clock.Tips) {
	for _, d := range c {
		if changed[d.Actor.Broker()] > version {
			out = append(out, d)
		}
	}
	return out
}

// tell is what a message in a version of the protocol says of our clocks: what has changed since the member has heard
// them. Before V3 that is the clock only, as a whole.
func (r *Replication) tell(l *link, version int) (clock.Tips, *wire.Told) {
	if version < wire.V3 || l == nil {
		return r.ledger.Clock(), nil
	}
	t := &r.telling
	t.update(told{r.ledger.Clock(), r.ledger.StableClock()})
	all := l.knows == 0 || l.knows < t.began || l.knows > t.version // it has heard nothing that counts, or a later one
	t.exceed(l.knows)
	out := &wire.Told{Version: t.version, Digest: t.digest, Began: t.began}
	if all {
		out.Stable = t.stable
		return t.clock, out
	}
	out.Since = l.knows
	out.Clock, out.Stable = since(t.clock, t.changed, l.knows), since(t.stable, t.raised, l.knows)
	return t.clock, out
}

// Understood is what a message has said of its sender's clocks.
type Understood struct {
	told
	raised  clock.Tips // the news in stable
	version uint64     // 0: the sender speaks version 1 of the protocol
	digest  uint64
	late    bool // others, sent later, have overtaken it
}

// Understand finds out what a message says of its sender's clocks: it puts what the sender holds into c, and what
// its delta goes on from into d, which may be nil. A message that leans on what is not known here, since one of the two
// has forgotten it, is not understood: ok is false, nothing of it may count, and the sender is told so with the next message or
// the answer, and says all (rule K4). Of a late message c is what the sender has said later.
func (r *Replication) Understand(from string, actor clock.Actor, c *clock.Tips, t *wire.Told, d *wire.Delta) (u Understood, ok bool) {
	l := r.links[from]
	if l == nil || l.actor != actor {
		l = &link{} // it has said nothing yet
	}
	if t != nil && l.told.version < t.Began { // what it told as stable counts no more
		l.told, l.agreed.stable, l.offered.stable, l.latest.stable = Understood{}, nil, nil, nil
	}
	u, ok = r.understand(l, *c, t)
	if d != nil && d.Base != 0 {
		ok = ok && slices.Contains(r.telling.said, d.Base)
		d.Since = r.ledger.Clock() // which holds all that it has told
	}
	if !ok {
		l.told = Understood{}
		return u, false
	}
	*c = u.clock
	return u, true
}

func (r *Replication) understand(l *link, c clock.Tips, t *wire.Told) (u Understood, ok bool) {
	switch {
	case t == nil:
		return Understood{told: told{clock: c}, late: l.told.version > 0}, true
	case t.Version < l.told.version:
		u = l.told
		u.raised, u.late = nil, true
		return u, true
	}
	u = Understood{told{c, t.Stable}, t.Stable, t.Version, t.Digest, false}
	if t.Since > 0 {
		var err error
		if u.clock, u.stable, err = t.Apply(l.told.clock, l.told.stable); err != nil {
			return u, false
		}
	}
	if u.clock.Equal(r.telling.clock) { // as among brokers that are in step: one clock for all links
		u.clock = r.telling.clock
	}
	return u, true
}

// delta makes the message of a delta to a member, which may go on from what that one has told.
func (l *link) delta(d ledger.Delta) *wire.Delta {
	out := wire.FromLedger(d)
	if l != nil && l.told.version > 0 && d.Since.Equal(l.told.clock) {
		out.Base = l.told.digest
	}
	return out
}

// Raised is the part of the sender's stable clock that is news, entries that have not changed left out.
func (u Understood) Raised() clock.Tips { return u.raised }
