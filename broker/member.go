package broker

import (
	"bytes"
	"crypto/sha256"
	"slices"
	"strings"

	"github.com/urban-compute/ucp/broker/membership"
	"github.com/urban-compute/ucp/job"
	"github.com/urban-compute/ucp/ledger"
)

// setRoster takes in the membership as SWIM sees it.
func (b *Broker) setRoster(all []membership.Member) {
	next := make(map[string]membership.Member, len(all))
	for _, m := range all {
		if m.Name != b.self {
			next[m.Name] = m
		}
	}
	for name, old := range b.members {
		if m, ok := next[name]; !ok {
			delete(b.links, name) // Serf reaped it
			delete(b.holds, name)
			delete(b.rows, name)
		} else if m.Actor != old.Actor {
			delete(b.holds, name)
		}
	}
	changed := b.changedMembers(next)
	before, alone := b.members, b.living() == 1
	b.members = next
	b.names = b.names[:0]
	for name := range next {
		b.names = append(b.names, name)
	}
	slices.Sort(b.names)
	b.ring = b.successors(len(b.names))
	b.noteGhosts(before)
	for _, name := range b.names {
		b.linkTo(name, before[name].Status)
	}
	b.noteAbsences()
	if alone && len(before) > 0 && b.living() > 1 && !b.unaudited.waiting {
		b.distrust() // it may have been away for long
	}
	if changed {
		b.fetchSoon()
		b.reviewMembers()
		b.checkGates()
	}
}

// changedMembers reports whether the next roster differs in who can run jobs.
func (b *Broker) changedMembers(next map[string]membership.Member) bool {
	if len(next) != len(b.members) {
		return true
	}
	for name, m := range next {
		if old := b.members[name]; old.Status != m.Status || old.Actor != m.Actor || old.Draining != m.Draining {
			return true
		}
	}
	return false
}

// reviewMembers looks again at the jobs that a change of the membership
// concerns: those that this broker owns, or whose owner is not there.
func (b *Broker) reviewMembers() {
	b.reviewWhere(func(r *job.Record) bool {
		owner := r.Owner.Broker
		return owner == b.self || b.absent[owner] != nil || b.members[owner].Name == ""
	})
}

// reviewWhere looks again at the unfinished jobs for which want says yes; nil wants
// all.
func (b *Broker) reviewWhere(want func(*job.Record) bool) {
	for _, ref := range b.ledger.Live(func(r ledger.Record) bool {
		rec, ok := r.(*job.Record)
		return ok && (want == nil || want(rec))
	}) {
		b.reviewLater(ref.Key)
	}
}

func (b *Broker) alive(name string) bool {
	if name == b.self {
		return true
	}
	return b.members[name].Status == membership.Alive
}

// living counts the brokers that are alive, this one included.
func (b *Broker) living() int {
	n := 1
	for _, name := range b.names {
		if b.alive(name) {
			n++
		}
	}
	return n
}

// ringPosition places a broker on the ring, by the SHA-256 of its name (rule S1).
func ringPosition(name string) []byte {
	sum := sha256.Sum256([]byte(name))
	return sum[:]
}

// successors returns the next n live brokers behind this one on the ring: they
// hold the copies of what it acknowledges (rules S1, A1).
func (b *Broker) successors(n int) []string {
	type place struct {
		name  string
		where []byte
	}
	own := ringPosition(b.self)
	var behind, before []place
	for _, name := range b.names {
		if !b.alive(name) {
			continue
		}
		p := place{name, ringPosition(name)}
		if bytes.Compare(p.where, own) > 0 {
			behind = append(behind, p)
		} else {
			before = append(before, p)
		}
	}
	byPosition := func(x, y place) int {
		if c := bytes.Compare(x.where, y.where); c != 0 {
			return c
		}
		return strings.Compare(x.name, y.name)
	}
	slices.SortFunc(behind, byPosition)
	slices.SortFunc(before, byPosition)
	var out []string
	for _, p := range append(behind, before...) {
		if len(out) == n {
			break
		}
		out = append(out, p.name)
	}
	return out
}
