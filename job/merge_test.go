package job

import (
	"fmt"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/urban-compute/ucp/clock"
)

func join(a, b *Record) *Record {
	m, _ := Merge(a, b)
	return m
}

// same compares records by their canonical bytes, which is what brokers compare.
func same(t require.TestingT, want, got *Record, law string) {
	require.Equal(t, want.Encode(), got.Encode(), law)
}

// Merge is a join: the order and repetition of messages do not matter
// (rule L2).
func TestMergeIsAJoin(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		copies := rapid.SampledFrom(history(t))
		for range 5 {
			joins(t, copies.Draw(t, "a"), copies.Draw(t, "b"), copies.Draw(t, "c"))
		}
	})
}

func joins(t require.TestingT, a, b, c *Record) {
	before := [][]byte{a.Encode(), b.Encode(), c.Encode()}

	same(t, join(a, b), join(b, a), "commutative")
	same(t, join(join(a, b), c), join(a, join(b, c)), "associative")
	same(t, a, join(a, a), "idempotent")
	same(t, join(a, b), join(join(a, b), b), "absorbing")

	require.Equal(t, before, [][]byte{a.Encode(), b.Encode(), c.Encode()}, "a merge changes neither argument")
}

// Merge reports whether the result differs from its first argument (rule L6).
func TestMergeReportsChanges(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		copies := rapid.SampledFrom(history(t))
		a, b := copies.Draw(t, "a"), copies.Draw(t, "b")
		m, changed := Merge(a, b)
		require.Equal(t, changed, string(a.Encode()) != string(m.Encode()))
		if !changed {
			require.Same(t, a, m)
		}
		require.Equal(t, a.Key(), m.Key())
	})
}

// A copy whose dots cover another copy's dots contains all of that copy, as long as there are no stubs. Deltas
// and acknowledgements depend on this (rules L3, L4, A1).
func TestCoveredDotsMeanContained(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		copies := rapid.SampledFrom(historyOf(t, actions))
		a, b := copies.Draw(t, "a"), copies.Draw(t, "b")
		if _, changed := Merge(a, b); a.Dots.Covers(b.Dots) {
			require.False(t, changed, "%v covers %v, but the merge changed it", a.Dots, b.Dots)
		}
	})
}

// Merging never replaces a final state, except by another final
// one: an earlier verdict that was written on the other side of a partition (rule J1).
func TestFinalStatesAreKept(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		copies := rapid.SampledFrom(history(t))
		a, b := copies.Draw(t, "a"), copies.Draw(t, "b")
		if !a.Finished() {
			return
		}
		m := join(a, b)
		require.True(t, m.State().Final(), "%s became %s", a.State(), m.State())
		if m.Seal == nil {
			require.LessOrEqual(t, m.Verdict().compare(*a.Verdict()), 0, "a later verdict replaced an earlier one")
		} else if a.Seal != nil {
			require.LessOrEqual(t, a.Seal.Closes, m.Seal.Closes, "a lower seal replaced a higher one")
		}
		if m.State() != a.State() {
			require.Equal(t, b.Verdict(), m.Verdict())
		}
	})
}

// An executor's slot keeps the highest report, by attempt and then by dot, in
// whatever order the reports come (rule J5).
func TestReportSlotKeepsTheHighest(t *testing.T) {
	report := func(attempt Attempt, counter uint64, phase Phase) *Record {
		r := newRecord(t, creation)
		dot := clock.Dot{Actor: executor, Counter: counter}
		return r.With(dot, func(r *Record) { r.SetReport(Report{Attempt: attempt, Dot: dot, Phase: phase}) })
	}
	older, newer, next := report(earlier, 1, Running), report(earlier, 2, Suspended), report(present, 3, Queued)
	for _, order := range [][]*Record{{older, newer, next}, {next, newer, older}, {newer, next, older}, {older, next, newer}} {
		m := join(join(order[0], order[1]), order[2])
		require.Equal(t, next.Reports, m.Reports)
	}
	require.Equal(t, newer.Reports, join(newer, older).Reports)
	require.Equal(t, newer.Reports, join(older, newer).Reports)
}

// Every copy of every history can be encoded and decoded again.
func TestHistoriesRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		for _, r := range history(t) {
			got, err := DecodeRecord(r.Encode())
			require.NoError(t, err)
			same(t, r, got, "round trip")
			require.Equal(t, r.Key(), got.Key())
			require.Equal(t, r.State(), got.State())
		}
	})
}

// recordOf returns a record with one element in each collection, written by actor i of many.
func recordOf(i int) *Record {
	dot := clock.Dot{Actor: clock.Actor(fmt.Sprintf("b%02d~1", i)), Counter: 3}
	at := clock.Hybrid(100 - i%7) // some have the same time, so the actor must decide
	r := &Record{
		ID: "j", Spec: Spec{Driver: Process, Command: "true", Resources: Resources{CPU: 1, Memory: 1 << 20}, Preemption: Suspend},
		Created: []Stamp{{Dot: clock.Dot{Actor: dot.Actor, Counter: 1}, At: at}},
		Origin:  dot.Actor.Broker(),
		Owner:   Assignment{Tenure: Tenure{1, at, dot.Actor}, Broker: dot.Actor.Broker(), Actor: dot.Actor},
		Dots:    clock.NewVector(dot),
	}
	r.key = Key(r.ID, r.Spec.Digest())
	code := i
	rep := Report{
		Attempt: Attempt{Tenure{1, at, "b00~1"}, uint64(1 + i%3)},
		Dot:     clock.Dot{Actor: dot.Actor, Counter: 2}, At: at, Phase: Done, Result: &Result{Outcome: Failed, ExitCode: &code},
	}
	r.SetReport(rep)
	r.AddVerdict(Verdict{At: at, Dot: dot, Outcome: Failed, Report: &rep})
	return r
}

// There are more creations, reports and verdicts than a record keeps. The same ones remain, whatever the
// order in which they are merged (rule L2: "the k smallest by a total order"; with any other limit, merging
// is not a join).
func TestBoundedCollectionsStayAJoin(t *testing.T) {
	var copies []*Record
	for i := range 3 * maxReports {
		r := recordOf(i)
		if i%5 == 0 {
			dot := clock.Dot{Actor: r.Dots[0].Actor, Counter: 4}
			r = r.With(dot, func(sealed *Record) { sealed.SetSeal(r.Verdicts[0], uint64(i%3), dot) })
		}
		copies = append(copies, r)
	}
	last := recordOf(0)
	last.Verdicts[0].At = 1000
	dot := clock.Dot{Actor: "b00~1", Counter: 5}
	sealed := last.With(dot, func(r *Record) { r.SetSeal(last.Verdicts[0], 9, dot) })
	rapid.Check(t, func(t *rapid.T) {
		one := rapid.Permutation(copies).Draw(t, "one order")
		all := slices.Clone(copies)
		for len(all) > 1 { // as a tree of any shape
			i := rapid.IntRange(0, len(all)-2).Draw(t, "pair")
			all[i] = join(all[i], all[i+1])
			all = slices.Delete(all, i+1, i+2)
		}
		line := one[0]
		for _, r := range one[1:] {
			line = join(line, r)
		}
		same(t, all[0], line, "the order does not matter")
		require.Len(t, line.Created, MaxCreated)
		require.Len(t, line.Reports, maxReports)
		require.Len(t, line.Verdicts, maxVerdicts)
		require.Equal(t, clock.Dot{Actor: "b20~1", Counter: 3}, line.Verdict().Dot, "of those whose writers knew of two closes the earlier one")
		require.Len(t, line.Superseded(), maxVerdicts-1)
		require.Len(t, line.Dots, len(copies), "the dots are not limited: they say what was seen, not what is kept")
		require.Equal(t, line.Created[0].Dot.Actor.Broker(), line.Origin)
		require.True(t, slices.IsSortedFunc(line.Verdicts, Verdict.compare))
		_, err := DecodeRecord(line.Encode())
		require.NoError(t, err)

		higher := join(line, sealed)
		same(t, higher, join(sealed, line), "the order does not matter")
		require.Equal(t, clock.Hybrid(1000), higher.Verdict().At, "a seal decides before any stamp")
		require.Equal(t, line.Verdicts, higher.Superseded(), "it stands beside the earliest ones")
		_, err = DecodeRecord(higher.Encode())
		require.NoError(t, err)
	})
}

// The earliest verdicts and the latest reports are kept.
func TestBoundedCollectionsKeepTheRightOnes(t *testing.T) {
	var all []Verdict
	var reports []Report
	line := recordOf(0)
	for i := range 3 * maxReports {
		r := recordOf(i)
		all, reports = append(all, r.Verdicts...), append(reports, r.Reports...)
		line = join(line, r)
	}
	slices.SortFunc(all, Verdict.compare)
	require.Equal(t, all[:maxVerdicts], line.Verdicts)
	slices.SortFunc(reports, func(a, b Report) int { return b.compare(a) })
	require.ElementsMatch(t, reports[:maxReports], line.Reports)
}
