package resolve

import "fmt"

// DefaultHistory is how many conflicts a broker remembers unless it is told otherwise.
const DefaultHistory = 1000

// History remembers the latest conflicts, and counts all of them. It is not safe for concurrent use.
type History struct {
	ring  []Conflict
	next  int // where the next one goes
	n     int // how many are held
	total uint64
}

// NewHistory makes an empty history of at most n conflicts.
func NewHistory(n int) *History { return &History{ring: make([]Conflict, max(n, 1))} }

// Add remembers a conflict and returns the ID that it gets: its time, in milliseconds, and its number.
func (h *History) Add(c Conflict) string {
	h.total++
	c.ID = fmt.Sprintf("c%d-%d", int64(c.Snapshot.Now), h.total)
	h.ring[h.next] = c
	h.next = (h.next + 1) % len(h.ring)
	h.n = min(h.n+1, len(h.ring))
	return c.ID
}

// Get finds a conflict by its ID; false is that it was never there, or is not remembered any more.
func (h *History) Get(id string) (Conflict, bool) {
	for i := range h.n {
		if c := h.at(i); c.ID == id {
			return *c, true
		}
	}
	return Conflict{}, false
}

// Latest lists up to n conflicts, the newest first.
func (h *History) Latest(n int) []Conflict {
	out := make([]Conflict, 0, min(n, h.n))
	for i := range min(n, h.n) {
		out = append(out, *h.at(i))
	}
	return out
}

// at returns the i-th newest conflict, from 0.
func (h *History) at(i int) *Conflict {
	return &h.ring[(h.next-1-i+2*len(h.ring))%len(h.ring)]
}

// Resize changes how many conflicts are held at most (brokers do so under memory pressure); the newest stay.
func (h *History) Resize(n int) {
	keep := h.Latest(max(n, 1))
	h.ring, h.n, h.next = make([]Conflict, max(n, 1)), len(keep), len(keep)%max(n, 1)
	for i, c := range keep {
		h.ring[len(keep)-1-i] = c
	}
}

// Total returns how many conflicts were ever added.
func (h *History) Total() uint64 { return h.total }
