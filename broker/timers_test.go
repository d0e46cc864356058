package broker

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/urban-compute/ucp/clock"
)

func TestTimers(t *testing.T) {
	var x timers
	_, ok := x.next()
	require.False(t, ok)
	require.Empty(t, x.due(9))
	x.add(5, "b")
	x.add(3, "c")
	x.add(5, "a")
	x.add(5, "a")
	at, ok := x.next()
	require.True(t, ok)
	require.Equal(t, clock.Time(3), at)
	require.Empty(t, x.due(2))
	require.Equal(t, []string{"c", "a", "b"}, x.due(5))
	require.Empty(t, x.due(100))
}
