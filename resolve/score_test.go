package resolve

import (
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/urban-compute/ucp/clock"
	"github.com/urban-compute/ucp/job"
)

// What has no urgency of its own and a whole weight has the score that it always had.
func TestWholeNumbersScoreAsBefore(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		c, now := drawn(t, 0), clock.Time(rapid.IntRange(0, 90).Draw(t, "now")*minute)
		c.Part, c.Urgency = 0, 0
		w := Weights{Urgency: rapid.Int64Range(0, maxWeight).Draw(t, "urgency"), Compute: rapid.Int64Range(0, maxWeight).Draw(t, "compute"), Waiting: 1}
		f := w.Score(&c, now)
		require.Equal(t, w.Urgency*int64(c.nearness(now))/urgencySteps, f.Urgency)
		require.Equal(t, w.Compute*int64(c.Weight), f.Compute)
	})
}

// An urgency counts where there is no deadline and nowhere else; more of it, or of the weight, never lowers a score, and
// no job leaves the span that bounds starvation.
func TestUrgencyAndFractionsAreMonotone(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		c, now := drawn(t, 0), clock.Time(rapid.IntRange(0, 90).Draw(t, "now")*minute)
		w := DefaultWeights()
		d := c
		d.Urgency = min(c.Urgency+job.Milli(rapid.IntRange(1, 1000).Draw(t, "more")), maxUrgency)
		a, b := w.Score(&c, now), w.Score(&d, now)
		if c.Deadline != 0 {
			require.Equal(t, a, b)
		} else {
			require.GreaterOrEqual(t, b.Score, a.Score)
			require.Equal(t, w.Urgency*int64(d.Urgency)/1000, b.Urgency)
		}
		d = c
		d.Part = min(c.Part+job.Milli(rapid.IntRange(1, 999).Draw(t, "part")), 999)
		b = w.Score(&d, now)
		require.GreaterOrEqual(t, b.Score, a.Score)
		require.LessOrEqual(t, b.User+b.Urgency+b.Compute, w.span())
		require.Equal(t, b.Total, b.Emergency+b.User+b.Urgency+b.Compute+b.Waiting)
	})
}

// A candidate has all that its spec says.
func TestCandidateHasUrgencyAndFraction(t *testing.T) {
	s, err := job.ParseSpec([]byte(`{"command":"true","priority":{"weight":2.5,"urgency":0.25,"emergency":3}}`))
	require.NoError(t, err)
	c := CandidateOf(job.New("j", s, s.Digest(), job.Stamp{At: at(1), Dot: clock.Dot{Actor: "a~1", Counter: 1}}))
	require.Equal(t, []any{2, job.Milli(500), job.Milli(250), 3}, []any{c.Weight, c.Part, c.Urgency, c.Level})
}
