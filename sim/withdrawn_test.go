package sim

import (
	"testing"

	"github.com/stretchr/testify/require"
)

// A broker that has withdrawn its offer keeps the attempt that its owner has adopted there (rules J7, J12). Otherwise the two
// rules undo each other without end, as they did in this schedule.
func TestAdoptedAttemptsStayWhereTheOfferIsWithdrawn(t *testing.T) {
	t.Parallel()
	c := Schedule(158, coreConfig(), Readers|Clocks|SlowDisks|Late|Spoilt)
	require.Empty(t, c.Wrong())
}
