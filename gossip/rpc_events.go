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
	// maxStreams and maxPendingQueries limit what one client may make us remember.
	maxStreams        = 16
	maxPendingQueries = 64
)

// rpcEvents streams events to one client that has asked for them (serf monitor), instead of the agent. The
// agent's own streaming has a race: its event loop copies the list of streams and then sends to each, while
// the handler of a client that disconnects closes that client's stream. A send on a closed stream panics,
// which would end the broker. Here, one goroutine per client sends, and the handler waits for it.
type rpcEvents struct {
	out   *rpcOutput
	stats *counters
	in    chan serf.Event
	quit  chan struct{}
	once  sync.Once // starts the loop, with the first stream
	loop  sync.WaitGroup

	mu      sync.Mutex
	streams map[uint64][]agent.EventFilter // by the Seq of the request
	queries map[uint64]*serf.Query         // queries to which the client may still respond
	lastID  uint64
}

// The records of a stream, as clients expect them.
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
		ID      uint64 // identifies the query in a respond request
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

// add begins a stream of the given types of events. It returns an error message for the client, or "" for
// success.
func (r *rpcEvents) add(seq uint64, types string) (errText string) {
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

// remove ends a stream of events. It returns false if there is none with this Seq.
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
					return // the connection is broken; its handler notices it, too
				}
			}
		}
	}
}

// wanting returns the streams that want an event, in the order of their Seqs.
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

// sendTo sends one event on one stream. It returns false when nothing can be sent to the client any more.
func (r *rpcEvents) sendTo(seq uint64, e serf.Event) bool {
	message, err := encodeRPC(rpcReply{Seq: seq}, r.record(e))
	if err != nil {
		return false
	}
	fits, err := r.out.send(message)
	if !fits {
		r.stats.rpcEventsDropped.Add(1)
	}
	return err == nil
}

// record returns an event in the form that clients expect.
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

// remember keeps a query, so that the client can respond to it. Only the newest maxPendingQueries are kept.
func (r *rpcEvents) remember(q *serf.Query) (id uint64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.lastID++
	maps.DeleteFunc(r.queries, func(id uint64, _ *serf.Query) bool { return id+maxPendingQueries <= r.lastID })
	r.queries[r.lastID] = q
	return r.lastID
}

// respond sends the client's answer to a remembered query. It returns an error message for the client, or ""
// for success. Serf refuses an answer that is too long, too late or the second one.
func (r *rpcEvents) respond(id uint64, payload []byte) (errText string) {
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

// close ends the streaming and waits for it. The connection must be closed before, so that no write blocks.
func (r *rpcEvents) close() {
	close(r.quit)
	r.loop.Wait()
}
