package job

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/urban-compute/ucp/clock"
)

func pauseAt(from clock.Time) Pause {
	return Pause{By: "b~1", From: from, For: ID(fmt.Sprintf("k%d", from)), Emergency: "flood-1", Mode: Suspend}
}

// Pauses stand in the order of time, the latest sixteen of them, whatever the order in which
// they are noted.
func TestPausesAreTheLatest(t *testing.T) {
	r := newRecord(t, creation)
	for i := range clock.Time(maxPauses + 5) {
		from := (i*5)%(maxPauses+5) + 1
		r = r.With(clock.Dot{Actor: "b~1", Counter: uint64(i) + 1}, func(r *Record) { r.AddPause(pauseAt(from)) })
	}
	require.Len(t, r.Pauses, maxPauses)
	for i, p := range r.Pauses {
		require.EqualValues(t, i+6, p.From)
	}
	same := r.With(clock.Dot{Actor: "b~1", Counter: 99}, func(r *Record) { r.AddPause(pauseAt(1)) })
	require.Equal(t, r.Pauses, same.Pauses, "an older one is not taken in again")
	_, err := DecodeRecord(r.Encode())
	require.NoError(t, err)
}

// What goes on ends all its pauses that have no end yet, and no other; never before they began,
// also when the clock was set back meanwhile. Of two claims the earlier holds.
func TestPausesEnd(t *testing.T) {
	dot := func(n uint64) clock.Dot { return clock.Dot{Actor: "b~1", Counter: n} }
	r := newRecord(t, creation).With(dot(1), func(r *Record) {
		r.AddPause(pauseAt(10))
		r.EndPauses(20)
		r.AddPause(pauseAt(30))
		r.AddPause(pauseAt(60))
	})
	ended := r.With(dot(2), func(r *Record) { r.EndPauses(50) })
	require.Equal(t, []clock.Time{20, 50, 60}, []clock.Time{ended.Pauses[0].To, ended.Pauses[1].To, ended.Pauses[2].To})
	require.Zero(t, r.Pauses[1].To, "the older record is not changed")

	later := r.With(clock.Dot{Actor: "c~1", Counter: 1}, func(r *Record) { r.EndPauses(70) })
	require.EqualValues(t, 50, join(ended, later).Pauses[1].To)
	require.EqualValues(t, 50, join(later, ended).Pauses[1].To)
	again := ended.With(dot(3), func(r *Record) { r.EndPauses(90) })
	require.Equal(t, ended.Pauses, again.Pauses)
	require.Empty(t, newRecord(t, creation).With(dot(1), func(r *Record) { r.EndPauses(90) }).Pauses)
}
