package register

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/urban-compute/ucp/clock"
)

// What no broker writes is refused, among it counters above the highest that anybody counts to: no next update would
// have a number (rules L10, L11, X1). That the rest is a join is tested with the records that embed it.
func TestBadRegisters(t *testing.T) {
	dot := func(n uint64) clock.Dot { return clock.Dot{Actor: "a~1", Counter: n} }
	require.NoError(t, New(dot(1)).Validate())
	require.NoError(t, New(dot(1)).With(dot(clock.MaxCounter)).Validate())
	for what, bad := range map[string]Register{
		"no creation":         {Dots: clock.NewVector(dot(1))},
		"out of order":        {Created: []clock.Dot{dot(2), dot(1)}, Dots: clock.NewVector(dot(2))},
		"too many":            {Created: []clock.Dot{dot(1), dot(2), dot(3), dot(4), dot(5), dot(6), dot(7), dot(8), dot(9)}, Dots: clock.NewVector(dot(9))},
		"none of its updates": {Created: []clock.Dot{dot(2)}, Dots: clock.NewVector(dot(1))},
		"no counter":          {Created: []clock.Dot{dot(0)}, Dots: clock.NewVector(dot(1))},
		"created above all":   {Created: []clock.Dot{dot(clock.MaxCounter + 1)}, Dots: clock.NewVector(dot(1))},
		"changed above all":   New(dot(1)).With(dot(clock.MaxCounter + 1)),
	} {
		require.Error(t, bad.Validate(), what)
	}
}
