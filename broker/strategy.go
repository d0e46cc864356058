package broker

import (
	"fmt"
	"slices"

	"github.com/urban-compute/ucp/emergency"
	"github.com/urban-compute/ucp/resolve"
	"github.com/urban-compute/ucp/setting"
)

// strategySetting names the cluster's strategy for conflicts among the settings.
const strategySetting = "strategy"

// strategyNeeds is the version of the protocol that knows a strategy: the others are in version 1.
var strategyNeeds = map[resolve.Strategy]int{resolve.EDF: 2}

// chosen is a strategy that somebody has chosen: in the configuration, by hand at this broker, or for the cluster.
type chosen struct {
	strategy resolve.Strategy
	seen     func(name string) bool // whether it was chosen in view of an emergency, which then does not override it (rule E5); nil is of none
}

// setStrategy changes the strategy here, or everywhere: there only to one that every member knows (rule K5).
func (b *Broker) setStrategy(in SetStrategy) {
	seen := b.emergencies.commanding()
	if in.Cluster {
		if refused := b.needs(strategyNeeds[in.Strategy]); refused != nil {
			b.answer(in.Token, refused)
			return
		}
		b.set(strategySetting, string(in.Strategy), seen)
	} else {
		b.decisions.decideBy(chosen{in.Strategy, func(name string) bool { return slices.Contains(seen, name) }})
	}
	b.answer(in.Token, &StrategySet{Strategy: b.decisions.strategy(), Override: b.decisions.override()})
}

// commanding lists the emergencies that are in force somewhere and decide how jobs are decided there, the highest level
// first.
func (e *emergencies) commanding() (names []string) {
	for _, r := range e.current {
		if emergency.CommandsAt(r.Terms.Level) {
			names = append(names, r.Name())
		}
	}
	return names
}

// strategy is how conflicts are decided here.
func (d *decisions) strategy() resolve.Strategy { return d.queue.Strategy() }

// override is the emergency for which another strategy decides here than the chosen one; nil for none.
func (d *decisions) override() *resolve.Override { return d.queue.Override() }

// adopt follows the cluster, when its strategy has changed. A name that this version does not know comes from a newer
// broker: the present strategy stays.
func (d *decisions) adopt(s *setting.Setting) {
	strategy, err := resolve.ParseStrategy(s.Value)
	if err != nil || d.setting != nil && s.Same(d.setting) {
		return
	}
	d.setting = s
	d.decideBy(chosen{strategy, s.HasSeen})
}

// decideBy makes a strategy the chosen one.
func (d *decisions) decideBy(c chosen) {
	d.chosen = c
	d.rule()
}

// rule derives the strategy that decides from the chosen one and the emergencies in force (rule E5): nothing of it is
// stored, so that it ends with the emergency.
func (d *decisions) rule() {
	s, override := d.chosen.strategy, (*resolve.Override)(nil)
	if by := d.overriding(); by != "" {
		s, override = resolve.Commanded(s, string(by))
	}
	if was := d.queue.Strategy(); was != s && !d.now.IsZero() {
		why := ""
		if override != nil {
			why = fmt.Sprintf(" while %s is in force", override.Emergency)
		}
		d.note(Note{Kind: "strategy", ID: string(s), What: "changed", Text: fmt.Sprintf("%s decides by %s%s, until now by %s", d.self, s, why, was)})
	}
	d.queue.SetStrategy(s, d.weights())
	d.queue.SetOverride(override)
	d.undecided = true
}

// weights are what the factors of a score weigh.
func (d *decisions) weights() resolve.Weights {
	if d.cfg.Weights == (resolve.Weights{}) {
		return resolve.DefaultWeights()
	}
	return d.cfg.Weights
}

// overriding is the emergency in force here that commands another strategy than the chosen one, "" for none.
func (d *decisions) overriding() emergency.ID {
	if d.cfg.KeepStrategy {
		return ""
	}
	return d.emergencies.activeSet.Commands(func(name string) bool { return d.chosen.seen != nil && d.chosen.seen(name) })
}

// startRuns lets the queue decide, and does what it says: the record says so first, so that no
// attempt runs that the ledger does not know.
func (b *Broker) startRuns() {
	for {
		b.decisions.rerankArrays(b.attempts.keys)
		d, ok := b.decisions.decide(b.cityNow())
		if !ok {
			return
		}
		b.attempts.carryOut(d)
		b.reviewAll()
	}
}
