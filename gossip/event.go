package gossip

// Event is what a Pool tells its owner: a MemberEvent, a UserEvent or a
// NameConflict.
type Event interface{ event() }

// MemberKind says what happened to the members of a MemberEvent.
type MemberKind string

// What can happen to a member.
const (
	MemberJoined  MemberKind = "join"   // it is alive, new or again
	MemberLeft    MemberKind = "leave"  // it left by itself, or was forced to
	MemberFailed  MemberKind = "failed" // it does not answer, and nobody reaches it
	MemberUpdated MemberKind = "update" // its tags or its address changed
	MemberReaped  MemberKind = "reap"   // it is forgotten, 24 hours after it failed or left
)

// MemberEvent tells of a change in the pool. Such events can be lost when their
// receiver is slow (counted in Stats.EventsDropped), so that it also compares
// with Pool.Members every few seconds.
type MemberEvent struct {
	Kind    MemberKind
	Members []Member // at least one
}

// UserEvent is a message that someone flooded through the pool. It is a hint
// (rule E1): it may never arrive, and it may arrive a second time after a restart.
type UserEvent struct {
	Name    string
	Payload []byte // the receiver's own copy
	LTime   uint64 // Serf's Lamport time, the same at every node
}

// NameConflict tells that two nodes claim one name. Nobody is thrown out: Serf's
// vote would end a broker whose address has changed, and both brokers of a pair
// without a third to vote. The name stays with the address that was known first,
// until that node is dead; the other is invisible meanwhile. Brokers' data is
// safe, since their actors differ (rule I1). The event repeats with each
// message of the other node.
type NameConflict struct {
	Name    string
	Ours    bool   // the name is this node's own: tell the operator to rename one
	Known   string // host:port that keeps the name
	Claimed string // host:port that also wants it
}

// RemoteState is the state that a peer sent in a push-pull, or its answer to ours.
type RemoteState struct {
	Data []byte // what the peer's Config.State returned; the receiver's own copy
	Join bool   // the exchange was part of a join
}

func (MemberEvent) event()  {}
func (UserEvent) event()    {}
func (NameConflict) event() {}
