// Package ack knows when something is durable enough to be answered for: when so many brokers
// hold an update and the blobs that go with it (rules A1, A3).
//
//   - holders.go: which broker is known to hold which blobs, and how they get there
//   - waiters.go: what waits for copies, and what is done about silent holders
//
// Waiting is about answers, and none of it is stored. The package is pure: it is
// told the time. One goroutine owns its values. The rules are numbered in docs/protocol.md.
package ack

import (
	"slices"
	"time"

	"github.com/urban-compute/ucp/broker/membership"
	"github.com/urban-compute/ucp/clock"
	"github.com/urban-compute/ucp/job"
)

// Push asks that a member gets a copy of a blob that is here (rule A1).
type Push struct {
	To     string
	Actor  clock.Actor // of the member's present start (rule X3)
	Addr   string      // the member's HTTP address, host:port
	Digest job.Digest
}

// Holders knows which broker holds which blobs. Make one with [NewHolders].
type Holders struct {
	members *membership.Membership
	trust   time.Duration // how long a blob that was seen counts as still there; 0 is without end
	now     time.Time

	local   *digests            // blobs known to be here
	remote  map[string]*digests // blobs that a member has confirmed
	pushing map[pushing]bool    // blobs on their way to a member
	out     []Push
}

// pushing is a blob on its way to a member.
type pushing struct {
	to     string
	digest job.Digest
}

// NewHolders makes a Holders that knows of no blob. A broker that confirms one keeps it for trust
// at least, until a record names it.
func NewHolders(members *membership.Membership, trust time.Duration) *Holders {
	return &Holders{
		members: members, trust: trust, local: newDigests(),
		remote: map[string]*digests{}, pushing: map[pushing]bool{},
	}
}

// Tick says what time it is.
func (h *Holders) Tick(now time.Time) { h.now = now }

// Saw notes that blobs are in this broker's store.
func (h *Holders) Saw(blobs ...job.Digest) {
	for _, d := range blobs {
		h.local.add(d, h.now)
	}
}

// Missed notes that a blob is not in this broker's store any more. It may be a file of any directory: none counts as here
// until it was looked at again.
func (h *Holders) Missed(d job.Digest) {
	h.local.forget(d)
	for known := range h.local.known {
		if _, isTree := known.Tree(); isTree {
			h.local.forget(known)
		}
	}
}

// Lacks reports whether one of these blobs is known not to be in this broker's store any more.
func (h *Holders) Lacks(blobs []job.Digest) bool {
	for _, d := range blobs {
		if at, known := h.local.known[d]; known && at.IsZero() {
			return true
		}
	}
	return false
}

// Drop forgets what a member held: it is another start now, or gone.
func (h *Holders) Drop(name string) { delete(h.remote, name) }

// Has reports whether a broker, this one or a member, is known to hold all of these blobs.
func (h *Holders) Has(name string, blobs []job.Digest) bool {
	var since time.Time
	if h.trust != 0 {
		since = h.now.Add(-h.trust)
	}
	if name == h.members.Self() {
		return h.local.all(blobs, since)
	}
	return h.remote[name].all(blobs, since)
}

// Pushed notes that an actor of a member has confirmed a blob, or that it could not have it: then the next
// on the ring gets it. What an earlier start has confirmed counts for nothing, since its disk may have been
// wiped: the present one is asked (rule R3). Pushed reports whether the member holds the blob now.
func (h *Holders) Pushed(name string, actor clock.Actor, d job.Digest, failed bool) bool {
	delete(h.pushing, pushing{name, d})
	switch {
	case failed || !h.members.Knows(name):
		h.pushOn(name, d)
		return false
	case actor != h.members.Get(name).Actor:
		h.Push(name, d)
		return false
	}
	if h.remote[name] == nil {
		h.remote[name] = newDigests()
	}
	h.remote[name].add(d, h.now)
	return true
}

// Spread brings blobs to the first brokers of the ring that take them, so many, unless they are
// there or on their way. It reports whether any is on its way now.
func (h *Holders) Spread(blobs []job.Digest, brokers int) (travels bool) {
	for _, d := range blobs {
		want := brokers
		for _, name := range h.members.Ring() {
			if want == 0 {
				break
			}
			if h.Push(name, d) || h.gets(name, d) {
				want--
				travels = travels || h.pushing[pushing{name, d}]
			}
		}
	}
	return travels
}

// pushOn brings a blob that a member could not have to one that stands behind it on the ring:
// each failure goes on from where it was, so that this ends.
func (h *Holders) pushOn(failed string, d job.Digest) {
	ring := h.members.Ring()
	for _, name := range ring[slices.Index(ring, failed)+1:] {
		if h.Push(name, d) {
			return
		}
	}
}

// gets reports whether a member has a blob, or it is on its way there.
func (h *Holders) gets(name string, d job.Digest) bool {
	return h.pushing[pushing{name, d}] || h.Has(name, []job.Digest{d})
}

// Push begins to bring a blob to a member. It reports whether it did: not when the member has it
// or gets it, or can't take it.
func (h *Holders) Push(name string, d job.Digest) bool {
	m := h.members.Get(name)
	if h.gets(name, d) || m.HTTPAddr == "" || h.members.NoRoom(name) {
		return false
	}
	h.pushing[pushing{name, d}] = true
	h.out = append(h.out, Push{To: name, Actor: m.Actor, Addr: m.HTTPAddr, Digest: d})
	return true
}

// Travels reports whether any of the blobs is on its way to a member that lives.
func (h *Holders) Travels(blobs []job.Digest) bool {
	for p := range h.pushing {
		if h.members.Alive(p.to) && slices.Contains(blobs, p.digest) {
			return true
		}
	}
	return false
}

// Take returns what is to be pushed since the last Take; each ends in a Pushed.
func (h *Holders) Take() []Push {
	out := h.out
	h.out = nil
	return out
}
