package broker

import (
	"cmp"
	"time"

	"github.com/google/btree"

	"github.com/urban-compute/ucp/clock"
)

// reviews are the jobs to be looked at: those whose record, or whose surroundings, have changed,
// in the order in which they did, and those whose time will come. A review compares what the
// record says with what this broker does and mends the difference; one too many does nothing, so
// that nothing is lost by marking a job.
type reviews struct {
	list   []string // keys
	marked map[string]bool
	timers timers
}

// later marks a job.
func (r *reviews) later(key string) {
	if r.marked == nil {
		r.marked = map[string]bool{}
	}
	if !r.marked[key] {
		r.marked[key] = true
		r.list = append(r.list, key)
	}
}

// at marks a job when it is that time, by the clock that never goes back.
func (r *reviews) at(t time.Time, key string) { r.timers.add(rounded(t), key) }

// wake marks the jobs whose time has come.
func (r *reviews) wake(now time.Time) {
	for _, key := range r.timers.due(clock.At(now)) {
		r.later(key)
	}
}

// next takes the first marked job; ok is false when there is none.
func (r *reviews) next() (key string, ok bool) {
	if len(r.list) == 0 {
		return "", false
	}
	key, r.list = r.list[0], r.list[1:]
	delete(r.marked, key)
	return key, true
}

// pending reports whether jobs are marked.
func (r *reviews) pending() bool { return len(r.list) > 0 }

// due is when the next job's time comes; zero is never.
func (r *reviews) due() time.Time {
	if at, ok := r.timers.next(); ok {
		return at.Time()
	}
	return time.Time{}
}

// timers says which keys are to be reviewed when. A key may be in it several
// times; a review too many does nothing.
type timers struct{ tree *btree.BTreeG[timer] }

type timer struct {
	at  clock.Time
	key string
}

func (t *timers) add(at clock.Time, key string) {
	if t.tree == nil {
		t.tree = btree.NewG(16, func(a, b timer) bool {
			return cmp.Or(cmp.Compare(a.at, b.at), cmp.Compare(a.key, b.key)) < 0
		})
	}
	t.tree.ReplaceOrInsert(timer{at, key})
}

// rounded is the first instant that a timer knows and that is not before t.
func rounded(t time.Time) clock.Time { return clock.At(t.Add(time.Millisecond - time.Nanosecond)) }

// due takes out all keys whose time has come.
func (t *timers) due(now clock.Time) (keys []string) {
	for t.tree != nil {
		first, ok := t.tree.Min()
		if !ok || first.at > now {
			break
		}
		t.tree.DeleteMin()
		keys = append(keys, first.key)
	}
	return keys
}

// next returns when the next key is due.
func (t *timers) next() (at clock.Time, ok bool) {
	if t.tree == nil {
		return 0, false
	}
	first, ok := t.tree.Min()
	return first.at, ok
}
