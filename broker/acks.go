package broker

import (
	"slices"

	"github.com/urban-compute/ucp/broker/ack"
	"github.com/urban-compute/ucp/broker/causal"
	"github.com/urban-compute/ucp/emergency"
	"github.com/urban-compute/ucp/job"
)

// ackWaiter waits until enough brokers hold an update: a submission, a verdict or a declaration.
// Each knows what to do then.
type ackWaiter interface {
	durable(b *Broker, copies int)
	token() Token // of the client that waits; 0 when no client does
}

// acks are the answers that wait for copies (rules A1, A3), and the verdicts that are not shown
// yet.
type acks struct {
	*core
	withheld map[string]*verdictWaiter // by key
	firm     func(*job.Record) bool    // whether the end of a job can't change any more (rule F2)
}

// shown returns the record as it may be shown: without a verdict that is not yet durable (rule
// A3). What is firm is: the members that show it count also where they are no copies yet, since they are not proven (rule M3).
func (a *acks) shown(r *job.Record) *job.Record {
	if r != nil && a.withheld[r.Key()] != nil && !a.firm(r) {
		return r.Undecided()
	}
	return r
}

// shownTo is the same to a client that has seen something: what its token covers it is shown, whatever the copies,
// so that it never sees less than before (rule R4), also when another end has come that decides and is withheld. What it
// was shown as firm decides, even if the seal that says so has not come here yet.
func (a *acks) shownTo(past causal.Context, r *job.Record) *job.Record {
	if r == nil || !r.Finished() {
		return r
	}
	for _, v := range r.Verdicts {
		if past.SawFirm(r.Created[0].Dot, v.Dot) {
			return r.Decided(v.Dot)
		}
	}
	if slices.ContainsFunc(r.Verdicts, func(v job.Verdict) bool { return past.Covers(v.Dot) }) {
		return r
	}
	return a.shown(r)
}

// withholds reports whether a job has ended and may not be shown so yet.
func (a *acks) withholds(key string) bool { return a.withheld[key] != nil }

// forget drops what is withheld of a job that is forgotten.
func (a *acks) forget(key string) { delete(a.withheld, key) }

// submissionWaiter is a client that waits for the copies of a job (rule A1).
type submissionWaiter struct {
	by      Token
	record  *job.Record
	created bool
	least   int // copies that the client insists on
	past    causal.Context
}

func (s *submissionWaiter) token() Token { return s.by }

func (s *submissionWaiter) durable(b *Broker, copies int) {
	r := b.record(s.record.Key())
	if r == nil {
		r = s.record // it has ended and is forgotten already
	}
	out := Submitted{
		Record: b.acks.shown(r), Created: s.created, Replicas: copies, Degraded: b.copies.Degraded(copies),
		Past: s.past.With(causal.Event{Dot: r.Created[0].Dot, Job: r.ID}), NoLevel: b.emergencies.noLevel(r.Spec.Priority.Emergency),
	}
	if copies < s.least {
		few := TooFewCopies(out)
		b.answer(s.by, &few)
		return
	}
	b.answer(s.by, &out)
}

// declarationWaiter is a client that waits for the copies of an emergency. The emergency acts at
// once, but the broker that has told a client of it may go away.
type declarationWaiter struct {
	by      Token
	record  *emergency.Record
	created bool
	was     *emergency.Record // what it was until it was changed, or nil
}

func (d *declarationWaiter) token() Token { return d.by }

func (d *declarationWaiter) durable(b *Broker, copies int) {
	r := b.emergencies.known[d.record.ID]
	if r == nil {
		r = d.record // it is over and is forgotten already
	}
	view := b.emergencies.show(r)
	view.Reach = b.reach(view.Record)
	b.answer(d.by, &Declared{
		View: view, Created: d.created, Was: d.was,
		Replicas: copies, Degraded: b.copies.Degraded(copies),
	})
}

// verdictWaiter holds a verdict back that was just written or learnt: until it is durable, or the
// ack timeout is over, clients are shown the job without it (rule A3).
type verdictWaiter struct{ key string }

func (v *verdictWaiter) token() Token { return 0 }

func (v *verdictWaiter) durable(b *Broker, _ int) {
	if b.acks.withheld[v.key] == v {
		delete(b.acks.withheld, v.key)
		b.tellWaiters(v.key)
	}
}

// awaitCopies lets a client, or a verdict, wait for copies of an update.
func (b *Broker) awaitCopies(d ack.Demand, who ackWaiter) {
	d.Deadline = b.now.Add(b.cfg.AckTimeout)
	b.settleAcks(b.copies.Add(d, who))
}

func (b *Broker) settleAcks(list []ack.Durable[ackWaiter]) {
	for _, x := range list {
		if x.Who.token() != 0 {
			b.stats.Acknowledged++
			if b.copies.Degraded(x.Copies) {
				b.stats.Degraded++
			}
		}
		x.Who.durable(b, x.Copies)
	}
}

// checkAcks answers the waiters whose update enough brokers hold now, or that have waited for long
// enough.
func (b *Broker) checkAcks() {
	b.settleAcks(b.copies.Check())
	b.attempts.reviewCautious()
}

// awaitSubmission answers when enough brokers hold the job (rule A1).
func (b *Broker) awaitSubmission(in Submit, r *job.Record, created bool) {
	least, blobs, dot := int(in.Spec.MinReplicas), in.Spec.Blobs(), r.Created[0].Dot
	if m := r.Module(); m != "" && m != in.Spec.Module && !r.Finished() { // of a job that has ended it need not be there
		blobs = append(blobs, m)
	}
	b.blobs.Spread(blobs, max(b.copies.Reach(), least-1))
	ring := b.members.Ring()
	for _, name := range ring[:min(len(ring), max(0, least-1))] {
		if !b.peers.HoldsUpdate(name, dot) {
			b.peers.TellNow(name)
		}
	}
	b.awaitCopies(ack.Demand{Dot: dot, Blobs: blobs, Least: least, Final: b.now.Add(max(in.Timeout, b.cfg.AckTimeout))},
		&submissionWaiter{by: in.Token, record: r, created: created, least: least, past: in.Past})
}

// awaitDeclaration answers a declaration or a clear when as many brokers hold it as a submission
// (rule A1).
func (b *Broker) awaitDeclaration(t Token, id emergency.ID, was *emergency.Record, created bool) {
	dot, ok := b.emergencies.wrote(id)
	if !ok {
		return // the archive failed
	}
	b.awaitCopies(ack.Demand{Dot: dot}, &declarationWaiter{by: t, record: b.emergencies.known[id], created: created, was: was})
}

// withhold holds back the verdict of a job that has just ended.
func (b *Broker) withhold(r *job.Record) {
	v := &verdictWaiter{key: r.Key()}
	b.acks.withheld[v.key] = v
	b.awaitCopies(ack.Demand{Dot: r.Verdict().Dot}, v)
}

// pushed notes that a peer has confirmed a blob, or that it can't have it.
func (b *Broker) pushed(in Pushed) {
	if b.blobs.Pushed(in.Peer, in.Actor, in.Digest, in.Failed) {
		b.checkAcks()
	}
	if in.Failed {
		b.repairer.missed()
	}
	b.attempts.settleAll()
	b.checkpoints.settleAll()
}
