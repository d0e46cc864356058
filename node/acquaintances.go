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
	"github.com/urban-compute/ucp/clock"
	"github.com/urban-compute/ucp/store"
)

// acquaintances are the brokers that this one has ever met, kept in the store (rule
// S6): it looks for them for ever, and a restart does not end the wait for one
// that failed before (rules L8, A3).
type acquaintances struct {
	mu  sync.Mutex
	met map[string]acquainted // by name, this broker not among them
}

// acquainted is a broker that was met, as the store keeps it.
type acquainted struct {
	Addr  string      `json:"addr"` // gossip
	HTTP  string      `json:"http"`
	Actor clock.Actor `json:"actor"`
	Seen  time.Time   `json:"seen"` // when it was last alive, to the hour
	Left  bool        `json:"left"` // it said goodbye
}

// acquaintedPrefix is where they lie in the store; the ledger's keys begin
// otherwise.
const acquaintedPrefix = "m"

// How long a broker that was not seen counts as a member, as Serf counts one that
// failed; and how exactly that is remembered.
const (
	reapAfter = 24 * time.Hour
	seenEvery = time.Hour
)

// recall reads whom this broker has met before its start.
func (x *acquaintances) recall(st *store.Store) error {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.met = map[string]acquainted{}
	return st.Scan([]byte(acquaintedPrefix), func(key, value []byte) error {
		var a acquainted
		if err := json.Unmarshal(value, &a); err != nil {
			return fmt.Errorf("stored member %q: %w", key, err)
		}
		x.met[strings.TrimPrefix(string(key), acquaintedPrefix)] = a
		return nil
	})
}

// remember stores what is new about the other members.
func (x *acquaintances) remember(st *store.Store, list []membership.Member, self string, now time.Time) error {
	x.mu.Lock()
	defer x.mu.Unlock()
	var b store.Batch
	for _, m := range list {
		old, met := x.met[m.Name]
		a := old
		switch {
		case m.Name == self:
		case m.Status == membership.Alive:
			a = acquainted{Addr: m.Addr, HTTP: m.HTTPAddr, Actor: m.Actor, Seen: old.Seen}
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
		b.Set([]byte(acquaintedPrefix+m.Name), value)
		x.met[m.Name] = a
	}
	if b.Len() == 0 {
		return nil
	}
	return st.Commit(&b)
}

// missing lists those that count as failed members, though the pool does not know
// them: this broker has started since.
func (x *acquaintances) missing(inPool map[string]bool, now time.Time) (out []membership.Member) {
	x.mu.Lock()
	defer x.mu.Unlock()
	for _, name := range slices.Sorted(maps.Keys(x.met)) {
		if a := x.met[name]; !inPool[name] && !a.Left && now.Sub(a.Seen) < reapAfter {
			out = append(out, membership.Member{Name: name, Actor: a.Actor, Addr: a.Addr, HTTPAddr: a.HTTP, Status: membership.Failed})
		}
	}
	return out
}

// addrs lists the gossip addresses of those that are not alive.
func (x *acquaintances) addrs(alive map[string]bool) (out []string) {
	x.mu.Lock()
	defer x.mu.Unlock()
	for _, name := range slices.Sorted(maps.Keys(x.met)) {
		if !alive[name] {
			out = append(out, x.met[name].Addr)
		}
	}
	return out
}

// stranger reports whether this broker was told of others and has never met one, by
// the number of members that its core knows. It is no cluster of one: others may know the
// same job, and have ended it, so that no result is firm here (rule A3).
func (n *Node) stranger(members int) bool {
	if members > 1 {
		n.strange.Store(false)
	}
	return n.strange.Load()
}

// metNobody reports whether nobody was ever met.
func (x *acquaintances) metNobody() bool {
	x.mu.Lock()
	defer x.mu.Unlock()
	return len(x.met) == 0
}
