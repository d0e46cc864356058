package replication

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/urban-compute/ucp/broker/wire"
	"github.com/urban-compute/ucp/clock"
	"github.com/urban-compute/ucp/ledger"
)

// An answer that settles nothing is not asked for again at once: it was, as fast as the network carries it, for as long as a
// member holds something else and can't judge what is held here (rule L9).
func TestAnAuditThatSettlesNothing(t *testing.T) {
	p := newPair(t)
	p.write("x")
	known := clock.NewTips(p.write("y"))
	p.write("y") // which the member can't read
	p.Distrust(10)
	asked, turns := 0, 0
	for end := p.at.Add(5 * time.Minute); p.at.Before(end); turns++ {
		require.Less(t, turns, 120, "due at once, with nothing to say")
		for _, s := range p.pump() {
			asked++
			require.Less(t, asked, 60, "a message for each answer")
			p.Answered(s.To, false)
			p.hear("b~1", known)
			reply := &wire.Reply{From: "b", Actor: "b~1", Clock: known}
			if s.Message.Live {
				reply.Live = make([]byte, ledger.DigestSize)
			}
			p.Audited(reply, false)
		}
		p.pass(max(0, p.Due().Sub(p.at)))
	}
	require.Greater(t, asked, 10, "it is asked again")
}

// What no clock covers is told once also to a member that keeps other records aside, which it can't read (rules L5, L10): that
// may last. What it says it has not taken is told again.
func TestStraysToWhoKeepsOthersAside(t *testing.T) {
	p := newPair(t)
	p.write("x")
	p.ledger.GoOnAs("a~2")
	p.GoOnAs("a~2")
	require.Len(t, p.ledger.GiveUp(clock.Dot{Actor: "a~1"}), 1)
	aside := clock.Tips{{Actor: "b~1", Counter: 7}}
	tell := func(taken bool) (records int) {
		require.True(t, p.Hear(Said{From: "b", Actor: "b~1", Seen: aside}))
		p.TellNow("b")
		for _, s := range p.pump() {
			if s.Message.Delta != nil {
				records += len(s.Message.Delta.Records)
			}
			reply := &wire.Reply{From: "b", Actor: "b~1", Seen: aside, Taken: taken}
			p.Answered(s.To, false)
			require.True(t, p.Hear(Said{From: "b", Actor: "b~1", Seen: aside, Taken: taken}))
			p.Progress(reply, false)
		}
		return records
	}
	require.Equal(t, 1, tell(false))
	require.Equal(t, 1, tell(true))
	require.Zero(t, tell(true))

	l := p.links["b"]
	for _, taken := range []bool{false, true} { // the same by pages
		l.strays, l.outgoing = 0, outgoing{transfer: p.ledger.Pin(nil), last: true, strays: p.ledger.Strays()}
		p.Progress(&wire.Reply{From: "b", Actor: "b~1", Seen: aside, Taken: taken}, true)
		require.Equal(t, taken, l.strays == p.ledger.Strays())
	}
}
