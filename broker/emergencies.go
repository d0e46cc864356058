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
	"github.com/urban-compute/ucp/label"
	"github.com/urban-compute/ucp/ledger"
)

// emergencies is what this broker knows of emergencies. A record of the ledger is the
// truth, an event a hint (rule E1): what is known is their join, and both act alike.
type emergencies struct {
	*core
	onChange func(here bool)                // hears that what is in force has changed, somewhere or here
	reach    func(*emergency.Record) *Reach // where one is in force

	known     map[emergency.ID]*emergency.Record
	over      map[emergency.ID]time.Duration // those that are over: uptime of this broker when it first knew (rule T1)
	heard     map[emergency.ID]heard         // what events said that the ledger does not hold
	current   []*emergency.Record            // the known ones that are active, wherever, the highest level first
	activeSet emergency.ActiveSet            // those of them that are in force here
	anywhere  emergency.ActiveSet            // all of them, as if this broker were in every scope
	next      clock.Time                     // when the active set next changes by itself; 0 is never
	lives     lives
	passed    map[emergency.ID]*emergency.Record // terms that do not stand, since others were declared elsewhere meanwhile

	claims meter // declarations and clears of clients
	events meter // events that say something new
}

// heard is a hint, and when this broker writes the record if it has not come by then
// (rule E2).
type heard struct {
	hint  *emergency.Record
	write time.Time
}

// How long the brokers that rendezvous hashing does not name leave the writing to the one that it
// does (rule E2). The spread keeps a hundred brokers from writing one record at once.
const (
	writeAfter  = 5 * time.Second
	writeSpread = 2 * time.Second
)

func newEmergencies(c *core, onChange func(here bool)) emergencies {
	return emergencies{core: c, onChange: onChange, known: map[emergency.ID]*emergency.Record{}, over: map[emergency.ID]time.Duration{}, heard: map[emergency.ID]heard{}, passed: map[emergency.ID]*emergency.Record{}, lives: lives{again: map[emergency.ID]recollection{}}}
}

// load takes in a record that was stored before this start.
func (e *emergencies) load(r *emergency.Record) { e.known[r.ID] = r }

// recallOver takes in since when one was known to be over before this start. It reports whether it is known.
func (e *emergencies) recallOver(id emergency.ID, since time.Duration) bool {
	if e.known[id] == nil {
		return false
	}
	e.over[id] = since
	return true
}

// declare takes a declaration: a new emergency, or new terms and more time for one that is known.
// What it does not give of that stays as it is;
// was is nil for a new one. Unless it is taken, ok is false, and the client is answered.
func (e *emergencies) declare(in Declare) (id emergency.ID, was *emergency.Record, ok bool) {
	now := e.cityStamp()
	r, err := e.whole(in.Declaration).Declare(now, fmt.Sprintf("%06x", e.random.Next()>>40))
	if err != nil {
		e.answer(in.Token, &InvalidDeclaration{e.newOne(in.Declaration) + err.Error()})
		return "", nil, false
	}
	old := e.known[r.ID]
	var seen emergency.Version
	switch {
	case old != nil && old.Finished():
		e.answer(in.Token, &AlreadyCleared{View: e.show(old)})
		return "", nil, false
	case !in.NewType && emergency.MeantType(r, old, e.current) != "":
		meant, is := emergency.MeantType(r, old, e.current), "is in force"
		if old != nil && old.Terms.Type == meant {
			is = fmt.Sprintf("is the type of %s", r.ID)
		}
		e.answer(in.Token, &InvalidDeclaration{fmt.Sprintf("type %q: did you mean %q, which %s? Jobs that name that would not belong to this one; if another type is meant, say so with --new-type (?new_type=1)",
			r.Terms.Type, meant, is)})
		return "", nil, false
	case !e.mayClaim(in.Token, old == nil):
		return "", nil, false
	case old != nil && old.Version.Seq > 0:
		seen = old.Version
		r.Declared = old.Declared
		if r.TTL = old.TTL; in.Declaration.TTL > 0 { // from now on, not from its declaration; never for less (rule E3)
			r.TTL = max(r.TTL, clock.Duration(now.Time().Sub(old.Declared.Time()))+in.Declaration.TTL)
		}
		if time.Duration(r.TTL) > emergency.MaxTTL {
			e.answer(in.Token, &InvalidDeclaration{fmt.Sprintf("ttl: %s would last longer than %v in all; declare a new one", r.ID, emergency.MaxTTL)})
			return "", nil, false
		}
	}
	r.Version, r.Life = seen.Next(e.stamp(), e.cfg.Actor), e.declaredLife(old)
	delete(e.passed, r.ID) // who declares it now could see that
	e.write(r)
	e.broadcast(r)
	return r.ID, old, true
}

// whole is a declaration with what it does not give of one that is known.
func (e *emergencies) whole(d emergency.Declaration) *emergency.Declaration {
	if old := e.known[d.ID]; old != nil {
		d = d.Over(old)
	}
	return &d
}

// newOne says that what was declared by an ID can't be a change, since nothing that it could leave as it is is known here; "" if it is none.
func (e *emergencies) newOne(d emergency.Declaration) string {
	if d.ID == "" || d.Type != "" && d.Level != "" || e.known[d.ID] != nil {
		return ""
	}
	return fmt.Sprintf("no emergency %q is known here, so it needs a type and a level%s: ", d.ID, didYouMean(e.nearest(string(d.ID))))
}

func didYouMean(nearest string) string {
	if nearest == "" {
		return ""
	}
	return fmt.Sprintf(" (did you mean %q?)", nearest)
}

// mayClaim reports whether a client may declare or clear something now; otherwise it was
// refused.
func (e *emergencies) mayClaim(t Token, another bool) bool {
	switch {
	case !e.claims.take(e.now, claimLimits):
		e.stats.ClaimsRefused++
		e.answer(t, &TooManyDeclarations{fmt.Sprintf("this broker takes %v declarations and clears a second, and %v an hour: come back in a second, or ask another broker",
			claimLimits[0].rate, claimLimits[1].burst)})
		return false
	case another && e.own() >= mostOwn:
		e.stats.ClaimsRefused++
		e.answer(t, &TooManyDeclarations{fmt.Sprintf("%d emergencies that were declared here are remembered, for %v after their end, and that is the most: ask another broker", mostOwn, e.remembered())})
		return false
	}
	return true
}

// clear ends an emergency for good. Unless it does, ok is false, and the client is answered.
func (e *emergencies) clear(in Clear) (id emergency.ID, ok bool) {
	id, ambiguous := emergency.ID(in.ID), []emergency.ID(nil)
	if !in.Force { // with it the ID is whole: another that begins so must not be cleared instead
		id, ambiguous = e.find(in.ID)
	}
	if found := e.known[id]; found != nil && !found.IsMeant(in.ID) { // final as it is, it takes the whole of a name
		e.answer(in.Token, &NoSuchEmergency{ID: in.ID, Nearest: string(id), AsOf: e.cityTime()})
		return "", false
	}
	old := e.known[id]
	switch invalid := emergency.ID(in.ID).Valid(); {
	case invalid != nil:
		e.answer(in.Token, &InvalidDeclaration{invalid.Error()})
		return "", false
	case len(ambiguous) > 1:
		e.answer(in.Token, &AmbiguousEmergency{ID: in.ID, IDs: ambiguous, AsOf: e.cityTime()})
		return "", false
	case old == nil && !in.Force:
		e.answer(in.Token, &NoSuchEmergency{ID: in.ID, Nearest: e.nearest(in.ID), AsOf: e.cityTime()})
		return "", false
	case old != nil && old.Finished() && !old.IsHint():
		e.answer(in.Token, &Declared{View: e.show(old)})
		return "", false
	case !e.mayClaim(in.Token, old == nil):
		return "", false
	}
	e.write(&emergency.Record{ID: id, Cleared: []emergency.Mark{{At: e.cityStamp(), By: e.cfg.Actor}}, Life: e.life(old)})
	e.broadcast(e.known[id])
	return id, true
}

// find finds what a person means: an exact ID beats the beginning of one, that beats a type, and one that is active beats
// those that are over. Without any, id is "".
func (e *emergencies) find(text string) (id emergency.ID, ambiguous []emergency.ID) {
	exact := e.known[emergency.ID(text)]
	active := func(r *emergency.Record) bool { return r != nil && r.Active(e.cityNow()) }
	begins := func(r *emergency.Record) bool { return strings.HasPrefix(string(r.ID), text) }
	ofType := func(r *emergency.Record) bool { return r.Terms.Type == text }
	if active(exact) {
		return exact.ID, nil
	}
	if exact != nil { // it is over: an active one that only begins so is another one, whoever repeats a clear does not mean it
		begins = func(r *emergency.Record) bool { return r == exact }
	}
	for _, meant := range []func(*emergency.Record) bool{
		func(r *emergency.Record) bool { return active(r) && begins(r) },
		func(r *emergency.Record) bool { return active(r) && ofType(r) },
		begins, ofType,
	} {
		if id, ambiguous = e.only(meant); id != "" || len(ambiguous) > 0 {
			break
		}
	}
	return id, ambiguous
}

// nearest is the ID or type of an emergency of which a text is a slip of the pen, one that is active if there is any.
func (e *emergencies) nearest(text string) string {
	var active, over []string
	for _, id := range slices.Sorted(maps.Keys(e.known)) {
		r := e.known[id]
		if names := []string{string(id), r.Terms.Type}; r.Active(e.cityNow()) {
			active = append(active, names...)
		} else {
			over = append(over, names...)
		}
	}
	return cmp.Or(label.Slip(text, active), label.Slip(text, over))
}

// only finds the one that is meant; otherwise some of those that may be.
func (e *emergencies) only(meant func(*emergency.Record) bool) (id emergency.ID, ambiguous []emergency.ID) {
	for _, id := range slices.Sorted(maps.Keys(e.known)) {
		if meant(e.known[id]) && len(ambiguous) < maxPrefix {
			ambiguous = append(ambiguous, id)
		}
	}
	if len(ambiguous) == 1 {
		return ambiguous[0], nil
	}
	return "", ambiguous
}

// broadcast tells all brokers by an event, when the record is on the disk.
func (e *emergencies) broadcast(r *emergency.Record) {
	if payload, err := r.Event(); err == nil { // Declare has tried it
		e.out.Broadcast = append(e.out.Broadcast, payload)
	}
}

// hear takes in an event. Every broker that hears it acts at once; which one writes the record is
// rule E2.
func (e *emergencies) hear(in Heard) {
	r := e.lived(e.dated(e.stocks(in.Event)))
	old, another := e.known[r.ID], false
	if old == nil {
		old, another = &emergency.Record{ID: r.ID, Life: r.Life}, true
	}
	view, changed := emergency.Merge(old, r)
	if !changed || view.Version.Seq > 0 && !view.Finished() && !view.Active(e.cityNow()) {
		return // known, or long over: Serf replays old events (rule E1)
	}
	if !e.events.take(e.now, eventLimits) || another && len(e.known) >= mostEmergencies || len(e.heard) >= mostHeard && !e.hasHeard(r.ID) {
		e.stats.EventsRefused++
		e.out.Dropped = append(e.out.Dropped, r.ID)
		return
	}
	e.keepHint(r)
	e.learn(view)
	e.writeHeard()
}

// stocks dates an event of a stock serf command line, which carries no time, by the city's time: the
// shell has dated it by this machine's clock.
func (e *emergencies) stocks(hint *emergency.Record) *emergency.Record {
	r := *hint
	if e.now.IsZero() {
		return hint
	}
	if r.Version.Seq > 0 && r.Version.By == "" {
		r.Declared = e.cityStamp()
	}
	if r.Finished() && r.Cleared[0].By == "" {
		r.Cleared = []emergency.Mark{{At: e.cityStamp()}}
	}
	return &r
}

// dated is a hint without stamps of the far future, such as a clock that is ahead makes, or a
// client that invents them: it must not last longer because of them, nor bar later terms (rule I3),
// nor be remembered indefinitely.
func (e *emergencies) dated(hint *emergency.Record) *emergency.Record {
	if e.now.IsZero() {
		return hint // before the first Tick it is not known what time it is
	}
	r, now, latest := *hint, e.cityStamp(), clock.HybridAt(e.cityTime().Add(e.cfg.MaxClockSkew))
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

func (e *emergencies) hasHeard(id emergency.ID) bool {
	_, ok := e.heard[id]
	return ok
}

// keepHint remembers what was heard until the ledger says it.
func (e *emergencies) keepHint(r *emergency.Record) {
	due := e.dueToWrite(r)
	if h, ok := e.heard[r.ID]; ok {
		r, _ = emergency.Merge(h.hint, r)
		if h.write.Before(due) {
			due = h.write
		}
	}
	e.heard[r.ID] = heard{r, due}
}

// writeDue is when this broker writes what an event said, unless the record comes before
// (rule E2). The broker that made the event has written it already.
func (e *emergencies) dueToWrite(r *emergency.Record) time.Time {
	stock := r.Version.By == ""
	if r.Finished() {
		stock = r.Cleared[0].By == ""
	}
	if stock && e.successor(string(r.ID), "") == e.self {
		return e.now
	}
	return e.now.Add(writeAfter + time.Duration(e.random.Fraction()*float64(writeSpread)))
}

// writeHeard writes the records that are due.
func (e *emergencies) writeHeard() {
	for _, id := range slices.Sorted(maps.Keys(e.heard)) {
		if h := e.heard[id]; !e.now.Before(h.write) {
			e.write(h.hint)
		}
	}
}

// write joins a hint into the ledger's record, as a local update.
func (e *emergencies) write(hint *emergency.Record) {
	var r *emergency.Record
	_, err := e.ledger.Apply(refOf(hint.ID), func(dot clock.Dot, old ledger.Record) ledger.Record {
		add := *hint
		if add.Version.Seq > 0 && add.Version.By == "" {
			add.Version.At, add.Version.By = e.stamp(), e.cfg.Actor
		}
		if len(add.Cleared) > 0 && add.Cleared[0].By == "" {
			add.Cleared = []emergency.Mark{{At: e.cityStamp(), By: e.cfg.Actor}}
		}
		add.Dots = clock.NewVector(dot)
		if o, ok := old.(*emergency.Record); ok && o.Life >= add.Life {
			r, _ = emergency.Merge(o, &add)
			return r
		}
		add.Created = []clock.Dot{dot}
		r = &add
		return r
	})
	if err != nil {
		e.fail(err)
		return
	}
	e.changedRecord(r)
}

// changedRecord takes in a record of the ledger, ours or a peer's, and passes it on.
func (e *emergencies) changedRecord(r *emergency.Record) {
	e.peers.Alarm(r.Dots, e.copies.Reach())
	e.recall(r)
}

// recall takes in a record of the ledger. A hint that adds nothing to it is dropped.
func (e *emergencies) recall(r *emergency.Record) {
	view := r
	if h, ok := e.heard[r.ID]; ok {
		if r.Covers(h.hint) {
			delete(e.heard, r.ID)
		} else {
			view, _ = emergency.Merge(r, h.hint)
		}
	}
	e.learn(view)
}

// learn notes what is known of an emergency now, and acts on it.
func (e *emergencies) learn(r *emergency.Record) {
	old := e.known[r.ID]
	e.known[r.ID] = r
	if old != nil && old.Life < r.Life { // it is another one
		e.isNotOver(r.ID)
		old = nil
	}
	if what := e.whatChanged(old, r); what != "" {
		e.tellEmergency(what, old, r)
	}
	e.refresh()
}

// The things that happen to an emergency, as events name them.
const (
	declared = "declared"
	altered  = "changed"
	cleared  = "cleared"
	ended    = "ended" // its time was over
)

func (e *emergencies) whatChanged(old, r *emergency.Record) string {
	active := r.Active(e.cityNow())
	switch {
	case r.Finished() && (old == nil || !old.Finished()):
		return cleared
	case active && (old == nil || old.Version.Seq == 0):
		return declared
	case active && (e.lastsLonger(old, r) || old.Terms.Level != r.Terms.Level || !slices.Equal(old.Terms.Scope, r.Terms.Scope) || !slices.Equal(old.Terms.Select, r.Terms.Select)):
		return altered // a message alone is not told: an event may have cut it short
	}
	return ""
}

// lastsLonger reports whether r ends later than old. Each broker that hears an event of a stock
// command line dates it by its own clock until the record comes: that difference is not told.
func (e *emergencies) lastsLonger(old, r *emergency.Record) bool {
	return old.TTL < r.TTL || old.Until()+clock.Time(e.cfg.MaxClockSkew.Milliseconds()) < r.Until()
}

// refresh derives the active set from what is known and the time, and tells of a change: that is how
// an emergency preempts, and how the jobs that it had stopped come back.
func (e *emergencies) refresh() {
	if e.now.IsZero() {
		return // before the first Tick it is not known what time it is
	}
	now := e.cityNow()
	old, was := e.activeSet, e.current
	e.current, e.next = nil, 0
	for _, r := range e.known {
		if r.Active(now) {
			e.current = append(e.current, r)
			if e.next == 0 || r.Until() < e.next {
				e.next = r.Until()
			}
		}
	}
	slices.SortFunc(e.current, func(x, y *emergency.Record) int {
		return cmp.Or(cmp.Compare(y.Terms.Level, x.Terms.Level), cmp.Compare(x.ID, y.ID))
	})
	e.activeSet, e.anywhere = e.activeAt(e.cfg.Capabilities.Labels), emergency.Anywhere(e.current)
	if here := !e.activeSet.Equal(old); here || !slices.Equal(e.current, was) {
		e.onChange(here)
	}
}

// activeAt is what is in force at a broker with these labels.
func (e *emergencies) activeAt(labels map[string]string) emergency.ActiveSet {
	return emergency.NewActiveSet(e.current, labels, e.cityNow())
}

// pass does what is due: it writes what nobody else has, and ends those whose
// time is over.
func (e *emergencies) pass() {
	e.writeHeard()
	e.recollect()
	now := e.cityNow()
	if e.next == 0 || now < e.next {
		return
	}
	for _, id := range slices.Sorted(maps.Keys(e.known)) {
		r := e.known[id]
		if until := r.Until(); !r.Finished() && until >= e.next && until <= now {
			e.tellEmergency(ended, r, r)
		}
		if _, hint := e.heard[id]; hint && r.IsHint() && !r.Active(now) && !r.Finished() {
			delete(e.heard, id)
			delete(e.known, id)
		}
	}
	e.refresh()
}

// due is when that is to be looked at again.
func (e *emergencies) due() (due time.Time) {
	if e.next != 0 {
		due = later(e.in(e.next), e.now.Add(time.Millisecond))
	}
	sooner := func(at time.Time) {
		if due.IsZero() || at.Before(due) {
			due = at
		}
	}
	for _, h := range e.heard {
		sooner(h.write)
	}
	for _, r := range e.lives.again {
		sooner(r.at)
	}
	return due
}

// sweep forgets those that this broker has long known to be over and that every member is known to
// hold (rules E3, L8, T1).
func (e *emergencies) sweep() {
	for _, id := range slices.Sorted(maps.Keys(e.known)) {
		if r := e.known[id]; e.age(r) >= e.remembered() && !e.isToSay(id) && (r.IsHint() || e.forgettable(r.Dots)) {
			e.forget(id)
		}
	}
}

// age is for how long this broker has known that an emergency is over, in its uptime. One that goes on
// after all, since it lasts longer now or a clock was set, has no age.
func (e *emergencies) age(r *emergency.Record) time.Duration {
	if !r.Over(e.cityNow()) {
		e.isNotOver(r.ID)
		return 0
	}
	since, known := e.over[r.ID]
	if !known {
		since = e.up
		e.over[r.ID] = since
		if !r.IsHint() {
			e.keepSince(refOf(r.ID))
		}
	}
	return e.up - since
}

func (e *emergencies) isNotOver(id emergency.ID) {
	if _, known := e.over[id]; known {
		delete(e.over, id)
		e.dropSince(refOf(id))
	}
}

func refOf(id emergency.ID) ledger.Ref { return ledger.Ref{Kind: kind.Emergency, Key: string(id)} }

// forgetWith drops an emergency that a peer has forgotten, unless it has been created again since, or is in force: nobody
// forgets it before it has long been over (rules L4, L9, E3).
func (e *emergencies) forgetWith(id emergency.ID, peer clock.Tips) {
	if r := e.known[id]; r != nil && !r.IsHint() && !r.Active(e.cityNow()) && !e.isToSay(id) && e.ledger.CreatedWithin(r, peer) {
		e.forget(id)
		e.stats.Zombies++
	}
}

// wrote names this broker's latest update of an emergency; ok is false when it is not known.
func (e *emergencies) wrote(id emergency.ID) (dot clock.Dot, ok bool) {
	r := e.known[id]
	if r == nil {
		return clock.Dot{}, false
	}
	return clock.Dot{Actor: e.cfg.Actor, Counter: r.Dots.Get(e.cfg.Actor)}, true
}

// forget drops an emergency without a trace (rule L7).
func (e *emergencies) forget(id emergency.ID) {
	e.hasForgotten(e.held(id))
	if err := e.ledger.Forget(refOf(id)); err != nil {
		e.fail(err)
		return
	}
	e.isNotOver(id)
	delete(e.known, id)
	delete(e.heard, id)
	delete(e.passed, id)
	e.refresh()
}

// toldOf lists the active emergencies that push-pull and status pages name.
func (e *emergencies) toldOf() []*emergency.Record {
	return e.current[:min(len(e.current), wire.MaxHints)]
}

// hints is what push-pull carries of emergencies (rule S3).
func (e *emergencies) hints() (out [][]byte) {
	for _, r := range e.toldOf() {
		out = append(out, r.Hint().Encode())
	}
	return out
}

// takeHints takes in what another broker has told of emergencies: so that one that has
// just joined knows of them before the ledger's records come (rule S3).
func (e *emergencies) takeHints(hints []*emergency.Record) {
	now := e.cityNow()
	for _, hint := range hints {
		r := e.dated(hint)
		if old := e.known[r.ID]; old != nil && old.Life >= r.Life || !r.Active(now) || len(e.heard) >= mostHeard || len(e.known) >= mostEmergencies {
			continue // what is known is as good, or the record is on its way
		}
		e.keepHint(r)
		e.learn(r)
	}
}
