package gossip

// How many events and states may wait for the owner. A join of a thousand nodes is a thousand events at once.
// A state has up to 256 KiB, so only a few may wait.
const (
	eventQueue = 4096
	stateQueue = 16
)

// queue lies between the callbacks, which must not block, and the owner, which may be slow. Both channels are
// bounded; what does not fit is dropped and counted. They are never closed, because callbacks of memberlist
// may still run when its shutdown has returned.
type queue struct {
	events chan Event
	states chan RemoteState
	stats  *counters
}

func newQueue(stats *counters) *queue {
	return &queue{
		events: make(chan Event, eventQueue),
		states: make(chan RemoteState, stateQueue),
		stats:  stats,
	}
}

// offer queues an event, or counts it as dropped. It never blocks.
func (q *queue) offer(e Event) {
	select {
	case q.events <- e:
	default:
		q.stats.eventsDropped.Add(1)
	}
}

// offerState queues a peer's state, or counts it as dropped: the next exchange brings a newer one. It never
// blocks.
func (q *queue) offerState(s RemoteState) {
	q.stats.statesReceived.Add(1)
	select {
	case q.states <- s:
	default:
		q.stats.statesDropped.Add(1)
	}
}

// Events delivers what happens in the cluster, in the order in which Serf saw it. The owner must receive from
// it all the time from Start to Shutdown; events that do not fit into the queue of 4096 are dropped. The
// channel is never closed.
func (p *Pool) Events() <-chan Event { return p.queue.events }

// States delivers peers' states. The owner must receive from it; states that do not fit into the queue of 16
// are dropped, because the next exchange repeats them. The channel is never closed.
func (p *Pool) States() <-chan RemoteState { return p.queue.states }
