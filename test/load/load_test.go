package load

import (
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
)

// The pace neither drifts nor forgets: after a long sleep it sends what it owes, with
// the moments that were meant.
func TestPaceKeepsWhatWasMeant(t *testing.T) {
	start := time.Unix(1000, 0)
	now := start
	var sent, meant []time.Duration
	pace(start, 100, 10, func() time.Time { return now }, func(d time.Duration) {
		now = now.Add(d)
		if now.Sub(start) == 30*time.Millisecond {
			now = now.Add(40 * time.Millisecond) // overslept
		}
	}, func(at time.Time) {
		sent, meant = append(sent, now.Sub(start)), append(meant, at.Sub(start))
	})
	ms := func(list ...int) (out []time.Duration) {
		for _, x := range list {
			out = append(out, time.Duration(x)*time.Millisecond)
		}
		return out
	}
	require.Equal(t, ms(0, 10, 20, 30, 40, 50, 60, 70, 80, 90), meant)
	require.Equal(t, ms(0, 10, 20, 70, 70, 70, 70, 70, 80, 90), sent)
}

func TestQuantile(t *testing.T) {
	var hundred []time.Duration
	for i := range 100 {
		hundred = append(hundred, time.Duration(i+1))
	}
	require.Equal(t, time.Duration(50), Quantile(hundred, 0.50))
	require.Equal(t, time.Duration(99), Quantile(hundred, 0.99))
	require.Equal(t, time.Duration(7), Quantile([]time.Duration{7}, 0.99))
	require.Zero(t, Quantile(nil, 0.5))
}

// takes is a client whose requests take so long.
func takes(d time.Duration) Client {
	return func() error { time.Sleep(d); return nil }
}

// What comes within the warm-up does not count, and clients go on side by side.
func TestClosedLoop(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f, err := Closed([]Client{takes(9 * time.Millisecond), takes(9 * time.Millisecond)}, 90*time.Millisecond, 900*time.Millisecond)
		require.NoError(t, err)
		require.InDelta(t, 2/0.009, f.Rate, 3)
		require.Equal(t, 9*time.Millisecond, f.P50)
	})
}

// A server that stands still for a while has delayed all that was meant to be sent meanwhile.
func TestOpenLoopCountsWhatAPauseDelays(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		begin := time.Now()
		f, err := Open([]Client{func() error {
			if since := time.Since(begin); since > 500*time.Millisecond && since < 600*time.Millisecond {
				time.Sleep(600*time.Millisecond - since)
			}
			return nil
		}}, 100, time.Second)
		require.NoError(t, err)
		require.InDelta(t, 100, f.Rate, 1)
		require.Zero(t, f.P50)
		require.InDelta(t, 90*time.Millisecond, f.P99, float64(15*time.Millisecond))
	})
}

func TestAClientThatFailsIsTold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		broken := errors.New("refused")
		_, err := Closed([]Client{takes(time.Millisecond), func() error { return broken }}, 0, 10*time.Millisecond)
		require.ErrorIs(t, err, broken)
		require.ErrorContains(t, err, "client 1")
	})
}
