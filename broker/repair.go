package broker

import (
	"slices"
	"time"

	"github.com/urban-compute/ucp/broker/kind"
	"github.com/urban-compute/ucp/job"
	"github.com/urban-compute/ucp/ledger"
)

// repairer sees to it that what jobs need, and what they have made, stays on as many brokers as a submission asks for,
// when those that held it are lost, or come back with another disk (rule R3). Nobody keeps lists of who holds what:
//
//   - The inputs of an unfinished job are its owner's affair: it makes sure that they are here, asks those that
//     are to hold copies whether they do, and brings them what they lack, again and again until they have it.
//   - Output that fewer took than could, when its job ended, is brought to them once more by who ran the job (short.go).
//   - The output of a finished job belongs on the broker that ran it and on those behind that one on the ring, where
//     it was brought before the job's end was written (rule J11). Whoever is among these now sees to it that it
//     is here.
//
// Both are looked at when other brokers are there than before, so many jobs a round, and then rest. Not all brokers see
// the same ones at the same time: so each looks as well at what has come to it since then, the end of a job or the job itself,
// whatever those knew that had written it.
type repairer struct {
	*core
	inputs  inputPass
	outputs outputPass
	short   shortPass
}

// inputPass goes through the unfinished jobs that this broker owns.
type inputPass struct {
	next  time.Time           // when it goes on; zero while nothing has changed, and nothing is short
	todo  []ledger.Ref        // jobs that it has yet to look at; nil before it has begun
	lack  map[job.Digest]bool // that are on their way here, unless they are here already; then others get them
	short bool                // this pass has found some that others were yet to get
	pause time.Duration       // before the next pass, as long as some are short
}

// outputPass goes through the finished jobs, round and round: a change amid a pass adds to what is to be looked at. Beside
// that it goes through those that have ended since it looked last.
type outputPass struct {
	next   time.Time           // when it goes on; zero while nothing has changed
	all    bool                // all jobs are to be looked at from here on
	from   endItem             // the job that is next
	left   int                 // how many it has yet to look at
	ended  endItem             // the first job that has ended since the last look at these
	look   time.Time           // when it looks at these; zero while there are none
	mine   map[string]bool     // by broker, whether what it has made belongs here, too
	asked  map[job.Digest]bool // files that are on their way here, unless they are here already: it rests until they have come
	gone   int                 // files of this pass that nobody has
	failed bool                // some broker that may have one did not answer
	pause  time.Duration       // before the next pass, if that is so
	lost   int                 // of the latest pass that ended, as gone
}

// How copies are repaired.
const (
	repairMost  = 256             // jobs a round
	repairSoon  = time.Second     // to the next round of a pass
	inputsAfter = 5 * time.Second // many members may change at once
	// The output of a broker that is only started again need not travel.
	outputsAfter = time.Minute
)

func newRepairer(c *core) repairer {
	return repairer{core: c, inputs: inputPass{lack: map[job.Digest]bool{}, pause: shortFirst}, outputs: outputPass{mine: map[string]bool{}, asked: map[job.Digest]bool{}, pause: shortFirst}}
}

// changed says that other brokers are there than before, or that something is damaged here: passes over all jobs
// begin soon.
func (p *repairer) changed() {
	p.inputs.todo, p.inputs.next, p.inputs.pause = nil, p.now.Add(inputsAfter), shortFirst
	p.outputs.mine, p.outputs.pause = map[string]bool{}, shortFirst
	p.outputs.again(p.now)
}

// again lets a pass over all finished jobs begin; one that is under way goes on.
func (o *outputPass) again(now time.Time) {
	o.all, o.next = true, sooner(o.next, now.Add(outputsAfter))
}

// noted takes in that a job has changed. One that has come to this broker as its owner has inputs to look after. One that has
// ended may have been run by a broker that did not see this one, or had others take its output: so its output is looked for.
func (p *repairer) noted(old, r *job.Record, own bool) {
	switch {
	case wholeEnd(r) && !wholeEnd(old):
		if o := &p.outputs; o.look.IsZero() {
			o.ended, o.look = endItem{since: p.up}, p.now.Add(outputsAfter)
		}
	case wholeEnd(r) && r.Verdict().Dot != old.Verdict().Dot: // another end decides now
		p.outputs.again(p.now)
	case r.Finished() || r.Owner.Broker != p.self || len(r.Needs()) == 0:
	case old == nil && !own || old != nil && old.Owner.Broker != p.self: // what was submitted here has its copies (rule A1)
		p.owns(kind.JobRef(r.Key()))
	}
}

// owns lets the inputs of a job be looked at, which others have looked after until now.
func (p *repairer) owns(ref ledger.Ref) {
	in := &p.inputs
	if in.todo != nil {
		in.todo = append(in.todo, ref)
	}
	in.next = sooner(in.next, p.now.Add(inputsAfter))
}

// due is when a pass goes on; zero is never.
func (p *repairer) due() time.Time {
	return sooner(sooner(p.inputs.next, p.outputs.due()), p.short.next)
}

// due is when the pass over finished jobs goes on; zero while files are on their way, or is never.
func (o *outputPass) due() time.Time {
	if len(o.asked) > 0 {
		return time.Time{}
	}
	return sooner(o.next, o.look)
}

// pass does what is due.
func (p *repairer) pass() {
	if at := p.inputs.next; !at.IsZero() && !p.now.Before(at) {
		p.lookAtInputs()
	}
	if at := p.outputs.due(); !at.IsZero() && !p.now.Before(at) {
		p.lookAtOutputs()
	}
	if at := p.short.next; !at.IsZero() && !p.now.Before(at) {
		p.lookAtShort()
	}
}

// lookAtInputs asks those that are to hold copies of inputs whether they do, unless that is known, and brings them
// what they lack. Whoever has lately confirmed a blob is not asked again. While a pass finds something to bring there is
// another one, in pauses that grow: it may not arrive, and as long as the same brokers are there nobody else would notice.
func (p *repairer) lookAtInputs() {
	in := &p.inputs
	if in.todo == nil {
		in.todo, in.short = p.liveJobs(func(r *job.Record) bool { return r.Owner.Broker == p.self && len(r.Needs()) > 0 }), false
	}
	n := min(len(in.todo), repairMost)
	for _, ref := range in.todo[:n] {
		r := p.record(ref.Key)
		if r == nil || r.Finished() {
			continue
		}
		for _, d := range r.Needs() {
			if p.blobs.Has(p.self, []job.Digest{d}) {
				in.short = p.blobs.Spread([]job.Digest{d}, p.copies.Reach()) || in.short
			} else if !in.lack[d] {
				in.lack[d] = true
				p.out.Keep = append(p.out.Keep, Keep{Digest: d, From: p.others(r.Origin, r.Place.Broker)})
			}
		}
	}
	in.todo, in.next = in.todo[n:], p.now.Add(repairSoon)
	if len(in.todo) == 0 {
		in.todo, in.next = nil, time.Time{}
		if !in.short {
			in.pause = shortFirst
			return
		}
		p.missed()
	}
}

// missed says that a copy has not come to where it was to be, or may not: if it is an input, it is brought there again.
func (p *repairer) missed() {
	if in := &p.inputs; in.next.IsZero() {
		in.next, in.pause = p.now.Add(in.pause), min(2*in.pause, shortMost)
	}
}

// lookAtOutputs sees to it that the output is here of the next finished jobs of which this broker is to hold it. While
// the table is still coming, it waits: most jobs are not here yet. While this broker takes nothing, it waits until it does.
func (p *repairer) lookAtOutputs() {
	o := &p.outputs
	if p.offer.full || p.offer.draining {
		o.all, o.next, o.look = true, time.Time{}, time.Time{}
		return
	}
	if p.peers.CatchingUp() {
		o.all, o.next, o.look = true, p.now.Add(outputsAfter), time.Time{}
		return
	}
	if !o.look.IsZero() && !p.now.Before(o.look) {
		p.lookAtEnded()
	}
	if !o.next.IsZero() && !p.now.Before(o.next) {
		p.lookAtAll()
	}
	p.goOn()
}

// lookAtEnded looks at the next of those jobs that have ended since it did so last.
func (p *repairer) lookAtEnded() {
	o := &p.outputs
	list := p.jobs.endedFrom(o.ended, repairMost)
	for _, it := range list {
		p.keepOutput(it.key)
	}
	if o.look = (time.Time{}); len(list) == repairMost {
		o.ended, o.look = list[len(list)-1].behind(), p.now.Add(repairSoon)
	}
}

// lookAtAll looks at the next of all finished jobs, from where the last round ended.
func (p *repairer) lookAtAll() {
	o := &p.outputs
	if o.all {
		o.all, o.left, o.gone, o.failed = false, p.jobs.byEnd.Len(), 0, false
	}
	n := min(o.left, repairMost)
	o.left -= n
	keys, next := p.jobs.endedBehind(o.from, n)
	o.from, o.next = next, time.Time{}
	for _, key := range keys {
		p.keepOutput(key)
	}
}

// keepOutput asks for the output of a finished job, if it belongs here and is not known to be here.
func (p *repairer) keepOutput(key string) {
	o, r := &p.outputs, p.record(key)
	if r == nil || !r.Finished() || r.Accepted() == nil || r.Accepted().Result == nil {
		return
	}
	rep := r.Accepted()
	by := rep.Dot.Actor.Broker()
	mine, known := o.mine[by]
	if !known {
		mine = p.members.Holds(by, p.cfg.Replicas)
		o.mine[by] = mine
	}
	if !mine {
		return
	}
	for _, d := range rep.Result.Blobs() {
		if !o.asked[d] && !p.blobs.Has(p.self, []job.Digest{d}) {
			o.asked[d] = true
			p.out.Keep = append(p.out.Keep, Keep{Digest: d, From: p.others(by)})
		}
	}
}

// others leaves this broker out of those that are to be asked.
func (p *repairer) others(names ...string) []string {
	return slices.DeleteFunc(names, func(name string) bool { return name == p.self || name == "" })
}

// goOn says when the pass over all finished jobs goes on: not before all files have come that it has asked for, so that few
// travel at once. Where somebody did not answer that may have one, there is another pass, after pauses that grow.
func (p *repairer) goOn() {
	o := &p.outputs
	if len(o.asked) > 0 {
		return
	}
	switch {
	case o.left > 0:
		o.next = p.now.Add(repairSoon)
		return
	case !o.next.IsZero():
	case o.all:
		o.next = p.now.Add(outputsAfter)
	case o.failed:
		o.all, o.next, o.pause = true, p.now.Add(o.pause), min(2*o.pause, shortMost)
	default:
		o.pause = shortFirst
	}
	o.lost = o.gone
}

// kept takes in whether a blob is here now.
func (p *repairer) kept(in Kept) {
	d, o := in.Digest, &p.outputs
	if in.Here {
		p.blobs.Saw(d)
	}
	if in.New {
		p.stats.Repaired++
	}
	if p.inputs.lack[d] {
		delete(p.inputs.lack, d)
		switch {
		case in.Here:
			p.blobs.Spread([]job.Digest{d}, p.copies.Reach())
		case !in.Nowhere:
			p.missed()
		}
	}
	if !o.asked[d] {
		return
	}
	delete(o.asked, d)
	if !in.Here {
		o.gone++
		o.failed = o.failed || !in.Nowhere
	}
	if len(o.asked) == 0 {
		p.goOn()
	}
}
