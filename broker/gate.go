package broker

import (
	"time"

	"github.com/urban-compute/ucp/clock"
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
	deadline time.Time // then it opens all the same, as degraded

	token   Token // of a submission; 0 for a verdict
	created bool
}

// verdict tells the two sorts apart: a job has one of those and any number of
// submissions.
func (g *gate) verdict() bool { return g.token == 0 }

// copies counts the brokers that hold the update and the blobs, this one
// included: its own commit precedes every answer.
func (b *Broker) copies(g *gate) int {
	n := 1
	for _, name := range b.names {
		if b.holdsUpdate(name, g.dot) && b.holds[name].all(g.blobs) {
			n++
		}
	}
	return n
}

// holdsUpdate reports whether a member is known to hold an update: it has said
// so by its clock, or wrote it itself (nothing leaves a broker unsynced, I4).
func (b *Broker) holdsUpdate(name string, d clock.Dot) bool {
	l := b.links[name]
	return l != nil && (l.actor == d.Actor || l.heard && l.known.Has(d))
}

// goal is how many copies open a gate now: fewer than asked for when fewer
// brokers are alive.
func (b *Broker) goal() int { return min(b.cfg.Replicas, b.living()) }

// gateVerdict holds a verdict back that was just written or learnt.
func (b *Broker) gateVerdict(r *job.Record) {
	g := &gate{key: r.Key(), dot: r.Verdict().Dot, deadline: b.now.Add(b.cfg.AckTimeout)}
	b.gates[g.key] = g
	b.hold(g)
}

// hold opens a new gate at once when it can, and keeps it otherwise.
func (b *Broker) hold(g *gate) {
	if b.copies(g) >= b.goal() {
		b.open(g)
		return
	}
	b.order = append(b.order, g)
}

// checkGates opens what has become durable.
func (b *Broker) checkGates() {
	goal := b.goal()
	kept := b.order[:0]
	for _, g := range b.order {
		if b.copies(g) >= goal || !b.now.Before(g.deadline) {
			b.open(g)
		} else {
			kept = append(kept, g)
		}
	}
	clear(b.order[len(kept):])
	b.order = kept
}

// expireGates opens what has waited for AckTimeout; the oldest stand first.
func (b *Broker) expireGates() {
	if len(b.order) > 0 && !b.now.Before(b.order[0].deadline) {
		b.checkGates()
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
	n := b.copies(g)
	b.answer(g.token, &Submitted{
		Record: b.shown(b.record(g.key)), Created: g.created,
		Replicas: n, Degraded: n < b.cfg.Replicas,
	})
}

// shown returns the record as it may be shown: without a verdict that is not
// yet durable (rule A3).
func (b *Broker) shown(r *job.Record) *job.Record {
	if r != nil && b.gates[r.Key()] != nil {
		return r.Undecided()
	}
	return r
}

// pushed notes that a peer has confirmed a blob.
func (b *Broker) pushed(in Pushed) {
	delete(b.pushing, pushing{in.Peer, in.Digest})
	if in.Failed || b.members[in.Peer].Name == "" {
		return
	}
	if b.holds[in.Peer] == nil {
		b.holds[in.Peer] = newDigests()
	}
	b.holds[in.Peer].add(in.Digest)
	b.checkGates()
}

// pushing is a blob on its way to a peer.
type pushing struct {
	peer   string
	digest job.Digest
}

// spread brings a submission's blobs to the brokers that are to hold its copies,
// unless they are there or on their way.
func (b *Broker) spread(blobs []job.Digest) {
	for _, name := range b.ring {
		for _, d := range blobs {
			p := pushing{name, d}
			if b.pushing[p] || b.holds[name].all([]job.Digest{d}) || b.members[name].HTTPAddr == "" {
				continue
			}
			b.pushing[p] = true
			b.out.Push = append(b.out.Push, Push{To: name, Addr: b.members[name].HTTPAddr, Digest: d})
		}
	}
}
