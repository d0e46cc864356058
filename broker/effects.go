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

func (b *Broker) emergencyView(r *emergency.Record) *EmergencyView {
	now := clock.At(b.cityTime())
	return &EmergencyView{
		Record: r, Active: r.Active(now), InScope: r.InScope(b.cfg.Capabilities.Labels), Heard: r.IsHint(), Ended: r.Ended(now),
		Caused: len(b.jobs.caused[string(r.ID)]),
	}
}

// listEmergencies answers with all, those that are active first, then the latest; or with
// one and what it has caused.
func (b *Broker) listEmergencies(in ListEmergencies) {
	out := &Emergencies{AsOf: b.wall}
	if in.ID != "" {
		b.showEmergency(in)
		return
	}
	for _, r := range b.emergencies.known {
		out.List = append(out.List, b.emergencyView(r))
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
	b.answer(in.Token, out)
}

// showEmergency answers with one emergency and what it has caused.
func (b *Broker) showEmergency(in ListEmergencies) {
	id, ambiguous := b.findEmergency(in.ID)
	r := b.emergencies.known[id]
	switch {
	case len(ambiguous) > 1:
		b.answer(in.Token, &AmbiguousEmergency{ID: in.ID, IDs: ambiguous, AsOf: b.wall})
		return
	case r == nil:
		b.answer(in.Token, &NoSuchEmergency{ID: in.ID, AsOf: b.wall})
		return
	}
	v := b.emergencyView(r)
	v.Effects = b.effects(id)
	v.Caused = len(v.Effects)
	v.Effects = v.Effects[:min(len(v.Effects), mostEffects)]
	b.answer(in.Token, &Emergencies{List: []*EmergencyView{v}, AsOf: b.wall})
}

// effects lists what an emergency has caused, the earliest first.
func (b *Broker) effects(id emergency.ID) (out []Effect) {
	for _, key := range slices.Sorted(maps.Keys(b.jobs.caused[string(id)])) {
		r := b.record(key)
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
func (b *Broker) inForce() (f wire.InForce) {
	board := &b.emergencies.board
	if board.Calm() {
		return f
	}
	ids := board.IDs()
	f.Level, f.Count = job.LevelName(board.Top()), len(ids)
	for _, id := range ids[:min(len(ids), wire.MaxInForce)] {
		f.IDs = append(f.IDs, string(id))
	}
	return f
}
