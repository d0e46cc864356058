package sim

import (
	"container/heap"
	"fmt"
	"hash/fnv"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"time"

	"github.com/urban-compute/ucp/broker"
	"github.com/urban-compute/ucp/clock"
	"github.com/urban-compute/ucp/job"
)

// Core simulates the decisions alone: N broker cores, a network and disks, in
// one seeded event loop without a goroutine. A run is repeatable bit for bit from
// its seed, so that a fault schedule that breaks something can be looked at
// again and again. Here live the fault schedules and the invariants of the
// design's first section; what needs real Serf and Pebble is simulated by
// [Cluster].
type Core struct {
	Now   time.Time
	Loss  float64 // of messages, 0 to 1
	Acked map[job.ID]bool
	// Runs counts how often each job was started.
	Runs map[job.ID]int

	cfg    broker.Config
	rand   *rand.Rand
	events events
	seq    int
	nodes  map[string]*coreNode
	names  []string
	cut    map[[2]string]bool
	token  broker.Token
	submit map[broker.Token]job.ID
	trace  uint64 // hash of all that happened
}

// coreNode is one broker with its disk.
type coreNode struct {
	name   string
	starts int
	disk   map[string][]byte // what is synced
	b      *broker.Broker    // nil while down
	busy   bool              // a commit is under way
	killed map[string]bool   // attempts that were stopped
	wake   time.Time         // when it ticks next; zero is not at all
	reply  map[broker.Token]func(*broker.Reply)
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
)

// NewCore starts n brokers that know each other. Each is configured as cfg says;
// Actor, Seed and Archive are set here.
func NewCore(seed uint64, n int, cfg broker.Config) *Core {
	c := &Core{
		Now: time.Unix(1_700_000_000, 0), Acked: map[job.ID]bool{}, Runs: map[job.ID]int{},
		cfg: cfg, rand: rand.New(rand.NewPCG(seed, 1)),
		nodes: map[string]*coreNode{}, cut: map[[2]string]bool{}, submit: map[broker.Token]job.ID{},
	}
	for i := range n {
		name := fmt.Sprintf("b%d", i)
		c.names = append(c.names, name)
		c.nodes[name] = &coreNode{name: name, disk: map[string][]byte{}}
	}
	for _, name := range c.names {
		c.Start(name)
	}
	return c
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
	cfg.Actor = clock.Actor(fmt.Sprintf("%s~%08x", name, n.starts))
	cfg.Seed = c.rand.Uint64()
	cfg.HTTPAddr = name + ":8000"
	cfg.Archive = diskArchive{n.disk}
	cfg.Capabilities.Labels = map[string]string{"name": name}
	n.b, n.busy, n.wake, n.killed = broker.New(cfg), false, time.Time{}, map[string]bool{}
	n.reply = map[broker.Token]func(*broker.Reply){}
	must(n.b.Load(func(prefix []byte, fn func(k, v []byte) error) error {
		for _, k := range slices.Sorted(maps.Keys(n.disk)) {
			if strings.HasPrefix(k, string(prefix)) {
				if err := fn([]byte(k), n.disk[k]); err != nil {
					return err
				}
			}
		}
		return nil
	}))
	c.tellRoster()
}

// Kill ends a broker at once: what was not synced is gone, and so is what it
// ran. A commit under way is written or not.
func (c *Core) Kill(name string) {
	c.nodes[name].b = nil
	c.after(detect, c.tellRoster)
}

// Cut separates two brokers in both directions until Heal.
func (c *Core) Cut(a, b string) {
	c.cut[[2]string{a, b}], c.cut[[2]string{b, a}] = true, true
	c.after(detect, c.tellRoster)
}

// Heal ends all cuts.
func (c *Core) Heal() {
	c.cut = map[[2]string]bool{}
	c.tellRoster()
}

// tellRoster lets every broker see who is alive: the simulation of SWIM.
func (c *Core) tellRoster() {
	for _, name := range c.names {
		c.after(notice, func() {
			if n := c.nodes[name]; n.b != nil {
				c.step(n, broker.Roster{Members: c.roster(name)})
			}
		})
	}
}

func (c *Core) roster(of string) (out []broker.Member) {
	for _, name := range c.names {
		n := c.nodes[name]
		m := broker.Member{
			Name: name, HTTPAddr: name + ":8000", Status: broker.Alive,
			Actor: clock.Actor(fmt.Sprintf("%s~%08x", name, n.starts)),
		}
		if n.b == nil || c.cut[[2]string{of, name}] {
			m.Status = broker.Failed
		}
		out = append(out, m)
	}
	return out
}

// Submit submits a job at a broker; Acked has its ID once that has answered.
func (c *Core) Submit(at string, id job.ID) {
	n := c.nodes[at]
	if n.b == nil {
		return
	}
	c.token++
	c.submit[c.token] = id
	spec := job.Spec{Command: "work", Priority: job.Priority{User: job.DefaultUser}}
	must(spec.Complete())
	c.step(n, broker.Submit{Token: c.token, ID: id, Spec: spec})
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

func (c *Core) step(n *coreNode, in broker.Input) {
	must(n.b.Step(broker.Tick{Now: c.Now}))
	must(n.b.Step(in))
	c.note("%s %T", n.name, in)
	c.drive(n)
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
	c.after(time.Duration(100+c.rand.IntN(2000))*time.Microsecond, func() {
		if n.b != b && c.rand.IntN(2) == 0 {
			return // killed before the sync
		}
		for _, op := range rd.Commit.Ops() {
			n.disk[string(op.Key)] = op.Value
		}
		if n.b != b {
			return // killed after the sync, before anybody heard of it
		}
		n.busy = false
		b.Advance(rd)
		c.act(n, rd)
		must(b.Step(broker.Tick{Now: c.Now}))
		c.drive(n)
	})
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
	for _, a := range rd.Answers {
		if s, ok := a.Value.(*broker.Submitted); ok && !s.Conflict && s.Record != nil {
			c.Acked[c.submit[a.Token]] = true
			c.note("acked %s %d", c.submit[a.Token], s.Replicas)
		}
		if r, ok := a.Value.(*broker.Reply); ok {
			done := n.reply[a.Token]
			delete(n.reply, a.Token)
			done(r)
		}
	}
	for _, s := range rd.Send {
		c.send(n, s)
	}
	for _, f := range rd.Fetch {
		c.after(time.Millisecond, here(func() { c.step(n, broker.Fetched{Key: f.Key, Attempt: f.Attempt}) }))
	}
	for _, s := range rd.Stop {
		n.killed[s.Key+s.Attempt.Token()] = true
		c.after(10*time.Millisecond, here(func() {
			c.step(n, broker.Reported{Key: s.Key, Attempt: s.Attempt, Stopped: true})
		}))
	}
	for _, r := range rd.Run {
		c.Runs[r.ID]++
		c.note("run %s at %s", r.ID, n.name)
		c.after(time.Duration(1+c.rand.IntN(3000))*time.Millisecond, here(func() {
			if !n.killed[r.Key+r.Attempt.Token()] {
				c.step(n, broker.Reported{Key: r.Key, Attempt: r.Attempt, Result: job.Result{Outcome: job.Succeeded}})
			}
		}))
	}
	if w := rd.Wake; !w.IsZero() && (n.wake.IsZero() || w.Before(n.wake)) {
		n.wake = w
		c.after(max(w.Sub(c.Now), time.Millisecond), here(func() {
			if n.wake == w {
				n.wake = time.Time{}
			}
			must(b.Step(broker.Tick{Now: c.Now}))
			c.drive(n)
		}))
	}
}

// send carries a message and its reply, as bytes, through the network.
func (c *Core) send(n *coreNode, s broker.Send) {
	b, to := n.b, c.nodes[s.To]
	wire := broker.Encode(&s.Message)
	c.note("%s>%s %d", n.name, s.To, len(wire))
	fail := func() {
		if n.b == b {
			c.step(n, broker.Unreachable{Peer: s.To})
		}
	}
	if c.lost(n.name, s.To) {
		c.after(peerTO, fail)
		return
	}
	c.after(c.latency(), func() {
		if to.b == nil {
			c.after(c.latency(), fail)
			return
		}
		m, err := broker.DecodeMessage(wire)
		must(err)
		c.deliver(to, m, func(r *broker.Reply) {
			if c.lost(s.To, n.name) {
				c.after(peerTO, fail)
				return
			}
			reply, err := broker.DecodeReply(broker.Encode(r))
			must(err)
			c.after(c.latency(), func() {
				if n.b == b {
					c.step(n, broker.Acked{Peer: s.To, Reply: reply})
				}
			})
		}, fail)
	})
}

// deliver steps a message and waits for its answer, which comes after a commit.
func (c *Core) deliver(to *coreNode, m broker.Message, done func(*broker.Reply), fail func()) {
	b := to.b
	must(b.Step(broker.Tick{Now: c.Now}))
	c.token++
	token := c.token
	must(b.Step(broker.Deliver{Token: token, Message: m}))
	c.note("%s deliver %s", to.name, m.From)
	to.reply[token] = done
	c.drive(to)
	c.after(peerTO, func() {
		if to.b != b {
			fail()
		}
	})
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
	for _, k := range slices.Sorted(maps.Keys(c.nodes[at].disk)) {
		if strings.HasPrefix(k, "rjob\x00"+string(id)+"~") {
			r, err := job.DecodeRecord(c.nodes[at].disk[k])
			must(err)
			return r
		}
	}
	return nil
}

// Differences names the records that not all brokers hold alike, and the clocks
// that differ.
func (c *Core) Differences() (out []string) {
	first := c.nodes[c.names[0]]
	for _, name := range c.names[1:] {
		n := c.nodes[name]
		for _, k := range slices.Sorted(maps.Keys(n.disk)) {
			if string(first.disk[k]) != string(n.disk[k]) {
				out = append(out, fmt.Sprintf("%s and %s differ in %q", first.name, name, k))
			}
		}
		if len(first.disk) != len(n.disk) {
			out = append(out, fmt.Sprintf("%s holds %d keys, %s %d", first.name, len(first.disk), name, len(n.disk)))
		}
	}
	return out
}

type diskArchive struct{ disk map[string][]byte }

func (d diskArchive) Get(key []byte) ([]byte, bool, error) {
	v, ok := d.disk[string(key)]
	return v, ok, nil
}
