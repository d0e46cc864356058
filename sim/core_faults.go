package sim

import (
	"fmt"
	"maps"
	"strings"
	"time"

	"github.com/urban-compute/ucp/broker"
	"github.com/urban-compute/ucp/broker/wire"
	"github.com/urban-compute/ucp/clock"
	"github.com/urban-compute/ucp/job"
)

// The faults that a schedule can use. Each is small; together they are
// what the worst outage of a city does to a cluster.

// Kill ends a broker at once: what was not synced is gone, and so is what it
// ran. A commit under way is written or not.
func (c *Core) Kill(name string) {
	if c.nodes[name].b == nil {
		return
	}
	c.tell("%s is killed", name)
	c.nodes[name].b, c.nodes[name].down = nil, c.Now
	c.swim()
}

// Wipe empties the disk of a broker that is down.
func (c *Core) Wipe(name string) {
	c.tell("the disk of %s is lost", name)
	n := c.nodes[name]
	clear(n.disk)
	clear(n.blobs)
	n.copies = nil
	c.diskChanged(n)
}

// Rollback brings the disk of a broker that is down back to an older copy of it.
func (c *Core) Rollback(name string) {
	n := c.nodes[name]
	if len(n.copies) == 0 {
		return
	}
	i := c.rand.IntN(len(n.copies))
	c.tell("the disk of %s is restored from copy %d of %d", name, i+1, len(n.copies))
	old := n.copies[i]
	clear(n.disk)
	maps.Copy(n.disk, old.table)
	n.blobs = maps.Clone(old.blobs)
	n.copies = n.copies[:i+1]
	c.diskChanged(n)
}

// backup keeps a copy of a disk, to be restored later.
func (c *Core) backup(n *coreNode) {
	n.copies = append(n.copies, diskCopy{maps.Clone(n.disk), maps.Clone(n.blobs)})
}

type diskCopy struct {
	table map[string][]byte
	blobs map[string]bool
}

// Split separates two groups of brokers in both directions.
func (c *Core) Split(group map[string]bool) {
	var here []string
	for _, a := range c.names {
		for _, b := range c.names {
			if group[a] != group[b] {
				c.cut[[2]string{a, b}] = true
			}
		}
		if group[a] {
			here = append(here, a)
		}
	}
	c.tell("the network splits: %v are apart", here)
	c.swim()
}

// Bridge leaves a third broker as the only one that two others can both talk to.
func (c *Core) Bridge(a, b string) {
	c.tell("%s and %s can't talk to each other, but to all others", a, b)
	c.cut[[2]string{a, b}], c.cut[[2]string{b, a}] = true, true
	c.swim()
}

// OneWay loses what a sends to b; SWIM, which probes through others, still sees both.
func (c *Core) OneWay(a, b string) {
	c.tell("what %s sends to %s is lost", a, b)
	c.cut[[2]string{a, b}] = true
	c.hidden[[2]string{a, b}] = true
}

// Heal ends all cuts.
func (c *Core) Heal() {
	if len(c.cut) > 0 {
		c.tell("the network heals")
	}
	clear(c.cut)
	clear(c.hidden)
	clear(c.unknown)
	for _, n := range c.nodes {
		n.protocol = wire.Version
	}
	c.swim()
}

// Flap lets SWIM think for a moment that a broker has failed, though it is fine.
func (c *Core) Flap(name string) {
	c.tell("%s flaps", name)
	c.flapping[name] = true
	c.tellRoster()
	c.after(time.Duration(500+c.rand.IntN(8000))*time.Millisecond, func() {
		delete(c.flapping, name)
		c.tellRoster()
	})
}

// Pause stops a broker for a while, as SIGSTOP does: it takes nothing in and says
// nothing, and then goes on as if nothing had been.
func (c *Core) Pause(name string, d time.Duration) {
	n := c.nodes[name]
	if n.b == nil || c.Now.Before(n.paused) {
		return
	}
	c.tell("%s stands still for %v", name, d)
	n.paused = c.Now.Add(d)
	c.swim()
	c.after(d, c.swim)
}

// Skew sets a broker's wall clock ahead, or back.
func (c *Core) Skew(name string, d time.Duration) {
	if c.faults.has(DeclaredAgain) {
		d %= 5 * time.Second
	}
	c.tell("the clock of %s is %v off", name, d)
	c.nodes[name].skew = d
}

// Leave drains a broker; when that is done, or after a while, it is gone.
func (c *Core) Leave(name string) {
	n := c.nodes[name]
	if n.b == nil || n.leaving {
		return
	}
	c.tell("%s leaves", name)
	n.leaving = true
	b := n.b
	gone := func() {
		if n.b != b {
			return
		}
		c.tell("%s has left", name)
		n.b, n.left, n.hasLeft, n.down = nil, true, true, c.Now
		c.tellRoster()
	}
	c.tellRoster()
	c.ask(n, func(t broker.Token) broker.Input { return broker.Drain{Token: t} }, func(broker.Answer) { gone() })
	c.after(4*time.Second, func() {
		if n.b == b {
			c.ask(n, func(t broker.Token) broker.Input { return broker.Drain{Token: t, Now: true} }, func(broker.Answer) { gone() })
		}
	})
	c.after(8*time.Second, gone)
}

// swim lets the failure detector notice, after its time, what has changed.
func (c *Core) swim() { c.after(detect, c.tellRoster) }

// Estrange keeps one broker from knowing that another exists, until all is healed.
func (c *Core) Estrange(a, b string) {
	if a == b {
		return
	}
	c.tell("%s does not know %s", a, b)
	c.unknown[[2]string{a, b}] = true
	c.tellRoster()
}

// Reaped lets SWIM forget, on both sides, everybody who is cut off now, as it does after a day.
func (c *Core) Reaped() {
	for _, a := range c.names {
		for _, b := range c.names {
			if a != b && c.apart(a, b) {
				c.tell("%s forgets %s, which is only cut off", a, b)
				c.unknown[[2]string{a, b}] = true
			}
		}
	}
	c.tellRoster()
}

// Join starts one more broker beside another. Those that are cut off from that one are cut off
// from the new one as well, and neither hears of the other.
func (c *Core) Join(beside string) (name string) {
	name = c.add()
	c.tell("%s joins, beside %s", name, beside)
	for _, other := range c.names {
		for _, way := range [][2]string{{name, other}, {other, name}} {
			like := [2]string{beside, other}
			if way[1] == name {
				like = [2]string{other, beside}
			}
			if other != beside && c.cut[like] {
				c.cut[way], c.hidden[way] = true, c.hidden[like]
				c.unknown[way], c.unknown[[2]string{way[1], way[0]}] = true, true
			}
		}
	}
	c.Start(name)
	return name
}

// Downgrade lets a broker tell the others that it speaks only the version before, until all is healed.
func (c *Core) Downgrade(name string) {
	c.tell("%s speaks protocol %d only", name, wire.Lowest)
	c.nodes[name].protocol = wire.Lowest
	c.tellRoster()
}

// Flood submits n large jobs at a broker, which nobody can run and which end by themselves.
func (c *Core) Flood(at string, n int) {
	node := c.nodes[at]
	if node.b == nil {
		return
	}
	c.tell("%d large jobs are submitted at %s", n, at)
	for i := range n {
		spec := job.Spec{Command: "work", Args: []string{strings.Repeat("x", 9000)}, Constraints: []string{"name=nobody"}}
		spec.Priority.Deadline = clock.At(c.Now.Add(time.Duration(20+c.rand.IntN(20)) * time.Second))
		must(spec.Complete())
		id := job.ID(fmt.Sprintf("large%d-%d", c.token, i))
		c.ask(node, func(t broker.Token) broker.Input { return broker.Submit{Token: t, ID: id, Spec: spec} }, func(broker.Answer) {})
	}
}

// PushPull lets one broker tell another what Serf's push-pull carries.
func (c *Core) PushPull(from, to string) {
	a, b := c.nodes[from], c.nodes[to]
	if from == to || a.b == nil || b.b == nil || a.state.From == "" || c.lost(from, to) {
		return
	}
	text, _ := wire.EncodeState(&a.state, wire.MaxState, 0)
	c.after(c.latency(), func() {
		if s, err := wire.DecodeState(text); err == nil && b.b != nil {
			c.step(b, broker.Gossip{State: s})
		}
	})
}

// SlowDisk makes a broker's disk take its time for a while: up to some seconds for each sync.
func (c *Core) SlowDisk(name string, d time.Duration) {
	c.tell("the disk of %s is slow for %v", name, d)
	c.nodes[name].slow = c.Now.Add(d)
}

// Spoil lets a broker carry out no job for a while: it returns what it is given, or what runs (rule J12).
func (c *Core) Spoil(name string, d time.Duration) {
	c.tell("%s can carry out no job for %v", name, d)
	c.nodes[name].spoilt = c.Now.Add(d)
}

// probe lets a broker that has withdrawn its offer find out when it can carry out jobs again.
func (c *Core) probe(n *coreNode, here func(func()) func()) {
	c.after(max(n.spoilt.Sub(c.Now), time.Second), here(func() {
		if c.Now.Before(n.spoilt) {
			c.probe(n, here)
			return
		}
		c.step(n, broker.Recovered{})
	}))
}

// RestoreTwo ends two brokers at once, and starts both from older copies of their disks.
func (c *Core) RestoreTwo(a, b string) {
	for _, name := range []string{a, b} {
		c.Kill(name)
		c.Rollback(name)
		c.Start(name)
	}
}

// epoch is how far a clock is off that shows 1970.
func (c *Core) epoch() time.Duration { return -c.Now.Sub(time.Unix(0, 0)) }
