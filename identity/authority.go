package identity

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/urban-compute/ucp/canon"
)

// Change says that a key is an authority from now on, or is none any more. It is immutable, and its signature is right.
type Change struct {
	City   City      `codec:"city"`
	Remove bool      `codec:"remove,omitempty"`
	Key    PublicKey `codec:"key"`
	By     PublicKey `codec:"by"`

	raw []byte
}

// Bounds of what is decoded.
const (
	maxChange      = 512     // bytes of one
	maxChanges     = 128     // of one city
	maxOfOne       = 16      // by one authority, but the root, where there are too many
	maxAuthorities = 1 << 17 // bytes of all
)

// AddAuthority signs that a key is an authority of a city.
func (k Key) AddAuthority(city City, key PublicKey) (*Change, error) {
	return DecodeChange(k.sign(changeKind, &Change{City: city, Key: key, By: k.Public()}))
}

// RemoveAuthority signs that a key is no authority of a city any more.
func (k Key) RemoveAuthority(city City, key PublicKey) (*Change, error) {
	return DecodeChange(k.sign(changeKind, &Change{City: city, Remove: true, Key: key, By: k.Public()}))
}

// Encode is the change as it is sent and stored.
func (c *Change) Encode() []byte { return c.raw }

// DecodeChange reads a change, and checks its form and its signature.
func DecodeChange(b []byte) (*Change, error) {
	c := new(Change)
	by, err := open(changeKind, b, maxChange, c)
	switch {
	case err != nil:
		return nil, err
	case len(c.City) != 32 || !c.Key.Valid():
		return nil, errors.New("identity: a change of the authorities names no city, or no key")
	}
	c.raw = append([]byte(nil), b...)
	return c, by(c.By)
}

// Authorities are the keys that may admit members of a city: the root, and those that authorities have added. They form
// a tree, since each was added by another one, which is its senior, as are that one's seniors. A removal counts when it is
// signed by a senior of the key, or by the key itself, and then for good: what a removed key signs, whenever it says that
// it did, counts for nothing, and the keys below it have to be added by somebody else. So it does not matter in which order
// changes arrive, or that two sides of a split have made some without knowing of each other, and a thief of a key can
// never remove, or outlive, those above it. Nothing is above the root, which cannot be removed: who loses that to a thief
// needs a new city.
//
// Where several have added one key, it counts as added by the one that is nearest to the root.
//
// A set has at most 128 changes. Of more those count that are signed nearest to the root, and of one authority at most 16, its
// removals first: so whoever has stolen a key can't crowd out what is said by those above it.
//
// The set is immutable. Joining two sets is commutative, associative and idempotent ([Authorities.Merge]), as
// long as no bound is reached.
type Authorities struct {
	root    PublicKey
	city    City
	changes []*Change               // sorted by their encoding, without doubles
	seniors map[PublicKey][]*Change // of each key in force: what added its seniors and it, from the root down
	ever    map[PublicKey]bool      // that are in force, or were
}

// FoundCity is the set of a city that has just begun: the root alone.
func FoundCity(root PublicKey) *Authorities { return authorities(root, nil) }

func authorities(root PublicKey, changes []*Change) *Authorities {
	a := &Authorities{root: root, city: CityOf(root), changes: changes, ever: everAdded(root, changes)}
	a.derive()
	return a
}

// derive finds the keys in force, those nearest to the root first, with the changes that added each of them and its
// seniors, from the root down.
func (a *Authorities) derive() {
	a.seniors = map[PublicKey][]*Change{a.root: nil}
	for layer := []PublicKey{a.root}; len(layer) > 0; {
		var next []PublicKey
		for _, c := range a.changes { // sorted, so that all find the same
			if _, known := a.seniors[c.Key]; known || c.Remove || !slices.Contains(layer, c.By) {
				continue
			}
			path := append(slices.Clone(a.seniors[c.By]), c)
			if a.removed(c.Key, append(a.keysOf(path), a.root)) {
				continue
			}
			a.seniors[c.Key] = path
			next = append(next, c.Key)
		}
		layer = next
	}
}

func (a *Authorities) keysOf(path []*Change) (keys []PublicKey) {
	for _, c := range path {
		keys = append(keys, c.Key)
	}
	return keys
}

// removed reports whether one of these keys has removed a key.
func (a *Authorities) removed(key PublicKey, by []PublicKey) bool {
	return slices.ContainsFunc(a.changes, func(c *Change) bool { return c.Remove && c.Key == key && slices.Contains(by, c.By) })
}

// City is the city that they are the authorities of.
func (a *Authorities) City() City { return a.city }

// Root is the key with which the city began.
func (a *Authorities) Root() PublicKey { return a.root }

// InForce reports whether a key is an authority.
func (a *Authorities) InForce(key PublicKey) bool {
	_, is := a.seniors[key]
	return is
}

// Removed reports whether a key was an authority, and is none any more since it was removed.
func (a *Authorities) Removed(key PublicKey) bool {
	return !a.InForce(key) && a.ever[key] && slices.ContainsFunc(a.changes, func(c *Change) bool { return c.Remove && c.Key == key })
}

// Above reports whether an authority in force is another one, or has added that, or what has added it.
func (a *Authorities) Above(senior, key PublicKey) bool {
	return a.InForce(senior) && (senior == key || senior == a.root && a.InForce(key) ||
		slices.ContainsFunc(a.seniors[key], func(c *Change) bool { return c.Key == senior }))
}

// AddedBy is the authority that an authority in force counts as added by; "" of the root.
func (a *Authorities) AddedBy(key PublicKey) PublicKey {
	path := a.seniors[key]
	if len(path) == 0 {
		return ""
	}
	return path[len(path)-1].By
}

// Only is the smallest set by which a key is an authority: the root, and what added the key and its seniors. It is an error
// if the key is none.
func (a *Authorities) Only(key PublicKey) (*Authorities, error) {
	if !a.InForce(key) {
		return nil, fmt.Errorf("identity: %.12s... is no authority of this city", key)
	}
	path := slices.SortedFunc(slices.Values(a.seniors[key]), compareChanges)
	return authorities(a.root, path), nil
}

// Keys lists the keys in force, sorted.
func (a *Authorities) Keys() []PublicKey { return slices.Sorted(maps.Keys(a.seniors)) }

// everAdded returns the keys that are or were authorities.
func everAdded(root PublicKey, changes []*Change) map[PublicKey]bool {
	ever := map[PublicKey]bool{root: true}
	for n := 0; n < len(ever); {
		n = len(ever)
		for _, c := range changes {
			if !c.Remove && ever[c.By] {
				ever[c.Key] = true
			}
		}
	}
	return ever
}

// checkChange says why a change has no place in a set.
func checkChange(c *Change, city City, root PublicKey, ever map[PublicKey]bool) error {
	switch {
	case c.City != city:
		return errors.New("identity: a change of the authorities of another city")
	case c.Key == root:
		return errors.New("identity: the root of a city is its authority for good")
	case !ever[c.By]:
		return fmt.Errorf("identity: %.12s... is no authority of this city, and can change none", c.By)
	}
	return nil
}

// With adds a change. It is an error if the change is of another city, if who signed it has never been an authority, or if
// there are as many as a city may have.
func (a *Authorities) With(c *Change) (*Authorities, error) {
	at, known := slices.BinarySearchFunc(a.changes, c, compareChanges)
	if known {
		return a, nil
	}
	if err := checkChange(c, a.city, a.root, a.ever); err != nil {
		return nil, err
	}
	kept := bounded(a.root, slices.Insert(slices.Clone(a.changes), at, c))
	ofSigner := func(list []*Change) (n int) {
		for _, x := range list {
			if x.By == c.By {
				n++
			}
		}
		return n
	}
	if _, is := slices.BinarySearchFunc(kept, c, compareChanges); !is || ofSigner(kept) <= ofSigner(a.changes) {
		return nil, fmt.Errorf("identity: the authorities of a city change at most %d times", maxChanges)
	}
	return authorities(a.root, kept), nil
}

// bounded drops changes, which are sorted, where they are too many: those farthest from the root.
func bounded(root PublicKey, changes []*Change) []*Change {
	if len(changes) <= maxChanges {
		return changes
	}
	kept := map[*Change]bool{}
	ever := map[PublicKey]bool{root: true}
	for layer := []PublicKey{root}; len(layer) > 0 && len(kept) < maxChanges; {
		var next []PublicKey
		for _, by := range layer {
			n := 0
			for _, remove := range []bool{true, false} {
				for _, c := range changes {
					if c.By != by || c.Remove != remove || len(kept) == maxChanges || n == maxOfOne && by != root {
						continue
					}
					kept[c] = true
					n++
					if !remove && !ever[c.Key] {
						ever[c.Key] = true
						next = append(next, c.Key)
					}
				}
			}
		}
		slices.Sort(next)
		layer = next
	}
	return slices.DeleteFunc(slices.Clone(changes), func(c *Change) bool { return !kept[c] })
}

func compareChanges(a, b *Change) int { return strings.Compare(string(a.raw), string(b.raw)) }

// Merge joins two sets of one city, and reports whether the result differs from a. It is an error if they are not of one
// city.
func (a *Authorities) Merge(b *Authorities) (*Authorities, bool, error) {
	if a.root != b.root {
		return nil, false, errors.New("identity: authorities of another city")
	}
	all, err := a.Join(b.changes)
	return all, err == nil && all != a, err
}

// Join adds the changes that proofs hold ([Proof.Changes]); it is a itself where that changes nothing. It is an error if one
// is of another city.
func (a *Authorities) Join(changes []*Change) (*Authorities, error) {
	all := slices.Concat(a.changes, changes)
	for _, c := range changes {
		if c.City != a.city {
			return nil, errors.New("identity: a change of the authorities of another city")
		}
	}
	slices.SortFunc(all, compareChanges)
	all = slices.CompactFunc(all, func(x, y *Change) bool { return compareChanges(x, y) == 0 })
	if all = bounded(a.root, all); slices.EqualFunc(all, a.changes, func(x, y *Change) bool { return compareChanges(x, y) == 0 }) {
		return a, nil
	}
	return authorities(a.root, all), nil
}

// Verify checks that an admission is one to this city, by an authority that is in force.
func (a *Authorities) Verify(x *Admission) error {
	switch {
	case x.City != a.city:
		return fmt.Errorf("identity: %s is admitted to another city", x.Name)
	case !a.InForce(x.By):
		return fmt.Errorf("identity: %s was admitted by %.12s..., which is no authority of this city", x.Name, x.By)
	}
	return nil
}

type encodedAuthorities struct {
	Root    PublicKey `codec:"root"`
	Changes [][]byte  `codec:"changes,omitempty"`
}

// Encode is the set as it is sent and stored. Equal sets have equal encodings.
func (a *Authorities) Encode() []byte {
	e := encodedAuthorities{Root: a.root}
	for _, c := range a.changes {
		e.Changes = append(e.Changes, c.raw)
	}
	return canon.Encode(e)
}

// DecodeAuthorities reads a set, and checks each change. It says nothing of which city it is the set of.
func DecodeAuthorities(b []byte) (*Authorities, error) {
	if len(b) > maxAuthorities {
		return nil, fmt.Errorf("identity: authorities of %d bytes, at most %d are allowed", len(b), maxAuthorities)
	}
	var e encodedAuthorities
	if err := canon.Decode(b, &e); err != nil {
		return nil, fmt.Errorf("identity: authorities: %w", err)
	}
	if !e.Root.Valid() || len(e.Changes) > maxChanges {
		return nil, fmt.Errorf("identity: authorities without a root, or with %d changes, at most %d are allowed", len(e.Changes), maxChanges)
	}
	var changes []*Change
	for _, raw := range e.Changes {
		c, err := DecodeChange(raw)
		if err != nil {
			return nil, err
		}
		if n := len(changes); n > 0 && compareChanges(changes[n-1], c) >= 0 {
			return nil, errors.New("identity: authorities are not written as they should be")
		}
		changes = append(changes, c)
	}
	a := authorities(e.Root, changes)
	for _, c := range changes {
		if err := checkChange(c, a.city, a.root, a.ever); err != nil {
			return nil, err
		}
	}
	return a, nil
}
