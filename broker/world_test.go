package broker

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/urban-compute/ucp/broker/ack"
	"github.com/urban-compute/ucp/broker/causal"
	"github.com/urban-compute/ucp/broker/membership"
	"github.com/urban-compute/ucp/broker/wire"
	"github.com/urban-compute/ucp/clock"
	"github.com/urban-compute/ucp/job"
	"github.com/urban-compute/ucp/ledger"
	stories "github.com/urban-compute/ucp/test/story"
)

// world is a few brokers in one process, for stories: nothing moves in it unless
// it is told to. All the while it checks what must hold whatever happens
// (invariants_test.go).
type world struct {
	signing signing // what the shells of brokers with Config.Signs do
	gate    *gate   // of the city of brokers with Config.City; nil for none
	now     time.Time
	cfg     Config
	nodes   map[string]*node
	names   []string
	queue   map[[2]string][]packet // messages on their way, by sender and receiver
	held    map[[2]string][]packet // those that are held up, and arrive late
	cut     map[[2]string]bool
	said    []string // what brokers did that a person would notice
	loud    bool     // messages are told too

	apart map[string]string // the half of brokers that never hear of those of another one
	files map[string]*carriedFile
	got   map[Token]func(Answer) // what becomes of answers that no story tells

	misled map[string]bool // brokers whose clocks cover what they were not told

	numbered bool // starts are, as a store numbers them (rule K1)

	token    Token
	minted   map[clock.Dot]creation // every dot that reached a disk, and which job it changed
	doubtful map[clock.Actor]bool   // starts whose updates somebody claims to hold, or that go on as an older copy
	over     map[creation]bool      // jobs of which any disk has held a verdict
	errors   []string               // broken invariants

	clients map[Token]string          // whose past an answer adds to
	past    map[string]causal.Context // what clients have seen, by name
}

// node is one broker with its disk, and what its shell would know.
type node struct {
	name     string
	starts   int
	process  clock.Actor // as in membership.Member
	slow     bool        // its disk makes another start only when it is told to
	mint     *Mint       // which it has not made yet
	protocol int         // the highest version that it tells others
	b        *Broker     // nil while down
	cfg      Config
	disk     stories.Disk
	backup   stories.Disk  // an older copy of it
	copied   clock.Actor   // as which it ran then
	skew     time.Duration // of its wall clock
	wake     time.Time
	running  map[string]Run               // attempts that were started and have not ended, by key and token
	reply    map[Token]packet             // whom a Reply goes to
	asked    map[Token]string             // what an answer is about
	seen     map[string]membership.Member // the roster as this broker sees it
	fetch    map[string]Fetch             // by key
	push     map[string][]ack.Push        // by peer
	keep     []Keep
	stops    map[string]Stop // by key
	pauses   map[string]Suspend
	still    map[string]Run // attempts that stand still, by key
	state    []byte         // what push-pull carries
	flood    []byte         // the latest event
}

// creation is one job: what is created again after all have forgotten it is another with the same key.
type creation struct {
	key string
	dot clock.Dot
}

// packet is a message or a reply on its way, as bytes.
type packet struct {
	from, to string
	wire     []byte
	reply    bool
	page     bool        // of a transfer, or the reply to one
	by       clock.Actor // that has sent the message, or waits for this reply
	loseBack bool        // the reply to this message will be lost
}

func newWorld() *world {
	return &world{
		now: time.Unix(1_700_000_000, 0), nodes: map[string]*node{}, queue: map[[2]string][]packet{}, held: map[[2]string][]packet{}, cut: map[[2]string]bool{}, apart: map[string]string{}, files: map[string]*carriedFile{}, got: map[Token]func(Answer){},
		minted: map[clock.Dot]creation{}, doubtful: map[clock.Actor]bool{}, over: map[creation]bool{}, misled: map[string]bool{}, clients: map[Token]string{}, past: map[string]causal.Context{},
		cfg: Config{
			Software: "test", Replicas: 2, SyncInterval: time.Minute, NewsLinks: true, AckTimeout: 2 * time.Second, MaxClockSkew: time.Minute,
			RedeployDelay: 3 * time.Second, IsolationDelay: 30 * time.Second, MaxLosses: 3, Retention: 24 * time.Hour,
			Capabilities: wire.Capabilities{
				Capacity: job.Resources{CPU: 1000, Memory: 1 << 30, IO: 100},
				Drivers:  []job.Driver{job.Wasm, job.Process},
			},
		},
	}
}

// newCluster makes a world in which these brokers run and have met.
func newCluster(names ...string) *world {
	w := newWorld()
	for _, name := range names {
		w.start(name, func(*Config) {})
	}
	w.meet()
	w.pass(w.cfg.AckTimeout)
	return w
}

// submit submits a plain job at a broker.
func (w *world) submit(n *node, id job.ID) {
	spec := job.Spec{Command: "work", Priority: job.Priority{User: job.DefaultUser}}
	must(spec.Complete())
	w.ask(n, string(id), func(t Token) Input { return Submit{Token: t, ID: id, Spec: spec} })
}

// node is the broker of that name, which may never have started.
func (w *world) node(name string) *node {
	n := w.nodes[name]
	if n == nil {
		n = &node{name: name, protocol: wire.Version, disk: stories.Disk{}, cfg: w.cfg}
		n.cfg.Capabilities.Labels = map[string]string{"name": name}
		n.cfg.HTTPAddr = name + ":8000"
		w.nodes[name] = n
		w.names = append(w.names, name)
		slices.Sort(w.names)
	}
	return n
}

// start starts a broker from its disk, with a fresh actor (rule I1).
func (w *world) start(name string, edit func(*Config)) *node {
	n := w.node(name)
	edit(&n.cfg)
	w.number(n, nil)
	w.boot(n, n.cfg.Actor)
	w.introduce(n, []string{name}) // in a city each says who it is
	return n
}

// boot starts a broker from its disk as an actor.
func (w *world) boot(n *node, actor clock.Actor) {
	n.cfg.Actor, n.process = actor, ""
	n.cfg.Seed = uint64(len(w.names)*100 + n.starts)
	n.cfg.Protocol = 0
	for _, m := range n.seen { // as its store remembers them
		if n.cfg.Protocol == 0 || m.Protocol < n.cfg.Protocol {
			n.cfg.Protocol = m.Protocol
		}
	}
	n.cfg.Archive = n.disk
	n.b, n.wake = New(n.cfg), time.Time{}
	n.running, n.reply, n.asked, n.seen = map[string]Run{}, map[Token]packet{}, map[Token]string{}, map[string]membership.Member{}
	n.fetch, n.push, n.keep, n.stops = map[string]Fetch{}, map[string][]ack.Push{}, nil, map[string]Stop{}
	n.pauses, n.still = map[string]Suspend{}, map[string]Run{}
	must(n.b.Load(n.disk.Scan))
}

// number gives a broker the actor of another start, above those that it knows.
func (w *world) number(n *node, above clock.Tips) {
	n.starts++
	for _, d := range above {
		if s, ok := d.Actor.Start(); ok {
			n.starts = max(n.starts, int(s)+1)
		}
	}
	n.cfg.Actor = clock.Actor(fmt.Sprintf("%s~%d", n.name, n.starts))
	if w.numbered {
		n.cfg.Actor = clock.StartActor(n.name, clock.Start(n.starts))
	}
}

// renew makes the start that a broker asks for while it runs (rule K3). SWIM tells the others with the next meet.
func (w *world) renew(n *node, m *Mint) {
	if n.slow {
		n.mint = m
		return
	}
	if n.process == "" {
		n.process = n.cfg.Actor
	}
	w.number(n, m.Above)
	w.say("%s goes on as %s: %s", n.name, n.cfg.Actor, m.Why)
	w.step(n, Minted{n.cfg.Actor})
}

// synced is the clock that is on the disk.
func (n *node) synced() clock.Tips {
	c, err := ledger.StoredClock(n.disk.Scan)
	must(err)
	return c
}

// crash ends a broker at once. Whoever waits for its answer hears nothing; late: what it has sent is still on its
// way, since the kernel goes on repeating it.
func (w *world) crash(name string, late bool) {
	w.nodes[name].b = nil
	for _, path := range w.paths() {
		if late && path[0] == name {
			continue
		}
		for _, p := range w.queue[path] {
			if path[1] == name && !p.reply || path[0] == name && p.reply {
				w.fail(p)
			}
		}
		if path[0] == name || path[1] == name {
			delete(w.queue, path)
		}
	}
	for _, other := range w.names {
		n := w.nodes[other]
		for _, t := range slices.Sorted(maps.Keys(n.reply)) {
			if n.reply[t].to == name {
				delete(n.reply, t)
			}
		}
	}
}

// fail tells the sender of a message that no reply came.
func (w *world) fail(p packet) {
	sender, receiver := p.from, p.to
	if p.reply {
		sender, receiver = p.to, p.from
	}
	if n := w.nodes[sender]; n != nil && n.b != nil {
		w.step(n, Unreachable{Peer: receiver, By: p.by, Page: p.page})
	}
}

// step gives a broker an input, as the shell does: after a Tick.
func (w *world) step(n *node, in Input) {
	must(n.b.Step(Tick{Now: w.now, Wall: w.now.Add(n.skew)}))
	must(n.b.Step(in))
}

// ask steps an input that waits for an answer.
func (w *world) ask(n *node, about string, in func(Token) Input) {
	w.token++
	n.asked[w.token] = about
	w.step(n, in(w.token))
}

// ready takes a Ready, writes its commit, and carries the rest out: exactly the
// duties that Ready documents. It reports whether anything but silence came.
func (w *world) ready(n *node) (busy bool) {
	must(n.b.Step(Tick{Now: w.now, Wall: w.now.Add(n.skew)}))
	rd := n.b.Ready()
	ops := rd.Commit.Ops()
	for _, op := range ops {
		n.disk.Write(op.Key, op.Value)
		if op.Value != nil {
			w.mint(n, op)
		}
	}
	w.signCommit(n, rd.Commit)
	n.b.Advance(rd)
	n.wake = rd.Wake
	w.act(n, rd)
	w.checkCapacity(n)
	w.checkLevels(n)
	w.checkPrecedence(n)
	return rd.Mint != nil || len(rd.Answers)+len(rd.Send)+len(rd.Push)+len(rd.Fetch)+len(rd.Keep)+len(rd.Run)+len(rd.Stop)+len(ops) > 0
}

func (w *world) act(n *node, rd Ready) {
	for _, a := range rd.Answers {
		if got := w.got[a.Token]; got != nil {
			delete(w.got, a.Token)
			got(a.Answer)
			continue
		}
		if r, ok := a.Answer.(*Replied); ok {
			w.answerPeer(n, a.Token, &r.Reply)
			continue
		}
		if about := n.asked[a.Token]; about != "" {
			w.say("%s answers %s: %s", n.name, about, answerText(a.Answer))
			if l, ok := a.Answer.(*Listing); ok && about == "list why" {
				for _, r := range l.Jobs {
					w.say("  %s: %s", l.Short[r.Key()], l.Why[r.Key()])
				}
			}
		}
		delete(n.asked, a.Token)
		w.saw(a)
	}
	w.introduce(n, rd.Introduce)
	for _, d := range rd.Prepare {
		w.say("%s is to compile %.4s", n.name, d)
	}
	if rd.Probe {
		w.say("%s withdraws its offer", n.name)
	}
	for _, h := range rd.Handed {
		w.say("%s hands %s to %s", n.name, h.ID, h.To)
	}
	for _, s := range rd.Send {
		w.frontier(n, s.Message.Clock)
		if w.loud {
			w.say("%s -> %s: %s", n.name, s.To, messageText(&s.Message))
		}
		w.put(packet{from: n.name, to: s.To, page: s.Message.Page != nil, by: s.Message.Actor, wire: wire.Encode(&s.Message)})
	}
	for _, payload := range rd.Broadcast {
		w.say("%s floods %s", n.name, eventText(payload))
		n.flood = payload
	}
	for _, id := range rd.Dropped {
		w.say("%s drops an event of %s", n.name, id)
	}
	for _, note := range rd.Notes {
		if note.Kind == "emergency" {
			more := ""
			for _, mark := range []string{"; this was said", ", of which nothing else"} {
				if i := strings.Index(note.Text, mark); i >= 0 {
					more = note.Text[i:]
				}
			}
			w.say("%s knows: %s %s%s", n.name, note.ID, note.What, more)
		}
		if note.Kind == "job" && n.b.watched {
			w.say("%s tells: %s", n.name, note.Text)
		}
	}
	if rd.Overview != nil {
		w.frontier(n, rd.Overview.State.Metadata[0].Clock)
		n.state, _ = wire.EncodeState(&rd.Overview.State, wire.MaxState1, 0)
	}
	for _, p := range rd.Push {
		w.say("%s pushes %.4s to %s", n.name, p.Digest, p.To)
		n.push[p.To] = append(n.push[p.To], p)
	}
	for _, f := range rd.Fetch {
		w.say("%s fetches the inputs of %s from %v", n.name, idOf(f.Key), f.From)
		n.fetch[f.Key] = f
	}
	for _, h := range rd.Hurry {
		w.say("%s fetches the inputs of %s with urgency %d", n.name, idOf(h.Key), h.Urgency)
	}
	for _, k := range rd.Keep {
		w.say("%s keeps %.4s, from %v", n.name, k.Digest, k.From)
		n.keep = append(n.keep, k)
	}
	for _, r := range rd.Run {
		from := ""
		if c := r.From; c != nil {
			from = fmt.Sprintf(" from %.4s, after %v", c.Tree, time.Duration(c.Ran))
		}
		w.say("%s runs %s %s%s", n.name, r.ID, attemptText(r.Attempt), from)
		w.started(n, r)
	}
	for _, s := range rd.Suspend {
		w.say("%s suspends %s %s", n.name, idOf(s.Key), attemptText(s.Attempt))
		n.pauses[s.Key] = s
	}
	for _, r := range rd.Resume {
		w.say("%s resumes %s %s", n.name, idOf(r.Key), attemptText(r.Attempt))
		w.resumed(n, r.Key)
	}
	for _, s := range rd.Stop {
		w.say("%s stops %s %s", n.name, idOf(s.Key), attemptText(s.Attempt))
		n.stops[s.Key] = s
	}
	if rd.Mint != nil { // what it starts was written as the start before
		w.renew(n, rd.Mint)
	}
}

// saw adds an answer to what its client has seen.
func (w *world) saw(a Response) {
	who := w.clients[a.Token]
	switch v := a.Answer.(type) {
	case *Submitted:
		w.past[who] = v.Past
	case *TooFewCopies:
		w.past[who] = v.Past
	case *IDTaken:
		w.past[who] = v.Past
	case *UnknownPredecessors:
		w.past[who] = v.Past
	case *Found:
		w.past[who] = v.Past
	case *NotFound:
		w.past[who] = v.Past
	case *AmbiguousJob:
		w.past[who] = v.Past
	case *Cancelled:
		w.past[who] = v.Job.Past
	}
	delete(w.clients, a.Token)
	delete(w.past, "")
}

func (w *world) answerPeer(n *node, t Token, r *wire.Reply) {
	p, ok := n.reply[t]
	delete(n.reply, t)
	if !ok {
		return // the asker is gone
	}
	w.frontier(n, r.Clock)
	if w.loud {
		w.say("%s -> %s: reply %s", n.name, p.from, replyText(r))
	}
	back := packet{from: n.name, to: p.from, page: p.page, by: p.by, wire: wire.Encode(r), reply: true}
	if p.loseBack {
		w.fail(back)
		return
	}
	w.put(back)
}

// put sends a packet; one that crosses a cut is lost at once.
func (w *world) put(p packet) {
	if w.cut[[2]string{p.from, p.to}] || w.nodes[p.to] == nil || w.nodes[p.to].b == nil {
		w.fail(p)
		return
	}
	path := [2]string{p.from, p.to}
	w.queue[path] = append(w.queue[path], p)
}

func (w *world) paths() [][2]string {
	return slices.SortedFunc(maps.Keys(w.queue), func(a, b [2]string) int {
		return strings.Compare(a[0]+" "+a[1], b[0]+" "+b[1])
	})
}

// take removes the first packet of a path.
func (w *world) take(path [2]string) (packet, bool) {
	list := w.queue[path]
	if len(list) == 0 {
		return packet{}, false
	}
	w.queue[path] = list[1:]
	if len(list) == 1 {
		delete(w.queue, path)
	}
	return list[0], true
}

// deliver steps a packet at its receiver.
func (w *world) deliver(p packet) {
	n := w.nodes[p.to]
	w.tellHeads(p.from, n)
	if p.reply {
		r, err := wire.DecodeReply(p.wire)
		must(err)
		w.step(n, Acked{Peer: p.from, By: p.by, Page: p.page, Reply: r})
		return
	}
	m, err := wire.DecodeMessage(p.wire)
	must(err)
	w.token++
	n.reply[w.token] = p
	w.step(n, Deliver{Token: w.token, Message: m})
}

// settle lets everything happen that needs no time.
func (w *world) settle() {
	for range 2000 {
		busy := false
		for _, name := range w.names {
			if n := w.nodes[name]; n.b != nil {
				busy = w.ready(n) || busy
			}
		}
		for _, path := range w.paths() {
			for p, ok := w.take(path); ok; p, ok = w.take(path) {
				w.deliver(p)
				busy = true
			}
		}
		if !busy {
			return
		}
	}
	w.say("it does not settle")
}

// pass lets time go by, and everything that happens in it.
func (w *world) pass(d time.Duration) {
	end := w.now.Add(d)
	w.settle()
	for {
		next := end
		for _, n := range w.nodes {
			if at := n.wake; n.b != nil && !n.wake.IsZero() && at.Before(next) {
				next = at
			}
		}
		if !next.After(w.now) {
			next = w.now.Add(time.Millisecond)
		}
		if next.After(end) {
			break
		}
		w.now = next
		w.settle()
		if next.Equal(end) {
			break
		}
	}
	w.now = end
}

// roster tells a broker how it sees the others.
func (w *world) roster(n *node) {
	var list []membership.Member
	for _, name := range slices.Sorted(maps.Keys(n.seen)) {
		list = append(list, n.seen[name])
	}
	w.step(n, Roster{Members: list})
}

// meet lets all brokers see each other as they are.
func (w *world) meet() { w.look(w.names...) }

// look lets some brokers see the others as they are.
func (w *world) look(names ...string) {
	for _, name := range names {
		if w.nodes[name].b == nil {
			continue
		}
		for _, other := range w.names {
			if w.apart[name] == w.apart[other] {
				w.see(w.nodes[name], other)
			}
		}
		w.roster(w.nodes[name])
	}
}

func (w *world) see(n *node, other string) {
	o := w.nodes[other]
	m := membership.Member{Name: other, Actor: o.cfg.Actor, Process: o.process, HTTPAddr: o.cfg.HTTPAddr, Status: membership.Alive, Protocol: o.protocol}
	if o.b == nil || w.cut[[2]string{n.name, other}] {
		m.Status = membership.Failed
	}
	n.seen[other] = m
}

// sees lets SWIM tell a broker of one that is not of this world.
func (w *world) sees(n *node, name string, actor clock.Actor) {
	n.seen[name] = membership.Member{Name: name, Actor: actor, HTTPAddr: name + ":8000", Status: membership.Alive, Protocol: wire.Version}
	w.roster(n)
}

func (w *world) say(format string, args ...any) {
	w.said = append(w.said, fmt.Sprintf(format, args...))
}

func must(err error) {
	if err != nil {
		panic(err)
	}
}
