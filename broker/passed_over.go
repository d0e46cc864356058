package broker

import (
	"slices"

	"github.com/urban-compute/ucp/emergency"
)

// Of what two sides of a split say of one emergency the later terms stand, also where their level is the lower one (rule E3): the
// record holds one version of its terms, and which of two people was right no broker can know. Who asks is told what was
// passed over, by each broker that has held both, until its next start, or until somebody who has heard of both says
// what is to be.

// passOver notes which terms do not stand any more, or do not begin to, when what came of an emergency is joined with what is
// known of it. It is called before that.
func (e *emergencies) passOver(came *emergency.Record) {
	known := e.known[came.ID]
	if known == nil || known.Life != came.Life || known.Finished() || known.Version == came.Version {
		return
	}
	if p := e.passed[came.ID]; p != nil && came.Supersedes(known) && hasHeard(came, p) {
		delete(e.passed, came.ID)
	}
	loser := known
	if !came.Supersedes(known) {
		loser = came
	}
	if known.Version.Seq == 0 || came.Version.Seq == 0 || hasHeard(came, known) || hasHeard(known, came) || sayTheSame(known, came) {
		return
	}
	if p := e.passed[came.ID]; p == nil || p.Terms.Level <= loser.Terms.Level {
		e.passed[came.ID] = loser
	}
}

// hasHeard reports whether whoever wrote a held the terms of b, or what followed them.
func hasHeard(a, b *emergency.Record) bool {
	return b.Dots.Get(b.Version.By) <= a.Dots.Get(b.Version.By)
}

func sayTheSame(a, b *emergency.Record) bool {
	return a.Terms.Level == b.Terms.Level && slices.Equal(a.Terms.Scope, b.Terms.Scope) && slices.Equal(a.Terms.Select, b.Terms.Select)
}
