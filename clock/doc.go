// Package clock holds the three clocks of a broker: the vector clock, the dot
// and the hybrid logical clock. It exists because a city without an uplink has
// no time server and no leader: what happened before what must follow from the
// messages alone.
//
//   - [Dot] names one event: the n-th update written by one actor.
//   - [Vector] summarises many: entry a:n says "I hold every update of a up to n".
//     It answers happens-before (Mattern 1988; Fidge 1988).
//   - [Hybrid] orders what the vector calls concurrent (Kulkarni et al. 2014).
//     Together with the actor it is a total order that extends happens-before,
//     the one tie-break used everywhere.
//
// The package is pure: it reads no wall clock, imports nothing of ours, and all
// its values may be copied. Nothing in it locks: one goroutine owns each value.
//
// The rules that comments cite, such as I1, are defined in docs/protocol.md.
package clock
