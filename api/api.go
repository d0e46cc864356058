// Package api is what a broker says over HTTP, seen from outside: the JSON shapes
// and a [Client] for them. The broker answers with these types, the command line
// and the tests read them, so that the two cannot drift apart.
//
// Errors are {"error": "...", "code": "..."} with a fitting status. Lists are
// {"jobs": [...], "next": "cursor"} and likewise. Durations are Go strings, times
// RFC 3339 in UTC.
//
// The rules that comments cite, such as J7, are defined in docs/protocol.md.
package api

import (
	"time"

	"github.com/urban-compute/ucp/clock"
	"github.com/urban-compute/ucp/job"
)

// Error is every answer that is not a success.
type Error struct {
	Status  int    `json:"-"`            // HTTP
	ID      job.ID `json:"id,omitempty"` // the job that it is about: a submission with it may be repeated
	Message string `json:"error"`
	Code    string `json:"code"` // one of the Code constants

	came int64 // bytes of the blob that is asked for, where it is not there
}

// Error implements error.
func (e *Error) Error() string { return e.Message }

// Refused reports whether nothing has come of what was asked, for certain. Of another failure it is not known.
func (e *Error) Refused() bool {
	return e.Status < 500 || e.Code == CodeDraining || e.Code == CodeNoSpace || e.Code == CodeBehind
}

// The codes of errors, for programs.
const (
	CodeBadRequest   = "bad_request"      // 400: the request can't be read
	CodeBadToken     = "bad_token"        // 401: the token that was shown does not hold
	CodeForbidden    = "forbidden"        // 403: the caller may not do it; or a page of another site has sent it, or it is for another name
	CodeNotFound     = "not_found"        // 404
	CodeGone         = "gone"             // 410: it was removed, since its retention is over
	CodeTooSlow      = "too_slow"         // 408: the body of the request did not come on
	CodeConflict     = "conflict"         // 409: the ID belongs to another job, or is ambiguous
	CodeTooLarge     = "too_large"        // 413
	CodeMediaType    = "media_type"       // 415: say Content-Type: application/json, and no Content-Encoding
	CodeInvalid      = "invalid"          // 422: it can be read, but makes no sense
	CodeUnbuilt      = "not_built_yet"    // 422: that version can't do that yet; of brokers of earlier ones
	CodeMissingBlobs = "missing_blobs"    // 422: upload the module or inputs first
	CodeMisdirected  = "misdirected"      // 421: the request was for another broker, whose address this one has now
	CodeBusy         = "busy"             // 429: come back after Retry-After
	CodeTooMany      = "too_many"         // 429: more declarations of emergencies than a broker takes
	CodeOver         = "cleared"          // 409: the emergency was cleared, and that is final
	CodeNoSpace      = "no_space"         // 507: the disk is full
	CodeOutdated     = "outdated"         // 409: not every broker can read it; the message names those to upgrade
	CodeReachable    = "reachable"        // 409: the broker is there, and is not given up
	CodeInternal     = "internal"         // 500
	CodeUnavailable  = "unavailable"      // 503: shutting down, or a peer that is needed does not answer
	CodeDraining     = "draining"         // 503: the broker is about to leave; ask another
	CodeTooFew       = "too_few_replicas" // 503: min_replicas is not met; the job may run all the same
	CodeBehind       = "behind"           // 504: the broker does not yet know what the causal token names
)

// Submission answers POST /v1/jobs and PUT /v1/jobs/{id}: 201 for a new job, 200
// for one that was known already, 202 when fewer copies than asked for exist.
type Submission struct {
	ID       job.ID `json:"id"`
	Replicas int    `json:"replicas"` // brokers that hold the job and its inputs
	Degraded bool   `json:"degraded"` // fewer than the broker's --replicas
	// Wanted is how many brokers should hold it where fewer do; 0 of an earlier broker.
	Wanted int `json:"wanted,omitempty"`
	// CausalToken says what the client has seen now: sent with a later submission it
	// orders the two, with a read at any broker that one knows at least this much.
	CausalToken string `json:"causal_token"`
	Job         *Job   `json:"job,omitempty"` // with ?wait=
	// Module says which version of named data the job's module is; nil where its spec names none.
	Module *Module `json:"module,omitempty"`
	// Warnings say, for people, what of the job may not be as it was meant: it names an emergency that is not there.
	Warnings []string `json:"warnings,omitempty"`
}

// Module is a version of named data that is the module of a job.
type Module struct {
	Name   string     `json:"name"`
	Digest job.Digest `json:"digest"`
	At     clock.Time `json:"at"`     // when it was written
	Broker string     `json:"broker"` // that wrote it
}

// NDJSON is the media type of JSON values, one a line.
const NDJSON = "application/x-ndjson"

// Bounds of a batch (POST /v1/jobs:batch).
const (
	MaxBatch      = 1000    // jobs
	MaxBatchBytes = 8 << 20 // of all lines
)

// BatchLine is what became of one job of a batch.
type BatchLine struct {
	Line     int      `json:"line"`               // of the request, from 1
	ID       job.ID   `json:"id,omitempty"`       // "" where the line could not be read
	Created  bool     `json:"created,omitempty"`  // false: the same job was known already
	Replicas int      `json:"replicas,omitempty"` // as in Submission
	Degraded bool     `json:"degraded,omitempty"` // as in Submission
	Module   *Module  `json:"module,omitempty"`   // as in Submission
	Wanted   int      `json:"wanted,omitempty"`   // as in Submission
	Warnings []string `json:"warnings,omitempty"` // as in Submission
	Error    *Error   `json:"error,omitempty"`    // why it is not acknowledged; nil if it is
}

// TokenHeader carries a causal token in requests and answers.
const TokenHeader = "X-UCP-Causal-Token"

// Job is one job as a broker knows it.
type Job struct {
	ID        job.ID    `json:"id"`                  // ID~digest8 when the ID belongs to another job, see SameID
	Short     string    `json:"short,omitempty"`     // the shortest beginning of it that means no other job at the broker that was asked; only in lists
	Name      string    `json:"name,omitempty"`      // what people call it, not unique: the spec's, or the native program's
	Submitter string    `json:"submitter,omitempty"` // the member, or the holder of a token, who has submitted it; "" where that is not known
	Key       string    `json:"key"`                 // ID~digest, which tells two specs with one ID apart
	State     job.State `json:"state"`
	Origin    string    `json:"origin"`           // the broker where it was submitted
	Owner     string    `json:"owner"`            // the broker that is responsible
	Executor  string    `json:"executor"`         // the broker that runs it, or did; "" when not placed
	Attempt   uint64    `json:"attempt"`          // how often it was placed
	Try       int       `json:"try"`              // how often it was retried
	Losses    uint64    `json:"losses,omitempty"` // brokers that were lost, each alone, while it ran there
	ExitCode  *int      `json:"exit_code,omitempty"`
	TimedOut  bool      `json:"timed_out,omitempty"` // its timeout has ended it; ExitCode is what the program made of that
	Reason    string    `json:"reason,omitempty"`    // why it ended as it did
	Why       string    `json:"why,omitempty"`       // why it does not run yet; in lists only where that is quickly said
	// Silent: the broker where it is placed does not answer the one that was asked, so that nobody here knows whether it runs. What waits
	// for one like a broker that has left in good order is not meant.
	Silent bool `json:"silent,omitempty"`

	// Emergency is what gives it its level at its executor, or the broker that was asked;
	// "" when nothing does, or the level is its own.
	Emergency string `json:"emergency,omitempty"`
	// NoLevel says, for people, of an unfinished job that it has no level by the emergency that it names at that broker, which is
	// out of its scope, and of one that waits there why it does not wait within; "" when it has, or names none that is active.
	NoLevel string `json:"no_level,omitempty"`
	// Pauses are the times in which it had to make room for others, the latest 16.
	Pauses []Pause `json:"pauses,omitempty"`

	// Attempts are those of which something is known, the earliest first. Of several at one start of a broker only the
	// latest is known, and those that were returned.
	Attempts []Attempt `json:"attempts,omitempty"` // not in lists

	// Module says which version of named data the job's module is; nil where its spec names none. Not in lists.
	Module *Module `json:"module,omitempty"`
	// Checkpoint is that from which the next attempt goes on; null if there is none, or the job has ended.
	Checkpoint *Checkpoint `json:"checkpoint,omitempty"`
	// Returned are the attempts that a broker could not carry out, the latest 8, the latest first.
	Returned []Returned `json:"returned,omitempty"`

	Displaced []job.ID `json:"displaced,omitempty"` // unfinished jobs that had to make room for it, at the broker that was asked

	// Removed: its retention is over, so that its output and spec are gone; that it has ended stays known, since an
	// absent member may not know of it.
	Removed bool `json:"removed,omitempty"`
	// Provisional: the end may still change. ProvisionalUntil says why, and what it takes to be final, for people; not in lists.
	Provisional      bool   `json:"provisional"`
	ProvisionalUntil string `json:"provisional_until,omitempty"`
	// SetAside: this broker holds it no longer, since after its start every other one answered that it was ended and
	// forgotten. It can be submitted again.
	SetAside    bool       `json:"set_aside,omitempty"`
	SubmittedAt clock.Time `json:"submitted_at"`
	StartedAt   clock.Time `json:"started_at"`
	FinishedAt  clock.Time `json:"finished_at"`

	Accepted   *Accepted  `json:"accepted,omitempty"`
	Rejected   []Accepted `json:"rejected"`          // results that came too late
	SameID     []string   `json:"same_id,omitempty"` // keys of other jobs that got this ID in another part of a split
	Superseded []Verdict  `json:"superseded"`        // verdicts that were not the first

	Stdout  *job.Blob           `json:"stdout,omitempty"`
	Stderr  *job.Blob           `json:"stderr,omitempty"`
	Outputs map[string]job.Blob `json:"outputs,omitempty"` // path -> contents

	Copies *Copies `json:"copies,omitempty"` // with ?copies=1, of a finished job that has output

	Spec *job.Spec `json:"spec,omitempty"` // not in lists

	AsOf    time.Time `json:"as_of"`
	KnownBy int       `json:"known_by"` // brokers known to hold its newest update
	Members int       `json:"members"`  // of so many

	CausalToken string `json:"causal_token,omitempty"` // not in lists; see Submission
}

// Missing is what a broker lacks of a directory (GET /v1/blobs/{digest}?missing=1).
type Missing struct {
	Missing []job.Digest `json:"missing"` // files, at most 10,000 of them; ask again when these are there
}

// Copies says where the output of a finished job is, as brokers answered when they were asked.
type Copies struct {
	Want    int      `json:"want"`    // brokers that are to hold it: --replicas of the one that was asked, or all if there are fewer
	Holders []string `json:"holders"` // those that hold all of it, undamaged
	Silent  []string `json:"silent"`  // those that did not answer: they may hold it

	// GivenUp are those that an operator has given up (`ucp cluster forget`) and that are not back: they may hold it, and do not count.
	GivenUp []string `json:"given_up,omitempty"`
}

// Pause is a time in which a job had to make room for another.
type Pause struct {
	At        string         `json:"at"`  // the broker where it ran
	For       job.ID         `json:"for"` // the job that got its room
	Emergency string         `json:"emergency,omitempty"`
	Mode      job.Preemption `json:"mode"`
	From      clock.Time     `json:"from"`
	To        clock.Time     `json:"to"` // null while it still waits
}

// Attempt is one attempt at a job: where, when, and how it stands or ended.
type Attempt struct {
	Executor string `json:"executor"`
	Attempt  string `json:"attempt"` // its token, as in UCP_ATTEMPT
	// State is queued, loading, running or suspended; or how it ended: succeeded; failed; returned, its broker could not carry it
	// out; stopped, since the job was over or another attempt had taken its place; stopping, the job was cancelled or has
	// expired, and its broker has not said yet what it left; lost, its broker was lost or has not said how it ended; earlier, there was
	// one, and its executor is "": a later report of that broker has taken the place of its own (rule J5).
	State     string     `json:"state"`
	StartedAt clock.Time `json:"started_at"` // null if it has not started, or that is not known
	EndedAt   clock.Time `json:"ended_at"`   // likewise
	ExitCode  *int       `json:"exit_code,omitempty"`
	Reason    string     `json:"reason,omitempty"` // why it failed, or was returned
	Began     bool       `json:"began,omitempty"`  // of one that was returned: the program may have run
	Kept      *Kept      `json:"kept,omitempty"`   // what it had written, of one that was stopped in the middle; null if nothing is kept
}

// Checkpoint is what an attempt had written of what its job names, kept on as many brokers as an input is.
type Checkpoint struct {
	Attempt string     `json:"attempt"` // the token of the one that took it
	Earlier bool       `json:"earlier"` // another attempt is placed now, which goes on from it
	At      clock.Time `json:"at"`
	Ran     int64      `json:"ran_ms"`  // for how long the job had run, over all attempts that went on from one another
	Bytes   int64      `json:"size"`    // of all files
	Tree    job.Digest `json:"sha256"`  // of the manifest of the files
	Holders []string   `json:"holders"` // brokers of which the one that answers knows that they have it
}

// Kept is what an attempt had written that was stopped in the middle: since its job was cancelled or has expired, or to make
// room for another job, or since its broker was to run nothing. In the latter cases it is kept until the job has ended with a
// result, or until another attempt was stopped that had written something. The client's [Client.Kept] fetches it.
type Kept struct {
	Stdout  *job.Blob           `json:"stdout,omitempty"`
	Stderr  *job.Blob           `json:"stderr,omitempty"`
	Outputs map[string]job.Blob `json:"outputs,omitempty"`
}

// Returned is an attempt that a broker could not carry out, so that the job went elsewhere.
type Returned struct {
	Executor string     `json:"executor"`
	Attempt  string     `json:"attempt"`
	At       clock.Time `json:"at"`
	Reason   string     `json:"reason"`
	Began    bool       `json:"began"` // the program may have run
	Never    bool       `json:"never"` // that broker lacks what the job wants
}

// Accepted names a result: who made it, in which attempt, when.
type Accepted struct {
	Executor string `json:"executor"`
	// Attempt is the token under which its owner accepted it. It is what the job saw in
	// UCP_ATTEMPT, unless a new owner adopted it while it ran (rule J7).
	Attempt string     `json:"attempt"`
	At      clock.Time `json:"at"`

	Outcome  job.Outcome         `json:"outcome,omitempty"`
	ExitCode *int                `json:"exit_code,omitempty"`
	Stdout   *job.Blob           `json:"stdout,omitempty"`
	Stderr   *job.Blob           `json:"stderr,omitempty"`
	Outputs  map[string]job.Blob `json:"outputs,omitempty"`
	Read     []ReadEnd           `json:"read,omitempty"` // of which ends of other jobs it has read
}

// ReadEnd names the end of a job of which another one has read (rule C6): by which broker and when it was written.
type ReadEnd struct {
	Job job.ID     `json:"job"`
	By  string     `json:"by"`
	At  clock.Time `json:"at"`
}

// Verdict names an end of a job that did not count.
type Verdict struct {
	Outcome job.Outcome `json:"outcome"`
	By      string      `json:"by"`
	Reason  string      `json:"reason,omitempty"`
	At      clock.Time  `json:"at"`
	Result  *Accepted   `json:"result,omitempty"` // that it had accepted; its output is kept as long as the job
}

// JobList is a page of GET /v1/jobs, newest first.
type JobList struct {
	Jobs   []Job             `json:"jobs"`
	Counts map[job.State]int `json:"counts,omitempty"` // with ?count=1 instead of the jobs: how many of this page are in each state
	Next   string            `json:"next"`             // pass as ?after=; "" at the end
	AsOf   time.Time         `json:"as_of"`
}

// Member is one node of the Serf pool.
type Member struct {
	Name     string         `json:"name"`
	Addr     string         `json:"addr"`
	HTTPAddr string         `json:"http_addr"`         // "" for a stock Serf agent
	Status   string         `json:"status"`            // alive | leaving | left | failed
	Actor    clock.Actor    `json:"actor"`             // "" for a stock Serf agent
	RTT      clock.Duration `json:"rtt"`               // by network coordinates; 0 when not known
	Draining bool           `json:"draining"`          // it is about to leave, and takes nothing
	Drained  *Drain         `json:"drained,omitempty"` // null while it runs new jobs
	Self     bool           `json:"self"`
	// Emergency is the highest level in force there, "" for none; Emergencies names the
	// first few.
	Emergency   string   `json:"emergency"`
	Emergencies []string `json:"emergencies"`
	// Unheard are those of Emergencies that are not active as far as the broker knows that answers: one of the two has yet to hear that they
	// were declared, or are over.
	Unheard []string `json:"emergencies_unheard,omitempty"`
	// Health is as in Peer; "" of the broker that answers, of those that have left, and of stock Serf agents. TakesNone is
	// why it takes no jobs, "" while it does.
	Health    string `json:"health,omitempty"`
	TakesNone string `json:"takes_none,omitempty"`
	// Revoked: it was shut out of the city, though gossip may still call it alive. Nobody speaks to it.
	Revoked bool `json:"revoked,omitempty"`
	// Withdrawn is why it takes no jobs for now: it could not carry out one, and finds out when it can again.
	Withdrawn string `json:"withdrawn,omitempty"`
	// Unset: its machine's clock is behind what the broker knows, and has no vote on what time it is.
	Unset bool `json:"unset"`
	// ClockOff, Unproven, Breaches and LastBreach are as in Peer.
	ClockOff   clock.Duration `json:"clock_off"`
	Unproven   bool           `json:"unaudited"`
	Breaches   uint64         `json:"breaches"`
	LastBreach string         `json:"last_breach,omitempty"`
	// Roll says whether it takes part: open, left (it said goodbye), removed (an operator gave it up), or "" for
	// who has no record: a stock Serf agent, or one that is about to be admitted.
	Roll string `json:"roll"`
	// Away says that it does not answer though it takes part: results stay provisional until it is back, or removed.
	// AwaySince is when it was lost, by the clock of the broker that answers; absent when it was not met since that
	// broker's start.
	Away      bool       `json:"away"`
	AwaySince *time.Time `json:"away_since,omitempty"`
}

// RemovedMember answers DELETE /v1/members/{name}: the broker takes part no more.
type RemovedMember struct {
	Name     string `json:"name"`
	Losses   int    `json:"losses"`   // brokers that operators have removed and that are not back, this one included
	Bear     int    `json:"bear"`     // so many losses, wiped and restored disks included, change no firm result
	Replicas int    `json:"replicas"` // brokers that know of it already
	Degraded bool   `json:"degraded"` // fewer than the broker's --replicas
	// StillMember says, in a city, why the broker's identity has not ended with that; "" where it has.
	StillMember string `json:"still_member,omitempty"`
}

// LogLevel answers GET and PUT /v1/log-level.
type LogLevel struct {
	Name  string `json:"name"`  // of the broker
	Level string `json:"level"` // debug | info | warn | error
}

// Drain says that an operator has told a broker to run nothing new until it is resumed.
type Drain struct {
	Since    clock.Time `json:"since"`
	Deadline clock.Time `json:"deadline"` // when what still runs there is moved; null is never
	// Stays counts the jobs that run on though the deadline is over: no other broker can take them, or they must not run twice.
	Stays int `json:"stays,omitempty"`
	// Waits counts the jobs that wait there, since no other broker can take them.
	Waits int `json:"waits,omitempty"`
}

// DrainedMember answers PUT and DELETE /v1/members/{name}/drain.
type DrainedMember struct {
	Name     string     `json:"name"`
	Drained  bool       `json:"drained"` // false: it runs jobs again
	Since    clock.Time `json:"since"`
	Deadline clock.Time `json:"deadline"` // as in Drain
	Before   bool       `json:"before"`   // it was drained before
	Running  int        `json:"running"`  // jobs that have begun there and have not ended, as far as the broker that answers knows
	Stay     int        `json:"stay"`     // so many of them could not be moved now: no other broker can take them, or they must not run twice
	Waits    int        `json:"waits"`    // jobs that wait there, and that no other broker can take now: they start when one can, or it is resumed
	Replicas int        `json:"replicas"` // brokers that know of it already
	Degraded bool       `json:"degraded"` // fewer than the broker's --replicas
}

// MemberList answers GET /v1/members.
type MemberList struct {
	Members []Member `json:"members"`
	// Exposed is that of the Coordination of the broker that answers.
	Exposed []string `json:"exposed,omitempty"`
}

// Coordination answers GET /broker/coordination-status. Peers are other members;
// stock Serf agents do not count.
type Coordination struct {
	CoordinatorRunning bool            `json:"coordinator_running"`
	TotalPeers         int             `json:"total_peers"`
	HealthyPeers       int             `json:"healthy_peers"`
	UnhealthyPeers     int             `json:"unhealthy_peers"`
	LastSyncTime       *time.Time      `json:"last_sync_time"` // null before the first
	PeerBrokers        map[string]Peer `json:"peer_brokers"`

	Name     string         `json:"name"`
	Actor    clock.Actor    `json:"actor"`
	Software string         `json:"software"`
	Uptime   clock.Duration `json:"uptime"`
	Strategy string         `json:"strategy"`
	// Chosen and Commands are those of Strategy: what decides again when the emergency Commands is over; "" for none.
	Chosen       string            `json:"chosen_strategy,omitempty"`
	Commands     string            `json:"commanding_emergency,omitempty"`
	SyncInterval clock.Duration    `json:"sync_interval"`
	SyncStretch  float64           `json:"sync_stretch"` // how much CPU pressure stretches the interval, 1 to 2
	Replicas     int               `json:"replicas"`
	Clock        clock.Vector      `json:"clock"`
	Jobs         map[job.State]int `json:"jobs"`           // unfinished jobs owned here, by state; wherever they run
	Here         *Here             `json:"here,omitempty"` // jobs placed here, whoever owns them; null from an earlier version
	Capacity     job.Resources     `json:"capacity"`
	Usage        job.Resources     `json:"usage"` // what running jobs have asked for
	// WorkerMemory is what jobs, their workers and their modules may take of memory here, and take; null from an earlier
	// version, and where the system does not tell.
	WorkerMemory *WorkerMemory `json:"worker_memory,omitempty"`
	// ModuleCache is what compiled modules take of the disk; null from an earlier version.
	ModuleCache *ModuleCache `json:"module_cache,omitempty"`
	// Sandbox says which walls stand around native jobs here; null from an earlier version.
	Sandbox *Sandbox `json:"sandbox,omitempty"`
	// ModuleSandbox says which walls stand around WebAssembly jobs here; null from an earlier version.
	ModuleSandbox *Sandbox `json:"module_sandbox,omitempty"`
	// Exposed names the interfaces that strangers can reach and that do not ask who is calling, with their addresses:
	// whoever reaches them commands this broker. Only --insecure allows it.
	Exposed   []string `json:"exposed,omitempty"`
	Draining  bool     `json:"draining"` // about to leave
	Drained   *Drain   `json:"drained,omitempty"`
	DiskFull  bool     `json:"disk_full"` // no new jobs until there is room
	Withdrawn string   `json:"withdrawn"` // why it takes no jobs until it can carry them out again; "" while it can
	// Unproven: what it remembers may be older than what others know, so that no end is firm, and what is old waits at
	// first; AwaitsProof says so to people, and for whom it waits. False and "" when it is proven.
	Unproven    bool   `json:"unaudited"`
	AwaitsProof string `json:"awaits_proof"`

	Quarantined int `json:"quarantined"` // records of peers that don't validate
	// Emergency is the highest level in force at this broker, "" for none; Emergencies are
	// all that are active, also where it is out of scope.
	Emergency   string      `json:"emergency"`
	Emergencies []Emergency `json:"emergencies"`
	// HeldBack is how many finished jobs are remembered beyond their retention, by their stubs, and whose absence causes
	// that.
	HeldBack   int      `json:"held_back"`
	HeldBackBy []string `json:"held_back_by,omitempty"`
	// Time is what time it is for deadlines and emergencies: the median of the brokers' clocks. Unset: this machine's
	// own clock is behind what the broker knew, and has no vote.
	Time  time.Time `json:"time"`
	Unset bool      `json:"unset"`
	// Protocol is the version that this broker writes: the highest that every member speaks.
	Protocol int `json:"protocol"`
	// Warnings say, for people, what should be looked at before it becomes a fault.
	Warnings []string  `json:"warnings"`
	AsOf     time.Time `json:"as_of"`
}

// Here counts the jobs that a broker executes, or is to.
type Here struct {
	Running int `json:"running"` // hold room, those that stand still among them
	Queued  int `json:"queued"`  // wait for room, or for an exclusive key
}

// Sandbox says what confines jobs: which walls stand, and which don't, by their names.
type Sandbox struct {
	Holds   []string          `json:"holds"`
	Missing map[string]string `json:"missing"` // name -> why
}

// WorkerMemory is the memory of a broker's workers, in bytes.
type WorkerMemory struct {
	Room      int64 `json:"room"`      // that all may have: --memory and --module-memory
	Accounted int64 `json:"accounted"` // Limits, Workers, Loading and Modules together
	Limits    int64 `json:"limits"`    // of the jobs that run
	Workers   int64 `json:"workers"`   // of the workers themselves
	Idle      int64 `json:"idle"`      // of Workers, what idle ones have; they are ended before a job waits for memory
	Loading   int64 `json:"loading"`   // that modules take while they are compiled or loaded
	Modules   int64 `json:"modules"`   // compiled code, once for all workers
	Resident  int64 `json:"resident"`  // what is in use of all that, by measurement; shared pages count once
}

// ModuleCache is the disk space of compiled modules, in bytes. They are removed before anything is refused for want of disk.
type ModuleCache struct {
	Bytes int64 `json:"bytes"`
	Most  int64 `json:"most"` // --module-cache
}

// Peer is one other broker in Coordination.
type Peer struct {
	Host     string `json:"host"`
	Port     int    `json:"port"`
	Healthy  bool   `json:"healthy"`           // messages pass between the two, it as itself
	Health   string `json:"health"`            // "healthy", or what is wrong: "silent for 48s; gossip lost it 5s ago", "speaks protocol 2, we speak 1", "at its address n1 answers", "refuses us: ...", "can't reach this broker at ..."
	LastSeen int64  `json:"last_seen"`         // Unix seconds of its last message; 0 for never
	Answers  *bool  `json:"answers,omitempty"` // whether it has answered when it was asked just now; nil: it was not asked
	Behind   uint64 `json:"behind"`            // updates known here that its clock, when last heard, did not cover
	Ahead    uint64 `json:"ahead"`             // updates that its clock covers and that are not known here

	Attempts uint64 `json:"attempts"` // messages sent to it since this broker's start
	Failed   uint64 `json:"failed"`   // those that it did not answer
	Failing  uint64 `json:"failing"`  // the same, since it last answered: the pause before the next grows with it

	Unset bool `json:"unset"` // its machine's clock has no vote on what time it is
	// ClockOff is how far its machine's clock is ahead of what time it is, behind if negative; 0 while that is at most
	// what brokers make up for (a minute), or not known.
	ClockOff clock.Duration `json:"clock_off"`
	Unproven bool           `json:"unaudited"` // its start is not proven yet, as of this broker in Coordination

	// Breaches counts what it has said since this broker's start that it can't know, or that is not its to say; none of
	// that was believed. LastBreach is the latest, for people.
	Breaches   uint64 `json:"breaches"`
	LastBreach string `json:"last_breach,omitempty"`

	TakesNone string `json:"takes_none,omitempty"` // why it takes no jobs: "it is about to leave", "its disk is full", or what it could not do

	ByMessages bool `json:"by_messages,omitempty"` // gossip says that it is gone, but messages pass both ways

	// InGossip: gossip hears it; it may take some seconds to lose one that is gone. GossipLost is when it did, absent when
	// that is not known.
	InGossip   bool       `json:"in_gossip"`
	GossipLost *time.Time `json:"gossip_lost,omitempty"`

	// RTT is the round-trip time to it, by network coordinates; 0 when not known, and of an earlier version.
	RTT clock.Duration `json:"rtt,omitzero"`

	Stranger string `json:"stranger,omitempty"` // the actor that answers at its address instead of it
	Refused  string `json:"refused"`            // why it has refused the last message, "" when it has not; then it is not healthy
}

// Blob answers PUT /v1/blobs/{sha256}.
type Blob = job.Blob
