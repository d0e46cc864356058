package replication

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/urban-compute/ucp/broker/wire"
	"github.com/urban-compute/ucp/clock"
	"github.com/urban-compute/ucp/roll"
)

// word hears what the member's start has said of a clock, in a version of its clocks.
func (p *pair) word(actor clock.Actor, version uint64, c clock.Tips) (news bool) {
	told, ok := p.Understand("b", actor, &c, &wire.Told{Version: version, Digest: wire.DigestOf(c, nil)}, nil)
	require.True(p.t, ok)
	return p.HearWord(Said{From: "b", Actor: actor, Clock: c, Told: told})
}

// Words count in the order in which they were said, whenever they come; of an earlier start none does; and none shows that its broker is
// there (rule B3).
func TestLateWords(t *testing.T) {
	p := newPair(t)
	b1, b2 := clock.StartActor("b", 1), clock.StartActor("b", 2)
	p.see(b1)
	first, second := p.write("x"), p.write("y")
	require.False(t, p.word(b1, 1, clock.NewTips(first)), "it does not take part")
	p.members.Enroll(roll.Change(nil, "b", "", clock.Dot{Actor: "b~1", Counter: 1}, 1))
	p.pass(time.Minute)
	require.True(t, p.word(b1, 2, clock.NewTips(second)))
	require.True(t, p.HoldsUpdate("b", second))
	require.Zero(t, p.links["b"].lastSeen)
	require.False(t, p.word(b1, 2, clock.NewTips(second)), "twice")
	require.False(t, p.word(b1, 1, clock.NewTips(first)), "late")
	require.True(t, p.HoldsUpdate("b", second))
	require.True(t, p.word(b2, 1, clock.NewTips(first)), "of a later start, which may have another disk")
	require.False(t, p.HoldsUpdate("b", second))
	require.False(t, p.word(b1, 3, clock.NewTips(second)), "of the earlier start")
	require.False(t, p.HoldsUpdate("b", second))
}
