package broker

import (
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/urban-compute/ucp/broker/membership"
	"github.com/urban-compute/ucp/broker/replication"
	"github.com/urban-compute/ucp/broker/wire"
	"github.com/urban-compute/ucp/canon"
	"github.com/urban-compute/ucp/clock"
	"github.com/urban-compute/ucp/data"
	"github.com/urban-compute/ucp/emergency"
	"github.com/urban-compute/ucp/job"
	"github.com/urban-compute/ucp/ledger"
	"github.com/urban-compute/ucp/roll"
	"github.com/urban-compute/ucp/setting"
)

// deliver takes in a peer's message and answers it.
func (b *Broker) deliver(in Deliver) {
	m := &in.Message
	if b.superseded(m.Actor) || m.To != "" && m.To != b.cfg.Actor {
		// Its sender is gone, and nobody waits for this answer; or it is for another start of this broker (rule X3).
		b.answer(in.Token, &Replied{*b.peers.Unheard(m, b.stamp())})
		return
	}
	if m.From == b.self {
		b.breach(m.From, "X2", "a message of %s in our name", m.Actor)
		b.answer(in.Token, &Replied{*b.peers.Unheard(m, b.stamp())})
		return
	}
	told, ok := b.peers.Understand(m.From, m.Actor, &m.Clock, m.Told, m.Delta)
	if !ok {
		b.stats.Misunderstood++
		b.answer(in.Token, &Replied{*b.peers.Unheard(m, b.stamp())})
		return
	}
	b.hear(replication.Said{
		From: m.From, Actor: m.Actor, Hybrid: m.Hybrid, Clock: m.Clock, Seen: m.Seen, Beat: m.Beat, Told: told, ToldHeard: m.ToldHeard,
		Much: m.Much, Lease: m.Lease, Asked: b.peers.HeardUs(m),
	}, m.Metadata)
	b.prove(m.From, m.Actor, m.Metadata, b.peers.HeardUs(m))
	var got replication.Received
	switch {
	case m.Delta != nil && b.unproven(m):
		b.stats.Unproven++
		got.Restart = true
	case m.Delta != nil && !b.takesFrom(m.From, m.Delta.ToLedger(m.Actor)):
		got.Restart = true
	case m.Delta != nil:
		got = b.peers.Receive(m, b.merge)
	}
	b.peers.Settle()
	b.askDisputed()
	reply, err := b.peers.Reply(m, b.head(), got)
	if err != nil {
		b.fail(err)
		return
	}
	b.asked(m.Audit, reply)
	b.answer(in.Token, &Replied{*reply})
}

// superseded reports, and counts, that something comes of a start that has a successor: it is not heard (rules I2, F1).
func (b *Broker) superseded(a clock.Actor) bool {
	if !b.members.Superseded(a) && !b.peers.Superseded(a) {
		return false
	}
	b.stats.Unheard++
	return true
}

// unproven reports whether the sender of a message is held for gone, and has not shown yet that it hears us
// (rule P1). The reply, which it will have heard, lets it send its records again.
func (b *Broker) unproven(m *wire.Message) bool {
	return m.Beat > 0 && b.members.Get(m.From).Status == membership.Failed
}

// acked takes in a peer's reply.
func (b *Broker) acked(in Acked) {
	peer, r := in.Peer, &in.Reply
	if in.By != "" && in.By != b.cfg.Actor {
		return // what was told to an earlier start counts for nothing (rules F1, K3)
	}
	if r.From != peer || b.superseded(r.Actor) {
		b.peers.Unreachable(peer, in.Page) // another broker answers at that address, or an earlier start of this one
		return
	}
	told, ok := b.peers.Understand(peer, r.Actor, &r.Clock, r.Told, r.Delta)
	if !ok {
		b.stats.Misunderstood++
		b.peers.Unreachable(peer, in.Page) // once more, now that it says all
		return
	}
	b.peers.Answered(peer, in.Page)
	asked := b.peers.Asked(peer, in.Page)
	if !b.hear(replication.Said{
		From: r.From, Actor: r.Actor, Hybrid: r.Hybrid, Clock: r.Clock, Seen: r.Seen, Beat: r.Beat, Taken: r.Taken && !in.Page,
		Told: told, ToldHeard: r.ToldHeard, Much: r.Much, Lease: r.Lease, Asked: asked,
	}, r.Metadata) {
		return
	}
	b.prove(peer, r.Actor, r.Metadata, asked)
	b.peers.Progress(r, in.Page)
	var delta ledger.Delta
	if r.Delta != nil {
		delta = r.Delta.ToLedger(r.Actor)
	}
	takes := b.takesFrom(peer, delta)
	if !b.members.TakesPart(peer) {
		return
	}
	if !b.overstates(r.Clock) { // else it takes what it never had for forgotten
		for _, ref := range r.Forgotten {
			b.forgetWith(peer, ref, r.Clock)
		}
		b.doubtedBy(peer, r.Doubted, r.Clock)
	}
	if r.Delta == nil || takes { // an end that is held comes with it
		b.heldBy(r.Held)
	}
	if r.Delta != nil && takes {
		b.merge(delta)
		b.tellRivals(r.Held, delta)
	}
	if !b.enrolment.blocked() { // else what it says of forgotten jobs was not heard
		b.peers.Audited(r, in.Page)
	}
}

// hear takes in what a peer says of itself in any message. It reports whether it is a member.
func (b *Broker) hear(s replication.Said, metadata *wire.Metadata) bool {
	b.observe(s.Hybrid)
	b.renewal.hear(&s)
	s = b.corrected(s)
	s.Clocks = replication.Reading{Own: s.Hybrid.Time(), City: s.Hybrid.Time()} // of an older version, which stamps by its own clock
	if metadata != nil {
		s.Unproven = metadata.Unproven
		if metadata.Wall != 0 {
			s.Clocks = clocksOf(metadata)
		}
		b.learn(*metadata, true)
	}
	if !b.peers.Hear(s) {
		return false
	}
	b.checkAcks()
	return true
}

// clocksOf is what a broker's metadata says of its clocks.
func clocksOf(m *wire.Metadata) replication.Reading {
	r := replication.Reading{Own: m.Wall.Time(), City: m.Wall.Time(), Unset: m.Unset}
	if m.City != 0 {
		r.City = m.City.Time()
	}
	return r
}

// head is what each message says of this broker.
func (b *Broker) head() replication.Head {
	return replication.Head{Hybrid: b.stamp(), Metadata: b.ownMetadata(false)}
}

// pump sends what there is to say.
func (b *Broker) pump() {
	b.askDisputed()
	send, err := b.peers.Pump(b.head)
	b.fail(err)
	b.out.Send = append(b.out.Send, send...)
}

// merge joins a delta. What changed is news (rule L6).
func (b *Broker) merge(d ledger.Delta) ledger.Merged {
	d.Entries = b.ofThisCity(d)
	rivals, emergencies := b.rivals(d), b.emergencies.newIn(d)
	for _, r := range emergencies {
		b.emergencies.passOver(r)
	}
	m, err := b.ledger.Merge(d)
	b.fail(err)
	b.stats.OfLostStarts += uint64(len(m.Held))
	b.stats.Taken.count(d.Entries, m.News)
	b.peers.Took(d)
	for _, ref := range m.Forged {
		what := fmt.Sprintf("has updates of %s that were never written", b.cfg.Actor)
		if ref.Kind == ledger.Starts {
			what = "is not what that start has said"
		} else {
			b.renewal.forged(d.From.Broker(), ref)
		}
		b.breach(d.From.Broker(), "X1", "its %s %s %s", ref.Kind, ref.Key, what)
	}
	for _, ref := range m.TooLarge {
		b.breach(d.From.Broker(), "L11", "its %s %s, joined with what is known of it here, is larger than any broker reads", ref.Kind, ref.Key)
	}
	for _, ref := range m.Disputed {
		b.dispute(ref.Key)
	}
	b.awaitForgotten(d.Entries, m.Forgotten)
	for _, c := range m.News {
		switch r := c.New.(type) {
		case *job.Record:
			old, _ := c.Old.(*job.Record)
			b.ownership.putOff(old, r)
			b.noted(old, r)
			b.authors.came(d.From, old, r)
			b.sealFirst(old, r)
		case *setting.Setting:
			b.settingChanged(r, false)
		case *emergency.Record:
			b.emergencies.changedRecord(r)
		case *roll.Record:
			b.enrolment.noted(r, false)
			if r.Name == b.self && (!r.Open() || r.Epoch > 1) {
				b.renewal.removed()
			}
		case *data.Record:
			old, _ := c.Old.(*data.Record)
			b.names.noted(old, r, false)
		}
	}
	for _, r := range emergencies {
		b.emergencies.compare(r)
	}
	b.sealAgain(rivals)
	return m
}

// gossip takes in the state of a push-pull: newer metadata, and the sender's clock: when it is
// ahead of ours, a pull will catch up with it (rule S3).
func (b *Broker) gossip(s wire.State) {
	for _, said := range s.Metadata {
		if said.Name == s.From && !b.ledger.Lineage().Covers(b.ledger.Seen(), said.Clock) {
			b.peers.Pull(s.From)
		}
		b.learn(said, false)
	}
	b.emergencies.takeHints(s.Hints())
}

// distrust begins the proof that what is remembered is no older than what the others know (rule M3).
func (b *Broker) distrust() { b.peers.Distrust(b.stamp()) }

// checkProof lets what waited for the proof of this start go on.
func (b *Broker) checkProof() {
	if b.started() && b.peers.Prove() {
		b.reviewWhere(nil)
	}
}

// proofKind is what the disk with which a proof began is called among the broker's own values.
const proofKind = "proof"

// keptProof is that disk: what was on it, and what was stable there.
type keptProof struct {
	Disk   clock.Tips `codec:"disk,omitempty"`
	Stable clock.Tips `codec:"stable,omitempty"`
}

// keepProof keeps with what disk the proof of this start began, until it is proven.
func (b *Broker) keepProof(disk, stable clock.Tips) {
	var value []byte
	if !b.peers.Proven() {
		value = append(binary.AppendUvarint(nil, 1), canon.Encode(keptProof{disk, stable})...)
	}
	b.ledger.KeepOwn(proofKind+"\x00", value)
}

// recallProof takes in what an earlier start has kept, which was not proven.
func (b *Broker) recallProof(value []byte) error {
	var p keptProof
	if err := canon.Decode(value, &p); err != nil {
		return fmt.Errorf("the disk with which a proof began: %w", err)
	}
	if err := errors.Join(clock.Vector(p.Disk).Valid(), clock.Vector(p.Stable).Valid()); err != nil {
		return fmt.Errorf("the disk with which a proof began: %w", err)
	}
	b.peers.RecallProof(p.Disk, p.Stable)
	return nil
}

// partKind is what the members that took part when this disk was last proven are called among the broker's own values.
const partKind = "part"

func partName(name string) string { return partKind + "\x00" + name }

// keepPart keeps who takes part, of a start that is proven; epoch 0 is who does not any more.
func (b *Broker) keepPart(name string, epoch uint64) {
	var value []byte
	if epoch > 0 || name == b.self { // this broker's own says that it is kept
		value = binary.AppendUvarint(nil, epoch)
	}
	b.ledger.KeepOwn(partName(name), value)
}

// foundPart begins that where nothing of it is kept: in the store of an earlier version all count that are in the roll, in an empty one
// nobody does.
func (b *Broker) foundPart() {
	b.keepPart(b.self, 0)
	roll := b.members.Roll()
	for _, name := range roll.Names() {
		b.peers.Recall(name, roll.Get(name).Epoch)
		b.keepPart(name, roll.Get(name).Epoch)
	}
}

// proven reports whether what this broker says of an end may count: its start is proven, and it is a member now
// (rules M2, M3).
func (b *Broker) proven() bool { return b.peers.Proven() && !b.enrolment.blocked() }

// awaitForgotten brings nearer that updates are stable of ended jobs which this broker has forgotten, and others hold: those can't show
// the end as firm before this broker has said so (rule F2), and nobody waits for it here. The forgotten stand in the order of the entries.
func (b *Broker) awaitForgotten(entries []ledger.Entry, forgotten []ledger.Ref) {
	for _, in := range entries {
		if len(forgotten) == 0 {
			return
		}
		if in.Ref != forgotten[0] {
			continue
		}
		forgotten = forgotten[1:]
		if r, ok := in.Record.(*job.Record); ok && r.Finished() {
			b.peers.Await(r.Dots)
		}
	}
}

// suspect reports whether a job must wait, since others may have ended and forgotten it: it was created before this
// start, which is not proven, or it is disputed (rules M3, F3).
func (c *core) suspect(r *job.Record) bool {
	return c.isDisputed(r.Key()) && !c.members.Single() || c.peers.HoldsBack(r.Submitted())
}
