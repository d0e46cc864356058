package gossip

// What the tests in package gossip_test need beyond the exported names.
const (
	MaxAnswer       = maxAnswer
	MaxEventPayload = maxEventPayload
	MaxState        = maxState
)

// Stats is a copy of a pool's counters; see counters for their meaning.
type Stats struct {
	StatesReceived, StatesDropped, StatesMalformed, OwnStateTooLong uint64
	EventsDropped, RPCEventsDropped, RPCEventsRefused               uint64
	QueriesAnswered, QueriesRefused, AnswersTooLong                 uint64
}

// Stats returns the counters at this moment.
func (p *Pool) Stats() Stats {
	c := &p.stats
	return Stats{
		StatesReceived:   c.statesReceived.Load(),
		StatesDropped:    c.statesDropped.Load(),
		StatesMalformed:  c.statesMalformed.Load(),
		OwnStateTooLong:  c.ownStateTooLong.Load(),
		EventsDropped:    c.eventsDropped.Load(),
		RPCEventsDropped: c.rpcEventsDropped.Load(),
		RPCEventsRefused: c.rpcEventsRefused.Load(),
		QueriesAnswered:  c.queriesAnswered.Load(),
		QueriesRefused:   c.queriesRefused.Load(),
		AnswersTooLong:   c.answersTooLong.Load(),
	}
}
