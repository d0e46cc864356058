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
	store  *store.Store
	self   string
	uptime func() time.Duration // of this broker, over all its starts

	expecting bool // at its start this broker was told of others, and had never met one

	mu  sync.Mutex
	met map[string]knownPeer // by name, this broker not among them
}

// knownPeer is a broker that was met, as the store keeps it.
type knownPeer struct {
	Addr  string      `json:"addr"` // gossip
	HTTP  string      `json:"http"`
	Actor clock.Actor `json:"actor"`
	Up    int64       `json:"up"`              // ms of this broker's uptime when it was last alive, to the hour; 0 is not known (rule T1)
	Left  bool        `json:"left"`            // it left the cluster
	Proto int         `json:"proto,omitempty"` // the highest version of the protocol that it speaks (rule K5)
}

// knownPeerPrefix is where they lie in the store; the ledger's keys begin otherwise.
const knownPeerPrefix = "m"

// How long a broker that was not seen counts as a member, in uptime of this one, as Serf counts one
// that failed; and how exactly that is remembered.
const (
	reapAfter = 24 * time.Hour
	seenEvery = time.Hour
)

// recallPeers reads which brokers this one has met before its start. Told says that it was told of
// others to join. Those of which a version that kept no ages has stored when they were alive count as
// alive now.
func recallPeers(st *store.Store, self string, told bool, uptime func() time.Duration) (*knownPeers, error) {
	x := &knownPeers{store: st, self: self, uptime: uptime, met: map[string]knownPeer{}}
	var ageless store.Batch
	err := st.Scan([]byte(knownPeerPrefix), func(key, value []byte) error {
		var a knownPeer
		if err := json.Unmarshal(value, &a); err != nil {
			return fmt.Errorf("stored member %q: %w", key, err)
		}
		name := strings.TrimPrefix(string(key), knownPeerPrefix)
		x.met[name] = a
		if a.Up == 0 {
			a.Up = x.now()
			return x.keep(&ageless, name, a)
		}
		return nil
	})
	x.expecting = told && len(x.met) == 0
	if err != nil || ageless.Len() == 0 {
		return x, err
	}
	return x, st.Commit(&ageless)
}

// now is this broker's uptime in ms, and never 0.
func (x *knownPeers) now() int64 { return max(x.uptime().Milliseconds(), 1) }

// remember stores what is new about the other members.
func (x *knownPeers) remember(list []membership.Member) error {
	x.mu.Lock()
	defer x.mu.Unlock()
	var b store.Batch
	for _, m := range list {
		old, met := x.met[m.Name]
		a := old
		switch {
		case m.Name == x.self:
		case m.Status == membership.Alive:
			a = knownPeer{Addr: m.Addr, HTTP: m.HTTPAddr, Actor: m.Actor, Up: old.Up, Proto: m.Protocol}
			if now := x.now(); !met || now < old.Up || now-old.Up > seenEvery.Milliseconds() {
				a.Up = now
			}
		case met && m.Status == membership.Left:
			a.Left = true
		}
		if a == old {
			continue
		}
		if err := x.keep(&b, m.Name, a); err != nil {
			return err
		}
	}
	if b.Len() == 0 {
		return nil
	}
	return x.store.Commit(&b)
}

// keep notes what is new about a broker, and writes it into a batch.
func (x *knownPeers) keep(b *store.Batch, name string, a knownPeer) error {
	value, err := json.Marshal(a)
	if err != nil {
		return err
	}
	b.Set([]byte(knownPeerPrefix+name), value)
	x.met[name] = a
	return nil
}

// missing lists those that count as failed members, though the pool does not know
// them: this broker has started since.
func (x *knownPeers) missing(inPool map[string]bool) (out []membership.Member) {
	x.mu.Lock()
	defer x.mu.Unlock()
	for _, name := range slices.Sorted(maps.Keys(x.met)) {
		if a := x.met[name]; !inPool[name] && !a.Left && x.now()-a.Up < reapAfter.Milliseconds() {
			out = append(out, membership.Member{Name: name, Actor: a.Actor, Addr: a.Addr, HTTPAddr: callable(a.HTTP), Protocol: a.Proto, Status: membership.Failed})
		}
	}
	return out
}

// protocol is the highest version of the protocol that all speak who count as members from before this start; 0 when
// nobody does.
func (x *knownPeers) protocol() (v int) {
	for _, m := range x.missing(nil) {
		if p := max(m.Protocol, wire.Lowest); v == 0 || p < v {
			v = p
		}
	}
	return v
}

// called is where a broker answers HTTP; its name is "" where that is not known.
type called struct{ name, http string }

// calls lists where those answer HTTP that are not alive; none is that there are none, since nobody was ever met.
func (x *knownPeers) calls(alive map[string]bool) (out []called, none bool) {
	x.mu.Lock()
	defer x.mu.Unlock()
	for name, a := range x.met {
		if at := callable(a.HTTP); !alive[name] && at != "" {
			out = append(out, called{name, at})
		}
	}
	return out, len(x.met) == 0
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
