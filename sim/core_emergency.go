package sim

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/urban-compute/ucp/broker"
	"github.com/urban-compute/ucp/broker/kind"
	"github.com/urban-compute/ucp/clock"
	"github.com/urban-compute/ucp/emergency"
	"github.com/urban-compute/ucp/job"
	"github.com/urban-compute/ucp/ledger"
)

// Emergencies in a simulated fault schedule: who declares and clears them, and Serf's events, which
// are lost, doubled, late, and told again long after (rule E1).

// flooded is one event that Serf has carried, for ever to be told again.
type flooded struct {
	payload []byte
	ltime   uint64
}

// Declare declares an emergency at a broker, or changes it.
func (c *Core) Declare(at string, d emergency.Declaration) {
	n := c.nodes[at]
	if n.b == nil {
		return
	}
	c.tell("%s declares %s %s %s", at, d.ID, d.Type, d.Level)
	c.request(n, "declare", c.cfg.AckTimeout, func(t broker.Token) broker.Input { return broker.Declare{Token: t, Declaration: d} }, func(broker.Answer) {})
}

// ClearEmergency clears one at a broker, which need not know it.
func (c *Core) ClearEmergency(at, id string) {
	n := c.nodes[at]
	if n.b == nil {
		return
	}
	c.tell("%s clears %s", at, id)
	c.request(n, "clear", c.cfg.AckTimeout, func(t broker.Token) broker.Input { return broker.Clear{Token: t, ID: id, Force: true} }, func(broker.Answer) {})
}

// StockEvent is what a stock Serf command line says at a broker's node.
func (c *Core) StockEvent(at, payload string) {
	if n := c.nodes[at]; n.b != nil {
		c.tell("serf event at %s: %s", at, payload)
		c.flood(n, []byte(payload))
	}
}

// flood carries an event to all, the sender included, each in up to a second.
func (c *Core) flood(from *coreNode, payload []byte) {
	c.lamport += uint64(1 + c.rand.IntN(3))
	if c.rand.IntN(50) == 0 {
		c.lamport = max(c.lamport, 1<<62) // a broken client's clock
	}
	e := flooded{payload, c.lamport}
	c.floods = append(c.floods, e)
	for _, name := range c.names {
		if name == from.name || !c.lost(from.name, name) {
			c.bring(name, e)
		}
		if c.rand.Float64() < c.Dup {
			c.bring(name, e)
		}
	}
}

// bring lets an event arrive at a broker.
func (c *Core) bring(name string, e flooded) {
	c.after(time.Duration(c.rand.IntN(1000))*time.Millisecond, func() {
		n := c.nodes[name]
		if n.b == nil {
			return
		}
		r, err := emergency.Parse(e.payload, e.ltime, clock.HybridAt(c.wall(n)))
		if err != nil {
			return
		}
		if !bytes.Contains(e.payload, []byte(`"id"`)) && !r.Finished() {
			c.stock[r.ID] = true
		}
		c.step(n, broker.Heard{Event: r})
	})
}

// replay tells a broker old events again, as Serf's push-pull does after a split.
func (c *Core) replay(name string) {
	for _, e := range c.floods[max(0, len(c.floods)-8):] {
		c.bring(name, e)
	}
}

// checkEmergencies sees to it that all brokers say the same of every emergency: not whether
// it is active, since their clocks may be an hour apart, but until when it is.
func (c *Core) checkEmergencies() {
	said := map[string]string{}
	for _, name := range c.names {
		n := c.nodes[name]
		c.ask(n, func(t broker.Token) broker.Input { return broker.ListEmergencies{Token: t} }, func(v broker.Answer) {
			var lines []string
			for _, e := range v.(*broker.Emergencies).List {
				r := e.Record
				if c.faults.has(DeclaredAgain) && !e.Active {
					continue // it may be forgotten elsewhere
				}
				lines = append(lines, fmt.Sprintf("%s %s %d %v until %v cleared %v heard %v", r.ID, r.Terms.Type, r.Terms.Level, r.Version, r.Until(), r.Cleared, e.Heard))
			}
			slices.Sort(lines)
			said[name] = strings.Join(lines, "\n")
		})
	}
	c.Run(5 * time.Second)
	for _, name := range c.names[1:] {
		if first := c.names[0]; said[name] != said[first] {
			c.fail("E3: %s and %s differ on emergencies:\n%s\n---\n%s", first, name, said[first], said[name])
		}
	}
}

// isOver reports whether two states of an emergency differ, one of which may be forgotten, though neither is in force (rule E6).
func (c *Core) isOver(key string, states ...[]byte) bool {
	if ref, ok := ledger.RefOf([]byte(key)); !ok || ref.Kind != kind.Emergency || !c.faults.has(DeclaredAgain) {
		return false
	}
	return !slices.ContainsFunc(states, func(b []byte) bool {
		r, err := emergency.Decode(b)
		return err == nil && r.Active(clock.At(c.Now))
	})
}

// declareAgain is what a schedule does with emergencies that are soon forgotten: few IDs, each for a short time.
func (n *schedule) declareAgain(at string) {
	id := fmt.Sprintf("e%d", n.more.IntN(3))
	if n.more.IntN(4) == 0 {
		n.c.ClearEmergency(at, id)
		return
	}
	d := emergency.Declaration{ID: emergency.ID(id), Type: "flood", Level: "high"}
	must(d.TTL.UnmarshalJSON(fmt.Appendf(nil, "%q", time.Duration(2+n.more.IntN(10))*time.Second)))
	n.c.Declare(at, d)
}

// checkDeclaredAgain declares each emergency again as soon as somebody has forgotten it, and sees to it that this one is what all know then,
// also those who remember the one before (rule E6).
func (c *Core) checkDeclaredAgain() {
	for i := range 3 {
		id := emergency.ID(fmt.Sprintf("e%d", i))
		var at string
		for range 30 {
			for name, r := range c.knowEmergency(id) {
				if r == nil && (at == "" || name < at) {
					at = name
				}
			}
			if at != "" {
				break
			}
		}
		if at == "" {
			continue // somewhere clocks are so far off that it goes on
		}
		c.Declare(at, emergency.Declaration{ID: id, Type: "again", Level: "high", TTL: clock.Duration(24 * time.Hour)})
		c.Run(20 * time.Second)
		for name, r := range c.knowEmergency(id) {
			if r == nil || r.Terms.Type != "again" || r.Finished() {
				c.fail("E6: %s was declared again at %s, which had forgotten it, and %s knows %v", id, at, name, r)
			}
		}
	}
	c.checkEmergencies()
}

// knowEmergency is what each broker knows of an emergency, nil for nothing.
func (c *Core) knowEmergency(id emergency.ID) map[string]*emergency.Record {
	out := map[string]*emergency.Record{}
	for _, name := range c.names {
		out[name] = nil
		c.ask(c.nodes[name], func(t broker.Token) broker.Input { return broker.ListEmergencies{Token: t} }, func(v broker.Answer) {
			for _, e := range v.(*broker.Emergencies).List {
				if e.Record.ID == id {
					out[name] = e.Record
				}
			}
		})
	}
	c.Run(2 * time.Second)
	return out
}

// emergencies are what a schedule does with them.
func (n *schedule) emergencies(at string) {
	c := n.c
	id := fmt.Sprintf("e%d", c.rand.IntN(4))
	level := []string{"low", "high", "critical"}[c.rand.IntN(3)]
	switch c.rand.IntN(6) {
	case 0, 1:
		d := emergency.Declaration{ID: emergency.ID(id), Type: "flood", Level: job.LevelText(level)}
		must(d.TTL.UnmarshalJSON(fmt.Appendf(nil, "%q", time.Duration(5+c.rand.IntN(120))*time.Second)))
		if c.rand.IntN(3) == 0 {
			d.Scope = emergency.Selector{"name=" + n.pick()}
		}
		c.Declare(at, d)
	case 2:
		c.Declare(at, emergency.Declaration{Type: "storm", Level: job.LevelText(level), Select: emergency.Selector{"pumps"}})
	case 3:
		c.StockEvent(at, fmt.Sprintf(`{"type":"flood","level":%q,"ttl":"30s"}`, level))
	case 4:
		if c.rand.IntN(2) == 0 {
			c.StockEvent(at, fmt.Sprintf(`{"clear":%q}`, id))
		} else {
			c.ClearEmergency(at, id)
		}
	case 5:
		c.tell("%s is told old events again", at)
		c.replay(at)
	}
}
