package ledger

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/cockroachdb/datadriven"

	"github.com/urban-compute/ucp/clock"
	"github.com/urban-compute/ucp/test/story"
)

// The stories in testdata show the rules of the ledger one by one, several with
// the counter-example that they stand for. The commands:
//
//	apply a j1 [j2 ...]       a updates these records; answers with the dots
//	close a j1                a updates j1 for the last time: it is finished
//	sync a                    a's changes reach its disk
//	crash a                   a loses what was not synced, and starts with a fresh actor (I1)
//	rollback a                a's disk is wiped, and a starts from it with a fresh actor
//	ask a b                   a learns b's clock, to send it deltas later
//	delta a b [naive]         a syncs and sends what b lacks, since the clock that it learnt (or now);
//	                          naive: b adopts the clock without looking at since
//	pin a b limit=N           a starts a transfer to b in pages of N bytes (L5)
//	page a b [lost]           a sends the next page; lost: b gets it, but a never hears so
//	naive a b records=N       a pages over its live table instead of a pinned list
//	clock a, show a, disk a   what a holds, or would after a crash
//	holes                     dots that are covered somewhere without being held: lost jobs
func TestStories(t *testing.T) {
	story.Run(t, func(t *testing.T) func(*testing.T, *datadriven.TestData) string {
		w := &world{t: t, replicas: map[string]*replica{}, minted: oracle{}, known: map[string]clock.Tips{}, transfers: map[string]*outgoing{}}
		return func(t *testing.T, d *datadriven.TestData) string { return story.Command(t, d, commands)(w, d) }
	})
}

type world struct {
	t         *testing.T
	replicas  map[string]*replica
	minted    oracle
	known     map[string]clock.Tips // "a b": b's clock as a learnt it
	transfers map[string]*outgoing
}

// outgoing is the sender's side of a transfer.
type outgoing struct {
	t     *Transfer
	limit int
	page  int
	naive uint64 // the cursor of the naive way
}

var commands = map[string]func(*world, *datadriven.TestData) string{
	"apply": func(w *world, d *datadriven.TestData) string { return w.apply(d, false) },
	"close": func(w *world, d *datadriven.TestData) string { return w.apply(d, true) },
	"sync": func(w *world, d *datadriven.TestData) string {
		return fmt.Sprintf("%d keys written", w.at(d, 0).sync())
	},
	"crash": func(w *world, d *datadriven.TestData) string {
		r := w.at(d, 0)
		r.start()
		return fmt.Sprintf("%s starts as %s", r.name, r.self)
	},
	"rollback": func(w *world, d *datadriven.TestData) string {
		r := w.at(d, 0)
		clear(r.disk)
		r.start()
		return fmt.Sprintf("%s starts as %s from an empty disk", r.name, r.self)
	},
	"ask": func(w *world, d *datadriven.TestData) string {
		b := w.at(d, 1)
		b.sync()
		w.known[link(d)] = b.Clock()
		return b.Clock().String()
	},
	"delta": (*world).delta,
	"pin":   (*world).pin,
	"page":  (*world).page,
	"naive": (*world).naive,
	"clock": func(w *world, d *datadriven.TestData) string { return w.at(d, 0).Clock().String() },
	"show":  func(w *world, d *datadriven.TestData) string { return lines(w.at(d, 0).contents()) },
	"disk": func(w *world, d *datadriven.TestData) string {
		r := w.at(d, 0)
		return lines((&replica{disk: r.disk, Ledger: reload(r)}).contents())
	},
	"holes": func(w *world, d *datadriven.TestData) string {
		var out []string
		for _, name := range []string{"a", "b", "c"} {
			if r := w.replicas[name]; r != nil {
				out = append(out, w.minted.holes(r)...)
			}
		}
		return lines(out)
	},
}

func lines(list []string) string {
	if len(list) == 0 {
		return "nothing"
	}
	return strings.Join(list, "\n")
}

func reload(r *replica) *Ledger {
	l := New("nobody", r.disk, setSchema)
	must(l.Load(r.disk.Scan, nil))
	return l
}

// at returns the broker that the command's i-th word names.
func (w *world) at(d *datadriven.TestData, i int) *replica {
	name := d.CmdArgs[i].Key
	if w.replicas[name] == nil {
		w.replicas[name] = newReplica(name)
	}
	return w.replicas[name]
}

func link(d *datadriven.TestData) string { return d.CmdArgs[0].Key + " " + d.CmdArgs[1].Key }

func (w *world) apply(d *datadriven.TestData, closes bool) string {
	r := w.at(d, 0)
	var dots []string
	for _, arg := range d.CmdArgs[1:] {
		dot, err := touch(r.Ledger, arg.Key, closes)
		must(err)
		w.minted[dot] = arg.Key
		dots = append(dots, dot.String())
	}
	return strings.Join(dots, " ")
}

func (w *world) delta(d *datadriven.TestData) string {
	a, b := w.at(d, 0), w.at(d, 1)
	a.sync()
	since, ok := w.known[link(d)]
	if !ok {
		since = b.Clock()
	}
	delete(w.known, link(d))
	delta, _, err := a.Delta(since, 1<<20)
	must(err)
	out := "since " + since.String() + ": " + list(delta)
	news, adopted := b.receive(delta)
	if d.HasArg("naive") {
		b.adopt(delta.Clock, nil)
		adopted = true
	}
	b.sync()
	return out + "\n" + verdict(b, news, adopted)
}

// list names the records of a delta, and its clock.
func list(d Delta) string {
	out := []string{}
	for _, e := range d.Entries {
		key, _, _ := strings.Cut(string(e.Encoded), " ")
		out = append(out, key)
	}
	if d.Clock == nil {
		return fmt.Sprintf("%v, more to come", out)
	}
	return fmt.Sprintf("%v clock %v", out, d.Clock)
}

func verdict(b *replica, news []Change, adopted bool) string {
	keys := []string{}
	for _, c := range news {
		keys = append(keys, c.Key)
	}
	slices.Sort(keys)
	if !adopted {
		return fmt.Sprintf("%s: news %v, clock not adopted, still %v", b.name, keys, b.Clock())
	}
	return fmt.Sprintf("%s: news %v, clock now %v", b.name, keys, b.Clock())
}

func (w *world) pin(d *datadriven.TestData) string {
	a, b := w.at(d, 0), w.at(d, 1)
	a.sync()
	o := &outgoing{t: a.Pin(b.Clock())}
	d.ScanArgs(w.t, "limit", &o.limit)
	w.transfers[link(d)] = o
	return fmt.Sprintf("%d records, clock %v", len(o.t.refs), o.t.clock)
}

func (w *world) page(d *datadriven.TestData) string {
	a, b, o := w.at(d, 0), w.at(d, 1), w.transfers[link(d)]
	a.sync()
	delta, _, err := o.t.Page(a.Ledger, o.limit)
	must(err)
	out := fmt.Sprintf("page %d: %s\n", o.page, list(delta))
	news, adopted, ok := b.page(o.t, o.page, delta)
	b.sync()
	switch {
	case !ok:
		return out + b.name + ": starts again, the beginning did not come here"
	case d.HasArg("lost"):
		return out + verdict(b, news, adopted) + ", but the answer is lost"
	}
	o.t.Advance()
	o.page++
	return out + verdict(b, news, adopted)
}

// naive sends the next records of the live table, from a cursor on a's counter up
// to the clock at the start: what a transfer would be without rule L5.
func (w *world) naive(d *datadriven.TestData) string {
	a, b := w.at(d, 0), w.at(d, 1)
	a.sync()
	o := w.transfers[link(d)]
	if o == nil {
		o = &outgoing{t: a.Pin(b.Clock())}
		w.transfers[link(d)] = o
	}
	var n int
	d.ScanArgs(w.t, "records", &n)
	var delta Delta
	last := true
	a.index[a.self].AscendGreaterOrEqual(indexed{counter: o.naive + 1}, func(i indexed) bool {
		if i.counter > clock.Vector(o.t.clock).Get(a.self) {
			return false
		}
		if len(delta.Entries) == n {
			last = false
			return false
		}
		delta.Entries = append(delta.Entries, Entry{Ref: i.ref, Encoded: a.set(i.ref.Key).Encode()})
		o.naive = i.counter
		return true
	})
	if last {
		delta.Clock = o.t.clock
	}
	out := list(delta)
	news, adopted := b.receive(delta)
	return out + "\n" + verdict(b, news, adopted)
}
