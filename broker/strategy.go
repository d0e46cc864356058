package broker

import "github.com/urban-compute/ucp/clock"

// strategySetting names the cluster's strategy for conflicts among the settings.
const strategySetting = "strategy"

// setStrategy changes the strategy here, or everywhere.
func (b *Broker) setStrategy(in SetStrategy) {
	if in.Cluster {
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
		d, ok := b.decisions.decide(clock.At(b.wall))
		if !ok {
			return
		}
		b.attempts.carryOut(d)
		b.reviewAll()
	}
}
