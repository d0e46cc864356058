package broker

import (
	"fmt"
	"slices"
	"time"

	"github.com/google/btree"

	"github.com/urban-compute/ucp/clock"
	"github.com/urban-compute/ucp/emergency"
	"github.com/urban-compute/ucp/job"
)

// A job may run after a whole array (rule C4). What is known of such an array is kept once, for all that wait for it: how far
// from its first job on all are known here, how far all have ended, and whether one has failed. So the end of one of its jobs costs
// the same however many jobs the array has, and however many wait for it, and what waits costs a word for each job.

// lookMost is how many jobs of an array are looked at in one step: others are to have their turn.
const lookMost = 8192

// awaited is an array after which jobs run, or may soon.
type awaited struct {
	job.Array
	id     job.ID                // as it stands in Spec.After
	by     *btree.BTreeG[string] // the unfinished jobs that name it, by their keys
	known  int                   // so many of its jobs, from the first on, are known here
	ended  int                   // and so many have ended
	failed job.ID                // one that has ended otherwise than as succeeded; "" while none is known
	last   job.ID                // the one with whose end there was something to note
	since  time.Duration         // the uptime of this broker then
	gone   job.ID                // one that counts as ended though nothing is known of it; "" for none
	lost   bool                  // nobody remembers those of which nothing is known: they have ended (see loseTrack)
	begun  bool                  // it was looked at
	going  bool                  // it is to be looked at further
	levels raisedLevel
	counts counted
}

// raisedLevel is the highest emergency level of those that wait for an array (rule C5), as long as nothing changes on which it depends.
type raisedLevel struct {
	level int
	by    emergency.ID
	set   emergency.ActiveSet
	waits uint64 // of arrays
}

// counted is how many jobs of an array had ended at a time, for people.
type counted struct {
	at    time.Time
	ended int
	open  job.ID // the first that had not, or one whose owner is silent

	looked int // at how many owners of such
}

// over reports whether all jobs of the array have ended, but for those of which nothing is known.
func (w *awaited) over() bool { return w.ended == w.Len() }

// arrays are those that are awaited.
type arrays struct {
	byID   map[job.ID]*awaited
	byBase map[job.Base][]*awaited
	idle   map[job.ID]bool // those that no job names, perhaps
	going  []*awaited      // those that are to be looked at further

	waits    uint64 // how often who waits for what has changed
	reranked bool   // the levels of those that are waited for may have changed
}

func newArrays() arrays {
	return arrays{byID: map[job.ID]*awaited{}, byBase: map[job.Base][]*awaited{}, idle: map[job.ID]bool{}, waits: 1}
}

// get returns what is kept of an array, from now on.
func (x *arrays) get(id job.ID) *awaited {
	w := x.byID[id]
	if w == nil {
		a, _ := id.Array()
		w = &awaited{Array: a, id: id, by: btree.NewOrderedG[string](16)}
		x.byID[id], x.idle[id] = w, true
		x.byBase[w.Base()] = append(x.byBase[w.Base()], w)
	}
	return w
}

// mark notes that a job names an array, or does not any more.
func (x *arrays) mark(id job.ID, key string, in bool) {
	if w := x.get(id); in {
		w.by.ReplaceOrInsert(key)
		delete(x.idle, id)
	} else if w.by.Delete(key); w.by.Len() == 0 {
		x.idle[id] = true
	}
}

// trim drops the arrays that neither jobs nor these submissions name.
func (x *arrays) trim(coming []arriving) {
	if len(x.idle) == 0 {
		return
	}
	kept := map[job.ID]bool{}
	for _, one := range coming {
		for _, id := range one.in.Spec.After {
			if x.idle[id] {
				kept[id] = true
			}
		}
	}
	for id := range x.idle {
		if kept[id] {
			continue
		}
		w := x.byID[id]
		delete(x.idle, id)
		delete(x.byID, id)
		list := slices.DeleteFunc(x.byBase[w.Base()], func(v *awaited) bool { return v == w })
		if x.byBase[w.Base()] = list; len(list) == 0 {
			delete(x.byBase, w.Base())
		}
	}
}

// of lists the awaited arrays to which a job belongs.
func (x *arrays) of(id job.ID) (out []*awaited) {
	if len(x.byID) == 0 {
		return nil
	}
	for base, i := range id.Bases() {
		for _, w := range x.byBase[base] {
			if w.HasIndex(i) {
				out = append(out, w)
			}
		}
	}
	return out
}

// isAwaited reports whether unfinished jobs refer to a job: it must not be forgotten (rule L8).
func (x *jobIndex) isAwaited(id job.ID) bool {
	if len(x.wanted[id]) > 0 {
		return true
	}
	for _, w := range x.arrays.of(id) {
		if w.by.Len() > 0 {
			return true
		}
	}
	return false
}

// stateOf says how the job with an ID stands; known is false where nothing is known of it.
func (c *core) stateOf(id job.ID) (s job.State, known bool) {
	var it jobItem
	n := 0
	p := string(id) + "~"
	c.jobs.byKey.AscendRange(jobItem{key: p}, jobItem{key: string(id) + "\x7f"}, func(x jobItem) bool {
		it = x
		n++
		return n < 2
	})
	if n == 1 {
		return it.state, true
	}
	if n == 0 && c.ledger.Stubs() == 0 {
		return "", false
	}
	r, _ := c.resolve(string(id)) // of several specs, or a stub
	if r == nil || r.ID != id {
		return "", false
	}
	return r.State(), true
}

// look goes on from where the array was looked at, to the first of its jobs that is not known, and to the first that has not ended.
// Where that takes long it stops between, and goes on in the next step.
func (c *core) look(w *awaited) {
	w.begun = true
	most := lookMost
	for ; w.known < w.Len() && most > 0; w.known++ {
		most--
		s, known := c.stateOf(w.At(w.known))
		if !known {
			break
		}
		c.lookedAt(w, w.At(w.known), s)
	}
	for ; !w.over() && most > 0; w.ended++ {
		most--
		id := w.At(w.ended)
		s, known := c.stateOf(id)
		if known && !s.Final() {
			break
		}
		c.lookedAt(w, id, s)
		if !known && w.gone == "" { // others may know of it: see loseTrack, which waits for that until the others have ended
			w.gone = id
		}
		if w.ended+1 < w.Len() {
			continue
		}
		c.jobs.arrays.reranked = true
		if w.failed == "" {
			w.last, w.since = id, c.up
		}
	}
	if most == 0 && !w.going {
		w.going = true
		c.jobs.arrays.going = append(c.jobs.arrays.going, w)
	}
}

// lookedAt notes if a job of an array has failed.
func (c *core) lookedAt(w *awaited, id job.ID, s job.State) {
	if s.Final() && s != job.StateSucceeded && w.failed == "" {
		w.failed, w.last, w.since = id, id, c.up
	}
}

// lookOn goes on with the arrays that took long, and lets those go on that wait for them.
func (c *core) lookOn() {
	going := c.jobs.arrays.going
	c.jobs.arrays.going = nil
	for _, w := range going {
		w.going = false
		failed := w.failed
		if c.look(w); w.over() || w.failed != failed {
			c.wakeAfter(w)
		}
	}
}

// wakeAfter has all looked at that wait for an array.
func (c *core) wakeAfter(w *awaited) {
	w.by.Ascend(func(key string) bool {
		c.reviews.later(key)
		return true
	})
}

// arraysHear hears that a job has ended, or in another way than was known.
func (c *core) arraysHear(r *job.Record) {
	for _, w := range c.jobs.arrays.of(r.ID) {
		failed := w.failed
		if r.Verdict().Outcome != job.Succeeded {
			c.lookedAt(w, r.ID, r.State())
		}
		if !w.begun || !w.over() && w.At(w.ended) == r.ID {
			c.look(w)
		} else if !w.over() && w.failed == failed {
			continue // it is not the one that is waited for now
		}
		if w.over() || w.failed != failed {
			c.wakeAfter(w)
		}
	}
}

// failedOf is the job of an array that has failed, as it stands now; nil for none.
func (c *core) failedOf(w *awaited) *job.Record {
	if w.failed == "" {
		return nil
	}
	x, _ := c.resolve(string(w.failed))
	if x != nil && x.ID == w.failed && x.Finished() && x.Verdict().Outcome != job.Succeeded {
		return x
	}
	w.failed = "" // another end of it decides now
	c.lookAgain(w, w.lost)
	return nil
}

// lookAgain looks at all jobs of an array again. Lost says whether those of which nothing is known have ended.
func (c *core) lookAgain(w *awaited, lost bool) {
	w.lost, w.gone, w.known, w.ended = lost, "", 0, 0
	c.look(w)
}

// unknownOf names the first job of an array that is not known here; "" where all are.
func (c *core) unknownOf(id job.ID) job.ID {
	w := c.jobs.arrays.get(id)
	if w.known < w.Len() && !w.going {
		c.look(w)
	}
	if w.known == w.Len() {
		return ""
	}
	return w.At(w.known)
}

// arrayEnds lists how the arrays after which a job runs have ended, where its record does not note it, or not with what decides now: with the
// success of all when all have ended, or with the first that is known not to have succeeded, at once where the job waits for success.
func (p *predecessors) arrayEnds(r *job.Record, stamp func() clock.Hybrid) (out []job.Ending) {
	for _, id := range r.Spec.After {
		if !id.IsArray() {
			continue
		}
		w := p.jobs.arrays.get(id)
		if !w.going {
			p.look(w)
		}
		if _, known := p.stateOf(w.gone); w.gone != "" && known {
			p.lookAgain(w, false)
		}
		failed := p.failedOf(w)
		switch noted := r.HasEnding(id); {
		case failed != nil && r.Spec.AfterPolicy != job.AfterEnd:
			e := failed.EndingFor(&r.Spec)
			e.Job, e.Read = id, nil
			if !r.Notes(e) {
				out = append(out, e)
			}
		case noted || !w.over():
		case w.gone != "" && !(w.lost && r.Spec.AfterPolicy == job.AfterEnd): // it is not known to have succeeded
		case failed != nil:
			out = append(out, job.Ending{Job: id, At: stamp(), By: p.cfg.Actor, Outcome: failed.Verdict().Outcome})
		default:
			out = append(out, job.Ending{Job: id, At: stamp(), By: p.cfg.Actor, Outcome: job.Succeeded})
		}
	}
	return out
}

// remindOfArrays is remind for arrays: it lists how those have ended whose end the owner of a job should know, and does not note. It knows that
// if it holds the end with which the array was over here.
func (p *predecessors) remindOfArrays(r *job.Record) (out []job.Ending) {
	for _, e := range p.arrayEnds(r, p.stamp) {
		w := p.jobs.arrays.get(e.Job)
		last, _ := p.resolve(string(w.last))
		if wait := w.since + remindAfter - p.up; wait > 0 {
			p.reviews.at(p.now.Add(wait), r.Key())
		} else if last == nil || !last.Finished() || p.peers.HoldsAll(r.Owner.Broker, clock.NewVector(deciding(last))) {
			out = append(out, e)
		} else {
			p.reviews.at(p.now.Add(remindAfter), r.Key())
		}
	}
	return out
}

// barring says why a job can't run any more: with that end of a predecessor.
func (p *predecessors) barring(e job.Ending) string {
	ended := "has " + string(e.Outcome)
	if e.Outcome == job.Cancelled {
		ended = "was cancelled"
	}
	if !e.Job.IsArray() {
		return fmt.Sprintf("%s, which it runs after, %s: it waits for its success", e.Job, ended)
	}
	w := p.jobs.arrays.get(e.Job)
	which := fmt.Sprintf("one of the %d jobs of %.80s", w.Len(), e.Job)
	if w.failed != "" {
		which = fmt.Sprintf("%s, %s", w.failed, which)
	}
	return fmt.Sprintf("%s, which it runs after, %s: it waits for the success of all", which, ended)
}

// countFor is how long people are told the same count of an array: to count costs as much as the array has jobs.
const countFor = time.Second

// whyWaitingFor says how many jobs of an array have not ended, and names one.
func (p *predecessors) whyWaitingFor(id job.ID) string {
	w := p.jobs.arrays.get(id)
	if p.now.Sub(w.counts.at) >= countFor {
		w.counts = counted{at: p.now}
		for e := range w.IDs() {
			if s, known := p.stateOf(e); known && s.Final() || !known && w.lost {
				w.counts.ended++
			} else if w.counts.open == "" || w.counts.looked < ownersLookedAt && p.ownerSilent(e) != "" && p.ownerSilent(w.counts.open) == "" {
				w.counts.open = e
			}
			w.counts.looked++
		}
	}
	return fmt.Sprintf("%d of the %d jobs of %s, such as %s (%s)", w.Len()-w.counts.ended, w.Len(), w.Name+w.Suffix, w.counts.open, p.howItStands(w.counts.open))
}

// ownersLookedAt bounds how many jobs of an array are looked at for one whose owner is silent.
const ownersLookedAt = 1024

// howItStands is the state of a job as far as it is known here: where its owner is silent, it may have ended since.
func (p *predecessors) howItStands(id job.ID) string {
	s, known := p.stateOf(id)
	if !known {
		return "not known here"
	}
	if owner := p.ownerSilent(id); owner != "" && !s.Final() {
		return fmt.Sprintf("%s when its owner %s was heard last", s, owner)
	}
	return string(s)
}

// ownerSilent names the owner of a job if that is not there; "" otherwise.
func (p *predecessors) ownerSilent(id job.ID) string {
	r, _ := p.resolve(string(id))
	if r == nil || r.ID != id || p.members.Alive(r.Owner.Broker) {
		return ""
	}
	return r.Owner.Broker
}
