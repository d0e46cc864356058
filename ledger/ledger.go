// Package ledger is the replicated table: what every broker of a city comes to
// hold, without a leader. It keeps records of several kinds (jobs,
// emergencies, named data, settings and members), the vector clock that says
// which updates it holds, and an index that finds what a peer lacks at the cost
// of what changed.
//
// A record is a join-semilattice, and the only message between brokers is "here
// is what you lack, since this, and here is my clock" ([Delta]). So any order,
// repetition or detour of messages converges. The rules are L1 to L11 of
// docs/protocol.md; the anti-entropy by version vectors follows Parker et al. 1983 and
// Petersen et al. (Bayou), 1997.
//
// The package is pure. It does not write: [Ledger.Take] hands out what must be
// written as one atomic batch, and [Ledger.Stable] takes the news that it was.
// One goroutine owns a Ledger.
package ledger

import (
	"cmp"
	"fmt"
	"iter"
	"slices"

	"github.com/google/btree"

	"github.com/urban-compute/ucp/clock"
)

// Kind names a kind of records.
type Kind string

// Record is one value of the table: immutable, and an element of a
// join-semilattice under its schema's Merge.
type Record interface {
	Key() string           // names it within its kind; never changes
	Writers() clock.Vector // the latest dot of each that wrote it (rule L3)
	Finished() bool        // once true, stays true; then it need not stay in memory (rule L1)
	Encode() []byte        // canonical bytes
	// Creations are the dots of its creations, at least one: a broker whose clock covers
	// them all and that lacks the record has forgotten it (rule L7).
	Creations() iter.Seq[clock.Dot]
	// Blobs are the digests of the blobs that the record needs: a store keeps those.
	Blobs() iter.Seq[string]
}

// CreatedWithin reports whether a clock covers all creations of a record (rule L7).
func (l *Ledger) CreatedWithin(r Record, c clock.Tips) bool {
	for d := range r.Creations() {
		if !l.lineage.Has(c, d) {
			return false
		}
	}
	return true
}

// Schema is what the ledger must know of a kind (rule L1).
type Schema struct {
	Kind   Kind
	Decode func([]byte) (Record, error)                    // reads and validates (rules L10, L11)
	Merge  func(a, b Record) (merged Record, changed bool) // rule L2; changed: differs from a (rule L6)
	Stubs  *StubSchema                                     // nil: records of this kind stay whole until they are forgotten
	first  bool

	most   int                          // bytes of a record that others read; 0: there is no bound
	stored func([]byte) (Record, error) // Decode of what this broker has stored; nil: Decode

	disputable bool
}

// Ahead says that records of this kind go before all others in every delta and transfer: their receiver must know
// them before it can judge the rest (rule M1).
func (s Schema) Ahead() Schema {
	s.first = true
	return s
}

// Disputable says that an unfinished record of this kind that may have been forgotten here is held again, and told as
// disputed: its owner asks all members before it believes either (rule F3).
func (s Schema) Disputable() Schema {
	s.disputable = true
	return s
}

// Grows says that records of a kind grow by merging, and that nobody reads one of more than so many bytes: what a peer sends is not
// joined beyond that. What this broker has stored itself is read by another function, however large it is (rules L10, L11).
func Grows[R Record](s Schema, most int, stored func([]byte) (R, error)) Schema {
	s.most, s.stored = most, decoding(stored)
	return s
}

// read decodes what this broker has stored.
func (s Schema) read(b []byte) (Record, error) {
	if s.stored != nil {
		return s.stored(b)
	}
	return s.Decode(b)
}

// decoding is a function that decodes a concrete type, as one for any kind.
func decoding[R Record](decode func([]byte) (R, error)) func([]byte) (Record, error) {
	return func(b []byte) (Record, error) {
		r, err := decode(b)
		if err != nil {
			return nil, err
		}
		return r, nil
	}
}

// SchemaOf makes the schema of a concrete record type.
func SchemaOf[R Record](kind Kind, decode func([]byte) (R, error), merge func(a, b R) (R, bool)) Schema {
	return Schema{
		Kind:   kind,
		Decode: decoding(decode),
		Merge:  func(a, b Record) (Record, bool) { return merge(a.(R), b.(R)) },
	}
}

// WithStubs says how finished records of a kind become stubs.
func (s Schema) WithStubs(stubs *StubSchema) Schema {
	s.Stubs = stubs
	return s
}

// Ref names a record among all kinds.
type Ref struct {
	Kind Kind
	Key  string
}

func (r Ref) compare(s Ref) int {
	return cmp.Or(cmp.Compare(r.Kind, s.Kind), cmp.Compare(r.Key, s.Key))
}

// Archive reads records that were committed; it stands for the disk, as
// raft.Storage does in etcd. Finished records leave memory and are found there.
type Archive interface {
	// Get returns the value under a key that an [Op] has set, found false when
	// there is none. An error means that the disk can't be trusted any more.
	Get(key []byte) (value []byte, found bool, err error)
	// Walk shows the keys that begin with prefix and are greater than after, in ascending order, until fn says
	// that it has seen enough. Key and value are only valid during the call of fn.
	Walk(prefix, after []byte, fn func(key, value []byte) (more bool)) error
}

// keepFinished bounds how many finished records stay in memory after their
// commit: those that peers and clients are about to ask for.
const keepFinished = 1024

// keepEncoded bounds how many records keep their bytes in memory beside them after
// their commit: those that links are about to send. Encoding another one again is quick.
const keepEncoded = 4096

// Ledger is the table of one broker.
type Ledger struct {
	self    clock.Actor
	schemas map[Kind]Schema
	archive Archive

	stable   clock.Tips                                  // of that, what every member is known to hold (rule F1); its owner sets it
	seen     clock.Tips                                  // all that was taken in, quarantined records too
	clock    clock.Tips                                  // of that, what is held: seen below every hole (rule L10)
	lineage  clock.Lineage                               // what an entry of a clock stands for: the rows that are known (rules K1, K2)
	starts   map[string]int                              // rows, by broker
	rowIf    func() bool                                 // see RowIf
	boundBy  func(clock.Actor) (upto uint64, bound bool) // see BoundBy
	wasCut   map[clock.Actor]struct{}                    // see WasCut
	parents  clock.Tips                                  // what the row of this start lists
	bad      map[Ref]*quarantined
	ahead    []span                                 // held, though the clock does not cover what came before (rule R2)
	hearsay  map[Ref]hearsay                        // bad records that one peer has sent who did not write them (rule X4)
	live     [buckets]uint64                        // digest of the unfinished records (rule L9)
	held     map[Ref]*entry                         // unfinished, unstable, or finished lately
	index    map[clock.Actor]*btree.BTreeG[indexed] // what each actor wrote (rule L3)
	strays   map[clock.Actor]uint64                 // of index, those with an update that is not in seen, and the version of the latest: see Strays
	archived map[Ref]struct{}                       // finished records that are only on disk, whole
	passed   passed                                 // finished records that were forgotten here, and of which others have written since
	stubs    stubs                                  // finished records of which only stubs are on disk, and nothing is in memory (rule M4)

	strayed     uint64 // how many strays there have been
	generation  uint64 // of changes; Take ends one
	dirty       []Ref  // changed or forgotten since the last Take
	badDirty    []Ref  // of bad
	own         []Op   // this broker's own values, changed since the last Take
	rowsDirty   []clock.Actor
	wrote       []wrote // since the last Take
	noted       uint64  // updates of this start that were in a batch, or are in wrote
	clockDirty  bool
	stableDirty bool
	stored      struct { // the clocks, as the last batch has written them
		clock, stable clock.Tips
		one           []string // the keys of those that a version before has stored as a whole
	}
	lately []Ref // finished and stable, the oldest first
	warm   []Ref // have their bytes in memory, the oldest first
}

// entry is a record in memory.
type entry struct {
	record     Record
	encoded    []byte // of record; nil until somebody needs it, and when that was long ago
	generation uint64 // when it last changed
	stable     uint64 // the generation that is known to be on disk
	dirty      bool   // is in Ledger.dirty
	size       uint32 // bytes of record, no fewer, but for what this broker has written itself since it was counted
}

// indexed says that the record's latest dot of the index's actor has this counter.
type indexed struct {
	counter uint64
	ref     Ref
}

// before orders the index. Two records may have one update, as after a machine was resumed from a snapshot (rule K3).
func (i indexed) before(j indexed) bool {
	return i.counter < j.counter || i.counter == j.counter && i.ref.compare(j.ref) < 0
}

// New makes an empty ledger that writes as self.
func New(self clock.Actor, archive Archive, schemas ...Schema) *Ledger {
	l := &Ledger{
		self: self, archive: archive, schemas: map[Kind]Schema{},
		wasCut: map[clock.Actor]struct{}{}, bad: map[Ref]*quarantined{}, hearsay: map[Ref]hearsay{}, starts: map[string]int{}, held: map[Ref]*entry{}, archived: map[Ref]struct{}{}, index: map[clock.Actor]*btree.BTreeG[indexed]{}, strays: map[clock.Actor]uint64{},
		passed:     passed{records: map[Ref]*entry{}},
		stubs:      stubs{schemas: map[Kind]*StubSchema{}, coming: map[Ref]struct{}{}, shadows: map[Ref]struct{}{}, gone: map[Ref]uint64{}},
		generation: 1,
	}
	for _, s := range schemas {
		l.schemas[s.Kind] = s
		if s.Stubs != nil {
			l.stubs.schemas[s.Kind] = s.Stubs
		}
	}
	l.schemas[Starts] = StartSchema
	return l
}

// Clock returns the updates that the ledger holds: entry a:n means "every update
// of a up to n", and what the row of a implies. The caller may keep it but not change it.
func (l *Ledger) Clock() clock.Tips { return l.clock.Clone() }

// Seen returns the updates that were taken in, quarantined records included: from
// there a peer goes on sending, so that a bad record is not sent again and again.
// Without such records it is Clock (rule L10).
func (l *Ledger) Seen() clock.Tips { return l.seen.Clone() }

// Has reports whether an update is covered by the clock.
func (l *Ledger) Has(d clock.Dot) bool { return l.lineage.Has(l.clock, d) }

// Covers reports whether the clock covers another one.
func (l *Ledger) Covers(c clock.Tips) bool { return l.lineage.Covers(l.clock, c) }

// StableClock returns the updates that every member is known to hold (rule F1). The caller does not
// change it.
func (l *Ledger) StableClock() clock.Tips { return l.stable }

// RaiseStable raises the stable clock. Like the clock it is in the next batch, and may be told and
// answered by once that is synced (rule I4).
func (l *Ledger) RaiseStable(c clock.Tips) {
	if next := l.lineage.Merge(l.stable, c); !next.Equal(l.stable) { // others may hold the present one
		l.stable, l.stableDirty = next, true
		l.passOn()
	}
}

// ResetStable empties the stable clock, which starts over (rule M2). That is in the next batch, too.
func (l *Ledger) ResetStable() { l.stable, l.stableDirty = clock.Tips{}, true }

// Dirty reports whether the next batch will write anything.
func (l *Ledger) Dirty() bool {
	return len(l.dirty) > 0 || len(l.badDirty) > 0 || len(l.rowsDirty) > 0 || len(l.own) > 0 || len(l.passed.dirty) > 0 || len(l.stubs.drop) > 0 || l.clockDirty || l.stableDirty
}

// Lineage says what clocks stand for, and compares them. The caller does not add to it.
func (l *Ledger) Lineage() *clock.Lineage { return &l.lineage }

// Wrote counts the updates that this ledger has written since its start.
func (l *Ledger) Wrote() uint64 { return clock.Vector(l.clock).Get(l.self) }

// Len is the number of records, finished ones included, rows of starts not.
func (l *Ledger) Len() int { return len(l.held) + len(l.archived) + l.stubs.stored }

// Get returns a record, nil when there is none.
func (l *Ledger) Get(ref Ref) (Record, error) {
	e, err := l.lookup(ref)
	if e == nil || err != nil {
		return nil, err
	}
	return e.record, nil
}

// lookup finds a record in memory or in the archive; nil when there is none.
// What came from the archive is not put back into memory.
func (l *Ledger) lookup(ref Ref) (*entry, error) {
	if ref.Kind == Starts {
		return l.row(clock.Actor(ref.Key)), nil
	}
	if e, ok := l.held[ref]; ok {
		return e, nil
	}
	if _, ok := l.archived[ref]; !ok {
		return l.lookupStub(ref)
	}
	b, found, err := l.archive.Get(RecordKey(ref))
	if err == nil && !found {
		err = fmt.Errorf("ledger: the record %s %q is gone from the store", ref.Kind, ref.Key)
	}
	if err != nil {
		return nil, err
	}
	r, err := l.schemas[ref.Kind].read(b)
	if err != nil {
		return nil, fmt.Errorf("ledger: the stored record %s %q: %w", ref.Kind, ref.Key, err)
	}
	return &entry{record: r, encoded: b, size: sizeOf(b)}, nil
}

// Decode reads a record of a kind from bytes that came from outside.
func (l *Ledger) Decode(kind Kind, b []byte) (Record, error) {
	s, ok := l.schemas[kind]
	if !ok {
		return nil, fmt.Errorf("ledger: unknown kind of record %.32q", kind)
	}
	return s.Decode(b)
}

// Apply makes a local update: it ticks the clock and stores what change makes of
// the new dot and the present record (nil when there is none). Change returns
// nil to leave all as it is; the dot is then not used.
func (l *Ledger) Apply(ref Ref, change func(dot clock.Dot, old Record) Record) (Record, error) {
	var old Record
	e, err := l.lookup(ref)
	if err != nil {
		return nil, err
	}
	if e != nil {
		old = e.record
	}
	dot := clock.Dot{Actor: l.self, Counter: l.Wrote() + 1}
	first := l.wantsRow()
	if first {
		dot.Counter++
	}
	r := change(dot, old)
	if r == nil {
		return old, nil
	}
	if first {
		l.writeRow()
	}
	(*clock.Vector)(&l.clock).Set(dot)
	(*clock.Vector)(&l.seen).Set(dot)
	l.clockDirty = true
	l.put(ref, old, r)
	if e != nil {
		l.held[ref].size = e.size
	}
	return r, nil
}

// put stores a record in memory and moves its index entries.
func (l *Ledger) put(ref Ref, old, r Record) {
	ref.Key = r.Key() // the same text, once in memory
	l.passNoMore(ref)
	e := l.held[ref]
	l.putStub(ref, old, r)
	if e == nil {
		if old != nil && l.isStub(ref.Kind, old) {
			old = nil // it is in no index
		}
		e = &entry{}
		l.held[ref] = e
	}
	delete(l.archived, ref)
	l.reindex(ref, old, r)
	if (old == nil || old.Finished()) != r.Finished() {
		l.toggle(ref)
	}
	e.record, e.encoded, e.generation = r, nil, l.generation
	if !e.dirty {
		e.dirty = true
		l.dirty = append(l.dirty, ref)
	}
}

func (l *Ledger) reindex(ref Ref, old, r Record) {
	var before clock.Vector
	if old != nil {
		before = old.Writers()
	}
	for _, d := range before {
		if r.Writers().Get(d.Actor) == 0 { // the record stands for another one now, which that one has not written (rule E6)
			l.unindexUpdate(ref, d)
		}
	}
	for _, d := range r.Writers() {
		had := before.Get(d.Actor)
		if had == d.Counter {
			continue
		}
		t := l.index[d.Actor]
		if t == nil {
			t = btree.NewG(32, indexed.before)
			l.index[d.Actor] = t
		}
		if !l.lineage.Has(l.seen, d) {
			l.strayed++
			l.strays[d.Actor] = l.strayed
		}
		if had > 0 {
			t.Delete(indexed{had, ref})
		}
		t.ReplaceOrInsert(indexed{d.Counter, ref})
	}
}

// Forget drops a record without a trace: it was finished and everybody knows it
// (rule L8), or somebody who knew more has forgotten it (rules L7, L9). It comes
// back only as a new creation. A record that is not held is not an error. Rows of starts are never forgotten.
func (l *Ledger) Forget(ref Ref) error {
	if ref.Kind == Starts {
		return nil
	}
	e, err := l.lookup(ref)
	if e == nil || err != nil {
		return err
	}
	if l.forgetStub(ref, e.record) {
		return nil
	}
	l.unindex(ref, e.record)
	if !e.record.Finished() {
		l.toggle(ref)
	}
	delete(l.held, ref)
	delete(l.archived, ref)
	l.dirty = append(l.dirty, ref)
	return nil
}

// Shorten puts a record in the place of one of which all that it leaves out is known to everybody, so that nobody brings it back.
// It is no update: nobody else hears of it. The writers stay the same, and neither is finished. A record that is not held is not an error.
func (l *Ledger) Shorten(ref Ref, r Record) error {
	e, err := l.lookup(ref)
	if e == nil || err != nil {
		return err
	}
	l.put(ref, e.record, r)
	return nil
}

// unindex takes out of the index that a record's writers wrote it.
func (l *Ledger) unindex(ref Ref, r Record) {
	for _, d := range r.Writers() {
		l.unindexUpdate(ref, d)
	}
}

func (l *Ledger) unindexUpdate(ref Ref, d clock.Dot) {
	t := l.index[d.Actor]
	t.Delete(indexed{d.Counter, ref})
	if t.Len() == 0 { // most starts are soon history
		delete(l.index, d.Actor)
		delete(l.strays, d.Actor)
	}
}

func (e *entry) bytes() []byte {
	if e.encoded != nil {
		return e.encoded
	}
	b := e.record.Encode()
	e.size = sizeOf(b)
	if e.dirty {
		e.encoded = b // the commit needs it, too
	}
	return b
}

// Live lists the unfinished records for which want says yes (nil wants all), sorted.
func (l *Ledger) Live(want func(Record) bool) []Ref {
	var out []Ref
	for ref, e := range l.held {
		if !e.record.Finished() && (want == nil || want(e.record)) {
			out = append(out, ref)
		}
	}
	slices.SortFunc(out, Ref.compare)
	return out
}

// Stable says that the batch of this generation, and all before it, are synced
// to disk (rule I4). Finished records may then leave memory.
func (l *Ledger) Stable(b *Batch) {
	l.stubs.stable(b)
	for i, ref := range b.refs {
		e := l.held[ref]
		if e == nil {
			continue
		}
		e.stable = b.generation
		if e.record == b.records[i] && l.isStub(ref.Kind, e.record) {
			l.putAway(ref, e.record)
			continue
		}
		if e.record == b.records[i] {
			e.encoded = b.encoded[i]
			l.warm = append(l.warm, ref)
		}
		if e.record.Finished() && e.generation <= b.generation {
			l.lately = append(l.lately, ref)
		}
	}
	for len(l.warm) > keepEncoded {
		if e := l.held[l.warm[0]]; e != nil && !e.dirty {
			e.encoded = nil
		}
		l.warm = l.warm[1:]
	}
	for len(l.lately) > keepFinished {
		ref := l.lately[0]
		l.lately = l.lately[1:]
		if e := l.held[ref]; e != nil && e.record.Finished() && e.generation <= e.stable {
			delete(l.held, ref)
			l.archived[ref] = struct{}{}
		}
	}
}
