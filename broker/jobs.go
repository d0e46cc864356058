package broker

import (
	"cmp"
	"encoding/base64"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/google/btree"

	"github.com/urban-compute/ucp/broker/kind"
	"github.com/urban-compute/ucp/clock"
	"github.com/urban-compute/ucp/job"
)

// jobIndex finds jobs by ID and by age, and sums up what is placed where. All of
// it is derived from the records; finished ones are in it without their record
// (rule L1).
type jobIndex struct {
	byKey *btree.BTreeG[jobItem]
	byAge *btree.BTreeG[jobItem]
	load  map[string]job.Resources     // what unfinished jobs placed at a broker ask for
	owned map[string]map[job.State]int // unfinished jobs by owner and state
	byEnd *btree.BTreeG[endItem]       // finished jobs, the longest known to have ended first

	wanted    map[job.ID]map[string]bool // the unfinished jobs that name this one as their predecessor, by key (rules L8, C4)
	arrays    arrays                     // those that unfinished jobs name as their predecessors (rule C4)
	caused    map[string]map[string]bool // the jobs that had to make room because of this emergency, by its ID
	keys      map[string]map[string]bool // the unfinished jobs that want this exclusive key, by their own (rule J10)
	placeless [2]*btree.BTreeG[jobItem]  // the unfinished jobs that have no place, by age: those that name no level or emergency, and those that do
	tagged    int                        // unfinished jobs that name a level, or an emergency

	precedence precedence // what goes before a job of a level
}

// endItem is a finished job.
type endItem struct {
	since time.Duration // uptime of this broker when it first held the job as finished (rule T1)
	at    clock.Hybrid  // of the earliest creation, which orders what became known together
	key   string
}

// behind is where the items begin that come after this one.
func (it endItem) behind() endItem { return endItem{it.since, it.at, it.key + "\x00"} }

func (it jobItem) end() endItem { return endItem{it.since, it.at, it.key} }

// jobItem is what the index knows of one job.
type jobItem struct {
	key   string
	at    clock.Hybrid // of the earliest creation
	state job.State
	since time.Duration // as in endItem, once it is finished
}

func newJobIndex() jobIndex {
	byAge := func(a, b jobItem) bool { return cmp.Or(cmp.Compare(a.at, b.at), cmp.Compare(a.key, b.key)) < 0 }
	return jobIndex{
		placeless: [2]*btree.BTreeG[jobItem]{btree.NewG(32, byAge), btree.NewG(32, byAge)},
		byKey:     btree.NewG(32, func(a, b jobItem) bool { return a.key < b.key }),
		byAge:     btree.NewG(32, byAge),
		byEnd: btree.NewG(32, func(a, b endItem) bool {
			return cmp.Or(cmp.Compare(a.since, b.since), cmp.Compare(a.at, b.at), cmp.Compare(a.key, b.key)) < 0
		}),
		wanted: map[job.ID]map[string]bool{},
		arrays: newArrays(),
		caused: map[string]map[string]bool{},
		keys:   map[string]map[string]bool{},
		load:   map[string]job.Resources{},
		owned:  map[string]map[job.State]int{},
	}
}

// update moves the index from the old record (nil for none) to the new. Up is the uptime of this
// broker, from which the age of a job counts that has ended now.
func (x *jobIndex) update(old, r *job.Record, up time.Duration) {
	if old != nil && old.IsStub() {
		old = nil // it was not in the index
	}
	if r.IsStub() {
		if old != nil {
			x.remove(old)
		}
		return
	}
	it := jobItem{r.Key(), r.Submitted(), r.State(), up}
	if old != nil {
		x.count(old, -1)
		was, _ := x.byKey.Get(it)
		if old.Finished() {
			it.since = was.since
			x.byEnd.Delete(was.end())
		}
		if was.at != it.at {
			x.byAge.Delete(was)
		}
	}
	x.count(r, +1)
	x.pauses(old, r)
	if r.Finished() {
		x.byEnd.ReplaceOrInsert(it.end())
	}
	x.byKey.ReplaceOrInsert(it)
	x.byAge.ReplaceOrInsert(it)
}

// endedSince is the uptime of this broker when it first held a job as finished.
func (x *jobIndex) endedSince(key string) time.Duration {
	it, _ := x.byKey.Get(jobItem{key: key})
	return it.since
}

// unknownAge is the since of a finished job until it is known, at a start; it comes before all others.
const unknownAge time.Duration = -1

// ageless lists the finished jobs, at a start, of which it is not stored since when they were known to have ended: a
// version that kept no ages has written them, or a crash has lost some of the uptime, which is up now.
func (x *jobIndex) ageless(up time.Duration) (keys []string) {
	x.byEnd.Ascend(func(it endItem) bool {
		if it.since == unknownAge {
			keys = append(keys, it.key)
		}
		return it.since == unknownAge
	})
	x.byEnd.Descend(func(it endItem) bool {
		if it.since > up {
			keys = append(keys, it.key)
		}
		return it.since > up
	})
	return keys
}

// endedBehind lists n finished jobs from one on, the longest known to have ended first, and after the last one from the
// first on; and which job comes next.
func (x *jobIndex) endedBehind(from endItem, n int) (keys []string, next endItem) {
	full := false
	look := func(it endItem) bool {
		if full = len(keys) == n; full {
			next = it
		} else {
			keys = append(keys, it.key)
		}
		return !full
	}
	x.byEnd.AscendGreaterOrEqual(from, look)
	if !full {
		x.byEnd.AscendLessThan(from, look)
	}
	return keys, next
}

// endedFrom lists n finished jobs from one on, the longest known to have ended first.
func (x *jobIndex) endedFrom(from endItem, n int) (list []endItem) {
	x.byEnd.AscendGreaterOrEqual(from, func(it endItem) bool {
		list = append(list, it)
		return len(list) < n
	})
	return list
}

// recallEnd takes in what an earlier start has stored: since when a finished job was known to have ended. It
// reports whether there is such a job.
func (x *jobIndex) recallEnd(key string, since time.Duration) bool {
	it, ok := x.byKey.Get(jobItem{key: key})
	if !ok || !it.state.Final() {
		return false
	}
	x.byEnd.Delete(it.end())
	it.since = since
	x.byEnd.ReplaceOrInsert(it.end())
	x.byKey.ReplaceOrInsert(it)
	x.byAge.ReplaceOrInsert(it)
	return true
}

// remove takes a job out of the index that was forgotten.
func (x *jobIndex) remove(r *job.Record) {
	x.count(r, -1)
	x.pauses(r, nil)
	if it, ok := x.byKey.Delete(jobItem{key: r.Key()}); ok {
		x.byEnd.Delete(it.end())
		x.byAge.Delete(it)
	}
}

// pauses keeps which emergencies have made a job pause; either may be nil.
func (x *jobIndex) pauses(old, r *job.Record) {
	for _, v := range []struct {
		r  *job.Record
		in bool
	}{{old, false}, {r, true}} {
		if v.r == nil {
			continue
		}
		for _, p := range v.r.Pauses {
			if p.Emergency != "" {
				mark(x.caused, p.Emergency, v.r.Key(), v.in)
			}
		}
	}
}

// count adds an unfinished job to the sums, or takes it out.
func (x *jobIndex) count(r *job.Record, sign int) {
	if r.Finished() {
		return
	}
	if x.owned[r.Owner.Broker] == nil {
		x.owned[r.Owner.Broker] = map[job.State]int{}
	}
	x.owned[r.Owner.Broker][r.State()] += sign
	for _, id := range r.Predecessors() {
		if id.IsArray() {
			x.arrays.mark(id, r.Key(), sign > 0)
		} else {
			mark(x.wanted, id, r.Key(), sign > 0)
		}
	}
	if key := r.Spec.Exclusive; key != "" {
		mark(x.keys, key, r.Key(), sign > 0)
	}
	if r.Spec.Priority.Emergency != "" {
		x.tagged += sign
	}
	if r.Place.IsZero() {
		set, it := x.placeless[0], jobItem{key: r.Key(), at: r.Submitted()}
		if r.Spec.Priority.Emergency != "" {
			set = x.placeless[1]
		}
		if sign > 0 {
			set.ReplaceOrInsert(it)
		} else {
			set.Delete(it)
		}
		return
	}
	x.precedence.count(r, sign)
	if sign > 0 {
		x.load[r.Place.Broker] = x.load[r.Place.Broker].Plus(r.Spec.Resources)
	} else {
		x.load[r.Place.Broker] = x.load[r.Place.Broker].Minus(r.Spec.Resources)
	}
}

// mark puts a job into one of several sets, or takes it out.
func mark[K comparable](sets map[K]map[string]bool, of K, key string, in bool) {
	switch {
	case !in:
		delete(sets[of], key)
		if len(sets[of]) == 0 {
			delete(sets, of)
		}
	case sets[of] == nil:
		sets[of] = map[string]bool{key: true}
	default:
		sets[of][key] = true
	}
}

// withID returns the keys of the jobs with exactly this ID; more than one when
// specs met that were submitted under one ID (rule J3). Stubs are not in the index.
func (x *jobIndex) withID(id job.ID) []string { return x.prefix(string(id)+"~", maxPrefix) }

// maxPrefix bounds how many keys a look-up by prefix considers.
const maxPrefix = 16

func (x *jobIndex) prefix(p string, n int) (keys []string) {
	x.byKey.AscendGreaterOrEqual(jobItem{key: p}, func(it jobItem) bool {
		if !strings.HasPrefix(it.key, p) || len(keys) == n {
			return false
		}
		keys = append(keys, it.key)
		return true
	})
	return keys
}

// withID returns the keys of the jobs with exactly this ID, stubs too.
func (c *core) withID(id job.ID) []string { return c.keys(string(id) + "~") }

// keys returns the keys of jobs that begin with a prefix, stubs too: maxPrefix at most.
func (c *core) keys(prefix string) []string {
	keys := c.jobs.prefix(prefix, maxPrefix)
	stubs, err := c.ledger.StubKeys(kind.Job, prefix, maxPrefix)
	c.fail(err)
	if len(stubs) == 0 {
		return keys
	}
	keys = slices.Concat(keys, stubs)
	slices.Sort(keys)
	return keys[:min(len(keys), maxPrefix)]
}

// idOf returns the ID part of a key.
func idOf(key string) job.ID {
	id, _, _ := strings.Cut(key, "~")
	return job.ID(id)
}

// resolve finds the job that a person means: an exact ID beats a prefix,
// "ID~digest" names one of several specs (rule J3). Of several records with one
// ID the earliest creation owns it. Several IDs with that prefix are ambiguous.
func (c *core) resolve(id string) (r *job.Record, ambiguous []job.ID) {
	keys := c.withID(job.ID(id))
	if len(keys) == 0 {
		keys = c.keys(id)
		for _, key := range keys {
			if n := len(ambiguous); n == 0 || ambiguous[n-1] != idOf(key) {
				ambiguous = append(ambiguous, idOf(key))
			}
		}
		if len(ambiguous) > 1 {
			return nil, ambiguous
		}
	}
	for _, key := range keys {
		if x := c.record(key); x != nil && (r == nil || x.Before(r)) {
			r = x
		}
	}
	return r, nil
}

// mostLooked bounds how many records one page looks at, for jobs that its filter chooses.
const mostLooked = 4096

// page offers jobs in one of the filter's states, newest first, behind the cursor, until n are taken, or mostLooked were
// offered: then next is the cursor of where it goes on.
func (x *jobIndex) page(f *job.Filter, n int, after string, take func(key string) bool) (next string, err error) {
	var last jobItem
	taken, looked := 0, 0
	visit := func(it jobItem) bool {
		if after != "" && it.at == last.at && it.key == last.key {
			return true // the cursor itself
		}
		if !f.HasState(it.state) {
			return true
		}
		if taken == n || looked == mostLooked {
			next = last.cursor()
			return false
		}
		if looked++; take(it.key) {
			taken++
		}
		last = it
		return true
	}
	if after == "" {
		x.byAge.Descend(visit)
	} else {
		if last, err = parseCursor(after); err != nil {
			return "", err
		}
		x.byAge.DescendLessOrEqual(last, visit)
	}
	return next, nil
}

// leastShown is the least number of characters of an ID that is shown.
const leastShown = 8

// short is the shortest beginning of a job's ID that means no other job here: at least leastShown characters, and never
// one that is another job's whole ID.
func (x *jobIndex) short(id job.ID) string {
	n := leastShown
	other := func(it jobItem) (more bool) {
		o := idOf(it.key)
		if o != id {
			n = max(n, common(string(id), string(o))+1)
		}
		return o == id
	}
	x.byKey.AscendGreaterOrEqual(jobItem{key: string(id) + "~"}, other)
	x.byKey.DescendLessOrEqual(jobItem{key: string(id) + "~"}, other)
	return string(id)[:min(n, len(id))]
}

// common is how many characters two texts have in common at their beginning.
func common(a, b string) int {
	n := 0
	for n < min(len(a), len(b)) && a[n] == b[n] {
		n++
	}
	return n
}

func (it jobItem) cursor() string {
	return base64.RawURLEncoding.EncodeToString(fmt.Appendf(nil, "%d %s", uint64(it.at), it.key))
}

func parseCursor(s string) (it jobItem, err error) {
	b, err := base64.RawURLEncoding.DecodeString(s)
	if err == nil {
		_, err = fmt.Sscanf(string(b), "%d %s", &it.at, &it.key)
	}
	if err != nil {
		return it, fmt.Errorf("cursor %.80q: use the \"next\" of an earlier page", s)
	}
	return it, nil
}

// ValidCursor says what is wrong with a List's cursor; nil when nothing is.
func ValidCursor(s string) error {
	if s == "" {
		return nil
	}
	_, err := parseCursor(s)
	return err
}
