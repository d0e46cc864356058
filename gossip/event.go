package gossip

// Event is something that happened in the cluster: a MemberEvent, a UserEvent or a NameConflict.
type Event interface{ event() }

// MemberKind says what happened to the members of a MemberEvent.
type MemberKind string

// The kinds of MemberEvents.
const (
	MemberJoined  MemberKind = "join"   // it is alive, for the first time or again
	MemberLeft    MemberKind = "leave"  // it left by itself, or an operator removed it
	MemberFailed  MemberKind = "failed" // it does not answer, neither to this node nor to others
	MemberUpdated MemberKind = "update" // its tags or its address changed
	MemberReaped  MemberKind = "reap"   // it is forgotten, 24 hours after it failed or left
)

// MemberEvent reports a change of the membership. MemberEvents are dropped when their receiver is slow, so
// the receiver must also compare with Pool.Members every few seconds.
type MemberEvent struct {
	Kind    MemberKind
	Members []Member // at least one
}

// UserEvent is a message that a node has broadcast to the cluster. It is a hint (rule E1): it may never
// arrive, and it may arrive a second time after a restart.
type UserEvent struct {
	Name    string
	Payload []byte // the receiver's own copy
	LTime   uint64 // Serf's Lamport time, the same at every node
}

// NameConflict reports that two nodes claim the same name. Neither is removed: Serf's vote would end a broker
// whose address has changed, and both brokers of a pair without a third one to vote. The name stays with the
// address that was known first until that node is dead; the other node is invisible meanwhile. Brokers' data
// is safe, because their actors differ (rule I1). The event is repeated with each message of the other node.
type NameConflict struct {
	Name    string
	Ours    bool   // the name is this node's own: tell the operator to rename one of the two nodes
	Known   string // host:port that keeps the name
	Claimed string // host:port that also claims it
}

// RemoteState is the state that a peer sent in a push-pull, whichever of the two nodes began it.
type RemoteState struct {
	Data []byte // what the peer's Config.State returned; the receiver's own copy
	Join bool   // the exchange was part of a join
}

func (MemberEvent) event()  {}
func (UserEvent) event()    {}
func (NameConflict) event() {}
