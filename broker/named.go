package broker

import (
	"fmt"
	"slices"
	"time"

	"github.com/urban-compute/ucp/broker/ack"
	"github.com/urban-compute/ucp/broker/causal"
	"github.com/urban-compute/ucp/broker/wire"
	"github.com/urban-compute/ucp/clock"
	"github.com/urban-compute/ucp/data"
	"github.com/urban-compute/ucp/job"
)

// What clients ask of named data (rules D1 to D5).

// PutData asks to write a version of a name; the answer is a [DataWritten], or a refusal: [DataOwned], [DataConflict], [DataRefused],
// [Draining], [Outdated]. The name is valid, and the content is in this broker's store.
type PutData struct {
	Token   Token
	Name    data.Name
	Content data.Content
	// If, where it is not nil, is what the client takes for the latest version, zero for none: it is only written if it is.
	If   *clock.Dot
	Past causal.Context // goes into the answer's
	// By is who writes: the name is theirs, if it is nobody's, and another one's name only if Any (rule D9). "" is where nobody is known,
	// outside of a city.
	By  string
	Any bool
}

// RemoveData asks to remove all versions of a name of which this broker knows; the answer is a [DataWritten], a [NoSuchData] or
// a refusal as of a [PutData].
type RemoveData struct {
	Token Token
	Name  data.Name
	If    *clock.Dot
	Past  causal.Context
}

// GetData asks what a name stands for; the answer is a [DataFound] or a [NoSuchData], at once.
type GetData struct {
	Token Token
	Name  data.Name
	Past  causal.Context
}

// AwaitData asks for a name when its latest version is another one than a client knows, zero for none; the answer is that of
// a [GetData], at once if it is so already.
type AwaitData struct {
	Token Token
	Name  data.Name
	Known clock.Dot
	Past  causal.Context
}

// ListData asks for the names below a prefix, sorted; the answer is a [DataListing].
type ListData struct {
	Token   Token
	Prefix  string
	Removed bool   // those of which nothing is there, too
	After   string // a name behind which it goes on, or ""
	Limit   int    // at least 1
}

// DataWritten says that a name has a version that this request wrote, or has none any more.
type DataWritten struct {
	Record   *data.Record
	Version  clock.Dot // that was written, or was there already; zero where versions were removed
	New      bool      // false: the latest version had this content already
	Removed  int       // versions
	Replicas int       // brokers that hold it, and its content (rule A1)
	Degraded bool      // fewer than the broker's configuration asks for
	Past     causal.Context
}

// DataFound is what this broker knows of a name.
type DataFound struct {
	Record *data.Record
	AsOf   time.Time
	Past   causal.Context
}

// NoSuchData says that nothing is there under a name.
type NoSuchData struct {
	Name    data.Name
	Nearest string       // the name that was probably meant; "" for none
	Record  *data.Record // what is known of versions that were removed; nil for nothing
	AsOf    time.Time
	Past    causal.Context
}

// DataListing is a page of names.
type DataListing struct {
	Records []*data.Record
	Next    string // behind which the next page begins; "" at the end
	AsOf    time.Time
}

// DataConflict says that the latest version is another one than the client took for it.
type DataConflict struct {
	Name   data.Name
	Record *data.Record // nil where nothing is known of the name
	Past   causal.Context
}

// DataOwned says that a name belongs to somebody else, who has written it first.
type DataOwned struct {
	Name  data.Name
	Owner string
	Job   bool // a job was to write it
}

// DataRefused refuses what a client asks of named data.
type DataRefused struct{ Reason string }

// put writes a version of a name, unless the latest one has that content.
func (n *names) put(b *Broker, in PutData) {
	if refused := n.refuses(in.Token, in.Name, in.If, in.Past); refused {
		return
	}
	blob := in.Content.Blob()
	n.blobs.Saw(blob)
	old := n.get(in.Name)
	if owner := old.Owner(); owner != "" && owner != in.By && !in.Any {
		n.answer(in.Token, &DataOwned{Name: in.Name, Owner: owner})
		return
	}
	if old == nil && n.sorted.Len() >= mostNames {
		n.answer(in.Token, n.tooMany())
		return
	}
	w := &dataWritten{by: in.Token, past: in.Past}
	if old != nil && old.Latest() != nil && *old.Latest().Content == in.Content {
		w.record, w.version = old, old.Latest().Dot
	} else {
		w.new = true
		w.record = n.write(in.Name, func(dot clock.Dot, old *data.Record) *data.Record {
			w.version = dot
			at := n.stamp()
			return data.Put(in.Name, old, in.Content, at, dot).ClaimedBy(in.By, at, dot)
		})
		if w.record == nil {
			return // the archive failed
		}
	}
	n.blobs.Spread([]job.Digest{blob}, b.copies.Reach())
	b.awaitCopies(ack.Demand{Dot: w.version, Blobs: []job.Digest{blob}}, w)
}

// tooMany refuses what would make another name.
func (n *names) tooMany() *DataRefused {
	return &DataRefused{fmt.Sprintf("there are %d names of data, and at most %d are allowed: remove some", n.sorted.Len(), mostNames)}
}

// remove removes all versions of a name that are there.
func (n *names) remove(b *Broker, in RemoveData) {
	if refused := n.refuses(in.Token, in.Name, in.If, in.Past); refused {
		return
	}
	old := n.get(in.Name)
	if old == nil || old.Latest() == nil {
		n.answer(in.Token, n.noSuchData(in.Name, old, in.Past))
		return
	}
	var last clock.Dot
	r := n.write(in.Name, func(dot clock.Dot, old *data.Record) *data.Record {
		last = dot
		at := n.stamp()
		return old.Remove(func(*data.Version) bool { return true }, at, false, dot).Released(at, dot)
	})
	if r == nil {
		return // the archive failed
	}
	b.awaitCopies(ack.Demand{Dot: last}, &dataWritten{by: in.Token, record: r, update: last, removed: len(slices.Collect(old.There())), past: in.Past})
}

// refuses answers what can't be done now.
func (n *names) refuses(t Token, name data.Name, known *clock.Dot, past causal.Context) bool {
	if n.offer.draining {
		n.answer(t, &Draining{})
		return true
	}
	if refused := n.needs(wire.V6); refused != nil {
		n.answer(t, refused)
		return true
	}
	if r := n.get(name); known != nil && latestOf(r) != *known {
		n.answer(t, &DataConflict{Name: name, Record: r, Past: past})
		return true
	}
	return false
}

// show answers what a name stands for.
func (n *names) show(in GetData) {
	if r := n.get(in.Name); r != nil && r.Latest() != nil {
		n.answer(in.Token, &DataFound{Record: r, AsOf: n.cityTime(), Past: in.Past.With(causal.Event{Dot: r.Latest().Dot})})
	} else {
		n.answer(in.Token, n.noSuchData(in.Name, r, in.Past))
	}
}

func (n *names) noSuchData(name data.Name, r *data.Record, past causal.Context) *NoSuchData {
	return &NoSuchData{Name: name, Nearest: n.nearest(name), Record: r, AsOf: n.cityTime(), Past: past}
}

// dataWaiter is a client that waits for another version of a name.
type dataWaiter struct{ in AwaitData }

// await answers when the latest version is another one than the client knows.
func (n *names) await(in AwaitData) {
	if latestOf(n.get(in.Name)) != in.Known {
		n.show(GetData{Token: in.Token, Name: in.Name, Past: in.Past})
		return
	}
	n.waits = append(n.waits, dataWaiter{in})
}

// answerWaiters answers those that wait for a name.
func (n *names) answerWaiters(name data.Name) {
	last := latestOf(n.get(name))
	n.waits = slices.DeleteFunc(n.waits, func(w dataWaiter) bool {
		if w.in.Name != name || w.in.Known == last {
			return false
		}
		n.show(GetData{Token: w.in.Token, Name: name, Past: w.in.Past})
		return true
	})
}

// drop takes back a wait.
func (n *names) drop(t Token) {
	n.waits = slices.DeleteFunc(n.waits, func(w dataWaiter) bool { return w.in.Token == t })
}

// list answers with the names below a prefix.
func (n *names) list(in ListData) {
	out := &DataListing{AsOf: n.cityTime()}
	from := max(data.Name(in.Prefix), data.Name(in.After))
	n.sorted.AscendGreaterOrEqual(from, func(name data.Name) bool {
		if !name.Below(in.Prefix) {
			return false
		}
		r := n.get(name)
		if r == nil || r.Latest() == nil && !in.Removed || string(name) == in.After {
			return true
		}
		if len(out.Records) == in.Limit {
			out.Next = out.Records[in.Limit-1].Key()
			return false
		}
		out.Records = append(out.Records, r)
		return true
	})
	n.answer(in.Token, out)
}

// dataWritten is a client that waits until others hold what it has written (rule A1).
type dataWritten struct {
	by      Token
	record  *data.Record
	version clock.Dot // zero of a removal
	update  clock.Dot // of a removal
	new     bool
	removed int
	past    causal.Context
}

func (d *dataWritten) token() Token { return d.by }

func (d *dataWritten) durable(b *Broker, copies int) {
	seen := d.version
	if seen.IsZero() {
		seen = d.update
	}
	b.answer(d.by, &DataWritten{
		Record: d.record, Version: d.version, New: d.new, Removed: d.removed,
		Replicas: copies, Degraded: b.copies.Degraded(copies), Past: d.past.With(causal.Event{Dot: seen}),
	})
}
