package broker

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/urban-compute/ucp/broker/ack"
	"github.com/urban-compute/ucp/broker/membership"
	"github.com/urban-compute/ucp/clock"
	"github.com/urban-compute/ucp/job"
	"github.com/urban-compute/ucp/ledger"
	"github.com/urban-compute/ucp/setting"
)

// An operator drains a broker from anywhere (rule M5): it runs nothing new until it is resumed. The word is a setting of the
// cluster, so that it reaches a broker by whichever way there is, also one that is away, and outlives restarts. Every
// broker that holds it places nothing there; the drained one gives up what waits there, begins nothing and, when the deadline has come,
// what runs there and can run elsewhere. It stays what else it is: it takes submissions, owns jobs, and holds copies.

// drainSetting begins the names of these settings.
const drainSetting = "drain."

// DrainOrder is what an operator said of a broker that is drained.
type DrainOrder struct {
	Broker string     `json:"broker"`
	Since  clock.Time `json:"since,omitempty"` // 0 once it is resumed
	Until  clock.Time `json:"until,omitempty"` // when what still runs there is moved, by the city's time (rule T2); 0 is never
}

// DrainState is a broker that is drained, and how that goes, as this one sees it.
type DrainState struct {
	DrainOrder
	Stays int // jobs that run on there though the deadline is over: nobody else can take them, or they must not run twice
	Waits int // jobs that wait there until another broker can take them, or it is resumed
}

// maxSettingName is how long the name of a setting may be, in bytes.
const maxSettingName = 64

// drainName is the name of a broker's setting, which a long one does not fit into.
func drainName(name string) string {
	if full := drainSetting + name; len(full) <= maxSettingName {
		return full
	}
	sum := sha256.Sum256([]byte(name))
	return drainSetting + hex.EncodeToString(sum[:16])
}

// drained reports whether an operator has drained a broker.
func (c *core) drained(name string) bool {
	_, yes := c.drains[name]
	return yes
}

// drainMember takes an operator's word that a broker is to run nothing new, or that it may again.
func (b *Broker) drainMember(in DrainMember) {
	m, said := b.members.Get(in.Name), b.members.Metadata(in.Name)
	switch {
	case in.Name != b.self && m.Status == "" && !b.members.Roll().Has(in.Name) && !slices.Contains(b.members.Counted(), in.Name):
		b.answer(in.Token, b.noSuchMember(in.Name))
		return
	case in.Name != b.self && !in.Resume && m.Status == membership.Alive && said.Actor == m.Actor && !said.Drains:
		b.answer(in.Token, &KnowsNoDrain{in.Name})
		return
	}
	order := DrainOrder{Broker: in.Name}
	if !in.Resume {
		order.Since = cmp.Or(b.drains[in.Name].Since, b.cityNow())
		if in.Deadline > 0 {
			order.Until = clock.At(b.cityTime().Add(in.Deadline))
		}
	}
	was := b.drained(in.Name)
	text, err := json.Marshal(order)
	if err != nil {
		b.fail(err) // cannot happen: strings and numbers can be encoded
		return
	}
	if s := b.set(drainName(in.Name), string(text), nil); s != nil {
		b.awaitCopies(ack.Demand{Dot: clock.Dot{Actor: b.cfg.Actor, Counter: s.Dots.Get(b.cfg.Actor)}}, &drainWaiter{by: in.Token, order: order, was: was})
	}
}

// drainChanged follows what a setting says of a broker.
func (b *Broker) drainChanged(s *setting.Setting) {
	var d DrainOrder
	if json.Unmarshal([]byte(s.Value), &d) != nil || drainName(d.Broker) != s.Name {
		return // of a newer broker
	}
	old := b.drains[d.Broker]
	if d.Since == 0 {
		delete(b.drains, d.Broker)
	} else {
		b.drains[d.Broker] = d
	}
	if !b.started() || d == old || d.Since == 0 && old.Since == 0 {
		return
	}
	b.published.at = time.Time{}
	b.note(Note{Kind: "member", ID: d.Broker, What: map[bool]string{true: "drained", false: "resumed"}[d.Since != 0], Text: d.Broker + " " + d.text()})
	b.reviewWhere(nil)
}

// text says it to people, behind the broker's name.
func (d DrainOrder) text() string {
	switch {
	case d.Since == 0:
		return "is resumed: it runs new jobs again"
	case d.Until == 0:
		return "is drained: it runs no new jobs until it is resumed"
	}
	return fmt.Sprintf("is drained: it runs no new jobs until it is resumed, and what still runs there at %s is moved", d.Until.Time().Format("2006-01-02 15:04:05 MST"))
}

// leavesHere reports whether an attempt that this broker holds must go since it is drained: at once when it has not begun, at
// the deadline when another broker can take the job. One that must not run twice runs on (rule J8): nobody could go on with it.
func (a *attempts) leavesHere(r *job.Record, x *run) bool {
	d, drained := a.drains[a.self]
	switch {
	case !drained || x.stopping || x.result != nil:
		return false
	case !x.started:
		return true
	case d.Until == 0:
		return false
	case a.cityNow() < d.Until:
		a.reviews.at(a.in(d.Until), r.Key())
		return false
	}
	if a.movable(r, a.self) {
		return true
	}
	a.reviews.at(a.now.Add(drainRetry), r.Key())
	return false
}

// drainRetry is how often a drained broker looks whether another can take by now what should have left it.
const drainRetry = 5 * time.Second

// drainGrace is how long after the deadline what runs on at a drained broker may be about to leave it.
const drainGrace = 2 * drainRetry

// startsNothing reports whether this broker is to start nothing: it leaves, or is drained. What a copy of this process may have run is
// no start, and is said all the same (rule K3).
func (a *attempts) startsNothing(r *job.Record) bool {
	return a.offer.draining || a.drained(a.self) && (r.Spec.MayRedeploy() || !a.lostTrack(r))
}

// movable reports whether a broker could take a job from the one that runs it.
func (c *core) movable(r *job.Record, from string) bool {
	return r.Spec.MayRedeploy() && c.taker(r, from)
}

// taker reports whether there is another broker than one that could take a job.
func (c *core) taker(r *job.Record, than string) bool {
	return slices.ContainsFunc(c.capable(r), func(name string) bool { return name != than && c.refuses(name) == "" })
}

// heldAt lists the jobs that wait at a drained broker and stay there: they wait until another can take them, or it is resumed.
func (c *core) heldAt(name string) []ledger.Ref {
	return c.liveJobs(func(r *job.Record) bool {
		return r.Place.Broker == name && r.State() == job.StateQueued && !c.leavesDrained(r, name)
	})
}

// runningAt lists the jobs that have begun at a broker and have not ended.
func (c *core) runningAt(name string) []ledger.Ref {
	return c.liveJobs(func(r *job.Record) bool { return r.Place.Broker == name && r.Started() })
}

// staysAt counts the jobs that run on at a drained broker though its deadline is over. What could be moved may be about to be.
func (c *core) staysAt(d DrainOrder) int {
	if d.Until == 0 || c.cityNow() <= d.Until {
		return 0
	}
	running := c.runningAt(d.Broker)
	if c.cityTime().After(d.Until.Time().Add(drainGrace)) {
		return len(running)
	}
	return c.immovable(running, d.Broker)
}

// immovable counts those of some jobs that no other broker could take from the one that runs them.
func (c *core) immovable(running []ledger.Ref, at string) (n int) {
	for _, ref := range running {
		if r := c.record(ref.Key); r != nil && !c.movable(r, at) {
			n++
		}
	}
	return n
}

// listDrains lists the brokers that are drained, by name.
func (c *core) listDrains() (out []DrainState) {
	for _, d := range c.drains {
		x := DrainState{DrainOrder: d}
		if d.Broker == c.self || c.members.Alive(d.Broker) {
			x.Stays, x.Waits = c.staysAt(d), len(c.heldAt(d.Broker))
		}
		out = append(out, x)
	}
	slices.SortFunc(out, func(x, y DrainState) int { return strings.Compare(x.Broker, y.Broker) })
	return out
}

// drainWaiter is an operator who waits until others know of a drain (rule A1).
type drainWaiter struct {
	by    Token
	order DrainOrder
	was   bool
}

func (d *drainWaiter) token() Token { return d.by }

func (d *drainWaiter) durable(b *Broker, copies int) {
	running := b.runningAt(d.order.Broker)
	waits := 0
	if d.order.Since != 0 {
		waits = len(b.heldAt(d.order.Broker))
	}
	b.answer(d.by, &MemberDrained{DrainOrder: d.order, Was: d.was, Running: len(running), Stay: b.immovable(running, d.order.Broker), Waits: waits, Replicas: copies, Degraded: b.copies.Degraded(copies)})
}
