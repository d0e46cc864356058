package node

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/urban-compute/ucp/broker"
	"github.com/urban-compute/ucp/clock"
	"github.com/urban-compute/ucp/emergency"
	"github.com/urban-compute/ucp/gossip"
	"github.com/urban-compute/ucp/node/httpd"
)

// maxBroadcasts bounds the events that wait for Serf; what does not fit is left out: the record is on
// its way (rule E1).
const maxBroadcasts = 256

// broadcasts carries emergencies as Serf's user events, out and in.
type broadcasts struct {
	engine  *engine
	metrics *httpd.Metrics
	log     *slog.Logger
	now     func() time.Time

	waiting  chan []byte
	warnings onceASecond
}

// send queues what is to be broadcast; it does not block.
func (b *broadcasts) send(rd broker.Ready) {
	for _, payload := range rd.Broadcast {
		select {
		case b.waiting <- payload:
		default:
			b.log.Warn("an event of an emergency is not broadcast, since too many wait; its record is on its way all the same")
		}
	}
	if len(rd.Dropped) > 0 && b.warnings.allow(b.now()) {
		b.log.Warn("too many events of emergencies: some are not followed", "the first", string(rd.Dropped[0]))
	}
}

// run hands events to Serf, which may take a moment each, until the context ends.
func (b *broadcasts) run(ctx context.Context, pool func() *gossip.Pool) error {
	for {
		select {
		case <-ctx.Done():
			return nil
		case payload := <-b.waiting:
			if err := pool().UserEvent(emergency.EventName, payload); err != nil {
				b.log.Warn("broadcasting an emergency; its record is on its way all the same", "error", err)
			}
		}
	}
}

// receive takes in a user event of Serf. One of another name is passed over; a payload that makes no
// sense is logged and counted, and harms nothing.
func (b *broadcasts) receive(name string, payload []byte, ltime uint64) {
	if name != emergency.EventName {
		return
	}
	r, err := emergency.Parse(payload, ltime, clock.HybridAt(b.now()))
	if err != nil {
		b.metrics.BadEvent()
		if b.warnings.allow(b.now()) {
			b.log.Warn("an event of an emergency is not understood, and not followed", "payload", fmt.Sprintf("%.200q", payload), "error", err)
		}
		return
	}
	b.engine.Tell(broker.Heard{Event: r})
}

// onceASecond lets one line a second into the log of what a broken client can repeat without end.
type onceASecond struct {
	mu   sync.Mutex
	last time.Time
}

func (o *onceASecond) allow(now time.Time) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	if !o.last.IsZero() && now.Sub(o.last) < time.Second {
		return false
	}
	o.last = now
	return true
}
