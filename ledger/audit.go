package ledger

import (
	"encoding/binary"
	"hash/fnv"
	"slices"

	"github.com/urban-compute/ucp/clock"
)

// buckets is into how many parts the digest of the unfinished records is split, so
// that two brokers that differ in one record need not list them all.
const buckets = 256

// DigestSize is the length of a live digest in bytes.
const DigestSize = 8 * buckets

// slot places a record in the digest: its bucket and its share. The sum of a bucket
// is the XOR of its shares, so that it can be kept up to date, and taken apart. It
// guards against accidents, not against forgery: members trust each other.
func slot(ref Ref) (bucket int, share uint64) {
	h := fnv.New64a()
	h.Write([]byte(ref.Kind))
	h.Write([]byte{0})
	h.Write([]byte(ref.Key))
	sum := h.Sum64()
	sum ^= sum >> 29 // FNV's low bits alone are weak
	return int(sum % buckets), sum * 0x9e3779b97f4a7c15
}

// toggle notes that a record became unfinished, or ceased to be.
func (l *Ledger) toggle(ref Ref) {
	i, share := slot(ref)
	l.live[i] ^= share
}

// LiveDigest sums up the unfinished records whose dots a peer's clock covers (rule
// L9). The peer holds these, or it has forgotten them; two brokers that know the
// same have the same digest of one another. It costs what the peer lacks. Some records may be left out: the peer then
// asks about these.
func (l *Ledger) LiveDigest(peer clock.Tips, but ...Ref) []byte {
	live := l.live
	out := l.lacks(peer, 0)
	if len(but) > 0 {
		out = append(out, but...)
		slices.SortFunc(out, Ref.compare)
		out = slices.Compact(out)
	}
	for _, ref := range out {
		if l.unfinished(ref) {
			i, share := slot(ref)
			live[i] ^= share
		}
	}
	sums := make([]byte, 0, DigestSize)
	for _, x := range live {
		sums = binary.BigEndian.AppendUint64(sums, x)
	}
	return sums
}

// SumOf sums up a live digest in its turn: two brokers whose digests are the same need not send them.
func SumOf(digest []byte) uint64 {
	h := fnv.New64a()
	h.Write(digest)
	return h.Sum64()
}

// LiveWhere lists the unfinished records that LiveDigest sums up, in the buckets in
// which two digests differ; sorted.
func (l *Ledger) LiveWhere(peer clock.Tips, ours, theirs []byte) []Ref {
	if len(ours) != DigestSize || len(theirs) != DigestSize {
		return nil
	}
	beyond := map[Ref]bool{}
	for _, ref := range l.lacks(peer, 0) {
		beyond[ref] = true
	}
	var out []Ref
	for ref := range l.held {
		i, _ := slot(ref)
		same := binary.BigEndian.Uint64(ours[8*i:]) == binary.BigEndian.Uint64(theirs[8*i:])
		if !same && !beyond[ref] && l.unfinished(ref) {
			out = append(out, ref)
		}
	}
	slices.SortFunc(out, Ref.compare)
	return out
}

// EndedBeyond lists the finished records of disputable kinds with an update that a clock does not cover, without those of
// which only stubs are left.
func (l *Ledger) EndedBeyond(c clock.Tips) (out []Ref) {
	for _, ref := range l.lacks(c, 0) {
		if l.Disputable(ref) && !l.unfinished(ref) && l.passed.records[ref] == nil {
			out = append(out, ref)
		}
	}
	return out
}

// Beyond finds out which records have an update that a clock does not cover, at the cost of what it does not cover. Stubs
// are not among them.
func (l *Ledger) Beyond(c clock.Tips) func(Ref) bool {
	beyond := map[Ref]bool{}
	for _, ref := range l.lacks(c, 0) {
		beyond[ref] = true
	}
	return func(ref Ref) bool { return beyond[ref] }
}

// Disputable reports whether a record is of a kind of which others may have forgotten what is held here (see
// [Schema.Disputable]).
func (l *Ledger) Disputable(ref Ref) bool { return l.schemas[ref.Kind].disputable }

// Judged reports whether a peer with this clock can say of each unfinished record here whether it has forgotten it:
// there is none that it has known of and of which it lacks an update, so that LiveDigest leaves it out. Of strays, up to a
// version of them ([Ledger.Strays]), it has said so as it took them: no clock may ever cover these.
func (l *Ledger) Judged(peer clock.Tips, strays uint64) bool {
	for _, ref := range l.lacks(peer, strays) {
		if l.unfinished(ref) && l.CreatedWithin(l.held[ref].record, peer) {
			return false
		}
	}
	return true
}

func (l *Ledger) unfinished(ref Ref) bool {
	e := l.held[ref]
	return e != nil && !e.record.Finished()
}

// Forgotten reports whether this ledger has forgotten a record that a peer lists as
// unfinished and covered by our clock: it is absent (rule L9). Since is our clock as
// the peer knew it. If we no longer cover that, we have lost more than the record, and
// say nothing.
func (l *Ledger) Forgotten(ref Ref, since clock.Tips) bool {
	if !l.lineage.Covers(l.clock, since) || ref.Kind == Starts || l.held[ref] != nil {
		return false
	}
	if _, known := l.archived[ref]; known {
		return false
	}
	e, err := l.lookupStub(ref)
	return e == nil && err == nil
}
