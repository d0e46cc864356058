package node

import (
	"context"
	"log/slog"
	"time"

	"github.com/urban-compute/ucp/broker"
)

// How often a broker that has withdrawn its offer probes itself (rule J12).
const (
	probeFirst  = time.Second      // the first pause; it doubles
	probeMost   = time.Minute      // the longest pause
	probeMemory = 10 * time.Minute // a withdrawal so soon after a recovery goes on with the pause of the one before
)

// prober finds out when this broker can carry out jobs again, after it has returned one.
type prober struct {
	runner Runner
	engine *engine
	log    *slog.Logger
	now    func() time.Time
	asked  chan struct{} // has room for one: the core asks once for each time that it withdraws its offer
}

func newProber(e *engine, log *slog.Logger, now func() time.Time) *prober {
	return &prober{engine: e, log: log, now: now, asked: make(chan struct{}, 1)}
}

// ask asks for a probe; it does not block.
func (p *prober) ask() {
	select {
	case p.asked <- struct{}{}:
	default:
	}
}

// run probes when it is asked, until the context ends.
func (p *prober) run(ctx context.Context) error {
	var pause time.Duration
	var recovered time.Time
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-p.asked:
		}
		if p.now().Sub(recovered) > probeMemory {
			pause = probeFirst
		}
		for ok := false; !ok; pause = min(2*pause, probeMost) {
			timer := time.NewTimer(pause)
			select {
			case <-ctx.Done():
				timer.Stop()
				return nil
			case <-timer.C:
			}
			err := p.runner.Probe(ctx)
			if ok = err == nil; !ok {
				p.log.Debug("this broker can't carry out jobs yet", "error", err)
			}
		}
		recovered = p.now()
		p.log.Info("this broker can carry out jobs again, and offers to")
		p.engine.Tell(broker.Recovered{})
	}
}
