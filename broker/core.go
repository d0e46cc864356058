package broker

import (
	"slices"
	"time"

	"github.com/urban-compute/ucp/broker/ack"
	"github.com/urban-compute/ucp/broker/kind"
	"github.com/urban-compute/ucp/broker/membership"
	"github.com/urban-compute/ucp/broker/prng"
	"github.com/urban-compute/ucp/broker/replication"
	"github.com/urban-compute/ucp/broker/wire"
	"github.com/urban-compute/ucp/clock"
	"github.com/urban-compute/ucp/job"
	"github.com/urban-compute/ucp/ledger"
)

// core is what every part of the broker works with: what it was told at its start, the time, the
// ledger and who holds it, and what the next Ready will say. The parts know the core; the core
// knows none of them, and tells of a changed job through changed.
type core struct {
	cfg  Config
	self string // the broker's name
	clocks
	random prng.Source

	ledger  *ledger.Ledger
	jobs    jobIndex                 // derived from the ledger's jobs
	changed func(old, r *job.Record) // hears of each changed job; old is nil for a new one
	members *membership.Membership   // who is there
	peers   *replication.Replication // how far the members are with our ledger
	blobs   *ack.Holders             // which broker holds which blobs
	copies  *ack.Waiters[ackWaiter]  // what waits until enough brokers hold it
	reviews reviews                  // jobs to be looked at
	offer   offer                    // what this broker takes now
	modules modules                  // what it has compiled
	output                           // what the next Ready will say
	err     error                    // the archive failed: the owner must stop
	kept    time.Time                // when the clocks were last stored (rule T1)
	deadlines
	disputes disputes              // jobs that others may have finished and forgotten (rule F3)
	drains   map[string]DrainOrder // brokers that are drained, by name (rule M5)
	breaches map[string]Breaches   // by peer (rules X1, X2)
}

// offer is what a broker takes, beside what it is capable of.
type offer struct {
	draining bool  // it is about to leave, and takes nothing
	full     bool  // its disk has no room for new jobs
	freeDisk int64 // bytes that jobs may write before that, 0 where it is not known

	withdrawn string // why it could not carry out a job, until a probe succeeds (rule J12); "" while it can
}

func newCore(cfg Config) *core {
	c := &core{
		cfg: cfg, self: cfg.Actor.Broker(), clocks: clocks{skew: cfg.MaxClockSkew}, random: prng.Source(cfg.Seed),
		ledger: ledger.New(cfg.Actor, cfg.Archive, kind.Schemas[kind.Job], kind.SettingsIn(cfg.City), kind.Schemas[kind.Emergency], kind.Schemas[kind.Member], kind.Schemas[kind.Data]),
		jobs:   newJobIndex(), deadlines: deadlines{}, disputes: newDisputes(), drains: map[string]DrainOrder{}, breaches: map[string]Breaches{},
		members: membership.New(membership.Config{Actor: cfg.Actor, RedeployDelay: cfg.RedeployDelay, IsolationDelay: cfg.IsolationDelay, Expecting: cfg.Expecting, Protocol: cfg.Protocol, Admitted: cfg.City != ""}),
	}
	c.ledger.RowIf(func() bool { return c.needs(wire.V3) == nil })
	c.peers = replication.New(replication.Config{
		Actor: cfg.Actor, Seed: cfg.Seed, Copies: cfg.Replicas, SyncInterval: cfg.SyncInterval, NewsLinks: cfg.NewsLinks, RumourPause: cfg.RumourPause, PageSize: cfg.PageSize,
	}, c.ledger, c.members, &c.random)
	c.blobs = ack.NewHolders(c.members, cfg.BlobTrust)
	c.copies = ack.NewWaiters[ackWaiter](cfg.Replicas, c.members, c.peers, c.blobs)
	return c
}

// tick says what time it is. It reports whether that was not known before, and by how much the city's time has
// changed otherwise than by passing.
func (c *core) tick(in Tick) (first bool, leapt time.Duration) {
	c.peers.Tick(in.Now)
	c.blobs.Tick(in.Now)
	c.copies.Tick(in.Now)
	return c.clocks.tick(in, c.peers.Readings)
}

// process is the actor that names this broker's process: the one with which it began (rule K3).
func (c *core) process() clock.Actor { return c.members.Starts()[0] }

// ours reports whether an actor is a start of this process.
func (c *core) ours(a clock.Actor) bool { return slices.Contains(c.members.Starts(), a) }

// needs refuses what only a version of the protocol can express that not every member speaks (rule K5); nil
// when all do.
func (c *core) needs(version int) *Outdated {
	if version <= c.members.Protocol() {
		return nil
	}
	return &Outdated{Version: version, Brokers: c.members.Outdated(version)}
}

// fail notes that the archive failed, unless err is nil.
func (c *core) fail(err error) {
	if err != nil {
		c.err = err
	}
}

// record returns a job by its key, nil when there is none.
func (c *core) record(key string) *job.Record {
	r, err := c.ledger.Get(kind.JobRef(key))
	c.fail(err)
	rec, _ := r.(*job.Record)
	return rec
}

// update changes a job record by a local event, and tells of the change. Change returns nil to
// leave the record alone.
func (c *core) update(key string, change func(dot clock.Dot, old *job.Record) *job.Record) *job.Record {
	var old *job.Record
	r, err := c.ledger.Apply(kind.JobRef(key), func(dot clock.Dot, r ledger.Record) ledger.Record {
		old, _ = r.(*job.Record)
		if n := change(dot, old); n != nil {
			return n
		}
		return nil
	})
	if err != nil {
		c.fail(err)
		return nil
	}
	rec, _ := r.(*job.Record)
	if rec != nil && rec != old {
		c.changed(old, rec)
	}
	return rec
}

// reviewWhere looks again at the unfinished jobs for which want says yes; nil wants all.
func (c *core) reviewWhere(want func(*job.Record) bool) {
	for _, ref := range c.liveJobs(want) {
		c.reviews.later(ref.Key)
	}
}

// liveJobs lists the unfinished jobs for which want says yes, by key; nil wants all.
func (c *core) liveJobs(want func(*job.Record) bool) []ledger.Ref {
	return c.ledger.Live(func(r ledger.Record) bool {
		rec, ok := r.(*job.Record)
		return ok && (want == nil || want(rec))
	})
}

// tell passes a changed record on, at once when it was written here, and to the brokers that it
// names, too (rule S1).
func (c *core) tell(dots clock.Vector, own bool, named ...string) {
	c.peers.Tell(dots, own, c.copies.Reach(), named...)
}

// successor names the broker that takes over what another is responsible for (rule J6).
func (c *core) successor(key, without string) string {
	return c.members.Successor(key, without, !c.offer.draining)
}
