package broker

import (
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/urban-compute/ucp/broker/kind"
	"github.com/urban-compute/ucp/broker/membership"
	"github.com/urban-compute/ucp/job"
	"github.com/urban-compute/ucp/roll"
)

// Member records go before all others, also those that were written later: their receiver must know them before it
// can judge the rest (rule M1).
func TestMemberRecordsGoFirst(t *testing.T) {
	w := newCluster("a", "b")
	a := w.nodes["a"]
	w.submit(a, "j1")
	w.settle()
	w.start("c", func(*Config) {})
	w.meet()
	w.settle()
	d, fits, err := a.b.ledger.Delta(nil, 1<<20)
	require.NoError(t, err)
	require.True(t, fits)
	var kinds []string
	for _, e := range d.Entries {
		kinds = append(kinds, string(e.Kind))
	}
	require.Equal(t, []string{"member", "member", "member", "job"}, kinds)
}

// Nothing is taken from a broker that is removed, and a broker that knows that it is removed shows no end as firm
// (rule M2).
func TestWhoIsRemovedIsNotHeard(t *testing.T) {
	w := newCluster("a", "b")
	a := w.nodes["a"]
	w.submit(a, "j1")
	w.settle()
	for key, run := range a.running {
		w.step(a, Reported{Key: key, Attempt: run.Attempt, Result: job.Result{Outcome: job.Succeeded}})
	}
	w.pass(w.cfg.AckTimeout)
	r, _ := a.b.resolve("j1")
	require.True(t, a.b.firm(r))
	require.True(t, a.b.members.TakesPart("b"))
	b := a.b.enrolment.write("b", roll.Removed)
	require.Equal(t, kind.MemberRef("b").Key, b.Name)
	require.False(t, a.b.members.TakesPart("b"))
	require.True(t, a.b.firm(r), "a is in the roll still, alone")
	require.Empty(t, a.b.warnings(1, new(Overview)))
	a.b.enrolment.write("a", roll.Removed)
	require.False(t, a.b.firm(r))
	warnings := a.b.warnings(1, new(Overview))
	require.Len(t, warnings, 1)
	require.Contains(t, warnings[0], "takes nothing in", "it must not look as if all were well")
}

// Who looks right after a broker was given up does not see it counted any more.
func TestWhoIsGivenUpIsShownAtOnce(t *testing.T) {
	w := newCluster("a", "b")
	w.settle()
	a := w.nodes["a"]
	w.step(a, Roster{Members: []membership.Member{{Name: "b", Actor: w.nodes["b"].b.cfg.Actor, Status: membership.Failed}}})
	a.b.Advance(a.b.Ready())
	w.step(a, ForgetMember{Token: 77, Name: "b"})
	var shown *Overview
	for range 10 {
		rd := a.b.Ready()
		a.b.Advance(rd)
		if rd.Overview != nil {
			shown = rd.Overview
		}
		if slices.ContainsFunc(rd.Answers, func(x Response) bool { return x.Token == 77 }) {
			require.NotNil(t, shown)
			require.True(t, slices.ContainsFunc(shown.Roll, func(e Enrolled) bool { return e.Name == "b" && e.GivenUp() }))
			return
		}
	}
	t.Fatal("no answer")
}
