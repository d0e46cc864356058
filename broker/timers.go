package broker

import (
	"cmp"
	"time"

	"github.com/google/btree"

	"github.com/urban-compute/ucp/clock"
)

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
