package node

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/urban-compute/ucp/broker"
)

// The city's time that is shown does not run back when the core lets it go slower, or when the machine's clock is set
// back and the core has not said yet what that means; it leaps where a clock was wrong (rule T2).
func TestTheTimeShownDoesNotRunBack(t *testing.T) {
	var s shown
	at := time.Date(2026, 11, 28, 15, 0, 0, 0, time.UTC)
	show := func(machine, drift time.Duration) time.Duration {
		s.overview.Store(&broker.Overview{Drift: drift})
		return s.cityTime(at.Add(machine), time.Minute).Sub(at)
	}
	require.Equal(t, at, s.cityTime(at, time.Minute), "the machine's clock, until the core has said something")
	require.Equal(t, 5*time.Second, show(5*time.Second, 0))
	require.Equal(t, 5*time.Second, show(5*time.Second, -time.Second), "it stands still")
	require.Equal(t, 6*time.Second, show(7*time.Second, -time.Second))
	require.Equal(t, 6*time.Second, show(-50*time.Second, 0), "the machine's clock was set back")
	require.Equal(t, -48*time.Hour, show(0, -48*time.Hour), "a clock was wrong")
	require.Equal(t, -48*time.Hour+time.Second, show(time.Second, -48*time.Hour))
}
