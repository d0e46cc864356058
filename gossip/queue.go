package gossip

// How much may wait for the owner. A join of a thousand nodes is a thousand
// events at once; a state is up to 256 KiB, so that few may wait.
const (
	eventQueue = 4096
	stateQueue = 16
)

// queue is what lies between the callbacks, which must not block, and the owner,
// who may be slow. Both halves are bounded; what does not fit is dropped and
// counted. The channels are never closed: callbacks of memberlist may still run
// when its shutdown has returned.
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

// offerState queues a peer's state, or counts it as dropped: the next exchange
// brings a newer one. It never blocks.
func (q *queue) offerState(s RemoteState) {
	q.stats.statesReceived.Add(1)
	select {
	case q.states <- s:
	default:
		q.stats.statesDropped.Add(1)
	}
}

// Events delivers what happens in the pool, in the order in which Serf saw it.
// There is one owner who receives, all the time from Start to Shutdown; what it
// does not take in time is dropped and counted in Stats. The channel is never
// closed.
func (p *Pool) Events() <-chan Event { return p.queue.events }

// States delivers peers' states. There is one owner who receives; when it is
// slow, states are dropped and counted, since the next exchange repeats them. The
// channel is never closed.
func (p *Pool) States() <-chan RemoteState { return p.queue.states }
