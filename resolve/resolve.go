// Package resolve decides which jobs run when not all can: it is handed a
// snapshot and returns a decision with reasons. It is where conflicts between
// jobs are settled, by one of five strategies, so that the same snapshot gives
// the same decision on every machine, can be explained, and can be replayed
// under another strategy.
//
// [Plan] is the reference: pure, total, written to be read. [Queue] is the index
// that gives the same decision (a property test holds it to that), fast enough to
// be asked on every event. They share the arithmetic of one turn (turn.go,
// victims.go, pack.go) and differ in how they find whose turn it is: Plan looks
// at everything each time, Queue keeps it sorted.
//
// All numbers are integers. A compiler may fuse a multiplication and an addition
// of floats on one machine and not on another; then the same snapshot would give
// two decisions.
//
// docs/strategies.md says what each strategy does, for those who use it.
//
// The rules that comments cite, such as C1, are defined in docs/protocol.md.
package resolve

import (
	"fmt"
	"slices"
	"strings"
)

// Strategy names how conflicts are decided.
type Strategy string

// The five strategies.
const (
	Causal    Strategy = "causal"    // happens-before first, then priority; the default
	Priority  Strategy = "priority"  // a weighted score; preempts what is worse by a margin
	Emergency Strategy = "emergency" // the emergency level is absolute; inside a level as priority
	Optimal   Strategy = "optimal"   // packs for value
	FCFS      Strategy = "fcfs"      // arrival order
)

// Default is the strategy of a broker that was told none.
const Default = Causal

// Strategies lists them all, in the order in which they are shown.
var Strategies = [...]Strategy{Causal, Priority, Emergency, Optimal, FCFS}

// All returns a list of them that may be changed.
func All() []Strategy { return slices.Clone(Strategies[:]) }

// ParseStrategy reads a strategy's name.
func ParseStrategy(name string) (Strategy, error) {
	if s := Strategy(name); slices.Contains(All(), s) {
		return s, nil
	}
	var names []string
	for _, s := range All() {
		names = append(names, string(s))
	}
	return "", fmt.Errorf("%q is no strategy; there are %s", name, strings.Join(names, ", "))
}

// preempts reports whether the strategy stops running jobs for others.
func (s Strategy) preempts() bool { return s == Priority || s == Emergency || s == Optimal }
