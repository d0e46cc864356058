package store

import (
	"encoding/binary"
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/urban-compute/ucp/clock"
	"github.com/urban-compute/ucp/ledger"
)

// Identity is a broker's identity for the life of one process (rule I1).
type Identity struct {
	// Name is the broker's name. It never changes for a data directory.
	Name string `json:"name"`
	// Actor is the name with this start's number. It is used for this start only.
	Actor clock.Actor `json:"actor"`
	// Previous is the actor of the previous start, or "" at the first. Earlier ones are not kept: nothing
	// needs them, and the dots that they wrote name them.
	Previous clock.Actor `json:"-"`
}

// maxName is the longest name of a broker, in bytes. It is Serf's limit.
const maxName = 128

var identityKey = []byte{reserved, 'i', 'd'}

// Identify returns the identity of this broker and makes its actor for this start, at the wall clock's time now: above all
// starts of its name that the stored clock knows (rule K1). The actor is fresh, and synced to disk before it is
// returned, so that a disk that was wiped or restored from a copy never uses one dot for two contents (rule I1).
// The owner calls it once after each Open, before it writes anything; a second call is an error.
//
// An empty name means the name that is stored in the directory, or fallback if none is stored yet. A name of
// 1 to 128 letters, digits, '-', '_' and '.' is required; one that differs from the stored name is an error.
// The lower half of a start is read from random: crypto/rand.Reader, or a seeded source in tests.
func (s *Store) Identify(name, fallback string, now time.Time, random io.Reader) (Identity, error) {
	if s.identified.Swap(true) {
		return Identity{}, fmt.Errorf("store: Identify was already called since Open; an actor is made once for each start")
	}
	stored, err := s.readIdentity()
	if err != nil {
		return Identity{}, err
	}
	if name == "" {
		name = stored.Name
	}
	if name == "" {
		name = fallback
	}
	if stored.Name != "" && name != stored.Name {
		return Identity{}, fmt.Errorf("store: data directory %s belongs to broker %q, not %q: leave the name out, or give %q another data directory", s.opts.Dir, stored.Name, name, name)
	}
	if err := validName(name); err != nil {
		return Identity{}, err
	}
	return s.mint(name, stored.Actor, nil, now, random)
}

// Renew makes another actor for this broker in the same process, as Identify does for a new one, above those starts of its
// name, too, that others have told of (rule K3). The owner calls it after Identify, and writes as the new actor from then on.
func (s *Store) Renew(above clock.Tips, now time.Time, random io.Reader) (clock.Actor, error) {
	stored, err := s.readIdentity()
	if err != nil {
		return "", err
	}
	if !s.identified.Load() {
		return "", fmt.Errorf("store: Renew comes after Identify")
	}
	id, err := s.mint(stored.Name, stored.Actor, above.Of(stored.Name), now, random)
	return id.Actor, err
}

// mint makes an actor above the previous one, those in the stored clock and those in above, and stores it.
func (s *Store) mint(name string, previous clock.Actor, above clock.Tips, now time.Time, random io.Reader) (Identity, error) {
	known, err := ledger.StoredClock(s.Scan)
	if err != nil {
		return Identity{}, err
	}
	var low [4]byte
	if _, err := io.ReadFull(random, low[:]); err != nil {
		return Identity{}, fmt.Errorf("store: reading randomness for a fresh actor: %w", err)
	}
	start := clock.NextStart(now, slices.Concat(known.Of(name), above), previous, binary.BigEndian.Uint32(low[:]))
	id := Identity{Name: name, Actor: clock.StartActor(name, start), Previous: previous}
	value, err := json.Marshal(id)
	if err != nil {
		return Identity{}, fmt.Errorf("store: encoding the identity of %q: %w", name, err)
	}
	var batch Batch
	batch.setOwn(identityKey, value)
	if err := s.Commit(&batch); err != nil {
		return Identity{}, fmt.Errorf("store: keeping the fresh actor %s: %w", id.Actor, err)
	}
	return id, nil
}

// readIdentity returns what the last Identify stored, or the zero Identity.
func (s *Store) readIdentity() (id Identity, err error) {
	value, found, err := s.get(identityKey)
	if err != nil || !found {
		return Identity{}, err
	}
	if err := json.Unmarshal(value, &id); err != nil || id.Name == "" || id.Actor == "" {
		return Identity{}, fmt.Errorf("store: %w: the identity in %s is %q", errCorrupt, s.opts.Dir, value)
	}
	return id, nil
}

// validName accepts the names that Serf accepts: letters, digits, '-', '_' and '.'. A '~' would make the
// actor ambiguous.
func validName(name string) error {
	if name == "" || len(name) > maxName {
		return fmt.Errorf("store: the broker's name must have 1 to %d bytes, not %d: give one", maxName, len(name))
	}
	bad := strings.IndexFunc(name, func(r rune) bool {
		return !('a' <= r && r <= 'z' || 'A' <= r && r <= 'Z' || '0' <= r && r <= '9' || r == '-' || r == '_' || r == '.')
	})
	if bad >= 0 {
		return fmt.Errorf("store: the broker's name %q may hold only letters, digits, '-', '_' and '.'", name)
	}
	return nil
}
