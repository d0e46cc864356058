package broker

import (
	"encoding/json"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"
	"time"

	"github.com/urban-compute/ucp/broker/causal"
	"github.com/urban-compute/ucp/broker/kind"
	"github.com/urban-compute/ucp/broker/wire"
	"github.com/urban-compute/ucp/emergency"
	"github.com/urban-compute/ucp/job"
	"github.com/urban-compute/ucp/resolve"
)

// How stories show what brokers say: short lines, without times and random values.

func attemptText(a job.Attempt) string {
	if a.IsZero() {
		return "#-"
	}
	return fmt.Sprintf("#%d.%d", a.Tenure.Epoch, a.Seq)
}

func answerText(v Answer) string {
	if text, ok := dataAnswerText(v); ok {
		return text
	}
	switch v := v.(type) {
	case *Submitted:
		return submittedText(v, "")
	case *TooFewCopies:
		return submittedText((*Submitted)(v), ", fewer than demanded")
	case *UnknownPredecessors:
		return fmt.Sprintf("refused, nobody knows %v", v.IDs)
	case *Draining:
		return "refused, since this broker is leaving"
	case *ModuleAbsent:
		return "lacks its module " + string(v.Record.Module()[:4])
	case *IDTaken:
		return "conflict with the other spec of " + string(v.Record.ID)
	case *Found:
		return foundText(v, false)
	case *Cancelled:
		return foundText(v.Job, v.Wrote)
	case *NotFound:
		return "no such job"
	case *AmbiguousJob:
		return fmt.Sprintf("ambiguous %v", v.IDs)
	case *UnknownEmergency:
		return fmt.Sprintf("refused, %s is no level and no emergency; %s is", v.Name, v.Nearest)
	case *StrategySet:
		return strategyText(v.Strategy, v.Override)
	case *CaughtUp:
		return "knows all of it"
	case *StillBehind:
		return fmt.Sprintf("lacks %v", eventsText(v.Missing))
	case *Drained:
		out := fmt.Sprintf("drained, %d left", v.Left)
		if !v.Known {
			out += ", not all know what it wrote"
		}
		return out
	case *Declared:
		out := emergencyText(v.View)
		if v.Degraded {
			out += fmt.Sprintf(", %d replicas, degraded", v.Replicas)
		}
		return out
	case *MemberForgotten:
		out := fmt.Sprintf("%s is forgotten: %d of %d losses that it may bear, %d replicas", v.Name, v.Losses, v.Bear, v.Replicas)
		if v.Degraded {
			out += ", degraded"
		}
		return out
	case *MemberDrained:
		out := fmt.Sprintf("%s %s; %d jobs run there, %d replicas", v.Broker, v.text(), v.Running, v.Replicas)
		if v.Stay > 0 {
			out += fmt.Sprintf(", %d of them can't be moved", v.Stay)
		}
		if v.Waits > 0 {
			out += fmt.Sprintf(", %d wait there", v.Waits)
		}
		if v.Degraded {
			out += ", degraded"
		}
		return out
	case *KnowsNoDrain:
		return "refused, it knows no drain"
	case *NoSuchMember:
		return "no such member"
	case *MemberReachable:
		return "refused, it is there"
	case *AlreadyCleared:
		return "refused, it was cleared: " + emergencyText(v.View)
	case *Outdated:
		return "refused: " + v.Reason()
	case *InvalidDeclaration:
		return "refused: " + v.Reason
	case *TooManyDeclarations:
		return "refused: " + v.Reason
	case *AmbiguousEmergency:
		return fmt.Sprintf("ambiguous %v", v.IDs)
	case *NoSuchEmergency:
		if v.Nearest != "" {
			return fmt.Sprintf("no such emergency; %s?", v.Nearest)
		}
		return "no such emergency"
	case *Emergencies:
		var list []string
		for _, e := range v.List {
			list = append(list, emergencyText(e))
		}
		if len(list) == 0 {
			return "none"
		}
		return strings.Join(list, "; ")
	case *Listing:
		var ids []string
		for _, r := range v.Jobs {
			state := r.State()
			if slices.Contains(v.Starting, r.Key()) {
				state = job.StateStarting
			}
			id := fmt.Sprintf("%s %s", r.ID, state)
			if by := v.Emergencies[r.Key()]; by != "" {
				id += fmt.Sprintf(" (%s)", by)
			}
			if no := v.NoLevel[r.Key()]; no != "" {
				id += fmt.Sprintf(" (%s)", no)
			}
			ids = append(ids, id)
		}
		if len(ids) == 0 {
			return "none"
		}
		if v.Next != "" {
			ids = append(ids, "and more")
		}
		return strings.Join(ids, ", ")
	}
	return fmt.Sprintf("%T", v)
}

// strategyText is a strategy with what it overrides.
func strategyText(s resolve.Strategy, o *resolve.Override) string {
	if o == nil {
		return string(s)
	}
	return fmt.Sprintf("%s (while %s is in force; otherwise %s)", s, o.Emergency, o.Of)
}

// reachText tells where an emergency is in force.
func reachText(r *Reach) string {
	if r == nil {
		return "nowhere: it is over"
	}
	var out []string
	for _, x := range r.At {
		text := x.Broker + " by " + strategyText(x.Strategy, x.Override)
		if x.Unheard {
			text += " (no word yet)"
		}
		out = append(out, text)
	}
	if len(out) == 0 {
		out = []string{"nowhere"}
	}
	text := fmt.Sprintf("%s: %d of %d", strings.Join(out, ", "), len(r.At), r.Of)
	if len(r.Away) > 0 {
		text += ", away " + strings.Join(r.Away, ", ")
	}
	if r.Unmet != "" {
		text += "; " + r.Unmet
	}
	return text
}

// standingText tells what is wrong with a member.
func standingText(s Standing) string {
	var out []string
	if s.ClockOff != 0 {
		out = append(out, fmt.Sprintf("clock %v off", s.ClockOff.Round(time.Second)))
	}
	if x := s.Breaches; x.Count > 0 {
		out = append(out, fmt.Sprintf("%d breaches, the last of %s: %s", x.Count, x.Last.Rule, x.Last.What))
	}
	return strings.Join(out, ", ")
}

func submittedText(v *Submitted, more string) string {
	out := fmt.Sprintf("submitted, %d replicas", v.Replicas)
	if v.Degraded {
		out += ", degraded"
	}
	out += more
	if !v.Created {
		out += ", known already"
	}
	if v.NoLevel != "" {
		out += "; " + v.NoLevel
	}
	return out
}

func emergencyText(v *EmergencyView) string {
	r := v.Record
	out := fmt.Sprintf("%s %s %s", r.ID, r.Terms.Type, job.LevelName(r.Terms.Level))
	switch {
	case r.Finished():
		out += ", cleared"
	case v.Active:
		out += ", active until " + r.Until().Time().Format("15:04:05")
	default:
		out += ", over"
	}
	if !v.InScope {
		out += ", elsewhere"
	}
	if n := len(r.Created); n > 1 {
		out += fmt.Sprintf(", written by %d", n)
	}
	if v.Heard {
		out += ", only heard"
	}
	if p := v.Passed; p != nil {
		out += fmt.Sprintf(", level %s of %s passed over", job.LevelName(p.Terms.Level), p.Version.By.Broker())
	}
	for _, e := range v.Effects {
		to := "still"
		if e.Pause.To != 0 {
			to = "for " + e.Pause.To.Time().Sub(e.Pause.From.Time()).String()
		}
		out += fmt.Sprintf(", %s stopped (%s) for %s at %s %s", e.Job, e.Pause.Mode, e.Pause.For, e.Pause.By.Broker(), to)
	}
	return out
}

// eventText is an event without what differs from run to run.
func eventText(payload []byte) string {
	var d emergency.Declaration
	if err := json.Unmarshal(payload, &d); err != nil {
		return err.Error()
	}
	if d.Clear != "" {
		return "clear " + string(d.Clear)
	}
	return fmt.Sprintf("%s %s %s", d.ID, d.Type, d.Level)
}

func foundText(f *Found, wrote bool) string {
	out := recordText(f.Record)
	if f.Starting {
		out = "starting: " + out
	}
	if f.Provisional {
		out += ", provisional " + f.Until
	}
	if wrote {
		out += ", by this request"
	}
	if len(f.Displaced) > 0 {
		out += fmt.Sprintf(", displaced %v", f.Displaced)
	}
	if f.NoLevel != "" {
		out += ", " + f.NoLevel
	}
	if f.Why != "" {
		out += ", " + f.Why
	}
	return out
}

// recordText is a job in one line: state, owner, placement, reports, verdicts.
func recordText(r *job.Record) string {
	out := fmt.Sprintf("%s, owner %s epoch %d", r.State(), r.Owner.Actor, r.Owner.Tenure.Epoch)
	if !r.Place.IsZero() {
		out += fmt.Sprintf(", at %s %s", r.Place.Actor, attemptText(r.Place.Attempt))
		if r.Place.Try > 0 {
			out += fmt.Sprintf(" try %d", r.Place.Try)
		}
	}
	for _, rep := range r.Reports {
		out += fmt.Sprintf(", %s %s %s", rep.Dot.Actor, attemptText(rep.Attempt), rep.Phase)
		if rep.Result != nil {
			out += " " + string(rep.Result.Outcome)
			for _, x := range rep.Result.Read {
				out += fmt.Sprintf(" having read %s as %s had it", x.Job, x.By)
			}
		}
	}
	for _, e := range r.Ended {
		for _, part := range slices.Sorted(maps.Keys(e.Read)) {
			out += fmt.Sprintf(", reads %.4s, %s of %s", e.Read[part], part, e.Job)
		}
	}
	for _, x := range r.Returns {
		out += fmt.Sprintf(", returned by %s %s", x.By, attemptText(x.Attempt))
		if x.Began {
			out += " begun"
		}
		if x.Never {
			out += " for good"
		}
	}
	if left := r.Left(); left != nil && left == r.Kept {
		out += fmt.Sprintf(", kept of %s %s: %.4s", left.Dot.Actor, attemptText(left.Attempt), left.Result.Blobs()[0])
	}
	if c := r.Checkpoint; c != nil {
		out += fmt.Sprintf(", checkpoint of %s %s after %v: %.4s", c.Dot.Actor, attemptText(c.Attempt), time.Duration(c.Ran), c.Tree)
	}
	verdicts := r.Superseded()
	if v := r.Verdict(); v != nil {
		verdicts = slices.Insert(verdicts, 0, *v)
	}
	for i, v := range verdicts {
		out += fmt.Sprintf(", %s %s by %s", []string{"verdict", "superseded"}[min(i, 1)], v.Outcome, v.Dot.Actor)
		if i == 0 && r.Seal != nil {
			out += fmt.Sprintf(", sealed by %s", r.Seal.Dot.Actor)
		}
		if v.Reason != "" {
			out += fmt.Sprintf(" (%s)", v.Reason)
		}
	}
	for _, rep := range r.Late() {
		out += fmt.Sprintf(", rejected %s %s", rep.Dot.Actor, attemptText(rep.Attempt))
	}
	return out
}

func deltaText(d *wire.Delta) string {
	if d == nil {
		return ""
	}
	var ids []string
	for _, e := range d.Records {
		if r, err := job.DecodeRecord(e.Bytes); err == nil {
			ids = append(ids, string(r.ID))
		} else if e.Kind == kind.Member {
			ids = append(ids, "member "+e.Key)
		} else {
			ids = append(ids, "?")
		}
	}
	if len(ids) > 8 {
		ids = append(ids[:3], fmt.Sprintf("and %d more", len(ids)-3))
	}
	out := fmt.Sprintf(" delta since %v %v", d.Since, ids)
	if d.Clock == nil {
		return out + " without clock"
	}
	return out + fmt.Sprintf(" clock %v", d.Clock)
}

func messageText(m *wire.Message) string {
	out := fmt.Sprintf("clock %v", m.Clock)
	if m.Want {
		out += " want"
	}
	if m.Page != nil {
		out += fmt.Sprintf(" page %d", m.Page.Number)
		if m.Page.Last {
			out += " last"
		}
	}
	out += leaseText(m.Much, m.Lease)
	return out + deltaText(m.Delta)
}

func leaseText(much bool, l *wire.Lease) (out string) {
	if much {
		out += " much"
	}
	if l != nil {
		out += fmt.Sprintf(" lease of %s upto %v", l.Donor, l.Upto)
	}
	return out
}

func replyText(r *wire.Reply) string {
	out := fmt.Sprintf("clock %v", r.Clock)
	if r.Restart {
		out += " restart"
	}
	if r.Taken {
		out += " taken"
	}
	out += leaseText(r.Much, r.Lease)
	return out + deltaText(r.Delta)
}

// statsText lists the counters that are not 0.
func statsText(st Stats) string {
	var out []string
	st.Running, st.Waiting = 0, 0 // counted now and then, and not decisions
	total := uint64(0)
	for _, n := range st.Conflicts {
		total += n
	}
	st.Conflicts = [len(st.Conflicts)]uint64{}
	v := reflect.ValueOf(st)
	for i := range v.NumField() {
		if !v.Field(i).IsZero() {
			out = append(out, fmt.Sprintf("%s %v", strings.ToLower(v.Type().Field(i).Name), v.Field(i)))
		}
	}
	if total > 0 {
		out = append(out, fmt.Sprintf("conflicts %d", total))
	}
	return strings.Join(append(out, "that is all"), ", ")
}

func eventsText(c causal.Context) (out []string) {
	for _, x := range c {
		out = append(out, fmt.Sprintf("{%v %s}", x.Dot, x.Job))
	}
	return out
}
