package httpd

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/urban-compute/ucp/broker"
	"github.com/urban-compute/ucp/clock"
	"github.com/urban-compute/ucp/job"
)

// lonely is a host of which only one thing is asked.
type lonely struct {
	Host
	unbootstrapped bool
}

func (l lonely) Unbootstrapped(members int) bool { return l.unbootstrapped && members == 1 }

// A broker that was told of others and has not met one yet shows nothing as firm: they may have ended
// the same job (rule A3).
func TestUnbootstrappedBrokersShowNothingAsFirm(t *testing.T) {
	dot := clock.Dot{Actor: "a~1", Counter: 1}
	r := job.New("j", job.Spec{Driver: job.Process, Command: "true"}, job.Digest("00000000000000000000000000000000"), job.Stamp{Dot: dot, At: 1})
	r = r.With(clock.Dot{Actor: "a~1", Counter: 2}, func(r *job.Record) {
		r.AddVerdict(job.Verdict{At: 2, Dot: clock.Dot{Actor: "a~1", Counter: 2}, Outcome: job.Cancelled})
	})
	shown := func(l lonely, members int) bool {
		srv := &Server{host: l}
		return srv.view(&broker.Found{Record: r, First: true, Members: members}, false).Provisional
	}
	require.False(t, shown(lonely{}, 1))
	require.True(t, shown(lonely{unbootstrapped: true}, 1))
	require.False(t, shown(lonely{unbootstrapped: true}, 2))
}
