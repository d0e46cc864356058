package broker

import (
	"slices"

	"github.com/urban-compute/ucp/broker/ack"
	"github.com/urban-compute/ucp/broker/kind"
	"github.com/urban-compute/ucp/clock"
	"github.com/urban-compute/ucp/identity"
	"github.com/urban-compute/ucp/ledger"
	"github.com/urban-compute/ucp/setting"
	"github.com/urban-compute/ucp/trust"
)

// What the authorities of a city have said travels like any setting (rule X6). The core keeps it and passes it on, and tells
// the shell, which decides by it who may come in and who stays.

// vouch writes what authorities have said. What is known already is not written again.
func (b *Broker) vouch(in Vouch) {
	var last clock.Dot
	for _, p := range in.Proofs {
		var wrote *setting.Setting
		_, err := b.ledger.Apply(kind.SettingRef(trust.Name(p)), func(dot clock.Dot, old ledger.Record) ledger.Record {
			if old != nil || p.City() != b.cfg.City {
				return nil
			}
			wrote, last = trust.Say(p, b.stamp(), dot), dot
			return wrote
		})
		b.fail(err)
		if wrote != nil && err == nil {
			b.settingChanged(wrote, true)
		}
	}
	if last.IsZero() {
		b.answer(in.Token, &Vouched{Replicas: 1})
		return
	}
	b.awaitCopies(ack.Demand{Dot: last}, &vouchWaiter{in.Token})
}

// ofThisCity is what a delta brings, without what authorities of other cities have said: that counts as what does not validate.
func (b *Broker) ofThisCity(d ledger.Delta) []ledger.Entry {
	entries := d.Entries
	for i, e := range d.Entries {
		s, is := e.Record.(*setting.Setting)
		if !is || s.Said == "" || trust.Check(b.cfg.City, s) == nil {
			continue
		}
		if &entries[0] == &d.Entries[0] {
			entries = slices.Clone(entries)
		}
		entries[i].Record = nil
		b.breach(d.From.Broker(), "X6", "a statement of another city")
	}
	return entries
}

// trusts tells the shell what an authority has said.
func (b *Broker) trusts(s *setting.Setting) {
	p, err := identity.DecodeProof([]byte(s.Said))
	if err != nil { // it was checked when it came
		return
	}
	b.out.Trusted = append(b.out.Trusted, p)
	if a, is := p.Statement.(*identity.Admission); is && a.Role == identity.Broker {
		b.enrolment.letIn(a.Name)
	}
}

// vouchWaiter is a client that waits until others know what an authority has said (rule A1).
type vouchWaiter struct{ by Token }

func (v *vouchWaiter) token() Token { return v.by }

func (v *vouchWaiter) durable(b *Broker, copies int) {
	b.answer(v.by, &Vouched{New: true, Replicas: copies, Degraded: b.copies.Degraded(copies)})
}
