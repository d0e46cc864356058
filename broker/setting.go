package broker

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"maps"
	"slices"

	"github.com/hashicorp/go-msgpack/v2/codec"

	"github.com/urban-compute/ucp/clock"
	"github.com/urban-compute/ucp/job"
	"github.com/urban-compute/ucp/ledger"
)

// SettingKind is the ledger's kind of settings.
const SettingKind ledger.Kind = "setting"

// Bounds of a setting (rule L11).
const (
	maxSetting        = 4 << 10 // bytes of its encoding
	maxSettingValue   = 256
	maxSettingCreated = 8 // creations, the smallest by actor and counter
)

// Setting is a value that all brokers of a cluster adopt, also those that join late:
// a register in the ledger. The highest version holds: first by number, so that a clock
// that is an hour ahead does not win for an hour (rule I3), then by time and writer.
// Settings are immutable, never finished and never forgotten.
type Setting struct {
	Name    string       `codec:"name"`
	Value   string       `codec:"value"`
	Seq     uint64       `codec:"seq"` // grows with every change that saw the one before
	At      clock.Hybrid `codec:"at"`
	By      clock.Actor  `codec:"by"`
	Created []clock.Dot  `codec:"created"`
	Dots    clock.Vector `codec:"dots"`

	unknown map[string]any // fields of a newer broker, kept (rule L2)
}

// Key implements ledger.Record.
func (s *Setting) Key() string { return s.Name }

// Writers implements ledger.Record.
func (s *Setting) Writers() clock.Vector { return s.Dots }

// Finished implements ledger.Record.
func (s *Setting) Finished() bool { return false }

// CreatedWithin implements ledger.Record.
func (s *Setting) CreatedWithin(c clock.Vector) bool {
	return !slices.ContainsFunc(s.Created, func(d clock.Dot) bool { return !c.Has(d) })
}

// Encode implements ledger.Record.
func (s *Setting) Encode() []byte {
	out := settingBytes(s)
	if len(s.unknown) == 0 {
		return out
	}
	var all map[string]any
	if err := codec.NewDecoderBytes(out, settingHandle).Decode(&all); err != nil {
		panic("broker: sorting a setting: " + err.Error()) // it was encoded two lines above
	}
	maps.Copy(all, s.unknown)
	return settingBytes(all)
}

var settingHandle = func() *codec.MsgpackHandle {
	h := &codec.MsgpackHandle{}
	h.Canonical, h.WriteExt, h.RawToString = true, true, true
	h.MaxDepth = 64
	return h
}()

func settingBytes(v any) (out []byte) {
	if err := codec.NewEncoderBytes(&out, settingHandle).Encode(v); err != nil {
		panic("broker: encoding a setting: " + err.Error()) // it holds nothing that msgpack can't express
	}
	return out
}

// knownSettingFields are those of [Setting].
var knownSettingFields = []string{"name", "value", "seq", "at", "by", "created", "dots"}

// decodeSetting reads and validates a setting of a peer or a disk (rules L10, L11).
func decodeSetting(b []byte) (*Setting, error) {
	if len(b) > maxSetting {
		return nil, fmt.Errorf("setting of %d bytes, at most %d are allowed", len(b), maxSetting)
	}
	s := new(Setting)
	if err := codec.NewDecoderBytes(b, settingHandle).Decode(s); err != nil {
		return nil, fmt.Errorf("setting: %w", err)
	}
	switch {
	case !job.ValidName(s.Name):
		return nil, errors.New("a setting has no valid name")
	case len(s.Value) > maxSettingValue || s.Seq == 0 || s.By == "":
		return nil, fmt.Errorf("setting %q has %d bytes, version %d of %q", s.Name, len(s.Value), s.Seq, s.By)
	case len(s.Created) == 0 || len(s.Created) > maxSettingCreated || !slices.IsSortedFunc(s.Created, clock.Dot.Compare):
		return nil, fmt.Errorf("setting %q has %d creations", s.Name, len(s.Created))
	}
	if err := s.Dots.Valid(); err != nil {
		return nil, fmt.Errorf("setting %q: %w", s.Name, err)
	}
	var all map[string]any
	if err := codec.NewDecoderBytes(b, settingHandle).Decode(&all); err != nil {
		return nil, fmt.Errorf("setting: %w", err)
	}
	for _, name := range knownSettingFields {
		delete(all, name)
	}
	if len(all) > 0 {
		s.unknown = all
	}
	return s, nil
}

// compare orders versions of one setting.
func (s *Setting) compare(t *Setting) int {
	return cmp.Or(cmp.Compare(s.Seq, t.Seq), cmp.Compare(s.At, t.At), cmp.Compare(s.By, t.By))
}

// mergeSettings joins two copies (rule L2): the highest version's value, the
// smallest creations, the join of the dots, all unknown fields.
func mergeSettings(a, b *Setting) (*Setting, bool) {
	m, changed := *a, false
	if b.compare(a) > 0 {
		m.Value, m.Seq, m.At, m.By, changed = b.Value, b.Seq, b.At, b.By, true
	}
	created := append(slices.Clone(a.Created), b.Created...)
	slices.SortFunc(created, clock.Dot.Compare)
	created = slices.Compact(created)
	if created = created[:min(len(created), maxSettingCreated)]; !slices.Equal(created, a.Created) {
		m.Created, changed = created, true
	}
	if !a.Dots.Covers(b.Dots) {
		m.Dots = a.Dots.Clone()
		m.Dots.Merge(b.Dots)
		changed = true
	}
	for _, name := range slices.Sorted(maps.Keys(b.unknown)) {
		old, known := a.unknown[name]
		if known && bytes.Compare(settingBytes(b.unknown[name]), settingBytes(old)) <= 0 {
			continue
		}
		fields := map[string]any{name: b.unknown[name]}
		for other, v := range m.unknown {
			if other != name {
				fields[other] = v
			}
		}
		m.unknown, changed = fields, true
	}
	if !changed {
		return a, false
	}
	return &m, true
}

// set changes a setting for the whole cluster.
func (b *Broker) set(name, value string) {
	var s *Setting
	_, err := b.ledger.Apply(ledger.Ref{Kind: SettingKind, Key: name}, func(dot clock.Dot, old ledger.Record) ledger.Record {
		s = &Setting{Name: name, Value: value, Seq: 1, At: b.stamp(), By: b.cfg.Actor, Created: []clock.Dot{dot}, Dots: clock.NewVector(dot)}
		if o, ok := old.(*Setting); ok {
			s.Seq, s.Created, s.Dots, s.unknown = o.Seq+1, o.Created, o.Dots.Clone(), o.unknown
			s.Dots.Set(dot)
		}
		return s
	})
	if err != nil {
		b.err = err
		return
	}
	b.settingChanged(s, true)
}

// settingChanged notes a new value, ours or a peer's, and passes it on.
func (b *Broker) settingChanged(s *Setting, own bool) {
	b.tell(s.Dots, own)
	b.settled(s)
}

// settled acts on what a setting says.
func (b *Broker) settled(s *Setting) {
	if s.Name == strategySetting {
		b.adoptStrategy(s.Value)
	}
}
