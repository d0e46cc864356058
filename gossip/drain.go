package gossip

import (
	"bytes"

	"github.com/hashicorp/serf/serf"
)

// memberKinds translates Serf's member events.
var memberKinds = map[serf.EventType]MemberKind{
	serf.EventMemberJoin:   MemberJoined,
	serf.EventMemberLeave:  MemberLeft,
	serf.EventMemberFailed: MemberFailed,
	serf.EventMemberUpdate: MemberUpdated,
	serf.EventMemberReap:   MemberReaped,
}

// drain empties Serf's event channel as fast as it fills: Serf sends while it holds its locks, and a full
// channel would block it. It runs until Serf is down, and notices if Serf shuts down by itself.
func (p *Pool) drain() {
	serfDown := p.agent.ShutdownCh()
	for {
		select {
		case e := <-p.serfIn:
			p.handle(e)
		case <-serfDown:
			p.life.request() // whatever caused it
			serfDown = nil
		case <-p.life.down:
			return
		}
	}
}

// handle passes on one event of Serf to the owner, to Config.Answer if it is a query, and to RPC clients. It
// does not block.
func (p *Pool) handle(e serf.Event) {
	switch e := e.(type) {
	case serf.MemberEvent:
		members := make([]Member, len(e.Members))
		for i := range e.Members {
			members[i] = newMember(&e.Members[i])
		}
		p.queue.offer(MemberEvent{Kind: memberKinds[e.Type], Members: members})
	case serf.UserEvent:
		p.queue.offer(UserEvent{Name: e.Name, Payload: bytes.Clone(e.Payload), LTime: uint64(e.LTime)})
	case *serf.Query:
		p.answer(e)
	}
	if p.rpc != nil {
		p.rpc.offer(e)
	}
}
