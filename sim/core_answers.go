package sim

import (
	"maps"
	"slices"
	"time"

	"github.com/urban-compute/ucp/broker"
	"github.com/urban-compute/ucp/broker/causal"
	"github.com/urban-compute/ucp/broker/kind"
	"github.com/urban-compute/ucp/clock"
	"github.com/urban-compute/ucp/job"
	"github.com/urban-compute/ucp/ledger"
	"github.com/urban-compute/ucp/roll"
)

// What clients were told, all of them, by whichever broker and whenever. The other checks look
// at disks; these look at promises, which are all that a client ever has:
//
//   - a firm result, one that is not provisional, never changes (rule A3), as long as a member keeps the disk that
//     holds it: beyond that nothing is promised, for nobody in the roll knows better (decisions/0021);
//   - when a broker calls a result firm, no member holds the job without having held that end:
//     such a one may still write another. Only who came, or came back, when that end was stable already
//     counted for nothing then: what it writes meets the seals of those who know (rules F1, F2);
//   - a broker that has called a job's end firm by itself shows that end for as long as it keeps its disk
//     (otherwise it may show it to one client, whose token covers it, and not yet to another: rule R4);
//   - who presents a causal token is never shown less than others were by an answer that the token
//     covers, and least of all an end as unfinished (rules C3, R4).
//
// That replicas were there is looked at by checkAck, and that every acknowledged job ends, with
// the result that was called firm, by Converged.
type answers struct {
	firm  map[creation]told                 // what was called firm first
	sight map[creation][]told               // all that was shown, each once
	ended map[string]map[creation]time.Time // by broker: the ends that it has called firm, while it keeps its disk
	held  map[clock.Dot]map[string]bool     // which disks have ever held a verdict
	kept  map[clock.Dot]map[string]bool     // which disks hold it still, or have forgotten it since all did
	had   map[creation]map[string]bool      // which disks have ever held a job
	roll  roll.Roll                         // what all member records that were ever written say together
}

// creation is one job: an ID and a spec that are submitted again after all have forgotten them
// are another.
type creation struct {
	key string
	dot clock.Dot
}

// told is one thing that a client was told of a job.
type told struct {
	by      string // the broker
	dots    clock.Vector
	verdict clock.Dot // that decided; zero while the job had not ended
	outcome job.Outcome
}

func newAnswers() answers {
	return answers{
		firm: map[creation]told{}, sight: map[creation][]told{}, ended: map[string]map[creation]time.Time{},
		held: map[clock.Dot]map[string]bool{}, kept: map[clock.Dot]map[string]bool{}, had: map[creation]map[string]bool{},
	}
}

// creations are the identities of a record: more than one when it was submitted in several parts
// of a split.
func creations(r *job.Record) (out []creation) {
	for _, s := range r.Created {
		out = append(out, creation{r.Key(), s.Dot})
	}
	return out
}

// checkHolds remembers which disks have held a job, and its ends.
func (a *answers) checkHolds(at string, r *job.Record) {
	for _, id := range creations(r) {
		put(a.had, id, at)
	}
	for _, v := range r.Verdicts {
		put(a.held, v.Dot, at)
		put(a.kept, v.Dot, at)
	}
}

// diskChanged notes that a disk was lost, or is an older one: what it holds still is told by
// checkHolds afterwards, and then forgets what was lost with it.
func (a *answers) diskChanged(at string) {
	delete(a.ended, at)
	for _, disks := range a.kept {
		delete(disks, at)
	}
}

// forgetLost drops the firm answers that no member of the roll holds any more: with them as many disks were lost, together, as
// held copies, or all that there were. Who has said goodbye is no member, whatever its disk holds.
func (a *answers) forgetLost() {
	maps.DeleteFunc(a.firm, func(_ creation, first told) bool {
		for name := range a.kept[first.verdict] {
			if !a.roll.Closed(name) {
				return false
			}
		}
		return true
	})
}

// checkMembers remembers the member records that have reached a disk, with what that has held before.
func (c *Core) checkMembers(n *coreNode, ops []ledger.Op, before disk) {
	a := &c.checks.answers
	for _, op := range ops {
		ref, ok := ledger.RefOf(op.Key)
		if !ok || ref.Kind != kind.Member || op.Value == nil {
			continue
		}
		r := n.disk.member(ref.Key)
		if known := a.roll.Get(r.Name); known != nil {
			r, _ = roll.Merge(known, r)
		}
		a.roll.Note(r)
		if was := before.member(ref.Key); n.disk.member(ref.Key).Open() && (was == nil || !was.Open()) {
			n.without[ref.Key] = n.disk.stable()
		}
	}
}

func put[K comparable](sets map[K]map[string]bool, k K, name string) {
	if sets[k] == nil {
		sets[k] = map[string]bool{}
	}
	sets[k][name] = true
}

// checkAnswer looks at what the answer to a question of that time shows of jobs.
func (c *Core) checkAnswer(n *coreNode, question broker.Input, v broker.Answer, asked time.Time) {
	get, _ := question.(broker.Get)
	switch a := v.(type) {
	case *broker.Found:
		c.checkShown(n, a.Record, !a.Provisional, get.Past, asked)
	case *broker.Cancelled:
		c.checkShown(n, a.Job.Record, !a.Job.Provisional, nil, asked)
	case *broker.Submitted: // these say nothing of how final an end is
		c.checkShown(n, a.Record, false, nil, asked)
	case *broker.TooFewCopies:
		c.checkShown(n, a.Record, false, nil, asked)
	case *broker.ModuleAbsent:
		c.checkShown(n, a.Record, false, nil, asked)
	case *broker.IDTaken:
		c.checkShown(n, a.Record, false, nil, asked)
	case *broker.Listing:
		for _, r := range a.Jobs {
			c.checkShown(n, r, !slices.Contains(a.Provisional, r.Key()), nil, asked)
		}
	}
}

// checkShown looks at one job as it is shown to a client that has seen this past. Firm: its end, if it has one, is not called
// provisional.
func (c *Core) checkShown(n *coreNode, r *job.Record, firm bool, past causal.Context, asked time.Time) {
	a := &c.checks.answers
	now := told{by: n.name, dots: r.Dots}
	if v := r.Verdict(); v != nil {
		now.verdict, now.outcome = v.Dot, v.Outcome
	}
	ended := r.Finished()
	firm = firm && n.roster != nil // a real broker knows at its start whom it had met before
	for _, id := range creations(r) {
		switch first, was := a.firm[id]; {
		case !ended || !firm:
		case !was:
			c.checkKnown(n, r, id)
			a.firm[id] = now
		case first.verdict != now.verdict:
			c.fail("A3: %s called %s %s for good (%v), and %s calls it %s for good (%v)", first.by, r.ID, first.outcome, first.verdict, n.name, now.outcome, now.verdict)
		}
		switch {
		case ended && firm && past.SawFirm(id.dot, now.verdict): // it says again what its client was told (rule R4)
		case ended && firm:
			if a.ended[n.name] == nil {
				a.ended[n.name] = map[creation]time.Time{}
			}
			if _, known := a.ended[n.name][id]; !known {
				a.ended[n.name][id] = c.Now
			}
		case !ended && !a.ended[n.name][id].IsZero() && asked.After(a.ended[n.name][id]):
			c.fail("A3: %s has called the end of %s final, and shows it as %s", n.name, r.ID, r.State())
		}
		same := func(t told) bool { return t.verdict == now.verdict && t.dots.Compare(now.dots) == clock.Equal }
		if !slices.ContainsFunc(a.sight[id], same) {
			a.sight[id] = append(a.sight[id], now)
		}
	}
}

// checkToken compares what a broker that has caught up with a token shows of a job with what any
// answer that the token covers has shown.
func (c *Core) checkToken(n *coreNode, r *job.Record, past causal.Context) {
	for _, id := range creations(r) {
		for _, before := range c.checks.answers.sight[id] {
			switch {
			case !covers(past, before.dots):
			case !r.Dots.Covers(before.dots):
				c.fail("C3: %s has caught up, but shows %s at %v; %s had shown it at %v", n.name, r.ID, r.Dots, before.by, before.dots)
			case !before.verdict.IsZero() && !r.Finished():
				c.fail("R4: %s has caught up, but shows %s as %s; %s had shown its end", n.name, r.ID, r.State(), before.by)
			}
		}
	}
}

// checkKnown sees to it that a result which is called firm for the first time is known to all that
// could write another: those that hold the job, and whose member record is not closed, whatever SWIM
// says of them, and whether it has ever heard of them (rules M1, M2). Where it was stable before they were let in, they
// were not asked.
func (c *Core) checkKnown(n *coreNode, r *job.Record, id creation) {
	a := &c.checks.answers
	for _, name := range slices.Sorted(maps.Keys(a.had[id])) {
		member := n.disk.member(name)
		switch {
		case !c.nodes[name].disk.holds(id.key): // it was told to forget the job
		case member != nil && !member.Open(): // it has said goodbye
		case n.disk.lineage().Has(n.without[name], r.Verdict().Dot):
		case !a.held[r.Verdict().Dot][name]:
			c.fail("A3: %s calls %s %s for good, but %s has never held that end", n.name, r.ID, r.Verdict().Outcome, name)
		}
	}
}

// covers reports whether a token proves that its client has seen all these updates.
func covers(past causal.Context, dots clock.Vector) bool {
	for _, d := range dots {
		if !slices.ContainsFunc(past, func(e causal.Event) bool { return e.Dot.Actor == d.Actor && e.Dot.Counter >= d.Counter }) {
			return false
		}
	}
	return true
}

// checkLastAnswers asks every broker, when all was well for long enough, how the acknowledged jobs
// have ended: for good, and alike.
func (c *Core) checkLastAnswers() {
	for _, name := range c.names {
		n := c.nodes[name]
		for _, key := range slices.Sorted(maps.Keys(c.checks.acks)) {
			if len(c.checks.acks[key]) == 0 {
				continue // every disk that held it was lost
			}
			c.request(n, "get "+key, 0, func(t broker.Token) broker.Input { return broker.Get{Token: t, ID: key} }, func(v broker.Answer) {
				f, ok := v.(*broker.Found)
				switch {
				case !ok: // forgotten, which checkEnded looks at
				case !f.Record.Finished():
					c.fail("A3: all is well, and %s shows %s as %s", name, key, f.Record.State())
				case f.Provisional:
					c.fail("A3: all is well, and %s still calls the end of %s provisional", name, key)
				}
			})
		}
	}
	c.Run(answerWithin)
}
