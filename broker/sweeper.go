package broker

import (
	"slices"
	"time"

	"github.com/urban-compute/ucp/broker/kind"
	"github.com/urban-compute/ucp/broker/wire"
	"github.com/urban-compute/ucp/clock"
	"github.com/urban-compute/ucp/job"
	"github.com/urban-compute/ucp/ledger"
)

// sweeper looks through finished jobs for what may be forgotten (rule L8).
type sweeper struct {
	*core
	next time.Time // when it looks again
	from endItem   // where it goes on, when there was more than one round takes
	stub string    // the key of the stub behind which it goes on
}

// How finished jobs are looked through for what may be forgotten (rule L8).
const (
	sweepEvery = 10 * time.Second
	sweepSoon  = time.Second // when there was more than one round takes
	sweepMost  = 512         // jobs a round: each may be a look at the disk
	stubsMost  = 4096        // stubs a round: they are read one after another
)

// begin reports whether it is time for a round.
func (s *sweeper) begin() bool {
	if s.now.Before(s.next) {
		return false
	}
	s.next = s.now.Add(sweepEvery)
	return true
}

// round lists the jobs to be forgotten now, those of which the stub stays, and, where this broker may
// seal what orphans have written (rule L5), stubs with such an end.
func (s *sweeper) round(seals bool) (forget, reduce, seal []*job.Record) {
	if s.cfg.Retention <= 0 {
		return nil, nil, nil
	}
	orphans := s.peers.StraysTaken()
	for _, it := range s.ended() {
		switch r := s.record(it.key); {
		case r == nil || s.jobs.isAwaited(r.ID):
		case s.forgettable(r.Dots):
			forget = append(forget, r)
		case (!s.members.Complete() || orphans && !s.holdsAll(r.Dots)) && s.needs(wire.V3) == nil:
			reduce = append(reduce, r)
		}
	}
	known, seal := s.stubs(seals)
	return append(forget, known...), reduce, seal
}

// stubs lists stubs that everybody knows by now, and those with an end that is to be sealed. It looks at some in each
// round, and soon goes on when it finds any.
func (s *sweeper) stubs(seals bool) (known, seal []*job.Record) {
	if s.ledger.Stubs() == 0 || !s.members.Complete() { // who is away may lack any of them
		return nil, nil
	}
	looked, last := 0, s.stub
	s.fail(s.ledger.EachStub(kind.Job, last, func(rec ledger.Record) bool {
		r := rec.(*job.Record)
		if looked++; looked > stubsMost {
			return false
		}
		last = r.Key()
		switch {
		case !s.jobs.isAwaited(r.ID) && s.forgettable(r.Dots):
			known = append(known, r)
		case seals && s.isOrphan(r):
			seal = append(seal, r)
		}
		return true
	}))
	s.stub = last
	if looked <= stubsMost {
		s.stub = "" // from the beginning
	}
	if len(known)+len(seal) > 0 && s.stub != "" {
		s.next = s.now.Add(sweepSoon)
	}
	return known, seal
}

// holdsAll reports whether our clock covers these dots.
func (c *core) holdsAll(dots clock.Vector) bool {
	return !slices.ContainsFunc(dots, func(d clock.Dot) bool { return !c.ledger.Has(d) })
}

// forgettable reports whether a finished record with these dots may be forgotten (rule F3). If not, somebody waits
// for that now.
func (c *core) forgettable(dots clock.Vector) bool {
	if c.peers.Forgettable(dots) {
		return true
	}
	c.peers.Await(dots)
	return false
}

// ended lists the next jobs that were known long enough to have ended (rule T1), or are too many.
func (s *sweeper) ended() (list []endItem) {
	limit := s.up - s.cfg.Retention
	excess := 0
	if n := s.cfg.RetentionCount; n > 0 {
		excess = s.jobs.byEnd.Len() - n
	}
	more := false
	s.jobs.byEnd.AscendGreaterOrEqual(s.from, func(it endItem) bool {
		if it.since > limit && excess <= 0 {
			return false
		}
		if more = len(list) == sweepMost; more {
			s.from = it
			return false
		}
		excess--
		list = append(list, it)
		return true
	})
	if more {
		s.next = s.now.Add(sweepSoon)
	} else {
		s.from = endItem{}
	}
	return list
}

// due is when the next round begins; zero is never.
func (s *sweeper) due() time.Time {
	if s.cfg.Retention <= 0 || s.jobs.byEnd.Len() == 0 && s.ledger.Stubs() == 0 && s.ledger.Quarantined() == 0 {
		return time.Time{}
	}
	return s.next
}
