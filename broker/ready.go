package broker

import (
	"time"

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

	// State is what push-pull should carry from now on; nil leaves it as it was.
	State *State

	// Wake is when the next Tick is due at the latest; zero is never.
	Wake time.Time
}

// Answer is what became of an input with this token: *Reply, *Submitted, *Found
// or *Listing.
type Answer struct {
	Token Token
	Value any
}

// Send is one message to one peer.
type Send struct {
	To      string
	Addr    string // the peer's HTTP address, host:port
	Message Message
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
}

// Stop ends one attempt.
type Stop struct {
	Key     string
	Attempt job.Attempt
}

// Submitted answers a Submit.
type Submitted struct {
	Record   *job.Record
	Created  bool // false: the same job was known already
	Replicas int  // brokers that hold the record and its inputs, this one included
	Degraded bool // fewer than were asked for
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
	Changed     bool // a Cancel that wrote the verdict; false: it had ended already
}

// Listing answers a List.
type Listing struct {
	Jobs []*job.Record
	Next string // cursor of the next page; "" at the end
	AsOf time.Time
}
