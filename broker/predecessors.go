package broker

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/urban-compute/ucp/clock"
	"github.com/urban-compute/ucp/data"
	"github.com/urban-compute/ucp/job"
)

// predecessors are what jobs run after: submissions that name jobs which are not known here yet,
// and own jobs that wait for an end of which nobody knows (rule C4).
type predecessors struct {
	*core
	arriving []arriving
	tracks   map[string]time.Time // until when own jobs wait for predecessors of which nobody knows
	names    *names
	readers  map[string]map[string]struct{} // by name of data, or prefix, of which nothing is there, own jobs that wait for it (rule D6)
}

func newPredecessors(c *core) predecessors {
	return predecessors{core: c, tracks: map[string]time.Time{}, readers: map[string]map[string]struct{}{}}
}

// ended says that a job has ended: it waits for nothing any more.
func (p *predecessors) ended(key string) {
	delete(p.tracks, key)
	for name, keys := range p.readers {
		if delete(keys, key); len(keys) == 0 {
			delete(p.readers, name)
		}
	}
}

// drop takes back a submission that nobody waits for any more.
func (p *predecessors) drop(t Token) {
	p.arriving = slices.DeleteFunc(p.arriving, func(w arriving) bool { return w.in.Token == t })
}

// arriving is a submission that names jobs which are not known here yet (rule C4):
// perhaps news of them is on its way.
type arriving struct {
	in       Submit
	deadline time.Time
}

// arrive lets a submission wait for its predecessors, and asks everybody for them.
func (p *predecessors) arrive(in Submit) {
	p.arriving = append(p.arriving, arriving{in, p.now.Add(max(in.Timeout, p.cfg.AckTimeout))})
	p.peers.PullAll()
}

// checkArriving returns those whose predecessors have become known, and refuses those that have
// waited for long enough.
func (p *predecessors) checkArriving() (ready []Submit) {
	p.jobs.arrays.trim(p.arriving)
	p.arriving = slices.DeleteFunc(p.arriving, func(w arriving) bool {
		missing := p.unknown(&w.in.Spec)
		switch {
		case len(missing) == 0:
			w.in.Timeout = w.deadline.Sub(p.now) // what is left of it
			ready = append(ready, w.in)
		case p.now.Before(w.deadline):
			return false
		default:
			p.answer(w.in.Token, &UnknownPredecessors{IDs: missing, Past: w.in.Past})
		}
		return true
	})
	return ready
}

func (p *predecessors) due() (due time.Time) {
	if len(p.jobs.arrays.going) > 0 {
		due = p.now.Add(time.Millisecond)
	}
	for _, w := range p.arriving {
		if due.IsZero() || w.deadline.Before(due) {
			due = w.deadline
		}
	}
	return due
}

// waitsFor reports whether a job has yet to see the end of another.
func waitsFor(r *job.Record, id job.ID) bool {
	return slices.Contains(r.Spec.After, id) && slices.Contains(r.Waits(), id)
}

// follow notes in an own job how its predecessors have ended, and when all have, what the named data stands for that it reads: the whole
// of it at once, so that it is what was there when the job could begin (rule D6). It reports whether the job can't be placed now: it
// still waits, or has just failed.
func (p *predecessors) follow(r *job.Record) (waits bool) {
	if len(r.Spec.After) == 0 && len(r.Spec.Data()) == 0 {
		return false
	}
	var ended []job.Ending
	for _, x := range p.ends(r) {
		ended = append(ended, x.EndingFor(&r.Spec))
	}
	ended = append(ended, p.arrayEnds(r, p.stamp)...)
	if r = p.noteEndings(r, ended); r == nil || p.loseTrack(r) {
		return true
	}
	if e, barred := r.Barred(); barred {
		p.decide(r.Key(), job.Failed, p.barring(e), nil)
		return true
	}
	if p.lacks(r) || len(r.Waits()) > 0 {
		return true
	}
	names := r.WaitsForData()
	if len(names) == 0 {
		return false
	}
	if why := p.unreadable(names); why != "" {
		p.decide(r.Key(), job.Failed, why, nil)
		return true
	}
	read := p.read(r.Key(), names)
	if len(read) < len(names) {
		return true
	}
	r = p.noteEndings(r, read)
	return r == nil || p.lacks(r)
}

// noteEndings notes in a job how predecessors have ended; it returns the record, nil where the archive failed.
func (p *predecessors) noteEndings(r *job.Record, ended []job.Ending) *job.Record {
	if len(ended) == 0 {
		return r
	}
	return p.update(r.Key(), func(dot clock.Dot, old *job.Record) *job.Record {
		return old.With(dot, func(r *job.Record) {
			for _, e := range ended {
				r.SetEnding(e)
			}
		})
	})
}

// lacks ends a job that reads what is not there, though what it reads of has ended, and reports that.
func (p *predecessors) lacks(r *job.Record) bool {
	from, lacks := r.Lacking()
	if !lacks {
		return false
	}
	x, _ := p.resolve(string(from.Job))
	if x != nil && x.ID != from.Job {
		x = nil
	}
	p.decide(r.Key(), job.Failed, from.WhyLacking(x), nil)
	return true
}

// read says what names of data stand for now, as the endings of predecessors that a job reads; for those of which nothing is there
// it waits.
func (p *predecessors) read(key string, names []string) (out []job.Ending) {
	for _, name := range names {
		if e, is := p.standsFor(name); is {
			out = append(out, e)
			continue
		}
		if p.readers[name] == nil {
			p.readers[name] = map[string]struct{}{}
		}
		p.readers[name][key] = struct{}{}
	}
	return out
}

// standsFor says what a name of data, or a prefix, stands for now, as the ending of a predecessor that a job reads; not, where
// nothing is there.
func (p *predecessors) standsFor(name string) (e job.Ending, is bool) {
	if !strings.HasSuffix(name, "/") {
		v := p.names.latest(name)
		if v == nil {
			return e, false
		}
		return dataEnding(job.DataID(name), v), true
	}
	e = job.Ending{Job: job.DataID(name), Outcome: job.Succeeded, Read: map[string]job.Digest{}}
	for below, v := range p.names.below(name) {
		path := strings.TrimPrefix(string(below), name)
		if v.Content.Directory {
			path += "/"
		}
		if e.At < v.At || e.At == v.At && e.By < v.Dot.Actor {
			e.At, e.By = v.At, v.Dot.Actor // of the latest of all
		}
		e.Read[path] = v.Content.Digest
	}
	return e, len(e.Read) > 0
}

// dataEnding is a version of named data as the ending of a predecessor that a job reads.
func dataEnding(id job.ID, v *data.Version) job.Ending {
	part := job.DataFile
	if v.Content.Directory {
		part = job.DataDirectory
	}
	return job.Ending{Job: id, At: v.At, By: v.Dot.Actor, Outcome: job.Succeeded, Read: map[string]job.Digest{part: v.Content.Digest}}
}

// unreadable says why what a job reads of named data can't be put into a directory; "" where it can.
func (p *predecessors) unreadable(names []string) string {
	for _, prefix := range names {
		if !strings.HasSuffix(prefix, "/") {
			continue
		}
		seen := map[string]bool{}
		for name := range p.names.below(prefix) {
			below := string(name)
			if seen[below] = true; len(seen) > job.MaxBelow {
				return fmt.Sprintf("it reads all data below %s, and that is more than %d names: let some be a directory, or read what is below a longer prefix", prefix, job.MaxBelow)
			}
			for i, c := range below { // above sorts before below
				if c == '/' && seen[below[:i]] {
					return fmt.Sprintf("it reads all data below %s as one directory, and %s can't be in it beside %s", prefix, below, below[:i])
				}
			}
		}
	}
	return ""
}

// foresee notes in a job that does not exist yet what it would read and run after, if it came now.
func (p *predecessors) foresee(r *job.Record) {
	for _, x := range p.ends(r) {
		r.SetEnding(x.EndingFor(&r.Spec))
	}
	for _, e := range p.arrayEnds(r, r.Submitted) {
		r.SetEnding(e)
	}
	for _, name := range r.WaitsForData() {
		if e, is := p.standsFor(name); is {
			r.SetEnding(e)
		}
	}
}

// written lets the jobs go on that wait for a name, or for one below a prefix.
func (p *predecessors) written(name string) {
	for i := range name + "/" {
		if i < len(name) && name[i] != '/' {
			continue
		}
		part := name[:min(i+1, len(name))]
		for _, key := range slices.Sorted(maps.Keys(p.readers[part])) {
			p.reviews.later(key)
		}
		delete(p.readers, part)
	}
}

// ends lists the predecessors of a job that have ended, where its record does not note it, or not with the end that
// decides now: another may have been sealed since then (rule F2).
func (p *predecessors) ends(r *job.Record) (out []*job.Record) {
	for _, id := range r.Spec.After {
		if x, _ := p.resolve(string(id)); x != nil && x.ID == id && x.Finished() && !r.Notes(x.EndingFor(&r.Spec)) {
			out = append(out, x)
		}
	}
	return out
}

// How long a job may wait for a predecessor of which its owner knows nothing, or whose end
// its owner does not note though others know of it.
const (
	remindAfter = 10 * time.Second
	trackedFor  = 3 // sync intervals
)

// loseTrack ends the wait of an own job for predecessors that no broker knows any more: they were
// known when it was submitted (rule C4), so they have ended, and were forgotten while this broker
// was away for so long that the others did not wait for it (rule L8). It reports whether that has
// changed the job. While a member is absent that may know of them, the job waits.
func (p *predecessors) loseTrack(r *job.Record) bool {
	gone := p.gone(r)
	if len(gone) == 0 || !p.peers.LacksNothing() {
		delete(p.tracks, r.Key())
		if len(gone) > 0 {
			p.reviews.at(p.now.Add(p.cfg.SyncInterval), r.Key())
		}
		return false
	}
	until, waits := p.tracks[r.Key()]
	if !waits {
		until = p.now.Add(trackedFor * p.cfg.SyncInterval)
		p.tracks[r.Key()] = until
	}
	if p.now.Before(until) {
		p.reviews.at(until, r.Key())
		return false
	}
	delete(p.tracks, r.Key())
	if r.Spec.AfterPolicy != job.AfterEnd {
		p.decide(r.Key(), job.Failed, fmt.Sprintf("%s, which it runs after, has ended, and nobody remembers how: it waits for its success", gone[0]), nil)
		return true
	}
	var ended []job.Ending
	for _, id := range gone {
		if slices.Contains(r.Spec.After, id) {
			ended = append(ended, job.Ending{Job: id, At: p.stamp(), By: p.cfg.Actor, Outcome: job.Expired})
		}
	}
	for _, id := range r.Waits() {
		if w := p.jobs.arrays.byID[id]; w != nil && w.gone != "" && !w.lost {
			p.lookAgain(w, true) // another of which nothing was known may be there, and go on
			p.wakeAfter(w)
		}
	}
	p.noteEndings(r, ended)
	return true // it is reviewed again
}

// gone lists those for which a job waits and of which nothing is known here; of an array the first, when all others have ended: until then
// nobody notes its end who knows more.
func (p *predecessors) gone(r *job.Record) (out []job.ID) {
	for _, id := range r.Waits() {
		if id.IsArray() {
			w := p.jobs.arrays.get(id)
			if w.gone == "" || !w.over() || w.lost && r.Spec.AfterPolicy == job.AfterEnd {
				continue
			}
			id = w.gone
		}
		if _, known := p.stateOf(id); !known {
			out = append(out, id)
		}
	}
	return out
}

// remind notes in a job of another owner that a predecessor has ended, when that owner should know
// and does not note it: it was told to forget the predecessor before it heard of the end (rules
// C4, L9).
func (p *predecessors) remind(r *job.Record) {
	var ended []job.Ending
	for _, x := range p.ends(r) {
		if wait := p.jobs.endedSince(x.Key()) + remindAfter - p.up; wait > 0 {
			p.reviews.at(p.now.Add(wait), r.Key())
		} else if p.peers.HoldsAll(r.Owner.Broker, clock.NewVector(deciding(x))) {
			ended = append(ended, x.EndingFor(&r.Spec))
		} else {
			p.reviews.at(p.now.Add(remindAfter), r.Key())
		}
	}
	p.noteEndings(r, append(ended, p.remindOfArrays(r)...))
}

// unknown lists the predecessors that a spec names and this broker does not know. Since they must
// be known, there can be no cycle.
func (c *core) unknown(s *job.Spec) (out []job.ID) {
	for _, id := range s.After {
		if id.IsArray() {
			if first := c.unknownOf(id); first != "" {
				out = append(out, first)
			}
		} else if len(c.withID(id)) == 0 {
			out = append(out, id)
		}
	}
	return out
}

// whyWaiting names the predecessors that a job waits for, and when all have ended, the data.
func (p *predecessors) whyWaiting(r *job.Record) string {
	var parts []string
	for _, id := range r.Waits() {
		if id.IsArray() {
			parts = append(parts, p.whyWaitingFor(id))
			continue
		}
		parts = append(parts, fmt.Sprintf("%s (%s)", id, p.howItStands(id)))
	}
	if len(parts) > 0 {
		return "waits for the end of " + strings.Join(parts, ", ")
	}
	names := slices.DeleteFunc(r.WaitsForData(), func(name string) bool {
		_, is := p.standsFor(name)
		return is
	})
	if len(names) > 0 {
		return "waits for data of which nothing is there: " + strings.Join(names, ", ")
	}
	return ""
}
