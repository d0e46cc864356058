"""The shapes of what is sent and answered, as docs/api/openapi.yaml has them. Answers may have more fields than stand here.

Made by `go test ./node/httpd -run TestOpenAPI -rewrite`.
"""

from __future__ import annotations

from typing import Any, Dict, List, Optional, TypedDict, Union


class _Accepted(TypedDict):
    executor: str
    # Attempt is the token under which its owner accepted it. It is what the job saw in UCP_ATTEMPT, unless a new owner adopted it while it ran (rule J7).
    attempt: str
    at: Optional[str]


class Accepted(_Accepted, total=False):
    """Accepted names a result: who made it, in which attempt, when."""

    outcome: str
    exit_code: int
    stdout: Blob
    stderr: Blob
    outputs: Dict[str, Blob]
    # of which ends of other jobs it has read
    read: List[ReadEnd]


class _Admitted(TypedDict):
    admission: str
    authorities: str
    # their HTTP addresses
    brokers: List[str]


class Admitted(_Admitted, total=False):
    """Admitted is what a new member gets."""

    # its name, for people
    city: str
    # of the gossip; for brokers
    keyring: str
    # whom to join; for brokers
    gossip: List[str]
    # names that take part and that nobody has let in: they did before there was a city; for brokers
    adopted: List[str]


class Alternative(TypedDict):
    """Alternative is what another strategy would have decided."""

    strategy: str
    decision: Decision
    sentence: str


class _Arrival(TypedDict):
    ticket: str
    # its public key
    key: str


class Arrival(_Arrival, total=False):
    """Arrival is what somebody shows who was invited."""

    name: str
    broker: bool


class _Attempt(TypedDict):
    executor: str
    # its token, as in UCP_ATTEMPT
    attempt: str
    # State is queued, loading, running or suspended; or how it ended: succeeded; failed; returned, its broker could not carry it out; stopped, since the job was over or another attempt had taken its place; stopping, the job was cancelled or has expired, and its broker has not said yet what it left; lost, its broker was lost or has not said how it ended; earlier, there was one, and its executor is "": a later report of that broker has taken the place of its own (rule J5).
    state: str
    # null if it has not started, or that is not known
    started_at: Optional[str]
    # likewise
    ended_at: Optional[str]


class Attempt(_Attempt, total=False):
    """Attempt is one attempt at a job: where, when, and how it stands or ended."""

    exit_code: int
    # why it failed, or was returned
    reason: str
    # of one that was returned: the program may have run
    began: bool
    # what it had written, of one that was stopped in the middle; null if nothing is kept
    kept: Kept


class _Authorities(TypedDict):
    authorities: List[Authority]


class Authorities(_Authorities, total=False):
    """Authorities answers GET /v1/authorities."""

    # Here is the key that lies at the broker that was asked, whether it is an authority's yet or not; "" where none does, or it is encrypted.
    here: str


class _Authority(TypedDict):
    # 64 hexadecimal digits
    key: str


class Authority(_Authority, total=False):
    """Authority is a key that may admit members of the city."""

    # the city began with it
    root: bool
    # another authority's key
    added_by: str


class AuthorityOrder(TypedDict, total=False):
    """AuthorityOrder adds an authority, or, without a key, removes one."""

    key: str
    # of the authority's key at the broker that is asked
    passphrase: str
    # of a removal: also when who asks or the last operator that is known falls by it
    lockout: bool


class _BatchJob(TypedDict):
    spec: SpecDocument


class BatchJob(_BatchJob, total=False):
    """What is answered and has no type of its own in the code."""

    id: str


class _BatchLine(TypedDict):
    # of the request, from 1
    line: int


class BatchLine(_BatchLine, total=False):
    """BatchLine is what became of one job of a batch."""

    # "" where the line could not be read
    id: str
    # false: the same job was known already
    created: bool
    # as in Submission
    replicas: int
    # as in Submission
    degraded: bool
    # as in Submission
    module: Module
    # as in Submission
    wanted: int
    # as in Submission
    warnings: List[str]
    # why it is not acknowledged; nil if it is
    error: Error


class Blob(TypedDict):
    """Blob identifies a blob by its digest, and gives its size in bytes."""

    sha256: str
    size: int


class Bundle(TypedDict):
    """Bundle is a conflict that is taken to another machine: what the decision rested on, the decision, and the sentence that explains it. Its bytes are the same on every machine."""

    version: int
    conflict: ResolveConflict
    strategy: str
    decision: Decision
    sentence: str


class _Caller(TypedDict):
    scopes: List[str]
    # the broker belongs to a city, and asks who calls
    city: bool


class Caller(_Caller, total=False):
    """Caller answers GET /v1/caller: who asks, and what they may."""

    # of a member, or the subject of a token; "" for everybody, where the broker belongs to no city
    name: str
    # what they are known by, for people
    how: str
    # of who may nothing: why not
    why: str

_CandidateOddOptional = TypedDict("_CandidateOddOptional", {"for": "str"}, total=False)


class _Candidate(TypedDict):
    # the job's ledger key
    key: str
    # what it holds while it runs; at least some CPU and memory
    want: Resources
    # user priority, 0 to 10
    user: int
    # of its earliest creation
    arrived: int
    # the actor that wrote it
    by: str


class Candidate(_CandidateOddOptional, _Candidate, total=False):
    """Candidate is a job that wants to run, or runs. It is plain data. Once it is handed to a [Queue] or put into a [Snapshot] it must not be changed: snapshots and recorded conflicts share it."""

    # what a person calls it; the key when empty
    id: str
    # the key that at most one job holds (rule J10)
    exclusive: str
    # emergency level of its own, 0 to 4
    level: int
    # level that it got from what waits for it at other brokers (rule C5)
    raised: int
    # computational weight, 0 to 10
    weight: int
    # Part is what the computational weight has beyond Weight, and Urgency, 0 to 1, how urgent the job is without a deadline: one with a deadline goes by that.
    weight_part: float
    urgency: float
    deadline: str
    # how long it is expected to run; 0 is unknown
    length: str
    # Deps are the keys of the nearest jobs that its submitter had seen (rule C1). A key that is not in the snapshot is of a job that has ended or competes elsewhere: the maker of the candidate names what that job had seen instead.
    deps: List[str]
    # After are the keys of the jobs whose end it waits for (rule C4).
    after: List[str]
    # what may happen to it; empty is suspend
    mode: str
    # how often it was displaced
    displaced: int
    # by which jobs, the latest last
    displaced_by: List[str]
    # the emergency level that the latest of them had then
    displaced_at: int
    # when it began to run, or resumed; 0 when it does not run
    began: str
    # for how long it ran before it was suspended
    ran: str
    # it was told to go and still holds what it has
    leaving: str
    # the emergency level of that job
    for_at: int
    # others were made to leave for it
    promised: bool
    # no decision has seen it yet
    fresh: bool
    # what jobs outside of this snapshot lend to it
    lent: Lent
    # the same, of those that want its exclusive key
    key_lent: Lent


class _Capabilities(TypedDict):
    capacity: Resources
    # bytes free at the start
    disk: int
    drivers: Optional[List[str]]
    # Labels are the operator's, and what the broker knows of itself: name, os, arch. Constraints see them.
    labels: Optional[Dict[str, str]]


class Capabilities(_Capabilities, total=False):
    """Capabilities is what a broker can offer."""

    # NoNetwork: native jobs that need the network can't run there. A broker of an earlier version says nothing, and returns them.
    no_network: bool
    # Room is how many bytes of memory a job may take there together with its worker and its module, while that is got ready; 0 is not known, as of an earlier version.
    room: int
    # Secrets: jobs that have secrets can run there, since the broker belongs to a city. A broker of an earlier version says nothing.
    secrets: bool
    # AllowModules name the modules that run there, at most MaxAllowModules: each the beginning of a digest, or the number of a key that has signed them. None is any, as of an earlier version.
    allow_modules: List[int]

_CarriedOdd = TypedDict("_CarriedOdd", {"from": "str", "for": "List[str]"})


class _Carried(TypedDict):
    id: str
    # when it was packed
    at: str
    # that were packed, or read
    records: int
    # the same of these
    blobs: int
    # of these
    blob_bytes: int
    # of the file
    bytes: int
    # brokers whose word is in it: what they hold, and know all to hold
    words: List[str]
    # blobs that the packer asks for
    lacks: int
    # blobs that had no room in it
    left_out: int
    # it was read to its end
    whole: bool
    # records that are others now than before
    changed: int
    # blobs that were not here before
    new_blobs: int
    # blobs that were not kept, since the disk has no room
    blobs_without_room: int
    # blobs that were damaged where the file was packed
    blobs_damaged: int
    # blobs that its records need and that have not come with it: the next file that is packed here asks for them
    blobs_lacking: int
    # this broker holds now all that the packer held then
    adopted: bool
    # words that were news here
    new_words: int
    # what was read of it before counts
    tampered_or_damaged: bool


class Carried(_CarriedOdd, _Carried, total=False):
    """Carried says what a file holds that is carried by hand, and in an answer to unpacking it what became of it."""

    city: str
    encrypted: bool
    # it only says who the packer is
    introduces: bool
    # of these
    kinds: Dict[str, int]
    # blobs that no broker had that the packer reached
    blobs_missing: int
    # not even all records had room
    records_left: bool
    # who is there and did not say what it holds, as it was packed
    silent: List[str]
    # why it was not
    trouble: str
    # of the packer's ledger
    ledger_digest: Digest
    # others that hold the same, by their own word
    same: List[str]
    # what to do, where something is left to do
    advice: str
    # the same
    cut_short: bool


class Checkpoint(TypedDict):
    """Checkpoint is what an attempt had written of what its job names, kept on as many brokers as an input is."""

    # the token of the one that took it
    attempt: str
    # another attempt is placed now, which goes on from it
    earlier: bool
    at: Optional[str]
    # for how long the job had run, over all attempts that went on from one another
    ran_ms: int
    # of all files
    size: int
    # of the manifest of the files
    sha256: str
    # brokers of which the one that answers knows that they have it
    holders: List[str]


class _Checkpointing(TypedDict):
    # files and directories, with a slash at the end or without
    paths: Optional[List[str]]


class Checkpointing(_Checkpointing, total=False):
    """Checkpointing says what of a job is kept while it runs, so that its next attempt goes on from there (rule J17)."""

    # Every is how long the job runs from one checkpoint to the next: its processes stand still while the paths are copied; or, with a signal, the program is asked. 0: a checkpoint is taken only when the program says so.
    every: str
    # which asks a native program for a checkpoint, such as USR1
    signal: str


class _Conflict(TypedDict):
    id: str
    at: Optional[str]
    strategy: str
    # capacity | exclusive | twice
    kind: str
    # ID of a job; "" when nobody won
    winner: str
    # contenders and holders
    jobs: int
    sentence: str


class Conflict(_Conflict, total=False):
    """Conflict is one decision between jobs that could not all run, in short."""

    # the exclusive key, or the job
    over: str
    # of the jobs that it records; none from an earlier version
    ids: List[str]


class ConflictList(TypedDict):
    """ConflictList answers GET /v1/conflicts, the newest first. One by its ID is explained at GET /v1/conflicts/{id}: see package resolve."""

    conflicts: List[Conflict]
    # decided since the broker's start
    total: int


class ConflictStatistics(TypedDict):
    """ConflictStatistics answers GET /broker/conflict-statistics."""

    current_strategy: str
    total_conflicts_resolved: int
    # jobs that wait for room or a key here
    pending_conflicts: int
    running_jobs: int
    resource_usage: Usage
    recent_conflicts: List[RecentConflict]


class _Contender(TypedDict):
    key: str
    id: str
    # to the winner
    relation: str
    # its own score
    factors: Factors
    # its points with what it inherits
    rank: int
    # into what was free before
    fits: bool
    outcome: str


class Contender(_Contender, total=False):
    """Contender explains one job of a conflict."""

    # jobs of this conflict that come before it
    past: List[str]
    lacks: str


class _Coordination(TypedDict):
    coordinator_running: bool
    total_peers: int
    healthy_peers: int
    unhealthy_peers: int
    # null before the first
    last_sync_time: Optional[str]
    peer_brokers: Dict[str, Peer]
    name: str
    actor: str
    software: str
    uptime: str
    strategy: str
    sync_interval: str
    # how much CPU pressure stretches the interval, 1 to 2
    sync_stretch: float
    replicas: int
    clock: Dict[str, int]
    # unfinished jobs owned here, by state; wherever they run
    jobs: Dict[str, int]
    capacity: Resources
    # what running jobs have asked for
    usage: Resources
    # about to leave
    draining: bool
    # no new jobs until there is room
    disk_full: bool
    # why it takes no jobs until it can carry them out again; "" while it can
    withdrawn: str
    # Unproven: what it remembers may be older than what others know, so that no end is firm, and what is old waits at first; AwaitsProof says so to people, and for whom it waits. False and "" when it is proven.
    unaudited: bool
    awaits_proof: str
    # records of peers that don't validate
    quarantined: int
    # Emergency is the highest level in force at this broker, "" for none; Emergencies are all that are active, also where it is out of scope.
    emergency: str
    emergencies: List[Emergency]
    # HeldBack is how many finished jobs are remembered beyond their retention, by their stubs, and whose absence causes that.
    held_back: int
    # Time is what time it is for deadlines and emergencies: the median of the brokers' clocks. Unset: this machine's own clock is behind what the broker knew, and has no vote.
    time: str
    unset: bool
    # Protocol is the version that this broker writes: the highest that every member speaks.
    protocol: int
    # Warnings say, for people, what should be looked at before it becomes a fault.
    warnings: List[str]
    as_of: str


class Coordination(_Coordination, total=False):
    """Coordination answers GET /broker/coordination-status. Peers are other members; stock Serf agents do not count."""

    # Chosen and Commands are those of Strategy: what decides again when the emergency Commands is over; "" for none.
    chosen_strategy: str
    commanding_emergency: str
    # jobs placed here, whoever owns them; null from an earlier version
    here: Here
    # WorkerMemory is what jobs, their workers and their modules may take of memory here, and take; null from an earlier version, and where the system does not tell.
    worker_memory: WorkerMemory
    # ModuleCache is what compiled modules take of the disk; null from an earlier version.
    module_cache: ModuleCache
    # Sandbox says which walls stand around native jobs here; null from an earlier version.
    sandbox: Sandbox
    # ModuleSandbox says which walls stand around WebAssembly jobs here; null from an earlier version.
    module_sandbox: Sandbox
    # Exposed names the interfaces that strangers can reach and that do not ask who is calling, with their addresses: whoever reaches them commands this broker. Only --insecure allows it.
    exposed: List[str]
    drained: Drain
    held_back_by: List[str]


class _Copies(TypedDict):
    # brokers that are to hold it: --replicas of the one that was asked, or all if there are fewer
    want: int
    # those that hold all of it, undamaged
    holders: List[str]
    # those that did not answer: they may hold it
    silent: List[str]


class Copies(_Copies, total=False):
    """Copies says where the output of a finished job is, as brokers answered when they were asked."""

    # GivenUp are those that an operator has given up (`ucp cluster forget`) and that are not back: they may hold it, and do not count.
    given_up: List[str]


class _Data(TypedDict):
    name: str
    # the latest first, with those that were removed
    versions: List[DataVersion]
    as_of: str


class Data(_Data, total=False):
    """Data is what a name stands for."""

    # to whom it belongs, in a city: who has written it first
    owner: str
    # null where nothing is there
    latest: DataVersion
    # Of an answer to a write: what was done, how many brokers hold it, and whether that is fewer than the broker's --replicas. false where the latest version had this content already
    new: bool
    # how many versions
    removed: int
    replicas: int
    degraded: bool
    causal_token: str


class _DataList(TypedDict):
    data: List[Data]
    as_of: str


class DataList(_DataList, total=False):
    """DataList is a page of names, sorted."""

    # give it back as ?after= for the next page
    next: str


class _DataVersion(TypedDict):
    # names it: to be given back as it is
    version: str
    # in bytes; of a directory that of its manifest
    size: int
    # when it was written, by the stamp that orders it
    at: Optional[str]
    # that wrote it
    broker: str
    # null while it is there
    removed_at: Optional[str]


class DataVersion(_DataVersion, total=False):
    """DataVersion is one version of named data, which never changes; or what stays of one that was removed."""

    digest: str
    # the digest is that of its manifest
    directory: bool
    # that has made it
    job: str
    # of that job
    attempt: str
    # the broker that did so
    removed_by: str
    # it was removed since it was old; nobody has deleted it
    old: bool


class Decision(TypedDict):
    """Decision says what to do now."""

    # keys, in the order in which they were chosen
    start: Optional[List[str]]
    # suspended ones that go on
    resume: Optional[List[str]]
    # running ones that must leave first
    preempt: Optional[List[Preempt]]
    # those that can't meet their deadline any more
    expire: Optional[List[Reason]]
    # Defer says why each other contender waits, in the order of their turn. [Queue.Resolve] leaves it out: ask [Queue.Why].
    defer: Optional[List[Reason]]


class Declaration(TypedDict, total=False):
    """Declaration is a request to declare or to clear an emergency, as JSON over HTTP and in Serf's events. The last five fields are set in a broker's events only. Of one whose ID is known, what is not given stays as it is (see [Declaration.Over]); nil is not given, and what is given and empty drops what there was."""

    # made up if it is empty
    id: str
    # required; see Terms
    type: str
    # required: low, medium, high or critical, in JSON also 1 to 4
    level: Union[str, int]
    # see Terms
    scope: List[str]
    # see Terms
    select: List[str]
    # 24 hours if it is zero, at most MaxTTL
    ttl: str
    # for people
    message: str


class _Digest(TypedDict):
    name: str
    actor: str
    # with ?records=1 also what its entries imply (rule K1)
    clock: Dict[str, int]
    records: int
    # finished jobs past their retention of which only stays how they ended: not among Records
    stubs: int
    # records of peers that don't validate
    quarantined: int
    # of all records, in the order of their keys
    digest: str
    as_of: str


class Digest(_Digest, total=False):
    """Digest answers GET /broker/digest: a broker's ledger in one hash, at its clock. Two brokers with equal clocks hold the same, or something is wrong; only what is past its retention each forgets in its own time. Rows of starts and stubs (rules K2, M4), which differ in the same way, are left out. An older version has rows among its records, of kind 'start'."""

    # with ?records=1
    list: List[RecordDigest]


class Dot(TypedDict):
    """Dot identifies one event: the Counter-th update that Actor wrote. Counters start at 1; the zero Dot identifies no event."""

    Actor: str
    Counter: int


class _Drain(TypedDict):
    since: Optional[str]
    # when what still runs there is moved; null is never
    deadline: Optional[str]


class Drain(_Drain, total=False):
    """Drain says that an operator has told a broker to run nothing new until it is resumed."""

    # Stays counts the jobs that run on though the deadline is over: no other broker can take them, or they must not run twice.
    stays: int
    # Waits counts the jobs that wait there, since no other broker can take them.
    waits: int


class DrainedMember(TypedDict):
    """DrainedMember answers PUT and DELETE /v1/members/{name}/drain."""

    name: str
    # false: it runs jobs again
    drained: bool
    since: Optional[str]
    # as in Drain
    deadline: Optional[str]
    # it was drained before
    before: bool
    # jobs that have begun there and have not ended, as far as the broker that answers knows
    running: int
    # so many of them could not be moved now: no other broker can take them, or they must not run twice
    stay: int
    # jobs that wait there, and that no other broker can take now: they start when one can, or it is resumed
    waits: int
    # brokers that know of it already
    replicas: int
    # fewer than the broker's --replicas
    degraded: bool


class _DryRun(TypedDict):
    brokers: List[Prospect]


class DryRun(_DryRun, total=False):
    """DryRun answers a submission with ?dry_run=1: nothing was submitted. The broker that would be preferred stands first."""

    # as of a Submission
    module: Module
    # as of a Submission
    warnings: List[str]

_EffectOdd = TypedDict("_EffectOdd", {"for": "str", "from": "Optional[str]"})


class Effect(_EffectOdd):
    """Effect is a time in which a job had to make room for another because of an emergency."""

    job: str
    # of the job, now
    state: str
    # the broker where it ran
    at: str
    # suspend | requeue
    mode: str
    # null while it still waits
    to: Optional[str]
    # Lasted is for how long it did not run, up to now while it still waits.
    lasted: str


class _Emergency(TypedDict):
    id: str
    type: str
    # low | medium | high | critical
    level: str
    # conditions on brokers' labels; empty: everywhere
    scope: List[str]
    # conditions on jobs' labels; empty: only jobs that name its ID or type
    select: List[str]
    message: str
    declared_at: Optional[str]
    # the broker that wrote its present terms
    declared_by: str
    # it ends by itself then
    until: Optional[str]
    active: bool
    cleared: bool
    # null unless cleared
    cleared_at: Optional[str]
    # the broker where that was said
    cleared_by: str
    # cleared, or its time was over; null while it is active
    ended_at: Optional[str]
    # the broker that answers reacts to it
    in_scope: bool
    # known from an event only, so far: the record is on its way
    heard: bool
    caused: int
    as_of: str


class Emergency(_Emergency, total=False):
    """Emergency is one emergency as a broker knows it."""

    # Brokers are those where it is in force, of OfBrokers that can be reached, and what it does there; Unmet says which condition of its scope no broker meets. Of an active one that was declared, changed or asked for.
    brokers: List[EmergencyAt]
    of_brokers: int
    unmet_scope: str
    # Away are brokers that take part, may be in its scope, and can't be reached from the one that answers: whether it is in force there is not known.
    away: List[str]
    # Jobs are those of the cluster that are not finished, which it may concern: where Brokers is given; null of an earlier version.
    jobs: JobCounts
    # Of an answer to a declaration or a clear: how many brokers held it then, and whether that is fewer than the broker's --replicas.
    replicas: int
    degraded: bool
    # Was are its terms until then, of an answer to a declaration that has changed it: what is not another now was kept.
    was: EmergencyTerms
    # PassedOver are terms that were declared at another broker while the present ones were, neither having heard of the other: the later ones stand, also where their level is lower. Absent where the broker that answers, since its start, has not held both.
    passed_over: PassedOver
    # Effects are the jobs that had to make room because of it, the earliest first, at most 1,000: only of one emergency. Caused is how many pauses of jobs there were; in a list, how many jobs.
    effects: List[Effect]


class _EmergencyAt(TypedDict):
    broker: str
    # by which it decides
    strategy: str
    # what becomes there of jobs that have its level, for people
    effect: str


class EmergencyAt(_EmergencyAt, total=False):
    """EmergencyAt is a broker where an emergency is in force."""

    # by which it decides again when the emergency is over; "" if that is the same
    chosen: str
    # Unheard: it has not said yet that it knows of it, as in the moment after a declaration, and as long as it does not hear of it.
    unheard: bool


class EmergencyList(TypedDict):
    """EmergencyList answers GET /v1/emergencies: those that are active first, then the latest."""

    emergencies: List[Emergency]
    as_of: str


class EmergencyTerms(TypedDict):
    """EmergencyTerms are what can be changed of an emergency, but for its time."""

    type: str
    level: str
    scope: List[str]
    select: List[str]
    message: str


class _Error(TypedDict):
    error: str
    # one of the Code constants
    code: str


class Error(_Error, total=False):
    """Error is every answer that is not a success."""

    # the job that it is about: a submission with it may be repeated
    id: str

_EventOddOptional = TypedDict("_EventOddOptional", {"for": "str"}, total=False)


class _Event(TypedDict):
    at: str
    # that saw it, or came to know of it
    broker: str
    # emergency | preemption | job | member | health | strategy | data | lost
    kind: str
    # of the emergency or job; the member's name; the strategy
    id: str
    # declared, changed, cleared, ended; suspended, requeued; a state; join, failed, leave, ...
    what: str
    # one line for a person
    text: str


class Event(_EventOddOptional, _Event, total=False):
    """Event is one line of GET /v1/events, as the data of a server-sent event."""

    # of a job or preemption: the broker where the job is placed
    place: str
    # Cursor is what EventOptions.After takes: the client sets it, from the ID of the server-sent event. "" of a broker of an earlier version.
    cursor: str


class _Explanation(TypedDict):
    conflict: ResolveConflict
    decision: Decision
    contenders: Optional[List[Contender]]
    # those that ran
    holders: Optional[List[Contender]]
    rest: int
    sentence: str
    alternatives: Optional[List[Alternative]]


class Explanation(_Explanation, total=False):
    """Explanation is all that is shown of a conflict (docs/strategies.md, 'How to read an explanation')."""

    winner: str


class Factors(TypedDict):
    """Factors are a score, factor by factor, in whole points (docs/strategies.md, 'The score')."""

    # the emergency level, which some strategies look at first
    level: int
    emergency: int
    user: int
    urgency: int
    compute: int
    waiting: int
    total: int
    # Score orders as Total does but does not change while a job waits: waiting is worth the same for all, so that what counts is when a job came. It is the sum of the other factors less the waiting weight times the minute of arrival, in 1/60,000 points.
    score: int


class _HeldKey(TypedDict):
    exclusive: str
    # the job's key, or ID
    by: str


class HeldKey(_HeldKey, total=False):
    """HeldKey says which job holds an exclusive key elsewhere (rule J10)."""

    # the broker's name; "" is this one
    at: str


class Here(TypedDict):
    """Here counts the jobs that a broker executes, or is to."""

    # hold room, those that stand still among them
    running: int
    # wait for room, or for an exclusive key
    queued: int


class InForce(TypedDict):
    """InForce is how emergencies stand at a broker: those that are active and in whose scope it is."""

    # the highest; "" is none
    level: str
    # the highest first, at most MaxInForce
    ids: Optional[List[str]]
    # of all
    count: int


class Invitation(TypedDict, total=False):
    """Invitation is what an operator asks of a broker: that it lets somebody into the city. Empty fields are the broker's choice."""

    # of the new member
    name: str
    # broker, operator or client
    role: str
    # how long the invite holds, such as 1h
    ttl: str
    # HOST:PORT of this broker as the new member reaches it
    addr: str
    # of the authority's key at the broker
    passphrase: str


class _Invite(TypedDict):
    code: str
    role: str
    ends: str


class Invite(_Invite, total=False):
    """Invite is an invite to the city. Its code is a secret until it is used."""

    name: str

_JobOdd = TypedDict("_JobOdd", {"try": "int"})


class _Job(TypedDict):
    # ID~digest8 when the ID belongs to another job, see SameID
    id: str
    # ID~digest, which tells two specs with one ID apart
    key: str
    state: str
    # the broker where it was submitted
    origin: str
    # the broker that is responsible
    owner: str
    # the broker that runs it, or did; "" when not placed
    executor: str
    # how often it was placed
    attempt: int
    # Provisional: the end may still change. ProvisionalUntil says why, and what it takes to be final, for people; not in lists.
    provisional: bool
    submitted_at: Optional[str]
    started_at: Optional[str]
    finished_at: Optional[str]
    # results that came too late
    rejected: List[Accepted]
    # verdicts that were not the first
    superseded: List[Verdict]
    as_of: str
    # brokers known to hold its newest update
    known_by: int
    # of so many
    members: int


class Job(_JobOdd, _Job, total=False):
    """Job is one job as a broker knows it."""

    # the shortest beginning of it that means no other job at the broker that was asked; only in lists
    short: str
    # what people call it, not unique: the spec's, or the native program's
    name: str
    # the member, or the holder of a token, who has submitted it; "" where that is not known
    submitter: str
    # brokers that were lost, each alone, while it ran there
    losses: int
    exit_code: int
    # its timeout has ended it; ExitCode is what the program made of that
    timed_out: bool
    # why it ended as it did
    reason: str
    # why it does not run yet; in lists only where that is quickly said
    why: str
    # Silent: the broker where it is placed does not answer the one that was asked, so that nobody here knows whether it runs. What waits for one like a broker that has left in good order is not meant.
    silent: bool
    # Emergency is what gives it its level at its executor, or the broker that was asked; "" when nothing does, or the level is its own.
    emergency: str
    # NoLevel says, for people, of an unfinished job that it has no level by the emergency that it names at that broker, which is out of its scope, and of one that waits there why it does not wait within; "" when it has, or names none that is active.
    no_level: str
    # Pauses are the times in which it had to make room for others, the latest 16.
    pauses: List[Pause]
    # Attempts are those of which something is known, the earliest first. Of several at one start of a broker only the latest is known, and those that were returned. not in lists
    attempts: List[Attempt]
    # Module says which version of named data the job's module is; nil where its spec names none. Not in lists.
    module: Module
    # Checkpoint is that from which the next attempt goes on; null if there is none, or the job has ended.
    checkpoint: Checkpoint
    # Returned are the attempts that a broker could not carry out, the latest 8, the latest first.
    returned: List[Returned]
    # unfinished jobs that had to make room for it, at the broker that was asked
    displaced: List[str]
    # Removed: its retention is over, so that its output and spec are gone; that it has ended stays known, since an absent member may not know of it.
    removed: bool
    provisional_until: str
    # SetAside: this broker holds it no longer, since after its start every other one answered that it was ended and forgotten. It can be submitted again.
    set_aside: bool
    accepted: Accepted
    # keys of other jobs that got this ID in another part of a split
    same_id: List[str]
    stdout: Blob
    stderr: Blob
    # path -> contents
    outputs: Dict[str, Blob]
    # with ?copies=1, of a finished job that has output
    copies: Copies
    # not in lists
    spec: Spec
    # not in lists; see Submission
    causal_token: str


class JobCounts(TypedDict):
    """JobCounts are how many jobs run and how many wait, as far as the broker knows that answers."""

    running: int
    # for room, for others, or because they were stopped
    waiting: int


class _JobList(TypedDict):
    jobs: List[Job]
    # pass as ?after=; "" at the end
    next: str
    as_of: str


class JobList(_JobList, total=False):
    """JobList is a page of GET /v1/jobs, newest first."""

    # with ?count=1 instead of the jobs: how many of this page are in each state
    counts: Dict[str, int]


class Kept(TypedDict, total=False):
    """Kept is what an attempt had written that was stopped in the middle: since its job was cancelled or has expired, or to make room for another job, or since its broker was to run nothing. In the latter cases it is kept until the job has ended with a result, or until another attempt was stopped that had written something. The client's [Client.Kept] fetches it."""

    stdout: Blob
    stderr: Blob
    outputs: Dict[str, Blob]


class Keyring(TypedDict):
    """Keyring is the keys of the gossip, as brokers of a city tell them each other."""

    # of when it is, in milliseconds of the city's time; 0 is since ever
    at: int
    # in base64, the one to send with first
    keys: List[str]


class _Lent(TypedDict):
    level: int
    # as [Factors.Score]
    score: int


class Lent(_Lent, total=False):
    """Lent is a rank that a job inherited (rule C5). A recorded conflict leaves most jobs out, but not what they did to the order."""

    # First is what the strategy Under looks at before the score, where that does not follow from the level. To another strategy it means nothing.
    first: int
    under: str


class LevelOrder(TypedDict):
    """What is answered and has no type of its own in the code."""

    # debug | info | warn | error
    level: str


class LogLevel(TypedDict):
    """LogLevel answers GET and PUT /v1/log-level."""

    # of the broker
    name: str
    # debug | info | warn | error
    level: str


class Manifest(TypedDict):
    """What is answered and has no type of its own in the code."""

    # the version of the format
    manifest: int
    # sorted by the bytes of their paths
    entries: List[ManifestEntry]


class _ManifestEntry(TypedDict):
    path: str


class ManifestEntry(_ManifestEntry, total=False):
    """What is answered and has no type of its own in the code."""

    dir: bool
    # relative, and ends inside
    link: str
    # permissions in octal
    mode: str
    # in bytes
    size: int
    # of the file
    sha256: str


class _Member(TypedDict):
    name: str
    addr: str
    # "" for a stock Serf agent
    http_addr: str
    # alive | leaving | left | failed
    status: str
    # "" for a stock Serf agent
    actor: str
    # by network coordinates; 0 when not known
    rtt: str
    # it is about to leave, and takes nothing
    draining: bool
    self: bool
    # Emergency is the highest level in force there, "" for none; Emergencies names the first few.
    emergency: str
    emergencies: List[str]
    # Unset: its machine's clock is behind what the broker knows, and has no vote on what time it is.
    unset: bool
    # ClockOff, Unproven, Breaches and LastBreach are as in Peer.
    clock_off: str
    unaudited: bool
    breaches: int
    # Roll says whether it takes part: open, left (it said goodbye), removed (an operator gave it up), or "" for who has no record: a stock Serf agent, or one that is about to be admitted.
    roll: str
    # Away says that it does not answer though it takes part: results stay provisional until it is back, or removed. AwaySince is when it was lost, by the clock of the broker that answers; absent when it was not met since that broker's start.
    away: bool


class Member(_Member, total=False):
    """Member is one node of the Serf pool."""

    # null while it runs new jobs
    drained: Drain
    # Unheard are those of Emergencies that are not active as far as the broker knows that answers: one of the two has yet to hear that they were declared, or are over.
    emergencies_unheard: List[str]
    # Health is as in Peer; "" of the broker that answers, of those that have left, and of stock Serf agents. TakesNone is why it takes no jobs, "" while it does.
    health: str
    takes_none: str
    # Revoked: it was shut out of the city, though gossip may still call it alive. Nobody speaks to it.
    revoked: bool
    # Withdrawn is why it takes no jobs for now: it could not carry out one, and finds out when it can again.
    withdrawn: str
    last_breach: str
    away_since: str


class _MemberList(TypedDict):
    members: List[Member]


class MemberList(_MemberList, total=False):
    """MemberList answers GET /v1/members."""

    # Exposed is that of the Coordination of the broker that answers.
    exposed: List[str]


class _Metadata(TypedDict):
    version: int
    name: str
    actor: str
    http_addr: str
    software: str
    # the lowest version that it speaks (rule K5)
    protocol: int
    # the highest; 0 from a broker that speaks only 1
    highest_protocol: int
    strategy: str
    capabilities: Capabilities
    # what running jobs have asked for
    usage: Resources
    # unfinished jobs owned here, by state
    jobs: Optional[Dict[str, int]]
    sync_stretch: float
    # it is about to leave, and takes nothing
    draining: bool
    # it takes no new jobs for now: its disk has no room, or Withdrawn says why
    full: bool
    # its start is: what it remembers may be older than what others know (rule M3)
    unaudited: bool
    # what is in force there
    emergency: InForce
    # Clock is what the broker holds. On the wire only the sender's own metadata in a push-pull has it (rule K4): a message says it itself, and of a third broker it would be hearsay.
    clock: Dict[str, int]


class Metadata(_Metadata, total=False):
    """Metadata is a broker's metadata: what others need to know of it to place jobs and to show it. It is ephemeral and has a single writer; the newest version wins."""

    # Process is the actor with which the broker's process began, if it has begun another start since (rule K3).
    process: str
    # Between are the starts of that process after the first and before the present one, the latest MaxBetween: what one of them runs goes on (rule P3). Only the broker knows them: its clock may have been behind, and the first one, too.
    between: List[str]
    # Chosen is the strategy that decides there again when the emergency Commands is over, for which Strategy decides; both are "" while there is none. Heeds: an emergency may do that there (rule E5); false from an earlier version, and where the operator wants none.
    chosen_strategy: str
    commanding_emergency: str
    heeds_emergencies: bool
    # it obeys a drain (rule M5); false from an earlier version
    knows_drain: bool
    # Withdrawn is why it has withdrawn its offer to run jobs (rule J12); "" where Full means the disk. A broker of an earlier version reads Full alone, and places nothing there either.
    withdrawn: str
    # FreeDisk is how many bytes jobs may write there now, above the reserve, a little less; 0 is not known, as of an earlier version.
    free_disk: int
    # what its own clock showed when it said so; 0 of an older version (rule T2)
    wall: str
    # what time it was in the city, as far as it knew, if that was another
    city: str
    # its own clock was never set, and has no vote (rule T2)
    unset: bool


class MetadataList(TypedDict):
    """What is answered and has no type of its own in the code."""

    brokers: Dict[str, Metadata]


class Missing(TypedDict):
    """Missing is what a broker lacks of a directory (GET /v1/blobs/{digest}?missing=1)."""

    # files, at most 10,000 of them; ask again when these are there
    missing: List[str]


class Module(TypedDict):
    """Module is a version of named data that is the module of a job."""

    name: str
    digest: str
    # when it was written
    at: Optional[str]
    # that wrote it
    broker: str


class ModuleCache(TypedDict):
    """ModuleCache is the disk space of compiled modules, in bytes. They are removed before anything is refused for want of disk."""

    bytes: int
    # --module-cache
    most: int


class Override(TypedDict):
    """Override says that an emergency makes a strategy decide instead of the one that was chosen (rule E5)."""

    # its ID
    emergency: str
    # what decides again when it is over
    of: str


class PassedOver(TypedDict):
    """PassedOver are terms of an emergency that do not stand."""

    type: str
    level: str
    scope: List[str]
    select: List[str]
    message: str
    # the broker where they were declared; "" for a stock command line
    declared_by: str
    declared_at: Optional[str]

_PauseOdd = TypedDict("_PauseOdd", {"for": "str", "from": "Optional[str]"})


class _Pause(TypedDict):
    # the broker where it ran
    at: str
    mode: str
    # null while it still waits
    to: Optional[str]


class Pause(_PauseOdd, _Pause, total=False):
    """Pause is a time in which a job had to make room for another."""

    emergency: str


class _Peer(TypedDict):
    host: str
    port: int
    # messages pass between the two, it as itself
    healthy: bool
    # "healthy", or what is wrong: "silent for 48s; gossip lost it 5s ago", "speaks protocol 2, we speak 1", "at its address n1 answers", "refuses us: ...", "can't reach this broker at ..."
    health: str
    # Unix seconds of its last message; 0 for never
    last_seen: int
    # updates known here that its clock, when last heard, did not cover
    behind: int
    # updates that its clock covers and that are not known here
    ahead: int
    # messages sent to it since this broker's start
    attempts: int
    # those that it did not answer
    failed: int
    # the same, since it last answered: the pause before the next grows with it
    failing: int
    # its machine's clock has no vote on what time it is
    unset: bool
    # ClockOff is how far its machine's clock is ahead of what time it is, behind if negative; 0 while that is at most what brokers make up for (a minute), or not known.
    clock_off: str
    # its start is not proven yet, as of this broker in Coordination
    unaudited: bool
    # Breaches counts what it has said since this broker's start that it can't know, or that is not its to say; none of that was believed. LastBreach is the latest, for people.
    breaches: int
    # InGossip: gossip hears it; it may take some seconds to lose one that is gone. GossipLost is when it did, absent when that is not known.
    in_gossip: bool
    # why it has refused the last message, "" when it has not; then it is not healthy
    refused: str


class Peer(_Peer, total=False):
    """Peer is one other broker in Coordination."""

    # whether it has answered when it was asked just now; nil: it was not asked
    answers: bool
    last_breach: str
    # why it takes no jobs: "it is about to leave", "its disk is full", or what it could not do
    takes_none: str
    # gossip says that it is gone, but messages pass both ways
    by_messages: bool
    gossip_lost: str
    # RTT is the round-trip time to it, by network coordinates; 0 when not known, and of an earlier version.
    rtt: str
    # the actor that answers at its address instead of it
    stranger: str


class PeerView(TypedDict):
    """PeerView is how one broker sees another. The fields are those of Peer."""

    healthy: bool
    health: str
    last_seen: int
    behind: int
    ahead: int
    rtt: str


class _PlanAnswer(TypedDict):
    id: str
    # how many it has, each element of an array counted
    jobs: int
    # of which so many were not known before; 0 of a dry run
    created: int
    # that it names, each once, in its order
    files: List[PlanFile]


class PlanAnswer(_PlanAnswer, total=False):
    """PlanAnswer answers POST /v1/plans: what was submitted or, with ?dry_run=1, would be."""

    # only of a dry run: by line, at most 100
    mistakes: List[PlanMistake]
    # not of more than 200 jobs and arrays
    graph: PlanGraph
    # brokers that hold the job that fewest hold
    replicas: int
    # these are fewer than the broker's --replicas
    degraded: bool
    # how many should, where fewer do
    wanted: int
    # what of its jobs may not be as it was meant, for people
    warnings: List[str]
    causal_token: str

_PlanEdgeOdd = TypedDict("_PlanEdgeOdd", {"from": "str"})


class _PlanEdge(TypedDict):
    to: str


class PlanEdge(_PlanEdgeOdd, _PlanEdge, total=False):
    """PlanEdge says that a job runs behind another one, and what it reads of it."""

    # as out/report.json, stdout, or data:NAME
    reads: List[str]


class _PlanFile(TypedDict):
    # as the plan has it
    path: str
    # for what it is: module, stdin, inputs["path in the job"], or each
    what: str


class PlanFile(_PlanFile, total=False):
    """PlanFile is a file or directory that a plan names."""

    # the first job or array that needs it
    job: str
    # of the plan, where that stands
    line: int
    # it is a directory
    directory: bool
    # none was handed over
    missing: bool
    # Absent are the blobs of it that are not at this broker yet: upload them.
    absent: List[str]


class PlanGraph(TypedDict):
    """PlanGraph is which jobs of a plan run behind which, an array as one."""

    jobs: List[PlanNode]
    edges: List[PlanEdge]


class _PlanMistake(TypedDict):
    text: str


class PlanMistake(_PlanMistake, total=False):
    """PlanMistake is something in a plan that is wrong."""

    # from 1; without it it is not of one line
    line: int
    # the name of the job or array
    job: str


class PlanNode(TypedDict):
    """PlanNode is a job or an array, or named data that is read and that no job of the plan writes."""

    # of data data:NAME, or data:PREFIX/
    name: str
    # 1, or the elements of an array; 0 of data
    jobs: int


class _PlanOrder(TypedDict):
    text: str


class PlanOrder(_PlanOrder, total=False):
    """PlanOrder is a plan as POST /v1/plans takes it."""

    # of the plan: the same again is the same plan; without it the broker makes one up
    id: str
    # of the file that it was in, whose end tells TOML from YAML
    name: str
    # Files says by which blob each file is known that the plan names, by its path as the plan has it; of what is in a directory, by the path of the directory, a slash, and the path in it.
    files: Dict[str, str]

_PreemptOdd = TypedDict("_PreemptOdd", {"for": "str"})


class Preempt(_PreemptOdd):
    """Preempt tells a running job to leave."""

    victim: str
    # suspend or requeue, as the victim's spec says
    mode: str
    why: str


class _Priority(TypedDict):
    # These two have 32 bits so that a record keeps its size class (see TestRecordsKeepTheirSizeClass). 0 to 10, higher is more urgent
    user: int


class Priority(_Priority, total=False):
    """Priority says how urgent a job is. The strategy decides how much each part counts (package resolve)."""

    # a level by its name, or an emergency's ID or type
    emergency: str
    # an instant, by the city's time; see Spec.DeadlineIn
    deadline: str
    # computational weight; see Spec.WeightPart
    weight: int


class Probe(TypedDict):
    """What is answered and has no type of its own in the code."""

    status: str


class _Prospect(TypedDict):
    broker: str
    strategy: str
    # constraints that hold there
    meets: List[str]
    # what keeps the job from ever running there
    lacks: List[str]
    # the load that it would then have, for a job with a level what goes before it there, and a little for distance, absent inputs, waiting, and a lower level than elsewhere
    cost: float
    # of the job among those that compete there
    score: int
    # at once
    starts: bool
    # jobs that would have to make room for it, and how
    yields: List[str]


class Prospect(_Prospect, total=False):
    """Prospect is what a job would find at one live broker, as far as the broker that was asked knows."""

    why: str


class ReadEnd(TypedDict):
    """ReadEnd names the end of a job of which another one has read (rule C6): by which broker and when it was written."""

    job: str
    by: str
    at: Optional[str]


class Reason(TypedDict):
    """Reason says why a job waits or expires."""

    key: str
    why: str


class RecentConflict(TypedDict):
    """RecentConflict is one decision in ConflictStatistics."""

    job_id: str
    strategy: str
    reason: str
    timestamp: str


class _Recipient(TypedDict):
    name: str
    # has its key (package identity)
    admission: str


class Recipient(_Recipient, total=False):
    """Recipient is a broker to which secrets of jobs can be encrypted."""

    # it is the one that was asked
    self: bool


class Recipients(TypedDict):
    """Recipients are the brokers to which secrets can be encrypted now."""

    # by which their admissions can be verified
    authorities: str
    brokers: List[Recipient]
    # who has asked, as jobs have it
    submitter: str


class RecordDigest(TypedDict):
    """RecordDigest is one record in a Digest."""

    kind: str
    key: str
    digest: str
    finished: bool
    # who covers these and lacks the record has forgotten it
    created: List[Dot]


class _RemovedMember(TypedDict):
    name: str
    # brokers that operators have removed and that are not back, this one included
    losses: int
    # so many losses, wiped and restored disks included, change no firm result
    bear: int
    # brokers that know of it already
    replicas: int
    # fewer than the broker's --replicas
    degraded: bool


class RemovedMember(_RemovedMember, total=False):
    """RemovedMember answers DELETE /v1/members/{name}: the broker takes part no more."""

    # StillMember says, in a city, why the broker's identity has not ended with that; "" where it has.
    still_member: str


class _ResolveConflict(TypedDict):
    kind: str
    # contenders beyond those recorded
    rest: int
    snapshot: Snapshot


class ResolveConflict(_ResolveConflict, total=False):
    """Conflict records what was decided between jobs that can't all run now: the snapshot that the decision rested on, cut down to the contenders. All else (relations, scores, the sentence, what another strategy would have done) follows from it: see [Conflict.Explain]."""

    # [History.Add] gives it
    id: str
    # the exclusive key, or the key of the job that is to run twice
    over: str
    # the key of the first job that the decision favours
    winner: str
    # of a job that ran twice: the broker where it runs on
    at: str


class _Resources(TypedDict):
    # millicores
    cpu: int
    # bytes
    memory: int
    # a weight; a broker has 100
    io: int


class Resources(_Resources, total=False):
    """Resources is what a job needs while it runs, or what a broker has."""

    # counted: camera -> 1
    devices: Dict[str, int]


class _Retries(TypedDict):
    max: int


class Retries(_Retries, total=False):
    """Retries says how often a job is run again after an attempt failed by itself (a non-zero exit, a timeout, a crash), and after which pause; the pause doubles from one retry to the next."""

    # the first pause; 0 means one second
    backoff: str


class Returned(TypedDict):
    """Returned is an attempt that a broker could not carry out, so that the job went elsewhere."""

    executor: str
    attempt: str
    at: Optional[str]
    reason: str
    # the program may have run
    began: bool
    # that broker lacks what the job wants
    never: bool


class RevocationOrder(TypedDict, total=False):
    """RevocationOrder ends a membership, or tokens."""

    # its name, or its key
    member: str
    # rather than a member: the subject of tokens
    tokens_of: str
    # of tokens: those that were made until then; nil is until now
    until: str
    # as in AuthorityOrder
    passphrase: str
    # as in AuthorityOrder, of a membership
    lockout: bool


class Revocations(TypedDict):
    """Revocations are those of members of a city that a broker knows."""

    # each can be verified by itself (package identity)
    proofs: List[str]


class Said(TypedDict):
    """Said says that brokers know what an authority has said."""

    # member/NAME, authority/KEY or tokens/SUBJECT
    about: str
    # brokers that know of it already
    replicas: int
    # fewer than the broker's --replicas
    degraded: bool


class Sandbox(TypedDict):
    """Sandbox says what confines jobs: which walls stand, and which don't, by their names."""

    holds: List[str]
    # name -> why
    missing: Dict[str, str]


class SecretOrder(TypedDict):
    """SecretOrder is by what a broker asks another one for a secret of a job that was placed there."""

    # its key
    job: str
    # of the secret, as the job names it
    digest: str


class _Snapshot(TypedDict):
    now: Optional[str]
    strategy: str
    weights: Weights
    capacity: Resources
    running: Optional[List[Candidate]]
    suspended: Optional[List[Candidate]]
    pending: Optional[List[Candidate]]
    # Held is what jobs hold that are left out of this snapshot.
    held: Resources


class Snapshot(_Snapshot, total=False):
    """Snapshot is all that a decision rests on. The order of its lists does not matter."""

    # why Strategy decides and not another; nil: none would
    override: Override
    # Keys are exclusive keys that jobs hold which are not in this snapshot: at another broker (rule J10), or left out.
    keys: List[HeldKey]


class _Spec(TypedDict):
    driver: str
    resources: Resources
    priority: Priority
    retries: Retries
    preemption: str


class Spec(_Spec, total=False):
    """Spec describes a job. It never changes after its submission; its [Spec.Digest] is half of the job's key (rule J3). Make one with [ParseSpec], which fills in defaults and validates, or call [Spec.Complete]. Inside the broker every Spec is valid. A new field must be added to append.go, read.go and the checks in parse.go; fields_test.go names the places that were forgotten."""

    # Name is what people call the job, and a wasm program finds as its own (argv[0]). Several jobs may have one name.
    name: str
    # the wasm module: a blob, or named data (see [Spec.ModuleName])
    module: str
    # the native program
    command: str
    args: List[str]
    env: Dict[str, str]
    # PlainEnv leaves the job without the variables that every job gets, UCP_ATTEMPT (rule J4) and UCP_JOB_ID.
    plain_env: bool
    # Network says that a native program needs the network, which only brokers give that allow it (--allow-network). It stands beside PlainEnv so that a record keeps its size class (see TestRecordsKeepTheirSizeClass).
    network: bool
    # MinReplicas is how many brokers must hold the job before its submission is answered as one that was taken, 0 to 100. It has 32 bits, and stands here, for the same reason.
    min_replicas: int
    # a blob, or what another job left, or named data (see Source)
    stdin: str
    # path -> digest, or what another job left, or named data (see Source); of a directory ("data/") that of its manifest
    inputs: Dict[str, str]
    # made before the job starts
    dirs: List[str]
    # paths that are kept; with a slash at the end as one directory
    outputs: List[str]
    # path among Outputs -> the name of data of which it becomes a version, when the job has succeeded (rule D7)
    named_outputs: Dict[str, str]
    # OutputsOnFailure says whether Outputs are also kept of an attempt that failed; nil means true.
    outputs_on_failure: bool
    # Disk is how many bytes an attempt may add to its directory; 0 is [DefaultDisk]. People also write it as resources.disk. It is not kept there, since brokers of older versions keep the fields that they don't know only here.
    disk: int
    exclusive: str
    # DeadlineIn is how long after its submission the job is of no use any more, by the clock of the broker that takes it (rule T3): the deadline of a client whose clock may be wrong. 0 is none. It is not in Priority for the same reason as Disk.
    deadline_in: str
    # Urgency, 0 to 1, takes the place of the urgency that a deadline gives, for a job without a deadline. People write it as priority.urgency.
    urgency: float
    # WeightPart is what the computational weight has beyond the whole number in Priority.Weight, below 1. People write both as one number, priority.weight. A broker of an earlier version goes by the whole number.
    weight_part: float
    # the job's own labels
    labels: Dict[str, str]
    # on the executor's labels; all must hold
    constraints: List[str]
    # of one attempt; 0 is none
    timeout: str
    # nil means true
    redeploy: bool
    # jobs that must end before this one starts, and arrays of them (rule C4; see [ID.Array])
    after: List[str]
    # AfterSuccess or AfterEnd
    after_policy: str
    # Secrets are what nobody but the job and who runs it are to see: the name of a variable, or the path of a file, which has a slash (see [SecretFile]) -> digest of a blob with the value, encrypted to brokers (package identity). Only brokers of a city take such jobs.
    secrets: Dict[str, str]
    # Submitter is who has submitted the job, a member of the city or the subject of a token; "" where that is not known. The broker that takes the job writes it, whatever stood there (see SetSubmitter). It is part of the spec, so that two people who give their jobs one ID have two jobs (rule J3), and brokers of older versions keep it.
    submitter: str
    # Checkpoint says what is kept of the job while it runs, so that its next attempt goes on from there (rule J17); nil is nothing.
    checkpoint: Checkpointing


class SpecCheckpointing(TypedDict, total=False):
    """Checkpointing says what of a job is kept while it runs, so that its next attempt goes on from there (rule J17)."""

    # files and directories, with a slash at the end or without
    paths: Optional[List[str]]
    # Every is how long the job runs from one checkpoint to the next: its processes stand still while the paths are copied; or, with a signal, the program is asked. 0: a checkpoint is taken only when the program says so.
    every: str
    # which asks a native program for a checkpoint, such as USR1
    signal: str


class SpecDocument(TypedDict, total=False):
    """A job's spec, as people write it."""

    driver: str
    # Name is what people call the job, and a wasm program finds as its own (argv[0]). Several jobs may have one name.
    name: str
    # the wasm module: a blob, or named data (see [Spec.ModuleName])
    module: str
    # the native program
    command: str
    args: List[str]
    env: Dict[str, str]
    # PlainEnv leaves the job without the variables that every job gets, UCP_ATTEMPT (rule J4) and UCP_JOB_ID.
    plain_env: bool
    # Network says that a native program needs the network, which only brokers give that allow it (--allow-network). It stands beside PlainEnv so that a record keeps its size class (see TestRecordsKeepTheirSizeClass).
    network: bool
    # MinReplicas is how many brokers must hold the job before its submission is answered as one that was taken, 0 to 100. It has 32 bits, and stands here, for the same reason.
    min_replicas: int
    # a blob, or what another job left, or named data (see Source)
    stdin: str
    # path -> digest, or what another job left, or named data (see Source); of a directory ("data/") that of its manifest
    inputs: Dict[str, str]
    # made before the job starts
    dirs: List[str]
    # paths that are kept; with a slash at the end as one directory
    outputs: List[str]
    # path among Outputs -> the name of data of which it becomes a version, when the job has succeeded (rule D7)
    named_outputs: Dict[str, str]
    # OutputsOnFailure says whether Outputs are also kept of an attempt that failed; nil means true.
    outputs_on_failure: bool
    resources: SpecResources
    # Disk is how many bytes an attempt may add to its directory; 0 is [DefaultDisk]. People also write it as resources.disk. It is not kept there, since brokers of older versions keep the fields that they don't know only here.
    disk: int
    exclusive: str
    priority: SpecPriority
    # DeadlineIn is how long after its submission the job is of no use any more, by the clock of the broker that takes it (rule T3): the deadline of a client whose clock may be wrong. 0 is none. It is not in Priority for the same reason as Disk.
    deadline_in: str
    # Urgency, 0 to 1, takes the place of the urgency that a deadline gives, for a job without a deadline. People write it as priority.urgency.
    urgency: float
    # WeightPart is what the computational weight has beyond the whole number in Priority.Weight, below 1. People write both as one number, priority.weight. A broker of an earlier version goes by the whole number.
    weight_part: float
    # the job's own labels
    labels: Dict[str, str]
    # on the executor's labels; all must hold
    constraints: List[str]
    # of one attempt; 0 is none
    timeout: str
    retries: SpecRetries
    # nil means true
    redeploy: bool
    preemption: str
    # jobs that must end before this one starts, and arrays of them (rule C4; see [ID.Array])
    after: List[str]
    # AfterSuccess or AfterEnd
    after_policy: str
    # Secrets are what nobody but the job and who runs it are to see: the name of a variable, or the path of a file, which has a slash (see [SecretFile]) -> digest of a blob with the value, encrypted to brokers (package identity). Only brokers of a city take such jobs.
    secrets: Dict[str, str]
    # Submitter is who has submitted the job, a member of the city or the subject of a token; "" where that is not known. The broker that takes the job writes it, whatever stood there (see SetSubmitter). It is part of the spec, so that two people who give their jobs one ID have two jobs (rule J3), and brokers of older versions keep it.
    submitter: str
    # Checkpoint says what is kept of the job while it runs, so that its next attempt goes on from there (rule J17); nil is nothing.
    checkpoint: SpecCheckpointing


class SpecPriority(TypedDict, total=False):
    """Priority says how urgent a job is. The strategy decides how much each part counts (package resolve)."""

    # an instant, by the city's time; see Spec.DeadlineIn
    deadline: str
    # These two have 32 bits so that a record keeps its size class (see TestRecordsKeepTheirSizeClass). 0 to 10, higher is more urgent
    user: int
    # computational weight, 0 to 10, rounded to thousandths
    weight: float
    # 0 to 1, by how much it is urgent where there is no deadline
    urgency: float
    # a level, by its name or as a number, or an emergency's ID or type
    emergency: Union[str, int]


class SpecResources(TypedDict, total=False):
    """Resources is what a job needs while it runs, or what a broker has."""

    # millicores
    cpu: int
    # bytes
    memory: int
    # a weight; a broker has 100
    io: int
    # counted: camera -> 1
    devices: Dict[str, int]
    # bytes that an attempt may add to its directory
    disk: int


class SpecRetries(TypedDict, total=False):
    """Retries says how often a job is run again after an attempt failed by itself (a non-zero exit, a timeout, a crash), and after which pause; the pause doubles from one retry to the next."""

    max: int
    # the first pause; 0 means one second
    backoff: str


class _Strategy(TypedDict):
    # by which the broker decides
    strategy: str


class Strategy(_Strategy, total=False):
    """Strategy is the body of GET and PUT /v1/strategy."""

    # Chosen is the one that decides again when Emergency, its ID, is over, because of which Strategy decides; both are "" while no emergency changes that.
    chosen: str
    emergency: str
    # PUT: for all brokers, also those that join later
    cluster: bool
    # Others: PUT without Cluster says which other brokers decide otherwise, by the strategy that was chosen there.
    others: Dict[str, List[str]]
    # Commanded are those of Others that decide by the strategy emergency for the moment, each with the emergency for which.
    commanded: Dict[str, str]
    # Known lists all that there are.
    known: List[str]


class _Submission(TypedDict):
    id: str
    # brokers that hold the job and its inputs
    replicas: int
    # fewer than the broker's --replicas
    degraded: bool
    # CausalToken says what the client has seen now: sent with a later submission it orders the two, with a read at any broker that one knows at least this much.
    causal_token: str


class Submission(_Submission, total=False):
    """Submission answers POST /v1/jobs and PUT /v1/jobs/{id}: 201 for a new job, 200 for one that was known already, 202 when fewer copies than asked for exist."""

    # Wanted is how many brokers should hold it where fewer do; 0 of an earlier broker.
    wanted: int
    # with ?wait=
    job: Job
    # Module says which version of named data the job's module is; nil where its spec names none.
    module: Module
    # Warnings say, for people, what of the job may not be as it was meant: it names an emergency that is not there.
    warnings: List[str]


class Usage(TypedDict):
    """Usage is in percent of what the broker offers."""

    # measured, of the running workers
    cpu: float
    # measured
    memory: float
    # what running jobs have asked for
    io: float


class _Verdict(TypedDict):
    outcome: str
    by: str
    at: Optional[str]


class Verdict(_Verdict, total=False):
    """Verdict names an end of a job that did not count."""

    reason: str
    # that it had accepted; its output is kept as long as the job
    result: Accepted


class _View(TypedDict):
    peers: Dict[str, PeerView]
    # HeldBack and HeldBackBy are as in Coordination.
    held_back: int
    # by its own clock
    as_of: str


class View(_View, total=False):
    """View is how one broker sees the others."""

    held_back_by: List[str]


class Views(TypedDict):
    """Views answers GET /broker/views: how each broker sees the others, as it has said itself just now."""

    # by the name of who sees
    views: Dict[str, View]
    # Silent are the brokers that take part and have not said it, and why.
    silent: Dict[str, str]
    as_of: str


class Weights(TypedDict):
    """Weights say how many points each factor of a score is worth: 0 to 100,000 each, and Waiting at least 1."""

    # each emergency level, 0 to 4
    emergency: int
    # each step of user priority, 0 to 10
    user: int
    # full urgency; that of a deadline grows in four steps
    urgency: int
    # each whole step of computational weight, 0 to 10
    compute: int
    # each minute since arrival, the same for all jobs
    waiting: int
    # Margin is by how many points a job must be better than one that runs to displace it. It is asked again for each time that the other was displaced before.
    margin: int
    # Lost is what a minute of one core's lost work costs (strategy optimal).
    lost: int


class WordsHeard(TypedDict):
    """WordsHeard answers POST /broker/word."""

    # words of brokers that do not take part here, as far as is known yet
    unknown: int


class WorkerMemory(TypedDict):
    """WorkerMemory is the memory of a broker's workers, in bytes."""

    # that all may have: --memory and --module-memory
    room: int
    # Limits, Workers, Loading and Modules together
    accounted: int
    # of the jobs that run
    limits: int
    # of the workers themselves
    workers: int
    # of Workers, what idle ones have; they are ended before a job waits for memory
    idle: int
    # that modules take while they are compiled or loaded
    loading: int
    # compiled code, once for all workers
    modules: int
    # what is in use of all that, by measurement; shared pages count once
    resident: int
