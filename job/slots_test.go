package job

import (
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/urban-compute/ucp/clock"
)

// Whatever is merged, what is left of each writer's is what that writer had in its own copy as it wrote it: no merge makes a part that
// nobody has signed (rule H1). So it stays when a record becomes a stub.
func TestMergesLeavePartsAsTheyWereWritten(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		copies := history(t)
		// What each actor has signed: the parts of each copy that is the first to hold an update of it.
		signed := map[clock.Actor]map[string]bool{}
		anybody := map[string]bool{}
		done := clock.Vector{}
		for _, r := range copies {
			for _, d := range r.Dots {
				before := done.Get(d.Actor)
				if d.Counter <= before {
					continue
				}
				done.Set(d)
				if signed[d.Actor] == nil {
					signed[d.Actor] = map[string]bool{}
				}
				r.Slots(d.Actor, before, func(part string, content []byte) {
					signed[d.Actor][part+" "+string(content)] = true
					anybody[part+" "+string(content)] = true
				})
			}
		}
		last := copies[len(copies)-1]
		for _, r := range copies {
			last, _ = Merge(last, r)
		}
		for _, r := range append(copies, last) {
			for _, d := range r.Dots {
				r.Slots(d.Actor, 0, func(part string, content []byte) {
					is := signed[d.Actor]
					switch part {
					case "ended", "losses", "return", "pause", "end of a pause", "place": // of another start of that broker, or of anybody
						is = anybody
					}
					require.True(t, is[part+" "+string(content)], "%s of %s", part, d.Actor)
				})
			}
			if r.IsStub() {
				continue
			}
			// What is claimed of an honest broker it has written: no sheet of it says otherwise (rule H3).
			r.Claims(func(d clock.Dot, part string, content []byte) {
				require.True(t, signed[d.Actor][part+" "+string(content)], "%s by %v", part, d)
			})
		}
	})
}

// Each part is shown by its writer alone, and once: what was signed before is not signed again.
func TestPartsAreTheirWriters(t *testing.T) {
	spec := Spec{Command: "true", Priority: Priority{User: DefaultUser}}
	require.NoError(t, spec.Complete())
	r := New("j", spec, spec.Digest(), Stamp{Dot: clock.Dot{Actor: "a~1", Counter: 1}, At: 1, Deps: []Dependency{{Job: "k", Dot: clock.Dot{Actor: "c~1", Counter: 1}}}})
	r = r.With(clock.Dot{Actor: "a~1", Counter: 2}, func(r *Record) {
		r.Place = Placement{Attempt: Attempt{r.Owner.Tenure, 1}, Broker: "b", Actor: "b~1"}
	})
	report := Report{Attempt: r.Place.Attempt, Dot: clock.Dot{Actor: "b~1", Counter: 4}, At: 2, Phase: Done, Result: &Result{Outcome: Succeeded}}
	r = r.With(report.Dot, func(r *Record) {
		r.SetReport(report)
		r.AddReturn(Return{Attempt: r.Place.Attempt, By: "b~1", Reason: "x"})
		r.AddPause(Pause{By: "b~1", From: 3, To: 4, For: "k", Mode: Suspend})
	})
	verdict := clock.Dot{Actor: "a~1", Counter: 3}
	r = r.With(verdict, func(r *Record) {
		r.AddVerdict(Verdict{At: 3, Dot: verdict, Outcome: Succeeded, Report: &report})
		r.SetSeal(r.Verdicts[0], 1, verdict)
		r.Losses = 2
		r.SetEnding(Ending{Job: "k", At: 1, By: "c~1", Outcome: Succeeded})
	})
	parts := func(by clock.Actor, after uint64) (out []string) {
		r.Slots(by, after, func(part string, _ []byte) { out = append(out, part) })
		return out
	}
	nobodys := []string{"end of a pause", "ended", "losses"}
	require.Equal(t, append([]string{"creation", "causes", "verdict", "accepted", "seal", "owner", "place"}, nobodys...), parts("a~1", 0))
	require.Equal(t, append([]string{"verdict", "accepted", "seal", "owner", "place"}, nobodys...), parts("a~1", 2))
	require.Equal(t, append([]string{"report", "return", "pause"}, nobodys...), parts("b~1", 0))
	require.Equal(t, append([]string{"return", "pause"}, nobodys...), parts("b~1", 4))
	require.Equal(t, nobodys, parts("c~1", 0))
}

// What an attempt left that was stopped to run again is its executor's word, as its report is, and is signed like that (rules H1, J13).
func TestWhatIsKeptIsAPart(t *testing.T) {
	spec := Spec{Command: "true"}
	require.NoError(t, spec.Complete())
	dot := clock.Dot{Actor: "b~1", Counter: 1}
	kept := Report{Attempt: Attempt{Seq: 1}, Dot: dot, At: 2, Phase: Done, Result: &Result{Outcome: Failed, Reason: StoppedReason}}
	r := New("j", spec, spec.Digest(), Stamp{Dot: clock.Dot{Actor: "a~1", Counter: 1}, At: 1}).With(dot, func(r *Record) { r.SetKept(kept) })
	var parts []string
	r.Slots("b~1", 0, func(part string, _ []byte) { parts = append(parts, part) })
	require.Contains(t, parts, "kept")
	r.Slots("a~1", 0, func(part string, _ []byte) { require.NotEqual(t, "kept", part) })
}

// That a pause has begun is signed apart from when it ended, which others may write, too: what was signed as it began stays a part.
func TestAPauseAndItsEndAreTwoParts(t *testing.T) {
	spec := Spec{Command: "true"}
	require.NoError(t, spec.Complete())
	r := New("j", spec, spec.Digest(), Stamp{Dot: clock.Dot{Actor: "a~1", Counter: 1}, At: 1})
	r = r.With(clock.Dot{Actor: "b~1", Counter: 1}, func(r *Record) { r.AddPause(Pause{By: "b~1", From: 3, For: "k", Mode: Suspend}) })
	parts := func(r *Record) map[string]string {
		out := map[string]string{}
		r.Slots("b~1", 0, func(part string, content []byte) { out[part] = string(content) })
		return out
	}
	begun := parts(r)
	require.Len(t, begun, 1)
	r = r.With(clock.Dot{Actor: "a~1", Counter: 2}, func(r *Record) { r.EndPauses(7) })
	ended := parts(r)
	require.Equal(t, begun["pause"], ended["pause"])
	require.Contains(t, ended, "end of a pause")
	signed := false // by who has written it
	r.Slots("a~1", 1, func(part string, _ []byte) { signed = signed || part == "end of a pause" })
	require.True(t, signed)
}

// A record claims of each update what it has written, and of the executor what a verdict says that it has reported (rule H3).
func TestClaims(t *testing.T) {
	spec := Spec{Command: "true"}
	require.NoError(t, spec.Complete())
	created, reported, decided := clock.Dot{Actor: "a~1", Counter: 1}, clock.Dot{Actor: "b~1", Counter: 4}, clock.Dot{Actor: "a~1", Counter: 3}
	report := Report{Attempt: Attempt{Tenure{1, 1, "a~1"}, 1}, Dot: reported, At: 2, Phase: Done, Result: &Result{Outcome: Succeeded}}
	r := New("j", spec, spec.Digest(), Stamp{Dot: created, At: 1}).With(decided, func(r *Record) {
		r.AddVerdict(Verdict{At: 3, Dot: decided, Outcome: Succeeded, Report: &report})
	})
	claims := map[string]clock.Dot{}
	r.Claims(func(d clock.Dot, part string, _ []byte) { claims[part] = d })
	require.Equal(t, map[string]clock.Dot{"creation": created, "report": reported, "verdict": decided, "accepted": decided}, claims)
	// Of a verdict without reason and report nobody can say whether it had one.
	claims = map[string]clock.Dot{}
	r = New("j", spec, spec.Digest(), Stamp{Dot: created, At: 1}).With(decided, func(r *Record) { r.AddVerdict(Verdict{At: 3, Dot: decided, Outcome: Cancelled}) })
	r.Claims(func(d clock.Dot, part string, _ []byte) { claims[part] = d })
	require.Equal(t, map[string]clock.Dot{"creation": created, "verdict": decided}, claims)
}
