package broker

import (
	"time"

	"github.com/urban-compute/ucp/clock"
	"github.com/urban-compute/ucp/job"
)

// shortPass goes through the finished jobs that this broker ran, and brings their output once more to those that are to
// hold it where fewer are known to than could. It begins when an attempt ends so (rule J11): nobody else would notice, as
// long as the same brokers are there. A few files travel at once, and while none arrives the pauses grow.
type shortPass struct {
	next  time.Time     // when it goes on; zero while nothing is short
	pause time.Duration // before it goes on, when what was tried last has failed
	since time.Duration // uptime when the first job may have ended whose output is short
	from  endItem       // the job that is next
	tried []endItem     // whose output was to travel in the last round
	again bool          // some of this pass are short still
}

// How output is brought to brokers once more.
const (
	shortFirst = 10 * time.Second
	shortMost  = 10 * time.Minute
	shortFew   = 8 // jobs a round whose output is to travel
)

// fewer notes that an attempt has ended, and that its output may be on fewer brokers than could hold it. The job itself
// ends when its owner says so.
func (p *repairer) fewer(blobs []job.Digest) {
	if s := &p.short; p.isShort(blobs) && s.next.IsZero() {
		*s = shortPass{next: p.now.Add(shortFirst), pause: shortFirst, since: p.up, from: endItem{since: p.up}}
	}
}

// isShort reports whether blobs that are here are on fewer brokers than could hold them.
func (p *repairer) isShort(blobs []job.Digest) bool {
	want := 1
	for _, name := range p.members.Ring() {
		if want < p.cfg.Replicas && !p.members.Metadata(name).Full && !p.members.Leaves(name) {
			want++
		}
	}
	return len(blobs) > 0 && !p.blobs.Lacks(blobs) && p.copies.Copies(clock.Dot{Actor: p.cfg.Actor}, blobs) < want
}

// shortOf is the output of a job that this broker ran, if it is short.
func (p *repairer) shortOf(key string) []job.Digest {
	r := p.record(key)
	if r == nil || !r.Finished() {
		return nil
	}
	rep := r.Accepted()
	if rep == nil || rep.Result == nil || rep.Dot.Actor.Broker() != p.self {
		return nil
	}
	if blobs := rep.Result.Blobs(); p.isShort(blobs) {
		return blobs
	}
	return nil
}

// lookAtShort brings the output of the next jobs to others, once that of the ones before has come, or has failed to.
func (p *repairer) lookAtShort() {
	s := &p.short
	s.next = p.now.Add(repairSoon)
	failed := false
	for _, it := range s.tried {
		blobs := p.shortOf(it.key)
		if p.blobs.Travels(blobs) {
			return
		}
		if blobs != nil && !s.again { // the next pass begins here
			s.again, s.since = true, it.since
		}
		failed = failed || blobs != nil
	}
	if s.tried = nil; failed {
		s.next, s.pause = p.now.Add(s.pause), min(2*s.pause, shortMost)
		return
	}
	list := p.jobs.endedFrom(s.from, repairMost)
	for _, it := range list {
		if len(s.tried) == shortFew {
			break
		}
		s.from = it.behind()
		if blobs := p.shortOf(it.key); blobs != nil {
			s.tried = append(s.tried, it)
			p.blobs.Spread(blobs, p.copies.Reach())
		}
	}
	switch {
	case len(list) > 0:
	case s.again:
		s.again, s.from = false, endItem{since: s.since}
	default:
		*s = shortPass{}
	}
}
