package wire

import (
	"errors"
	"fmt"
	"math/bits"
	"slices"

	"github.com/urban-compute/ucp/clock"
)

// Told says what the clocks of a message's sender are, the one of what it holds and its stable one (rules K4, F1), to
// a receiver that has heard an earlier version of them: what has changed since then. Where nothing has, it costs a digest.
type Told struct {
	Version uint64     `codec:"v"`               // how often one of them has changed since the sender's start, from 1 on
	Since   uint64     `codec:"since,omitempty"` // the version that the receiver has heard; 0: all is told, Clock in the message
	Digest  uint64     `codec:"digest"`          // of both, by DigestOf: a version may have been another one before the sender's memory was restored
	Began   uint64     `codec:"began,omitempty"` // the version in which the stable clock started over, with nothing (rule M2): what was told of it before counts no more
	Clock   clock.Tips `codec:"clock,omitempty"` // of each broker of which an entry has changed since then, all entries
	Stable  clock.Tips `codec:"stable,omitempty"`
}

// DigestOf is the digest of two clocks that are told together.
func DigestOf(held, stable clock.Tips) uint64 {
	return held.Digest() ^ bits.RotateLeft64(stable.Digest(), 1) // else they cancel each other where they are equal
}

// maxEntries bounds the entries of a clock that is told piece by piece: more than any message holds.
const maxEntries = MaxMessage / 16

// Apply gives the clocks that are told to a receiver that has heard these in version Since. An error says that they are
// others than those of the digest, or too large: the receiver has heard something else.
func (t *Told) Apply(held, stable clock.Tips) (_, _ clock.Tips, err error) {
	held, stable = held.Replace(t.Clock), stable.Replace(t.Stable)
	if len(t.Clock)+len(t.Stable) > 0 {
		err = errors.Join(checkClock(held), checkClock(stable))
	}
	if err == nil && (DigestOf(held, stable) != t.Digest || len(held)+len(stable) > maxEntries) {
		err = fmt.Errorf("version %d of clocks since %d is another one", t.Version, t.Since)
	}
	return held, stable, err
}

// spare leaves a clock out of a message that says what has changed in it.
func (t *Told) spare(c clock.Tips) clock.Tips {
	if t == nil || t.Since == 0 {
		return c
	}
	return nil
}

func (t *Told) check() error {
	if t == nil {
		return nil
	}
	if t.Version == 0 || t.Since > t.Version || t.Began > t.Version || t.Version > clock.MaxCounter {
		return fmt.Errorf("version %d of clocks since %d, of which the stable one began with %d", t.Version, t.Since, t.Began)
	}
	return errors.Join(checkClock(t.Clock), checkClock(t.Stable))
}

// spare leaves out of a delta what its receiver can make up: the clock that it has told itself, and what that one has in
// common with the sender's. Who adopts the rest covers Since, and so all of it (rule L4).
func (d *Delta) spare(version int) *Delta {
	if d == nil || version < V3 {
		return d
	}
	out := *d
	if rest := slices.Collect(clock.Vector(d.Clock).Beyond(clock.Vector(d.Since))); len(rest) > 0 {
		out.Clock = rest // else it says that there is a clock
	}
	if d.Base != 0 {
		out.Since = nil
	}
	return &out
}
