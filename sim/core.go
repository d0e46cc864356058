package sim

import (
	"container/heap"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"hash/fnv"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/urban-compute/ucp/broker"
	"github.com/urban-compute/ucp/broker/ack"
	"github.com/urban-compute/ucp/broker/membership"
	"github.com/urban-compute/ucp/broker/replication"
	"github.com/urban-compute/ucp/broker/wire"
	"github.com/urban-compute/ucp/clock"
	"github.com/urban-compute/ucp/emergency"
	"github.com/urban-compute/ucp/job"
	"github.com/urban-compute/ucp/ledger"
)

// Core simulates the decisions alone: N broker cores, a network and disks, in
// one seeded event loop without a goroutine. A run is repeatable bit for bit from
// its seed, so that a fault schedule that breaks something can be looked at
// again and again. What needs real Serf and Pebble is simulated by [Cluster].
//
// core.go is the loop, core_faults.go what can go wrong, core_client.go who uses the
// cluster, core_emergency.go the emergencies, core_check.go what must hold, core_story.go the schedule.
type Core struct {
	Now  time.Time
	Loss float64 // of messages, 0 to 1
	Dup  float64 // of messages that arrive twice
	// Damage is of messages whose first record arrives so that nobody can read it.
	Damage float64
	// Flawless programs never fail by themselves; otherwise every tenth does.
	Flawless bool
	// Work is what long jobs have to do; others take some seconds.
	Work map[job.ID]Work
	// Reap is after how long SWIM forgets a broker that is down; 0 is never.
	Reap time.Duration
	// Link and Disk are how many bytes a second a link carries in one direction, and a disk syncs;
	// 0 is without limit. What is under way on a link at once shares it.
	Link, Disk int

	Acked map[job.ID]bool // acknowledged submissions
	Sent  Traffic         // of messages and their replies, so far
	Runs  map[job.ID]int  // how often each job was started

	cfg      broker.Config
	faults   Faults
	content  map[job.Digest]bool // of named data
	rand     *rand.Rand
	events   events
	seq      int
	nodes    map[string]*coreNode
	names    []string
	cut      map[[2]string]bool
	hidden   map[[2]string]bool // cuts that SWIM does not see
	unknown  map[[2]string]bool // the first does not know that the second exists
	late     time.Duration      // by how much a message may arrive again, at most
	flapping map[string]bool
	carrying map[[2]string]int // messages under way, by link
	leases   int               // messages and answers that named a donor (rule R1)
	token    broker.Token
	trace    uint64 // hash of all that happened
	start    time.Time
	told     []string // the story so far, as text

	hostile *hostile // a member that lies; nil of most

	lamport uint64    // Serf's clock of events
	floods  []flooded // all events, the earliest first

	reached []bool                // lines of the rules that have decided something; see core_reach.go
	keys    map[job.ID]string     // of the jobs that were written, "" where several have that ID
	doubted map[string]bool       // attempts whose broker was held for failed while they ran, by key and token
	outputs map[job.Digest]bool   // of all attempts
	stock   map[emergency.ID]bool // that stock command lines have declared

	checks  checks
	answers *digest                               // of what clients were told; see Digest
	written func(at, key string, old, now []byte) // hears of every record that reaches a disk
	carried func(from, to string, d *wire.Delta)  // hears of every delta that is sent
}

// Traffic counts what crossed the network.
type Traffic struct{ Messages, Bytes, Records int }

func (t *Traffic) add(sent []byte, d *wire.Delta) {
	t.Messages++
	t.Bytes += len(sent)
	if d != nil {
		t.Records += len(d.Records)
	}
}

// coreNode is one broker with its disk.
type coreNode struct {
	name    string
	starts  int
	actor   clock.Actor // of its present start, or its last
	process clock.Actor // as in membership.Member
	disk    disk        // what is synced
	blobs   map[string]bool
	modules []job.Digest // that it has compiled, the last first
	copies  []diskCopy
	b       *broker.Broker // nil while down
	down    time.Time      // since when
	left    bool           // it has left Serf
	hasLeft bool           // once: what became stable meanwhile is so without it (rule F1)
	leaving bool
	busy    bool                  // a commit is under way
	killed  map[string]bool       // attempts that were stopped
	running map[string]broker.Run // attempts that run now
	still   map[string]broker.Run // attempts that stand still
	paused  time.Time             // until then it stands still
	slow    time.Time             // until then its disk takes its time for a sync
	spoilt  time.Time             // until then it can carry out no job
	skew    time.Duration         // of its wall clock
	roster  []membership.Member   // as it was told last; nil until its start has met anybody
	wake    time.Time             // when it ticks next; zero is not at all
	calls   map[broker.Token]func(broker.Answer)
	stats   broker.Stats // as last shown
	state   wire.State   // what its push-pull carries

	protocol int // the highest version that it tells others

	exchanged   bool // its disk was lost, or restored
	exchangedAt time.Time
	silent      map[string]int          // messages in a row to which a peer did not reply
	learnt      map[clock.Dot]time.Time // when verdicts came to its disk
	heard       map[emergency.ID]bool   // events that it was told of
	firm        map[string]bool         // jobs whose end it has shown as firm, in any start
	without     map[string]clock.Tips   // what was stable on its disk when it let a broker in, by its name
	confirmed   map[string]clock.Actor  // which start of a peer has confirmed a blob, by peer and digest
}

type event struct {
	at  time.Time
	seq int
	do  func()
}

type events []event

func (e events) Len() int { return len(e) }
func (e events) Less(i, j int) bool {
	return e[i].at.Before(e[j].at) || e[i].at.Equal(e[j].at) && e[i].seq < e[j].seq
}
func (e events) Swap(i, j int) { e[i], e[j] = e[j], e[i] }
func (e *events) Push(x any)   { *e = append(*e, x.(event)) }
func (e *events) Pop() any {
	last := (*e)[len(*e)-1]
	*e = (*e)[:len(*e)-1]
	return last
}

// How fast the simulated parts are.
const (
	detect = 5 * time.Second // until SWIM agrees that a broker failed
	notice = 100 * time.Millisecond
	peerTO = 10 * time.Second // rule S5

	slowest = 3 * time.Second // a sync of a disk that is slow
)

// NewCore starts n brokers that know each other. Each is configured as cfg says;
// Actor, Seed and Archive are set here.
func NewCore(seed uint64, n int, cfg broker.Config) *Core {
	c := &Core{
		Now: time.Unix(1_700_000_000, 0), Acked: map[job.ID]bool{}, Runs: map[job.ID]int{},
		cfg: cfg, rand: rand.New(rand.NewPCG(seed, 1)),
		nodes: map[string]*coreNode{}, cut: map[[2]string]bool{}, hidden: map[[2]string]bool{}, unknown: map[[2]string]bool{}, flapping: map[string]bool{}, carrying: map[[2]string]int{},
		late:    8 * time.Second,
		reached: make([]bool, len(rules)), keys: map[job.ID]string{}, doubted: map[string]bool{}, outputs: map[job.Digest]bool{}, stock: map[emergency.ID]bool{},
		checks: newChecks(), answers: newDigest(),
	}
	c.start = c.Now
	for range n {
		c.add()
	}
	for _, name := range c.names {
		c.Start(name)
	}
	return c
}

// add makes a broker with an empty disk, which is down.
func (c *Core) add() (name string) {
	name = fmt.Sprintf("b%d", len(c.names))
	c.names = append(c.names, name)
	c.nodes[name] = &coreNode{name: name, firm: map[string]bool{}, without: map[string]clock.Tips{}, disk: disk{}, blobs: map[string]bool{}, protocol: wire.Version}
	return name
}

// Names lists the brokers.
func (c *Core) Names() []string { return c.names }

// Up reports whether a broker runs.
func (c *Core) Up(name string) bool { return c.nodes[name].b != nil }

// Start starts a broker from its disk, with a fresh actor (rule I1).
func (c *Core) Start(name string) {
	n := c.nodes[name]
	n.starts++
	cfg := c.cfg
	cfg.Actor, n.process = n.mint(c.wall(n), nil), ""
	cfg.Seed = c.rand.Uint64()
	cfg.HTTPAddr = name + ":8000"
	cfg.Archive = archive{n.disk, c, n}
	cfg.Capabilities.Labels = map[string]string{"name": name}
	n.b, n.busy, n.wake, n.killed = broker.New(cfg), false, time.Time{}, map[string]bool{}
	n.calls, n.running, n.left, n.leaving, n.paused = map[broker.Token]func(broker.Answer){}, map[string]broker.Run{}, false, false, time.Time{}
	n.still, n.roster, n.state = map[string]broker.Run{}, nil, wire.State{}
	n.silent, n.learnt, n.heard = map[string]int{}, map[clock.Dot]time.Time{}, map[emergency.ID]bool{}
	n.confirmed = map[string]clock.Actor{}
	if n.starts > 1 {
		c.tell("%s starts again, as %s", name, cfg.Actor)
	}
	must(n.b.Load(n.disk.scan))
	c.tellRoster()
}

// mint makes the actor of a start, as a store does (rule K1).
func (n *coreNode) mint(wall time.Time, above clock.Tips) clock.Actor {
	known, err := ledger.StoredClock(n.disk.scan)
	must(err)
	n.actor = clock.StartActor(n.name, clock.NextStart(wall, slices.Concat(known.Of(n.name), above), "", uint32(n.starts)))
	return n.actor
}

// renew makes the start that a broker asks for while it runs (rule K3).
func (c *Core) renew(n *coreNode, m *broker.Mint) {
	if n.process == "" {
		n.process = n.actor
	}
	n.starts++
	c.tell("%s goes on as %s: %s", n.name, n.mint(c.wall(n), m.Above), m.Why)
	c.step(n, broker.Minted{Actor: n.actor})
	c.tellRoster()
}

// tellRoster lets every broker see who is alive: the simulation of SWIM.
func (c *Core) tellRoster() {
	for _, name := range c.names {
		c.after(notice, func() {
			if n := c.nodes[name]; n.b != nil {
				n.roster = c.roster(name)
				c.doubt(n.roster)
				c.step(n, broker.Roster{Members: n.roster})
			}
		})
	}
}

func (c *Core) roster(of string) (out []membership.Member) {
	for _, name := range c.names {
		n := c.nodes[name]
		if c.reapedDown(n) || c.unknown[[2]string{of, name}] {
			continue
		}
		m := membership.Member{
			Name: name, HTTPAddr: name + ":8000", Status: membership.Alive, Draining: n.leaving,
			Actor: n.actor, Process: n.process, Protocol: n.protocol,
		}
		switch {
		case n.left:
			m.Status = membership.Left
		case n.b == nil || c.apart(of, name) || name != of && (c.flapping[name] || c.Now.Before(n.paused)):
			m.Status = membership.Failed
		}
		out = append(out, m)
	}
	if c.hostile != nil {
		out = append(out, c.hostile.member())
	}
	return out
}

// reapedDown reports whether SWIM has forgotten a broker that is down.
func (c *Core) reapedDown(n *coreNode) bool {
	return n.b == nil && c.Reap > 0 && c.Now.Sub(n.down) > c.Reap
}

// apart reports whether SWIM thinks that two brokers can't reach each other.
func (c *Core) apart(a, b string) bool {
	x, y := [2]string{a, b}, [2]string{b, a}
	return c.cut[x] && !c.hidden[x] || c.cut[y] && !c.hidden[y]
}

// Run lets time pass.
func (c *Core) Run(d time.Duration) {
	end := c.Now.Add(d)
	for len(c.events) > 0 && !c.events[0].at.After(end) {
		e := heap.Pop(&c.events).(event)
		c.Now = e.at
		e.do()
	}
	c.Now = end
}

// After schedules part of a story.
func (c *Core) After(d time.Duration, do func()) { c.after(d, do) }

func (c *Core) after(d time.Duration, do func()) {
	c.seq++
	heap.Push(&c.events, event{c.Now.Add(d), c.seq, do})
}

// wall is what a broker's own clock shows.
func (c *Core) wall(n *coreNode) time.Time { return c.Now.Add(n.skew) }

func (c *Core) tick(n *coreNode) broker.Tick { return broker.Tick{Now: c.Now, Wall: c.wall(n)} }

// step gives a broker an input. One that stands still gets it afterwards.
func (c *Core) step(n *coreNode, in broker.Input) {
	if c.Now.Before(n.paused) {
		b := n.b
		c.after(n.paused.Sub(c.Now), func() {
			if n.b == b {
				c.step(n, in)
			}
		})
		return
	}
	c.saw(n, in)
	switch in := in.(type) {
	case broker.Acked:
		n.silent[in.Peer] = 0
	case broker.Unreachable:
		n.silent[in.Peer]++
	case broker.Pushed:
		if !in.Failed {
			n.confirmed[in.Peer+string(in.Digest)] = in.Actor
		}
	}
	must(n.b.Step(c.tick(n)))
	must(n.b.Step(in))
	c.note("%s %T", n.name, in)
	c.drive(n)
}

// ask steps an input that has an answer.
func (c *Core) ask(n *coreNode, in func(broker.Token) broker.Input, done func(broker.Answer)) {
	c.token++
	n.calls[c.token] = done
	c.step(n, in(c.token))
}

// drive takes the next Ready unless a commit is under way.
func (c *Core) drive(n *coreNode) {
	if n.busy {
		return
	}
	b, rd := n.b, n.b.Ready()
	if rd.Commit.Empty() {
		b.Advance(rd)
		c.act(n, rd)
		return
	}
	n.busy = true
	takes := time.Duration(100+c.rand.IntN(2000)) * time.Microsecond
	if c.Now.Before(n.slow) {
		takes = time.Duration(c.rand.Int64N(int64(slowest)))
	}
	if c.Disk > 0 {
		size := 0
		for _, op := range rd.Commit.Ops() {
			size += len(op.Key) + len(op.Value)
		}
		takes += perSecond(size, c.Disk)
	}
	disk := n.diskOf()
	c.after(takes, func() { c.synced(n, b, disk, rd) })
}

// diskOf says which start uses which disk.
func (n *coreNode) diskOf() diskUse { return diskUse{n.starts, n.exchangedAt} }

type diskUse struct {
	start     int
	exchanged time.Time
}

// perSecond is how long so many bytes take at a speed.
func perSecond(bytes, speed int) time.Duration {
	return time.Duration(float64(bytes) / float64(speed) * float64(time.Second))
}

// travel does what follows when bytes have crossed a link.
func (c *Core) travel(from, to string, bytes int, do func()) {
	takes := c.latency()
	if c.Link > 0 {
		link := [2]string{from, to}
		c.carrying[link]++
		takes += time.Duration(c.carrying[link]) * perSecond(bytes, c.Link)
		arrived := do
		do = func() {
			c.carrying[link]--
			arrived()
		}
	}
	c.after(takes, do)
}

// synced ends a commit to a disk.
func (c *Core) synced(n *coreNode, b *broker.Broker, disk diskUse, rd broker.Ready) {
	if n.b == b && c.Now.Before(n.paused) {
		c.after(n.paused.Sub(c.Now), func() { c.synced(n, b, disk, rd) })
		return
	}
	if n.b != b && (n.diskOf() != disk || c.rand.IntN(2) == 0) {
		c.saw(n, unsynced{&rd})
		return // killed before the sync
	}
	c.write(n, rd.Commit.Ops())
	if n.b != b {
		return // killed after the sync, before anybody heard of it
	}
	n.busy = false
	b.Advance(rd)
	c.act(n, rd)
	if n.b == b {
		must(b.Step(c.tick(n)))
		c.drive(n)
	}
}

// write is what the disk does with a commit.
func (c *Core) write(n *coreNode, ops []ledger.Op) {
	before := disk{} // the values that others take the place of
	for _, op := range ops {
		if op.Value == nil {
			delete(n.disk, string(op.Key))
			continue
		}
		if c.written != nil {
			c.written(n.name, string(op.Key), n.disk[string(op.Key)], op.Value)
		}
		old, held := n.disk[string(op.Key)]
		if held {
			before[string(op.Key)] = old
		}
		n.disk[string(op.Key)] = op.Value
		c.checkWrite(n, op, old)
	}
	c.checkMembers(n, ops, before)
}

func (c *Core) act(n *coreNode, rd broker.Ready) {
	b := n.b
	here := func(do func()) func() { // only while this start of the broker lives
		return func() {
			if n.b == b {
				do()
			}
		}
	}
	c.shown(n, rd.Overview)
	c.saw(n, &rd)
	for _, payload := range rd.Broadcast {
		c.flood(n, payload)
	}
	for _, s := range rd.Send {
		c.saw(n, s)
		c.send(n, s)
	}
	for _, p := range rd.Push {
		c.push(n, p)
	}
	for _, f := range rd.Fetch {
		c.fetch(n, f)
	}
	c.keep(n, rd.Keep)
	if rd.Mint != nil {
		c.after(time.Millisecond, here(func() { c.renew(n, rd.Mint) }))
	}
	c.actOnRuns(n, rd, here)
	if rd.Probe {
		c.probe(n, here)
	}
	if w := rd.Wake; !w.IsZero() && (n.wake.IsZero() || w.Before(n.wake)) {
		n.wake = w
		c.after(max(w.Sub(c.Now), time.Millisecond), here(func() {
			if n.wake == w {
				n.wake = time.Time{}
			}
			if !c.Now.Before(n.paused) {
				must(b.Step(c.tick(n)))
				c.drive(n)
			} else {
				c.after(n.paused.Sub(c.Now), here(func() { c.step(n, broker.Pressure{Stretch: 1}) }))
			}
		}))
	}
	for _, a := range rd.Answers { // last: an answer may end the broker
		if done := n.calls[a.Token]; done != nil {
			delete(n.calls, a.Token)
			done(a.Answer)
		}
	}
}

// actOnRuns starts attempts, stops them, and makes them stand still.
func (c *Core) actOnRuns(n *coreNode, rd broker.Ready, here func(func()) func()) {
	for _, s := range rd.Stop {
		id := s.Key + s.Attempt.Token()
		n.killed[id] = true
		c.after(10*time.Millisecond, here(func() {
			_, runs := n.running[id]
			if _, still := n.still[id]; runs || still {
				delete(n.running, id)
				delete(n.still, id)
				in := broker.Reported{Key: s.Key, Attempt: s.Attempt, Stopped: true}
				if !s.Keep {
					delete(n.killed, id)
					c.step(n, in)
					return
				}
				in.Result.Outcome, in.Result.Stdout = job.Failed, c.output(n, id)
				c.step(n, broker.Gone{Key: s.Key, Attempt: s.Attempt})
				c.after(10*time.Millisecond, here(func() {
					delete(n.killed, id)
					c.step(n, in)
				}))
			}
		}))
	}
	for _, s := range rd.Suspend {
		id := s.Key + s.Attempt.Token()
		c.after(time.Duration(1+c.rand.IntN(20))*time.Millisecond, here(func() {
			if x, runs := n.running[id]; runs && !n.killed[id] {
				delete(n.running, id)
				n.still[id] = x
				c.step(n, broker.Paused(s))
			}
		}))
	}
	for _, r := range rd.Resume {
		id := r.Key + r.Attempt.Token()
		if x, still := n.still[id]; still {
			delete(n.still, id)
			n.running[id] = x
			c.checkRoom(n, r.Key)
		}
	}
	for _, r := range rd.Run {
		c.run(n, r, here)
	}
	for _, d := range rd.Prepare {
		c.after(5*time.Second, here(func() {
			n.modules = append([]job.Digest{d}, n.modules...)
			c.step(n, broker.Compiled{Digests: n.modules[:min(len(n.modules), 256)]})
		}))
	}
}

// load lets some attempts wait for their module at first, a quarter of the time that they take (rule J14).
func (c *Core) load(n *coreNode, r broker.Run, takes time.Duration, here func(func()) func()) {
	if takes < 2*time.Second || c.rand.IntN(3) > 0 {
		return
	}
	say := func(on bool) func() {
		return here(func() {
			if _, runs := n.running[r.Key+r.Attempt.Token()]; runs {
				c.step(n, broker.Loads{Key: r.Key, Attempt: r.Attempt, On: on})
			}
		})
	}
	c.after(takes/8, say(true))
	c.after(takes/4, say(false))
}

// run is one attempt: it takes its time, and mostly succeeds.
func (c *Core) run(n *coreNode, r broker.Run, here func(func()) func()) {
	c.Runs[r.ID]++
	c.tell("%s runs %s %s", n.name, r.ID, r.Attempt.Token())
	id := r.Key + r.Attempt.Token()
	n.running[id] = r
	c.checkRun(n, r)
	began := !c.Now.Before(n.spoilt)
	takes := time.Duration(1+c.rand.IntN(4000)) * time.Millisecond
	if c.rand.IntN(8) == 0 {
		takes *= 6
	}
	fails := c.rand.IntN(10) == 0 && !c.Flawless
	if w, long := c.Work[r.ID]; long {
		takes, fails = w.left(r), false
	}
	c.load(n, r, takes, here)
	c.checkpoints(n, r, takes, here)
	var end func()
	end = func() {
		if _, still := n.still[id]; still { // it has yet to do what it would have done meanwhile
			c.after(500*time.Millisecond, here(end))
			return
		}
		if _, runs := n.running[id]; !runs || n.killed[id] && c.rand.IntN(2) == 0 {
			return
		}
		if c.Now.Before(n.paused) {
			takes = n.paused.Sub(c.Now)
		}
		delete(n.running, id)
		if !began || c.Now.Before(n.spoilt) {
			res := job.Result{Outcome: job.Failed, Reason: "no space left", Started: clock.At(c.wall(n)), Finished: clock.At(c.wall(n))}
			c.step(n, broker.Reported{Key: r.Key, Attempt: r.Attempt, Result: res, Returned: true, Began: began})
			return
		}
		res := job.Result{Outcome: job.Succeeded, Started: clock.At(c.wall(n)), Finished: clock.At(c.wall(n))}
		if fails {
			res.Outcome, res.Reason = job.Failed, "exit 1"
		}
		res.Stdout = c.output(n, id)
		c.step(n, broker.Reported{Key: r.Key, Attempt: r.Attempt, Result: res})
	}
	c.after(takes, here(end))
}

// output is what an attempt has written.
func (c *Core) output(n *coreNode, id string) *job.Blob {
	out := digestOf(n.name + id)
	n.blobs[out], c.outputs[job.Digest(out)] = true, true
	return &job.Blob{Digest: job.Digest(out), Size: 1}
}

func digestOf(text string) string {
	sum := sha256.Sum256([]byte(text))
	return hex.EncodeToString(sum[:])
}

// push brings a blob to a peer, mostly.
func (c *Core) push(n *coreNode, p ack.Push) {
	b, to := n.b, c.nodes[p.To]
	if to == nil {
		c.hostile.confirm(n, p)
		return
	}
	c.after(c.latency(), func() {
		ok := to.b != nil && !c.Now.Before(to.paused) && !c.lost(n.name, p.To) && !c.lost(p.To, n.name) && n.blobs[string(p.Digest)]
		if ok {
			to.blobs[string(p.Digest)] = true
		}
		wait := c.latency()
		if !ok {
			wait = time.Second
		}
		c.after(wait, func() {
			if n.b == b {
				c.step(n, broker.Pushed{Peer: p.To, Actor: p.Actor, Digest: p.Digest, Failed: !ok})
			}
		})
	})
}

// fetch brings blobs from whoever has them.
func (c *Core) fetch(n *coreNode, f broker.Fetch) {
	b := n.b
	tries := 0
	var try func()
	try = func() {
		if n.b != b {
			return
		}
		missing, reached := "", true
		for _, d := range f.Digests {
			for _, name := range c.names {
				from := c.nodes[name]
				answers := from.b != nil && !c.lost(n.name, name) && !c.lost(name, n.name)
				reached = reached && (answers || from.left)
				if answers && from.blobs[string(d)] {
					n.blobs[string(d)] = true
				}
			}
			if !n.blobs[string(d)] {
				missing = string(d)
			}
		}
		if tries++; missing != "" && tries < 4 {
			c.after(time.Second<<tries, try)
			return
		}
		in := broker.Fetched{Key: f.Key, Attempt: f.Attempt, Nowhere: reached}
		if missing != "" {
			in.Err = "nobody has " + missing[:8]
		}
		c.step(n, in)
	}
	c.after(time.Millisecond, try)
}

// keep brings blobs that are to stay from whoever has them.
func (c *Core) keep(n *coreNode, list []broker.Keep) {
	if len(list) == 0 {
		return
	}
	b := n.b
	c.after(c.latency(), func() {
		for _, k := range list {
			if n.b != b {
				return
			}
			in := broker.Kept{Digest: k.Digest, Here: n.blobs[string(k.Digest)], Nowhere: true}
			for _, name := range c.names {
				from := c.nodes[name]
				answers := from.b != nil && !c.lost(n.name, name) && !c.lost(name, n.name)
				in.Nowhere = in.Nowhere && (answers || from.left)
				if !in.Here && answers && from.blobs[string(k.Digest)] {
					in.Here, in.New, n.blobs[string(k.Digest)] = true, true, true
				}
			}
			c.step(n, in)
		}
	})
}

// send carries a message and its reply, as bytes, through the network.
func (c *Core) send(n *coreNode, s replication.Send) {
	b, to := n.b, c.nodes[s.To]
	sent := wire.Encode(&s.Message)
	c.note("%s>%s %d", n.name, s.To, len(sent))
	c.Sent.add(sent, s.Message.Delta)
	c.carry(n.name, s.To, s.Message.Delta)
	if s.Message.Lease != nil {
		c.leases++
	}
	fail := func() {
		if n.b == b {
			c.step(n, broker.Unreachable{Peer: s.To, By: s.Message.Actor, Page: s.Message.Page != nil})
		}
	}
	if to == nil {
		c.hostile.take(n, s, sent)
		return
	}
	if c.lost(n.name, s.To) {
		c.after(peerTO, fail)
		return
	}
	if c.rand.Float64() < c.Dup { // it arrives again, late, and nobody waits for that answer
		c.after(time.Duration(c.rand.Int64N(c.late.Milliseconds()))*time.Millisecond, func() {
			if m, err := wire.DecodeMessage(sent); to.b != nil && err == nil {
				c.deliver(to, m, func(*wire.Reply) {}, func() {})
			}
		})
	}
	c.travel(n.name, s.To, len(sent), func() {
		if to.b == nil {
			c.after(c.latency(), fail)
			return
		}
		m, err := wire.DecodeMessage(c.damaged(s.Message, sent))
		must(err)
		answered := false
		c.deliver(to, m, func(r *wire.Reply) {
			if answered {
				return // the sender waits no longer
			}
			answered = true
			if c.lost(s.To, n.name) {
				c.after(peerTO, fail)
				return
			}
			answer := wire.Encode(r)
			c.Sent.add(answer, r.Delta)
			c.carry(s.To, n.name, r.Delta)
			if r.Lease != nil {
				c.leases++
			}
			reply, err := wire.DecodeReply(answer)
			must(err)
			c.travel(s.To, n.name, len(answer), func() {
				if n.b == b {
					c.step(n, broker.Acked{Peer: s.To, By: s.Message.Actor, Page: s.Message.Page != nil, Reply: reply})
				}
			})
		}, func() {
			if !answered {
				answered = true
				fail()
			}
		})
	})
}

// damaged is a message as it arrives.
func (c *Core) damaged(m wire.Message, sent []byte) []byte {
	if c.Damage == 0 || m.Delta == nil || len(m.Delta.Records) == 0 || c.rand.Float64() >= c.Damage {
		return sent
	}
	d := *m.Delta
	d.Records = slices.Clone(d.Records)
	d.Records[0].Bytes = []byte{0xc1} // no such msgpack
	m.Delta = &d
	return wire.Encode(&m)
}

func (c *Core) carry(from, to string, d *wire.Delta) {
	if c.carried != nil && d != nil {
		c.carried(from, to, d)
	}
}

// deliver steps a message; its answer comes after a commit, or not in time.
func (c *Core) deliver(to *coreNode, m wire.Message, done func(*wire.Reply), fail func()) {
	c.note("%s deliver %s", to.name, m.From)
	c.saw(to, arrives{&m})
	c.ask(to, func(t broker.Token) broker.Input { return broker.Deliver{Token: t, Message: m} }, func(v broker.Answer) {
		r := &v.(*broker.Replied).Reply
		c.saw(to, replied{&m, r})
		done(r)
	})
	c.after(peerTO, fail)
}

// shown notes what a broker says of itself.
func (c *Core) shown(n *coreNode, s *broker.Overview) {
	if s == nil {
		return
	}
	n.stats, n.state = s.Stats, s.State
	c.saw(n, s.Stats)
	if s.Stats.Spins > 0 {
		c.fail("%s reviews one job without end", n.name)
	}
}

func must(err error) {
	if err != nil {
		panic(err)
	}
}

func (c *Core) latency() time.Duration {
	return time.Duration(200+c.rand.IntN(5000)) * time.Microsecond
}

func (c *Core) lost(from, to string) bool {
	return c.cut[[2]string{from, to}] || c.rand.Float64() < c.Loss
}

// note adds to the trace that two runs of one seed have in common.
func (c *Core) note(format string, args ...any) {
	h := fnv.New64a()
	fmt.Fprintf(h, "%d %d ", c.trace, c.Now.UnixNano())
	fmt.Fprintf(h, format, args...)
	c.trace = h.Sum64()
}

// Trace identifies all that happened so far.
func (c *Core) Trace() uint64 { return c.trace }

// Record returns a job as a broker's disk holds it, nil when it does not.
func (c *Core) Record(at string, id job.ID) *job.Record {
	d := c.nodes[at].disk
	if keys := d.of(id); len(keys) > 0 {
		return decodeJob(d[keys[0]])
	}
	return nil
}
