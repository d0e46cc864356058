package broker

import "errors"

// Step takes in what happened, and mends what that has put out of order. It returns an error only
// when the archive failed, or there is no input; the owner must then stop.
func (b *Broker) Step(in Input) error {
	if in == nil {
		return errors.New("broker: no input")
	}
	in.step(b)
	b.checkProof()
	b.peers.Part(b.keepPart)
	b.causality.checkCatching()
	b.reviewAll()
	return b.err
}

// What each input is for:

// time and surroundings
func (in Tick) step(b *Broker)     { b.pass(in) }
func (in Roster) step(b *Broker)   { b.setRoster(in.Members) }
func (in Moved) step(b *Broker)    { b.cfg.HTTPAddr = in.HTTPAddr }
func (in Pressure) step(b *Broker) { b.peers.SetStretch(in.Stretch); b.decisions.remember(in.Tight) }
func (in Room) step(b *Broker)     { b.room(in) }
func (in Watch) step(b *Broker)    { b.watch(in.On) }

// other brokers
func (in Deliver) step(b *Broker)     { b.deliver(in) }
func (in Acked) step(b *Broker)       { b.acked(in) }
func (in Signed) step(b *Broker)      { b.heads.take(in.Heads) }
func (in Looked) step(b *Broker)      { b.authors.looked(in) }
func (in Unreachable) step(b *Broker) { b.unreachable(in) }
func (in Gossip) step(b *Broker)      { b.gossip(in.State) }

// clients: jobs
func (in Submit) step(b *Broker)  { b.submit(in) }
func (in Batch) step(b *Broker)   { b.submitAll(in) }
func (in Get) step(b *Broker)     { b.get(in) }
func (in Await) step(b *Broker)   { b.await(in) }
func (in List) step(b *Broker)    { b.list(in) }
func (in Cancel) step(b *Broker)  { b.cancel(in) }
func (in CatchUp) step(b *Broker) { b.causality.catchUp(in) }
func (in DryRun) step(b *Broker)  { b.dryRun(in) }
func (in Abandon) step(b *Broker) { b.abandon(in.Token) }

// clients: emergencies and strategies
func (in Declare) step(b *Broker)         { b.declare(in) }
func (in Clear) step(b *Broker)           { b.clear(in) }
func (in Heard) step(b *Broker)           { b.emergencies.hear(in) }
func (in ListEmergencies) step(b *Broker) { b.emergencies.list(in) }
func (in SetStrategy) step(b *Broker)     { b.setStrategy(in) }
func (in ListConflicts) step(b *Broker)   { b.decisions.list(in) }

// clients: named data
func (in PutData) step(b *Broker)    { b.names.put(b, in) }
func (in RemoveData) step(b *Broker) { b.names.remove(b, in) }
func (in GetData) step(b *Broker)    { b.names.show(in) }
func (in AwaitData) step(b *Broker)  { b.names.await(in) }
func (in ListData) step(b *Broker)   { b.names.list(in) }

// the executor and the store
func (in Fetched) step(b *Broker)      { b.attempts.fetched(in) }
func (in Loads) step(b *Broker)        { b.loads(in) }
func (in Paused) step(b *Broker)       { b.attempts.paused(in) }
func (in Checkpointed) step(b *Broker) { b.attempts.checkpointed(in) }
func (in Gone) step(b *Broker)         { b.attempts.gone(in) }
func (in Reported) step(b *Broker)     { b.attempts.reported(in) }
func (in Compiled) step(b *Broker)     { b.compiledHere(in) }
func (in Recovered) step(b *Broker)    { b.recover() }
func (in Unable) step(b *Broker)       { b.withdraw(in.Why) }
func (in Pushed) step(b *Broker)       { b.pushed(in) }
func (in Minted) step(b *Broker)       { b.minted(in) }
func (in Kept) step(b *Broker)         { b.repairer.kept(in); b.names.kept(in) }
func (in Damaged) step(b *Broker)      { b.blobs.Missed(in.Digest); b.repairer.changed(); b.names.changed() }

// operators
func (in ForgetMember) step(b *Broker) { b.forgetMember(in) }
func (in DrainMember) step(b *Broker)  { b.drainMember(in) }
func (in Vouch) step(b *Broker)        { b.vouch(in) }

// what is carried
func (in Pack) step(b *Broker)      { b.pack(in) }
func (in PackPage) step(b *Broker)  { b.packPage(in) }
func (in Unpack) step(b *Broker)    { b.unpack(in) }
func (in Speak) step(b *Broker)     { b.speak(in) }
func (in HearWords) step(b *Broker) { b.hearAll(in) }

// the end
func (in Drain) step(b *Broker) { b.drain(in) }

// pass lets every part do what is due.
func (b *Broker) pass(in Tick) {
	first, leapt := b.tick(in)
	if first {
		b.begin()
	} else if leapt != 0 {
		b.out.Leapt += leapt
		b.timeChanged()
	}
	b.reviews.wake(b.now)
	b.tellStarted()
	if b.copies.Expired() {
		b.checkAcks()
	}
	b.copies.Hedge()
	b.checkAbsences()
	b.lookOn()
	for _, in := range b.predecessors.checkArriving() {
		b.submit(in)
	}
	b.causality.checkBehind()
	b.emergencies.pass()
	b.sweep()
	b.balancer.balance()
	b.repairer.pass()
	b.names.pass()
	b.sealOrphans()
}

// room takes in whether this broker's disk has room. When it has again, what was brought past it belongs here
// (rule R3), and jobs may wait for that.
func (b *Broker) room(in Room) {
	again := b.offer.full && !in.Full
	b.offer.full, b.offer.freeDisk = in.Full, in.Free
	if again {
		b.names.changed()
		b.repairer.changed()
		b.reviewMembers()
	}
}

// begin is the first Tick: now it is known what time it is.
func (b *Broker) begin() {
	b.kept = b.now
	b.sweeper.next, b.balancer.next = b.now.Add(sweepEvery), b.now.Add(balanceEvery)
	b.beginDeadlines()
	b.emergencies.refresh()
	b.names.begin()
	b.distrust()
}

// abandon drops those that wait with this token.
func (b *Broker) abandon(t Token) {
	if t != 0 {
		b.copies.Drop(func(w ackWaiter) bool { return w.token() == t })
	}
	b.predecessors.drop(t)
	b.causality.drop(t)
	b.waiters.drop(t)
	b.names.drop(t)
	if b.drainer == t {
		b.drainer = 0
	}
}
