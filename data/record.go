package data

import (
	"cmp"
	"iter"
	"slices"

	"github.com/urban-compute/ucp/canon"
	"github.com/urban-compute/ucp/clock"
	"github.com/urban-compute/ucp/job"
	"github.com/urban-compute/ucp/register"
)

// Bounds of a record (rules D1, L11).
const (
	MaxEach     = 8                         // versions that are kept of one broker, by its name: its latest
	MaxVersions = 64                        // versions that are kept of all, the latest
	MaxSize     = 16<<10 + register.MaxSize // bytes of its encoding: it grows by merging, and names all its writers
)

// Content is what a version holds. It is immutable.
type Content struct {
	Digest    job.Digest `codec:"digest"` // of the file, or of the manifest of a directory (package tree)
	Size      int64      `codec:"size"`   // in bytes; of a directory that of its manifest
	Directory bool       `codec:"dir,omitempty"`
	Job       job.ID     `codec:"job,omitempty"`     // that has made it; "" where a client has written it
	Attempt   string     `codec:"attempt,omitempty"` // of that job, as in its result
}

// Blob is what a broker must hold to have the content: a directory's manifest and all its files.
func (c *Content) Blob() job.Digest {
	if c.Directory {
		return job.TreeOf(c.Digest)
	}
	return c.Digest
}

// Mark says when, and by which update, the content of a version was removed.
type Mark struct {
	At  clock.Hybrid `codec:"at"`
	Dot clock.Dot    `codec:"dot"`
	Old bool         `codec:"old,omitempty"` // it was not the latest, and old (rule D3); nobody has deleted it
}

func (m Mark) compare(n Mark) int {
	return cmp.Or(cmp.Compare(m.At, n.At), m.Dot.Compare(n.Dot), compareBool(m.Old, n.Old))
}

func compareBool(a, b bool) int {
	switch {
	case a == b:
		return 0
	case b:
		return -1
	}
	return 1
}

// Version is one version of what a name stands for, or the place of one whose content was removed. It is immutable.
type Version struct {
	At      clock.Hybrid `codec:"at"`                // later than that of every version that its writer knew of
	Dot     clock.Dot    `codec:"dot"`               // the update that wrote it; its actor is the writer
	Content *Content     `codec:"content,omitempty"` // nil where it was removed
	Removed *Mark        `codec:"removed,omitempty"` // the earliest removal; nil while the content is there
}

// There reports whether the version has its content.
func (v *Version) There() bool { return v.Removed == nil }

// compare puts the latest version first. It is a total order, and where the writer of one knew of the other, that one is later.
func (v Version) compare(w Version) int {
	return cmp.Or(cmp.Compare(w.At, v.At), cmp.Compare(w.Dot.Actor, v.Dot.Actor), cmp.Compare(w.Dot.Counter, v.Dot.Counter))
}

// join is what two copies of one version make: a removal stays, the earliest one counts. Of two contents, which only a machine
// that was resumed from a snapshot writes under one stamp (rule K3), the greater encoding.
func (v Version) join(w Version) (out Version, changed bool) {
	out = v
	switch {
	case w.Removed != nil && (v.Removed == nil || w.Removed.compare(*v.Removed) < 0):
		out.Content, out.Removed = nil, w.Removed
		return out, true
	case v.Removed != nil || *v.Content == *w.Content:
		return v, false
	case slices.Compare(canon.Encode(w.Content), canon.Encode(v.Content)) > 0:
		out.Content = w.Content
		return out, true
	}
	return v, false
}

// Record is everything that is known of one name. Records are immutable, and never finished: a name may be written again.
type Record struct {
	Name     Name      `codec:"name"`
	Versions []Version `codec:"versions"`        // the latest first, places of removed ones among them
	Owned    *Owner    `codec:"owned,omitempty"` // to whom it belongs; nil where nobody has claimed it yet (rule D9)

	register.Register
}

// Put returns the record with one more version, written at a time by the actor of a dot; old is nil for a new name. Of what old
// holds the new version is the latest.
func Put(name Name, old *Record, content Content, at clock.Hybrid, dot clock.Dot) *Record {
	r := &Record{Name: name, Register: register.New(dot)}
	if old != nil {
		r.Register = old.With(dot)
		if len(old.Versions) > 0 {
			at = max(at, clock.Hybrid(clock.Following(uint64(old.Versions[0].At))))
		}
		r.Versions, r.Owned = old.Versions, old.Owned
	}
	at = min(at, clock.MaxCounter) // nobody reads a later one
	list := append(slices.Clone(r.Versions), Version{At: at, Dot: dot, Content: &content})
	slices.SortFunc(list, Version.compare) // it is the first, unless another one has the last stamp that there is
	r.Versions = bound(list)
	return r
}

// Remove returns the record without the content of some of its versions, removed at a time by an update; nil if none of these has
// any. Old: they go since they are old (rule D3).
func (r *Record) Remove(which func(*Version) bool, at clock.Hybrid, old bool, dot clock.Dot) *Record {
	c, some, mark := *r, false, Mark{At: at, Dot: dot, Old: old}
	c.Versions = slices.Clone(r.Versions)
	for i := range c.Versions {
		if v := &c.Versions[i]; v.There() && which(v) {
			v.Content, v.Removed, some = nil, &mark, true
		}
	}
	if !some {
		return nil
	}
	c.Register = r.With(dot)
	return &c
}

// Trimmed is the record without the places of what was removed; nil when nothing is left of it. It is no update: less is known
// (rule D4).
func (r *Record) Trimmed() *Record {
	c := *r
	c.Versions = slices.DeleteFunc(slices.Clone(r.Versions), func(v Version) bool { return !v.There() })
	if len(c.Versions) == 0 {
		return nil
	}
	return &c
}

// Shown is the canonical bytes of the versions that are there, nil when none is: what all who know the same hold alike, whatever
// they have let go of.
func (r *Record) Shown() []byte {
	t := r.Trimmed()
	if t == nil {
		return nil
	}
	return canon.Encode(&Record{Name: r.Name, Versions: t.Versions})
}

// Trimmable reports whether it has places of what was removed, or nothing at all: two copies of which each says that the versions
// of the other are gone, as only a broken or hostile member makes them, leave that.
func (r *Record) Trimmable() bool {
	return len(r.Versions) == 0 || slices.ContainsFunc(r.Versions, func(v Version) bool { return !v.There() })
}

// Latest is the latest version that is there, nil when none is.
func (r *Record) Latest() *Version {
	for i := range r.Versions {
		if r.Versions[i].There() {
			return &r.Versions[i]
		}
	}
	return nil
}

// There yields the versions that are there, the latest first.
func (r *Record) There() iter.Seq[*Version] {
	return func(yield func(*Version) bool) {
		for i := range r.Versions {
			if v := &r.Versions[i]; v.There() && !yield(v) {
				return
			}
		}
	}
}

// Old yields the versions that are there and are not the latest.
func (r *Record) Old() iter.Seq[*Version] {
	return func(yield func(*Version) bool) {
		n := 0
		for v := range r.There() {
			if n++; n > 1 && !yield(v) {
				return
			}
		}
	}
}

// Aged reports whether it has versions that are not the latest.
func (r *Record) Aged() bool {
	for range r.Old() {
		return true
	}
	return false
}

// Key implements ledger.Record.
func (r *Record) Key() string { return string(r.Name) }

// Creations implements ledger.Record: each version creates the name, so that one which is written after others have forgotten
// the name is news to them (rule D4).
func (r *Record) Creations() iter.Seq[clock.Dot] {
	return func(yield func(clock.Dot) bool) {
		for _, d := range r.Created {
			if !yield(d) {
				return
			}
		}
		for i := range r.Versions {
			if !yield(r.Versions[i].Dot) {
				return
			}
		}
	}
}

// Blobs implements ledger.Record: the content of all versions that are there.
func (r *Record) Blobs() iter.Seq[string] {
	return func(yield func(string) bool) {
		for v := range r.There() {
			if !yield(string(v.Content.Blob())) {
				return
			}
		}
	}
}

// Encode implements ledger.Record.
func (r *Record) Encode() []byte { return r.Register.Encode(r) }

// Again is the record as another update says the same; created: as in [register.Register.Again].
func (r *Record) Again(dot clock.Dot, created bool) *Record {
	c := *r
	c.Register = r.Register.Again(dot, created)
	return &c
}

// Stamps calls visit with every stamp in the record and its writer.
func (r *Record) Stamps(visit func(at clock.Hybrid, by clock.Actor)) {
	for i := range r.Versions {
		v := &r.Versions[i]
		visit(v.At, v.Dot.Actor)
		if v.Removed != nil {
			visit(v.Removed.At, v.Removed.Dot.Actor)
		}
	}
}
