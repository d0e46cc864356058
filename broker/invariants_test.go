package broker

import (
	"fmt"
	"maps"
	"slices"

	"github.com/urban-compute/ucp/broker/kind"
	"github.com/urban-compute/ucp/clock"
	"github.com/urban-compute/ucp/job"
	"github.com/urban-compute/ucp/ledger"
)

// What must hold in every story:
//
//   - no message and no answer to a peer shows a clock beyond what is synced (I4);
//   - a clock that covers a dot means that the record is held with it (L4, L5, L10),
//     unless it has ended and was forgotten (L7), here or by who has passed the clock on:
//     what an older disk says of such a job reaches who holds it still by the answers of F3;
//   - an attempt that starts was written down before, by its executor, for that
//     very attempt, in a job that is not finished;
//   - every job in a queue has the level that the emergencies in force give it, and what is summed up of levels is what the records say (J9);
//   - what runs at a broker never exceeds its capacity, and an attempt that is
//     being stopped counts until it is gone.

func (w *world) wrong(format string, args ...any) {
	text := fmt.Sprintf(format, args...)
	if !slices.Contains(w.errors, text) {
		w.errors = append(w.errors, text)
		w.say("BROKEN: %s", text)
	}
}

func (w *world) frontier(n *node, shown clock.Tips) {
	if c := n.synced(); !n.b.ledger.Lineage().Covers(c, shown) {
		w.wrong("I4: %s shows %v but has synced %v", n.name, shown, c)
	}
}

// mint notes the dots of a broker's own writes as they reach its disk.
func (w *world) mint(n *node, op ledger.Op) {
	if ref, ok := ledger.RefOf(op.Key); !ok || ref.Kind != kind.Job {
		return
	}
	r, err := job.DecodeRecord(op.Value)
	must(err)
	for _, s := range r.Created {
		is := creation{r.Key(), s.Dot}
		w.over[is] = w.over[is] || r.Finished()
	}
	if at := r.Dots.Get(n.cfg.Actor); at > 0 {
		w.minted[clock.Dot{Actor: n.cfg.Actor, Counter: at}] = creation{r.Key(), r.Created[0].Dot}
	}
}

// started notes an attempt that the executor was told to run.
func (w *world) started(n *node, run Run) {
	b, ok := n.disk[string(ledger.RecordKey(kind.JobRef(run.Key)))]
	if !ok {
		w.wrong("%s runs %s, which is not on its disk", n.name, run.Key)
		return
	}
	r, err := job.DecodeRecord(b)
	must(err)
	written := false
	for _, rep := range r.Reports {
		written = written || rep.Dot.Actor == n.cfg.Actor && rep.Attempt == run.Attempt && rep.Phase == job.Running
	}
	if !written || r.Finished() {
		w.wrong("%s runs %s %s, but the record does not say so", n.name, run.ID, attemptText(run.Attempt))
	}
	if _, twice := n.running[run.Key]; twice {
		w.wrong("%s runs %s twice", n.name, run.ID)
	}
	if c := r.Checkpoint; c != nil && (run.From == nil || run.From.Compare(c) < 0 && (run.From.Tree != "" || run.From.Ran < c.Ran)) {
		w.wrong("%s runs %s from an older checkpoint than the record has (rule J17)", n.name, run.ID)
	}
	n.running[run.Key] = run
}

// paused and resumed note that an attempt stands still, or goes on. What it keeps
// meanwhile is its memory.
func (w *world) paused(n *node, key string) {
	run, ok := n.running[key]
	if !ok {
		w.wrong("%s suspends %s, which does not run", n.name, idOf(key))
	}
	delete(n.running, key)
	n.still[key] = run
}

func (w *world) resumed(n *node, key string) {
	run, ok := n.still[key]
	if !ok {
		w.wrong("%s resumes %s, which does not stand still", n.name, idOf(key))
	}
	delete(n.still, key)
	n.running[key] = run
}

// checkCapacity is asked after every Ready.
func (w *world) checkCapacity(n *node) {
	free := n.cfg.Capabilities.Capacity
	for _, r := range n.running {
		free = free.Minus(r.Spec.Resources)
	}
	if why := free.Lacks(job.Resources{}); why != "" {
		w.wrong("%s runs more than it can: %s", n.name, why)
	}
}

// checkHeld is asked after every command.
func (w *world) checkHeld() {
	for _, name := range w.names {
		n := w.nodes[name]
		if n.b == nil || w.misled[name] {
			continue
		}
		for d, is := range w.minted {
			if !n.b.ledger.Has(d) || w.doubtful[d.Actor] {
				continue
			}
			r := n.b.record(is.key)
			held := r != nil && slices.ContainsFunc(r.Created, func(s job.Stamp) bool { return s.Dot == is.dot })
			if n.b.disputes.aside[is.key] != nil {
				w.over[is] = true // as far as that one could find out (rule F3)
			}
			if held && (n.b.suspect(r) || r.Finished() && (n.b.inDoubt(r) || !n.b.proven() && n.b.peers.Unsettled(deciding(r)))) {
				continue // all others may have ended and forgotten it, and it does not run, or is not firm (rules F3, M3)
			}
			if held && r.Finished() && !r.Dots.Has(d) && w.forgotten(is.key, d) {
				continue
			}
			if held && !r.Dots.Has(d) || !held && !w.over[is] {
				w.wrong("%s covers %v but %s lacks it", name, d, idOf(is.key))
			}
		}
	}
}

// forgotten reports whether some broker has forgotten a job, and covers an update of it all the same.
func (w *world) forgotten(key string, d clock.Dot) bool {
	return slices.ContainsFunc(w.names, func(name string) bool {
		n := w.nodes[name]
		return n.b != nil && n.b.record(key) == nil && n.b.ledger.Has(d)
	})
}

// checkPrecedence sees to it that the sums of what goes before a job of a level are those that the records give.
func (w *world) checkPrecedence(n *node) {
	if n.b == nil || n.b.jobs.precedence.sets == nil {
		return
	}
	kept := &n.b.jobs.precedence
	fresh := precedence{inForce: kept.inForce, sets: maps.Clone(kept.sets), sums: map[string]*ranked{}}
	n.b.liveJobs(func(r *job.Record) bool {
		if !r.Place.IsZero() {
			fresh.count(r, +1)
		}
		return false
	})
	at := func(p *precedence, name string, rank int) (sum job.Resources) {
		if sums := p.sums[name]; sums != nil {
			sum = sums[rank]
		}
		return sum
	}
	for name := range kept.sets {
		for rank := range unstoppable + 1 {
			if is, should := at(kept, name, rank), at(&fresh, name, rank); !is.Fits(should) || !should.Fits(is) {
				w.wrong("%s sums up %v of level %d at %s; it should be %v (rule J9)", n.name, is, rank, name, should)
			}
		}
	}
}

// checkLevels sees to it that no job stands in a queue with a level that is not, or no
// longer, its own.
func (w *world) checkLevels(n *node) {
	b := n.b
	if b == nil || b.now.IsZero() {
		return
	}
	for key := range b.attempts.runs {
		r := b.record(key)
		if r == nil || !b.decisions.queue.Known(key) {
			continue
		}
		level, _ := b.emergencies.activeSet.Level(&r.Spec)
		raised, _ := b.decisions.raised(r, &b.emergencies.activeSet)
		if l, up := b.decisions.queue.Levels(key); l != level || up != raised {
			w.wrong("%s stands at level %d, raised to %d, at %s; it should be %d, %d", key, l, up, n.name, level, raised)
		}
	}
}
