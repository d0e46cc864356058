package gossip

import "sync/atomic"

// counters count, since Start, what a pool carried, and above all what it dropped: every bounded queue in this
// package drops rather than blocks, and counts each drop.
type counters struct {
	statesReceived   atomic.Uint64 // remote states offered to the owner, including those that were dropped
	statesDropped    atomic.Uint64 // remote states that were not delivered because the owner's queue was full
	statesMalformed  atomic.Uint64 // trailers that were damaged or beyond maxState (rule L11)
	ownStateTooLong  atomic.Uint64 // exchanges without our own state, because it was beyond maxState (rule L11)
	eventsDropped    atomic.Uint64 // events that were not delivered because the owner's queue was full
	rpcEventsDropped atomic.Uint64 // events that RPC clients (serf monitor) missed
	rpcEventsRefused atomic.Uint64 // events with a ucp: name that RPC clients sent too fast
	queriesAnswered  atomic.Uint64 // answers sent to ucp: queries
	queriesRefused   atomic.Uint64 // ucp: queries that were not answered because too many came at once
	answersTooLong   atomic.Uint64 // answers beyond maxAnswer, which were replaced by an error
}
