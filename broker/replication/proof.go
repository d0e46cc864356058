package replication

import (
	"maps"
	"slices"
	"time"

	"github.com/urban-compute/ucp/clock"
	"github.com/urban-compute/ucp/ledger"
)

// proof is how far this start has shown that what it remembers is no older than what the others know (rule M3). Every
// start begins without: a broker can't tell its own disk from an older copy of it.
type proof struct {
	proven bool
	target clock.Tips          // what a witness must have seen of us: if one of our ends is not the first, it seals that (rule F2)
	disk   clock.Tips          // what was on this disk as the proof began
	stable clock.Tips          // what was stable on it
	ends   []ledger.Ref        // what had ended on it, and was not stable: others may have forgotten it, with another end (rule F3)
	listed map[ledger.Ref]bool // in ends; nil before the first proof
	kept   bool                // disk and stable are on the disk, for a later start
	keep   bool                // they are to be

	goesOn bool         // what is old need not wait any longer
	before clock.Hybrid // what was created up to then is old
	alone  time.Time    // when it goes on if nobody is there
	until  time.Time    // and when in any case: somebody is there, and does not answer
}

// aloneAfter is how long a starting broker waits for others to show up.
const aloneAfter = 5 * time.Second

// Distrust says that what is known now, all that was created up to the stamp, may be older than what the others
// know: after a start, or while nobody counted this broker.
func (r *Replication) Distrust(before clock.Hybrid) {
	p := &r.proof
	if p.proven || p.listed == nil {
		p.disk, p.stable, p.keep = r.ledger.Clock(), r.ledger.StableClock(), true
	}
	p.proven = false
	r.HoldBack(before)
	p.ends, p.listed = nil, map[ledger.Ref]bool{}
	for _, ref := range r.ledger.EndedBeyond(p.stable) {
		r.addEnd(ref)
	}
}

// RecallProof says with what disk the proof of an earlier start began, which has not come to its end.
func (r *Replication) RecallProof(disk, stable clock.Tips) {
	r.proof.disk, r.proof.stable, r.proof.listed, r.proof.kept = disk, stable, map[ledger.Ref]bool{}, true
}

// KeepProof tells, before a batch is taken, what is to be kept for [Replication.RecallProof]: a later start asks of what this
// one would have. No clocks: nothing is, any more.
func (r *Replication) KeepProof(keep func(disk, stable clock.Tips)) {
	switch p := &r.proof; {
	case r.Proven() && p.kept:
		p.kept, p.keep = false, !p.proven
		keep(nil, nil)
	case !r.Proven() && p.keep && r.ledger.Dirty():
		p.kept, p.keep = true, false
		keep(p.disk, p.stable)
	}
}

func (r *Replication) addEnd(ref ledger.Ref) {
	if p := &r.proof; !p.listed[ref] {
		p.listed[ref] = true
		p.ends = append(p.ends, ref)
	}
}

// Took notes what has ended by records that were taken in: from a member whose start is not proven either it may be of an
// older disk, too.
func (r *Replication) Took(d ledger.Delta) {
	if l := r.links[d.From.Broker()]; r.proof.proven || r.proof.listed == nil || l != nil && !l.unproven {
		return
	}
	for _, in := range d.Entries {
		if in.Record != nil && r.ledger.Disputable(in.Ref) && in.Record.Finished() {
			r.addEnd(in.Ref)
		}
	}
}

// Ended notes that this start has ended a job that is older than it: others may have ended it otherwise, and have forgotten it.
func (r *Replication) Ended(ref ledger.Ref) {
	if !r.proof.proven && r.proof.listed != nil {
		r.addEnd(ref)
	}
}

// Unsettled reports whether what has decided a job was not stable on this disk as the proof of this start began. Others may
// have seen another end of it, and have forgotten it since: our clock comes to cover that end, which no delta brings.
func (r *Replication) Unsettled(decided clock.Dot) bool {
	return r.proof.listed != nil && !r.lineage.Has(r.proof.stable, decided)
}

// Settled is what is stable here, as far as ends are sealed by it (rule F2): until this start is proven what was stable on its disk.
func (r *Replication) Settled() clock.Tips {
	if r.proof.listed == nil || r.Proven() {
		return r.ledger.StableClock()
	}
	return r.proof.stable
}

// HoldBack lets what is known now wait until a member that is there has compared it with its own (rule L9).
func (r *Replication) HoldBack(before clock.Hybrid) {
	r.proof = proof{
		proven: r.proof.proven, disk: r.proof.disk, stable: r.proof.stable, ends: r.proof.ends, listed: r.proof.listed,
		kept: r.proof.kept, keep: r.proof.keep,
		target: r.ledger.Seen(), before: before,
		alone: r.now.Add(aloneAfter), until: r.now.Add(max(r.cfg.SyncInterval, aloneAfter)),
	}
	for _, l := range r.links {
		l.audit, l.want = audit{}, true
	}
}

// Proven reports whether this start is proven, or this broker is a cluster of its own. Until then no end is firm
// here, and nothing old runs (rule M3).
func (r *Replication) Proven() bool { return r.proof.proven || r.members.Single() }

// Vouches reports whether this start may be a witness for others. A cluster of its own may not: whoever asks is
// somebody of whom it does not know yet.
func (r *Replication) Vouches() bool { return r.proof.proven }

// Old reports whether what was created then was so before this start, or before this broker was back.
func (r *Replication) Old(created clock.Hybrid) bool { return created <= r.proof.before }

// HoldsBack reports whether what was created then must wait, since others may have ended and forgotten it.
func (r *Replication) HoldsBack(created clock.Hybrid) bool {
	return !r.proof.goesOn && r.Old(created) && !r.members.Single()
}

// Unsure reports whether others may have ended and forgotten what was created then, whether it waits for that or goes on: only a
// start that is proven, and has been audited since somebody came, knows better.
func (r *Replication) Unsure(created clock.Hybrid) bool {
	return !(r.proof.proven && r.proof.goesOn) && r.Old(created) && !r.members.Single()
}

// Prove looks whether there is proof by now, and whether what is old need not wait for it any longer. It reports
// whether anything has changed.
//
// A member is a *witness* when it knew all that we remembered, has compared its unfinished records with ours (rule L9),
// could judge each of those, and what had ended and was not stable yet, and has told a clock in answer that ours covers by now. One that is proven
// itself is enough. If all have started at once nobody is: then it takes as many as hold copies, this broker
// included, or all. Fewer than that have lost their disks, so that one of them has what it ever had. For that each must have
// been proven while this disk was: what somebody knows who has come since may be of a disk that is no witness, also
// if both have started again since then.
func (r *Replication) Prove() (changed bool) {
	p, before := &r.proof, r.proof
	if p.proven && p.goesOn {
		return false
	}
	counted := r.members.Counted()
	witnesses, old, silent, vouched := 0, 0, 0, false
	for _, name := range counted {
		switch l := r.links[name]; {
		case l != nil && r.witness(l):
			witnesses++
			vouched = vouched || !l.unproven
			if r.tookPart(name) {
				old++
			}
		case r.members.Alive(name):
			silent++
		}
	}
	all := witnesses == len(counted)
	p.proven = p.proven || witnesses > 0 && (vouched || all || r.tookPart(r.self) && 1+old >= r.enough(counted))
	p.goesOn = p.goesOn || witnesses > 0 && (p.proven || silent == 0) || !r.now.Before(p.until) || !r.now.Before(p.alone) && r.members.Living() == 1
	if p.proven && !before.proven {
		r.part.changed = true
		p.ends = nil
		clear(p.listed)
		for _, l := range r.links {
			l.want = true // they may rely on us from now on
		}
	}
	return p.proven != before.proven || p.goesOn != before.goesOn
}

// Awaited lists the members that have yet to show that this start knows what they know, sorted, absent ones too, and
// how many of them that are not proven themselves it takes; of those that are, one is enough.
func (r *Replication) Awaited() (names []string, least int) {
	counted := r.members.Counted()
	least = len(counted)
	if r.tookPart(r.self) {
		least = r.enough(counted) - 1
	}
	for _, name := range counted {
		switch l := r.links[name]; {
		case l == nil || !r.witness(l):
			names = append(names, name)
		case r.tookPart(name) || !r.tookPart(r.self):
			least--
		}
	}
	return names, min(least, len(names))
}

// part is who has taken part, and was proven, while this disk was: names in the roll, by the epochs of their records (rule M1). It is
// kept on the disk. On one that was never proven there is nobody. Who was admitted and is not proven yet knows nothing of its own.
type part struct {
	epochs  map[string]uint64
	changed bool // it may differ from the roll
}

// Recall says that a broker was proven while this disk was, as an earlier start has kept it.
func (r *Replication) Recall(name string, epoch uint64) { r.part.epochs[name] = epoch }

// Part tells what is to be kept for [Replication.Recall]: who else is proven, if this start is, and with epoch 0 who takes part no more.
func (r *Replication) Part(keep func(name string, epoch uint64)) {
	if !r.proof.proven || !r.part.changed {
		return
	}
	r.part.changed = false
	roll := r.members.Roll()
	for _, name := range roll.Names() {
		l := r.links[name]
		known := name == r.self || l != nil && l.heard && !l.unproven
		if epoch := roll.Get(name).Epoch; known && r.part.epochs[name] != epoch {
			r.part.epochs[name] = epoch
			keep(name, epoch)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(r.part.epochs)) {
		if !roll.Has(name) {
			delete(r.part.epochs, name)
			keep(name, 0)
		}
	}
}

// tookPart reports whether a broker was proven while this disk was, or founded the roll with it, and has taken part since. Where there is no roll, among
// members of the version before or brokers that start for the first time, all count.
func (r *Replication) tookPart(name string) bool {
	roll := r.members.Roll()
	return roll.Empty() || roll.Founded(r.self) && roll.Founded(name) || roll.Has(name) && roll.Get(name).Epoch == r.part.epochs[name]
}

// enough is how many it takes that are not proven, this broker included.
func (r *Replication) enough(counted []string) int {
	return min(max(r.cfg.Copies, 2), len(counted)+1)
}

// witness reports whether a member can say that we are not behind.
func (r *Replication) witness(l *link) bool {
	a := &l.audit
	return a.done && a.ends == len(r.proof.ends) && r.ledger.Covers(a.told)
}

// ProofDue is when Prove will say something new although nothing happens; zero is never.
func (r *Replication) ProofDue() time.Time {
	p := &r.proof
	switch {
	case p.goesOn:
		return time.Time{}
	case r.members.Living() == 1 && p.alone.Before(p.until):
		return p.alone
	}
	return p.until
}
