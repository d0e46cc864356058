package node

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/urban-compute/ucp/broker"
	"github.com/urban-compute/ucp/clock"
	"github.com/urban-compute/ucp/job"
)

// Who was told of others and has met none yet shows nothing as firm: they may have
// ended the same job (rule A3). From the first meeting on the core knows better, also
// when all others have left again.
func TestStrangerShowsNothingAsFirm(t *testing.T) {
	dot := clock.Dot{Actor: "a~1", Counter: 1}
	r := job.New("j", job.Spec{Driver: job.Process, Command: "true"}, job.Digest("00000000000000000000000000000000"), job.Stamp{Dot: dot, At: 1})
	r = r.With(clock.Dot{Actor: "a~1", Counter: 2}, func(r *job.Record) {
		r.AddVerdict(job.Verdict{At: 2, Dot: clock.Dot{Actor: "a~1", Counter: 2}, Outcome: job.Cancelled})
	})
	shown := func(n *Node, members int) bool {
		return n.view(&broker.Found{Record: r, First: true, Members: members}, false).Provisional
	}
	n := &Node{}
	require.False(t, shown(n, 1), "a broker that was told of nobody is a cluster of one")
	n.strange.Store(true)
	require.True(t, shown(n, 1))
	require.False(t, shown(n, 2))
	require.False(t, shown(n, 1))
}
