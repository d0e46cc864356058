package node

import (
	"encoding/base64"
	"fmt"
	"log/slog"
	"sync/atomic"
	"time"

	"github.com/urban-compute/ucp/audit"
	"github.com/urban-compute/ucp/broker"
	"github.com/urban-compute/ucp/broker/kind"
	"github.com/urban-compute/ucp/city"
	"github.com/urban-compute/ucp/clock"
	"github.com/urban-compute/ucp/head"
	"github.com/urban-compute/ucp/ledger"
	"github.com/urban-compute/ucp/node/httpd"
)

// heads signs this broker's commits, and takes in what others have signed of theirs (rules H1, H2). Messages between brokers carry
// what the other side does not have; the core hears of it before it sees the message.
type heads struct {
	all     *city.Heads
	engine  *engine
	sheets  *sheets
	audits  *audits
	now     func() time.Time
	log     *slog.Logger
	refused atomic.Uint64
	said    atomic.Int64 // when one that was refused was last logged, in nanoseconds since 1970
}

var _ httpd.Heads = (*heads)(nil)

// sign makes the heads of a commit, one as a rule, and says how they are stored, with their sheets.
func (h *heads) sign(c *ledger.Batch) (signed []*head.Head, stored []ledger.Op, err error) {
	for _, w := range c.Written() {
		leaves := kind.Leaves(w)
		x, err := h.all.Sign(clock.Dot{Actor: w.Actor, Counter: w.Upto}, leaves)
		if err != nil {
			return nil, nil, fmt.Errorf("signing a commit: %w", err)
		}
		signed = append(signed, x)
		stored = append(append(stored, broker.HeadOp(x)), h.sheets.keep(&head.Sheet{Head: x, Leaves: leaves})...)
	}
	return signed, stored, nil
}

// show is what a message to a start of a peer tells, "" where that is not known; told says that the message has come to a start of it.
func (h *heads) show(to string, actor clock.Actor) (list [][]byte, told func(clock.Actor)) {
	list, arrived := h.all.For(to, actor)
	return list, func(by clock.Actor) {
		if by == actor {
			arrived()
		}
	}
}

// Show implements httpd.Heads. Whether a reply arrives is not known.
func (h *heads) Show(to string, actor clock.Actor) [][]byte {
	list, _ := h.all.For(to, actor)
	return list
}

// See implements httpd.Heads.
func (h *heads) See(from string, actor clock.Actor, list [][]byte) {
	if len(list) == 0 {
		return
	}
	news, forks, err := h.all.Take(from, actor, list)
	if err != nil {
		h.refused.Add(1)
		if last, now := h.said.Load(), h.now().UnixNano(); now-last > int64(time.Second) && h.said.CompareAndSwap(last, now) {
			h.log.Error("a peer tells of a head that was not believed (rule H1)", "peer", from, "error", err)
		}
	}
	h.took(news, forks)
}

// retry looks again at the heads of members that were not known.
func (h *heads) retry() { h.took(h.all.Retry()) }

func (h *heads) took(news []*head.Head, forks []*city.Fork) {
	if len(news) > 0 {
		h.engine.Tell(broker.Signed{Heads: news})
	}
	for _, f := range forks {
		h.log.Error("FORK: a broker has signed two histories (rule H2)", "actor", string(f.Actor()), "what", f.String())
		h.audits.Note(audit.Entry{At: h.now(), What: audit.Fork, Which: string(f.Actor()), Who: f.Actor().Broker(),
			Detail: base64.StdEncoding.EncodeToString(f.One.Encode()) + " " + base64.StdEncoding.EncodeToString(f.Other.Encode())})
	}
}

// troubles say which forks are known, for people; none outside of a city.
func (h *heads) troubles() (out []string) {
	if h == nil {
		return nil
	}
	for _, f := range h.all.Forks() {
		out = append(out, "FORK: "+f.String())
	}
	return append(out, h.sheets.troubles()...)
}

// Forks implements httpd.Heads.
func (h *heads) Forks() int { return len(h.all.Forks()) }

// Refused implements httpd.Heads.
func (h *heads) Refused() uint64 { return h.refused.Load() }
