package broker

import "github.com/urban-compute/ucp/resolve"

// strategySetting names the cluster's strategy for conflicts among the settings.
const strategySetting = "strategy"

// strategyNeeds is the version of the protocol that knows a strategy: the others are in version 1.
var strategyNeeds = map[resolve.Strategy]int{resolve.EDF: 2}

// setStrategy changes the strategy here, or everywhere: there only to one that every member knows (rule K5).
func (b *Broker) setStrategy(in SetStrategy) {
	if in.Cluster {
		if refused := b.needs(strategyNeeds[in.Strategy]); refused != nil {
			b.answer(in.Token, refused)
			return
		}
		b.set(strategySetting, string(in.Strategy))
	} else {
		b.decisions.use(in.Strategy)
	}
	b.answer(in.Token, &StrategySet{Strategy: b.decisions.strategy()})
}

// startRuns lets the queue decide, and does what it says: the record says so first, so that no
// attempt runs that the ledger does not know.
func (b *Broker) startRuns() {
	for {
		d, ok := b.decisions.decide(b.cityNow())
		if !ok {
			return
		}
		b.attempts.carryOut(d)
		b.reviewAll()
	}
}
