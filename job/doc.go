// Package job says what a job is: the [Spec] that a person writes, the [Record]
// that the brokers replicate, and how two copies of a record become one.
//
// A record is a join-semilattice (Shapiro et al., "Conflict-free Replicated
// Data Types", 2011): merging is commutative, associative and idempotent, so
// any order, repetition or detour of messages gives the same record everywhere
// (rule L2). What a person wants to know of a job (its state, which result
// counts, who runs it) is derived from the record alone and never stored beside
// it (rule J2).
//
// The package is pure: no clock is read, no disk, no network.
//
// The rules that comments cite, such as A3, are defined in docs/protocol.md.
package job
