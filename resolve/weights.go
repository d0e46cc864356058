package resolve

import "fmt"

// Weights say how many points each factor of a score is worth.
type Weights struct {
	Emergency int64 `json:"emergency"` // each emergency level, 0 to 4
	User      int64 `json:"user"`      // each step of user priority, 0 to 10
	Urgency   int64 `json:"urgency"`   // full deadline urgency; it grows in four steps
	Compute   int64 `json:"compute"`   // each step of computational weight, 0 to 10
	Waiting   int64 `json:"waiting"`   // each minute since arrival, the same for all jobs

	// Margin is by how many points a job must be better than one that runs to
	// displace it. It is paid again for each time that the other was displaced before.
	Margin int64 `json:"margin"`
	// Lost is what a minute of one core's lost work costs (strategy optimal).
	Lost int64 `json:"lost"`
}

// DefaultWeights returns the weights of a broker that was told none. Any job
// overtakes every newcomer of its level after 200 minutes at most: user priority,
// urgency and computational weight together are 2,000 points.
func DefaultWeights() Weights {
	return Weights{Emergency: 1000, User: 100, Urgency: 800, Compute: 20, Waiting: 10, Margin: 100, Lost: 20}
}

// maxWeight keeps every score far inside 63 bits.
const maxWeight = 100_000

// With returns the weights with some of them changed by name: emergency, user, urgency,
// compute, waiting, margin, lost. The result is valid.
func (w Weights) With(changes map[string]int64) (Weights, error) {
	fields := map[string]*int64{
		"emergency": &w.Emergency, "user": &w.User, "urgency": &w.Urgency, "compute": &w.Compute,
		"waiting": &w.Waiting, "margin": &w.Margin, "lost": &w.Lost,
	}
	for name, n := range changes {
		field := fields[name]
		if field == nil {
			return w, fmt.Errorf("there is no weight %q; there are emergency, user, urgency, compute, waiting, margin and lost", name)
		}
		*field = n
	}
	return w, w.validate()
}

// validate says what is wrong with the weights, nil when nothing is.
func (w Weights) validate() error {
	for _, f := range []struct {
		name string
		n    int64
	}{
		{"emergency", w.Emergency}, {"user", w.User}, {"urgency", w.Urgency}, {"compute", w.Compute},
		{"waiting", w.Waiting}, {"margin", w.Margin}, {"lost", w.Lost},
	} {
		if f.n < 0 || f.n > maxWeight {
			return fmt.Errorf("weight %s is %d; from 0 to %d", f.name, f.n, maxWeight)
		}
	}
	if w.Waiting == 0 {
		return fmt.Errorf("weight waiting is 0: then a job could wait for ever; at least 1")
	}
	return nil
}

// span is the greatest difference that factors other than waiting can make
// between two jobs of one emergency level.
func (w Weights) span() int64 { return maxUser*w.User + w.Urgency + maxCompute*w.Compute }

// starvationBound returns after how many minutes of waiting no newcomer of the
// same emergency level can go before a job (strategies priority and emergency).
func (w Weights) starvationBound() int64 { return (w.span() + w.Waiting - 1) / w.Waiting }
