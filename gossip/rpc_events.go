package gossip

import (
	"maps"
	"slices"
	"sync"

	"github.com/hashicorp/serf/cmd/serf/command/agent"
	"github.com/hashicorp/serf/serf"
)

const (
	// rpcEventQueue is how many events may wait for one client.
	rpcEventQueue = 512
	// maxStreams and maxPendingQueries bound what one client may ask us to
	// remember.
	maxStreams        = 16
	maxPendingQueries = 64
)

// rpcEvents streams events to one client that asked for them (serf monitor), in
// place of the agent. The agent's own streaming has a race: its event loop copies
// the list of streams and then sends to each, while the handler of a client that
// goes away closes that client's stream. A send in between panics, and would take
// the broker with it. Here one goroutine a client sends, and is waited for.
type rpcEvents struct {
	out   *rpcOutput
	stats *counters
	in    chan serf.Event
	quit  chan struct{}
	once  sync.Once // starts the loop, with the first stream
	loop  sync.WaitGroup

	mu      sync.Mutex
	streams map[uint64][]agent.EventFilter // by the Seq that asked for it
	queries map[uint64]*serf.Query         // the client may still respond to them
	lastID  uint64
}

// Records of a stream, as clients know them.
type (
	rpcMemberRecord struct {
		Event   string
		Members []agent.Member
	}
	rpcUserRecord struct {
		Event    string
		LTime    serf.LamportTime
		Name     string
		Payload  []byte
		Coalesce bool
	}
	rpcQueryRecord struct {
		Event   string
		ID      uint64 // to respond with
		LTime   serf.LamportTime
		Name    string
		Payload []byte
	}
)

func newRPCEvents(out *rpcOutput, stats *counters) *rpcEvents {
	return &rpcEvents{
		out: out, stats: stats, in: make(chan serf.Event, rpcEventQueue), quit: make(chan struct{}),
		streams: map[uint64][]agent.EventFilter{}, queries: map[uint64]*serf.Query{},
	}
}

// add begins a stream of the wanted types of events. It returns what the client is
// told when it cannot.
func (r *rpcEvents) add(seq uint64, types string) (complaint string) {
	filters := agent.ParseEventFilter(types)
	if slices.ContainsFunc(filters, func(f agent.EventFilter) bool { return !f.Valid() }) {
		return "Invalid event filter"
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if _, ok := r.streams[seq]; ok {
		return "Stream with given sequence exists"
	}
	if len(r.streams) == maxStreams {
		return "Too many streams on one connection"
	}
	r.once.Do(func() { r.loop.Go(r.forward) })
	r.streams[seq] = filters
	return ""
}

// remove ends a stream, if it is one of events.
func (r *rpcEvents) remove(seq uint64) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	_, ok := r.streams[seq]
	delete(r.streams, seq)
	return ok
}

// offer queues an event for the client. It never blocks.
func (r *rpcEvents) offer(e serf.Event) {
	select {
	case r.in <- e:
	default:
		r.stats.rpcEventsDropped.Add(1)
	}
}

// forward sends events to the client until the connection ends.
func (r *rpcEvents) forward() {
	for {
		select {
		case <-r.quit:
			return
		case e := <-r.in:
			for _, seq := range r.wanting(e) {
				if !r.sendTo(seq, e) {
					return // the connection is broken; its handler sees it too
				}
			}
		}
	}
}

// wanting returns the streams that want an event, in order.
func (r *rpcEvents) wanting(e serf.Event) (seqs []uint64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, seq := range slices.Sorted(maps.Keys(r.streams)) {
		if slices.ContainsFunc(r.streams[seq], func(f agent.EventFilter) bool { return f.Invoke(e) }) {
			seqs = append(seqs, seq)
		}
	}
	return seqs
}

// sendTo sends one event on one stream; false means that none can be sent.
func (r *rpcEvents) sendTo(seq uint64, e serf.Event) bool {
	message, err := encodeRPC(rpcReply{Seq: seq}, r.record(e))
	if err != nil {
		return false
	}
	room, err := r.out.send(message)
	if !room {
		r.stats.rpcEventsDropped.Add(1)
	}
	return err == nil
}

// record renders an event as clients know it.
func (r *rpcEvents) record(e serf.Event) any {
	switch e := e.(type) {
	case serf.UserEvent:
		return rpcUserRecord{Event: e.EventType().String(), LTime: e.LTime, Name: e.Name, Payload: e.Payload, Coalesce: e.Coalesce}
	case *serf.Query:
		return rpcQueryRecord{Event: e.EventType().String(), ID: r.remember(e), LTime: e.LTime, Name: e.Name, Payload: e.Payload}
	case serf.MemberEvent:
		record := rpcMemberRecord{Event: e.String()}
		for _, m := range e.Members {
			record.Members = append(record.Members, agent.Member{
				Name: m.Name, Addr: m.Addr, Port: m.Port, Tags: m.Tags, Status: m.Status.String(),
				ProtocolMin: m.ProtocolMin, ProtocolMax: m.ProtocolMax, ProtocolCur: m.ProtocolCur,
				DelegateMin: m.DelegateMin, DelegateMax: m.DelegateMax, DelegateCur: m.DelegateCur,
			})
		}
		return record
	}
	return nil
}

// remember keeps a query, so that the client can respond; only the newest are kept.
func (r *rpcEvents) remember(q *serf.Query) (id uint64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.lastID++
	maps.DeleteFunc(r.queries, func(id uint64, _ *serf.Query) bool { return id+maxPendingQueries <= r.lastID })
	r.queries[r.lastID] = q
	return r.lastID
}

// respond answers a remembered query for the client, and returns what the client
// is told, "" for success. Serf refuses what is too long, too late or the second.
func (r *rpcEvents) respond(id uint64, payload []byte) (complaint string) {
	r.mu.Lock()
	q := r.queries[id]
	r.mu.Unlock()
	if q == nil {
		return "No pending queries matching ID"
	}
	if err := q.Respond(payload); err != nil {
		return err.Error()
	}
	return ""
}

// close ends the streaming and waits for it. The connection must be closed, so
// that no write hangs.
func (r *rpcEvents) close() {
	close(r.quit)
	r.loop.Wait()
}
