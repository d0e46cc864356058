package broker

import (
	"time"

	"github.com/urban-compute/ucp/broker/causal"
	"github.com/urban-compute/ucp/broker/wire"
	"github.com/urban-compute/ucp/emergency"
	"github.com/urban-compute/ucp/job"
	"github.com/urban-compute/ucp/ledger"
	"github.com/urban-compute/ucp/resolve"
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

	// Answers go to those who stepped an input with that token. They may show
	// what Commit wrote, hence only after it.
	Answers []Answer

	// Send goes to peers, at most one message a peer under way; each ends in an
	// Acked or, after the peer timeout, an Unreachable.
	Send []Send

	// Push brings blobs to peers, each ends in a Pushed.
	Push []Push

	// Fetch brings blobs here, each ends in a Fetched.
	Fetch []Fetch

	// Run starts attempts. That they run is already in Commit, so that no attempt
	// is ever started that the ledger does not know.
	Run []Run

	// Stop ends attempts; each then ends in a Reported, like all that were started.
	// Until then it counts as running.
	Stop []Stop

	// Suspend makes running attempts stand still; each then says so by a Paused, or
	// ends. Resume lets them go on; nothing need be said.
	Suspend []Suspend
	Resume  []Resume

	// Handed says what a draining broker has handed over, for the log.
	Handed []Handover

	// Flood is what Serf's user events are to carry (rule E4), as payloads. They say what
	// Commit wrote, hence only after it.
	Flood [][]byte

	// Dropped names emergencies of which an event was not taken in, since too many came:
	// for the log.
	Dropped []emergency.ID

	// Notes are what has happened, for those who watch. They promise nothing.
	Notes []Note

	// Overview is what push-pull should carry, and status pages show, from now on; nil leaves it
	// as it was.
	Overview *Overview

	// Wake is when the next Tick is due at the latest; zero is never.
	Wake time.Time
}

// Handover is one job that a leaving broker has handed to another.
type Handover struct {
	ID job.ID
	To string // the broker that owns it now
}

// Answer is what became of an input with this token: *Reply, *Submitted, *Found,
// *Listing, *CaughtUp, *Drained, *StrategySet, *Conflicts, *Prospects, *Declared or
// *Emergencies.
type Answer struct {
	Token Token
	Value any
}

// Send is one message to one peer.
type Send struct {
	To      string
	Addr    string // the peer's HTTP address, host:port
	Message wire.Message
}

// Push asks that a peer gets a copy of a blob that is here (rule A1).
type Push struct {
	To     string
	Addr   string
	Digest job.Digest
}

// Fetch asks that blobs come here from whoever has them; From are the names of
// the brokers that likely do, the likeliest first.
type Fetch struct {
	Key     string
	Attempt job.Attempt
	Digests []job.Digest
	From    []string
}

// Run starts one attempt at a job.
type Run struct {
	Key     string
	ID      job.ID
	Attempt job.Attempt
	Spec    job.Spec
	Waited  time.Duration // since it was submitted, by the wall clocks; never negative
}

// Stop ends one attempt.
type Stop struct {
	Key     string
	Attempt job.Attempt
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

// Declared answers a Declare or a Clear. View is nil when it was refused, or, for a Clear,
// when no such emergency is known.
type Declared struct {
	View      *EmergencyView
	Replicas  int            // brokers that hold it, this one included (rule A1)
	Degraded  bool           // fewer than were asked for
	Created   bool           // it is new, or this request cleared it
	Over      bool           // refused: it was cleared before, and that is final. View shows it
	Invalid   string         // refused: what is wrong with it
	TooMany   string         // refused: more than this broker takes
	Ambiguous []emergency.ID // refused: the prefix fits these
}

// Emergencies answers a ListEmergencies.
type Emergencies struct {
	List      []*EmergencyView
	Ambiguous []emergency.ID
	AsOf      time.Time
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

// StrategySet answers a SetStrategy.
type StrategySet struct{ Strategy resolve.Strategy }

// Prospects answers a DryRun: the live brokers, the one that would be preferred first.
type Prospects struct{ Brokers []Prospect }

// Prospect is what a job would find at one broker.
type Prospect struct {
	Broker   string
	Strategy string   // by which that broker decides
	Meets    []string // constraints that hold there
	Lacks    []string // what keeps the job from ever running there; nil: it can
	Cost     float64  // of placing it there: the load that it would then have, distance, absent inputs
	Score    int64    // of the job among those that compete there
	Starts   bool     // at once
	Yields   []string // jobs that would have to make room, and how
	Why      string   // why it would wait; "" when it starts
}

// Conflicts answers a ListConflicts. The conflicts may be kept and are not changed.
type Conflicts struct {
	List  []resolve.Conflict
	Total uint64 // how many there were since the start
}

// Submitted answers a Submit.
type Submitted struct {
	Record   *job.Record
	Created  bool           // false: the same job was known already
	Replicas int            // brokers that hold the record and its inputs, this one included
	Degraded bool           // fewer than were asked for
	Short    bool           // fewer than the spec's MinReplicas; the job may still run (rule A1)
	Draining bool           // refused: this broker is leaving. Record is nil
	Unknown  []job.ID       // refused: nobody knows these jobs, which it names in after (rule C4). Record is nil
	Past     causal.Context // what the client has seen now (rule C3)
	// Conflict: the ID belongs to a job with another spec, which is Record; nothing
	// was changed (rule J3).
	Conflict bool
}

// Found answers a Get, an Await or a Cancel.
type Found struct {
	Record *job.Record // nil when there is none
	// Ambiguous lists some IDs that the prefix fits, when it fits several.
	Ambiguous []job.ID
	// Provisional: not yet every member is known to hold the verdict (rule A3).
	Provisional bool
	KnownBy     int    // brokers known to hold the newest update, this one included
	Members     int    // of so many
	Why         string // why the job is not running, for a person
	AsOf        time.Time
	Changed     bool           // a Cancel that wrote the verdict; false: it had ended already
	Past        causal.Context // what the client has seen now (rule C3)
	// Emergency gives an unfinished job its level at its executor, or here before it has one; "" is
	// none, or the level is its own.
	Emergency emergency.ID
	// Displaced lists the unfinished jobs that had to make room for this one here.
	Displaced []job.ID
	// SameID lists the keys of other jobs that were given this ID in another part of
	// a split (rule J3); First: this is the one that owns the ID.
	SameID []string
	First  bool

	seen []causal.Event // what a client that is shown this knows of
}

// CaughtUp answers a CatchUp. Missing is nil when this broker knows all of it.
type CaughtUp struct{ Missing causal.Context }

// Drained answers a Drain. Left counts the jobs that stay with this broker, on
// its disk only: there was nobody to hand them to. Known: every other member, also one
// that has failed, holds all that this broker wrote, so that it may say goodbye. Who
// has left is asked for nothing any more (rule A3); what only its disk holds would come
// back with it, and could be an earlier verdict than the one that was shown.
type Drained struct {
	Left  int
	Known bool
}

// Listing answers a List.
type Listing struct {
	Jobs []*job.Record
	Next string // cursor of the next page; "" at the end
	// Later lists the keys of those whose ID belongs to another job (rule J3).
	Later []string
	// Provisional lists the keys of those whose verdict not every member is known to
	// hold (rule A3).
	Provisional []string
	// Emergencies says of unfinished ones, by key, what gives them their level.
	Emergencies map[string]emergency.ID
	AsOf        time.Time
}
