package gossip

import "sync/atomic"

// Stats counts, since Start, what a pool carried, and above all what it dropped:
// every bounded queue here drops rather than blocks, and no drop is silent.
type Stats struct {
	StatesReceived   uint64 // remote states offered to the owner, dropped ones included
	StatesDropped    uint64 // of these: not delivered, the owner's queue was full
	StatesMalformed  uint64 // trailers that were damaged or beyond MaxState (L11)
	OwnStateTooLong  uint64 // exchanges that left out our own state, beyond MaxState (L11)
	EventsDropped    uint64 // events not delivered, the owner's queue was full
	QueriesAnswered  uint64 // answers sent to ucp: queries
	QueriesRefused   uint64 // ucp: queries not answered, too many at once
	AnswersTooLong   uint64 // answers replaced by an error, beyond MaxAnswer
	RPCEventsDropped uint64 // events that RPC clients (serf monitor) missed
	RPCEventsRefused uint64 // events of ours that RPC clients sent too fast
}

// Stats returns the counters at this moment. Anyone may call it at any time.
func (p *Pool) Stats() Stats {
	c := &p.stats
	return Stats{
		StatesReceived:   c.statesReceived.Load(),
		StatesDropped:    c.statesDropped.Load(),
		StatesMalformed:  c.remoteStateMalformed.Load(),
		OwnStateTooLong:  c.ownStateTooLong.Load(),
		EventsDropped:    c.eventsDropped.Load(),
		QueriesAnswered:  c.queriesAnswered.Load(),
		QueriesRefused:   c.queriesRefused.Load(),
		AnswersTooLong:   c.answersTooLong.Load(),
		RPCEventsDropped: c.rpcEventsDropped.Load(),
		RPCEventsRefused: c.rpcEventsRefused.Load(),
	}
}

// counters count what the pool dropped or refused; see Stats for their meaning.
type counters struct {
	eventsDropped, statesDropped          atomic.Uint64
	remoteStateMalformed, ownStateTooLong atomic.Uint64
	queriesAnswered, queriesRefused       atomic.Uint64
	answersTooLong, rpcEventsDropped      atomic.Uint64
	rpcEventsRefused                      atomic.Uint64
	statesReceived                        atomic.Uint64
}
