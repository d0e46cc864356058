package node

import (
	"context"
	"strconv"
	"time"

	"github.com/urban-compute/ucp/broker"
	"github.com/urban-compute/ucp/broker/wire"
)

// drainingTag is the Serf tag of a broker that is about to leave (rule I2): nobody
// gives it anything any more.
const drainingTag = "draining"

// handOver is how long a leaving broker waits for others to hold what it hands to
// them, when nothing runs any more.
const handOver = 5 * time.Second

// tags is what this broker tells of itself through Serf (rule I2).
func (n *Node) tags(draining bool) map[string]string {
	t := map[string]string{
		"ucp": "1", "actor": string(n.actor), "http": n.httpAddr(), "proto": strconv.Itoa(wire.Version),
	}
	if draining {
		t[drainingTag] = "1"
	}
	return t
}

// drain gives away what this broker is responsible for. It takes DrainTimeout and
// handOver at most. Known says that all others hold all that this broker wrote.
func (n *Node) drain() (known bool) {
	if err := n.pool.SetTags(n.tags(true)); err != nil {
		n.log.Warn("telling the others that this broker leaves", "error", err)
	}
	if n.cfg.DrainTimeout > 0 {
		ctx, cancel := context.WithTimeout(n.ctx, n.cfg.DrainTimeout)
		defer cancel()
		if d, err := n.drained(ctx, false); err == nil {
			return d.Known
		}
		n.log.Warn("jobs still run; they are stopped, and run again elsewhere", "after", n.cfg.DrainTimeout.String())
	}
	ctx, cancel := context.WithTimeout(n.ctx, handOver)
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
	d, err := ask[*broker.Drained](ctx, n, func(t broker.Token) broker.Input { return broker.Drain{Token: t, Now: now} })
	if err == nil && d.Left > 0 {
		n.log.Info("unfinished jobs stay on this disk until the next start: nobody is there to take them", "jobs", d.Left)
	}
	return d, err
}
