package node

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/urban-compute/ucp/broker"
	"github.com/urban-compute/ucp/broker/membership"
	"github.com/urban-compute/ucp/broker/wire"
	"github.com/urban-compute/ucp/clock"
	"github.com/urban-compute/ucp/gossip"
)

// reconcileEvery is how often the roster is compared with Serf's, in case an
// event was lost.
const reconcileEvery = 3 * time.Second

// watchMembers turns what the gossip pool tells into inputs of the broker.
func (n *Node) watchMembers() error {
	t := time.NewTicker(reconcileEvery)
	defer t.Stop()
	n.reconcile()
	for {
		select {
		case <-n.ctx.Done():
			return nil
		case e := <-n.pool.Events():
			switch e := e.(type) {
			case gossip.MemberEvent:
				for _, m := range e.Members {
					n.hub.tell(n.name, []broker.Note{{At: n.cfg.Now(), Kind: "member", ID: m.Name, What: string(e.Kind), Text: fmt.Sprintf("%s: %s", m.Name, memberText[e.Kind])}})
					n.log.Info("member", "event", string(e.Kind), "name", m.Name, "addr", m.Addr)
				}
				n.reconcile()
			case gossip.UserEvent:
				n.hear(e.Name, e.Payload, e.LTime)
			case gossip.NameConflict:
				n.log.Error("two nodes claim one name: rename one of them", "name", e.Name, "known", e.Known, "claimed", e.Claimed)
			}
		case s := <-n.pool.States():
			state, err := wire.DecodeState(s.Data)
			if err != nil {
				n.log.Warn("a push-pull state was not understood", "error", err)
				continue
			}
			n.peers.heard(state.From, false)
			n.engine.tell(broker.Gossip{State: state})
		case <-t.C:
			n.reconcile()
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
func (n *Node) reconcile() {
	list := n.brokers()
	if err := n.met.remember(n.store, list, n.name, n.cfg.Now()); err != nil {
		n.log.Error("remembering the members", "error", err)
	}
	n.engine.tell(broker.Roster{Members: list})
}

// brokers lists the members: nodes of the pool with the tag ucp=1 (rule I2), and
// those that this broker had met before its start and that have not been seen again.
// To forget them with each restart would end the wait for them (rules L8, A3).
func (n *Node) brokers() []membership.Member {
	var out []membership.Member
	inPool := map[string]bool{n.name: true}
	for _, m := range n.pool.Members() {
		inPool[m.Name] = true
		if m.Tags["ucp"] != "1" {
			continue // a stock Serf agent is welcome, and no member
		}
		rtt, _ := n.pool.RTT(m.Name)
		out = append(out, membership.Member{
			Name: m.Name, Actor: clock.Actor(m.Tags["actor"]), Addr: m.Addr, HTTPAddr: m.Tags["http"],
			Status: membership.Status(m.Status), RTT: rtt, Draining: m.Tags[drainingTag] != "",
		})
	}
	out = append(out, n.met.missing(inPool, n.cfg.Now())...)
	return out
}

// absent lists the gossip addresses of brokers that were ever met and are not
// alive in the pool now.
func (n *Node) absent() (addrs []string) {
	alive := map[string]bool{n.name: true}
	for _, m := range n.brokers() {
		alive[m.Name] = m.Status == membership.Alive
	}
	return n.met.addrs(alive)
}

// firstJoin joins what --join names; that none answers is an error. It decides
// when /readyz says yes: after the first join, or after five seconds of failed
// tries, since a broker alone is ready.
func (n *Node) firstJoin(ctx context.Context) error {
	if len(n.cfg.Join) > 0 {
		reached, err := n.pool.Join(ctx, n.cfg.Join)
		if reached == 0 && ctx.Err() == nil {
			return fmt.Errorf("--join %s: nobody answers there: %w", strings.Join(n.cfg.Join, ","), err)
		}
		n.log.Info("joined the cluster", "reached", reached)
	}
	if len(n.cfg.RetryJoin) == 0 {
		close(n.joined)
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

// rejoin joins what --retry-join names until one answers, and then, for ever,
// brokers that were met before and are absent: Serf itself gives up on them
// (rule S6).
func (n *Node) rejoin() error {
	if len(n.cfg.RetryJoin) > 0 {
		if !n.retryJoin() {
			return nil
		}
	}
	pause := rejoinMin
	for n.sleep(pause) {
		addrs := n.absent()
		if len(addrs) == 0 {
			pause = rejoinMin
			continue
		}
		reached, err := n.pool.Join(n.leaving, addrs)
		n.log.Debug("rejoin", "tried", addrs, "reached", reached, "error", err)
		if reached > 0 {
			pause = rejoinMin
			n.reconcile()
		} else {
			pause = min(2*pause, rejoinMax)
		}
	}
	return nil
}

// retryJoin tries until one of --retry-join answers; false when the node ends
// before.
func (n *Node) retryJoin() bool {
	ready := time.AfterFunc(readyAfter, func() { close(n.joined) })
	defer func() {
		if ready.Stop() {
			close(n.joined)
		}
	}()
	for pause := retryFirst; ; pause = min(2*pause, rejoinMax) {
		reached, err := n.pool.Join(n.leaving, n.cfg.RetryJoin)
		if reached > 0 {
			n.log.Info("joined the cluster", "reached", reached)
			return true
		}
		if errors.Is(err, context.Canceled) {
			return false
		}
		n.log.Warn("--retry-join: nobody answers yet", "tried", n.cfg.RetryJoin, "again in", pause, "error", err)
		if !n.sleep(pause) {
			return false
		}
	}
}

// sleep waits; false when the node begins to leave meanwhile.
func (n *Node) sleep(d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-n.leaving.Done():
		return false
	}
}
