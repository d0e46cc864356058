package job

import (
	"fmt"
	"maps"
	"strings"

	"pgregory.net/rapid"

	"github.com/urban-compute/ucp/canon"
	"github.com/urban-compute/ucp/clock"
)

// A history simulates how records come about in a real cluster: several brokers
// have a copy each, change it only as the rules allow, and sometimes
// receive another broker's copy. The laws of merging are tested with copies from
// such histories and not with random records, because they depend on the rules that
// brokers follow: no dot is ever used twice (rule I1), only the owner
// places (rule J4), an executor writes only its own slot (rule J5), and no
// broker writes a verdict if it knows one (rule J1).

// author is one broker with its copy of the job, which is nil until it knows the job.
type author struct {
	name   string
	starts int
	dot    clock.Dot // its latest dot
	hybrid clock.Hybrid
	copy   *Record
}

func (a *author) next() clock.Dot {
	a.dot.Counter++
	return a.dot
}

func (a *author) stamp() clock.Hybrid {
	a.hybrid++
	return a.hybrid
}

// restart gives the broker a fresh actor (rule I1); its copy is kept on disk.
func (a *author) restart() {
	a.starts++
	a.dot = clock.Dot{Actor: clock.Actor(fmt.Sprintf("%s~%08d", a.name, a.starts))}
}

// history draws a history, and returns every copy that any broker ever held, the
// earliest first.
func history(t *rapid.T) []*Record { return historyOf(t, append([]string{"stub"}, actions...)) }

// historyOf draws a history in which brokers do only these actions.
func historyOf(t *rapid.T, actions []string) []*Record {
	spec := Spec{Command: "true", Priority: Priority{User: DefaultUser}, After: []ID{"p", "q"}}
	if err := spec.Complete(); err != nil {
		t.Fatal(err)
	}
	digest := spec.Digest()
	authors := make([]*author, rapid.IntRange(2, 11).Draw(t, "brokers"))
	for i := range authors {
		authors[i] = &author{name: string(rune('a' + i)), hybrid: clock.Hybrid(rapid.IntRange(0, 6).Draw(t, "clock"))}
		authors[i].restart()
	}
	var copies []*Record
	pick := rapid.SampledFrom(authors)
	for range rapid.IntRange(2, 40).Draw(t, "steps") {
		a := pick.Draw(t, "who")
		switch what := rapid.SampledFrom(actions).Draw(t, "does"); {
		case what == "hear":
			a.hear(pick.Draw(t, "of"))
		case a.copy == nil:
			a.copy = New("j", spec, digest, Stamp{Dot: a.next(), At: a.stamp()})
		default:
			a.do(t, what, pick)
		}
		if a.copy != nil {
			copies = append(copies, a.copy)
		}
	}
	if len(copies) == 0 {
		t.SkipNow() // the job was not submitted
	}
	return copies
}

// actions are what a broker can do with its copy, beside making a stub of it. "hear" is listed twice
// so that copies are often merged.
var actions = []string{"hear", "hear", "own", "place", "report", "report", "load", "decide", "seal", "ended", "pause", "go on", "return", "keep", "newer field", "restart"}

// hear merges another broker's copy, which is encoded and decoded as on the wire.
func (a *author) hear(of *author) {
	if of.copy == nil || of == a {
		return
	}
	in, err := DecodeRecord(of.copy.Encode())
	if err != nil {
		panic(err)
	}
	a.hybrid = max(a.hybrid, of.hybrid)
	if a.copy == nil {
		a.copy = in
		return
	}
	a.copy, _ = Merge(a.copy, in)
}

// do changes the copy by one action, unless the rules forbid it.
func (a *author) do(t *rapid.T, what string, pick *rapid.Generator[*author]) {
	r := a.copy
	edit := func(change func(dot clock.Dot, r *Record)) {
		dot := a.next()
		a.copy = r.With(dot, func(r *Record) { change(dot, r) })
	}
	switch {
	case what == "stub" && r.Finished():
		a.copy = r.ToStub()
	case what == "own" && !r.Finished():
		edit(func(dot clock.Dot, r *Record) {
			r.Owner = Assignment{
				Tenure: Tenure{Epoch: r.Owner.Tenure.Epoch + 1, At: a.stamp(), By: dot.Actor},
				Broker: a.name, Actor: dot.Actor,
			}
		})
	case what == "place" && r.Owner.Actor == a.dot.Actor && !r.Finished():
		to := a
		if rapid.Bool().Draw(t, "elsewhere") {
			to = pick.Draw(t, "executor")
		}
		edit(func(_ clock.Dot, r *Record) {
			r.Place = Placement{
				Attempt: Attempt{r.Owner.Tenure, r.Place.Attempt.Seq + 1},
				Broker:  to.name, Actor: to.dot.Actor, Try: r.Place.Try,
			}
		})
	case what == "pause" && r.Place.Actor == a.dot.Actor:
		for range rapid.IntRange(1, maxPauses).Draw(t, "pauses") { // often enough that the limit matters
			edit(func(dot clock.Dot, r *Record) {
				r.AddPause(Pause{By: dot.Actor, From: clock.Time(a.stamp()), For: "k", Emergency: "flood-1", Mode: Suspend})
			})
		}
	case what == "go on":
		edit(func(_ clock.Dot, r *Record) { r.EndPauses(clock.Time(a.stamp())) })
	case what == "report" && r.Place.Actor == a.dot.Actor:
		phase := rapid.SampledFrom([]Phase{Queued, Running, Suspended, Done}).Draw(t, "phase")
		edit(func(dot clock.Dot, r *Record) { r.SetReport(a.report(dot, r.Place.Attempt, phase)) })
	case what == "load" && r.Place.Actor == a.dot.Actor && !r.Place.IsZero():
		phase := rapid.SampledFrom([]Phase{Queued, Running}).Draw(t, "phase")
		edit(func(dot clock.Dot, r *Record) { r.SetLoading(a.report(dot, r.Place.Attempt, phase)) })
	case what == "return" && r.Place.Actor == a.dot.Actor && !r.Place.IsZero():
		edit(func(dot clock.Dot, r *Record) {
			rep := a.report(dot, r.Place.Attempt, Done)
			r.SetReport(rep)
			r.AddReturn(Return{Attempt: rep.Attempt, By: dot.Actor, At: rep.At, Reason: "no space", Began: rapid.Bool().Draw(t, "began"), Never: rapid.Bool().Draw(t, "never")})
		})
	case what == "keep" && r.Place.Actor == a.dot.Actor && !r.Place.IsZero():
		edit(func(dot clock.Dot, r *Record) {
			r.SetReport(a.report(dot, r.Place.Attempt, Queued))
			r.SetKept(a.report(dot, r.Place.Attempt, Done))
			r.SetCheckpoint(Checkpoint{Attempt: r.Place.Attempt, Dot: dot, At: 1, Ran: clock.Duration(dot.Counter%3 + 1), Tree: Digest(strings.Repeat("c", 64))})
		})
	case what == "decide" && !r.Finished():
		outcome := rapid.SampledFrom([]Outcome{Succeeded, Failed, Cancelled, Expired}).Draw(t, "outcome")
		edit(func(dot clock.Dot, r *Record) {
			v := Verdict{At: a.stamp(), Dot: dot, Outcome: outcome}
			if rep, ok := r.Present(); ok && rep.Phase == Done {
				v.Report = &rep
			}
			r.AddVerdict(v)
		})
	case what == "seal" && r.Finished():
		v := rapid.SampledFrom(r.Verdicts).Draw(t, "verdict")
		closes := rapid.Uint64Range(0, 2).Draw(t, "closes")
		edit(func(dot clock.Dot, r *Record) { r.SetSeal(v, closes, dot) })
	case what == "ended":
		id := rapid.SampledFrom([]ID{"p", "q"}).Draw(t, "predecessor")
		edit(func(dot clock.Dot, r *Record) {
			r.SetEnding(Ending{Job: id, At: a.stamp(), By: dot.Actor, Outcome: Succeeded, Sealed: rapid.Uint64Range(0, 2).Draw(t, "sealed")})
		})
	case what == "newer field":
		edit(func(dot clock.Dot, r *Record) {
			r.Unknown = maps.Clone(r.Unknown)
			if r.Unknown == nil {
				r.Unknown = canon.Unknown{}
			}
			// The greater encoding wins, so newer brokers must write greater values.
			r.Unknown[rapid.SampledFrom([]string{"x", "y"}).Draw(t, "field")] = map[string]any{"at": fmt.Sprintf("%08d", a.stamp()), "by": a.name}
		})
	case what == "restart":
		a.restart()
	}
}

func (a *author) report(dot clock.Dot, attempt Attempt, phase Phase) Report {
	rep := Report{Attempt: attempt, Dot: dot, At: a.stamp(), Phase: phase}
	if phase == Done {
		code := int(dot.Counter)
		rep.Result = &Result{Outcome: Failed, ExitCode: &code}
	}
	return rep
}
