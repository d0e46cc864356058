package resolve

import (
	"bytes"
	"encoding/json"
	"fmt"
)

// Bundle is a conflict to take along: what it rested on, what was decided, and the
// words. Its bytes are the same on every machine.
type Bundle struct {
	Version  int      `json:"version"`
	Conflict Conflict `json:"conflict"`
	Strategy Strategy `json:"strategy"`
	Decision Decision `json:"decision"`
	Sentence string   `json:"sentence"`
}

// BundleVersion is the format that this version writes.
const bundleVersion = 1

// MaxBundle bounds the bytes of a bundle that is read (rule L11).
const MaxBundle = 4 << 20

// Export writes a conflict as a bundle.
func (c Conflict) Export() ([]byte, error) {
	c.Snapshot = c.Snapshot.canonical()
	return canonicalJSON(replayed(c))
}

func replayed(c Conflict) Bundle {
	x := explainer{c: c, d: Plan(c.Snapshot), p: newPlan(c.Snapshot)}
	x.p.expire()
	x.p.inherit()
	if x.c.Winner = c.Winner; x.p.byKey[c.Winner] == nil || c.Kind != Twice {
		x.c.Winner = x.winner()
	}
	return Bundle{Version: bundleVersion, Conflict: c, Strategy: c.Snapshot.Strategy, Decision: x.d, Sentence: x.sentence()}
}

// ReadBundle reads a bundle that came from outside.
func ReadBundle(b []byte) (Bundle, error) {
	var out Bundle
	if len(b) > MaxBundle {
		return out, fmt.Errorf("the bundle has %d bytes, at most %d are read", len(b), MaxBundle)
	}
	d := json.NewDecoder(bytes.NewReader(b))
	d.DisallowUnknownFields()
	if err := d.Decode(&out); err != nil {
		return out, fmt.Errorf("read a conflict bundle: %w", err)
	}
	if out.Version != bundleVersion {
		return out, fmt.Errorf("the bundle has version %d, this version of ucp reads %d", out.Version, bundleVersion)
	}
	return out, out.Conflict.Snapshot.validate()
}

// Replay decides a bundle's conflict again, from the recorded snapshot; under its
// own strategy when none is named. Replaying what was exported gives the same bytes.
func Replay(b []byte, s Strategy) ([]byte, error) {
	in, err := ReadBundle(b)
	if err != nil {
		return nil, err
	}
	c := in.Conflict
	if s != "" {
		if c.Snapshot.Strategy, err = ParseStrategy(string(s)); err != nil {
			return nil, err
		}
	}
	return c.Export()
}

// maxJobs bounds the jobs of a snapshot that is read.
const maxJobs = 10_000

// Validate says what is wrong with a snapshot that came from outside.
func (s Snapshot) validate() error {
	if _, err := ParseStrategy(string(s.Strategy)); err != nil {
		return err
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
				return fmt.Errorf("the snapshot holds a job without a key")
			}
			if c.Want.CPU < 0 || c.Want.Memory < 0 || c.Want.IO < 0 {
				return fmt.Errorf("job %s wants less than nothing", c.Key)
			}
			for name, n := range c.Want.Devices {
				if n < 0 {
					return fmt.Errorf("job %s wants less than no %s", c.Key, name)
				}
			}
		}
	}
	return nil
}
