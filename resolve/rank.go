package resolve

import (
	"cmp"
	"math"

	"github.com/urban-compute/ucp/clock"
)

// Factors are a score, factor by factor, in whole points (docs/strategies.md, "The score").
type Factors struct {
	Level     int   `json:"level"` // the emergency level, which some strategies look at first
	Emergency int64 `json:"emergency"`
	User      int64 `json:"user"`
	Urgency   int64 `json:"urgency"`
	Compute   int64 `json:"compute"`
	Waiting   int64 `json:"waiting"`
	Total     int64 `json:"total"`

	// Score orders as Total does but does not change while a job waits: waiting is worth
	// the same for all, so that what counts is when a job came. It is the sum of the other
	// factors less the waiting weight times the minute of arrival, in 1/60,000 points.
	Score int64 `json:"score"`
}

// Score returns a candidate's own score, without what it inherits.
func (w Weights) Score(c *Candidate, now clock.Time) Factors {
	f := Factors{
		Level:     c.level(),
		Emergency: w.Emergency * int64(c.level()),
		User:      w.User * int64(min(max(c.User, 0), maxUser)),
		Urgency:   w.Urgency * int64(c.urgency(now)) / 1000,
		Compute:   w.Compute * int64(c.weight()) / 1000,
	}
	f.Score = (f.Emergency+f.User+f.Urgency+f.Compute)*minute - w.Waiting*int64(clock.TimeOf(c.Arrived))
	f.Total = w.points(f.Score, now)
	f.Waiting = f.Total - f.Emergency - f.User - f.Urgency - f.Compute
	return f
}

// points returns what a score is worth now, rounded down.
func (w Weights) points(score int64, now clock.Time) int64 {
	x := score + w.Waiting*int64(now)
	if x < 0 {
		return -((-x + minute - 1) / minute)
	}
	return x / minute
}

// rank is what a job's turn depends on before arrival does.
type rank struct {
	first int64 // what the strategy looks at before the score ([strategy.first]); else 0
	score int64
	top   int // the emergency level; decides between equal scores
}

// compare is positive for the higher rank.
func (r rank) compare(s rank) int {
	switch {
	case r.first != s.first:
		return cmp.Compare(r.first, s.first)
	case r.score != s.score:
		return cmp.Compare(r.score, s.score)
	}
	return cmp.Compare(r.top, s.top)
}

// higher returns the higher of two ranks.
func higher(r, s rank) rank {
	if r.compare(s) < 0 {
		return s
	}
	return r
}

// lowest is below every rank.
var lowest = rank{first: math.MinInt64}

// baseOf returns a candidate's rank by its own factors.
func (s settings) baseOf(c *Candidate) rank {
	if s.strategy.unscored {
		return rank{first: s.strategy.firstOf(c)}
	}
	f := s.weights.Score(c, s.now)
	return rank{first: s.strategy.firstOf(c), score: f.Score, top: f.Level}
}

// ownOf returns the same, or what was lent to the candidate from outside of the snapshot.
func (s settings) ownOf(c *Candidate) rank {
	r := s.baseOf(c)
	return higher(r, s.lent(c.Lent))
}

// lent is the rank that was written down as lent, [lowest] when none was.
func (s settings) lent(l *Lent) rank {
	if l == nil {
		return lowest
	}
	r := rank{first: s.strategy.firstByLevel(l.Level)}
	if l.Under == s.strategy.name {
		r.first = l.First
	}
	if !s.strategy.unscored {
		r.score, r.top = l.Score, l.Level
	}
	return r
}

// lend writes a rank down.
func (s settings) lend(r rank) *Lent {
	l := &Lent{Level: r.top, Score: r.score}
	if r.first != s.strategy.firstByLevel(l.Level) {
		l.First, l.Under = r.first, s.strategy.name
	}
	return l
}

// firstByLevel is the first of a job of which nothing is known but its level.
func (s *strategy) firstByLevel(level int) int64 {
	if s.first == nil {
		return 0
	}
	return s.first(&Candidate{Level: level})
}
