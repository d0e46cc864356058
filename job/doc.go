// Package job defines jobs: the [Spec] that a person writes, the [Record]
// that the brokers replicate, and how two copies of a record are merged.
//
// Records form a join-semilattice (Shapiro et al., "Conflict-free Replicated
// Data Types", 2011): merging is commutative, associative and idempotent, so
// any order or repetition of messages gives the same record everywhere
// (rule L2). What people want to know about a job (its state, which result
// counts, which broker runs it) is derived from the record and never stored
// (rule J2). Rules cited by number (A3, C1, C3, C4, I1, J1 to J5, L2 to L11) are in
// docs/protocol.md.
//
// The package is pure: it uses no clock, no disk and no network.
package job
