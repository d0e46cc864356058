package broker

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/urban-compute/ucp/broker/wire"
	"github.com/urban-compute/ucp/clock"
	"github.com/urban-compute/ucp/emergency"
	"github.com/urban-compute/ucp/job"
	"github.com/urban-compute/ucp/resolve"
)

// published is what the last Overview said, to see when it has become stale.
type published struct {
	at        time.Time
	clock     clock.Tips
	versions  clock.Hybrid        // of all metadata, summed up
	active    []*emergency.Record // wherever they are in force: who is in no scope is asked about them, too
	activeSet emergency.ActiveSet
	strategy  resolve.Strategy
}

// publishEvery bounds how often a new Overview is made: push-pull, queries and status pages read
// it; no decision does.
const publishEvery = 200 * time.Millisecond

// commandsChanged reports whether what decides here is another than was shown last: nobody who looks is to be told of what
// was before.
func (b *Broker) commandsChanged() bool {
	p := &b.published
	return p.clock == nil || p.strategy != b.decisions.strategy() || !b.emergencies.activeSet.Equal(p.activeSet) || !slices.Equal(p.active, b.emergencies.current)
}

// publish puts a new Overview into the Ready when there is something to show.
func (b *Broker) publish() {
	changed, since := b.commandsChanged(), b.now.Sub(b.published.at)
	if !changed && since < publishEvery {
		return
	}
	versions := b.members.Versions()
	c := b.ledger.Clock()
	if !changed && since < time.Second && versions == b.published.versions && c.Equal(b.published.clock) {
		return
	}
	b.published = published{at: b.now, clock: c, versions: versions, active: b.emergencies.current, activeSet: b.emergencies.activeSet, strategy: b.decisions.strategy()}
	b.stats.Running, b.stats.Waiting = b.decisions.counts()
	b.stats.Quarantined, b.stats.Uncovered = b.ledger.Quarantined(), b.ledger.Uncovered()
	s := Overview{Stats: b.stats, State: wire.State{Version: wire.Lowest, From: b.self, Metadata: []wire.Metadata{*b.ownMetadata(true)}, Emergencies: b.emergencies.hints()}, Unproven: b.awaitsProof(), Proven: b.members.Proven(), Peers: map[string]Standing{b.self: b.standing(b.self)}}
	for _, r := range b.emergencies.toldOf() {
		s.Active = append(s.Active, b.emergencies.show(r))
	}
	for _, said := range b.members.Known() {
		said.Clock = b.peers.Clock(said.Name) // for whoever looks; push-pull leaves it out
		s.Peers[said.Name] = b.standing(said.Name)
		s.State.Metadata = append(s.State.Metadata, said)
	}
	s.Drift = b.city.Sub(b.wall)
	s.HeldBack = b.ledger.Stubs()
	if s.HeldBack > 0 {
		s.HeldBackBy = b.peers.Without(b.ledger.StubClock())
	}
	s.Unstable = b.ledger.Lineage().Beyond(c, b.ledger.StableClock())
	s.Oldest = b.oldest()
	s.Lost = b.repairer.outputs.lost
	s.Roll, s.Adopted = b.enrolment.list(), b.members.Adopted()
	s.Protocol = b.members.Protocol()
	s.Drains = b.listDrains()
	s.Warnings = b.warnings(c.Names(), &s)
	b.out.Overview = &s
}

// warnings says what somebody should know before it becomes a fault.
func (b *Broker) warnings(names int, o *Overview) (out []string) {
	if o.HeldBack > 0 {
		who := "members"
		if len(o.HeldBackBy) > 0 {
			who = strings.Join(o.HeldBackBy, ", ")
		}
		out = append(out, fmt.Sprintf("finished jobs past their retention that are not forgotten, since %s may not know of their end: %d; that they have ended is all that is kept of them, until %s has been back, or `ucp cluster forget NAME`",
			who, o.HeldBack, who))
	}
	if o.Lost > 0 {
		out = append(out, fmt.Sprintf("files of output that this broker is to hold, and that it could not get from any other: %d; they come when a broker is back that has them, or are lost (rule R3)", o.Lost))
	}
	for _, d := range o.Drains {
		if d.Stays > 0 {
			out = append(out, fmt.Sprintf("jobs that still run at %s, though it is drained and its deadline, %s, is over, since no other broker can take them, or they must not run twice: %d",
				d.Broker, d.Until.Time().Format("2006-01-02 15:04:05 MST"), d.Stays))
		}
		if d.Waits > 0 {
			out = append(out, fmt.Sprintf("jobs that wait at %s, which is drained, since no other broker can take them: %d; they start when one can, or after `ucp cluster resume %s`", d.Broker, d.Waits, d.Broker))
		}
	}
	if why := b.offer.withdrawn; why != "" {
		out = append(out, "this broker takes no jobs until it has found out that it can carry them out again, since it could not: "+why+" (rule J12)")
	}
	if b.enrolment.blocked() && !b.offer.draining {
		out = append(out, "this broker had left, or was removed: until enough others say that it takes part again it takes nothing in, and no result here is final (rule M2)")
	}
	if text := uninvitedText(o); text != "" {
		out = append(out, text)
	}
	if begun, at := b.members.Roll().Begun(); len(begun) > 1 && b.cityTime().Sub(at.Time()) < strangersFor {
		out = append(out, "clusters have become one that knew nothing of each other, those that were begun by "+strings.Join(begun, " and ")+
			": what is final stays so; but start no broker from a copy of its disk that is older than that, since one of the others may call it up to date (rule M3)")
	}
	if n := len(b.disputes.open); n > 0 {
		out = append(out, fmt.Sprintf("jobs that others may have ended and forgotten, and that wait, or whose ends are provisional, until one of them says that it holds them without a doubt, or all have said that they do not (rule F3): %d", n))
	}
	if n := len(b.disputes.aside); n > 0 {
		out = append(out, fmt.Sprintf("jobs that were set aside, since all others have said after this broker's start that they were forgotten (rule F3): %d; they can be read here, and submitted again", n))
	}
	if names > wire.MaxClock/2 {
		out = append(out, fmt.Sprintf("the vector clock names %d brokers, all that ever wrote something; peers refuse one of more than %d (rule L11)", names, wire.MaxClock))
	}
	switch {
	case b.unset:
		out = append(out, "this machine's clock is not set, or was set back: it is behind what this broker knows, and has no vote (rule T2); set it")
	case b.disputed:
		by := "its own"
		if b.drift.Abs() > b.skew {
			by = "those of others"
		}
		out = append(out, "the brokers' clocks differ, and no majority agrees: this one goes by "+by+", and deadlines that are instants may pass early or late (rule T2); set the clocks")
	case b.drift.Abs() > b.skew:
		out = append(out, "this machine's clock is ahead of the other brokers': this broker goes by theirs (rule T2); set it")
	}
	if old := b.members.Behind(wire.Version); len(old) > 0 {
		out = append(out, fmt.Sprintf("the cluster speaks protocol %d, and what needs %d is refused, until these are upgraded or have left: %s",
			b.members.Protocol(), wire.Version, strings.Join(old, ", ")))
	}
	for _, m := range o.Roll {
		since, away := "since this broker's start, or longer", b.now.Sub(b.start)
		if !m.Since.IsZero() {
			since, away = "since "+m.Since.UTC().Format("2006-01-02 15:04 MST"), b.wall.Sub(m.Since)
		}
		if m.Absent && away >= longAway {
			out = append(out, fmt.Sprintf("%s is away %s: results stay provisional, and finished jobs stay, until it is back; if it never will be, run: ucp cluster forget %s", m.Name, since, m.Name))
		}
	}
	return out
}

// standing is how a member, or this broker, stands to this one.
func (b *Broker) standing(name string) Standing {
	s := Standing{Breaches: b.breaches[name]}
	off := b.wall.Sub(b.city)
	if name != b.self {
		by, ours, theirs := b.ledger.Lineage(), b.ledger.Clock(), b.peers.Clock(name)
		s.Behind, s.Ahead = by.Beyond(ours, theirs), by.Beyond(theirs, ours)
		off = 0
		if r, ok := b.peers.Reading(name); ok && !r.Unset { // of one that is unset its metadata says so
			off = r.Near(r.Own, b.city, 0)
		}
	}
	if off.Abs() > b.skew {
		s.ClockOff = off
	}
	return s
}

// awaitsProof says what this start waits for to be proven, "" when it is (rule M3).
func (b *Broker) awaitsProof() string {
	if b.peers.Proven() {
		return ""
	}
	names, least := b.peers.Awaited()
	for i, name := range names {
		if !b.members.Alive(name) {
			names[i] += " (away)"
		}
	}
	who := strings.Join(names, ", ")
	switch {
	case len(names) == 0:
		who = "one of those that it was told of"
	case least > 1:
		who = fmt.Sprintf("one of %s that is proven, or %d that are not,", who, least)
	case len(names) > 1:
		who = "one of " + who
	}
	return "not proven yet, since its disk may be older than what others know: results are provisional here, and what was there before it waits at first, until " +
		who + " has compared unfinished jobs with it"
}

// strangersFor is for how long it is a warning that two clusters have met.
const strangersFor = 24 * time.Hour

// longAway is for how long a member is away before that is a warning: a restart is none.
const longAway = 5 * time.Minute

// ownMetadata makes this broker's metadata; the clock is left out where the message
// carries it anyway.
func (b *Broker) ownMetadata(withClock bool) *wire.Metadata {
	r := &wire.Metadata{
		Version: b.stamp(), Name: b.self, Actor: b.cfg.Actor,
		HTTPAddr: b.cfg.HTTPAddr, Software: b.cfg.Software, Protocol: wire.Lowest, Highest: wire.Version,
		Strategy: string(b.decisions.strategy()), Heeds: !b.cfg.KeepStrategy, Lives: true, Drains: true, Signs: b.cfg.Signs,
		Capabilities: b.cfg.Capabilities,
		Usage:        b.cfg.Capabilities.Capacity.Minus(b.decisions.free()),
		Jobs:         map[job.State]int{},
		Stretch:      b.peers.Stretch(),
		Draining:     b.offer.draining, Full: b.offer.full || b.offer.withdrawn != "", Unproven: !b.peers.Vouches(),
		FreeDisk: b.offer.freeDisk,
		Modules:  wire.NewModules(b.modules.compiled),
		Wall:     clock.At(b.own()), Unset: b.unset,
	}
	if starts := b.members.Starts(); len(starts) > 1 {
		between := starts[1 : len(starts)-1]
		r.Process, r.Between = starts[0], between[max(len(between)-wire.MaxBetween, 0):]
	}
	if b.drained(b.self) {
		r.Full = true
	}
	if !b.offer.full {
		r.Withdrawn = b.offer.withdrawn
		if r.Withdrawn == "" && r.Full {
			r.Withdrawn = wire.DrainedText
		}
	}
	if b.drift != 0 {
		r.City = b.cityNow()
	}
	for s, n := range b.jobs.owned[b.self] {
		if n > 0 {
			r.Jobs[s] = n
		}
	}
	r.Emergency = b.emergencies.inForce()
	if o := b.decisions.override(); o != nil {
		r.Chosen, r.Commands = string(o.Of), o.Emergency
	}
	if withClock {
		r.Clock = b.ledger.Clock()
	}
	return r
}
