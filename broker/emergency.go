package broker

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/urban-compute/ucp/broker/kind"
	"github.com/urban-compute/ucp/broker/wire"
	"github.com/urban-compute/ucp/clock"
	"github.com/urban-compute/ucp/emergency"
	"github.com/urban-compute/ucp/ledger"
)

// emergencies is what this broker knows of emergencies. A record of the ledger is the
// truth, an event a hint (rule E1): what is known is their join, and both act alike.
type emergencies struct {
	known  map[emergency.ID]*emergency.Record
	heard  map[emergency.ID]heard // what events said that the ledger does not hold
	active []*emergency.Record    // of those, wherever, the highest level first
	board  emergency.Board        // what of that is in force here
	next   clock.Time             // when that changes by itself; 0 is never

	claims meter // declarations and clears of clients
	events meter // events that say something new
}

// heard is a hint, and when this broker writes the record if it has not come by then
// (rule E2).
type heard struct {
	hint  *emergency.Record
	write time.Time
}

// How long those whom rendezvous does not name leave the writing to the one whom it does
// (rule E2). The spread keeps a hundred brokers from writing one record at once.
const (
	writeAfter  = 5 * time.Second
	writeSpread = 2 * time.Second
)

func newEmergencies() emergencies {
	return emergencies{known: map[emergency.ID]*emergency.Record{}, heard: map[emergency.ID]heard{}}
}

// declare takes a declaration of a client: a new emergency, or new terms and more time for
// one that is known.
func (b *Broker) declare(in Declare) {
	now := b.cityStamp()
	if in.Declaration.Clear != "" {
		b.clear(Clear{Token: in.Token, ID: string(in.Declaration.Clear), Force: true})
		return
	}
	r, err := in.Declaration.Declare(now, fmt.Sprintf("%06x", b.random.Next()>>40))
	if err != nil {
		b.answer(in.Token, &InvalidDeclaration{err.Error()})
		return
	}
	old := b.emergencies.known[r.ID]
	var seen emergency.Version
	switch {
	case old != nil && old.Finished():
		b.answer(in.Token, &AlreadyCleared{View: b.emergencyView(old)})
		return
	case !b.mayClaim(in.Token, old == nil):
		return
	case old != nil && old.Version.Seq > 0:
		seen = old.Version
		r.Declared = old.Declared
		if r.TTL = old.TTL; in.Declaration.TTL > 0 { // from now on, not from its declaration; never for less (rule E3)
			r.TTL = max(r.TTL, clock.Duration(now.Time().Sub(old.Declared.Time()))+in.Declaration.TTL)
		}
		if time.Duration(r.TTL) > emergency.MaxTTL {
			b.answer(in.Token, &InvalidDeclaration{fmt.Sprintf("ttl: %s would last longer than %v in all; declare a new one", r.ID, emergency.MaxTTL)})
			return
		}
	}
	r.Version = seen.Next(b.stamp(), b.cfg.Actor)
	b.writeEmergency(r)
	b.flood(r)
	b.awaitDeclaration(in.Token, r.ID, old == nil)
}

// mayClaim reports whether a client may declare or clear something now; otherwise it was
// refused.
func (b *Broker) mayClaim(t Token, another bool) bool {
	e := &b.emergencies
	switch {
	case !e.claims.take(b.now, claimLimits):
		b.stats.ClaimsRefused++
		b.answer(t, &TooManyDeclarations{fmt.Sprintf("this broker takes %v declarations and clears a second, and %v an hour: come back in a second, or ask another broker",
			claimLimits[0].rate, claimLimits[1].burst)})
		return false
	case another && b.ownEmergencies() >= mostOwn:
		b.stats.ClaimsRefused++
		b.answer(t, &TooManyDeclarations{fmt.Sprintf("%d emergencies that were declared here are remembered, for %v after their end, and that is the most: ask another broker", mostOwn, emergency.Memory)})
		return false
	}
	return true
}

// clear ends an emergency for good.
func (b *Broker) clear(in Clear) {
	id, ambiguous := emergency.ID(in.ID), []emergency.ID(nil)
	if !in.Force { // with it the ID is whole: another that begins so must not be cleared instead
		id, ambiguous = b.findEmergency(in.ID)
	}
	old := b.emergencies.known[id]
	switch invalid := emergency.ID(in.ID).Valid(); {
	case invalid != nil:
		b.answer(in.Token, &InvalidDeclaration{invalid.Error()})
		return
	case len(ambiguous) > 1:
		b.answer(in.Token, &AmbiguousEmergency{ID: in.ID, IDs: ambiguous, AsOf: b.wall})
		return
	case old == nil && !in.Force:
		b.answer(in.Token, &NoSuchEmergency{ID: in.ID, AsOf: b.wall})
		return
	case old != nil && old.Finished() && !old.IsHint():
		b.answer(in.Token, &Declared{View: b.emergencyView(old)})
		return
	case !b.mayClaim(in.Token, old == nil):
		return
	}
	b.writeEmergency(&emergency.Record{ID: id, Cleared: []emergency.Mark{{At: b.cityStamp(), By: b.cfg.Actor}}})
	b.flood(b.emergencies.known[id])
	b.awaitDeclaration(in.Token, id, true)
}

// findEmergency finds what a person means: an exact ID beats a prefix. Without any, id is "".
func (b *Broker) findEmergency(text string) (id emergency.ID, ambiguous []emergency.ID) {
	if _, ok := b.emergencies.known[emergency.ID(text)]; ok {
		return emergency.ID(text), nil
	}
	for _, id := range slices.Sorted(maps.Keys(b.emergencies.known)) {
		if strings.HasPrefix(string(id), text) && len(ambiguous) < maxPrefix {
			ambiguous = append(ambiguous, id)
		}
	}
	if len(ambiguous) == 1 {
		return ambiguous[0], nil
	}
	return "", ambiguous
}

// flood tells all brokers by an event, when the record is on the disk.
func (b *Broker) flood(r *emergency.Record) {
	if payload, err := r.Event(); err == nil { // Declare has tried it
		b.out.Flood = append(b.out.Flood, payload)
	}
}

// hearEvent takes an event in. All who hear it act at once; who writes the record is rule E2.
func (b *Broker) hearEvent(in Heard) {
	e := &b.emergencies
	r := b.dated(b.stocks(in.Event))
	old, another := e.known[r.ID], false
	if old == nil {
		old, another = &emergency.Record{ID: r.ID}, true
	}
	view, changed := emergency.Merge(old, r)
	if !changed || view.Version.Seq > 0 && !view.Finished() && !view.Active(clock.At(b.cityTime())) {
		return // known, or long over: Serf replays old events (rule E1)
	}
	if !e.events.take(b.now, eventLimits) || another && len(e.known) >= mostEmergencies || len(e.heard) >= mostHeard && !b.hasHeard(r.ID) {
		b.stats.EventsRefused++
		b.out.Dropped = append(b.out.Dropped, r.ID)
		return
	}
	b.keepHint(r)
	b.emergencyKnown(view)
	b.writeHeard()
}

// stocks dates a stock command line's event, which says nothing of when, by the city's time:
// the shell has dated it by our own clock.
func (b *Broker) stocks(hint *emergency.Record) *emergency.Record {
	r := *hint
	if b.now.IsZero() {
		return hint
	}
	if r.Version.Seq > 0 && r.Version.By == "" {
		r.Declared = b.cityStamp()
	}
	if r.Finished() && r.Cleared[0].By == "" {
		r.Cleared = []emergency.Mark{{At: b.cityStamp()}}
	}
	return &r
}

// dated is a hint without stamps of the far future, such as a clock that is ahead makes, or
// somebody who made them up: it must not last the longer for them, nor bar later terms
// (rule I3), nor be remembered for ever.
func (b *Broker) dated(hint *emergency.Record) *emergency.Record {
	if b.now.IsZero() {
		return hint // before the first Tick it is not known what time it is
	}
	r, now, latest := *hint, b.cityStamp(), clock.HybridAt(b.cityTime().Add(b.cfg.MaxClockSkew))
	if r.Declared > latest {
		r.Declared = now
	}
	if r.Version.At > latest {
		r.Version.At = now
	}
	if r.Finished() && r.Cleared[0].At > latest {
		r.Cleared = []emergency.Mark{{At: now, By: r.Cleared[0].By}}
	}
	return &r
}

func (b *Broker) hasHeard(id emergency.ID) bool {
	_, ok := b.emergencies.heard[id]
	return ok
}

// keepHint remembers what was heard until the ledger says it.
func (b *Broker) keepHint(r *emergency.Record) {
	due := b.writeDue(r)
	if h, ok := b.emergencies.heard[r.ID]; ok {
		r, _ = emergency.Merge(h.hint, r)
		if h.write.Before(due) {
			due = h.write
		}
	}
	b.emergencies.heard[r.ID] = heard{r, due}
}

// writeDue is when this broker writes what an event said, unless the record comes before
// (rule E2). The broker that made the event has written it already.
func (b *Broker) writeDue(r *emergency.Record) time.Time {
	stock := r.Version.By == ""
	if r.Finished() {
		stock = r.Cleared[0].By == ""
	}
	if stock && b.members.Successor(string(r.ID), "", !b.draining) == b.self {
		return b.now
	}
	return b.now.Add(writeAfter + time.Duration(b.random.Fraction()*float64(writeSpread)))
}

// writeHeard writes the records that are due.
func (b *Broker) writeHeard() {
	for _, id := range slices.Sorted(maps.Keys(b.emergencies.heard)) {
		if h := b.emergencies.heard[id]; !b.now.Before(h.write) {
			b.writeEmergency(h.hint)
		}
	}
}

// writeEmergency joins a hint into the ledger's record, as a local update.
func (b *Broker) writeEmergency(hint *emergency.Record) {
	var r *emergency.Record
	_, err := b.ledger.Apply(ledger.Ref{Kind: kind.Emergency, Key: string(hint.ID)}, func(dot clock.Dot, old ledger.Record) ledger.Record {
		add := *hint
		if add.Version.Seq > 0 && add.Version.By == "" {
			add.Version.At, add.Version.By = b.stamp(), b.cfg.Actor
		}
		if len(add.Cleared) > 0 && add.Cleared[0].By == "" {
			add.Cleared = []emergency.Mark{{At: b.cityStamp(), By: b.cfg.Actor}}
		}
		add.Dots = clock.NewVector(dot)
		if o, ok := old.(*emergency.Record); ok {
			r, _ = emergency.Merge(o, &add)
			return r
		}
		add.Created = []clock.Dot{dot}
		r = &add
		return r
	})
	if err != nil {
		b.err = err
		return
	}
	b.emergencyChanged(r)
}

// emergencyChanged takes in a record of the ledger, ours or a peer's, and passes it on.
func (b *Broker) emergencyChanged(r *emergency.Record) {
	b.peers.Alarm(r.Dots, b.acks.Reach())
	b.recallEmergency(r)
}

// recallEmergency takes in a record of the ledger. A hint that adds nothing to it has
// served.
func (b *Broker) recallEmergency(r *emergency.Record) {
	view := r
	if h, ok := b.emergencies.heard[r.ID]; ok {
		if r.Says(h.hint) {
			delete(b.emergencies.heard, r.ID)
		} else {
			view, _ = emergency.Merge(r, h.hint)
		}
	}
	b.emergencyKnown(view)
}

// emergencyKnown notes what is known of an emergency now, and acts on it.
func (b *Broker) emergencyKnown(r *emergency.Record) {
	old := b.emergencies.known[r.ID]
	b.emergencies.known[r.ID] = r
	if what := b.whatChanged(old, r); what != "" {
		b.tellEmergency(what, r)
	}
	b.refreshBoard()
}

// The things that happen to an emergency, as events name them.
const (
	declared = "declared"
	altered  = "changed"
	cleared  = "cleared"
	ended    = "ended" // its time was over
)

func (b *Broker) whatChanged(old, r *emergency.Record) string {
	active := r.Active(clock.At(b.cityTime()))
	switch {
	case r.Finished() && (old == nil || !old.Finished()):
		return cleared
	case active && (old == nil || old.Version.Seq == 0):
		return declared
	case active && (b.lastsLonger(old, r) || old.Terms.Level != r.Terms.Level || !slices.Equal(old.Terms.Scope, r.Terms.Scope) || !slices.Equal(old.Terms.Select, r.Terms.Select)):
		return altered // a message alone is no news: an event may have cut it
	}
	return ""
}

// lastsLonger reports whether r ends later than old. Who hears an event of a stock command
// line dates it by its own clock, until the record comes: that is no news.
func (b *Broker) lastsLonger(old, r *emergency.Record) bool {
	return old.TTL < r.TTL || old.Until()+clock.Time(b.cfg.MaxClockSkew.Milliseconds()) < r.Until()
}

// refreshBoard makes the board anew, and when it has changed lets all jobs here stand as
// it says: that is how an emergency preempts, and how what it had stopped comes back.
func (b *Broker) refreshBoard() {
	if b.now.IsZero() {
		return // before the first Tick it is not known what time it is
	}
	e := &b.emergencies
	now := clock.At(b.cityTime())
	old := e.board
	e.active, e.next = nil, 0
	for _, r := range e.known {
		if r.Active(now) {
			e.active = append(e.active, r)
			if e.next == 0 || r.Until() < e.next {
				e.next = r.Until()
			}
		}
	}
	slices.SortFunc(e.active, func(x, y *emergency.Record) int {
		return cmp.Or(cmp.Compare(y.Terms.Level, x.Terms.Level), cmp.Compare(x.ID, y.ID))
	})
	e.board = b.boardOf(b.cfg.Capabilities.Labels)
	if !e.board.Equal(old) {
		b.relevel()
	}
}

// boardOf is what is in force at a broker with these labels.
func (b *Broker) boardOf(labels map[string]string) emergency.Board {
	return emergency.NewBoard(b.emergencies.active, labels, clock.At(b.cityTime()))
}

// relevel tells the queue of all whose level has changed.
func (b *Broker) relevel() {
	for _, key := range slices.Sorted(maps.Keys(b.runs)) {
		if !b.queue.Known(key) {
			continue
		}
		r := b.record(key)
		if r == nil {
			continue
		}
		level, _ := b.emergencies.board.Level(&r.Spec)
		raised, _ := b.raised(r, &b.emergencies.board)
		if l, up := b.queue.Levels(key); l != level || up != raised {
			b.queue.Update(b.candidate(r))
			b.undecided = true
		}
	}
}

// checkEmergencies does what is due: it writes what nobody else has, and ends those whose
// time is over.
func (b *Broker) checkEmergencies() {
	e := &b.emergencies
	b.writeHeard()
	now := clock.At(b.cityTime())
	if e.next == 0 || now < e.next {
		return
	}
	for _, id := range slices.Sorted(maps.Keys(e.known)) {
		r := e.known[id]
		if until := r.Until(); !r.Finished() && until >= e.next && until <= now {
			b.tellEmergency(ended, r)
		}
		if _, hint := e.heard[id]; hint && r.IsHint() && !r.Active(now) && !r.Finished() {
			delete(e.heard, id)
			delete(e.known, id)
		}
	}
	b.refreshBoard()
}

// emergenciesDue is when that is to be looked at again.
func (b *Broker) emergenciesDue() (due time.Time) {
	e := &b.emergencies
	if e.next != 0 {
		due = b.now.Add(max(e.next.Time().Sub(b.cityTime()), time.Millisecond))
	}
	for _, h := range e.heard {
		if due.IsZero() || h.write.Before(due) {
			due = h.write
		}
	}
	return due
}

// sweepEmergencies forgets those that ended long ago and that every member is known to
// hold (rules E3, L8).
func (b *Broker) sweepEmergencies() {
	now := clock.At(b.cityTime())
	for _, id := range slices.Sorted(maps.Keys(b.emergencies.known)) {
		if r := b.emergencies.known[id]; r.Forgettable(now) && (r.IsHint() || b.peers.EverybodyCovers(r.Dots)) {
			b.forgetEmergency(id)
		}
	}
}

// forgetEmergency drops an emergency without a trace (rule L7).
func (b *Broker) forgetEmergency(id emergency.ID) {
	if err := b.ledger.Forget(ledger.Ref{Kind: kind.Emergency, Key: string(id)}); err != nil {
		b.err = err
		return
	}
	delete(b.emergencies.known, id)
	delete(b.emergencies.heard, id)
	b.refreshBoard()
}

// toldOf lists the active emergencies that push-pull and status pages name.
func (b *Broker) toldOf() []*emergency.Record {
	return b.emergencies.active[:min(len(b.emergencies.active), wire.MaxHints)]
}

// activeHints is what push-pull carries of emergencies (rule S3).
func (b *Broker) activeHints() (out [][]byte) {
	for _, r := range b.toldOf() {
		out = append(out, r.Hint().Encode())
	}
	return out
}

// takeHints takes in what another broker has told of emergencies: so that one that has
// just joined knows of them before the ledger's records come (rule S3).
func (b *Broker) takeHints(hints []*emergency.Record) {
	now := clock.At(b.cityTime())
	for _, hint := range hints {
		r := b.dated(hint)
		if old := b.emergencies.known[r.ID]; old != nil || !r.Active(now) || len(b.emergencies.heard) >= mostHeard || len(b.emergencies.known) >= mostEmergencies {
			continue // what is known is as good, and the record is on its way
		}
		b.keepHint(r)
		b.emergencyKnown(r)
	}
}
