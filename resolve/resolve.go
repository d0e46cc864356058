// Package resolve decides which jobs run when not all can: it is handed a snapshot and returns a decision with
// reasons. The same snapshot gives the same decision on every machine; it can be explained, and replayed under
// another strategy.
//
// How a strategy decides is one row of the table in strategies.go: what it looks at, whether it displaces running
// jobs, and the words in which it explains itself. All else is the same for all of them.
//
// [Plan] is the reference: pure, total, written to be read. [Queue] is the index that gives the same decision
// (a property test holds it to that), fast enough to be asked on every event. They share the arithmetic of one
// turn (turn.go, victims.go, pack.go) and differ in how they find the job whose turn it is: Plan looks at
// everything each time, Queue keeps it sorted.
//
// All numbers are integers. A compiler may fuse a multiplication and an addition of floats on one machine and
// not on another; then the same snapshot would give two decisions.
//
// docs/strategies.md says what each strategy does, for users. The rules that comments cite (C1, J10, ...) are
// those of docs/protocol.md.
package resolve
