package broker

import (
	"maps"
	"slices"
	"time"

	"github.com/urban-compute/ucp/broker/causal"
	"github.com/urban-compute/ucp/clock"
	"github.com/urban-compute/ucp/emergency"
	"github.com/urban-compute/ucp/job"
)

// gate holds an answer back until what it shows is durable: until Replicas
// brokers' clocks cover the dot and, for a submission, have confirmed its inputs
// (rules A1, A3). It is a gate on answers and not a state: nothing of it is
// stored.
type gate struct {
	key      string
	dot      clock.Dot
	blobs    []job.Digest
	since    time.Time
	deadline time.Time // then it opens all the same, as degraded

	// Of a submission; the token is 0 for a verdict.
	token   Token
	created bool
	record  *job.Record
	past    causal.Context
	claim   *Declared // instead of a job's submission: a declaration or a clear
	least   int       // copies that the client demands
	final   time.Time // how long it waits for them
}

// hedgeAfter is for how long a broker that should hold a copy may be silent before
// the next one on the ring gets one, too (rule A1; Dean and Barroso, "The Tail at
// Scale", 2013).
const hedgeAfter = 200 * time.Millisecond

// verdict tells the two sorts apart: a job has one of those and any number of
// submissions.
func (g *gate) verdict() bool { return g.token == 0 }

// copies counts the brokers that hold the update and the blobs, this one
// included: its own commit precedes every answer.
func (b *Broker) copies(g *gate) int {
	n := 1
	for _, name := range b.members.Names() {
		if b.peers.HoldsUpdate(name, g.dot) && b.has(name, g.blobs) {
			n++
		}
	}
	return n
}

// goal is how many copies open a gate now: fewer than asked for when fewer
// brokers are alive.
func (b *Broker) goal() int { return min(b.cfg.Replicas, b.members.Living()) }

// gateVerdict holds a verdict back that was just written or learnt.
func (b *Broker) gateVerdict(r *job.Record) {
	g := &gate{key: r.Key(), dot: r.Verdict().Dot, since: b.now, deadline: b.now.Add(b.cfg.AckTimeout)}
	b.gates[g.key] = g
	b.hold(g)
}

// hold opens a new gate at once when it can, and keeps it otherwise.
func (b *Broker) hold(g *gate) {
	if b.opens(g, b.goal()) {
		b.open(g)
		return
	}
	b.order = append(b.order, g)
	if due := g.due(b.now); b.gateDue.IsZero() || due.Before(b.gateDue) {
		b.gateDue = due
	}
}

// opens reports whether a gate holds no longer.
func (b *Broker) opens(g *gate, goal int) bool {
	n := b.copies(g)
	switch late := !b.now.Before(g.deadline); {
	case n >= max(goal, g.least):
		return true
	case g.least == 0 || n >= g.least:
		return late
	}
	return !b.now.Before(g.final)
}

// due is when a gate that is shut must be looked at again.
func (g *gate) due(now time.Time) time.Time {
	if g.least > 0 && !now.Before(g.deadline) {
		return g.final
	}
	return g.deadline
}

// checkGates opens what has become durable.
func (b *Broker) checkGates() {
	goal := b.goal()
	kept := b.order[:0]
	b.gateDue = time.Time{}
	for _, g := range b.order {
		if b.opens(g, goal) {
			b.open(g)
			continue
		}
		kept = append(kept, g)
		if due := g.due(b.now); b.gateDue.IsZero() || due.Before(b.gateDue) {
			b.gateDue = due
		}
	}
	clear(b.order[len(kept):])
	b.order = kept
	if len(kept) == 0 {
		b.hedges = 0
	}
	for _, key := range slices.Sorted(maps.Keys(b.cautious)) {
		b.reviewLater(key)
	}
}

// expireGates opens what has waited for long enough.
func (b *Broker) expireGates() {
	if !b.gateDue.IsZero() && !b.now.Before(b.gateDue) {
		b.checkGates()
	}
}

// gatesDue is when a gate, or a silent holder of copies, is to be looked at.
func (b *Broker) gatesDue() time.Time {
	if len(b.order) == 0 {
		return time.Time{}
	}
	if at := b.hedgeDue(); at.Before(b.gateDue) && b.reach() < len(b.members.Ring()) {
		return at
	}
	return b.gateDue
}

// reach is how many brokers on the ring get copies now.
func (b *Broker) reach() int { return min(len(b.members.Ring()), b.copyCount()) }

func (b *Broker) hedgeDue() time.Time {
	return b.order[0].since.Add(time.Duration(b.hedges+1) * hedgeAfter)
}

// hedge lets the next broker on the ring have copies when those before it are
// silent (rule A1).
func (b *Broker) hedge() {
	if len(b.order) == 0 || b.now.Before(b.hedgeDue()) || b.reach() == len(b.members.Ring()) {
		return
	}
	b.hedges++
	name := b.members.Ring()[b.reach()-1]
	b.peers.TellNow(name)
	for _, g := range b.order {
		for _, d := range g.blobs {
			b.pushTo(name, d)
		}
	}
}

func (b *Broker) open(g *gate) {
	if g.verdict() {
		if b.gates[g.key] == g {
			delete(b.gates, g.key)
			b.tellWaiters(g.key)
		}
		return
	}
	if g.claim != nil {
		n := b.copies(g)
		g.claim.Replicas, g.claim.Degraded = n, n < b.cfg.Replicas
		g.claim.View = b.emergencyView(b.emergencies.known[emergency.ID(g.key)])
		b.answer(g.token, g.claim)
		return
	}
	r := b.record(g.key)
	if r == nil {
		r = g.record // it has ended and is forgotten already
	}
	n := b.copies(g)
	out := Submitted{
		Record: b.shown(r), Created: g.created, Replicas: n, Degraded: n < b.cfg.Replicas,
		Past: g.past.With(causal.Event{Dot: r.Created[0].Dot, Job: r.ID}),
	}
	if n < g.least {
		short := TooFewCopies(out)
		b.answer(g.token, &short)
		return
	}
	b.answer(g.token, &out)
}

// shown returns the record as it may be shown: without a verdict that is not
// yet durable (rule A3).
func (b *Broker) shown(r *job.Record) *job.Record {
	if r != nil && b.gates[r.Key()] != nil {
		return r.Undecided()
	}
	return r
}

// pushing is a blob on its way to a peer.
type pushing struct {
	peer   string
	digest job.Digest
}

// pushed notes that a peer has confirmed a blob, or that it can't have it: then the
// next on the ring gets it.
func (b *Broker) pushed(in Pushed) {
	delete(b.pushing, pushing{in.Peer, in.Digest})
	if !b.members.Knows(in.Peer) {
		in.Failed = true
	}
	if in.Failed {
		b.pushOn(in.Peer, in.Digest)
	} else {
		if b.holds[in.Peer] == nil {
			b.holds[in.Peer] = newDigests()
		}
		b.holds[in.Peer].add(in.Digest, b.now)
		b.checkGates()
	}
	b.settleRuns()
}

// spread brings blobs to the brokers that are to hold copies, unless they are there
// or on their way.
func (b *Broker) spread(blobs []job.Digest, copies int) {
	if len(blobs) == 0 {
		return
	}
	for _, d := range blobs {
		want := max(b.reach(), copies-1)
		for _, name := range b.members.Ring() {
			if want == 0 {
				break
			}
			if b.pushTo(name, d) || b.gets(name, d) {
				want--
			}
		}
	}
}

// pushOn brings a blob that a peer could not have to one that stands behind it on
// the ring: each failure goes on from where it was, so that this ends.
func (b *Broker) pushOn(failed string, d job.Digest) {
	for _, name := range b.members.Ring()[slices.Index(b.members.Ring(), failed)+1:] {
		if b.pushTo(name, d) {
			return
		}
	}
}

// gets reports whether a peer has a blob, or it is on its way there.
func (b *Broker) gets(name string, d job.Digest) bool {
	return b.pushing[pushing{name, d}] || b.has(name, []job.Digest{d})
}

// pushTo begins to bring a blob to a peer. It reports whether it did: not when the
// peer has it or gets it, or can't take it.
func (b *Broker) pushTo(name string, d job.Digest) bool {
	if b.gets(name, d) || b.members.Get(name).HTTPAddr == "" || b.members.Metadata(name).Full {
		return false
	}
	b.pushing[pushing{name, d}] = true
	b.out.Push = append(b.out.Push, Push{To: name, Addr: b.members.Get(name).HTTPAddr, Digest: d})
	return true
}
