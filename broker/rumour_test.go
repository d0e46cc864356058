package broker

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/urban-compute/ucp/broker/membership"
	"github.com/urban-compute/ucp/broker/wire"
	"github.com/urban-compute/ucp/clock"
	"github.com/urban-compute/ucp/job"
)

// Rule S1: whom an answer waits for, and whom a record names, is told at once. What
// else is passed on may wait for RumourPause, and then goes in one message.
func TestRumoursPause(t *testing.T) {
	const pause = 50 * time.Millisecond
	now := time.Unix(1_000_000, 0)
	b := New(Config{
		Actor: "a~1", Replicas: 2, SyncInterval: time.Hour, NewsLinks: true, AckTimeout: time.Second, RumourPause: pause,
	})
	tick := func(at time.Time) {
		now = at
		require.NoError(t, b.Step(Tick{Now: now}))
	}
	wake := time.Time{}
	told := func() (names []string, records int) { // and all of them acknowledge it
		rd := b.Ready()
		b.Advance(rd)
		wake = rd.Wake
		for _, s := range rd.Send {
			names = append(names, s.To)
			if s.Message.Delta != nil {
				records += len(s.Message.Delta.Records)
			}
			require.NoError(t, b.Step(Acked{Peer: s.To, Reply: wire.Reply{
				Version: wire.Version, From: s.To, Actor: clock.Actor(s.To + "~1"), Clock: s.Message.Clock,
			}}))
		}
		return names, records
	}
	submit := func(id job.ID) {
		s := job.Spec{Command: "work", Constraints: []string{"zone=nowhere"}, Priority: job.Priority{User: job.DefaultUser}}
		require.NoError(t, s.Complete())
		require.NoError(t, b.Step(Submit{Token: Token(len(id)), ID: id, Spec: s}))
	}
	tick(now)
	require.NoError(t, b.Step(Roster{Members: []membership.Member{
		{Name: "b", Actor: "b~1", HTTPAddr: "b:1", Status: membership.Alive}, {Name: "c", Actor: "c~1", HTTPAddr: "c:1", Status: membership.Alive},
	}}))
	tick(now.Add(4 * time.Second))
	told() // the first exchange
	successor, other := b.members.Ring()[0], b.members.Ring()[1]
	for b.peers.Rotating() != other {
		tick(now.Add(time.Second))
	}

	submit("j1")
	names, records := told()
	require.ElementsMatch(t, []string{"b", "c"}, names, "the first rumour after a silence need not wait")
	require.Equal(t, 2, records)

	for i, id := range []job.ID{"j22", "j333", "j4444"} {
		tick(now.Add(time.Millisecond))
		submit(id)
		names, _ = told()
		require.Equal(t, []string{successor}, names, "the answer to %s waits for it (rule A1)", id)
		require.Equal(t, pause-time.Duration(i+1)*time.Millisecond, wake.Sub(now), "the loop wakes up for the rumour")
	}
	tick(wake)
	names, records = told()
	require.Equal(t, []string{other}, names)
	require.Equal(t, 3, records, "in one message")

	tick(now.Add(time.Millisecond))
	submit("j55555")
	b.tell(clock.Vector{{Actor: "a~1", Counter: 99}}, true, other)
	names, _ = told()
	require.ElementsMatch(t, []string{"b", "c"}, names, "whom the record names need not wait")

	tick(now.Add(time.Millisecond))
	b.tell(clock.Vector{{Actor: clock.Actor(other + "~1"), Counter: 7}}, true, other)
	names, _ = told()
	require.Empty(t, names, "who wrote it need not be told")
}
