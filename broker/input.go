package broker

import (
	"time"

	"github.com/urban-compute/ucp/broker/causal"
	"github.com/urban-compute/ucp/broker/membership"
	"github.com/urban-compute/ucp/broker/wire"
	"github.com/urban-compute/ucp/clock"
	"github.com/urban-compute/ucp/data"
	"github.com/urban-compute/ucp/emergency"
	"github.com/urban-compute/ucp/head"
	"github.com/urban-compute/ucp/identity"
	"github.com/urban-compute/ucp/job"
	"github.com/urban-compute/ucp/ledger"
	"github.com/urban-compute/ucp/resolve"
)

// Input is what the shell tells the broker with Step: one of the types of this file. step.go says
// which part of the broker each is for.
type Input interface{ step(*Broker) }

// Token is chosen by the shell to recognise the answer to an input. Tokens of
// inputs that wait for an answer differ, and are not 0.
type Token uint64

// Tick says what time it is. The shell steps one before every batch of inputs,
// and one at the time that Ready.Wake names.
type Tick struct {
	// Now never goes back, nor leaps: all waits and ages are measured by it. It has no monotonic
	// reading, since instants are rounded and stored.
	Now time.Time
	// Wall is the machine's clock, which may be set back or ahead; the city's time is made of it
	// and of the members' clocks (rule T2). The zero value means Now.
	Wall time.Time
}

// Roster is the membership as SWIM sees it: every member (rule I2), with or
// without this broker itself. Stock Serf agents are not in it.
type Roster struct{ Members []membership.Member }

// Gossip is the state that came with a push-pull (rule S3).
type Gossip struct{ State wire.State }

// Moved says that the HTTP address of this broker, which it tells of itself, is another one now.
type Moved struct{ HTTPAddr string }

// Pressure says how busy this machine is: by how much the periodic exchange is stretched, from 1
// (not at all) to 2 (rule S5), and whether memory is nearly used up, in which case fewer decided
// conflicts are remembered.
type Pressure struct {
	Stretch float64
	Tight   bool
}

// Deliver is a message of a peer; the answer is a [Replied].
type Deliver struct {
	Token   Token
	Message wire.Message
}

// Acked is a peer's reply to a message of Ready.Send.
type Acked struct {
	Peer  string
	By    clock.Actor // of this broker, as the message said: another start of it does not wait for the reply (rule K3); "" is the present one
	Page  bool        // the message was a page of a transfer (rule S1)
	Reply wire.Reply
}

// Signed tells of heads of other brokers' actors (rule H1), the last one of each that is known here. Their signatures are right. What came
// with a message is told before that.
type Signed struct{ Heads []*head.Head }

// Looked tells what the shell has found out by the sheets of others (rule H3).
type Looked struct {
	Ends   []*job.Record // of jobs that have ended, as they were when they were looked at
	MadeUp []MadeUp      // parts of ends that are in the name of an update that has not written them
}

// MadeUp is a part of a job's end that was made up.
type MadeUp struct {
	Key string
	Dot clock.Dot // that has not written it
}

// Unreachable says that a message of Ready.Send had no reply.
type Unreachable struct {
	Peer string
	By   clock.Actor // as in Acked
	Page bool        // it was a page of a transfer
}

// Minted is the start that a Ready has asked for (see [Mint]): synced to the disk as this broker's present one. Without
// an actor it says that it could not be made.
type Minted struct{ Actor clock.Actor }

// Pushed says that a peer has confirmed that it holds a blob (rule A1), or, with
// Failed, that it could not be brought there.
type Pushed struct {
	Peer   string
	Actor  clock.Actor // of the peer that was asked: another start of it may have another disk (rule R3)
	Digest job.Digest
	Failed bool
}

// Submit asks to take a job; the answer is a [Submitted], a [TooFewCopies], or a refusal:
// [IDTaken], [UnknownPredecessors], [UnknownEmergency], [DataOwned], [Draining]; or a [ModuleAbsent]. The spec is complete and valid, and its blobs
// are in this broker's store.
type Submit struct {
	Token  Token
	ID     job.ID
	Spec   job.Spec
	Digest job.Digest     // of the spec; "" lets the broker make it, on its one goroutine
	Past   causal.Context // what the client had seen (rules C1, C3)
	// Timeout is how long Spec.MinReplicas, when set, is waited for (rule A1).
	Timeout time.Duration
	// Module is the version for which the spec's module stands, where that names data (rule D8): a file that the shell has looked at,
	// and that is in this broker's store. Where it is nil, only a job that was taken before is answered so, and else a [NoSuchData].
	Module *data.Version
	// Brought is a module that the shell has brought here since the last answer to this was a [ModuleAbsent].
	Brought job.Digest
}

// Batch asks to take several jobs at once: one commit, and one message to each other broker, serves all. Each has the
// answers of a [Submit], with its own token.
type Batch []Submit

// Get asks for one job by ID, "ID~digest8" or a prefix; the answer is a [Found], a [NotFound]
// or an [AmbiguousJob], at once.
type Get struct {
	Token Token
	ID    string
	Past  causal.Context // goes into the answer's
}

// Await asks for one job when it has ended; the answer is a [Found], which comes when the
// verdict may be shown (rule A3), or at once a [NotFound] or an [AmbiguousJob]. A job that is
// forgotten meanwhile is a [NotFound], too.
type Await struct {
	Token Token
	ID    string
	Past  causal.Context // goes into the answer's
}

// CatchUp asks for the moment when this broker knows at least what a client has
// seen elsewhere (rule C3); the answer is a [CaughtUp], or after Timeout a [StillBehind].
type CatchUp struct {
	Token   Token
	Past    causal.Context
	Timeout time.Duration
}

// Drain begins a graceful leave: the broker takes nothing more and hands over
// what it owns. The answer is a [Drained], when all is handed over, durable
// elsewhere, and nothing runs here any more. With Now set, what still runs is
// stopped; it runs again where its owner places it.
type Drain struct {
	Token Token
	Now   bool
}

// Room says whether the disk has fallen below its reserve: then no new jobs and blobs are taken.
type Room struct {
	Full bool
	Free int64 // bytes that jobs may write before it is full; 0 is not known
}

// Damaged says that a blob is no longer here: it was found damaged, and moved aside.
type Damaged struct{ Digest job.Digest }

// Abandon takes an input back whose answer nobody waits for any more: an Await, a CatchUp, a Drain,
// a Submit, a Declare, a Clear, a ForgetMember or a DrainMember.
type Abandon struct{ Token Token }

// List asks for jobs, newest first; the answer is a [Listing].
type List struct {
	Token Token
	job.Filter
	Emergency string // only jobs that name it, have their level of it, or made room because of it: an ID or its beginning, or a type
	Urgent    bool   // only jobs with the level of an emergency, those that name it also out of its scope, or the user priority job.Urgent
	Count     bool   // only how many there are in each state
	Limit     int    // at least 1
	After     string // the cursor of an earlier Listing, or ""
}

// Cancel ends a job by a verdict; the answer is a [Cancelled] when the verdict may be shown, or
// a [NotFound] or an [AmbiguousJob].
type Cancel struct {
	Token  Token
	ID     string
	Reason string
}

// Fetched says that all blobs of a [Fetch] are here, or with Err why not. Nowhere: every
// live broker has answered, and none has what is missing.
type Fetched struct {
	Key     string
	Attempt job.Attempt
	Err     string
	Nowhere bool
}

// Kept says what became of a [Keep]: whether the blob is here, and was not before. Nowhere: every live broker has
// answered, and none has it.
type Kept struct {
	Digest  job.Digest
	Here    bool
	New     bool
	Nowhere bool
}

// Paused says that an attempt stands still, as [Suspend] asked for.
type Paused struct {
	Key     string
	Attempt job.Attempt
}

// Checkpointed says that an attempt has taken a checkpoint, which is here as a directory: its manifest, what its files have in bytes, and
// how long the job had run for it, over all attempts that went on from one another (rule J17). The attempt goes on. With a Problem it could
// not take one that was due.
type Checkpointed struct {
	Key     string
	Attempt job.Attempt
	Tree    job.Digest
	Bytes   int64
	Ran     time.Duration
	Problem string
}

// Gone says of an attempt that was told to stop, and of which something is kept (see [Stop]), that nothing of it runs any more:
// what it had is free. What it has written is still being stored; a Reported follows.
type Gone struct {
	Key     string
	Attempt job.Attempt
}

// SetStrategy changes how this broker decides conflicts, at once and without touching
// what runs; with Cluster set, how all brokers do, also those that join later. The
// answer is a [StrategySet].
type SetStrategy struct {
	Token    Token
	Strategy resolve.Strategy
	Cluster  bool
}

// ListConflicts asks for what was decided lately, the newest first, or with an ID for
// that one; the answer is a [Conflicts].
type ListConflicts struct {
	Token Token
	ID    string
	Limit int
}

// Declare declares an emergency, or changes one that is known; the answer is a [Declared], or a
// refusal: [AlreadyCleared], [InvalidDeclaration], [TooManyDeclarations]. The declaration was
// parsed; one that only clears is taken, too.
type Declare struct {
	Token       Token
	Declaration emergency.Declaration
	NewType     bool // its type is meant, although it is a slip of the pen away from one that is declared
}

// Clear ends an emergency for good, by its ID, four letters of its beginning or more, or its type if only one of it is active; the answer is a [Declared], a
// [NoSuchEmergency], an [AmbiguousEmergency] or a refusal as of a Declare. One that is not known
// here is cleared only with Force (rule E3).
type Clear struct {
	Token Token
	ID    string
	Force bool
}

// Heard is an event that Serf has brought: a hint (rule E1). It has no answer.
type Heard struct{ Event *emergency.Record }

// ListEmergencies asks for all emergencies that are known; the answer is an [Emergencies]. With
// an ID or a prefix it asks for one and what it has caused; then the answer may also be a
// [NoSuchEmergency] or an [AmbiguousEmergency].
type ListEmergencies struct {
	Token Token
	ID    string
}

// ForgetMember is an operator's word that a broker will not come back: nobody waits for it any more (rule M2). The
// answer is a [MemberForgotten], or a refusal: [NoSuchMember], [MemberReachable], [Outdated].
type ForgetMember struct {
	Token Token
	Name  string
}

// DrainMember is an operator's word that a broker is to run nothing new until it is resumed and, with a Deadline, that what
// still runs there after that is moved; with Resume, that it runs jobs again (rule M5). The answer is a [MemberDrained], or a
// refusal: [NoSuchMember], [KnowsNoDrain].
type DrainMember struct {
	Token    Token
	Name     string
	Deadline time.Duration // 0 is none
	Resume   bool
}

// Vouch says what authorities of the city have said, so that it reaches every broker. The answer is a [Vouched].
type Vouch struct {
	Token  Token
	Proofs []*identity.Proof
}

// Watch says whether somebody wants to hear of every change of a job's state, as notes.
type Watch struct{ On bool }

// DryRun asks what would happen to a job that was submitted now; the answer is a
// [Prospects]. Nothing is changed.
type DryRun struct {
	Token Token
	Spec  job.Spec       // complete and valid
	Past  causal.Context // as in Submit
}

// Loads says of a [Run] whose module is not ready that it will take a while, On, and of each that its module is ready, so that
// the program begins (rule J14).
type Loads struct {
	Key     string
	Attempt job.Attempt
	On      bool
}

// Reported is what the executor says of a [Run] that has ended. If Stopped is set it ended because
// of a [Stop], and has no result; Result then only holds what it had written, if that was to be kept. Either way nothing of the attempt is left, and what it held is
// free.
type Reported struct {
	Key     string
	Attempt job.Attempt
	Result  job.Result
	Stopped bool
	// Returned says that this broker could not carry it out (rule J12), for the reason in Result; if that is permanent,
	// it never can. Began: the program may have run.
	Returned, Began bool
}

// Unable says that this broker can't carry out jobs, and why, as far as that is known before one has been tried: no worker can
// be started.
type Unable struct{ Why string }

// Recovered says that a probe (see Ready.Probe) has succeeded: this broker can carry out jobs again.
type Recovered struct{}

// Pack begins a file that is carried to members which can't be reached (rule B1); the answer is a [Packed], a [CarryRefused] or an
// [Outdated]. Its pages are asked for with PackPage.
type Pack struct {
	Token Token
	For   []string              // names
	All   bool                  // instead of For: all that are not there, or everybody, if all are
	Admit bool                  // those of For who do not take part yet do from now on (rule B2)
	Whole bool                  // nothing is known of what they hold
	Held  map[string]clock.Tips // what they were last known to hold, by name, where this start was told nothing
}

// PackPage asks for the next page of a file; the answer is a [PackedPage]. The transfer is that of the Packed: the shell only keeps it.
type PackPage struct {
	Token    Token
	Transfer *ledger.Transfer
	Since    clock.Tips
}

// Unpack takes in a page of records from a file, in the order of the file (rule B1); the answer is an [Unpacked] or a
// [CarryRefused]. That the file is whole up to there, and who has packed it, the shell has looked at.
type Unpack struct {
	Token Token
	From  string      // who has packed it
	Actor clock.Actor // the start of it
	Roll  []string    // who took part there, as it was packed (rule B2)
	Delta *wire.Delta // not nil; its clocks do not count
	Bad   bool        // of an earlier page's answer
	// Unread is that, too.
	Unread bool
	Words  []*wire.Word // what brokers say of themselves (rule B3)

	Last  bool       // all records have come: those that Clock holds and Since does not
	Since clock.Tips // from which the file goes on
	Clock clock.Tips // of the last
}

// Speak asks for this broker's word (rule B3); the answer is a [Spoken].
type Speak struct{ Token Token }

// HearWords tells what brokers have said of themselves at some time (rule B3); the answer is a [WordsHeard].
type HearWords struct {
	Token Token
	Words []*wire.Word
}
