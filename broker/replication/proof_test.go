package replication

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/urban-compute/ucp/broker/kind"
	"github.com/urban-compute/ucp/broker/membership"
	"github.com/urban-compute/ucp/broker/wire"
	"github.com/urban-compute/ucp/clock"
	"github.com/urban-compute/ucp/ledger"
	"github.com/urban-compute/ucp/roll"
)

// answers lets a member answer with a clock and the same unfinished records as ours.
func (p *pair) answers(name string, c clock.Tips, unproven bool) {
	actor := clock.Actor(name + "~1")
	require.True(p.t, p.Hear(Said{From: name, Actor: actor, Clock: c, Unproven: unproven}))
	p.Audited(&wire.Reply{From: name, Actor: actor, Clock: c, Live: p.ledger.LiveDigest(c)}, false)
}

// A start is proven when its clock covers what a proven member told in answer, and that one could judge what was
// remembered here (rule M3).
func TestWitness(t *testing.T) {
	p := newPair(t)
	d := p.write("x")
	p.Distrust(10)
	theirs := clock.Tips{{Actor: "b~1", Counter: 5}}

	p.answers("b", theirs, false)
	require.False(t, p.Prove(), "it does not know what is remembered here, nor is what it told held here")
	require.True(t, p.HoldsBack(10))
	require.True(t, p.links["b"].news, "it is sent what it can't judge otherwise")

	p.answers("b", clock.Tips{d, theirs[0]}, false)
	require.False(t, p.Prove(), "what it told is not held here")
	_, err := p.ledger.Merge(ledger.Delta{Clock: theirs})
	require.NoError(t, err)
	require.True(t, p.Prove())
	require.True(t, p.Proven() && p.Vouches() && !p.HoldsBack(10))
	require.True(t, p.links["b"].want, "they hear of it")

	p.Distrust(10)
	require.False(t, p.Prove(), "what it told before does not count")
	p.answers("b", theirs, false)
	require.False(t, p.Prove())
}

// If nobody is proven it takes as many as hold copies, or all if there are fewer; who is proven is enough alone.
func TestNobodyIsProven(t *testing.T) {
	p := newPair(t)
	p.cfg.Copies = 3
	roster := []membership.Member{}
	for _, name := range []string{"b", "c", "d"} {
		roster = append(roster, membership.Member{Name: name, Actor: clock.Actor(name + "~1"), HTTPAddr: name + ":1", Status: membership.Alive})
	}
	p.members.Update(p.at, roster)
	for _, m := range roster {
		p.Meet(m, "")
	}
	p.Distrust(10)
	p.answers("b", nil, true)
	require.False(t, p.Prove())
	p.pass(p.cfg.SyncInterval)
	require.True(t, p.Prove(), "what is old goes on")
	require.False(t, p.HoldsBack(10) || p.Proven())
	require.True(t, p.Unsure(10), "and may be older than what others have shown (rule C3)")
	require.False(t, p.Unsure(11))
	p.answers("c", nil, true)
	require.True(t, p.Prove(), "three of four")
	require.False(t, p.Unsure(10))

	p.Distrust(10)
	p.answers("b", nil, true)
	require.False(t, p.Prove())
	p.answers("b", nil, false)
	require.True(t, p.links["b"].want, "b is proven now, and is asked again")
	require.True(t, p.Prove())
}

// Who founded the roll together has taken part in all that there ever was: W of these prove each other, also if none was
// ever proven. Who was admitted later has not.
func TestFounders(t *testing.T) {
	p := newPair(t)
	p.cfg.Copies = 3
	founder := clock.Actor("b~1")
	roster := []membership.Member{}
	for i, name := range []string{"a", "c", "b", "d", "e"} { // b wrote the records of all that were there, its own last; d and e came later
		p.members.Enroll(roll.Change(nil, name, "", clock.Dot{Actor: founder, Counter: uint64(i + 1)}, 1))
		if name != p.self {
			roster = append(roster, membership.Member{Name: name, Actor: clock.Actor(name + "~1"), HTTPAddr: name + ":1", Status: membership.Alive})
		}
	}
	p.members.Update(p.at, roster)
	for _, m := range roster {
		p.Meet(m, "")
	}
	p.Distrust(10)
	p.answers("d", nil, true)
	p.answers("b", nil, true)
	p.Prove()
	require.False(t, p.Proven(), "d came later")
	p.answers("c", nil, true)
	require.True(t, p.Prove() && p.Proven())
}

// Who is not proven is no copy of what was on its disk before; what it takes now counts (rules A1, M3).
func TestWhatAStartBrought(t *testing.T) {
	p := newPair(t)
	old, fresh := p.write("x"), clock.Dot{}
	p.answers("b", clock.Tips{old}, true)
	fresh = p.write("y")
	p.answers("b", clock.Tips{fresh}, true)
	require.False(t, p.Copy("b", old))
	require.True(t, p.Copy("b", fresh))
	p.answers("b", clock.Tips{fresh}, false)
	require.True(t, p.Copy("b", old))
}

// What had ended on the disk with which a start began, and was not stable, a witness is asked of, until it has looked at all
// of it: one answer may be too long. Who has looked at none is asked again with the next exchange only (rules F3, M3).
func TestWitnessesAreAskedOfEnds(t *testing.T) {
	p := newPair(t)
	p.Distrust(10)
	var ends []ledger.Ref
	for i := range wire.MaxAudit + 2 {
		ends = append(ends, kind.JobRef(fmt.Sprint("j", i)))
		p.addEnd(ends[i])
		p.addEnd(ends[i])
	}
	p.hear("b~1", nil)
	asked := func() *wire.Audit {
		for _, s := range p.pump() {
			return s.Message.Audit
		}
		return nil
	}
	answers := func(unread int, page bool) {
		p.Answered("b", page)
		p.Audited(&wire.Reply{From: "b", Actor: "b~1", LiveSame: true, Unread: unread}, page)
	}
	ask := asked()
	require.Equal(t, ends[:wire.MaxAudit], ask.Records)
	require.Equal(t, wire.MaxAudit, ask.Ended)
	answers(0, true)
	require.Zero(t, p.links["b"].audit.ends, "that answers a page")
	answers(1, false)
	p.Prove()
	require.False(t, p.Vouches())
	require.Equal(t, ends[wire.MaxAudit-1:], asked().Records)
	answers(3, false)
	require.Nil(t, asked(), "it has looked at none")
	p.pass(2 * time.Minute)
	require.Equal(t, ends[wire.MaxAudit-1:], asked().Records)
	p.Prove()
	require.False(t, p.Vouches())
	answers(0, false)
	p.Prove()
	require.True(t, p.Vouches())
	require.False(t, p.asks(p.links["b"]))
}
