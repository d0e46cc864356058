package resolve

import (
	"fmt"
	"slices"
	"strings"

	"github.com/urban-compute/ucp/label"
)

// Strategy names how conflicts are decided.
type Strategy string

// The names of the first five strategies. A later one has its name in its own file.
const (
	Causal    Strategy = "causal"
	Priority  Strategy = "priority"
	Emergency Strategy = "emergency"
	Optimal   Strategy = "optimal"
	FCFS      Strategy = "fcfs"
)

// Default is the strategy of a broker that was told none.
const Default = Causal

// strategies has a row for each strategy, in the order in which they are shown. All that tells one from another
// stands in its row: nothing else in this module asks for a strategy by its name (TestRowsAreTheOnlyPlace).
// CONTRIBUTING.md says how one is added: a row at the end, and a file with what the row refers to, as
// emergency.go.
var strategies = [...]strategy{
	{
		name: Causal, help: "what your submitter had seen comes first; the others by score",
		causal: true, levels: "goes before others that wait, by score; it stops no running job",
	},
	{
		name: Priority, help: "the higher score first; stops running jobs that are worse by a margin",
		preempts: true, levels: "goes first, by score; it stops running jobs that are worse by a margin, if it needs their room",
	},
	{
		name: Emergency, help: "the emergency level is absolute; stops lower levels",
		preempts: true, commanded: true, levels: "goes first; it stops running jobs of lower levels, if it needs their room",
		first: levelFirst, tier: levelTier, outranks: levelOutranks,
	},
	{
		name: Optimal, help: "packs the most value into what there is",
		preempts: true, packs: true, levels: "is worth more; it stops running jobs that are worth less, if it needs their room",
		ahead: "job of higher value", displaces: valueDisplaces, wins: valueWins,
	},
	{
		name: FCFS, help: "first come, first served",
		unscored: true, levels: "waits like all others; it stops no running job",
		ahead: "job that came first",
	},
	{
		name: EDF, help: "the earliest deadline first, those without one by score; stops what is due later",
		preempts: true,
		levels:   "goes before others of the same deadline, or without one; it stops running jobs that are due later, if it needs their room",
		first:    dueFirst, tier: dueTier, outranks: dueOutranks,
	},
}

// strategy is a row: what the decision and the words of a strategy are made of. What a row leaves out is as under
// [Priority]. Whose turn it is depends, in this order, on causes (where the strategy is causal), first, the score
// (unless it is unscored) and arrival, the earlier one first.
type strategy struct {
	name Strategy
	help string // one line for users: what it does

	levels string // what becomes of a job with an emergency's level, for users

	causal   bool // what a job's submitter had seen has its turn before that job (rule C1)
	preempts bool // it stops running jobs for others
	packs    bool // it weighs sets of jobs against each other by value, and not one job after the other (pack.go)
	unscored bool // it looks at no score

	commanded bool // an emergency of a high level puts it in the place of others (rule E5)

	// first is what the strategy looks at before the score: the candidate of which it is greater has its turn
	// first and, where the strategy preempts, displaces the other without a margin. It sees the candidate alone,
	// and is asked again whenever that changes. No value is less than -1<<62. nil: nothing comes before the score.
	first func(*Candidate) int64
	// tier is, of a running job's first, how late it becomes a victim: those of a lower tier go before it, from
	// 0 to a few. nil: all are in one tier, and the least work lost decides.
	tier func(first int64) int64

	// outranks says why a job goes before one whose first is lower. A strategy with first has it.
	outranks func(first, lower int64) string
	// displaces says why a job of so many points displaces one of so many others; wins, why it goes before one
	// that waits.
	displaces func(points, others int64) string
	wins      func(points, others int64) string
	// ahead is what a job is called that has its turn before another: "behind 2 more urgent jobs". The word job in
	// it gets its plural.
	ahead string
}

// firstOf is the candidate's first, 0 where the strategy has none.
func (s *strategy) firstOf(c *Candidate) int64 {
	if s.first == nil {
		return 0
	}
	return s.first(c)
}

// tierOf is the tier of a running job of this first.
func (s *strategy) tierOf(first int64) int64 {
	if s.tier == nil {
		return 0
	}
	return s.tier(first)
}

// row returns a strategy's row. A name that this version does not know orders by score, and preempts nobody: a
// snapshot of any content is decided on.
func (s Strategy) row() *strategy {
	for i := range strategies {
		if strategies[i].name == s {
			return &strategies[i]
		}
	}
	return &strategy{name: s}
}

// All lists the strategies in the order in which they are shown. The list is the caller's.
func All() []Strategy {
	out := make([]Strategy, len(strategies))
	for i := range strategies {
		out[i] = strategies[i].name
	}
	return out
}

// Names returns their names as All orders them, with sep between.
func Names(sep string) string {
	var names []string
	for _, s := range All() {
		names = append(names, string(s))
	}
	return strings.Join(names, sep)
}

// aliases are the names by which the prototype of this platform called its strategies.
var aliases = map[string]Strategy{
	"vector_clock_causal": Causal, "priority_based": Priority, "emergency_first": Emergency, "resource_optimal": Optimal,
	"first_come_first_served": FCFS, "FCFS": FCFS,
}

// ParseStrategy reads a strategy's name, or the one that the prototype had for it. The error names those that there are.
func ParseStrategy(name string) (Strategy, error) {
	if s := Strategy(name); slices.Contains(All(), s) {
		return s, nil
	}
	if s, ok := aliases[name]; ok {
		return s, nil
	}
	return "", fmt.Errorf("unknown strategy %q; %s", name, label.OneOf(name, strings.Split(Names(" "), " ")))
}

// Commanded returns the strategy that decides while an emergency of a high level is in force and chosen was chosen, and what
// it overrides; nil if that is the chosen one (rule E5).
func Commanded(chosen Strategy, emergency string) (Strategy, *Override) {
	if !chosen.row().commanded {
		for i := range strategies {
			if strategies[i].commanded {
				return strategies[i].name, &Override{Emergency: emergency, Of: chosen}
			}
		}
	}
	return chosen, nil
}

// Levels says in a line, for users, what becomes of a job that has an emergency's level; "" of an unknown strategy.
func (s Strategy) Levels() string { return s.row().levels }

// Help says in a line, for users, what the strategy does; "" of an unknown one.
func (s Strategy) Help() string { return s.row().help }

// Causal reports whether jobs wait for what their submitters had seen (rule C1).
func (s Strategy) Causal() bool { return s.row().causal }

// LevelsFirst reports whether a job of a higher emergency level stops those of lower ones, whatever their scores.
func (s Strategy) LevelsFirst() bool { return s.row().commanded }

// Packs reports whether the strategy weighs sets of jobs against each other. A decision then takes
// longer than one that looks at one job after the other (docs/strategies.md, "What it costs").
func (s Strategy) Packs() bool { return s.row().packs }

// Counts counts something for each strategy. It is an array, and so is copied whole.
type Counts [len(strategies)]uint64

// Add counts one more for a strategy; an unknown one is not counted.
func (c *Counts) Add(s Strategy) {
	for i := range strategies {
		if strategies[i].name == s {
			c[i]++
		}
	}
}

// Of returns what was counted for a strategy.
func (c *Counts) Of(s Strategy) uint64 {
	for i := range strategies {
		if strategies[i].name == s {
			return c[i]
		}
	}
	return 0
}
