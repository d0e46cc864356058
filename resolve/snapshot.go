package resolve

import (
	"bytes"
	"encoding/json"
	"slices"

	"github.com/urban-compute/ucp/clock"
	"github.com/urban-compute/ucp/job"
)

// Snapshot is all that a decision rests on. The order of its lists does not matter.
type Snapshot struct {
	Now      clock.Time    `json:"now"`
	Strategy Strategy      `json:"strategy"`
	Override *Override     `json:"override,omitempty"` // why Strategy decides and not another; nil: none would
	Weights  Weights       `json:"weights"`
	Capacity job.Resources `json:"capacity"`

	Running   []*Candidate `json:"running"`
	Suspended []*Candidate `json:"suspended"`
	Pending   []*Candidate `json:"pending"`

	// Held is what jobs hold that are left out of this snapshot.
	Held job.Resources `json:"held"`
	// Keys are exclusive keys that jobs hold which are not in this snapshot: at
	// another broker (rule J10), or left out.
	Keys []HeldKey `json:"keys,omitempty"`
}

// Override says that an emergency makes a strategy decide instead of the one that was chosen (rule E5).
type Override struct {
	Emergency string   `json:"emergency"` // its ID
	Of        Strategy `json:"of"`        // what decides again when it is over
}

// HeldKey says which job holds an exclusive key elsewhere (rule J10).
type HeldKey struct {
	Exclusive string `json:"exclusive"`
	By        string `json:"by"`           // the job's key, or ID
	At        string `json:"at,omitempty"` // the broker's name; "" is this one
}

// Decision says what to do now.
type Decision struct {
	Start   []string  `json:"start"`   // keys, in the order in which they were chosen
	Resume  []string  `json:"resume"`  // suspended ones that go on
	Preempt []Preempt `json:"preempt"` // running ones that must leave first
	Expire  []Reason  `json:"expire"`  // those that can't meet their deadline any more

	// Defer says why each other contender waits, in the order of their turn.
	// [Queue.Resolve] leaves it out: ask [Queue.Why].
	Defer []Reason `json:"defer"`

	// Conflicts are what was decided between jobs that can't all run.
	Conflicts []Conflict `json:"-"`
}

// Preempt tells a running job to leave.
type Preempt struct {
	Victim string         `json:"victim"`
	For    string         `json:"for"`
	Mode   job.Preemption `json:"mode"` // suspend or requeue, as the victim's spec says
	Level  int            `json:"-"`    // emergency level of the job for which it leaves
	Why    string         `json:"why"`
}

// Reason says why a job waits or expires.
type Reason struct {
	Key string `json:"key"`
	Why string `json:"why"`
}

// after returns the snapshot as it is when the decision has been taken: what
// starts runs, what must leave leaves, what expired is gone or leaves.
func (s Snapshot) after(d Decision) Snapshot {
	out := s
	out.Running, out.Suspended, out.Pending = nil, nil, nil
	leave, promised := map[string]Preempt{}, map[string]bool{}
	for _, p := range d.Preempt {
		leave[p.Victim] = p
		promised[p.For] = true
	}
	expired := map[string]bool{}
	for _, r := range d.Expire {
		expired[r.Key] = true
	}
	for _, c := range s.Running {
		if p, ok := leave[c.Key]; ok {
			c = c.leaves(Leaving(p.Mode), p.For, p.Level)
		} else if expired[c.Key] && c.Leaving != stopsDead {
			c = c.leaves(stopsDead, "", 0)
		}
		out.Running = append(out.Running, c)
	}
	for _, c := range s.Suspended {
		switch {
		case expired[c.Key]:
			out.Suspended = append(out.Suspended, c.leaves(stopsDead, "", 0))
		case slices.Contains(d.Resume, c.Key):
			out.Running = append(out.Running, c.started(s.Now))
		default:
			out.Suspended = append(out.Suspended, c.seen(promised[c.Key]))
		}
	}
	for _, c := range s.Pending {
		switch {
		case expired[c.Key]:
		case slices.Contains(d.Start, c.Key):
			out.Running = append(out.Running, c.started(s.Now))
		default:
			out.Pending = append(out.Pending, c.seen(promised[c.Key]))
		}
	}
	return out
}

// canonical returns the snapshot with its lists in the one order in which it is
// written down.
func (s Snapshot) canonical() Snapshot {
	for _, list := range []*[]*Candidate{&s.Running, &s.Suspended, &s.Pending} {
		*list = append([]*Candidate{}, *list...)
		slices.SortFunc(*list, (*Candidate).compare)
	}
	s.Keys = slices.Clone(s.Keys)
	slices.SortFunc(s.Keys, func(a, b HeldKey) int { return bytes.Compare([]byte(a.Exclusive), []byte(b.Exclusive)) })
	return s
}

// canonicalJSON encodes a value of this package: the same bytes on every machine (fields in the order of their
// struct, maps sorted by key, no floats).
func canonicalJSON(v any) ([]byte, error) {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	if err := e.Encode(v); err != nil {
		return nil, err
	}
	return b.Bytes(), nil
}
