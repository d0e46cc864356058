package ledger

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/urban-compute/ucp/clock"
)

// StubSchema is how finished records of a kind become stubs. A stub is a record of which only that stays without which a
// merge would go wrong: its dots, and how it ended. Finished records that may not be forgotten yet, since some member
// may not know of them, become stubs, so that an absent member costs little, however long it is away (rule M4).
//
// A stub is a record as others are: it merges with whole ones, and goes to who lacks it. To make one is no update.
type StubSchema struct {
	Is     func(Record) bool
	Of     func(Record) Record                        // of a finished record; a join of stubs is the stub of the join
	Encode func(Record) []byte                        // for the disk, without its key
	Decode func(key string, b []byte) (Record, error) // what Encode has made
}

// stubs are the finished records of which only stubs are on disk. Nothing of one is in memory: an absent member may hold
// back millions.
type stubs struct {
	schemas map[Kind]*StubSchema // of the kinds that have stubs
	stored  int                  // how many are on disk and not in memory
	high    clock.Tips           // no stub on disk has a higher dot that our clock covers: who covers this lacks none of them
	beyond  clock.Vector         // the highest dots of stubs on disk that our clock does not cover yet, as of a transfer's first pages
	strayed uint64               // the version of the latest of those: see Ledger.Strays
	coming  map[Ref]struct{}     // in memory, until a batch has written them
	shadows map[Ref]struct{}     // on disk beside a record that is whole again: pages of a transfer may rely on the key
	gone    map[Ref]uint64       // still on disk, until the batch of this generation has deleted them
	drop    []Op                 // what the next batch deletes
}

// stubsLooked bounds how many stubs one page of a transfer looks at, so that the owner of the ledger is never away for long.
const stubsLooked = 4096

// StubRefOf reads the key of a stored stub; ok is false for any other key.
func StubRefOf(key []byte) (ref Ref, ok bool) {
	if len(key) == 0 || key[0] != stubSpace {
		return Ref{}, false
	}
	ref, err := refOf(key)
	return ref, err == nil
}

// StubKey is the key under which a store holds the stub of a record.
func StubKey(ref Ref) []byte { return keyOf(stubSpace, ref) }

func (l *Ledger) isStub(k Kind, r Record) bool {
	s := l.stubs.schemas[k]
	return s != nil && s.Is(r)
}

// Reduce makes a stub of a finished record. It is no update: nobody else hears of it. A record that is not held,
// or is a stub already, is not an error.
func (l *Ledger) Reduce(ref Ref) error {
	e, err := l.lookup(ref)
	s := l.stubs.schemas[ref.Kind]
	if e == nil || err != nil || s == nil || !e.record.Finished() || s.Is(e.record) {
		return err
	}
	l.stubs.drop = append(l.stubs.drop, Op{Key: RecordKey(ref)})
	l.put(ref, e.record, s.Of(e.record))
	return nil
}

// putStub keeps count of stubs when a record takes the place of another in memory; old is nil for none.
func (l *Ledger) putStub(ref Ref, old, r Record) {
	was, is := old != nil && l.isStub(ref.Kind, old), l.isStub(ref.Kind, r)
	if was && l.held[ref] == nil {
		l.stubs.stored--
	}
	switch {
	case is:
		l.stubs.coming[ref] = struct{}{}
		delete(l.stubs.shadows, ref)
		delete(l.stubs.gone, ref)
	case was:
		delete(l.stubs.coming, ref)
		l.stubs.shadows[ref] = struct{}{}
	}
}

// forgetStub has the next batch delete the stub of a record, if there is one. It reports whether that was all there
// is to drop: it was on disk only.
func (l *Ledger) forgetStub(ref Ref, r Record) bool {
	_, shadow := l.stubs.shadows[ref]
	if !shadow && !l.isStub(ref.Kind, r) {
		return false
	}
	delete(l.stubs.coming, ref)
	delete(l.stubs.shadows, ref)
	l.stubs.gone[ref] = l.generation
	l.stubs.drop = append(l.stubs.drop, Op{Key: StubKey(ref)})
	if shadow || l.held[ref] != nil {
		return false
	}
	l.stubs.stored--
	return true
}

// stable says that a batch is on disk.
func (s *stubs) stable(b *Batch) {
	for _, op := range b.gone {
		if ref, err := refOf(op.Key); err == nil && op.Key[0] == stubSpace && s.gone[ref] <= b.generation {
			delete(s.gone, ref)
		}
	}
}

// Stubs is how many finished records are held as stubs.
func (l *Ledger) Stubs() int { return l.stubs.stored + len(l.stubs.coming) }

// StubClock is a clock that covers all stubs on disk. The caller does not change it.
func (l *Ledger) StubClock() clock.Tips { return l.stubs.high }

// EachStub shows the stubs of a kind that are on disk, by ascending key, those with greater keys than after, until fn has seen
// enough.
func (l *Ledger) EachStub(kind Kind, after string, fn func(Record) (more bool)) error {
	return l.walkStubs(StubKey(Ref{Kind: kind}), StubKey(Ref{kind, after}), func(ref Ref, r Record) bool {
		return !l.onlyOnDisk(ref) || fn(r)
	})
}

// StubKeys lists the keys of at most n stubs that begin with a prefix, sorted.
func (l *Ledger) StubKeys(kind Kind, prefix string, n int) (keys []string, err error) {
	if l.Stubs() == 0 {
		return nil, nil
	}
	for ref := range l.stubs.coming {
		if ref.Kind == kind && strings.HasPrefix(ref.Key, prefix) {
			keys = append(keys, ref.Key)
		}
	}
	p := StubKey(Ref{kind, prefix})
	err = l.archive.Walk(p, nil, func(key, _ []byte) bool {
		if ref, err := refOf(key); err == nil && l.onlyOnDisk(ref) { // else it is whole again, or gone, or in the list
			keys = append(keys, ref.Key)
		}
		return len(keys) < n+len(l.stubs.coming)
	})
	slices.Sort(keys)
	return keys[:min(n, len(keys))], err
}

// walkStubs decodes what Walk shows.
func (l *Ledger) walkStubs(prefix, after []byte, fn func(Ref, Record) bool) (err error) {
	walked := l.archive.Walk(prefix, after, func(key, value []byte) bool {
		var ref Ref
		var r Record
		if ref, r, err = l.decodeStub(key, value); err != nil {
			return false
		}
		return fn(ref, r)
	})
	if walked != nil {
		return walked
	}
	return err
}

func (l *Ledger) decodeStub(key, value []byte) (Ref, Record, error) {
	ref, err := refOf(key)
	if err != nil {
		return ref, nil, err
	}
	s := l.stubs.schemas[ref.Kind]
	if s == nil {
		return ref, nil, fmt.Errorf("ledger: the stored stub %s %q: %w", ref.Kind, ref.Key, ErrUnknownKind)
	}
	r, err := s.Decode(ref.Key, value)
	if err != nil {
		return ref, nil, fmt.Errorf("ledger: the stored stub %s %q: %w", ref.Kind, ref.Key, err)
	}
	return ref, r, nil
}

// lookupStub finds a stub on disk; nil when there is none. It does not come into memory by that.
func (l *Ledger) lookupStub(ref Ref) (*entry, error) {
	if l.stubs.stored == 0 || l.stubs.schemas[ref.Kind] == nil {
		return nil, nil
	}
	if !l.onlyOnDisk(ref) {
		return nil, nil
	}
	key := StubKey(ref)
	b, found, err := l.archive.Get(key)
	if !found || err != nil {
		return nil, err
	}
	_, r, err := l.decodeStub(key, b)
	if err != nil {
		return nil, err
	}
	return &entry{record: r}, nil
}

// onlyOnDisk reports whether a stub that was found on disk counts: not when the record is in memory, whole again, or
// forgotten.
func (l *Ledger) onlyOnDisk(ref Ref) bool {
	_, gone := l.stubs.gone[ref]
	_, shadow := l.stubs.shadows[ref]
	return !gone && !shadow && l.held[ref] == nil
}

// putAway drops from memory a stub that is on disk now.
func (l *Ledger) putAway(ref Ref, r Record) {
	l.unindex(ref, r)
	delete(l.held, ref)
	delete(l.stubs.coming, ref)
	l.stubs.stored++
	l.raiseStubs(r)
}

// raiseStubs has the clock of the stubs on disk cover one, but for updates that our clock does not cover: these are strays,
// and go to others as such.
func (l *Ledger) raiseStubs(r Record) {
	for _, d := range r.Writers() {
		switch {
		case l.lineage.Has(l.stubs.high, d):
		case l.lineage.Has(l.seen, d):
			l.stubs.high = l.lineage.Merge(l.stubs.high, clock.NewTips(d))
		case l.stubs.beyond.Get(d.Actor) < d.Counter:
			l.stubs.beyond.Set(d)
			l.strayed++
			l.stubs.strayed = l.strayed
		}
	}
}

// coverStubs does the same for stubs that our clock has come to cover since they were put away.
func (l *Ledger) coverStubs() {
	for _, d := range slices.Clone(l.stubs.beyond) {
		if l.lineage.Has(l.seen, d) {
			l.stubs.high = l.lineage.Merge(l.stubs.high, clock.NewTips(d))
			l.stubs.beyond = slices.DeleteFunc(l.stubs.beyond, func(x clock.Dot) bool { return x == d })
		}
	}
}

// loadStubs counts the stubs of a store whose whole records are loaded.
func (l *Ledger) loadStubs(scan Scan) error {
	return scan([]byte{stubSpace}, func(key, value []byte) error {
		ref, r, err := l.decodeStub(key, value)
		if err != nil {
			return err
		}
		if _, whole := l.archived[ref]; whole || l.held[ref] != nil {
			l.stubs.shadows[ref] = struct{}{}
		} else {
			l.stubs.stored++
		}
		l.raiseStubs(r)
		return nil
	})
}

// stubPages is the last part of a transfer: the stubs on disk that the peer lacks, in the order of their keys. They need
// not be pinned as other records are (rule L5): a stub that is written again meanwhile keeps its key.
type stubPages struct {
	from, upto []byte // the keys before the present page, and at its end
}

// lacksStubs begins to list what a peer with this clock, which has taken strays up to a version of them, lacks of the stubs;
// nil when it lacks none.
func (l *Ledger) lacksStubs(since clock.Tips, strays uint64) *stubPages {
	if l.lineage.Covers(since, l.stubs.high) && (l.stubs.strayed <= strays || l.lineage.HasAll(since, l.stubs.beyond)) {
		return nil
	}
	return &stubPages{}
}

// page adds stubs to a page that has room for limit bytes. It reports whether these are the last ones.
func (p *stubPages) page(l *Ledger, since clock.Tips, d *Delta, limit int) (last bool, err error) {
	last, looked := true, 0
	var failed error
	p.upto = p.from
	err = l.walkStubs([]byte{stubSpace}, p.from, func(ref Ref, r Record) bool {
		if looked++; looked > stubsLooked {
			last = false
			return false
		}
		if !l.onlyOnDisk(ref) {
			e, err := l.lookup(ref)
			if failed = err; err != nil {
				return false
			}
			if e == nil {
				return true // forgotten
			}
			r = e.record
		}
		if !l.lineage.HasAll(since, r.Writers()) {
			b := r.Encode()
			if limit -= len(b) + minEntry; limit < 0 && len(d.Entries) > 0 {
				last = false
				return false
			}
			d.Entries = append(d.Entries, Entry{Ref: ref, Dots: r.Writers(), Encoded: b})
		}
		p.upto = StubKey(ref)
		return true
	})
	return last, cmp.Or(failed, err)
}
