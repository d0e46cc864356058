// Package clock provides the logical clocks of a broker: dots, the vector clock
// and the hybrid logical clock. It exists because a city without an uplink has
// no time server and no leader, so the order of events must follow from the
// messages alone. Rules cited by number (I1, I3) are in docs/protocol.md.
//
//   - [Dot] identifies one event: the n-th update written by one actor.
//   - [Vector] summarises many events: the entry a:n means "I hold every update of a up to n".
//     It answers happens-before (Mattern 1988; Fidge 1988).
//   - [Hybrid] orders events that are concurrent by the vector clock (Kulkarni et al. 2014).
//     Together with the actor it is a total order that extends happens-before; it is
//     the tie-break that is used everywhere.
//   - [Time] and [Duration] are instants and durations as they are stored and shown.
//
// The package is pure: it reads no wall clock and imports no other package of this module.
// Nothing in it locks: each value belongs to one goroutine.
package clock
