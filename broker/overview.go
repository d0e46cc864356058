package broker

import (
	"time"

	"github.com/urban-compute/ucp/broker/wire"
	"github.com/urban-compute/ucp/resolve"
	"github.com/urban-compute/ucp/roll"
)

// Overview is what a broker says of itself and of the others.
type Overview struct {
	State    wire.State       // what push-pull is to carry (rule S3), with the clocks that others have told this broker
	Stats    Stats            // counters of this broker
	Active   []*EmergencyView // of the emergencies that State names
	Unproven string           // for people: what this start waits for to be proven, and what that means; "" when it is (rule M3)

	Proven []string     // members that are there although SWIM says otherwise (rule P1)
	Drains []DrainState // brokers that operators have drained (rule M5), by name
	Roll   []Enrolled   // every name that has a member record (rule M1)

	Adopted []string // those in the roll that nobody has let into the city, and that count all the same (rule M6)

	Peers map[string]Standing // by name: of those that have said something of themselves, and of this broker

	HeldBack   int      // finished jobs that are remembered by their stubs beyond their retention (rule M4)
	HeldBackBy []string // members that may not know of them

	Unstable uint64         // updates that this broker holds, and of which it does not know that every member does (rule F1)
	Oldest   resolve.Levels // by level: when the own or present job was submitted that waits for longest; 0 is that none is known

	Lost int // files of output that this broker is to hold, and that it could not get from anybody (rule R3)

	Drift    time.Duration // of the city's time from this machine's clock (rule T2)
	Protocol int           // the version that is written: every member speaks it (rule K5)
	Warnings []string      // what somebody should know before it becomes a fault, for people
}

// Enrolled is one name that is, or was, in the roll.
type Enrolled struct {
	Name   string
	Closed roll.Closing // how it left the roll; "" while it is in it
	// Uninvited is whose update has put it into the roll, where nobody is known to have let it into the city: it does not count (rule
	// M6). "" is that it does.
	Uninvited string
	Absent    bool      // it does not answer, though it is in the roll: others wait for it
	Since     time.Time // when it was lost, by this broker's own clock; zero when it was not met since this broker's start
}

// Left reports whether it has said goodbye itself, when enough others held all that it had written (rule M2).
func (e Enrolled) Left() bool { return e.Closed == roll.Left }

// GivenUp reports whether an operator has given it up, and it takes part no more (rule M2).
func (e Enrolled) GivenUp() bool { return e.Closed == roll.Removed }

// Standing is how a member stands to this broker.
type Standing struct {
	Behind   uint64        // updates that this broker holds, and the member has not said that it does
	Ahead    uint64        // that the member holds, and this broker does not
	ClockOff time.Duration // how far its machine's clock is ahead of the city's time; 0 while that is little, or not known (rule T2)
	Breaches Breaches      // its own
}

// Stats counts what a broker has done since its start.
type Stats struct {
	Replaced      uint64         // jobs placed again since their executor was lost (rule J6)
	TakenOver     uint64         // jobs of lost owners (rule J6)
	ProvenAlive   uint64         // members that showed that they are there although SWIM said otherwise (rule P1)
	Unheard       uint64         // messages and replies of superseded starts, which are not heard (rule I2)
	Isolations    uint64         // times that this broker noticed that it is rather cut off than the others dead (rule J7)
	OfLostStarts  uint64         // records not taken in: unfinished, and created by a start of which nothing is known any more (rule K2)
	Misunderstood uint64         // messages and replies whose clocks leaned on what was not known here (rule K4)
	Unproven      uint64         // messages whose records were put off until their sender has shown that (rule P1)
	Paced         uint64         // moves of jobs that were put off, since the same job had moved before (rule P2)
	Returned      uint64         // attempts that this broker could not carry out (rule J12)
	Withdrawn     uint64         // how often it has therefore withdrawn its offer
	Elsewhere     uint64         // own jobs that were placed again since their executor has returned them
	Adopted       uint64         // attempts of an older owner that were left running (rule J7)
	Rebalanced    uint64         // jobs that queued while others were idle (rule J9)
	Hurried       uint64         // urgent ones of them that others had to make room for, or for which there was room
	Drawn         uint64         // urgent ones of them that wait where they have a higher level
	Repaired      uint64         // blobs that were brought here since brokers that held them are gone (rule R3)
	Rejected      uint64         // results of this broker that came after the verdict (rule J1)
	Handed        uint64         // jobs handed over when draining
	Forgotten     uint64         // jobs forgotten after their retention (rule L8)
	Sealed        uint64         // ends that were sealed, since another came (rule F2)
	Breaches      uint64         // what peers have said and can't know (rules X1, X2)
	Minted        uint64         // starts that were begun while the process ran (rules K2, K3)
	Zombies       uint64         // jobs dropped since others had forgotten them (rules L7, L9)
	Refuted       uint64         // claims that others have forgotten a job that is unfinished here (rule F3)
	Recreated     uint64         // jobs that were created again, since somebody claims that (rule F3)
	Recollected   uint64         // emergencies that are over and were written again, since others may have forgotten what is known here (rule E6)
	SetAside      uint64         // jobs that every other member called forgotten: they can be read, and submitted again (rule F3)
	Disputed      uint64         // unfinished jobs that others may have forgotten, and that wait until all have been asked (rule F3)
	Conflicts     resolve.Counts // decisions between jobs that could not all run, by strategy
	SuspendedBy   resolve.Counts // Suspended, by strategy
	RequeuedBy    resolve.Counts // Requeued, by strategy
	Ended         Ends           // jobs whose end this broker has decided (rule J1)
	Acknowledged  uint64         // clients whose changes were acknowledged when enough brokers held them, or the time for that was over
	Degraded      uint64         // those of them where fewer brokers held it than the configuration asks for
	Taken         Taken          // records that came of peers
	Suspended     uint64         // attempts that were made to stand still for others
	Checkpoints   uint64         // of jobs that run here, that are on enough brokers (rule J17)
	Requeued      uint64         // attempts that were stopped for others, to run again
	Behind        uint64         // jobs that waited for news of what they depend on (rule C2)
	Uncaused      uint64         // jobs that went on without news of what they depend on (rule C2)
	Spins         uint64         // reviews that did not end: a fault of this program
	ClaimsRefused uint64         // declarations and clears of clients beyond what a broker takes
	EventsRefused uint64         // events of emergencies, likewise
	Waiting       int            // jobs that wait for room or a key here, now
	Running       int            // jobs that hold room here, now
	Unread        uint64         // records of peers that don't validate, and were given up since nobody sent them any more (rule L10)
	Quarantined   int            // records of peers that don't validate, now (rule L10)
	Uncovered     int            // starts of which updates are held that our clock does not cover, now (rule L5)
}
