package broker

import (
	"cmp"
	"maps"
	"slices"

	"github.com/urban-compute/ucp/broker/wire"
	"github.com/urban-compute/ucp/clock"
	"github.com/urban-compute/ucp/emergency"
	"github.com/urban-compute/ucp/job"
)

// EmergencyView is one emergency as this broker knows it.
type EmergencyView struct {
	Record  *emergency.Record
	Active  bool
	InScope bool // this broker reacts to it
	Heard   bool // known from an event alone so far: the ledger's record is on its way (rule E1)
	Ended   clock.Time
	// Effects are the pauses that it caused, the earliest first, at most mostEffects; only
	// when one emergency was asked for. Caused is how many there are in all.
	Effects []Effect
	Caused  int
	// Reach says where it is in force, and what it does there: of an active one that was declared, changed or asked for.
	Reach *Reach
	// Passed has terms that were declared at another broker while these were, neither having heard of the other, and that do not
	// stand, since these are later; nil where this broker knows of none.
	Passed *emergency.Record
}

// Effect is one running job that had to make room because of an emergency: derived from
// the job's record, so that every broker can tell it.
type Effect struct {
	Job   job.ID
	State job.State // of the job, now
	Pause job.Pause
}

// mostEffects bounds the answer for one emergency.
const mostEffects = 1000

// show is what is told of one.
func (e *emergencies) show(r *emergency.Record) *EmergencyView {
	now := e.cityNow()
	return &EmergencyView{
		Record: r, Active: r.Active(now), InScope: r.InScope(e.cfg.Capabilities.Labels), Heard: r.IsHint(), Ended: r.Ended(now),
		Caused: len(e.jobs.caused[string(r.ID)]), Passed: e.passed[r.ID],
	}
}

// list answers with all, those that are active first, then the latest; or with
// one and what it has caused.
func (e *emergencies) list(in ListEmergencies) {
	out := &Emergencies{AsOf: e.cityTime()}
	if in.ID != "" {
		e.listOne(in)
		return
	}
	for _, r := range e.known {
		v := e.show(r)
		if len(r.Terms.Scope) > 0 {
			v.Reach = e.reach(r) // whether it is in force anywhere
		}
		out.List = append(out.List, v)
	}
	slices.SortFunc(out.List, func(x, y *EmergencyView) int {
		if x.Active != y.Active {
			if x.Active {
				return -1
			}
			return 1
		}
		return cmp.Or(cmp.Compare(y.Record.Declared, x.Record.Declared), cmp.Compare(x.Record.ID, y.Record.ID))
	})
	e.answer(in.Token, out)
}

// listOne answers with one emergency and what it has caused.
func (e *emergencies) listOne(in ListEmergencies) {
	id, ambiguous := e.find(in.ID)
	r := e.known[id]
	switch {
	case len(ambiguous) > 1:
		e.answer(in.Token, &AmbiguousEmergency{ID: in.ID, IDs: ambiguous, AsOf: e.cityTime()})
		return
	case r == nil:
		e.answer(in.Token, &NoSuchEmergency{ID: in.ID, Nearest: e.nearest(in.ID), AsOf: e.cityTime()})
		return
	}
	v := e.show(r)
	v.Effects = e.effects(id)
	v.Caused = len(v.Effects)
	v.Effects = v.Effects[:min(len(v.Effects), mostEffects)]
	v.Reach = e.reach(r)
	e.answer(in.Token, &Emergencies{List: []*EmergencyView{v}, AsOf: e.cityTime()})
}

// effects lists what an emergency has caused, the earliest first.
func (e *emergencies) effects(id emergency.ID) (out []Effect) {
	for _, key := range slices.Sorted(maps.Keys(e.jobs.caused[string(id)])) {
		r := e.record(key)
		if r == nil {
			continue
		}
		for _, p := range r.Pauses {
			if p.Emergency != string(id) {
				continue
			}
			if p.To == 0 && r.Finished() { // cancelled, say, before it went on
				p.To = clock.TimeOf(r.Verdict().At)
			}
			out = append(out, Effect{r.ID, r.State(), p})
		}
	}
	slices.SortStableFunc(out, func(x, y Effect) int { return cmp.Compare(x.Pause.From, y.Pause.From) })
	return out
}

// inForce is what this broker's metadata says of emergencies.
func (e *emergencies) inForce() (f wire.InForce) {
	set := &e.activeSet
	if set.Empty() {
		return f
	}
	ids := set.IDs()
	f.Level, f.Count = job.LevelName(set.TopLevel()), len(ids)
	for _, id := range ids[:min(len(ids), wire.MaxInForce)] {
		f.IDs = append(f.IDs, string(id))
	}
	return f
}
