package membership

import (
	"bytes"
	"cmp"
	"crypto/sha256"
	"hash/fnv"
	"slices"
	"strings"

	"github.com/urban-compute/ucp/broker/prng"
)

// Ring lists the live members behind this broker on the ring: they hold the copies of what it
// acknowledges, the first ones first (rules S1, A1). The list holds until the next Update.
func (m *Membership) Ring() []string { return m.ring }

// successors makes the ring: a broker's place on it is the SHA-256 of its name.
func (m *Membership) successors() (out []string) {
	type place struct {
		name  string
		where [sha256.Size]byte
	}
	own := sha256.Sum256([]byte(m.self))
	var all []place
	for _, name := range m.names {
		if m.Alive(name) && !m.Outside(name) {
			all = append(all, place{name, sha256.Sum256([]byte(name))})
		}
	}
	behind := func(p place) bool { return bytes.Compare(p.where[:], own[:]) > 0 }
	slices.SortFunc(all, func(x, y place) int {
		if behind(x) != behind(y) {
			if behind(x) {
				return -1
			}
			return 1
		}
		return cmp.Or(bytes.Compare(x.where[:], y.where[:]), strings.Compare(x.name, y.name))
	})
	for _, p := range all {
		out = append(out, p.name)
	}
	return out
}

// Holds reports whether this broker is one of the n that are to hold what a broker has made (rules J11, R3): that one
// itself, if it is there, and those behind it on the ring. Who leaves, or has no room, is passed over.
func (m *Membership) Holds(of string, n int) bool {
	if of == m.self {
		return true
	}
	own, start := sha256.Sum256([]byte(m.self)), sha256.Sum256([]byte(of))
	between := func(x [sha256.Size]byte) bool { // on the way from that broker to this one
		behind, before := bytes.Compare(x[:], start[:]) > 0, bytes.Compare(x[:], own[:]) < 0
		if bytes.Compare(start[:], own[:]) < 0 {
			return behind && before
		}
		return behind || before
	}
	ahead := 0
	for _, name := range m.names {
		takes := name == of || !m.NoRoom(name) && between(sha256.Sum256([]byte(name)))
		if takes && m.Alive(name) && !m.Leaves(name) {
			ahead++
		}
	}
	return ahead < n
}

// Successor names the broker that takes over what another is responsible for: among those that
// are alive and stay, the one that rendezvous hashing names for the key. All that see the same
// members name the same, without a word between them. The broker without is passed over, and
// so is this one if it does not stay itself; "" when there is nobody.
func (m *Membership) Successor(key, without string, stays bool) string {
	var stay []string
	if stays && m.self != without {
		stay = append(stay, m.self)
	}
	for _, name := range m.names {
		if name != without && m.Alive(name) && !m.Leaves(name) {
			stay = append(stay, name)
		}
	}
	return Rendezvous(stay, key)
}

// Rendezvous names the one with the highest hash of name and key (Thaler and Ravishankar, "Using
// Name-Based Mappings to Increase Hit Rates", 1998); "" of nobody.
func Rendezvous(names []string, key string) (best string) {
	var most uint64
	for _, name := range names {
		h := fnv.New64a()
		h.Write([]byte(name))
		h.Write([]byte{0})
		h.Write([]byte(key))
		mixed := prng.Source(h.Sum64())
		if weight := mixed.Next(); best == "" || weight > most {
			most, best = weight, name
		}
	}
	return best
}
