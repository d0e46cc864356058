package broker

import (
	"slices"
	"time"

	"github.com/urban-compute/ucp/broker/causal"
)

// catching is a client that waits until this broker knows what it has seen (rule
// C3).
type catching struct {
	token    Token
	past     causal.Context
	deadline time.Time
}

func (b *Broker) catchUp(in CatchUp) {
	missing := in.Past.Beyond(b.ledger.Clock())
	if len(missing) == 0 || in.Timeout <= 0 {
		b.answerCaughtUp(in.Token, missing)
		return
	}
	for _, x := range missing { // whoever wrote it has it: ask there
		b.peers.Pull(x.Dot.Actor.Broker())
	}
	b.catching = append(b.catching, catching{in.Token, in.Past, b.now.Add(in.Timeout)})
}

func (b *Broker) answerCaughtUp(t Token, missing causal.Context) {
	if len(missing) == 0 {
		b.answer(t, &CaughtUp{})
	} else {
		b.answer(t, &StillBehind{Missing: missing})
	}
}

// checkCatching answers those who need wait no longer.
func (b *Broker) checkCatching() {
	if len(b.catching) == 0 {
		return
	}
	c := b.ledger.Clock()
	b.catching = slices.DeleteFunc(b.catching, func(w catching) bool {
		missing := w.past.Beyond(c)
		if len(missing) > 0 && b.now.Before(w.deadline) {
			return false
		}
		b.answerCaughtUp(w.token, missing)
		return true
	})
}

func (b *Broker) catchingDue() (due time.Time) {
	for _, w := range b.catching {
		if due.IsZero() || w.deadline.Before(due) {
			due = w.deadline
		}
	}
	return due
}
