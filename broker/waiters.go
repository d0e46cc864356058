package broker

import (
	"slices"

	"github.com/urban-compute/ucp/broker/causal"
)

// waiters are the clients that wait for the end of a job. Each waits for one job; both maps
// hold the same.
type waiters struct {
	byKey   map[string][]Token // in the order in which they came
	byToken map[Token]waiting
}

// waiting is a client that waits for a job's end.
type waiting struct {
	token   Token
	key     string
	past    causal.Context // what it had seen
	cancels bool           // it asked for that end
	wrote   bool           // and its request wrote the verdict
}

func newWaiters() waiters {
	return waiters{byKey: map[string][]Token{}, byToken: map[Token]waiting{}}
}

func (w *waiters) add(t Token, x waiting) {
	x.token = t
	w.byKey[x.key] = append(w.byKey[x.key], t)
	w.byToken[t] = x
}

// take removes and returns the clients that wait for a job.
func (w *waiters) take(key string) (list []waiting) {
	for _, t := range w.byKey[key] {
		list = append(list, w.byToken[t])
		delete(w.byToken, t)
	}
	delete(w.byKey, key)
	return list
}

// drop removes one that waits no longer.
func (w *waiters) drop(t Token) {
	x, ok := w.byToken[t]
	if !ok {
		return
	}
	delete(w.byToken, t)
	rest := slices.DeleteFunc(slices.Clone(w.byKey[x.key]), func(other Token) bool { return other == t })
	if w.byKey[x.key] = rest; len(rest) == 0 {
		delete(w.byKey, x.key)
	}
}
