package gossip

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"sync"
	"time"

	"github.com/hashicorp/go-msgpack/v2/codec"
)

// claimTimeout bounds each question of a claim.
const claimTimeout = 2 * time.Second

// claimPolls is how often a peer is asked whether it has freed a name, and claimPause the time between.
const (
	claimPolls = 10
	claimPause = 200 * time.Millisecond
)

// NameTaken is the error of a node whose name belongs to another one that is alive (rule G2).
type NameTaken struct {
	Name string
	Addr string // host:port at which the other node answers
}

// Error implements error.
func (e *NameTaken) Error() string {
	return fmt.Sprintf("a node named %s is already at %s and answers: choose another --name with another data directory, or stop that one", e.Name, e.Addr)
}

// Claim asks the nodes at these addresses whether this node's name is in use, without telling them anything of
// this node. Where the name has another address, that is asked: if a node of this name answers there, Claim
// returns a *NameTaken. If nobody does, it is what this node was before a restart, and the peers are told that it
// has left, so that they take the new address at once (rule G2). Peers that do not answer are passed over. Join
// claims first.
func (p *Pool) Claim(ctx context.Context, entries []string) error {
	limited, cancel := context.WithTimeout(ctx, resolveTimeout) // in all: a broker that starts waits for it
	targets, _ := p.Targets(limited, entries)
	cancel()
	_, err := p.claim(ctx, targets)
	return err
}

// claimed is what came of a claim.
type claimed struct {
	others []string // the addresses at which this node does not answer itself
	moved  bool     // some peer knew another address of this node
}

// claim is Claim at resolved addresses.
func (p *Pool) claim(ctx context.Context, targets []string) (c claimed, err error) {
	var mu sync.Mutex
	var work sync.WaitGroup
	for _, target := range targets {
		work.Go(func() {
			itself, moved, e := p.claimAt(ctx, target)
			mu.Lock()
			defer mu.Unlock()
			c.moved = c.moved || moved
			if !itself {
				c.others = append(c.others, target)
			}
			if err == nil {
				err = e
			}
		})
	}
	work.Wait()
	return c, err
}

// claimAt claims the name at one peer. Itself says that the peer is this node, under another of its addresses.
func (p *Pool) claimAt(ctx context.Context, target string) (itself, moved bool, err error) {
	old, found := p.ask(ctx, target)
	if !found || old.State == stateLeft {
		return false, false, nil
	}
	addr := joinHostPort(old.Addr, old.Port)
	if addr == p.Addr() {
		return p.mayBeOwn(target) && p.inUse(ctx, target), false, nil
	}
	if p.inUse(ctx, addr) {
		// It may be this node itself, if its machine has the old address, too. Then it names its present one.
		if there, ok := p.ask(ctx, addr); !ok || joinHostPort(there.Addr, there.Port) != p.Addr() {
			return false, true, &NameTaken{Name: p.cfg.Name, Addr: addr}
		}
	}
	left, err := encodeWire(wireDead, &accusation{Incarnation: old.Incarnation, Node: p.cfg.Name, From: p.cfg.Name})
	if err != nil {
		return false, true, err
	}
	for range claimPolls {
		if old.State == stateLeft || old.State == stateDead {
			break
		}
		if err := p.wire.say(left, Address{Addr: target}); err != nil {
			break // the join will tell
		}
		select {
		case <-time.After(claimPause):
		case <-ctx.Done():
			return false, true, nil
		}
		if old, found = p.ask(ctx, target); !found {
			break
		}
	}
	return false, true, nil
}

// ask returns what a peer knows of this node's name. It begins a push-pull in which it says nothing.
func (p *Pool) ask(ctx context.Context, addr string) (n pushPullNode, found bool) {
	n, found, err := p.question(ctx, addr)
	return n, found && err == nil
}

// question is ask, and says why there was no answer.
func (p *Pool) question(ctx context.Context, addr string) (n pushPullNode, found bool, err error) {
	question, err := encodeWire(wirePushPull, &pushPullHeader{})
	if err != nil {
		return n, false, err
	}
	err = p.exchange(ctx, addr, question, func(kind byte, r *bufio.Reader) error {
		if kind == wireCompress {
			inner, err := readCompressed(&recorder{r: r})
			if err != nil {
				return err
			}
			kind, r = inner[0], bufio.NewReader(bytes.NewReader(inner[1:]))
		}
		if kind != wirePushPull {
			return errors.New("it does not answer with a push-pull")
		}
		pp, err := readPushPull(r)
		for _, x := range pp.nodes {
			if x.Name == p.cfg.Name {
				n, found = x, true
			}
		}
		return err
	})
	return n, found, err
}

// SeenRight asks the node at an address how it sees this one, without telling it anything: right is as alive, and where it
// is. It is false as well when that node does not answer.
func (p *Pool) SeenRight(ctx context.Context, addr string) (right, answered bool) {
	seen, found, err := p.question(ctx, addr)
	return found && seen.State == stateAlive && joinHostPort(seen.Addr, seen.Port) == p.Addr(), err == nil
}

// mayBeOwn reports whether an address may be another one of this node: one of its machine, with its port. A peer that is
// asked for this node warns its operator of that, so that only those are.
func (p *Pool) mayBeOwn(target string) bool {
	at, err := netip.ParseAddrPort(target)
	own, _ := netip.ParseAddrPort(p.addr)
	if err != nil || at.Port() != own.Port() {
		return false
	}
	addrs, err := net.InterfaceAddrs()
	return at.Addr().IsLoopback() || err == nil && slices.ContainsFunc(addrs, func(a net.Addr) bool {
		prefix, err := netip.ParsePrefix(a.String())
		return err == nil && prefix.Addr().Unmap() == at.Addr()
	})
}

// inUse reports whether a node of this node's name is alive at an address.
func (p *Pool) inUse(ctx context.Context, addr string) bool {
	ping, err := encodeWire(wirePing, &pingRequest{SeqNo: 1, Node: p.cfg.Name})
	if err != nil {
		return false
	}
	return p.exchange(ctx, addr, ping, func(kind byte, r *bufio.Reader) error {
		if kind == wireCompress {
			inner, err := readCompressed(&recorder{r: r})
			if err != nil {
				return err
			}
			kind, r = inner[0], bufio.NewReader(bytes.NewReader(inner[1:]))
		}
		var a pingAnswer
		if kind != wireAck {
			return errors.New("it does not answer a ping")
		}
		return codec.NewDecoder(r, &codec.MsgpackHandle{}).Decode(&a)
	}) == nil
}

// exchange sends a message on a stream of its own, and lets read the answer, after its type.
func (p *Pool) exchange(ctx context.Context, addr string, question []byte, read func(kind byte, r *bufio.Reader) error) error {
	conn, err := p.wire.DialAddressTimeout(Address{Addr: addr}, claimTimeout)
	if err != nil {
		return err
	}
	stop := context.AfterFunc(ctx, func() { _ = conn.Close() })
	defer stop()
	defer func(c net.Conn) { _ = c.Close() }(conn)
	if err := conn.SetDeadline(time.Now().Add(claimTimeout)); err != nil {
		return err
	}
	if question, err = p.wire.seal.closeStream(question); err != nil {
		return err
	}
	if _, err := conn.Write(question); err != nil {
		return err
	}
	r := bufio.NewReader(conn)
	kind, err := r.ReadByte()
	if err != nil {
		return err
	}
	return read(kind, r)
}

// looks are the pauses after which a node that has moved looks whether others see it where it is. Who hears of the new
// address before it knows that the old one has been left, or before it may give the name of a node that it holds for dead to
// another, does not hear of it again by itself for a minute; and they do not all hold it for dead since the same moment.
var looks = []time.Duration{time.Second, time.Second, reclaimAfter - time.Second, time.Second, time.Second, time.Second}

// mostAsked is how many members are asked each time.
const mostAsked = 16

// announceAgain joins those once more that do not see this node where it is.
func (p *Pool) announceAgain() {
	_ = p.life.begin(&p.work, func() { // after the shutdown has begun there is nobody to tell
		for _, pause := range looks {
			select {
			case <-time.After(pause):
			case <-p.ctx.Done():
				return
			}
			if misled := p.misled(); len(misled) > 0 {
				if _, err := p.agent.Join(misled, false); err != nil {
					p.cfg.Logger.Warn("telling the others this node's new address", "error", err)
				}
			}
		}
	})
}

// misled lists the addresses of members, of the first few, that answer and do not see this node alive where it is.
func (p *Pool) misled() (addrs []string) {
	asked := 0
	for _, m := range p.Members() {
		if m.Status != Alive || m.Name == p.cfg.Name || asked == mostAsked || p.ctx.Err() != nil {
			continue
		}
		asked++
		if right, answered := p.SeenRight(p.ctx, m.Addr); answered && !right {
			addrs = append(addrs, m.Addr)
		}
	}
	return addrs
}
