package resolve

import (
	"fmt"
	"slices"
	"strings"
)

// Relation is that of two jobs in happens-before: whether the submitter of one had seen the other (rule C1).
type Relation string

// The relations.
const (
	isSame       Relation = "same"
	isBefore     Relation = "before"
	isAfter      Relation = "after"
	isConcurrent Relation = "concurrent"
)

// Contender explains one job of a conflict.
type Contender struct {
	Key      string   `json:"key"`
	ID       string   `json:"id"`
	Relation Relation `json:"relation"`       // to the winner
	Past     []string `json:"past,omitempty"` // jobs of this conflict that come before it
	Factors  Factors  `json:"factors"`        // its own score
	Rank     int64    `json:"rank"`           // its points with what it inherits
	Fits     bool     `json:"fits"`           // into what was free before
	Lacks    string   `json:"lacks,omitempty"`
	Outcome  string   `json:"outcome"`
}

// Alternative is what another strategy would have decided.
type Alternative struct {
	Strategy Strategy `json:"strategy"`
	Decision Decision `json:"decision"`
	Sentence string   `json:"sentence"`
}

// Explanation is all that is shown of a conflict (docs/strategies.md, "How to read an explanation").
type Explanation struct {
	Conflict    Conflict      `json:"conflict"`
	Decision    Decision      `json:"decision"`
	Contenders  []Contender   `json:"contenders"`
	Holders     []Contender   `json:"holders"` // those that ran
	Rest        int           `json:"rest"`
	Winner      string        `json:"winner,omitempty"`
	Sentence    string        `json:"sentence"`
	Alternative []Alternative `json:"alternatives"`
}

// Explain derives an explanation from the conflict's snapshot. It decides again, once under each strategy.
func (c Conflict) Explain() Explanation {
	x := newExplainer(c)
	e := Explanation{Conflict: c, Decision: x.d, Rest: c.Rest, Winner: c.Winner, Sentence: x.sentence()}
	winner := x.p.byKey[c.Winner]
	for _, w := range byTurn(slices.Clone(x.p.entries)) {
		if w.contends() {
			e.Contenders = append(e.Contenders, x.contender(w, winner))
		} else {
			e.Holders = append(e.Holders, x.contender(w, winner))
		}
	}
	for _, s := range All() {
		if s == c.Snapshot.Strategy {
			continue
		}
		other := c
		other.Snapshot.Strategy, other.Snapshot.Override = s, nil
		y := newExplainer(other)
		y.c.Winner = y.winner()
		e.Alternative = append(e.Alternative, Alternative{s, y.d, y.sentence()})
	}
	return e
}

// explainer finds the words for a conflict.
type explainer struct {
	c Conflict
	d Decision // what is decided of the conflict's snapshot
	p *plan    // that snapshot before the decision, with ranks
}

func newExplainer(c Conflict) explainer {
	x := explainer{c: c, d: Plan(c.Snapshot), p: newPlan(c.Snapshot)}
	x.p.expire()
	x.p.inherit()
	return x
}

// winner is the first that a decision favours.
func (x explainer) winner() string {
	for _, list := range [][]string{x.d.Start, x.d.Resume} {
		for _, key := range list {
			if e := x.p.byKey[key]; x.c.Kind != KeyHeld || e != nil && e.c.Exclusive == x.c.Over {
				return key
			}
		}
	}
	for _, p := range x.d.Preempt {
		if e := x.p.byKey[p.For]; x.c.Kind != KeyHeld || e != nil && e.c.Exclusive == x.c.Over {
			return p.For
		}
	}
	return ""
}

// contender explains one job; winner may be nil.
func (x explainer) contender(e, winner *entry) Contender {
	free := x.p.free()
	out := Contender{
		Key: e.c.Key, ID: e.c.name(), Relation: x.relation(e, winner), Past: x.past(e),
		Factors: x.p.weights.Score(e.c, x.p.now), Rank: x.p.weights.points(e.eff.score, x.p.now),
		Lacks: free.Lacks(e.need()), Outcome: x.outcome(e.c.Key),
	}
	if e.state == running {
		out.Lacks = ""
	}
	out.Fits = out.Lacks == ""
	return out
}

// outcome says what was decided for a job: in a word, or why it waits.
func (x explainer) outcome(key string) string {
	switch {
	case slices.Contains(x.d.Start, key):
		return "starts"
	case slices.Contains(x.d.Resume, key):
		return "resumes"
	}
	for _, p := range x.d.Preempt {
		if p.Victim == key && p.Mode == "suspend" {
			return "is suspended for " + x.name(p.For) + ": " + p.Why
		} else if p.Victim == key {
			return "is requeued for " + x.name(p.For) + ": " + p.Why
		}
	}
	for _, list := range [][]Reason{x.d.Expire, x.d.Defer} {
		for _, r := range list {
			if r.Key == key {
				return r.Why
			}
		}
	}
	return "runs on"
}

// name is what a person calls the job of this key.
func (x explainer) name(key string) string {
	if e := x.p.byKey[key]; e != nil {
		return e.c.name()
	}
	return key
}

// before reports whether a comes before b: b's submitter had seen it, or something
// that came after it.
func (x explainer) before(a, b *entry, seen map[string]bool) bool {
	for _, key := range slices.Concat(b.c.Deps, b.c.After) {
		if key == a.c.Key {
			return true
		}
		if d := x.p.byKey[key]; d != nil && !seen[key] {
			seen[key] = true
			if x.before(a, d, seen) {
				return true
			}
		}
	}
	return false
}

// relation says how a job stands to the winner, which may be nil.
func (x explainer) relation(e, winner *entry) Relation {
	switch {
	case winner == nil || e == nil:
		return isConcurrent
	case e == winner:
		return isSame
	case x.before(e, winner, map[string]bool{}):
		return isBefore
	case x.before(winner, e, map[string]bool{}):
		return isAfter
	}
	return isConcurrent
}

// past lists the jobs of the conflict that come before one.
func (x explainer) past(e *entry) (out []string) {
	for _, f := range x.p.entries {
		if f != e && x.before(f, e, map[string]bool{}) {
			out = append(out, f.c.name())
		}
	}
	slices.Sort(out)
	return out
}

// sentence says what was decided and why, in one sentence for a person on duty.
func (x explainer) sentence() string {
	if x.c.Kind == Twice && x.c.At != "" {
		return fmt.Sprintf("%s ran here and, in a newer attempt, at %s; it goes on at %s alone.", x.name(x.c.Over), x.c.At, x.c.At)
	}
	if x.c.Kind == Twice {
		return fmt.Sprintf("%s was to run twice here; it runs once.", x.name(x.c.Over))
	}
	w, l := x.p.byKey[x.c.Winner], x.loser()
	if w == nil {
		if l == nil {
			return fmt.Sprintf("Under %s no job waits.", x.under())
		}
		return fmt.Sprintf("Under %s %s waits: %s.", x.under(), l.c.name(), x.outcome(l.c.Key))
	}
	var b strings.Builder
	fmt.Fprintf(&b, "Under %s %s %s", x.under(), w.c.name(), x.does(w))
	if l != nil {
		if l.state != running {
			fmt.Fprintf(&b, " before %s", l.c.name())
			if n := x.others(l); n > 0 {
				fmt.Fprintf(&b, " and %d more", n)
			}
		}
		fmt.Fprintf(&b, ": %s", x.because(w, l))
		if x.c.Kind == KeyHeld {
			fmt.Fprintf(&b, "; one at a time may have %s", x.c.Over)
		} else if lack := x.lackTogether(l); lack != "" {
			fmt.Fprintf(&b, "; %s %s", l.c.name(), lack)
		}
	}
	return b.String() + "."
}

// under names the strategy and, if an emergency has put it in the place of another, that.
func (x explainer) under() string {
	if o := x.c.Snapshot.Override; o != nil {
		return fmt.Sprintf("%s (while %s is in force; otherwise %s)", x.p.strategy.name, o.Emergency, o.Of)
	}
	return string(x.p.strategy.name)
}

// does says what the winner does.
func (x explainer) does(w *entry) string {
	var victims []string
	how := ""
	for _, p := range x.d.Preempt {
		if p.For == w.c.Key {
			victims = append(victims, x.name(p.Victim))
			how = string(p.Mode) + "s"
		}
	}
	switch {
	case len(victims) > 0:
		return how + " " + strings.Join(victims, ", ") + " and runs"
	case w.state == suspended:
		return "resumes"
	}
	return "runs"
}

// loser is the first job, in the order of turns, that waits for what the conflict is over; else the first that
// leaves for the winner, or nil.
func (x explainer) loser() *entry {
	for _, e := range byTurn(slices.Clone(x.p.entries)) {
		if x.loses(e) {
			return e
		}
	}
	for _, p := range x.d.Preempt {
		if p.For == x.c.Winner {
			return x.p.byKey[p.Victim]
		}
	}
	return nil
}

// loses reports whether a job waits for what the conflict is over.
func (x explainer) loses(e *entry) bool {
	over := x.c.Kind != KeyHeld || e.state == pending && e.c.Exclusive == x.c.Over
	return over && e.contends() && e.c.Key != x.c.Winner && !x.moves(e)
}

// moves reports whether the decision starts or resumes a job, or makes others leave for it.
func (x explainer) moves(e *entry) bool {
	return slices.Contains(x.d.Start, e.c.Key) || slices.Contains(x.d.Resume, e.c.Key) ||
		slices.ContainsFunc(x.d.Preempt, func(p Preempt) bool { return p.For == e.c.Key })
}

// others counts the jobs that wait besides the first loser.
func (x explainer) others(l *entry) int {
	n := x.c.Rest
	for _, e := range x.p.entries {
		if e != l && x.loses(e) {
			n++
		}
	}
	return n
}

// because says why w goes before l: by what the strategy looks at, in the order in which it does.
func (x explainer) because(w, l *entry) string {
	if x.p.strategy.causal && x.before(w, l, map[string]bool{}) {
		return fmt.Sprintf("%s had been seen when %s was submitted", w.c.name(), l.c.name())
	}
	for _, p := range x.d.Preempt {
		if p.Victim == l.c.Key {
			return p.Why
		}
	}
	if w.holdsKey() && w.c.Exclusive == l.c.Exclusive {
		return fmt.Sprintf("it holds %s, which %s needs", w.c.Exclusive, l.c.name())
	}
	p, q := x.p.weights.points(w.eff.score, x.p.now), x.p.weights.points(l.eff.score, x.p.now)
	inherited := ""
	if w.eff != w.own {
		inherited = ", which it has from a job that waits for it"
	}
	switch {
	case w.eff.first > l.eff.first:
		return x.p.strategy.outranks(w.eff.first, l.eff.first) + inherited
	case w.eff.first < l.eff.first:
		return "what comes before it can't use the room"
	case x.p.strategy.wins != nil:
		return x.p.strategy.wins(p, q)
	case p > q:
		return fmt.Sprintf("%d points against %d%s", p, q, inherited)
	case w.turn(l) < 0 && x.p.strategy.unscored:
		return "it came first"
	case w.turn(l) < 0:
		return "it came first, at as many points"
	case x.p.strategy.unscored:
		return "what came first does not need the same"
	}
	return "what has more points can't use the room"
}

// lackTogether says what the loser lacks once all has started that the decision starts.
func (x explainer) lackTogether(l *entry) string {
	if l.state == running {
		return ""
	}
	r := newRoom(x.p.free())
	for _, key := range slices.Concat(x.d.Start, x.d.Resume) {
		r.take(x.p.byKey[key].need())
	}
	return r.Lacks(l.need())
}
