package broker

import (
	"time"

	"github.com/urban-compute/ucp/broker/ack"
	"github.com/urban-compute/ucp/broker/replication"
	"github.com/urban-compute/ucp/clock"
	"github.com/urban-compute/ucp/emergency"
	"github.com/urban-compute/ucp/identity"
	"github.com/urban-compute/ucp/job"
	"github.com/urban-compute/ucp/ledger"
)

// Ready is what the shell must do next. The order is a duty:
//
//  1. Commit is written, atomically and synced. A failed sync ends the process:
//     a retry would lie (Rebello et al., ATC 2020).
//  2. Then, and never before (rule I4), Advance is called with this Ready, and
//     everything else in it is carried out, in any order, without waiting for
//     one another. Each part that needs time reports back as an input.
type Ready struct {
	// Commit holds every change since the last Ready; often empty.
	Commit *ledger.Batch

	// Answers go to whoever stepped an input with that token. They may show what Commit
	// wrote, hence only after it.
	Answers []Response

	// Send goes to peers, at most one message a peer under way, and one page of a transfer; each ends in an
	// Acked or, after the peer timeout, an Unreachable.
	Send []replication.Send

	// Push brings blobs to peers, each ends in a Pushed.
	Push []ack.Push

	// Fetch brings blobs here, each ends in a Fetched. Hurry says of those under way that they are of another urgency now.
	Fetch []Fetch
	Hurry []Hurry

	// Keep brings blobs here that are to stay here, one after another; each ends in a Kept.
	Keep []Keep

	// Run starts attempts. That they run is already in Commit, so that no attempt
	// is ever started that the ledger does not know.
	Run []Run

	// Stop ends attempts; each then ends in a Reported, like all that were started.
	// Until then, or a Gone, it counts as running.
	Stop []Stop

	// Suspend makes running attempts stand still; each then says so by a Paused, or
	// ends. Resume lets them go on; nothing need be said.
	Suspend []Suspend
	Resume  []Resume

	// Prepare names modules that are to be compiled when there is nothing else to do, if they are here (rule J15). Whether
	// they are is told by a Compiled, or never.
	Prepare []job.Digest

	// Probe asks to find out when this broker can carry out jobs again: it could not, and has withdrawn its offer (rule
	// J12). It ends in a Recovered.
	Probe bool

	// Handed says what a draining broker has handed over, Moved which jobs this broker has placed elsewhere than where they
	// were, and Cancelled which were cancelled here: for the log.
	Handed    []Handover
	Moved     []Move
	Cancelled []job.ID

	// Broadcast is what Serf's user events are to carry (rule E4), as payloads. They say what
	// Commit wrote, hence only after it.
	Broadcast [][]byte

	// Dropped names emergencies of which an event was not taken in, since too many came:
	// for the log.
	Dropped []emergency.ID

	// Breaches are what peers have said and can't know: for the log.
	Breaches []Breach

	// Trusted is what the authorities of the city have said that this broker had not heard before.
	Trusted []*identity.Proof

	// Introduce names brokers that have come, and of which it is not known that an authority has let them in. The shell answers with a
	// [Vouch] where it knows their admissions.
	Introduce []string

	// Mint asks for another start of this broker; it ends in a Minted. Nil is none.
	Mint *Mint

	// Notes tell watchers what has happened. They promise nothing.
	Notes []Note

	// Leapt is by how much the city's time has just become another one otherwise than by passing, since it was wrong here
	// (rule T2); 0 where it has not. The shell logs it.
	Leapt time.Duration

	// Overview is what push-pull should carry, and status pages show, from now on; nil leaves it
	// as it was.
	Overview *Overview

	// Wake is when the next Tick is due at the latest; zero is never.
	Wake time.Time
}

// Mint asks the shell to make another start of this broker in the same process, as at a start of the process (rules K2,
// K3): above all of its name that the store and these know, and synced.
type Mint struct {
	Above clock.Tips // entries of this broker's name that others have told
	Why   string     // for the log
}

// Handover is one job that a leaving broker has handed to another.
type Handover struct {
	ID job.ID
	To string // the broker that owns it now
}

// Move says that a job is to run elsewhere than where it was placed before.
type Move struct {
	ID       job.ID
	From, To string // brokers
}

// Response is the answer to the input that carried the token.
type Response struct {
	Token  Token
	Answer Answer
}

// Fetch asks that blobs are brought here; From names the brokers that likely hold them, the
// likeliest first.
type Fetch struct {
	Key     string
	Attempt job.Attempt
	Digests []job.Digest
	From    []string
	Urgency int // of the job; what is more urgent goes first
}

// Hurry says how urgent a job has become whose inputs are on their way.
type Hurry struct {
	Key     string
	Urgency int
}

// Keep asks that a blob is brought here, unless it is here (rule R3); From names the brokers that likely hold it, the
// likeliest first.
type Keep struct {
	Digest job.Digest
	From   []string
}

// Run starts one attempt at a job.
type Run struct {
	Key     string
	ID      job.ID
	Attempt job.Attempt
	Spec    job.Spec
	Waited  time.Duration // since it was submitted, by the wall clocks; never negative

	// From is the checkpoint from which it goes on, whose files are here (rule J17); nil is from the beginning. One without
	// a Tree is lost: it begins from the beginning, and counts as having run for so long.
	From *job.Checkpoint
}

// Stop ends one attempt. With Keep what it has written so far is to come with the Reported (rule J13): its job has ended
// without a result, so that this is all that there will be, or is to run again.
type Stop struct {
	Key     string
	Attempt job.Attempt
	Keep    bool
}

// Suspend makes one attempt stand still.
type Suspend struct {
	Key     string
	Attempt job.Attempt
}

// Resume lets it go on.
type Resume struct {
	Key     string
	Attempt job.Attempt
}

// Note is something that has happened at this broker, or that it has heard of, for people
// and programs that watch: the shell fans it out.
type Note struct {
	At   time.Time
	Kind string // emergency | preemption | job | strategy
	ID   string // of the emergency, the job, or the strategy
	What string // declared, changed, cleared, ended; suspended, requeued, resumed; or a job's new state
	Text string // one line for a person

	Place string // of a job or preemption: the broker where the job is placed; "" while it is not
	For   job.ID // of a preemption: the job that gets the room

	Emergency *emergency.Record // of an emergency's note
	Job       *job.Record       // of a job's note, when it is of its state
}
