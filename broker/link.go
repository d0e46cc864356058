package broker

import (
	"time"

	"github.com/urban-compute/ucp/broker/membership"
	"github.com/urban-compute/ucp/broker/prng"
	"github.com/urban-compute/ucp/broker/wire"
	"github.com/urban-compute/ucp/clock"
	"github.com/urban-compute/ucp/emergency"
	"github.com/urban-compute/ucp/job"
	"github.com/urban-compute/ucp/ledger"
	"github.com/urban-compute/ucp/setting"
)

// link is what this broker knows of one peer's progress, as etcd's tracker
// does: at most one message is under way, and the next takes all that came in
// meanwhile (rule S1).
type link struct {
	heard bool         // known is what this actor of the peer said itself
	actor clock.Actor  // of the peer, when it last spoke
	known clock.Vector // what the peer is known to hold
	base  clock.Vector // the same with its quarantine: what it need not be sent (rule L10)

	agreed  clock.Vector // a clock of the peer's that ours covers, too (rule A3)
	offered clock.Vector // the next such, when ours covers it

	inflight bool
	news     bool      // something here may be news there
	rumour   bool      // the same, but nobody waits for it: see Config.RumourPause
	rumourAt time.Time // the earliest for the next rumour
	want     bool      // the peer holds what we lack: pull
	exchange time.Time // when the periodic exchange is due (rule S2)

	transfer *ledger.Transfer // a large delta under way (rule L5)
	id       uint64           // of the transfer
	page     int
	last     bool         // the page under way is the last
	pinned   clock.Vector // the clock that goes with it

	incoming *incoming

	audit audit // of our unfinished records with this peer (rule L9)

	failures  int
	notBefore time.Time // backoff after failures (rule S5)
	lastSeen  time.Time // when the peer last spoke

	offset time.Duration // of the peer's clock then, from our wall clock
}

// incoming is a transfer that a peer sends us.
type incoming struct {
	id   uint64
	next int  // page
	bad  bool // a record of it was refused: its clock must not be adopted (rule L10)
}

// Bounds of the backoff of a link (rule S5).
const (
	backoffMin = 500 * time.Millisecond
	backoffMax = 30 * time.Second
	maxLag     = 2 * time.Second // how soon after its birth a link makes its first exchange, at most
)

// linkTo makes the link to a member, or starts it anew when the member has a new
// actor: what the old one held may be lost (rule I1).
func (b *Broker) linkTo(name string, was membership.Status) {
	m := b.members.Get(name)
	l := b.links[name]
	if l == nil {
		l = &link{exchange: b.now.Add(time.Duration(b.random.Fraction() * float64(maxLag))), want: b.unaudited.waiting}
		b.links[name] = l
	}
	if m.Actor != "" && l.actor != "" && l.actor != m.Actor {
		*l = link{inflight: l.inflight, exchange: b.now, lastSeen: l.lastSeen}
	}
	if m.Actor != "" {
		l.actor = m.Actor
	}
	if m.Status == membership.Alive && l.failures > 0 && l.lastSeen.IsZero() {
		l.notBefore = b.now
	}
	if m.Status == membership.Alive && was != "" && was != membership.Alive { // it is back: exchange clocks at once (rule S6)
		l.exchange, l.notBefore, l.audit = b.now, b.now, audit{}
	}
}

// hear takes in what a peer says of itself in any message.
func (b *Broker) hear(from string, actor clock.Actor, hybrid clock.Hybrid, c, seen clock.Vector, row *wire.Metadata) *link {
	b.hybrid.Observe(hybrid, b.wall, b.cfg.MaxClockSkew)
	if row != nil {
		r := *row
		r.Clock = c
		b.learn(r)
	}
	l := b.links[from]
	if l == nil {
		return nil // not a member, or not yet
	}
	if l.actor != actor {
		*l = link{inflight: l.inflight, exchange: l.exchange}
		l.actor = actor
	}
	l.heard, l.known, l.base, l.lastSeen = true, c, wire.Base(c, seen), b.now
	l.offset = hybrid.Time().Sub(b.wall)
	b.checkGates()
	return l
}

// news marks that a record changed: its links will tell. It goes to the ring
// successors, to one rotating random member, and to those whom the record names (rule
// S1): at once what was written here, since answers wait for it (rules A1, A3). To the
// random member, and what others wrote and have told, too, it is rumour.
func (b *Broker) news(r *job.Record, own bool) {
	b.tell(r.Dots, own, r.Origin, r.Owner.Broker, r.Place.Broker)
}

// tell marks the links that will tell of a record with these dots; named are the
// brokers that it concerns.
func (b *Broker) tell(dots clock.Vector, own bool, named ...string) {
	if !b.cfg.NewsLinks {
		return
	}
	mark := func(name string, atOnce bool) {
		if l := b.links[name]; l != nil && !l.holds(dots) {
			l.news, l.rumour = l.news || atOnce, l.rumour || !atOnce
		}
	}
	for _, name := range b.members.Ring()[:min(len(b.members.Ring()), b.cfg.Replicas-1+b.hedges)] {
		mark(name, own)
	}
	for _, name := range named {
		mark(name, own)
	}
	mark(b.rotating(), false)
}

// alarm passes an emergency on at once, whoever wrote it: to the ring successors, so that
// nobody is left out, and to a few random members, so that it takes few steps: with each
// step the number of those who know grows about threefold (epidemic broadcast, Demers et
// al. 1987). It is the second way beside Serf's event, and the one that loses nothing.
func (b *Broker) alarm(dots clock.Vector) {
	b.tell(dots, true)
	if !b.cfg.NewsLinks || len(b.members.Names()) == 0 {
		return
	}
	for range alarmed {
		if l := b.links[b.members.Names()[b.random.Below(len(b.members.Names()))]]; l != nil && !l.holds(dots) {
			l.news = true
		}
	}
}

// alarmed is how many random members each broker tells of an emergency.
const alarmed = 2

// holds reports whether the peer is known to hold a record with these dots: it has said so
// by its clock, or wrote it itself.
func (l *link) holds(dots clock.Vector) bool {
	for _, d := range dots {
		if d.Actor != l.actor && !l.known.Has(d) {
			return false
		}
	}
	return true
}

// rumourDue reports whether a link has rumours that need not wait any longer.
func (b *Broker) rumourDue(l *link) bool { return l.rumour && !b.now.Before(l.rumourAt) }

// agree notes up to where the peer and we hold the same.
func (b *Broker) agree(l *link) {
	c := b.ledger.Clock()
	if c.Covers(l.offered) {
		l.agreed, l.offered = l.offered, l.known
	}
	if c.Covers(l.offered) {
		l.agreed = l.offered
	}
}

// rotating names the random member of this second.
func (b *Broker) rotating() string {
	if len(b.members.Names()) == 0 {
		return ""
	}
	slot := uint64(b.wall.Unix())
	pick := prng.Source(b.cfg.Seed ^ slot)
	return b.members.Names()[pick.Below(len(b.members.Names()))]
}

// pump puts a message into the Ready for every link that has something to say
// and none under way.
func (b *Broker) pump() {
	for _, name := range b.members.Names() {
		l, m := b.links[name], b.members.Get(name)
		if l.inflight || m.HTTPAddr == "" || m.Status == membership.Left || b.now.Before(l.notBefore) {
			continue
		}
		due := !b.now.Before(l.exchange)
		if !due && !l.news && !b.rumourDue(l) && !l.want && l.transfer == nil && l.audit.suspects == nil {
			continue
		}
		if msg, ok := b.message(l, due); ok {
			l.inflight = true
			b.out.Send = append(b.out.Send, Send{To: name, Addr: m.HTTPAddr, Message: msg})
		}
	}
}

// A peer that was not heard of for a while has heard most news from others: before it is
// told of more than a few, its clock is asked for.
const (
	stale = time.Second
	few   = 8
)

// message makes the next message of a link; ok is false when there is nothing
// that the peer does not know.
func (b *Broker) message(l *link, due bool) (msg wire.Message, ok bool) {
	msg = wire.Message{
		Version: wire.Version, From: b.self, Actor: b.cfg.Actor, Hybrid: b.stamp(),
		Clock: b.ledger.Clock(), Seen: b.seen(), Metadata: b.ownRow(false),
		Want: due || l.want || !l.heard,
		Live: due || b.unaudited.waiting && !l.audit.done, Audit: l.audit.ask(),
	}
	if due {
		l.exchange = b.now.Add(b.interval())
		// What could not be read may have been damaged on its way: once an interval
		// it travels again.
		l.base, msg.Seen = l.known, nil
	}
	l.want = false
	if !l.heard {
		return msg, true // first learn what the peer holds; the news stays marked
	}
	l.news, l.rumour, l.rumourAt = false, false, b.now.Add(b.cfg.RumourPause)
	if l.transfer == nil {
		d, fits, err := b.ledger.Delta(l.base, wire.MaxPage)
		switch {
		case err != nil:
			b.err = err
			return msg, false
		case fits && len(d.Entries) == 0 && !msg.Want && msg.Audit == nil:
			return msg, false
		case fits && len(d.Entries) > few && b.now.Sub(l.lastSeen) > stale:
			l.news = true // after the peer has told its clock
			return msg, true
		case fits && len(d.Entries) > 0:
			msg.Delta = wire.FromLedger(d)
			return msg, true
		case fits:
			return msg, true
		}
		l.transfer, l.page, l.id = b.ledger.Pin(l.base), 0, b.random.Next()
	}
	d, last, err := l.transfer.Page(b.ledger, wire.MaxPage)
	if err != nil {
		b.err = err
		return msg, false
	}
	l.last, l.pinned = last, d.Clock
	msg.Delta = wire.FromLedger(d)
	msg.Page = &wire.Page{Transfer: l.id, Number: l.page, Last: last}
	return msg, true
}

// interval is the time to the next exchange: the sync interval, stretched under
// pressure, give or take a tenth so that brokers spread out (rules S2, S5).
func (b *Broker) interval() time.Duration {
	return time.Duration(float64(b.cfg.SyncInterval) * b.stretch * (0.9 + 0.1*b.random.Fraction()))
}

// acked takes in a peer's reply.
func (b *Broker) acked(peer string, r wire.Reply) {
	if r.From != peer || b.members.Superseded(r.Actor) {
		b.unreachable(peer) // somebody else answers at that address, or who is no more
		return
	}
	if l := b.links[peer]; l != nil {
		l.inflight, l.failures, l.notBefore = false, 0, time.Time{}
	}
	l := b.hear(peer, r.Actor, r.Hybrid, r.Clock, r.Seen, r.Metadata)
	if l == nil {
		return
	}
	switch {
	case r.Restart: // from the clock that the peer has just told (rule L4)
		l.transfer, l.news = nil, true
		l.notBefore = b.now.Add(backoffMin / 2) // the peer may not know us as a member yet
	case l.transfer == nil:
	case l.last:
		// What changed since the transfer's start was not on its list. If the peer did
		// not adopt its clock (L10), all would go again and again: that waits for news.
		l.transfer, l.news = nil, l.news || b.cfg.NewsLinks && l.base.Covers(l.pinned)
	default:
		l.transfer.Advance()
		l.page++
	}
	for _, ref := range r.Forgotten {
		b.forgetWith(ref, r.Clock)
	}
	if r.Delta != nil {
		b.merge(r.Delta.ToLedger())
	}
	b.audited(l, r)
}

// unreachable backs off from a peer that did not answer; others are not
// affected (rule S5). What it was to be told stays marked, and a transfer goes
// on with the same page.
func (b *Broker) unreachable(peer string) {
	l := b.links[peer]
	if l == nil {
		return
	}
	l.inflight, l.want = false, true
	l.news = l.news || b.cfg.NewsLinks
	wait := min(backoffMin<<min(l.failures, 10), backoffMax)
	l.failures++
	l.notBefore = b.now.Add(wait/2 + time.Duration(b.random.Fraction()*float64(wait/2)))
}

// deliver takes in a peer's message and answers it.
func (b *Broker) deliver(in Deliver) {
	m := in.Message
	if b.members.Superseded(m.Actor) { // nobody waits for this answer
		b.answer(in.Token, &Replied{wire.Reply{Version: wire.Version, From: b.self, Actor: b.cfg.Actor, Hybrid: b.stamp(), Clock: b.ledger.Clock(), Restart: true}})
		return
	}
	l := b.hear(m.From, m.Actor, m.Hybrid, m.Clock, m.Seen, m.Metadata)
	restart, forgotten := false, []ledger.Ref(nil)
	if m.Delta != nil {
		var ok bool
		ok, forgotten = b.receive(l, m)
		restart = !ok
	}
	reply := &wire.Reply{
		Version: wire.Version, From: b.self, Actor: b.cfg.Actor, Hybrid: b.stamp(),
		Clock: b.ledger.Clock(), Seen: b.seen(), Restart: restart, Metadata: b.ownRow(false),
		Forgotten: append(forgotten, b.auditFor(m.Audit)...),
	}
	if m.Live {
		reply.Live = b.ledger.LiveDigest(m.Clock)
	}
	if m.Want {
		b.offer(l, m, reply)
	}
	if l != nil && l.incoming == nil && m.Delta == nil && !b.ledger.Seen().Covers(m.Clock) {
		l.want = true
	}
	b.answer(in.Token, &Replied{*reply})
}

// offer puts what the asker lacks into the reply. What does not fit goes as a
// transfer on our own link.
func (b *Broker) offer(l *link, m wire.Message, reply *wire.Reply) {
	since := wire.Base(m.Clock, m.Seen)
	d, fits, err := b.ledger.Delta(since, wire.MaxPage)
	switch {
	case err != nil:
		b.err = err
	case !fits && l != nil:
		l.news = true
	case fits && (len(d.Entries) > 0 || !since.Covers(d.Clock)):
		reply.Delta = wire.FromLedger(d)
	}
}

// receive merges a message's records, and reports whether its sender may go on;
// false asks it to start again from our clock (rules L4, L5).
func (b *Broker) receive(l *link, m wire.Message) (ok bool, forgotten []ledger.Ref) {
	d := m.Delta.ToLedger()
	if m.Page == nil {
		r := b.merge(d)
		return r.Adopted || r.Refused || len(d.Clock) == 0, r.Forgotten
	}
	if l == nil {
		return false, nil
	}
	if m.Page.Number == 0 {
		l.incoming = &incoming{id: m.Page.Transfer}
	}
	in := l.incoming
	if in == nil || in.id != m.Page.Transfer || m.Page.Number > in.next {
		return false, nil // its beginning came before our start, or is lost
	}
	// A page that is sent again, since our answer was lost, may hold more than it did:
	// its records are as they are now, and may have become smaller.
	in.next = m.Page.Number + 1
	if in.bad {
		d.Clock = nil
	}
	r := b.merge(d)
	in.bad = in.bad || r.Refused
	if m.Page.Last {
		l.incoming = nil
		return r.Adopted || in.bad, r.Forgotten
	}
	return true, r.Forgotten
}

// merge joins a delta. What changed is news (rule L6).
func (b *Broker) merge(d ledger.Delta) ledger.Merged {
	m, err := b.ledger.Merge(d)
	if err != nil {
		b.err = err
	}
	for _, c := range m.News {
		switch r := c.New.(type) {
		case *job.Record:
			old, _ := c.Old.(*job.Record)
			b.noted(old, r)
		case *setting.Setting:
			b.settingChanged(r, false)
		case *emergency.Record:
			b.emergencyChanged(r)
		}
	}
	b.checkCatching()
	return m
}

// seen is the clock that peers send from, nil when it is the clock itself.
func (b *Broker) seen() clock.Vector {
	if b.ledger.Quarantined() == 0 {
		return nil
	}
	return b.ledger.Seen()
}

// nextWake is when something is due although nothing happens.
func (b *Broker) nextWake() time.Time {
	var wake time.Time
	by := func(t time.Time) {
		if wake.IsZero() || t.Before(wake) {
			wake = t
		}
	}
	for _, name := range b.members.Names() {
		l, m := b.links[name], b.members.Get(name)
		if l.inflight || m.HTTPAddr == "" || m.Status == membership.Left {
			continue
		}
		next := l.exchange
		if l.news || l.want || l.transfer != nil || l.audit.suspects != nil {
			next = b.now
		} else if l.rumour && l.rumourAt.Before(next) {
			next = l.rumourAt
		}
		if next.Before(l.notBefore) {
			next = l.notBefore
		}
		by(next)
	}
	if at, ok := b.timers.next(); ok {
		by(at.Time())
	}
	for _, at := range []time.Time{b.gatesDue(), b.members.Due(), b.unauditedDue(), b.sweepDue(), b.catchingDue(), b.balanceDue(), b.arrivingDue(), b.decisionDue(), b.emergenciesDue()} {
		if !at.IsZero() {
			by(at)
		}
	}
	return wake
}

// gossip takes in the state of a push-pull: newer metadata, and clocks that are
// ahead of ours, which a pull will catch up with (rule S3).
func (b *Broker) gossip(s wire.State) {
	for _, r := range s.Metadata {
		b.learn(r)
	}
	b.takeHints(s.Hints())
	if r := b.members.Metadata(s.From); r.Name != "" && !b.ledger.Seen().Covers(r.Clock) {
		if l := b.links[s.From]; l != nil {
			l.want = true
		}
	}
}
