package broker

import "time"

// What one broken client may do with emergencies (docs/design.md, "Emergencies"). Beyond it a
// declaration is refused, and an event dropped and counted. Each broker counts for itself,
// so that a client that floods one of them leaves the others free to declare what is real.
var (
	claimLimits = [2]limit{{rate: 5, burst: 20}, {rate: 600.0 / 3600, burst: 600}}     // declarations and clears of clients
	eventLimits = [2]limit{{rate: 20, burst: 200}, {rate: 3600.0 / 3600, burst: 2000}} // events that say something new
)

const (
	mostOwn         = 5_000  // emergencies that are remembered and were last changed here
	mostEmergencies = 50_000 // remembered in all, before events of further ones are dropped
	mostHeard       = 1_000  // known from events alone
)

// limit is what a token bucket holds and how fast it fills.
type limit struct {
	rate  float64 // tokens a second
	burst float64 // tokens at once
}

// meter is two token buckets, one for the moment and one for the long run: both must have a
// token.
type meter struct {
	spent [2]float64
	at    time.Time
}

func (m *meter) take(now time.Time, limits [2]limit) bool {
	if !m.at.IsZero() {
		for i, l := range limits {
			m.spent[i] = max(0, m.spent[i]-l.rate*now.Sub(m.at).Seconds())
		}
	}
	m.at = now
	for i, l := range limits {
		if m.spent[i]+1 > l.burst {
			return false
		}
	}
	for i := range limits {
		m.spent[i]++
	}
	return true
}

// own counts those whose present terms this broker wrote.
func (e *emergencies) own() (n int) {
	for _, r := range e.known {
		if r.Version.By.Broker() == e.self {
			n++
		}
	}
	return n
}
