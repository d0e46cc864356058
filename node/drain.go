package node

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/urban-compute/ucp/broker"
	"github.com/urban-compute/ucp/broker/wire"
	"github.com/urban-compute/ucp/gossip"
	"github.com/urban-compute/ucp/node/httpd"
)

// handOver is how long a leaving broker waits for others to hold what it hands to
// them, when nothing runs any more.
const handOver = 5 * time.Second

// tags is what this broker tells of itself through Serf (rule I2).
func (n *Node) tags(draining bool) map[string]string {
	t := map[string]string{
		"ucp": "1", "actor": string(n.starts.actor()), "http": n.told.Load().http, httpd.ProtocolTag: fmt.Sprintf("%d-%d", wire.Lowest, wire.Version),
	}
	if first := n.starts.process(); first != n.starts.actor() {
		t[processTag] = strings.TrimPrefix(string(first), n.name+"~")
	}
	if draining {
		t[httpd.DrainingTag] = "1"
	}
	return t
}

// drain gives away what this broker is responsible for. It takes DrainTimeout and
// handOver at most. Known says that all others hold all that this broker wrote.
func (n *Node) drain(pool *gossip.Pool) (known bool) {
	if err := n.tell(pool, true); err != nil {
		n.log.Warn("telling the others that this broker leaves", "error", err)
	}
	if n.cfg.DrainTimeout > 0 {
		ctx, cancel := context.WithTimeout(n.life.ctx, n.cfg.DrainTimeout)
		defer cancel()
		if d, err := n.drained(ctx, false); err == nil {
			return d.Known
		}
		n.log.Warn("jobs still run, or others do not hold all yet; what runs is stopped, and runs again elsewhere", "after", n.cfg.DrainTimeout.String())
	}
	ctx, cancel := context.WithTimeout(n.life.ctx, handOver)
	defer cancel()
	d, err := n.drained(ctx, true)
	if err != nil {
		n.log.Warn("left before everything was handed over; the others take it over")
		return false
	}
	return d.Known
}

// drained waits until all is handed over and nothing runs here; an error when the
// context ended before.
func (n *Node) drained(ctx context.Context, now bool) (*broker.Drained, error) {
	a, err := n.engine.Ask(ctx, func(t broker.Token) broker.Input { return broker.Drain{Token: t, Now: now} })
	d, ok := a.(*broker.Drained)
	if err == nil && !ok {
		err = fmt.Errorf("unexpected answer %T", a)
	}
	if err == nil && d.Left > 0 {
		n.log.Info("unfinished jobs stay on this disk until the next start: no other broker is there to take them", "jobs", d.Left)
	}
	return d, err
}
