package clock

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

// skew is the default of max_clock_skew (rule I3).
const skew = time.Minute

var noon = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

// TestHybridTickOnlyRises checks that each stamp is higher than all stamps before, and not before the
// wall clock, even if the wall clock runs backwards.
func TestHybridTickOnlyRises(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var h, last Hybrid
		now := noon
		for range 50 {
			now = now.Add(time.Duration(rapid.Int64Range(-2000, 1000).Draw(t, "step")) * time.Millisecond)
			stamp := h.Tick(now)
			require.Greater(t, stamp, last)
			require.Equal(t, h, stamp)
			require.GreaterOrEqual(t, stamp, HybridAt(now))
			last = stamp
		}
	})
}

// TestHybridExtendsHappensBefore runs random message histories between brokers with
// wrong clocks. If an event happened before another one by the vector clock, its stamp is
// lower (rule I3), so the pair (Hybrid, actor) is a total order that extends happens-before.
func TestHybridExtendsHappensBefore(t *testing.T) {
	type event struct {
		knows Vector
		stamp Hybrid
		actor Actor
	}
	type broker struct {
		actor Actor
		clock Vector
		h     Hybrid
		wrong time.Duration // how far its wall clock is off
	}
	rapid.Check(t, func(t *rapid.T) {
		var brokers []*broker
		for _, a := range actors {
			off := time.Duration(rapid.Int64Range(-25_000, 25_000).Draw(t, "off")) * time.Millisecond
			brokers = append(brokers, &broker{actor: a, wrong: off})
		}
		var events []event
		now := noon
		for range rapid.IntRange(2, 40).Draw(t, "events") {
			now = now.Add(time.Duration(rapid.Int64Range(0, 500).Draw(t, "step")) * time.Millisecond)
			b := rapid.SampledFrom(brokers).Draw(t, "broker")
			if len(events) > 0 && rapid.Bool().Draw(t, "receive") {
				e := rapid.SampledFrom(events).Draw(t, "message")
				b.clock.Merge(e.knows)
				require.True(t, b.h.Observe(e.stamp, now.Add(b.wrong), skew), "the stamps of clocks with a small skew are always adopted")
			}
			b.clock.Set(b.clock.Next(b.actor))
			e := event{b.clock.Clone(), b.h.Tick(now.Add(b.wrong)), b.actor}
			for _, f := range events {
				require.NotEqual(t, [2]any{f.stamp, f.actor}, [2]any{e.stamp, e.actor}, "the order is total")
				if f.knows.Compare(e.knows) == Before {
					require.Less(t, f.stamp, e.stamp, "%v happened before %v", f.knows, e.knows)
				}
			}
			events = append(events, e)
		}
	})
}

// TestHybridSkewLimit checks rule I3: a stamp that is too far ahead is not
// adopted, one at the limit is adopted, and old stamps never set the clock back.
func TestHybridSkewLimit(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		h := HybridAt(noon.Add(time.Duration(rapid.Int64Range(-100_000, 30_000).Draw(t, "own")) * time.Millisecond))
		ahead := time.Duration(rapid.Int64Range(-100_000, 200_000).Draw(t, "ahead")) * time.Millisecond
		remote := HybridAt(noon.Add(ahead)) + Hybrid(rapid.Uint64Range(0, 1<<16-1).Draw(t, "counter"))
		before := h
		if h.Observe(remote, noon, skew) {
			require.True(t, ahead <= skew)
			require.Equal(t, max(before, remote), h)
			require.Greater(t, h.Tick(noon), remote)
			return
		}
		require.Greater(t, ahead, skew)
		require.Equal(t, before, h, "a refused stamp was adopted")
	})
	h := HybridAt(noon)
	require.True(t, h.Observe(HybridAt(noon.Add(skew)), noon, skew), "exactly at the limit")
	require.False(t, h.Observe(HybridAt(noon.Add(skew+time.Millisecond)), noon, skew))
	require.False(t, h.Observe(Hybrid(1<<64-1), noon, skew), "the highest possible stamp is not adopted")
	require.Less(t, h.Tick(noon), HybridAt(noon.Add(skew+time.Second)))
}

// TestHybridOverflowCarries checks that after 65,536 events in a millisecond the stamps continue in the
// next millisecond (rule I3).
func TestHybridOverflowCarries(t *testing.T) {
	h := HybridAt(noon)
	last := h
	for range 1<<16 + 10 {
		require.Greater(t, h.Tick(noon), last)
		last = h
	}
	require.Equal(t, noon.Add(time.Millisecond), h.Time())
	require.Equal(t, last+1, h.Tick(noon.Add(time.Millisecond)), "the wall clock has caught up, but the counter continues")
}

func TestHybridParts(t *testing.T) {
	require.Equal(t, noon, HybridAt(noon).Time())
	require.Equal(t, noon, HybridAt(noon.Add(999*time.Microsecond)).Time(), "to the millisecond")
	require.Zero(t, HybridAt(time.Unix(-1, 0)), "times before 1970 give 0")
	require.Zero(t, HybridAt(time.Time{}))
	require.Equal(t, "1700000000000.3", (HybridAt(time.UnixMilli(1700000000000)) + 3).String())
	rapid.Check(t, func(t *rapid.T) {
		ms := rapid.Int64Range(0, 1<<48-1).Draw(t, "ms")
		require.Equal(t, ms, HybridAt(time.UnixMilli(ms)).Time().UnixMilli())
	})
}
