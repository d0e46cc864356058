package membership

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/urban-compute/ucp/clock"
)

// SWIM may be told of an earlier start again, for a moment: the start that is there now is
// heard, and the others are not.
func TestThePresentStartIsHeard(t *testing.T) {
	m := New(Config{Actor: "a~1"})
	see := func(actor clock.Actor) {
		m.Update(time.Unix(0, 0), []Member{{Name: "b", Actor: actor, Status: Alive}})
	}
	see("b~2")
	require.False(t, m.Superseded("b~2"))
	see("b~1")
	require.True(t, m.Superseded("b~2"))
	see("b~2")
	require.False(t, m.Superseded("b~2"))
	require.True(t, m.Superseded("b~1"))
	see("") // its tags are not known for a moment: that supersedes nothing
	require.False(t, m.Superseded("b~2"))
}

// How many are remembered is bounded; the oldest are dropped.
func TestSupersededIncarnationsAreBounded(t *testing.T) {
	var s superseded
	actor := func(i int) clock.Actor { return clock.Actor(fmt.Sprintf("a~%d", i)) }
	for i := range 3 * maxSuperseded {
		s.add(actor(i))
	}
	require.Len(t, s.known, maxSuperseded)
	require.Len(t, s.order, maxSuperseded)
	require.True(t, s.known[actor(3*maxSuperseded-1)])
	require.False(t, s.known[actor(0)])
}
