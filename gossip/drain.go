package gossip

import (
	"bytes"

	"github.com/hashicorp/serf/serf"
)

// memberKinds names what Serf's member events mean to our owner.
var memberKinds = map[serf.EventType]MemberKind{
	serf.EventMemberJoin:   MemberJoined,
	serf.EventMemberLeave:  MemberLeft,
	serf.EventMemberFailed: MemberFailed,
	serf.EventMemberUpdate: MemberUpdated,
	serf.EventMemberReap:   MemberReaped,
}

// drain empties Serf's event channel as fast as it fills: Serf sends while it
// holds its locks, and a full channel would stop it. It runs until Serf is down,
// and watches whether Serf goes down by itself.
func (p *Pool) drain() {
	gone := p.agent.ShutdownCh()
	for {
		select {
		case e := <-p.serfIn:
			p.handle(e)
		case <-gone:
			p.life.request() // no matter who did it
			gone = nil
		case <-p.life.down:
			return
		}
	}
}

// handle passes one event of Serf on: to the owner, to whoever answers queries,
// and to RPC clients. It does not block.
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
