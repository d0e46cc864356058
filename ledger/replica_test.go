package ledger

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/urban-compute/ucp/clock"
	"github.com/urban-compute/ucp/test/story"
)

// replica is a ledger with its disk, as a broker keeps them: it can crash and
// start again under a fresh actor (rule I1).
type replica struct {
	name   string
	starts int
	disk   story.Disk
	mint   func() (a clock.Actor, row bool) // nil for an actor of the earlier form
	*Ledger
	incoming *incoming // the transfer that comes in; gone at a crash
	partly   bool      // whether the last delta was taken in only in part
	told     []Ref     // what it said to have forgotten, in its last answer
}

// incoming remembers which pages of a transfer came (rule L5).
type incoming struct {
	from *Transfer
	next int
	bad  bool // a page had what counts for nothing, so that the clock of the whole does not either
}

func newReplica(name string) *replica {
	r := &replica{name: name, disk: story.Disk{}}
	r.start()
	return r
}

func (r *replica) start() {
	r.starts++
	r.incoming = nil
	a, row := clock.Actor(fmt.Sprintf("%s~%d", r.name, r.starts)), false
	if r.mint != nil {
		a, row = r.mint()
	}
	r.Ledger = New(a, r.disk, setSchema)
	r.RowIf(func() bool { return row })
	must(r.Load(r.disk.Scan, nil))
}

// sync writes what has changed. Nothing may be sent that was not synced (rule I4).
func (r *replica) sync() int {
	b := r.Take()
	for _, op := range b.Ops() {
		r.disk.Write(op.Key, op.Value)
	}
	r.Stable(b)
	return len(b.Ops())
}

// receive decodes and merges a delta, as the broker does.
func (r *replica) receive(d Delta) (news []Change, adopted bool) {
	for i, e := range d.Entries {
		d.Entries[i].Record, _ = r.Decode(e.Kind, e.Encoded) // nil: it goes into quarantine
	}
	m, err := r.Merge(d)
	must(err)
	r.told, r.partly = m.Forgotten, m.Refused || m.Voided()
	return m.News, m.Adopted
}

// page takes one page of a transfer. It returns false when the transfer must
// start again, since its beginning came before our start.
func (r *replica) page(t *Transfer, number int, d Delta) (news []Change, adopted, ok bool) {
	if number == 0 {
		r.incoming = &incoming{from: t}
	}
	if r.incoming == nil || r.incoming.from != t || number > r.incoming.next {
		return nil, false, false
	}
	if r.incoming.bad {
		d.Clock = nil
	}
	news, adopted = r.receive(d)
	r.incoming.bad = r.incoming.bad || r.partly
	r.incoming.next = number + 1
	return news, adopted, true
}

// set returns a record, nil when there is none.
func (r *replica) set(key string) *set {
	rec, err := r.Get(setRef(key))
	must(err)
	s, _ := rec.(*set)
	return s
}

// contents renders all records, finished ones and stubs included, in the order of their keys.
func (r *replica) contents() []string {
	var refs []Ref
	for ref := range r.held {
		refs = append(refs, ref)
	}
	for ref := range r.archived {
		refs = append(refs, ref)
	}
	must(r.EachStub(setKind, "", func(rec Record) bool {
		refs = append(refs, setRef(rec.Key()))
		return true
	}))
	slices.SortFunc(refs, Ref.compare)
	var out []string
	for _, ref := range refs {
		out = append(out, strings.TrimSuffix(r.set(ref.Key).String(), " stub")) // each broker has its own stubs
	}
	return out
}

// oracle knows every dot that was ever minted, and which record it changed: what
// no broker of a real cluster could know.
type oracle map[clock.Dot]string

// holes lists the dots that the ledger's clock covers, but whose update is not in
// it: the one thing that must never be.
func (o oracle) holes(r *replica) (out []string) {
	for _, d := range slices.SortedFunc(maps.Keys(o), clock.Dot.Compare) {
		if s := r.set(o[d]); r.Has(d) && (s == nil || !s.has(d)) {
			out = append(out, fmt.Sprintf("%s covers %v but %s lacks it", r.name, d, o[d]))
		}
	}
	return out
}

func must(err error) {
	if err != nil {
		panic(err)
	}
}
