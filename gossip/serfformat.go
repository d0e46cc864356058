package gossip

// The types of Serf's messages that this package looks into. The numbers are part of Serf's protocol.
const (
	serfLeave    byte = 0
	serfJoin     byte = 1
	serfPushPull byte = 2
	serfEvent    byte = 3
	serfQuery    byte = 4
)

// The messages, with Serf's field names, which are those on the wire.
type (
	// stamped is what a join, an event and a query have in common.
	stamped struct {
		LTime uint64
		Node  string // of a join
		Name  string // of an event or a query
	}
	leaveIntent struct {
		LTime uint64
		Node  string
		Prune bool // forget the node at once
	}
	serfState struct { // of a push-pull
		LTime        uint64
		StatusLTimes map[string]uint64
		LeftMembers  []string
		EventLTime   uint64
		Events       []*pastEvents
		QueryLTime   uint64
	}
	pastEvents struct {
		LTime  uint64
		Events []pastEvent
	}
	pastEvent struct {
		Name    string
		Payload []byte
	}
)
