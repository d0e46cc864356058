package resolve

import (
	"fmt"
	"slices"

	"github.com/urban-compute/ucp/strictjson"
)

// Bundle is a conflict that is taken to another machine: what the decision rested on, the decision, and the
// sentence that explains it. Its bytes are the same on every machine.
type Bundle struct {
	Version  int      `json:"version"`
	Conflict Conflict `json:"conflict"`
	Strategy Strategy `json:"strategy"`
	Decision Decision `json:"decision"`
	Sentence string   `json:"sentence"`
}

// The formats of a bundle. Each conflict is written in the lowest that has room for it, so that earlier versions of ucp
// read what they can.
const (
	plainBundle    = 1
	overrideBundle = 2 // the snapshot has an Override
	fineBundle     = 3 // a job has an urgency of its own, or a fractional weight
)

// MaxBundle bounds the bytes of a bundle that [ReadBundle] and [Replay] accept (rule L11).
const MaxBundle = 4 << 20

// Export encodes a conflict as a [Bundle], in JSON.
func (c Conflict) Export() ([]byte, error) {
	c.Snapshot = c.Snapshot.canonical()
	return canonicalJSON(replayed(c))
}

// replayed decides a conflict again, from its snapshot.
func replayed(c Conflict) Bundle {
	x := newExplainer(c)
	if x.p.byKey[c.Winner] == nil || c.Kind != Twice {
		x.c.Winner = x.winner()
	}
	return Bundle{Version: c.Snapshot.version(), Conflict: c, Strategy: c.Snapshot.Strategy, Decision: x.d, Sentence: x.sentence()}
}

// version is the lowest format of a bundle that has room for the snapshot.
func (s *Snapshot) version() int {
	for _, list := range [][]*Candidate{s.Running, s.Suspended, s.Pending} {
		if slices.ContainsFunc(list, (*Candidate).fine) {
			return fineBundle
		}
	}
	if s.Override != nil {
		return overrideBundle
	}
	return plainBundle
}

// ReadBundle decodes a bundle that came from outside. It is an error when the bundle has more than [MaxBundle]
// bytes, unknown fields, another version, or a snapshot that can't be decided on.
func ReadBundle(b []byte) (Bundle, error) {
	var out Bundle
	if len(b) > MaxBundle {
		return out, fmt.Errorf("the bundle has %d bytes, at most %d are read", len(b), MaxBundle)
	}
	if err := strictjson.Unmarshal(b, &out); err != nil {
		return out, fmt.Errorf("read a conflict bundle: %w", err)
	}
	if out.Version < plainBundle || out.Version > fineBundle {
		return out, fmt.Errorf("the bundle has version %d, this version of ucp reads %d to %d", out.Version, plainBundle, fineBundle)
	}
	return out, out.Conflict.Snapshot.validate()
}

// Replay decides a bundle's conflict again, from the recorded snapshot: under strategy s or, when s is "", under
// the recorded one. Then it returns the bytes that [Conflict.Export] returned.
func Replay(b []byte, s Strategy) ([]byte, error) {
	in, err := ReadBundle(b)
	if err != nil {
		return nil, err
	}
	c := in.Conflict
	if s != "" {
		if s, err = ParseStrategy(string(s)); err != nil {
			return nil, err
		}
		if s != c.Snapshot.Strategy {
			c.Snapshot.Strategy, c.Snapshot.Override = s, nil // nobody would ask for this one because of it
		}
	}
	return c.Export()
}

// maxJobs bounds the jobs of a snapshot that is read.
const maxJobs = 10_000

// validate returns an error for a snapshot that came from outside and can't be decided on.
func (s Snapshot) validate() error {
	if !slices.Contains(All(), s.Strategy) || s.Override != nil && !slices.Contains(All(), s.Override.Of) {
		return fmt.Errorf("the snapshot has a strategy that this version does not know; want one of %s", Names(", "))
	}
	if err := s.Weights.validate(); err != nil {
		return err
	}
	if n := len(s.Running) + len(s.Suspended) + len(s.Pending); n > maxJobs {
		return fmt.Errorf("the snapshot has %d jobs, at most %d are read", n, maxJobs)
	}
	for _, list := range [][]*Candidate{s.Running, s.Suspended, s.Pending} {
		for _, c := range list {
			if c == nil || c.Key == "" {
				return fmt.Errorf("the snapshot has a job without a key")
			}
			if c.Want.CPU < 0 || c.Want.Memory < 0 || c.Want.IO < 0 {
				return fmt.Errorf("job %s wants a negative amount of CPU, memory or io", c.Key)
			}
			for name, n := range c.Want.Devices {
				if n < 0 {
					return fmt.Errorf("job %s wants a negative number of device %s", c.Key, name)
				}
			}
		}
	}
	return nil
}
