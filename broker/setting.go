package broker

import (
	"strings"

	"github.com/urban-compute/ucp/broker/kind"
	"github.com/urban-compute/ucp/clock"
	"github.com/urban-compute/ucp/ledger"
	"github.com/urban-compute/ucp/setting"
)

// set changes a setting for the whole cluster, in view of these emergencies. It returns nil when the archive failed.
func (b *Broker) set(name, value string, seen []string) *setting.Setting {
	var s *setting.Setting
	_, err := b.ledger.Apply(kind.SettingRef(name), func(dot clock.Dot, old ledger.Record) ledger.Record {
		before, _ := old.(*setting.Setting)
		s = setting.New(name, before, value, b.stamp(), dot)
		s = s.See(seen)
		return s
	})
	if err != nil {
		b.fail(err)
		return nil
	}
	b.settingChanged(s, true)
	return s
}

// settingChanged notes a new value, ours or a peer's, and passes it on.
func (b *Broker) settingChanged(s *setting.Setting, own bool) {
	b.tell(s.Dots, own)
	b.settled(s)
}

// settled acts on what a setting says.
func (b *Broker) settled(s *setting.Setting) {
	switch {
	case s.Said != "":
		b.trusts(s)
	case s.Name == strategySetting:
		b.decisions.adopt(s)
	case strings.HasPrefix(s.Name, drainSetting):
		b.drainChanged(s)
	}
}
