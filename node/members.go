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
	broadcasts *broadcasts
	http       *httpd.Server
	life       *lifecycle
	log        *slog.Logger
	badAddrs   map[string]string // members whose HTTP address can't be called; of the goroutine that watches
	conflicts  onceASecond       // of names: anybody can repeat one without end
}

// watch turns what the gossip pool tells into inputs of the core.
func (m *members) watch(ctx context.Context) error {
	t := time.NewTicker(reconcileEvery)
	defer t.Stop()
	m.reconcile()
	pool := m.pool.Load()
	for {
		select {
		case <-ctx.Done():
			return nil
		case e := <-pool.Events():
			switch e := e.(type) {
			case gossip.MemberEvent:
				for _, x := range e.Members {
					m.http.Watch([]broker.Note{{At: m.cfg.Now(), Kind: "member", ID: x.Name, What: string(e.Kind), Text: fmt.Sprintf("%s: %s", x.Name, memberText[e.Kind])}})
					m.log.Info("member", "event", string(e.Kind), "name", x.Name, "addr", x.Addr)
				}
				m.reconcile()
			case gossip.UserEvent:
				m.broadcasts.receive(e.Name, e.Payload, e.LTime)
			case gossip.NameConflict:
				if m.conflicts.allow(m.cfg.Now()) {
					m.log.Error("two nodes claim one name: rename one of them", "name", e.Name, "known", e.Known, "claimed", e.Claimed)
				}
			}
		case s := <-pool.States():
			state, err := wire.DecodeState(s.Data)
			if err != nil {
				m.log.Warn("a push-pull state was not understood", "error", err)
				continue
			}
			m.peers.heard(state.From, false)
			m.engine.Tell(broker.Gossip{State: state})
		case <-t.C:
			m.reconcile()
		}
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
		rtt, _ := m.rtt(x.Name)
		out = append(out, membership.Member{
			Name: x.Name, Actor: clock.Actor(x.Tags["actor"]), Process: process(x.Name, x.Tags[processTag]), Addr: x.Addr, HTTPAddr: callable(x.Tags["http"]),
			Status: membership.Status(x.Status), RTT: rtt, Draining: x.Tags[httpd.DrainingTag] != "",
			Protocol: highest(x.Tags[protocolTag]),
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

// protocolTag says which versions of the protocol a broker speaks, from the lowest to the highest: "1-2", or
// "1" for only that (rule K5).
const protocolTag = "proto"

// highest reads a protocol tag; 0 when it makes no sense.
func highest(tag string) int {
	if _, last, found := strings.Cut(tag, "-"); found {
		tag = last
	}
	v, err := strconv.Atoi(tag)
	if err != nil {
		return 0
	}
	return v
}

// absent lists the gossip addresses of brokers that were ever met and are not
// alive in the pool now.
func (m *members) absent() (addrs []string) {
	alive := map[string]bool{m.name: true}
	for _, x := range m.brokers() {
		alive[x.Name] = x.Status == membership.Alive
	}
	return m.known.addrs(alive)
}

// claim asks whether the broker's name is in use, before anybody hears anything of this start (rule G2): those
// that it was told of, and those that it has met.
func (m *members) claim(ctx context.Context) error {
	addrs := slices.Concat(m.cfg.Join, m.cfg.RetryJoin, m.known.addrs(nil))
	return m.pool.Load().Claim(ctx, addrs)
}

// taken returns the error of a join that was not made since another node has this broker's name; nil for others.
func taken(err error) error {
	var t *gossip.NameTaken
	if errors.As(err, &t) {
		return t
	}
	return nil
}

// firstJoin joins what --join names; that none answers is an error. It decides
// when /readyz says yes: after the first join, or after five seconds of failed
// tries, since a broker alone is ready.
func (m *members) firstJoin(ctx context.Context) error {
	if len(m.cfg.Join) > 0 {
		reached, err := m.pool.Load().Join(ctx, m.cfg.Join)
		if err := taken(err); err != nil {
			return err
		}
		if reached == 0 && ctx.Err() == nil {
			return fmt.Errorf("--join %s: nobody answers there: %w", strings.Join(m.cfg.Join, ","), err)
		}
		m.log.Info("joined the cluster", "reached", reached)
	}
	if len(m.cfg.RetryJoin) == 0 {
		close(m.life.joined)
	}
	return nil
}

// The pauses of the rejoin loop (rule S6).
const (
	rejoinMin  = 5 * time.Second
	rejoinMax  = 30 * time.Second
	retryFirst = time.Second
	readyAfter = 5 * time.Second
)

// rejoin joins what --retry-join names until one answers, and then keeps trying to join brokers that
// were met before and are absent: Serf itself gives up on them (rule S6).
func (m *members) rejoin(context.Context) error {
	if len(m.cfg.RetryJoin) > 0 {
		if joined, err := m.retryJoin(); !joined {
			return err
		}
	}
	pause := rejoinMin
	for m.sleep(pause) {
		addrs := m.absent()
		if len(addrs) == 0 {
			pause = rejoinMin
			continue
		}
		reached, err := m.pool.Load().Join(m.life.leaving, addrs)
		if err := taken(err); err != nil {
			return err
		}
		m.log.Debug("rejoin", "tried", addrs, "reached", reached, "error", err)
		if reached > 0 {
			pause = rejoinMin
			m.reconcile()
		} else {
			pause = min(2*pause, rejoinMax)
		}
	}
	return nil
}

// retryJoin tries until one of --retry-join answers; false when the node ends
// before, or its name is taken.
func (m *members) retryJoin() (joined bool, err error) {
	ready := time.AfterFunc(readyAfter, func() { close(m.life.joined) })
	defer func() {
		if ready.Stop() {
			close(m.life.joined)
		}
	}()
	for pause := retryFirst; ; pause = min(2*pause, rejoinMax) {
		reached, err := m.pool.Load().Join(m.life.leaving, m.cfg.RetryJoin)
		if reached > 0 {
			m.log.Info("joined the cluster", "reached", reached)
			return true, nil
		}
		if err := taken(err); err != nil {
			return false, err
		}
		if errors.Is(err, context.Canceled) {
			return false, nil
		}
		m.log.Warn("--retry-join: nobody answers yet", "tried", m.cfg.RetryJoin, "again in", pause, "error", err)
		if !m.sleep(pause) {
			return false, nil
		}
	}
}

// sleep waits; false when the node begins to leave meanwhile.
func (m *members) sleep(d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-m.life.leaving.Done():
		return false
	}
}
