package broker

import (
	"cmp"
	"fmt"
	"time"

	"github.com/urban-compute/ucp/broker/ack"
	"github.com/urban-compute/ucp/broker/kind"
	"github.com/urban-compute/ucp/broker/membership"
	"github.com/urban-compute/ucp/broker/prng"
	"github.com/urban-compute/ucp/broker/replication"
	"github.com/urban-compute/ucp/broker/wire"
	"github.com/urban-compute/ucp/clock"
	"github.com/urban-compute/ucp/emergency"
	"github.com/urban-compute/ucp/job"
	"github.com/urban-compute/ucp/ledger"
	"github.com/urban-compute/ucp/resolve"
	"github.com/urban-compute/ucp/setting"
)

// Config is what a broker is told once, at its start. All values are valid.
type Config struct {
	Actor        clock.Actor // minted for this start (rule I1); its name part is the broker's name
	HTTPAddr     string      // where peers reach this broker's HTTP API
	Software     string      // version, for people
	Capabilities wire.Capabilities

	Replicas     int           // brokers that should hold a record before it is acknowledged (rule A1); at least 1
	SyncInterval time.Duration // of the exchange with every member (rule S2)
	NewsLinks    bool          // rule S1; false only in tests
	RumourPause  time.Duration // rule S1: between two messages to a peer for whom nobody waits; what comes in meanwhile goes together
	AckTimeout   time.Duration // rule A1
	BlobTrust    time.Duration // how long a blob that was seen counts as still there; 0 is for ever
	MaxClockSkew time.Duration // rule I3

	RedeployDelay  time.Duration    // how long a lost broker may still refute that before its jobs move (rule J6)
	IsolationDelay time.Duration    // how long who has lost most others waits before it takes over (rule J7)
	Strategy       resolve.Strategy // for conflicts, until the cluster has another (SetStrategy); "" is the default
	Weights        resolve.Weights  // of the strategies; the zero value is the default
	Conflicts      int              // how many decided conflicts are remembered; 0 is the default

	Retention      time.Duration // how long a finished job is remembered (rule L8)
	RetentionCount int           // how many finished jobs are remembered at most; 0 is no bound

	Seed    uint64 // of all random choices
	Archive ledger.Archive
}

// Broker decides. Make one with [New], then [Broker.Load] what was stored.
type Broker struct {
	cfg    Config
	self   string    // the broker's name
	now    time.Time // never goes back
	wall   time.Time // may
	hybrid clock.Hybrid
	random prng.Source

	recalled clock.Hybrid // the highest stored stamp of others, until the first Tick

	ledger *ledger.Ledger
	jobs   jobIndex

	members *membership.Membership   // who is there
	peers   *replication.Replication // how far they are with our ledger

	queue     *resolve.Queue
	undecided bool             // the queue has changed since its last decision
	tight     bool             // the machine's memory is nearly used up
	history   *resolve.History // of conflicts

	emergencies emergencies
	drift       time.Duration // see cityTime
	driftAt     time.Time     // when it was last looked at
	watched     bool          // somebody wants to hear of every job's state (see Note)

	displaced map[string]displaced // jobs that had to make room, by key
	behind    map[string]time.Time // jobs that wait until we know what they depend on, or until then (rule C2)
	tracks    map[string]time.Time // until when own jobs wait for predecessors of which nobody knows
	arriving  []arriving           // submissions that name jobs which we don't know yet (rule C4)
	heldStale bool                 // who holds which exclusive key elsewhere has changed (rule J10)
	runs      map[string]*run      // attempts that this broker holds, by key
	timers    timers               // keys to review at a later time

	draining bool
	drainer  Token                // who waits for the end of it
	cautious map[string]time.Time // jobs that may run once only, and wait until that is durable, or until then (rule J8)
	pauses   map[string]pause     // retries that wait here for their time
	settling map[string]*run      // of runs: ended, and their output is brought to other brokers (rule J11)

	sweepAt   time.Time // rule L8
	sweepFrom endItem
	balanceAt time.Time              // rule J9
	queuing   map[string]job.Attempt // own jobs that queued in vain at the last look
	catching  []catching             // rule C3

	review []string // keys whose record has changed
	queued map[string]bool

	acks    acks         // answers that wait for copies
	waiters waiters      // clients that wait for a job's end
	blobs   *ack.Holders // which broker holds which blobs

	full bool // the disk has no room for new jobs

	published published
	stats     Stats

	out Ready // what the next Ready will say
	err error // the archive failed: the owner must stop
}

// New makes a broker without jobs.
func New(cfg Config) *Broker {
	b := &Broker{
		cfg: cfg, self: cfg.Actor.Broker(),
		random:    prng.Source(cfg.Seed),
		ledger:    ledger.New(cfg.Actor, cfg.Archive, kind.Schemas[kind.Job], kind.Schemas[kind.Setting], kind.Schemas[kind.Emergency]),
		jobs:      newJobIndex(),
		members:   membership.New(membership.Config{Actor: cfg.Actor, RedeployDelay: cfg.RedeployDelay, IsolationDelay: cfg.IsolationDelay}),
		queue:     resolve.NewQueue(cfg.Capabilities.Capacity),
		displaced: map[string]displaced{}, behind: map[string]time.Time{}, tracks: map[string]time.Time{},
		runs:     map[string]*run{},
		queued:   map[string]bool{},
		waiters:  newWaiters(),
		cautious: map[string]time.Time{}, settling: map[string]*run{}, pauses: map[string]pause{},
	}
	b.peers = replication.New(replication.Config{
		Actor: cfg.Actor, Seed: cfg.Seed, SyncInterval: cfg.SyncInterval, NewsLinks: cfg.NewsLinks, RumourPause: cfg.RumourPause,
	}, b.ledger, b.members, &b.random)
	b.blobs = ack.NewHolders(b.members, cfg.BlobTrust)
	b.acks = acks{ack.NewWaiters[ackWaiter](cfg.Replicas, b.members, b.peers, b.blobs), map[string]*verdictWaiter{}}
	b.emergencies = newEmergencies()
	b.history = resolve.NewHistory(b.conflictsKept())
	b.useStrategy(cmp.Or(cfg.Strategy, resolve.Default))
	return b
}

// Load fills the broker with what its commits have stored, before the first
// Step; see [ledger.Ledger.Load]. Jobs that this broker owned or ran under an
// earlier actor are taken up again at the first Tick (rule J6).
func (b *Broker) Load(scan func(prefix []byte, fn func(key, value []byte) error) error) error {
	err := b.ledger.Load(scan, func(_ ledger.Ref, r ledger.Record) {
		switch r := r.(type) {
		case *job.Record:
			b.jobs.update(nil, r)
			b.recall(r)
		case *setting.Setting:
			b.settled(r)
		case *emergency.Record:
			b.emergencies.known[r.ID] = r
			b.recallStamps(r)
		}
	})
	b.reviewWhere(nil)
	if len(b.review) > 0 {
		b.peers.HoldBack()
	}
	return err
}

// recall takes in the stamps of a stored record: our own, so that the next are
// higher; those of others at the first Tick, which says what time it is, as far as
// they are not too far ahead (rule I3).
func (b *Broker) recall(r *job.Record) {
	see := b.recallStamp
	see(r.Submitted(), r.Created[0].Dot.Actor)
	see(r.Owner.Tenure.At, r.Owner.Tenure.By)
	for _, rep := range r.Reports {
		see(rep.At, rep.Dot.Actor)
	}
	for _, v := range r.Verdicts {
		see(v.At, v.Dot.Actor)
	}
}

// recallStamps is the same for an emergency.
func (b *Broker) recallStamps(r *emergency.Record) {
	b.recallStamp(r.Version.At, r.Version.By)
	for _, m := range r.Cleared {
		b.recallStamp(m.At, m.By)
	}
}

func (b *Broker) recallStamp(at clock.Hybrid, by clock.Actor) {
	if by.Broker() == b.self {
		b.hybrid = max(b.hybrid, at)
	} else {
		b.recalled = max(b.recalled, at)
	}
}

// Step takes in what happened. It returns an error only when the archive failed
// or an input is of no known type; the owner must then stop.
func (b *Broker) Step(in Input) error {
	switch in := in.(type) {
	case Tick:
		b.tick(in)
	case Roster:
		b.setRoster(in.Members)
	case Gossip:
		b.gossip(in.State)
	case Pressure:
		b.peers.SetStretch(in.Stretch)
		b.rememberConflicts(in.Tight)
	case Deliver:
		b.deliver(in)
	case Acked:
		b.acked(in.Peer, &in.Reply)
	case Unreachable:
		b.peers.Unreachable(in.Peer)
	case Pushed:
		b.pushed(in)
	case Submit:
		b.submit(in)
	case Get:
		b.get(in)
	case Await:
		b.await(in)
	case CatchUp:
		b.catchUp(in)
	case Drain:
		b.drain(in)
	case Paused:
		b.paused(in)
	case DryRun:
		b.dryRun(in)
	case SetStrategy:
		b.setStrategy(in)
	case ListConflicts:
		b.listConflicts(in)
	case Declare:
		b.declare(in)
	case Clear:
		b.clear(in)
	case Heard:
		b.hearEvent(in)
	case ListEmergencies:
		b.listEmergencies(in)
	case Watch:
		b.watched = in.On
	case Room:
		b.full = in.Full
	case Damaged:
		b.blobs.Missed(in.Digest)
	case Abandon:
		b.abandon(in.Token)
	case List:
		b.list(in)
	case Cancel:
		b.cancel(in)
	case Fetched:
		b.fetched(in)
	case Reported:
		b.reported(in)
	default:
		return fmt.Errorf("broker: unknown input %T", in)
	}
	b.reviewAll()
	return b.err
}

func (b *Broker) tick(in Tick) {
	first := b.now.IsZero()
	b.now, b.wall = in.Now, in.Wall
	if b.wall.IsZero() {
		b.wall = b.now
	}
	b.peers.Tick(b.now, b.wall)
	b.blobs.Tick(b.now)
	b.acks.Tick(b.now)
	if first {
		b.begin()
	}
	for _, key := range b.timers.due(clock.At(b.now)) {
		b.reviewLater(key)
	}
	if b.acks.Expired() {
		b.checkAcks()
	}
	b.acks.Hedge()
	b.checkAudit()
	b.checkAbsences()
	b.checkCatching()
	b.checkArriving()
	b.checkBehind()
	b.checkDrift()
	b.checkEmergencies()
	b.sweep()
	b.balance()
}

// begin is the first Tick: now it is known what time it is.
func (b *Broker) begin() {
	b.hybrid.Observe(b.recalled, b.wall, b.cfg.MaxClockSkew)
	b.sweepAt, b.balanceAt = b.now.Add(sweepEvery), b.now.Add(balanceEvery)
	b.refreshBoard()
	if b.peers.Unaudited() {
		b.distrust()
	}
}

// Ready returns what is to be done, and starts anew. The next Ready may be
// taken after Advance.
func (b *Broker) Ready() Ready {
	b.startRuns()
	b.checkDrained()
	b.pump()
	b.publish()
	rd := b.out
	rd.Push = b.blobs.Take()
	rd.Commit = b.ledger.Take()
	rd.Wake = b.nextWake()
	b.out = Ready{}
	return rd
}

// Advance says that the Ready's commit is synced.
func (b *Broker) Advance(rd Ready) { b.ledger.Stable(rd.Commit) }

// Name returns the broker's name.
func (b *Broker) Name() string { return b.self }

// Clock returns the updates that this broker holds. Only what a Ready's commit
// has synced may be shown (rule I4); the shell shows it from Ready.State.
func (b *Broker) Clock() clock.Vector { return b.ledger.Clock() }

// stamp ticks the hybrid clock for a local event.
func (b *Broker) stamp() clock.Hybrid { return b.hybrid.Tick(b.wall) }

// update changes a job record by a local event, and notes the change. Change
// returns nil to leave the record alone.
func (b *Broker) update(key string, change func(dot clock.Dot, old *job.Record) *job.Record) *job.Record {
	var old *job.Record
	r, err := b.ledger.Apply(kind.JobRef(key), func(dot clock.Dot, r ledger.Record) ledger.Record {
		old, _ = r.(*job.Record)
		if n := change(dot, old); n != nil {
			return n
		}
		return nil
	})
	if err != nil {
		b.err = err
		return nil
	}
	rec, _ := r.(*job.Record)
	if rec != nil && rec != old {
		b.noted(old, rec)
	}
	return rec
}

// noted keeps what is derived from records in step with a change, local or
// merged.
func (b *Broker) noted(old, rec *job.Record) {
	b.jobs.update(old, rec)
	b.tellState(old, rec)
	b.reviewLater(rec.Key())
	b.notedOthers(old, rec)
	if (old == nil || !old.Finished()) && rec.Finished() {
		b.withhold(rec)
		delete(b.cautious, rec.Key())
		delete(b.pauses, rec.Key())
		delete(b.behind, rec.Key())
		delete(b.tracks, rec.Key())
		delete(b.displaced, rec.Key())
	}
	wrote := clock.Vector(nil)
	if old != nil {
		wrote = old.Dots
	}
	b.tell(rec.Dots, rec.Dots.Get(b.cfg.Actor) > wrote.Get(b.cfg.Actor), rec.Origin, rec.Owner.Broker, rec.Place.Broker)
}

// record returns a job by its key, nil when there is none.
func (b *Broker) record(key string) *job.Record {
	r, err := b.ledger.Get(kind.JobRef(key))
	if err != nil {
		b.err = err
	}
	rec, _ := r.(*job.Record)
	return rec
}

func (b *Broker) answer(t Token, a Answer) {
	b.out.Answers = append(b.out.Answers, Response{t, a})
}

// nextWake is when something is due although nothing happens.
func (b *Broker) nextWake() time.Time {
	wake := b.peers.Due()
	if at, ok := b.timers.next(); ok {
		wake = sooner(wake, at.Time())
	}
	for _, at := range []time.Time{b.acks.Due(), b.members.Due(), b.peers.AuditDue(), b.sweepDue(), b.catchingDue(), b.balanceDue(), b.arrivingDue(), b.decisionDue(), b.emergenciesDue()} {
		wake = sooner(wake, at)
	}
	return wake
}

// sooner is the earlier of two instants; zero is never.
func sooner(a, b time.Time) time.Time {
	if a.IsZero() || !b.IsZero() && b.Before(a) {
		return b
	}
	return a
}
