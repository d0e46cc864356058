package broker

import (
	"slices"

	"github.com/urban-compute/ucp/broker/wire"
	"github.com/urban-compute/ucp/clock"
	"github.com/urban-compute/ucp/job"
	"github.com/urban-compute/ucp/ledger"
)

// A verdict that is stable here may have been shown as firm, here or elsewhere: each member holds it. One that
// comes later all the same was written by a broker that had lost it, as with a disk that was restored from a copy,
// and its time may be the earlier. So who takes it in seals the one that was stable, in the same step: whoever
// comes to count the other one as stable has heard of the seal by then (rule F2).

// rivals are the jobs of a delta that a peer has sealed, as they are here before the merge.
func (b *Broker) rivals(d ledger.Delta) (list []rival) {
	for _, in := range d.Entries {
		if r, ok := in.Record.(*job.Record); ok && r.Seal != nil {
			if here := b.record(r.Key()); here != nil {
				list = append(list, rival{here, r.Seal})
			}
		}
	}
	return list
}

// rival is a job, and the seal that a peer has on it.
type rival struct {
	here *job.Record
	seal *job.Seal
}

// sealAgain seals once more what is stable here where a peer has sealed another verdict and knew of fewer closes of
// members: it counted on one that is none any more.
func (b *Broker) sealAgain(list []rival) {
	closes := b.members.Roll().Closes()
	for _, x := range list {
		if v := b.stable(x.here); v != nil && x.seal.Verdict != v.Dot && x.seal.Closes < closes {
			b.seal(x.here.Key(), *v)
		}
	}
}

// sealFirst seals the verdict of a job that was stable here, if a merge has brought another one and no seal.
func (b *Broker) sealFirst(old, r *job.Record) {
	if r.Seal != nil || old == nil || slices.EqualFunc(old.Verdicts, r.Verdicts, func(v, w job.Verdict) bool { return v.Dot == w.Dot }) {
		return
	}
	if v := b.stable(old); v != nil {
		b.seal(r.Key(), *v)
	}
}

// sealAsked seals the end of a job of which a start asks whose disk may be older than that end, if it is stable here, and gives what
// the record is then. Who asks may hold another end that never comes here: who has forgotten the job takes nothing in of it, and passes
// on a clock that covers it (rule L7). So nobody would seal this one.
func (b *Broker) sealAsked(r *job.Record) *job.Record {
	if v := b.stable(r); v != nil && r.Seal == nil {
		b.seal(r.Key(), *v)
		return b.record(r.Key())
	}
	return r
}

// tellRivals says ends again that are held here, and that a member lacks which holds the job without a doubt: its clock may cover
// them by who has forgotten the job.
func (b *Broker) tellRivals(held []ledger.Ref, d ledger.Delta) {
	for _, in := range d.Entries {
		there, ok := in.Record.(*job.Record)
		if !ok || !there.Finished() || !slices.Contains(held, in.Ref) || b.enrolment.blocked() {
			continue
		}
		if here := b.record(in.Key); here != nil && here.Finished() && here.Verdict().Dot == there.Verdict().Dot && len(here.Verdicts) > len(there.Verdicts) {
			b.update(in.Key, func(dot clock.Dot, old *job.Record) *job.Record { return old.With(dot, func(*job.Record) {}) })
		}
	}
}

// stable is the verdict that decides a job, if that is stable here; nil otherwise, where it is in doubt (rule F3), and
// where this broker is no member now, since it counts for nobody (rule M2).
func (b *Broker) stable(r *job.Record) *job.Verdict {
	v, by, stable := r.Verdict(), b.ledger.Lineage(), b.peers.Settled()
	if v == nil || b.inDoubt(r) || b.enrolment.blocked() || b.needs(wire.V3) != nil || !by.Has(stable, v.Dot) && !by.Has(stable, deciding(r)) {
		return nil
	}
	return v
}

// deciding is the update that has decided a job which has ended: its seal, which names the verdict, or else the verdict.
func deciding(r *job.Record) clock.Dot {
	if r.Seal != nil {
		return r.Seal.Dot
	}
	return r.Verdict().Dot
}

// seal writes that a verdict decides a job, unless a higher seal says otherwise. One that says the same is enough, if our
// clock covers its update.
func (b *Broker) seal(key string, v job.Verdict) {
	closes := b.members.Roll().Closes()
	b.update(key, func(dot clock.Dot, old *job.Record) *job.Record {
		if s := old.Seal; s != nil && s.Verdict == v.Dot && s.Closes >= closes && b.ledger.Has(s.Dot) {
			return nil
		}
		r := old.With(dot, func(r *job.Record) { r.SetSeal(v, closes, dot) })
		if r.Seal.Dot != dot {
			return nil
		}
		return r
	})
	b.stats.Sealed++
}
