package broker

import (
	"fmt"
	"strings"
	"time"

	"github.com/urban-compute/ucp/broker/causal"
	"github.com/urban-compute/ucp/broker/wire"
	"github.com/urban-compute/ucp/clock"
	"github.com/urban-compute/ucp/emergency"
	"github.com/urban-compute/ucp/job"
	"github.com/urban-compute/ucp/ledger"
	"github.com/urban-compute/ucp/resolve"
)

// Answer says what became of an input that carried a token. Each type says one thing; which
// may answer which input stands with the input. Answers may be kept, and are not changed.
type Answer interface{ answer() }

// Submitted says that a job is acknowledged: it is on so many disks (rule A1).
type Submitted struct {
	Record   *job.Record
	Created  bool           // false: the same job was known already
	Replicas int            // brokers that hold the record and its inputs, this one included
	Degraded bool           // fewer than the broker's configuration asks for
	Past     causal.Context // what the client has seen now (rule C3)
	NoLevel  string         // why the emergency that the spec names gives the job no level, for people; "" when it does, or it names none
}

// TooFewCopies says that fewer brokers hold a job than its spec's MinReplicas asks for, after
// the time that was given for it. The job may still run; submitting it again is safe (rule A1).
type TooFewCopies struct {
	Record   *job.Record
	Created  bool
	Replicas int
	Degraded bool
	Past     causal.Context
	NoLevel  string
}

// IDTaken refuses a submission: the ID belongs to Record, which has another spec (rule J3).
type IDTaken struct {
	Record *job.Record
	Past   causal.Context
}

// ModuleAbsent says that a job was taken before whose module is named data, and that this broker does not hold the version which its
// record notes: it can't acknowledge the job before that is brought (rules A1, D8).
type ModuleAbsent struct{ Record *job.Record }

// UnknownEmergency refuses a submission that names no level and no emergency that is known here, but nearly Nearest.
type UnknownEmergency struct{ Name, Nearest string }

// UnknownPredecessors refuses a submission that names jobs in After which no broker that
// answers knows (rule C4).
type UnknownPredecessors struct {
	IDs  []job.ID
	Past causal.Context
}

// Draining refuses a submission: this broker is about to leave.
type Draining struct{}

// Found shows one job as this broker knows it.
type Found struct {
	Record *job.Record
	// Starting: it runs by the record, and whether its program has begun is not known here yet (rule J14).
	Starting bool
	// Provisional: the end may still change (rule F2). Until says why, and what it takes to be final, for a person; Asked are
	// those of whom it only says that they have been asked, since SWIM holds them for alive.
	Provisional bool
	Until       string
	Asked       []string
	KnownBy     int    // brokers known to hold the newest update, this one included
	Members     int    // of so many
	Why         string // why the job is not running, for a person
	AsOf        time.Time
	Past        causal.Context // what the client has seen now (rule C3)
	// Emergency gives an unfinished job its level at its executor, or here before it has one;
	// "" when none does, or the level is the job's own.
	Emergency emergency.ID
	// NoLevel says, for people, that an unfinished job has no level by the emergency that it names where it is, which is out of its
	// scope; "" when it has.
	NoLevel string
	// Displaced lists the unfinished jobs that had to make room for this one here.
	Displaced []job.ID
	// SameID lists the keys of other jobs that were given this ID in another part of
	// a split (rule J3); First: this is the one that owns the ID.
	SameID []string
	First  bool

	// Holders are the brokers of which it is known here that they have the job's checkpoint, sorted (rule J17).
	Holders []string

	// SetAside: it is not in the ledger any more, since all others called it forgotten (rule F3).
	SetAside bool

	seen []causal.Event // what a client that is shown this knows of
}

// Cancelled says that a job has ended, and whether this request ended it.
type Cancelled struct {
	Job   *Found
	Wrote bool // false: it had ended already
}

// NotFound says that this broker knows no job with the ID.
type NotFound struct {
	ID   string // as it was asked for
	AsOf time.Time
	Past causal.Context
}

// AmbiguousJob says that the prefix fits several jobs, of which these are some.
type AmbiguousJob struct {
	ID   string // the prefix
	IDs  []job.ID
	AsOf time.Time
	Past causal.Context
}

// Listing is a page of jobs, the newest first.
type Listing struct {
	Jobs []*job.Record
	// Counts says how many jobs are in each state, of those that this page has looked at, where only that was asked for.
	Counts map[job.State]int
	Next   string // cursor of the next page; "" at the end
	// Later lists the keys of those whose ID belongs to another job (rule J3).
	Later []string
	// Starting lists the keys of those that run by their record, and may not have begun (rule J14).
	Starting []string
	// Provisional lists the keys of those whose end may still change (rule F2).
	Provisional []string
	// Emergencies says of unfinished ones, by key, what gives them their level.
	Emergencies map[string]emergency.ID
	// NoLevel says of unfinished ones, by key, that they have no level where they are by the emergency that they name.
	NoLevel map[string]string
	// Why says of unfinished ones, by key, why they do not run, as far as that is known here and quickly said.
	Why map[string]string
	// Short is the shortest beginning of each one's ID, by key, that means no other job here.
	Short map[string]string
	AsOf  time.Time
}

// CaughtUp says that this broker knows all that the client has seen.
type CaughtUp struct{}

// StillBehind says what this broker lacks of what the client has seen, after the time that
// was given for it.
type StillBehind struct{ Missing causal.Context }

// Drained says that all is handed over and nothing runs here.
type Drained struct {
	// Left counts the jobs that stay with this broker, on its disk only: there was nobody to
	// hand them to.
	Left int
	// Known: every other member, also one that has failed, holds all that this broker wrote,
	// so that it may leave. A broker that has left is asked for nothing any more (rule A3);
	// what only its disk holds would come back with it, and could be an earlier verdict than
	// the one that was shown.
	Known bool
}

// StrategySet says by which strategy this broker decides now; Override, where an emergency makes it decide by another than
// the chosen one.
type StrategySet struct {
	Strategy resolve.Strategy
	Override *resolve.Override
}

// Outdated refuses what not every member can read: these must be upgraded first, or leave (rule K5). Nobody is
// named where this broker has yet to meet the others.
type Outdated struct {
	Version int // of the protocol that it takes
	Brokers []string
}

// Reason says it to people.
func (o *Outdated) Reason() string {
	if len(o.Brokers) == 0 {
		return fmt.Sprintf("this needs protocol %d, and this broker has not met the others yet", o.Version)
	}
	return fmt.Sprintf("this needs protocol %d: upgrade %s first", o.Version, strings.Join(o.Brokers, ", "))
}

// Conflicts lists decided conflicts, the newest first.
type Conflicts struct {
	List  []resolve.Conflict
	Total uint64 // how many there were since the start
}

// Prospects says what would become of a job at each live broker, the one that would be
// preferred first.
type Prospects struct {
	Brokers []Prospect
	NoLevel string // as that of Submitted
}

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

// Declared says that an emergency is declared, changed or cleared: it acts at once.
type Declared struct {
	View     *EmergencyView
	Replicas int               // brokers that hold it, this one included (rule A1)
	Degraded bool              // fewer than the broker's configuration asks for
	Created  bool              // it is new, or this request cleared it
	Was      *emergency.Record // what it was until this declaration changed it, or nil
}

// AlreadyCleared refuses a declaration: the emergency was cleared, and that is final.
type AlreadyCleared struct{ View *EmergencyView }

// InvalidDeclaration refuses a declaration or a clear, and says what is wrong with it.
type InvalidDeclaration struct{ Reason string }

// TooManyDeclarations refuses a declaration or a clear beyond what this broker takes.
type TooManyDeclarations struct{ Reason string }

// NoSuchEmergency says that none with that ID is known here.
type NoSuchEmergency struct {
	ID      string // as it was asked for
	Nearest string // the ID or type of one that is known and was probably meant; "" for none
	AsOf    time.Time
}

// AmbiguousEmergency says that the prefix fits several, of which these are some.
type AmbiguousEmergency struct {
	ID   string // the prefix
	IDs  []emergency.ID
	AsOf time.Time
}

// Emergencies lists those that are known: the active ones first, then the latest.
type Emergencies struct {
	List []*EmergencyView
	AsOf time.Time
}

// MemberForgotten says that a broker is not in the roll any more: its record is closed.
type MemberForgotten struct {
	Name     string
	Losses   int  // members that operators have removed and that are not back, this one included
	Bear     int  // so many losses, restored and wiped disks included, leave every firm answer as it is (rule F2)
	Replicas int  // brokers that know of it, this one included (rule A1)
	Degraded bool // fewer than the broker's configuration asks for
}

// NoSuchMember says that no broker of that name is in the roll.
type NoSuchMember struct {
	Name    string
	Nearest string // the name of one that was probably meant; "" for none
}

// MemberReachable refuses to remove a broker that is there.
type MemberReachable struct{ Name string }

// KnowsNoDrain refuses to drain a broker of an earlier version, which would go on running what is placed there.
type KnowsNoDrain struct{ Name string }

// MemberDrained says what holds for a broker now, and how many know of it.
type MemberDrained struct {
	DrainOrder
	Was      bool // it was drained before
	Running  int  // jobs that have begun there and have not ended, as far as is known
	Stay     int  // of these, those that could not be moved now
	Waits    int  // jobs that wait there, and that no other broker can take now
	Replicas int
	Degraded bool
}

// Vouched says how many brokers know what an authority has said.
type Vouched struct {
	New      bool // some of it was not known before
	Replicas int  // brokers that know of it, this one included (rule A1)
	Degraded bool // fewer than the broker's configuration asks for
}

// Replied is the reply to a peer's message.
type Replied struct{ Reply wire.Reply }

func (*Submitted) answer()           {}
func (*KnowsNoDrain) answer()        {}
func (*MemberDrained) answer()       {}
func (*TooFewCopies) answer()        {}
func (*IDTaken) answer()             {}
func (*ModuleAbsent) answer()        {}
func (*UnknownEmergency) answer()    {}
func (*UnknownPredecessors) answer() {}
func (*Draining) answer()            {}
func (*Found) answer()               {}
func (*Cancelled) answer()           {}
func (*NotFound) answer()            {}
func (*AmbiguousJob) answer()        {}
func (*Listing) answer()             {}
func (*CaughtUp) answer()            {}
func (*StillBehind) answer()         {}
func (*Drained) answer()             {}
func (*StrategySet) answer()         {}
func (*Outdated) answer()            {}
func (*Conflicts) answer()           {}
func (*Prospects) answer()           {}
func (*Declared) answer()            {}
func (*AlreadyCleared) answer()      {}
func (*InvalidDeclaration) answer()  {}
func (*TooManyDeclarations) answer() {}
func (*NoSuchEmergency) answer()     {}
func (*AmbiguousEmergency) answer()  {}
func (*Emergencies) answer()         {}
func (*MemberForgotten) answer()     {}
func (*Vouched) answer()             {}
func (*NoSuchMember) answer()        {}
func (*MemberReachable) answer()     {}
func (*DataWritten) answer()         {}
func (*DataFound) answer()           {}
func (*NoSuchData) answer()          {}
func (*DataListing) answer()         {}
func (*DataConflict) answer()        {}
func (*DataOwned) answer()           {}
func (*DataRefused) answer()         {}
func (*Replied) answer()             {}
func (*Packed) answer()              {}
func (*PackedPage) answer()          {}
func (*Unpacked) answer()            {}
func (*CarryRefused) answer()        {}
func (*Spoken) answer()              {}
func (*WordsHeard) answer()          {}

// Packed says that a file begins (rule B1).
type Packed struct {
	For      []string // whom it is for, sorted
	Roll     []string // who takes part here
	Absent   []string // which of these are not there
	Since    clock.Tips
	Transfer *ledger.Transfer // for [PackPage]; nobody else may use it
	Word     wire.Word        // of this broker
}

// PackedPage is a page of a file: records, and the blobs that they need and that their readers are taken to lack.
type PackedPage struct {
	Delta ledger.Delta // its clock comes with the last one
	Blobs []CarriedBlob
	Last  bool
}

// CarriedBlob is a blob, or a directory (job.TreeOf), and how urgent it is.
type CarriedBlob struct {
	Digest  job.Digest
	Urgency int
}

// Unpacked says that a page of a file was taken in, and is synced.
type Unpacked struct {
	Changed int  // records
	Words   int  // that were news
	Bad     bool // some record can't be kept: the clock of the file is not taken in
	Unread  bool // some record is not held
	Adopted bool // of the last page: its clock is taken in
	Covered bool // of the last page: all that its clock holds is known here
	// Blobs are those that the records of this page need, as far as the file is to bring them (rule B1).
	Blobs []job.Digest
}

// CarryRefused says why there is no file, or why nothing of one is taken.
type CarryRefused struct{ Reason string }

// Spoken is this broker's word.
type Spoken struct {
	Word   wire.Word
	Absent []string // who takes part and is not there, sorted
}

// WordsHeard says how many words were news, and how many are of somebody who does not take part here.
type WordsHeard struct{ News, Unknown int }
