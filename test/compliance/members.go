package main

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"strconv"
	"syscall"
	"time"

	"github.com/urban-compute/ucp/api"
	"github.com/urban-compute/ucp/test/rig"
)

// Limits of what SWIM does: a death is seen after some seconds (docs/performance.md: 5.6
// s), and on a busy machine Lifeguard gives the suspect more time.
const (
	joinWithin   = 5 * time.Second
	detectWithin = 15 * time.Second
)

// membersGroup kills, stops and replaces brokers.
func membersGroup() group {
	return group{
		name: "members",
		open: func(ctx context.Context, l *lab, name string) (*cluster, error) {
			return l.start(ctx, name, 3, onLoopback, same("--sync-interval", shortSync.String(), "--redeploy-delay", redeployDelay.String(), "--drain-timeout", "1s"))
		},
		rows: []row{
			// The first: a broker that has flapped is given more time (rule J6).
			redeployRow,
			{
				name: "failure-detection", requirement: 2, limit: "15 s each, back 10 s",
				how: "SIGSTOP and SIGCONT to one broker, SIGKILL to another: until each of the others counts it as unhealthy (peer_brokers, " +
					"unhealthy_peers), and healthy again when it is back; nobody else is unhealthy then",
				within: 2 * time.Minute, check: failureDetection,
			},
			persistenceRow,
			// The last: memberlist still counts a member that has left for a while, waits in vain for its word on
			// suspects, and so takes twice as long to be sure.
			{
				name: "discovery", requirement: 1, limit: "join 5 s, kill 15 s, leave 5 s",
				how: "a fourth broker is given one address (--retry-join): until all four list each other with address and metadata; SIGKILL: until all " +
					"list it as unhealthy; started again, then SIGTERM: until nobody lists it any more",
				within: 2 * time.Minute, check: discovery,
			},
		},
	}
}

// lists is an error unless a broker lists a peer so.
func lists(ctx context.Context, at *rig.Broker, name string, healthy bool) error {
	s, err := at.Client().Coordination(ctx)
	if err != nil {
		return err
	}
	p, ok := s.PeerBrokers[name]
	if !ok || p.Healthy != healthy {
		return fmt.Errorf("%s does not list %s as healthy=%v", at.Name, name, healthy)
	}
	return nil
}

// listed waits until all of these list a peer so.
func listed(ctx context.Context, at []*rig.Broker, name string, healthy bool) (time.Duration, error) {
	return everywhere(ctx, at, 3*detectWithin, func(ctx context.Context, b *rig.Broker) error { return lists(ctx, b, name, healthy) })
}

func discovery(ctx context.Context, c *cluster) (string, error) {
	old := c.brokers
	fresh := c.add(c.brokers[0].Args...)
	defer func() { // it goes, also when the check ends early
		fresh.End()
		c.brokers = old
	}()
	fresh.Peers = func() []string { return []string{old[0].Gossip} } // of all it knows one
	if err := fresh.Start(); err != nil {
		return "", err
	}
	joined, err := everywhere(ctx, c.brokers, 3*joinWithin, func(ctx context.Context, b *rig.Broker) error { return registered(ctx, b, c.brokers) })
	if err != nil {
		return "", err
	}
	if err := fresh.Kill(); err != nil {
		return "", err
	}
	killed, err := listed(ctx, old, fresh.Name, false)
	if err != nil {
		return "", err
	}
	if err := fresh.Start(); err != nil {
		return "", err
	}
	if err := c.whole(ctx, c.brokers); err != nil {
		return "", err
	}
	if err := fresh.Leave(20 * time.Second); err != nil {
		return "", err
	}
	left, err := everywhere(ctx, old, 3*joinWithin, func(ctx context.Context, b *rig.Broker) error {
		s, err := b.Client().Coordination(ctx)
		if _, still := s.PeerBrokers[fresh.Name]; err == nil && still {
			err = fmt.Errorf("%s still lists %s, which has left", b.Name, fresh.Name)
		}
		return err
	})
	figure := fmt.Sprintf("joined after %s, killed seen after %s, left after %s", tenths(joined), tenths(killed), tenths(left))
	return figure, first(err, inTime("joining", joined, joinWithin), inTime("seeing that it was killed", killed, detectWithin), inTime("leaving", left, joinWithin))
}

// registered is an error unless a broker lists all others with their address and has
// the metadata of their present actors.
func registered(ctx context.Context, at *rig.Broker, all []*rig.Broker) error {
	s, err := at.Client().Coordination(ctx)
	if err != nil {
		return err
	}
	rows, err := at.Client().Metadata(ctx)
	if err != nil {
		return err
	}
	for _, b := range others(all, at) {
		p, ok := s.PeerBrokers[b.Name]
		if !ok || !p.Healthy || net.JoinHostPort(p.Host, strconv.Itoa(p.Port)) != b.HTTP {
			return fmt.Errorf("%s lists %s as %+v, not healthy at %s", at.Name, b.Name, p, b.HTTP)
		}
		own, err := b.Client().Coordination(ctx)
		if err != nil {
			return err
		}
		var row struct{ Actor string }
		if err := json.Unmarshal(orNull(rows[b.Name]), &row); err != nil {
			return err
		}
		if row.Actor != string(own.Actor) {
			return fmt.Errorf("%s has metadata of %s's actor %q, not of %q", at.Name, b.Name, row.Actor, own.Actor)
		}
	}
	return nil
}

func orNull(b json.RawMessage) json.RawMessage {
	if len(b) == 0 {
		return json.RawMessage("null")
	}
	return b
}

func failureDetection(ctx context.Context, c *cluster) (string, error) {
	a, b, d := c.brokers[0], c.brokers[1], c.brokers[2]
	d.Signal(syscall.SIGSTOP)
	stopped, err := unhealthy(ctx, []*rig.Broker{a, b}, d.Name)
	d.Signal(syscall.SIGCONT)
	if err != nil {
		return "", err
	}
	back, err := listed(ctx, []*rig.Broker{a, b}, d.Name, true)
	if err != nil {
		return "", err
	}
	if err := c.whole(ctx, c.brokers); err != nil {
		return "", err
	}
	if err := b.Kill(); err != nil {
		return "", err
	}
	killed, err := unhealthy(ctx, []*rig.Broker{a, d}, b.Name)
	err = first(err, b.Start())
	if err != nil {
		return "", err
	}
	again, err := listed(ctx, []*rig.Broker{a, d}, b.Name, true)
	figure := fmt.Sprintf("SIGSTOP seen after %s, back after %s; SIGKILL after %s, back after %s", tenths(stopped), tenths(back), tenths(killed), tenths(again))
	return figure, first(err, c.whole(ctx, c.brokers),
		inTime("seeing SIGSTOP", stopped, detectWithin), inTime("seeing SIGKILL", killed, detectWithin),
		inTime("seeing that it goes on", back, 10*time.Second), inTime("seeing that it is back", again, 10*time.Second))
}

// unhealthy waits until all of these count this peer, and no other, as unhealthy.
func unhealthy(ctx context.Context, at []*rig.Broker, name string) (time.Duration, error) {
	return everywhere(ctx, at, 3*detectWithin, func(ctx context.Context, b *rig.Broker) error {
		s, err := b.Client().Coordination(ctx)
		if err != nil {
			return err
		}
		return counts(&s, name)
	})
}

// counts is an error unless exactly this peer is unhealthy.
func counts(s *api.Coordination, name string) error {
	for peer, p := range s.PeerBrokers {
		if p.Healthy == (peer == name) {
			return fmt.Errorf("%s lists %s as healthy=%v", s.Name, peer, p.Healthy)
		}
	}
	if s.UnhealthyPeers != 1 || s.HealthyPeers != s.TotalPeers-1 {
		return fmt.Errorf("%s counts %d of %d peers as healthy", s.Name, s.HealthyPeers, s.TotalPeers)
	}
	return nil
}

// first is the first error that is one.
func first(errs ...error) error {
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}
