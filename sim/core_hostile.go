package sim

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/urban-compute/ucp/broker"
	"github.com/urban-compute/ucp/broker/ack"
	"github.com/urban-compute/ucp/broker/kind"
	"github.com/urban-compute/ucp/broker/membership"
	"github.com/urban-compute/ucp/broker/replication"
	"github.com/urban-compute/ucp/broker/wire"
	"github.com/urban-compute/ucp/clock"
	"github.com/urban-compute/ucp/job"
	"github.com/urban-compute/ucp/ledger"
)

// hostile is a member that is no broker, but says valid messages: lies of every kind that one peer can tell. The
// honest ones must stand that: none panics, nothing that was acknowledged is lost, no firm answer changes, they come
// to hold the same, and what a liar can make them keep is bounded.
type hostile struct {
	c      *Core
	name   string
	draw   func(n int) int
	tame   bool
	gone   bool              // it has left
	last   uint64            // counter of what it has written
	actors uint64            // that it has invented
	heard  []wire.Message    // the latest that it was sent
	beats  map[string]uint64 // the latest of each broker
}

const hostileName = "mallory"

// Hostile adds a hostile member. Draw draws its lies, from 0 to n-1. A tame one tells no lie that is believed until a
// later rule is built, or until it can be proven who has sent a message.
func (c *Core) Hostile(draw func(n int) int, tame bool) {
	c.hostile = &hostile{c: c, name: hostileName, draw: draw, beats: map[string]uint64{}, tame: tame}
	c.tell("%s is hostile", hostileName)
	c.tellRoster()
}

func (h *hostile) actor() clock.Actor { return clock.Actor(h.name + "~00000001") }

// member is how SWIM sees it.
func (h *hostile) member() membership.Member {
	m := membership.Member{Name: h.name, Actor: h.actor(), HTTPAddr: h.name + ":8000", Status: membership.Alive, Protocol: wire.Version}
	if h.gone {
		m.Status = membership.Left
	}
	return m
}

// leave ends it: the others see that it has gone, and an operator says that it will not come back (rule M2).
func (h *hostile) leave() {
	h.gone = true
	h.c.after(3*detect, func() {
		for _, name := range h.c.names {
			if n := h.c.nodes[name]; n.b != nil {
				h.c.ask(n, func(t broker.Token) broker.Input { return broker.ForgetMember{Token: t, Name: h.name} }, func(broker.Answer) {})
				return
			}
		}
	})
}

// lie is one thing that a hostile peer does to a message, which is true before. To is the receiver.
type lie struct {
	what  string
	until string // the rule that will end it: today it is believed. "" is that it must be harmless
	tell  func(h *hostile, m *wire.Message, to *coreNode)
}

// Identities is until what rule a lie is believed that only a proof of who has sent a message can end.
const identities = "identities"

var lies = []lie{
	{"nothing but the truth", "", func(*hostile, *wire.Message, *coreNode) {}},
	{"it holds more of the receiver than there is", "X1", func(h *hostile, m *wire.Message, to *coreNode) {
		m.Clock = raised(m.Clock, clock.Dot{Actor: to.actor, Counter: h.far()})
	}},
	{"it has more of the receiver in quarantine than there is", "X1", func(h *hostile, m *wire.Message, to *coreNode) {
		m.Seen = clock.NewTips(clock.Dot{Actor: to.actor, Counter: h.far()})
	}},
	{"it holds more of another than there is", identities, func(h *hostile, m *wire.Message, _ *coreNode) {
		m.Clock = raised(m.Clock, clock.Dot{Actor: h.other().actor, Counter: h.far()})
	}},
	{"it holds all that the receiver holds", "", func(h *hostile, m *wire.Message, to *coreNode) { m.Clock = to.b.Clock() }},
	{"a delta brings more of the receiver than there is", "X1", func(h *hostile, m *wire.Message, to *coreNode) {
		m.Delta = &wire.Delta{Clock: clock.NewTips(clock.Dot{Actor: to.actor, Counter: h.far()})}
	}},
	{"a delta brings more of another than there is", identities, func(h *hostile, m *wire.Message, _ *coreNode) {
		m.Delta = &wire.Delta{Clock: clock.NewTips(clock.Dot{Actor: h.other().actor, Counter: h.far()})}
	}},
	{"a delta brings many actors that nobody knows", identities, func(h *hostile, m *wire.Message, _ *coreNode) {
		m.Delta = &wire.Delta{}
		for range 600 {
			h.actors++
			m.Delta.Clock = raised(m.Delta.Clock, clock.Dot{Actor: clock.Actor(fmt.Sprintf("zz~%08x", h.actors)), Counter: 1})
		}
	}},
	{"a delta since a clock that nobody has", "", func(h *hostile, m *wire.Message, _ *coreNode) {
		h.bring(m).Since = clock.NewTips(clock.Dot{Actor: h.other().actor, Counter: h.far()})
	}},
	{"what it was told, again", "", func(h *hostile, m *wire.Message, _ *coreNode) {
		if old := h.recall(); old != nil && old.Delta != nil {
			h.bring(m).Records = slices.Clone(old.Delta.Records)
		}
	}},
	{"what it was told, with the names of its sender and receiver", "", func(h *hostile, m *wire.Message, to *coreNode) {
		if old := h.recall(); old != nil && old.From != to.name {
			*m = *old
		}
	}},
	{"a page of some transfer", "", func(h *hostile, m *wire.Message, _ *coreNode) {
		h.bring(m)
		m.Page = &wire.Page{Transfer: uint64(h.draw(2)), Number: h.draw(4) - 1, Last: h.draw(2) == 0}
	}},
	{"a record that nobody can read, of others", "", func(h *hostile, m *wire.Message, to *coreNode) {
		d := clock.NewVector(clock.Dot{Actor: h.other().actor, Counter: h.far()}, clock.Dot{Actor: to.actor, Counter: h.far()})
		h.bring(m).Records = []wire.Encoded{{Kind: kind.Job, Key: h.key(), Dots: d, Bytes: []byte{0xc1}}}
	}},
	{"records that nobody can read, of its own", "", func(h *hostile, m *wire.Message, _ *coreNode) {
		for range 10 {
			e := wire.Encoded{Kind: "dance", Key: fmt.Sprint("k", h.last), Dots: clock.NewVector(h.dot()), Bytes: nil}
			h.bring(m).Records = append(h.bring(m).Records, e)
		}
	}},
	{"a job of its own, with owners and stamps as it likes", "", func(h *hostile, m *wire.Message, _ *coreNode) {
		spec := job.Spec{Command: "work", Priority: job.Priority{User: job.DefaultUser}}
		must(spec.Complete())
		d := h.dot()
		r := job.New(job.ID(fmt.Sprintf("mine%d", h.last)), spec, spec.Digest(), job.Stamp{Dot: d, At: h.stamp()}).With(h.dot(), func(r *job.Record) {
			who := h.other().actor
			r.Owner = job.Assignment{Tenure: job.Tenure{Epoch: h.far(), At: h.stamp(), By: h.actor()}, Broker: who.Broker(), Actor: who}
			r.Place = job.Placement{Attempt: job.Attempt{Tenure: r.Owner.Tenure, Seq: h.far()}, Broker: who.Broker(), Actor: who}
		})
		h.add(m, r)
	}},
	{"a job with fields that nobody knows", "", func(h *hostile, m *wire.Message, to *coreNode) {
		spec := job.Spec{Command: "work", Priority: job.Priority{User: job.DefaultUser}}
		must(spec.Complete())
		r := job.New(job.ID(fmt.Sprintf("odd%d", h.last)), spec, spec.Digest(), job.Stamp{Dot: h.dot(), At: h.stamp()})
		e := encoded(r)
		if e.Bytes[0]&0xf0 == 0x80 && e.Bytes[0] != 0x8f { // one more entry of a small map: its key sorts last
			e.Bytes = append(slices.Clone(e.Bytes), 0xa2, 'z', 'z', 0x01)
			e.Bytes[0]++
		}
		h.bring(m).Records = append(h.bring(m).Records, e)
	}},
	{"a report on a job that is not placed there", "", func(h *hostile, m *wire.Message, to *coreNode) {
		h.change(m, to, func(r *job.Record, d clock.Dot) {
			phase := []job.Phase{job.Queued, job.Running, job.Suspended, job.Stopped}[h.draw(4)]
			r.SetReport(job.Report{Attempt: r.Place.Attempt, Dot: d, At: h.stamp(), Phase: phase})
		})
	}},
	{"an earlier end of a job", identities, func(h *hostile, m *wire.Message, to *coreNode) {
		h.change(m, to, func(r *job.Record, d clock.Dot) {
			r.AddVerdict(job.Verdict{At: 1, Dot: d, Outcome: job.Cancelled, Reason: "by " + h.name})
		})
	}},
	{"another owner of a job", identities, func(h *hostile, m *wire.Message, to *coreNode) {
		h.change(m, to, func(r *job.Record, d clock.Dot) {
			r.Owner = job.Assignment{Tenure: job.Tenure{Epoch: r.Owner.Tenure.Epoch + 1, At: h.stamp(), By: h.actor()}, Broker: h.name, Actor: h.actor()}
		})
	}},
	{"all that the receiver holds is stable", "", func(h *hostile, m *wire.Message, to *coreNode) {
		m.Clock = to.b.Clock()
		m.Told = &wire.Told{Version: 1 + uint64(h.draw(3)), Digest: wire.DigestOf(m.Clock, m.Clock), Stable: m.Clock}
	}},
	{"a stable clock beyond what there is", "", func(h *hostile, m *wire.Message, to *coreNode) {
		far := clock.NewTips(clock.Dot{Actor: to.actor, Counter: h.far()})
		m.Told = &wire.Told{Version: h.far(), Since: uint64(h.draw(2)), Digest: wire.DigestOf(m.Clock, far), Stable: far}
		m.ToldHeard = h.far()
	}},
	{"the stamp of another time", "", func(h *hostile, m *wire.Message, _ *coreNode) { m.Hybrid = h.stamp() }},
	{"metadata of its own", "", func(h *hostile, m *wire.Message, _ *coreNode) {
		m.Metadata.Version, m.Metadata.Software = h.stamp(), strings.Repeat("x", h.draw(200))
	}},
	{"a message in the receiver's name", "X2", func(h *hostile, m *wire.Message, to *coreNode) {
		m.From, m.Actor, m.Metadata = to.name, to.actor, nil
	}},
	{"a message in another's name", identities, func(h *hostile, m *wire.Message, _ *coreNode) {
		o := h.other()
		m.From, m.Actor, m.Metadata = o.name, o.actor, nil
	}},
	{"an audit of records that are none", "", func(h *hostile, m *wire.Message, to *coreNode) {
		m.Audit = &wire.Audit{Since: to.b.Clock()}
		for i := range 100 {
			m.Audit.Records = append(m.Audit.Records, ledger.Ref{Kind: kind.Job, Key: fmt.Sprint("j", i)})
		}
	}},
	{"it has heard the future", "", func(h *hostile, m *wire.Message, _ *coreNode) { m.Heard, m.Beat = math.MaxUint64, math.MaxUint64 }},
	{"it is meant for nobody", "", func(h *hostile, m *wire.Message, _ *coreNode) { m.To = "nobody~1" }},
}

// raised is a clock with one more dot.
func raised(c clock.Tips, d clock.Dot) clock.Tips {
	v := clock.Vector(c.Clone())
	v.Set(d)
	return clock.Tips(v)
}

// far is a counter of which nobody has as many; the greatest that are valid included.
func (h *hostile) far() uint64 { return []uint64{1 << 20, 1 << 40, 1<<61 - 1}[h.draw(3)] }

// stamp is one of the year 1970, of now, of tomorrow, or of the year 9999.
func (h *hostile) stamp() clock.Hybrid {
	now := clock.HybridAt(h.c.Now)
	end := clock.HybridAt(time.Date(9999, 1, 1, 0, 0, 0, 0, time.UTC))
	return []clock.Hybrid{1, now, clock.HybridAt(h.c.Now.Add(24 * time.Hour)), min(end, 1<<61)}[h.draw(4)]
}

func (h *hostile) other() *coreNode { return h.c.nodes[h.c.names[h.draw(len(h.c.names))]] }

// dot is the next of its own.
func (h *hostile) dot() clock.Dot {
	h.last++
	return clock.Dot{Actor: h.actor(), Counter: h.last}
}

// key is of some job that it was told of.
func (h *hostile) key() string {
	if old := h.recall(); old != nil && old.Delta != nil && len(old.Delta.Records) > 0 {
		return old.Delta.Records[0].Key
	}
	return "j0~nothing"
}

// recall draws something that it was told, nil when there is none.
func (h *hostile) recall() *wire.Message {
	if len(h.heard) == 0 {
		return nil
	}
	m := h.heard[h.draw(len(h.heard))]
	return &m
}

func (h *hostile) bring(m *wire.Message) *wire.Delta {
	if m.Delta == nil {
		m.Delta = &wire.Delta{}
	}
	return m.Delta
}

func encoded(r *job.Record) wire.Encoded {
	return wire.Encoded{Kind: kind.Job, Key: r.Key(), Dots: r.Dots, Bytes: r.Encode()}
}

func (h *hostile) add(m *wire.Message, r *job.Record) {
	h.bring(m).Records = append(h.bring(m).Records, encoded(r))
}

// change adds its own update of a job that its receiver has on its disk.
func (h *hostile) change(m *wire.Message, to *coreNode, with func(r *job.Record, d clock.Dot)) {
	jobs := to.disk.jobs()
	if len(jobs) == 0 {
		return
	}
	d := h.dot()
	h.add(m, jobs[h.draw(len(jobs))].With(d, func(r *job.Record) { with(r, d) }))
}

// message is the truth about itself, with some lies. It returns what they were.
func (h *hostile) message(to *coreNode) (m wire.Message, told []string) {
	m = wire.Message{
		Version: wire.Version, From: h.name, Actor: h.actor(), To: to.actor, Hybrid: clock.HybridAt(h.c.Now), Clock: clock.Tips{},
		Want: h.draw(2) == 0, Live: h.draw(4) == 0, Heard: h.beats[to.name], Beat: 1 + uint64(h.c.Now.Sub(h.c.start)/time.Millisecond),
		Metadata: &wire.Metadata{Name: h.name, Actor: h.actor(), Version: clock.HybridAt(h.c.Now), HTTPAddr: h.name + ":8000", Draining: true},
	}
	for range 1 + h.draw(2) {
		l := lies[h.draw(len(lies))]
		if h.tame && l.until != "" && !strings.HasPrefix(l.until, "X") {
			continue
		}
		l.tell(h, &m, to)
		told = append(told, l.what)
		if m.From != h.name {
			break // the rest is not about others
		}
	}
	return m, told
}

// Lie lets the hostile member send a message to a broker. It reports what it said.
func (c *Core) Lie(to string) {
	h, n := c.hostile, c.nodes[to]
	if n.b == nil || h.gone || c.Now.Before(n.paused) {
		return
	}
	m, what := h.message(n)
	c.tell("%s to %s: %s", h.name, to, strings.Join(what, "; "))
	if m, err := wire.DecodeMessage(wire.Encode(&m)); err == nil { // else it is refused at the door
		c.deliver(n, m, func(r *wire.Reply) { h.beats[to] = r.Beat }, func() {})
	}
}

// take is what the hostile member does with a message: it remembers it, and replies with lies, or not at all.
func (h *hostile) take(n *coreNode, s replication.Send, sent []byte) {
	c, b := h.c, n.b
	if m, err := wire.DecodeMessage(sent); err == nil {
		h.beats[n.name] = m.Beat
		if h.heard = append(h.heard, m); len(h.heard) > 32 {
			h.heard = h.heard[1:]
		}
	}
	if h.gone || h.draw(4) == 0 {
		c.after(peerTO, func() {
			if n.b == b {
				c.step(n, broker.Unreachable{Peer: s.To, By: s.Message.Actor})
			}
		})
		return
	}
	m, what := h.message(n)
	if m.From != h.name {
		m, what = wire.Message{Version: wire.Version, From: h.name, Actor: h.actor()}, nil
	}
	c.tell("%s replies to %s: %s", h.name, n.name, strings.Join(what, "; "))
	r := wire.Reply{
		Version: s.Message.Version, From: m.From, Actor: m.Actor, Hybrid: m.Hybrid, Clock: m.Clock, Seen: m.Seen, Restart: h.draw(6) == 0,
		Metadata: m.Metadata, Beat: m.Beat, Delta: m.Delta, Told: m.Told, ToldHeard: m.ToldHeard, Taken: h.draw(8) == 0,
	}
	if s.Message.Live && h.draw(2) == 0 {
		r.Live = make([]byte, ledger.DigestSize)
		r.Live[h.draw(len(r.Live))] = byte(h.draw(256))
	}
	if jobs := n.disk.jobs(); len(jobs) > 0 && h.draw(4) == 0 {
		r.Clock = n.b.Clock()
		lie := &r.Forgotten
		if h.draw(4) == 0 {
			c.tell("%s is in doubt of all that %s holds", h.name, n.name)
			lie = &r.Doubted
		} else {
			c.tell("%s has forgotten all that %s holds", h.name, n.name)
		}
		for _, x := range jobs {
			*lie = append(*lie, kind.JobRef(x.Key()))
		}
	}
	answer := wire.Encode(&r)
	c.after(c.latency(), func() {
		if n.b != b {
			return
		}
		if reply, err := wire.DecodeReply(answer); err == nil {
			c.step(n, broker.Acked{Peer: s.To, By: s.Message.Actor, Reply: reply})
		} else {
			c.step(n, broker.Unreachable{Peer: s.To, By: s.Message.Actor})
		}
	})
}

// confirm is what it does with a blob: it says that it has it, or not.
func (h *hostile) confirm(n *coreNode, p ack.Push) {
	b, failed := n.b, h.draw(3) == 0
	h.c.after(h.c.latency(), func() {
		if n.b == b {
			h.c.step(n, broker.Pushed{Peer: p.To, Actor: p.Actor, Digest: p.Digest, Failed: failed})
		}
	})
}

// tainted reports whether a stored record, or what was put aside, is only of the hostile member's making: that need
// not be alike everywhere, since it tells each broker something else.
func (c *Core) tainted(storeKey string, value []byte) bool {
	if c.hostile == nil {
		return false
	}
	ref, ok := ledger.RefOf([]byte(storeKey))
	if !ok {
		return storeKey[0] == 'q' // put aside
	}
	if ref.Kind != kind.Job || value == nil {
		return false
	}
	return strings.HasPrefix(ref.Key, "mine") || strings.HasPrefix(ref.Key, "odd")
}
