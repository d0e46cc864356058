package broker

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"
)

// An answer may call thousands of jobs forgotten: what that costs goes up with them, and not with their square.
func TestDisputesAreAskedOfTogether(t *testing.T) {
	w := newWorld()
	a := w.start("a", func(*Config) {})
	w.settle()
	const many = 1000
	each := testing.AllocsPerRun(1, func() {
		clear(a.b.disputes.open)
		for i := range many {
			a.b.dispute(fmt.Sprintf("j%d~%064d", i, i))
		}
	}) / many
	require.Less(t, each, 12., "allocations a job")
}
