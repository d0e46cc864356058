package broker

import (
	"cmp"
	"maps"
	"slices"
	"time"

	"github.com/urban-compute/ucp/broker/kind"
	"github.com/urban-compute/ucp/broker/wire"
	"github.com/urban-compute/ucp/clock"
	"github.com/urban-compute/ucp/data"
	"github.com/urban-compute/ucp/emergency"
	"github.com/urban-compute/ucp/identity"
	"github.com/urban-compute/ucp/job"
	"github.com/urban-compute/ucp/ledger"
	"github.com/urban-compute/ucp/resolve"
	"github.com/urban-compute/ucp/roll"
	"github.com/urban-compute/ucp/setting"
)

// Config is what a broker is told once, at its start. All values are valid.
type Config struct {
	Actor        clock.Actor // minted for this start (rule I1); its name part is the broker's name
	HTTPAddr     string      // where peers reach this broker's HTTP API
	Software     string      // version, for people
	Capabilities wire.Capabilities

	City identity.City // that the broker belongs to; "" for none
	// Adopted are names in the roll that nobody has let into the city, as the broker was told that has let this one in: they were in the
	// roll before there was a city, and count all the same (rule M6).
	Adopted []string
	Signs   bool // the shell signs a head after each commit, and tells of those of others with [Signed] (rule H1)

	Expecting bool // it was told of others to join, and has never met one: they may be of any version (rule K5)
	Protocol  int  // the highest version of the protocol that all speak whom it had met before this start; 0 if it had met nobody

	Replicas     int           // brokers that should hold a record before it is acknowledged (rule A1); at least 1
	SyncInterval time.Duration // of the exchange with every member (rule S2)
	NewsLinks    bool          // pass news on at once (rule S1); false only in tests
	RumourPause  time.Duration // between two messages to a peer that nobody waits for; what comes in meanwhile goes together (rule S1)
	PageSize     int           // bytes of records in one message between brokers; 0 is the most that is allowed (rule L11); less only in tests
	AckTimeout   time.Duration // after which an answer is given with fewer copies, and says so (rule A1)
	BlobTrust    time.Duration // how long a blob that was seen counts as still there; 0 is indefinitely
	MaxClockSkew time.Duration // how far another clock may be ahead and still be followed (rule I3)

	RedeployDelay  time.Duration    // how long a lost broker may still refute that before its jobs move (rule J6)
	IsolationDelay time.Duration    // how long a broker that has lost most others waits before it takes over (rule J7)
	MaxLosses      uint64           // brokers that may be lost while one job runs there, before it fails; 0 is without bound (rule P4)
	Strategy       resolve.Strategy // for conflicts, until the cluster has another (SetStrategy); "" is the default
	TellStates     bool             // every job's states are noted, also while nobody watches: for tracing
	KeepStrategy   bool             // no emergency changes how conflicts are decided here (rule E5)
	Weights        resolve.Weights  // of the strategies; the zero value is the default
	Conflicts      int              // how many decided conflicts are remembered; 0 is the default

	Retention      time.Duration // how long a finished job is remembered, in uptime of this broker (rules L8, T1)
	RetentionCount int           // how many finished jobs are remembered at most; 0 means without bound
	DataRetention  time.Duration // how long a version of named data is kept that is not the latest (rule D3), likewise; 0 is Retention
	// EmergencyRetention is how long an emergency is remembered that is over, in uptime of this broker (rule E3); 0 is
	// [emergency.Retention]. Another value is for simulations, and the same at all brokers.
	EmergencyRetention time.Duration

	Seed    uint64 // of all random choices
	Archive ledger.Archive
	// WorkerMemory is how many bytes of memory a job with a memory limit takes at least with its worker, while that gets a module of
	// a size ready, which was compiled before or not. Nil knows nothing of it.
	WorkerMemory func(limit, size int64, compiled bool) int64
	ModuleSize   func(job.Digest) int64 // in bytes, of a module that is here; 0 where it is not known. Nil knows none
	// ModuleTags are those by one of which a broker may allow a module that is here (wire.Capabilities.AllowModules); none where
	// that is not known. Nil knows none.
	ModuleTags func(job.Digest) []uint32
}

// Broker decides. Make one with [New], then [Broker.Load] what was stored. It is the composition
// of its parts: it routes each input to the part that owns what the input is about (step.go), and
// lets every part hear of a changed record. One goroutine owns a Broker.
type Broker struct {
	*core
	acks         acks         // answers that wait for copies (rules A1, A3)
	waiters      waiters      // clients that wait for a job's end
	emergencies  emergencies  // what is known of them, and in force (rules E1 to E4)
	causality    causality    // what clients and jobs have seen (rules C1 to C3)
	predecessors predecessors // what jobs run after (rule C4)
	decisions    decisions    // which jobs run here when not all can
	checkpoints  checkpoints  // of what runs here, on their way to others (rule J17)
	attempts     attempts     // what this broker executes
	ownership    ownership    // what it does for the jobs that it owns
	balancer     balancer     // moves jobs that queue while others are idle (rule J9)
	sweeper      sweeper      // forgets (rule L8)
	enrolment    enrolment    // who takes part (rules M1, M2)
	renewal      renewal      // begins another start while it runs (rules K2, K3)
	repairer     repairer     // keeps copies of inputs and output as brokers come and go (rule R3)
	heads        heads        // what others have signed (rule H1)
	authors      authors      // whether ends were written by whom they name (rule H3)
	names        names        // named data (rules D1 to D5)
	orphans      orphans      // seals the ends that no clock will ever cover (rule F2)
	drainer      Token        // waits for the end of a drain; 0 is nobody
	asking       time.Time    // when those are asked next of whom SWIM says that they have failed
	renewing     time.Time    // the same of those that have a lease
	startings    startings    // told as starting to those who watch
}

// New makes a broker without jobs.
func New(cfg Config) *Broker {
	c := newCore(cfg)
	b := &Broker{core: c, waiters: newWaiters()}
	b.acks = acks{c, map[string]*verdictWaiter{}, b.firm}
	b.emergencies = newEmergencies(c, b.inForceChanged)
	b.emergencies.reach = b.reach
	b.causality = newCausality(c)
	b.predecessors = newPredecessors(c)
	b.decisions = newDecisions(c, &b.causality, &b.emergencies)
	b.checkpoints = checkpoints{c, map[string]*spreading{}}
	b.attempts = newAttempts(c, &b.decisions, &b.causality, &b.checkpoints)
	b.ownership = ownership{core: c, decisions: &b.decisions, pace: pace{map[string]moves{}}}
	b.balancer = balancer{core: c, ownership: &b.ownership, hurried: map[string]time.Time{}}
	b.sweeper = sweeper{core: c}
	b.enrolment = newEnrolment(c)
	b.repairer = newRepairer(c)
	b.renewal = renewal{core: c}
	b.heads = newHeads(c)
	b.authors = newAuthors(c, b.heads.bound)
	b.names = newNames(c)
	b.jobs.precedence.inForce = b.activeSetAt
	b.names.onNew = b.predecessors.written
	b.predecessors.names = &b.names
	b.attempts.settled = func(output []job.Digest) { b.repairer.fewer(output) }
	c.changed = b.noted
	b.watched = cfg.TellStates
	b.decisions.decideBy(chosen{strategy: cmp.Or(cfg.Strategy, resolve.Default)})
	return b
}

// Load fills the broker with what its commits have stored, before the first Step; see
// [ledger.Ledger.Load]. Jobs that this broker owned or ran under an earlier actor are taken up
// again at the first Tick (rule J6).
func (b *Broker) Load(scan ledger.Scan) error {
	recall := func(at clock.Hybrid, by clock.Actor) { b.recall(at, by.Broker() == b.self) }
	err := b.ledger.Load(scan, func(_ ledger.Ref, r ledger.Record) {
		switch r := r.(type) {
		case *job.Record:
			b.jobs.update(nil, r, unknownAge)
			r.Stamps(recall)
			if r.Finished() {
				b.peers.Await(r.Dots)
			}
		case *setting.Setting:
			b.settled(r)
		case *emergency.Record:
			b.emergencies.load(r)
			r.Stamps(recall)
		case *roll.Record:
			b.members.Enroll(r)
			recall(r.At, r.By.Actor)
		case *data.Record:
			b.names.load(r)
			r.Stamps(func(at clock.Hybrid, _ clock.Actor) { // our own may be behind a stamp of another that is far ahead (rules D1, I3)
				b.recall(at, false)
			})
		}
	})
	if err == nil {
		err = b.loadOwn(scan)
	}
	b.enrolment.beginAdopting()
	b.reviewWhere(nil)
	return err
}

// Ready returns what is to be done, and starts again with nothing. The next Ready may be taken
// after Advance.
func (b *Broker) Ready() Ready {
	b.startRuns()
	b.enrolment.admit()
	b.renewal.ask()
	b.checkDrained()
	b.peers.Settle()
	b.pump()
	b.publish()
	rd := b.out
	rd.Push = b.blobs.Take()
	b.keepClocks()
	b.peers.KeepProof(b.keepProof)
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
// has synced may be shown (rule I4); the shell shows it from Ready.Overview.
func (b *Broker) Clock() clock.Tips { return b.ledger.Clock() }

// wholeEnd reports whether a job has ended and is more than a stub; r may be nil.
func wholeEnd(r *job.Record) bool { return r != nil && r.Finished() && !r.IsStub() }

// noted lets every part hear of a changed job, local or merged.
func (b *Broker) noted(old, r *job.Record) {
	b.jobs.update(old, r, b.up)
	if old == nil {
		b.meet(r)
		b.dropAside(r.Key())
	}
	b.tellChange(old, r)
	b.reviews.later(r.Key())
	b.decisions.noted(r)
	b.prepare(r)
	ended := r.Finished() && (old == nil || !old.Finished())
	if r.Finished() {
		b.peers.Await(r.Dots)
	}
	if ended || old != nil && r.Seal != old.Seal {
		for _, key := range slices.Sorted(maps.Keys(b.jobs.wanted[r.ID])) {
			b.reviews.later(key)
		}
	}
	if r.Finished() && (ended || r.Verdict().Outcome != old.Verdict().Outcome) {
		b.arraysHear(r)
	}
	if wholeEnd(r) && !wholeEnd(old) {
		b.keepSince(kind.JobRef(r.Key()))
	}
	if len(r.Spec.After) > 0 && (old == nil || r.Finished() != old.Finished() || len(r.Ended) != len(old.Ended)) {
		b.decisions.rerank(r.Spec.After)
	}
	if ended {
		delete(b.deadlines, r.Key())
		b.disputes.changed = b.disputes.changed || b.isDisputed(r.Key()) // who knows of this end, and has no doubt of it?
		delete(b.disputes.again, r.Key())
		b.withhold(r)
		b.attempts.ended(r.Key())
		b.causality.ended(r.Key())
		b.predecessors.ended(r.Key())
		b.ownership.ended(r.Key())
	}
	wrote := clock.Vector(nil)
	if old != nil {
		wrote = old.Dots
	}
	own := r.Dots.Get(b.cfg.Actor) > wrote.Get(b.cfg.Actor)
	if ended && own && r.Verdict().Dot.Actor == b.cfg.Actor {
		b.names.nameOutputs(r)
	}
	b.repairer.noted(old, r, own)
	b.tell(r.Dots, own, r.Origin, r.Owner.Broker, r.Place.Broker)
}

// inForceChanged lets all jobs here stand as the emergencies in force here say, when those have changed, and looks again at
// where own urgent jobs wait.
func (b *Broker) inForceChanged(here bool) {
	b.jobs.precedence.forget()
	if here {
		b.decisions.relevel(b.attempts.keys())
		b.attempts.hurry()
		b.decisions.rule()
	}
	b.ownership.hurry()
}

// nextWake is when a part next has something to do, even if nothing happens.
func (b *Broker) nextWake() (wake time.Time) {
	for _, at := range []time.Time{
		b.peers.Due(), b.reviews.due(), b.copies.Due(), b.members.Due(), b.peers.ProofDue(), b.sweeper.due(), b.causality.due(),
		b.balancer.due(), b.predecessors.due(), b.decisions.due(), b.emergencies.due(), b.enrolment.wake(), b.clocksDue(), b.repairer.due(), b.renewal.due(), b.orphansDue(), b.names.due(), b.startings.due(),
	} {
		wake = sooner(wake, at)
	}
	if len(b.names.ages) > 0 && b.cfg.dataRetention() > 0 {
		wake = sooner(wake, b.sweeper.next)
	}
	if len(b.members.Doubted()) > 0 {
		wake = sooner(wake, b.asking)
	}
	if len(b.members.Proven()) > 0 {
		wake = sooner(wake, b.renewing)
	}
	return wake
}

// later is the later of two instants.
func later(a, b time.Time) time.Time {
	if a.Before(b) {
		return b
	}
	return a
}

// sooner is the earlier of two instants; zero is never.
func sooner(a, b time.Time) time.Time {
	if a.IsZero() || !b.IsZero() && b.Before(a) {
		return b
	}
	return a
}
