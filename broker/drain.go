package broker

// drain begins the graceful leave, or hurries it.
func (b *Broker) drain(in Drain) {
	if b.drainer != 0 {
		b.answer(b.drainer, &Drained{Left: b.ownedHere()})
	}
	b.drainer = in.Token
	if !b.offer.draining {
		b.offer.draining = true
		b.reviewWhere(nil)
	}
	if !in.Now {
		return
	}
	b.attempts.dropAll()
}

// checkDrained answers the drain when nothing runs here, and as many brokers as hold a submission
// hold what was handed over, among them all that are alive. A broker that has left the roll is not asked for
// anything where all must know of a verdict (rules A3, M2), so nothing may be on its disk alone: it
// could hold an earlier verdict, and come back with it.
func (b *Broker) checkDrained() {
	if b.drainer == 0 || b.reviews.pending() || b.attempts.running() || len(b.checkpoints.spreading) > 0 || b.renewal.awaited() {
		return // a start that comes behind the goodbye would write what nobody takes any more
	}
	left := b.ownedHere()
	if left > 0 && b.successor("", b.self) != "" {
		return // they are still to be handed over
	}
	h := b.peers.HandOver()
	if h.Holders < b.copies.Goal() || !h.Living {
		return
	}
	switch b.enrolment.sayGoodbye(h.Stable) {
	case pending:
		return
	case said:
		h.All = true // that have to
	case impossible:
		h.All = h.All && (!b.members.Roll().Has(b.self) || len(b.members.Counted()) == 0)
	}
	b.answer(b.drainer, &Drained{Left: left, Known: h.All})
	b.drainer = 0
}
