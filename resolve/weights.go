package resolve

import (
	"errors"
	"fmt"
	"slices"

	"github.com/urban-compute/ucp/label"
)

// Weights say how many points each factor of a score is worth: 0 to 100,000 each, and Waiting at least 1.
type Weights struct {
	Emergency int64 `json:"emergency"` // each emergency level, 0 to 4
	User      int64 `json:"user"`      // each step of user priority, 0 to 10
	Urgency   int64 `json:"urgency"`   // full urgency; that of a deadline grows in four steps
	Compute   int64 `json:"compute"`   // each whole step of computational weight, 0 to 10
	Waiting   int64 `json:"waiting"`   // each minute since arrival, the same for all jobs

	// Margin is by how many points a job must be better than one that runs to displace
	// it. It is asked again for each time that the other was displaced before.
	Margin int64 `json:"margin"`
	// Lost is what a minute of one core's lost work costs (strategy optimal).
	Lost int64 `json:"lost"`
}

// DefaultWeights returns the weights of a broker that was told none. Any job overtakes every newcomer of its
// level after 200 minutes at most: user priority, urgency and computational weight together are 2,000 points.
func DefaultWeights() Weights {
	return Weights{Emergency: 1000, User: 100, Urgency: 800, Compute: 20, Waiting: 10, Margin: 100, Lost: 20}
}

// maxWeight keeps every score far inside 63 bits.
const maxWeight = 100_000

// weight is one of the weights, by name.
type weight struct {
	name  string
	value *int64
}

func (w *Weights) all() []weight {
	return []weight{
		{"emergency", &w.Emergency}, {"user", &w.User}, {"urgency", &w.Urgency}, {"compute", &w.Compute},
		{"waiting", &w.Waiting}, {"margin", &w.Margin}, {"lost", &w.Lost},
	}
}

// With returns the weights with some of them changed by name: emergency, user, urgency, compute, waiting,
// margin, lost. It is an error when there is no such weight, or the result is out of range
// (docs/strategies.md).
func (w Weights) With(changes map[string]int64) (Weights, error) {
	all := w.all()
	for name, n := range changes {
		i := slices.IndexFunc(all, func(f weight) bool { return f.name == name })
		if i < 0 {
			return w, fmt.Errorf("unknown weight %q; %s", name, label.OneOf(name, weightNames(all)))
		}
		*all[i].value = n
	}
	return w, w.validate()
}

func weightNames(all []weight) []string {
	var names []string
	for _, f := range all {
		names = append(names, f.name)
	}
	return names
}

// validate returns an error for weights that are out of range.
func (w Weights) validate() error {
	for _, f := range w.all() {
		if n := *f.value; n < 0 || n > maxWeight {
			return fmt.Errorf("weight %s is %d; want 0 to %d", f.name, n, maxWeight)
		}
	}
	if w.Waiting == 0 {
		return errors.New("weight waiting is 0; want at least 1, since a job could wait indefinitely")
	}
	return nil
}

// span is the greatest difference that factors other than waiting can make between two jobs of one emergency
// level.
func (w Weights) span() int64 { return maxUser*w.User + w.Urgency + maxCompute*w.Compute }

// starvationBound returns after how many minutes of waiting no newcomer of the same emergency level can have a
// higher score than a job.
func (w Weights) starvationBound() int64 { return (w.span() + w.Waiting - 1) / w.Waiting }
