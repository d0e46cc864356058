package broker

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/urban-compute/ucp/broker/wire"
	"github.com/urban-compute/ucp/emergency"
	"github.com/urban-compute/ucp/job"
	"github.com/urban-compute/ucp/label"
	"github.com/urban-compute/ucp/resolve"
)

// Reach says where an emergency is in force among the brokers that can be reached, and what it does there: at this broker
// for certain, at the others by what they have said last, or as they will do when they hear of it.
type Reach struct {
	At []ReachedAt // by name
	// Runs and Waits are how many jobs run and wait, wherever, as far as this broker knows: those that it may concern.
	Runs, Waits int
	Of          int // brokers that can be reached, this one included
	// Away are the brokers that take part, can't be reached, and may be in its scope, by name: whether it is in force there is not
	// known.
	Away  []string
	Unmet string // which condition of its scope none of them meets, and what may have been meant; "" if there is none
}

// ReachedAt is one broker where an emergency is in force.
type ReachedAt struct {
	Broker string
	// Unheard: it has not said yet that the emergency is in force there, as it is known here: with its latest change. A moment after a
	// declaration, or a change, that is so everywhere; it stays so at who does not hear of it.
	Unheard  bool
	Strategy resolve.Strategy // by which it decides, with this emergency in force
	Override *resolve.Override
}

// reach says where an emergency is in force; nil when it is not active.
func (b *Broker) reach(r *emergency.Record) *Reach {
	if !r.Active(b.cityNow()) {
		return nil
	}
	own := b.ownMetadata(false)
	said := append(b.members.Known(), *own)
	out := &Reach{}
	for _, owned := range b.jobs.owned {
		for state, n := range owned {
			if state == job.StateRunning {
				out.Runs += n
			} else {
				out.Waits += n
			}
		}
	}
	var labels []map[string]string // of all brokers, as far as they are known
	var silent []string            // brokers in its scope that can't be reached
	for _, name := range b.members.Counted() {
		if b.members.Alive(name) {
			continue
		}
		row := b.members.Metadata(name)
		if row.Name == "" { // nothing is known of it
			out.Away = append(out.Away, name)
			continue
		}
		labels = append(labels, row.Capabilities.Labels)
		if r.InScope(row.Capabilities.Labels) {
			silent = append(silent, name)
		}
	}
	out.Away = slices.Sorted(slices.Values(append(out.Away, silent...)))
	for _, row := range said {
		if row.Name != b.self && !b.members.Alive(row.Name) {
			continue
		}
		out.Of++
		labels = append(labels, row.Capabilities.Labels)
		if !r.InScope(row.Capabilities.Labels) {
			continue
		}
		there := row.Emergency
		at := ReachedAt{
			Broker: row.Name, Strategy: resolve.Strategy(row.Strategy),
			Unheard: row.Name != b.self && !(b.peers.HoldsAll(row.Name, r.Dots) && (slices.Contains(there.IDs, string(r.ID)) || there.Count > len(there.IDs))),
		}
		switch {
		case row.Name == b.self:
			at.Override = b.decisions.override()
		case row.Commands != "":
			at.Override = &resolve.Override{Emergency: row.Commands, Of: resolve.Strategy(row.Chosen)}
		case b.decisions.isAboutToObey(&row, r):
			at.Strategy, at.Override = resolve.Commanded(at.Strategy, string(r.ID))
		}
		out.At = append(out.At, at)
	}
	slices.SortFunc(out.At, func(x, y ReachedAt) int { return strings.Compare(x.Broker, y.Broker) })
	switch {
	case len(out.At) > 0:
	case len(silent) > 0:
		out.Unmet = "in its scope is " + strings.Join(silent, ", ") + ", out of reach: whether it is in force there is not known"
	default:
		out.Unmet = emergency.Unmet(r.Terms.Scope, labels)
	}
	return out
}

// isAboutToObey reports whether an emergency in whose scope a broker is will make another strategy decide there, once it has heard
// of it: by what it has said last (rule E5).
func (d *decisions) isAboutToObey(row *wire.Metadata, r *emergency.Record) bool {
	heard := slices.Contains(row.Emergency.IDs, string(r.ID)) && emergency.CommandsAt(job.Level(row.Emergency.Level))
	return row.Heeds && emergency.CommandsAt(r.Terms.Level) && !d.settled(r) && !heard
}

// settled reports whether the cluster's strategy was set in view of an emergency (rule E5).
func (d *decisions) settled(r *emergency.Record) bool {
	return d.setting != nil && d.setting.HasSeen(r.Name())
}

// names reports whether a job that names this has a level, or means an emergency that was known here.
func (e *emergencies) names(tag string) bool {
	if e.known[emergency.ID(tag)] != nil {
		return true
	}
	for _, r := range e.known {
		if r.Terms.Type == tag {
			return true
		}
	}
	return job.Level(tag) >= 0
}

// outside is the emergency that a job names by this and that gives it no level where this set is in force, since that broker is out of
// its scope; "" for none.
func (e *emergencies) outside(set emergency.ActiveSet, tag string) emergency.ID {
	if by := e.anywhere.Named(tag); by != "" && set.Named(tag) == "" {
		return by
	}
	return ""
}

// noLevelAt says, for people, that a job has no level by the emergency that it names where it is placed, or at this broker before it
// is, since that is out of its scope; "" when it has, or names none that is active.
func (b *Broker) noLevelAt(r *job.Record, set emergency.ActiveSet) string {
	by := b.emergencies.outside(set, r.Spec.Priority.Emergency)
	if by == "" {
		return ""
	}
	at := cmp.Or(r.Place.Broker, b.self)
	labels := b.cfg.Capabilities.Labels
	if at != b.self {
		labels = b.members.Metadata(at).Capabilities.Labels
	}
	e := b.emergencies.known[by]
	return fmt.Sprintf("it belongs to %s and has no level by it at %s, which is out of its scope (%s)", by, at, label.Unmet(e.Terms.Scope, labels)) + b.whyOutside(r, e)
}

// whyOutside goes on after that: why the job waits there, and not within the scope (rule J9), as far as is known here. It says nothing of one that has
// started: it need not wait.
func (b *Broker) whyOutside(r *job.Record, e *emergency.Record) string {
	if r.Started() || r.Place.IsZero() {
		return ""
	}
	able, lacking := b.takersWithin(r, e)
	switch {
	case len(able)+len(lacking) == 0:
		return "; no broker in its scope is in reach"
	case len(able) == 0:
		var parts []string
		for _, why := range slices.Sorted(maps.Keys(lacking)) {
			parts = append(parts, fmt.Sprintf("%s (%s)", why, strings.Join(lacking[why], ", ")))
		}
		return "; no broker in its scope takes it: " + strings.Join(parts, "; ")
	case !r.Spec.MayRedeploy():
		return "; it is not moved, since redeploy is false"
	case r.Spec.Exclusive != "":
		return "; it goes where its exclusive key is"
	}
	s := b.decisions.stakesOf(r)
	cost := func(name string) float64 { return b.ownership.cost(name, r, s, 0) }
	for _, name := range able {
		if s.within(name) && cost(name) < cost(r.Place.Broker) {
			return "; it is about to be placed at " + name
		}
	}
	return fmt.Sprintf("; in its scope (%s) more has its turn before it", strings.Join(able, ", "))
}

// takersWithin lists the brokers in the scope of an emergency that take a job, and the others there by what they lack.
func (b *Broker) takersWithin(r *job.Record, e *emergency.Record) (able []string, lacking map[string][]string) {
	lacking = map[string][]string{}
	for _, name := range slices.Sorted(slices.Values(append(b.members.Names(), b.self))) {
		caps := b.cfg.Capabilities
		if name != b.self {
			caps = b.members.Metadata(name).Capabilities
		}
		if !e.InScope(caps.Labels) {
			continue
		}
		why := cmp.Or(b.incapable(name, &caps, r), b.refusesJob(name, &r.Spec))
		switch {
		case why != "":
		case !b.isCapable(name, r):
			why = "it does not answer"
		case len(b.ownership.untried(r, []string{name})) == 0:
			why = "it has returned it"
		}
		if why == "" {
			able = append(able, name)
		} else {
			lacking[why] = append(lacking[why], name)
		}
	}
	return able, lacking
}

// noLevel says, for people, why a job that names this has no level by it: no emergency that is known here is meant, or all of
// them are over, or in force at no broker that is there. It is "" when one is in force somewhere, and of levels.
func (e *emergencies) noLevel(tag string) string {
	if tag == "" || job.Level(tag) >= 0 {
		return ""
	}
	over, nowhere := false, ""
	for _, id := range slices.Sorted(maps.Keys(e.known)) {
		r := e.known[id]
		switch {
		case string(r.ID) != tag && r.Terms.Type != tag:
		case !r.Active(e.cityNow()):
			over = true
		case r.InScope(e.cfg.Capabilities.Labels):
			return ""
		default:
			in := e.reach(r)
			if len(in.At) > 0 {
				return ""
			}
			nowhere = fmt.Sprintf("emergency %s is in force at none of the brokers in reach: %s; the job has no level by it", r.ID, in.Unmet)
		}
	}
	if nowhere != "" {
		return nowhere
	}
	if over {
		return fmt.Sprintf("emergency %s is over: the job has no level by it until one of that type is declared", tag)
	}
	return fmt.Sprintf("no emergency of the ID or type %s is known here: the job has no level by it until one is declared", tag)
}
