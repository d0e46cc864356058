package broker

import (
	"bytes"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/urban-compute/ucp/broker/kind"
	"github.com/urban-compute/ucp/broker/wire"
	"github.com/urban-compute/ucp/clock"
	"github.com/urban-compute/ucp/identity"
	"github.com/urban-compute/ucp/trust"
)

// What an authority has said reaches every broker, and its shell, also after a restart;
// what a peer makes up is set aside, and counted (rule X6).
func TestVouch(t *testing.T) {
	root := privateKey(t, 1)
	of := identity.FoundCity(root.Public())
	w := newWorld()
	w.newGate(t)
	for _, name := range []string{"a", "b", "c"} {
		w.start(name, func(*Config) {})
	}
	w.meet()
	w.pass(w.cfg.AckTimeout)
	a, b, c := w.nodes["a"], w.nodes["b"], w.nodes["c"]
	revoked, err := root.Revoke(of.City(), "kim", "", time.UnixMilli(7), 0)
	require.NoError(t, err)
	proof, err := of.Prove(revoked)
	require.NoError(t, err)
	other := identity.FoundCity(privateKey(t, 2).Public())
	foreign, err := privateKey(t, 2).Revoke(other.City(), "kim", "", time.UnixMilli(7), 0)
	require.NoError(t, err)
	foreignProof, err := other.Prove(foreign)
	require.NoError(t, err)
	holds := func(n *node, p *identity.Proof) bool {
		r, err := n.b.ledger.Get(kind.SettingRef(trust.Name(p)))
		require.NoError(t, err)
		return r != nil
	}

	wrote := a.b.ledger.Wrote()
	w.ask(a, "kim is revoked", func(t Token) Input { return Vouch{Token: t, Proofs: []*identity.Proof{foreignProof, proof, proof}} })
	require.Equal(t, wrote+1, a.b.ledger.Wrote(), "once, and nothing of another city")
	w.pass(w.cfg.AckTimeout)
	for _, n := range []*node{a, b, c} {
		require.True(t, holds(n, proof), n.name)
	}
	wrote = b.b.ledger.Wrote()
	w.ask(b, "kim is revoked, again", func(t Token) Input { return Vouch{Token: t, Proofs: []*identity.Proof{proof}} })
	require.Equal(t, wrote, b.b.ledger.Wrote())

	w.crash("b", false)
	b = w.start("b", func(*Config) {})
	require.Len(t, b.b.out.Trusted, 1+3, "the shell is told at the start what was known")
	w.meet()

	// A member sends statements that no authority has made.
	w.crash("c", false)
	before := a.b.ledger.Len()
	for i := range uint64(3) {
		s := trust.Say(foreignProof, 1, clock.Dot{Actor: c.cfg.Actor, Counter: 100 + i})
		m := wire.Message{Version: wire.Version, From: "c", Actor: c.cfg.Actor, Clock: a.b.Clock(), Delta: &wire.Delta{
			Records: []wire.Encoded{{Kind: kind.Setting, Key: s.Key(), Dots: s.Dots, Bytes: s.Encode()}},
		}}
		w.deliver(packet{from: "c", to: "a", wire: wire.Encode(&m)})
	}
	require.Equal(t, before, a.b.ledger.Len())
	require.False(t, holds(a, foreignProof))
	require.Equal(t, 1, a.b.ledger.Quarantined(), "one name, however often it is said")
	require.EqualValues(t, 3, a.b.stats.Breaches, "which is counted, and told")
}

func privateKey(t *testing.T, n byte) identity.Key {
	k, err := identity.NewKey(bytes.NewReader(bytes.Repeat([]byte{n}, 32)))
	require.NoError(t, err)
	return k
}
