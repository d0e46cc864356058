package node

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/urban-compute/ucp/broker"
	"github.com/urban-compute/ucp/broker/membership"
	"github.com/urban-compute/ucp/broker/wire"
	"github.com/urban-compute/ucp/clock"
	"github.com/urban-compute/ucp/gossip"
	"github.com/urban-compute/ucp/node/httpd"
)

// reconcileEvery is how often the roster is compared with Serf's, in case an
// event was lost.
const reconcileEvery = 3 * time.Second

// members keeps the core's picture of the cluster in step with the gossip pool, and looks for brokers
// that are absent.
type members struct {
	cfg        *Config
	name       string
	pool       atomic.Pointer[gossip.Pool] // nil until gossip has started
	known      *knownPeers
	engine     *engine
	peers      *peers
	keys       *gossipKeys // nil where the broker belongs to no city
	broadcasts *broadcasts
	http       *httpd.Server
	life       *lifecycle
	log        *slog.Logger
	badAddrs   map[string]string    // members whose HTTP address can't be called; of the goroutine that watches
	clashes    map[string]time.Time // when two nodes of one name were last told, by name and address; of the goroutine that watches

	names   atomic.Pointer[[]string] // of --retry-join
	lookups lookups

	unanswered atomic.Pointer[string] // see nobodyAnswers
	wake       chan struct{}          // the rejoin loop looks at once
	misled     atomic.Pointer[string] // see unseen
	misseenFor int                    // rounds in a row in which others saw this broker wrongly; of the rejoin loop

	settle func(toward []string)       // makes sure of the broker's own address
	ended  atomic.Pointer[gossip.Pool] // the pool that was ended for one at another address
	moved  chan struct{}               // there is another pool
	asked  chan struct{}               // closed: the broker was asked to leave through RPC
	quiet  time.Time                   // until then a pool that has just begun and knows nobody says nothing; of the goroutine that watches
}

// watch turns what the gossip pool tells into inputs of the core.
func (m *members) watch(ctx context.Context) error {
	t := time.NewTicker(reconcileEvery)
	defer t.Stop()
	m.reconcile()
	pool := m.pool.Load()
	done := pool.Done()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-done:
			done = nil
			if m.ended.Load() != pool {
				close(m.asked)
			}
		case <-m.moved:
			pool = m.pool.Load()
			done = pool.Done()
			m.quiet = time.Now().Add(readyAfter)
		case e := <-pool.Events():
			switch e := e.(type) {
			case gossip.MemberEvent:
				for _, x := range e.Members {
					m.http.Watch([]broker.Note{{At: m.cfg.Now(), Kind: "member", ID: x.Name, What: string(e.Kind), Text: fmt.Sprintf("%s: %s", x.Name, memberText[e.Kind])}})
					m.log.Log(ctx, m.levelOf(e.Kind, &x), "member", "event", string(e.Kind), "name", x.Name, "addr", x.Addr)
				}
				m.reconcile()
			case gossip.UserEvent:
				m.broadcasts.receive(e.Name, e.Payload, e.LTime)
			case gossip.NameConflict:
				m.clash(e)
			}
		case s := <-pool.States():
			state, err := wire.DecodeState(s.Data)
			if err != nil {
				m.peers.metrics.Malformed(state.From, err)
				continue
			}
			m.peers.heard(state.From, false)
			m.engine.Tell(broker.Gossip{State: state})
		case <-t.C:
			m.reconcile()
			m.http.WatchHealth()
		}
	}
}

// levelOf is the level at which the log tells of a member: one line for each change. Of a broker that is gone, or back, there
// is one about its health, and a broker tells its own start and end; that tags have changed is a detail of those.
func (m *members) levelOf(kind gossip.MemberKind, x *gossip.Member) slog.Level {
	broker := x.Tags["ucp"] == "1"
	switch {
	case x.Name == m.name, kind == gossip.MemberUpdated,
		broker && kind == gossip.MemberFailed,
		broker && kind == gossip.MemberJoined && m.http.Unwell(x.Name):
		return slog.LevelDebug
	}
	return slog.LevelInfo
}

// How often a clash of names is told, though it is heard of every few seconds, and of how many that is remembered: anybody
// can make one up.
const (
	clashEvery = 10 * time.Minute
	maxClashes = 64
)

// clash tells that two nodes have one name, if that was not told lately.
func (m *members) clash(e gossip.NameConflict) {
	key, now := e.Name+" "+e.Claimed, m.cfg.Now()
	last, told := m.clashes[key]
	if told && now.Sub(last) < clashEvery || !told && len(m.clashes) == maxClashes {
		return
	}
	if m.clashes == nil {
		m.clashes = map[string]time.Time{}
	}
	m.clashes[key] = now
	m.log.Error("two nodes claim one name: rename one of them", "name", e.Name, "known", e.Known, "claimed", e.Claimed)
}

// movedNow tells that the pool was exchanged.
func (m *members) movedNow() {
	select {
	case m.moved <- struct{}{}:
	default: // that was told already
	}
}

// memberText says what happened to a member, for people.
var memberText = map[gossip.MemberKind]string{
	gossip.MemberJoined: "it is there", gossip.MemberLeft: "it has left", gossip.MemberFailed: "it does not answer any more",
	gossip.MemberUpdated: "it has changed", gossip.MemberReaped: "it is forgotten",
}

// reconcile tells the broker who its members are, and remembers those that it
// has not met before (rule S6).
func (m *members) reconcile() {
	if time.Now().Before(m.quiet) && !m.company() {
		return // it has moved just now, and meets the others in a moment
	}
	list := m.brokers()
	m.warnOfAddresses()
	if err := m.known.remember(list); err != nil {
		m.log.Error("remembering the members", "error", err)
	}
	m.engine.Tell(broker.Roster{Members: list})
}

// maxHost is the longest name of a host (RFC 1035, section 2.3.4).
const maxHost = 253

func notOfHost(r rune) bool {
	return !(r == '.' || r == '-' || r == '_' || '0' <= r && r <= '9' || 'a' <= r && r <= 'z' || 'A' <= r && r <= 'Z')
}

// callable is an HTTP address that a member may be called by: host and port, and nothing that would make a URL mean another
// place. It is "" of anything else, and of an address that is none of its own (0.0.0.0), which would be ours.
func callable(addr string) string {
	host, port, err := net.SplitHostPort(addr)
	if err != nil {
		return ""
	}
	if n, err := strconv.ParseUint(port, 10, 16); err != nil || n == 0 {
		return ""
	}
	if ip, err := netip.ParseAddr(host); err == nil {
		if ip.IsUnspecified() || ip.IsMulticast() {
			return ""
		}
		return addr
	}
	if host == "" || len(host) > maxHost || strings.ContainsFunc(host, notOfHost) {
		return ""
	}
	return addr
}

// warnOfAddresses logs once of each member whose HTTP address can't be called.
func (m *members) warnOfAddresses() {
	bad := map[string]string{}
	for _, x := range m.inPool() {
		addr := x.Tags["http"]
		if x.Tags["ucp"] != "1" || callable(addr) != "" {
			continue
		}
		bad[x.Name] = addr
		if last, told := m.badAddrs[x.Name]; !told || last != addr {
			m.log.Warn("a member names no HTTP address that can be called, so it gets no messages", "name", x.Name, "http", addr)
		}
	}
	m.badAddrs = bad
}

// inPool lists the nodes of the gossip pool: none before gossip has started, when a
// Serf query may come already.
func (m *members) inPool() []gossip.Member {
	if pool := m.pool.Load(); pool != nil {
		return pool.Members()
	}
	return nil
}

// gossipAddr is where others reach this node's gossip; "" before it runs.
func (m *members) gossipAddr() string {
	for _, x := range m.inPool() {
		if x.Name == m.name {
			return x.Addr
		}
	}
	return ""
}

// rtt estimates the round trip to a node of the pool; false where it is not known.
func (m *members) rtt(name string) (time.Duration, bool) {
	if pool := m.pool.Load(); pool != nil {
		return pool.RTT(name)
	}
	return 0, false
}

// brokers lists the members: nodes of the pool with the tag ucp=1 (rule I2), and
// those that this broker had met before its start and that have not been seen again.
// To forget them with each restart would end the wait for them (rules L8, A3).
func (m *members) brokers() []membership.Member {
	var out []membership.Member
	seen := map[string]bool{m.name: true}
	for _, x := range m.inPool() {
		seen[x.Name] = true
		if x.Tags["ucp"] != "1" {
			continue // a stock Serf agent is welcome, but not a member
		}
		status := membership.Status(x.Status)
		if m.cfg.City != nil && status == membership.Alive && m.cfg.City.Gone(x.Name) {
			status = membership.Failed // it has the key of the gossip still, and belongs to the city no more
		}
		rtt, _ := m.rtt(x.Name)
		_, highest := httpd.Protocols(x.Tags[httpd.ProtocolTag])
		out = append(out, membership.Member{
			Name: x.Name, Actor: clock.Actor(x.Tags["actor"]), Process: process(x.Name, x.Tags[processTag]), Addr: x.Addr, HTTPAddr: callable(x.Tags["http"]),
			Status: status, RTT: rtt, Draining: x.Tags[httpd.DrainingTag] != "",
			Protocol: highest,
		})
	}
	out = append(out, m.known.missing(seen)...)
	return out
}

// processTag names the start with which a broker's process began, without the broker's name, if it has begun another one
// since (rule K3).
const processTag = "process"

// process reads a process tag; "" is that there is none.
func process(name, tag string) clock.Actor {
	if tag == "" {
		return ""
	}
	return clock.Actor(name + "~" + tag)
}

// absent lists the gossip addresses of brokers that were ever met and are not
// alive in the pool now.
func (m *members) absent() (addrs []string) { return m.known.addrs(m.alive()) }

// absentCalls lists where the same answer HTTP, as far as that is known.
// A broker that has met nobody yet was told of some as it came into its city, without their names.
func (m *members) absentCalls() []called {
	out, none := m.known.calls(m.alive())
	if none {
		for _, at := range m.cfg.City.Folder().Brokers() {
			out = append(out, called{http: at})
		}
	}
	return out
}

// alive are the brokers that are alive in the pool now, and this one.
func (m *members) alive() map[string]bool {
	alive := map[string]bool{m.name: true}
	for _, x := range m.brokers() {
		alive[x.Name] = x.Status == membership.Alive
	}
	return alive
}

// claim asks whether the broker's name is in use, before anybody hears anything of this start (rule G2): those
// that it was told of, and those that it has met.
func (m *members) claim(ctx context.Context) error {
	return m.pool.Load().Claim(ctx, slices.Concat(m.cfg.Join, m.entries(), m.known.addrs(nil)))
}

// taken returns the error of a join that was not made since another node has this broker's name; nil for others.
func taken(err error) error {
	var t *gossip.NameTaken
	if errors.As(err, &t) {
		return t
	}
	return nil
}
