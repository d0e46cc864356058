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
package resolve
