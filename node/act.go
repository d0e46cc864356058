package node

import (
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/urban-compute/ucp/broker"
	"github.com/urban-compute/ucp/broker/wire"
)

// act carries out a Ready whose commit is synced. It runs on the engine's goroutine and does not
// block.
func (n *Node) act(rd broker.Ready) {
	if n.cfg.City != nil && len(rd.Trusted) > 0 {
		n.cfg.City.Learn(rd.Trusted...)
		n.life.work.Go(n.heads.retry) // it tells the engine, which this is
	}
	if n.cfg.City != nil && len(rd.Introduce) > 0 {
		n.life.work.Go(func() { n.introduce(rd.Introduce) })
	}
	if n.heads != nil {
		n.heads.sheets.look(rd)
	}
	n.warn(rd.Overview)
	n.shown.set(rd.Overview)
	for _, s := range rd.Send {
		n.peers.send(s)
	}
	for _, p := range rd.Push {
		n.peers.push(p)
	}
	for _, f := range rd.Fetch {
		n.peers.fetch(f)
	}
	for _, h := range rd.Hurry {
		n.peers.hurry(h)
	}
	n.peers.keep(rd.Keep)
	n.executions.act(rd)
	if rd.Probe {
		n.prober.ask()
	}
	for _, h := range rd.Handed {
		n.log.Info("job handed over", "job", string(h.ID), "to", h.To)
	}
	for _, m := range rd.Moved {
		n.log.Info("job moved", "job", string(m.ID), "from", m.From, "to", m.To)
	}
	for _, id := range rd.Cancelled {
		n.log.Info("job cancelled", "job", string(id))
	}
	n.broadcasts.send(rd)
	if len(rd.Breaches) > 0 && n.breaches.allow(n.cfg.Now()) {
		x := rd.Breaches[0]
		n.log.Error("a peer says what it can't know; that was not believed", "peer", x.Peer, "what", x.What, "rule", x.Rule, "with others", len(rd.Breaches)-1)
	}
	if rd.Leapt != 0 {
		n.log.Warn("what time it is in the city was wrong at this broker, and is put right (rule T2)", "by", rd.Leapt.String())
	}
	if rd.Mint != nil {
		n.life.work.Go(func() { n.renew(*rd.Mint) })
	}
	for _, x := range rd.Notes {
		if x.Kind == "emergency" || x.Kind == "strategy" || x.Kind == "member" {
			n.log.Info(x.Kind, "what", x.What, "id", x.ID, "text", x.Text)
		}
	}
	n.http.Watch(rd.Notes)
}

// warn logs the warnings of a new overview, nil for none, that the one before did not have.
func (n *Node) warn(o *broker.Overview) {
	if o == nil {
		return
	}
	var before []string
	if last := n.shown.overview.Load(); last != nil {
		before = last.Warnings
	}
	for _, text := range o.Warnings {
		if !slices.Contains(before, text) {
			n.log.Warn(text)
		}
	}
}

// shown is what the core last published of this broker and the others, for status pages and
// push-pull.
type shown struct {
	first    chan struct{} // closed once there is an overview: before that nobody is told anything
	overview atomic.Pointer[broker.Overview]
	encoded  atomic.Pointer[func() []byte] // its State as push-pull carries it
	latest   atomic.Int64                  // time of the city that was shown, in Unix nanoseconds
	told     atomic.Int64                  // rows of others that push-pull has carried: the next follow, where not all fit
}

// set takes in a new overview, unless it is nil. Among a hundred brokers one is made each second, and
// push-pull asks for it once a minute: it is encoded when it is first asked for.
func (s *shown) set(o *broker.Overview) {
	if o == nil {
		return
	}
	limit := wire.MaxState
	if o.Protocol < wire.V2 {
		limit = wire.MaxState1
	}
	encoded := sync.OnceValue(func() []byte {
		b, told := wire.EncodeState(&o.State, limit, int(s.told.Load()))
		s.told.Add(int64(told))
		return b
	})
	s.encoded.Store(&encoded)
	if s.overview.Swap(o) == nil {
		close(s.first)
	}
}

// cityTime is what time it is in the city when this machine's clock shows that, as the core has last published it: this
// machine's clock until then. It does not run back between one overview and the next, as when the core lets it go slower;
// only where it was off by more than that, as with a clock that was wrong, it leaps (rule T2).
func (s *shown) cityTime(machine time.Time, skew time.Duration) time.Time {
	at := machine.UTC().Round(0)
	if o := s.overview.Load(); o != nil {
		at = at.Add(o.Drift)
	}
	for {
		latest := s.latest.Load()
		if back := time.Unix(0, latest).Sub(at); latest != 0 && back > 0 && back <= skew {
			return time.Unix(0, latest).UTC()
		}
		if s.latest.CompareAndSwap(latest, at.UnixNano()) {
			return at
		}
	}
}

// state is what push-pull carries; nil before there is anything.
func (s *shown) state() []byte {
	if encoded := s.encoded.Load(); encoded != nil {
		return (*encoded)()
	}
	return nil
}
