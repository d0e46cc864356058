package broker

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/urban-compute/ucp/clock"
	"github.com/urban-compute/ucp/emergency"
	"github.com/urban-compute/ucp/job"
	"github.com/urban-compute/ucp/resolve"
)

// Notes tell watchers what happens, in the order in which this broker comes to know it. Nothing
// rests on them: a watcher that missed one asks.

func (c *core) note(n Note) {
	n.At = c.cityTime()
	c.out.Notes = append(c.out.Notes, n)
}

// tellEmergency notes what has become of an emergency, of which was known until then what old says, if anything.
func (c *core) tellEmergency(what string, old, r *emergency.Record) {
	where := "for all brokers"
	if len(r.Terms.Scope) > 0 {
		where = "where " + strings.Join(r.Terms.Scope, " and ")
	}
	text := fmt.Sprintf("%s: %s, level %s, %s, until %s", r.ID, r.Terms.Type, job.LevelName(r.Terms.Level), where, r.Until().Time().Format("2006-01-02 15:04:05 MST"))
	switch {
	case what == cleared:
		if text = fmt.Sprintf("%s is cleared", r.ID); r.Declared == 0 {
			text += ", of which nothing else is known here: a clear takes the whole ID"
		}
	case what == ended:
		text = fmt.Sprintf("%s: its time is over", r.ID)
	case r.Terms.Message != "":
		text += ": " + r.Terms.Message
	}
	if apart := toldApart(old, r); what == altered && apart != "" {
		text += "; " + apart
	}
	c.note(Note{Kind: "emergency", ID: string(r.ID), What: what, Text: text, Emergency: r})
}

// toldApart says that terms replace others whose writer had not seen them, as after a split (rule E3), and which those are; "" when
// they are a change of those.
func toldApart(old, r *emergency.Record) string {
	if old == nil || old.Version == r.Version || old.Version.Seq != r.Version.Seq {
		return ""
	}
	return fmt.Sprintf("this was said at %s while %s said level %s, neither having heard of the other: the later one stands", cmp.Or(r.Version.By.Broker(), "a stock command line"), cmp.Or(old.Version.By.Broker(), "a stock command line"), job.LevelName(old.Terms.Level))
}

// tellDisplaced notes that a running job makes room for another.
func (c *core) tellDisplaced(p resolve.Preempt) {
	what := "suspended"
	if p.Mode == job.Requeue {
		what = "requeued"
	}
	text := fmt.Sprintf("%s makes room for %s at %s: %s", idOf(p.Victim), idOf(p.For), c.self, p.Why)
	if p.Why == "" {
		text = strings.TrimSuffix(text, ": ")
	}
	c.note(Note{Kind: "preemption", ID: string(idOf(p.Victim)), What: what, Text: text, Place: c.self, For: idOf(p.For)})
}

// tellPauses notes that jobs make room at other brokers, as this one hears of it.
func (c *core) tellPauses(old, r *job.Record) {
	if old == nil || len(r.Pauses) == 0 {
		return
	}
	for _, p := range r.Pauses {
		at := p.By.Broker()
		known := func(k job.Pause) bool { return k.From == p.From && k.By == p.By && k.For == p.For }
		if at == c.self || slices.ContainsFunc(old.Pauses, known) {
			continue
		}
		what, text := "suspended", fmt.Sprintf("%s makes room for %s at %s", r.ID, p.For, at)
		if p.Mode == job.Requeue {
			what = "requeued"
		}
		if p.Emergency != "" {
			text += ", because of " + p.Emergency
		}
		c.note(Note{Kind: "preemption", ID: string(r.ID), What: what, Text: text, Place: at, For: p.For})
	}
}

// tellState notes a job's new state, when somebody watches, for there may be thousands a second, and reports whether it is
// new. One that runs by its record may only start.
func (c *core) tellState(old, r *job.Record, starts bool) bool {
	if !c.watched {
		return false
	}
	state := r.State()
	if old != nil && old.State() == state && (state.Final() || old.Place.Broker == r.Place.Broker) {
		return false // where one that has ended was placed last says nothing of who has ended it
	}
	if starts {
		state = job.StateStarting
	}
	text := fmt.Sprintf("%s %s", r.ID, stateWords(state))
	if !r.Place.IsZero() {
		text += " at " + r.Place.Broker
	}
	if v := r.Verdict(); v != nil && v.Reason != "" {
		text += ": " + v.Reason
	}
	c.note(Note{Kind: "job", ID: string(r.ID), What: string(state), Text: text, Place: r.Place.Broker, Job: r})
	return true
}

// tellLosers notes results of a job that do not count, of which this broker comes to know: after a split it may have run
// twice, and what this broker has shown may lose. They are few, and are told to all who watch.
func (c *core) tellLosers(old, r *job.Record) {
	if old == nil {
		return
	}
	for _, rep := range r.Late() {
		known := func(k job.Report) bool { return k.Attempt == rep.Attempt }
		if slices.ContainsFunc(old.Late(), known) {
			continue
		}
		loser := rep.Dot.Actor.Broker()
		text := fmt.Sprintf("%s ran twice: %s %s at %s, too; %s", r.ID, loser, rep.Result.Outcome, clock.TimeOf(rep.At).Time().Format("15:04:05"), c.whatCounts(r))
		c.note(Note{Kind: "job", ID: string(r.ID), What: "rejected", Text: text, Place: loser, Job: r})
	}
}

// whatCounts says how a job has ended.
func (c *core) whatCounts(r *job.Record) string {
	v := r.Verdict()
	if a := r.Accepted(); a != nil {
		return fmt.Sprintf("%s's result (%s) came first and counts", a.Dot.Actor.Broker(), v.Outcome)
	}
	return fmt.Sprintf("it had ended before: %s", v.Outcome)
}

// stateWords says in words where a job stands.
func stateWords(s job.State) string {
	switch s {
	case job.StateSucceeded, job.StateFailed, job.StateExpired:
		return "has " + string(s)
	}
	return "is " + string(s)
}
