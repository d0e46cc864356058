package node

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/urban-compute/ucp/broker/membership"
	"github.com/urban-compute/ucp/broker/wire"
	"github.com/urban-compute/ucp/clock"
	"github.com/urban-compute/ucp/store"
)

// knownPeers are the brokers that this one has ever met, kept in the store (rule S6): it looks for
// them indefinitely, and a restart does not end the wait for one that failed before (rules L8, A3).
type knownPeers struct {
	store *store.Store
	self  string

	mu             sync.Mutex
	met            map[string]knownPeer // by name, this broker not among them
	unbootstrapped bool                 // this broker was told of others, and has never met one
}

// knownPeer is a broker that was met, as the store keeps it.
type knownPeer struct {
	Addr  string      `json:"addr"` // gossip
	HTTP  string      `json:"http"`
	Actor clock.Actor `json:"actor"`
	Seen  time.Time   `json:"seen"`            // when it was last alive, to the hour
	Left  bool        `json:"left"`            // it left the cluster
	Proto int         `json:"proto,omitempty"` // the highest version of the protocol that it speaks (rule K5)
}

// knownPeerPrefix is where they lie in the store; the ledger's keys begin otherwise.
const knownPeerPrefix = "m"

// How long a broker that was not seen counts as a member, as Serf counts one that
// failed; and how exactly that is remembered.
const (
	reapAfter = 24 * time.Hour
	seenEvery = time.Hour
)

// recallPeers reads which brokers this one has met before its start. Told says that it was told of
// others to join.
func recallPeers(st *store.Store, self string, told bool) (*knownPeers, error) {
	x := &knownPeers{store: st, self: self, met: map[string]knownPeer{}}
	err := st.Scan([]byte(knownPeerPrefix), func(key, value []byte) error {
		var a knownPeer
		if err := json.Unmarshal(value, &a); err != nil {
			return fmt.Errorf("stored member %q: %w", key, err)
		}
		x.met[strings.TrimPrefix(string(key), knownPeerPrefix)] = a
		return nil
	})
	x.unbootstrapped = told && len(x.met) == 0
	return x, err
}

// remember stores what is new about the other members.
func (x *knownPeers) remember(list []membership.Member, now time.Time) error {
	x.mu.Lock()
	defer x.mu.Unlock()
	var b store.Batch
	for _, m := range list {
		old, met := x.met[m.Name]
		a := old
		switch {
		case m.Name == x.self:
		case m.Status == membership.Alive:
			a = knownPeer{Addr: m.Addr, HTTP: m.HTTPAddr, Actor: m.Actor, Seen: old.Seen, Proto: m.Protocol}
			if d := now.Sub(old.Seen); d > seenEvery || d < 0 {
				a.Seen = now.UTC()
			}
		case met && m.Status == membership.Left:
			a.Left = true
		}
		if a == old {
			continue
		}
		value, err := json.Marshal(a)
		if err != nil {
			return err
		}
		b.Set([]byte(knownPeerPrefix+m.Name), value)
		x.met[m.Name] = a
	}
	if b.Len() == 0 {
		return nil
	}
	return x.store.Commit(&b)
}

// missing lists those that count as failed members, though the pool does not know
// them: this broker has started since.
func (x *knownPeers) missing(inPool map[string]bool, now time.Time) (out []membership.Member) {
	x.mu.Lock()
	defer x.mu.Unlock()
	for _, name := range slices.Sorted(maps.Keys(x.met)) {
		if a := x.met[name]; !inPool[name] && !a.Left && now.Sub(a.Seen) < reapAfter {
			out = append(out, membership.Member{Name: name, Actor: a.Actor, Addr: a.Addr, HTTPAddr: a.HTTP, Protocol: a.Proto, Status: membership.Failed})
		}
	}
	return out
}

// protocol is the highest version of the protocol that all speak who count as members from before this start; 0 when
// nobody does.
func (x *knownPeers) protocol(now time.Time) (v int) {
	for _, m := range x.missing(nil, now) {
		if p := max(m.Protocol, wire.Lowest); v == 0 || p < v {
			v = p
		}
	}
	return v
}

// addrs lists the gossip addresses of those that are not alive.
func (x *knownPeers) addrs(alive map[string]bool) (out []string) {
	x.mu.Lock()
	defer x.mu.Unlock()
	for _, name := range slices.Sorted(maps.Keys(x.met)) {
		if !alive[name] {
			out = append(out, x.met[name].Addr)
		}
	}
	return out
}

// isUnbootstrapped reports whether this broker was told of others and has never met one, by the number
// of members that its core knows. It is not a cluster of one: others may know the same job, and have
// ended it, so that no result is firm here (rule A3).
func (x *knownPeers) isUnbootstrapped(members int) bool {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.unbootstrapped = x.unbootstrapped && members <= 1
	return x.unbootstrapped
}
