package resolve

import "fmt"

// DefaultHistory is how many conflicts are remembered.
const DefaultHistory = 1000

// History remembers the latest conflicts, and how many there were. One goroutine
// owns it.
type History struct {
	ring  []Conflict
	next  int // where the next one goes
	n     int // how many are held
	total uint64
}

// NewHistory makes an empty history of at most n conflicts.
func NewHistory(n int) *History { return &History{ring: make([]Conflict, max(n, 1))} }

// Add remembers a conflict and returns the ID that it gets: its time and number.
func (h *History) Add(c Conflict) string {
	h.total++
	c.ID = fmt.Sprintf("c%d-%d", int64(c.Snapshot.Now), h.total)
	h.ring[h.next] = c
	h.next = (h.next + 1) % len(h.ring)
	h.n = min(h.n+1, len(h.ring))
	return c.ID
}

// Get finds a conflict by its ID.
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

// at returns the i-th newest.
func (h *History) at(i int) *Conflict {
	return &h.ring[(h.next-1-i+2*len(h.ring))%len(h.ring)]
}

// Resize changes how many are held, under memory pressure; the newest stay.
func (h *History) Resize(n int) {
	keep := h.Latest(max(n, 1))
	h.ring, h.n, h.next = make([]Conflict, max(n, 1)), len(keep), len(keep)%max(n, 1)
	for i, c := range keep {
		h.ring[len(keep)-1-i] = c
	}
}

// Len is how many are held; Total how many there ever were.
func (h *History) Len() int { return h.n }

// Total is how many conflicts were ever added.
func (h *History) Total() uint64 { return h.total }
