package data

import (
	"errors"
	"fmt"

	"github.com/urban-compute/ucp/canon"
	"github.com/urban-compute/ucp/clock"
	"github.com/urban-compute/ucp/job"
	"github.com/urban-compute/ucp/label"
)

// Bounds of what a version says (rule L11).
const (
	maxActor   = 80
	maxAttempt = 256
)

// Decode reads and validates the record of a peer (rules L10, L11).
func Decode(b []byte) (*Record, error) {
	if len(b) > MaxSize {
		return nil, fmt.Errorf("data of %d bytes, at most %d are allowed", len(b), MaxSize)
	}
	return DecodeStored(b)
}

// DecodeStored reads and validates a record that this broker has stored, however large.
func DecodeStored(b []byte) (*Record, error) {
	r := new(Record)
	if err := canon.Decode(b, r); err != nil {
		return nil, fmt.Errorf("data: %w", err)
	}
	r.Unknown = r.Unknown.Bounded()
	if err := r.validate(); err != nil {
		return nil, fmt.Errorf("data %.80q: %w", r.Name, err)
	}
	return r, nil
}

func (r *Record) validate() error {
	if err := errors.Join(r.Name.Valid(), r.Register.Validate()); err != nil {
		return err
	}
	if len(r.Versions) > MaxVersions || !canon.Ascending(r.Versions, Version.compare) {
		return fmt.Errorf("it has %d versions, or they are out of order", len(r.Versions))
	}
	if r.Owned != nil {
		if err := r.Owned.validate(); err != nil {
			return err
		}
		if !r.Dots.Has(r.Owned.Dot) {
			return fmt.Errorf("what says whose it is, %v, is none of its updates %v", r.Owned.Dot, r.Dots)
		}
	}
	of := map[string]int{}
	for i := range r.Versions {
		v := &r.Versions[i]
		if err := v.validate(); err != nil {
			return fmt.Errorf("its version %v: %w", v.Dot, err)
		}
		if !r.Dots.Has(v.Dot) {
			return fmt.Errorf("its version %v is none of its updates %v", v.Dot, r.Dots)
		}
		if v.Removed != nil && !r.Dots.Has(v.Removed.Dot) {
			return fmt.Errorf("the removal %v of its version %v is none of its updates %v", v.Removed.Dot, v.Dot, r.Dots)
		}
		if of[v.Dot.Actor.Broker()]++; of[v.Dot.Actor.Broker()] > MaxEach {
			return fmt.Errorf("it has more than %d versions of one broker", MaxEach)
		}
	}
	return nil
}

func (v *Version) validate() error {
	switch {
	case v.At == 0 || v.At > clock.MaxCounter || v.Dot.Counter == 0 || !validActor(v.Dot.Actor):
		return fmt.Errorf("it was written at %v by %.80q", v.At, v.Dot.Actor)
	case (v.Content == nil) == (v.Removed == nil):
		return errors.New("it has neither a content nor a removal, or both")
	case v.Removed != nil && (v.Removed.At == 0 || v.Removed.Dot.Counter == 0 || !validActor(v.Removed.Dot.Actor)):
		return fmt.Errorf("it was removed at %v by %.80q", v.Removed.At, v.Removed.Dot)
	case v.Content == nil:
		return nil
	}
	return v.Content.validate()
}

func (c *Content) validate() error {
	switch {
	case !job.ValidDigest(string(c.Digest)):
		return fmt.Errorf("its digest is %.80q", c.Digest)
	case c.Size < 0:
		return fmt.Errorf("it has %d bytes", c.Size)
	case c.Job != "" && !label.ValidName(string(c.Job)) || c.Job == "" && c.Attempt != "" || len(c.Attempt) > maxAttempt:
		return fmt.Errorf("it is of attempt %.80q of job %.80q", c.Attempt, c.Job)
	}
	return nil
}

func validActor(a clock.Actor) bool { return len(a) <= maxActor && label.ValidName(a.Broker()) }
