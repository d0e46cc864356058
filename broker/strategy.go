package broker

// strategySetting names the cluster's strategy for conflicts among the settings.
const strategySetting = "strategy"

func (b *Broker) adoptStrategy(string) {}
