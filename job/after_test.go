package job

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/urban-compute/ucp/clock"
)

// A job waits for the jobs in Spec.After, and may not run if one of them failed, unless AfterPolicy is
// AfterEnd (rule C4).
func TestAfter(t *testing.T) {
	spec := Spec{Command: "true", After: []ID{"p", "q"}, Priority: Priority{User: DefaultUser}}
	require.NoError(t, spec.Complete())
	dot := clock.Dot{Actor: "a~1", Counter: 1}
	r := New("j", spec, spec.Digest(), Stamp{Dot: dot, At: 1})
	require.Equal(t, []ID{"p", "q"}, r.Waits())
	_, barred := r.Barred()
	require.False(t, barred)

	r = r.With(clock.Dot{Actor: "a~1", Counter: 2}, func(r *Record) {
		r.SetEnding(Ending{Job: "q", At: 5, By: "a~1", Outcome: Failed})
		r.SetEnding(Ending{Job: "q", At: 4, By: "a~1", Outcome: Cancelled})
		r.SetEnding(Ending{Job: "q", At: 6, By: "a~1", Outcome: Succeeded})
	})
	require.Equal(t, []ID{"p"}, r.Waits())
	e, barred := r.Barred()
	require.True(t, barred)
	require.Equal(t, Ending{Job: "q", At: 4, By: "a~1", Outcome: Cancelled}, e, "the earliest ending counts (rule J1)")

	require.True(t, r.Notes(e))
	require.True(t, r.Notes(Ending{Job: "q", At: 5, By: "a~1", Outcome: Failed}))
	require.False(t, r.Notes(Ending{Job: "q", At: 3, By: "a~1", Outcome: Failed}))
	require.False(t, r.Notes(Ending{Job: "p", At: 5, By: "a~1", Outcome: Failed}))

	sealed := Ending{Job: "q", At: 7, By: "a~1", Outcome: Succeeded, Sealed: 1}
	require.False(t, r.Notes(sealed))
	for _, e := range []Ending{sealed, {Job: "q", At: 2, By: "a~1", Outcome: Failed}, {Job: "q", At: 8, By: "a~1", Outcome: Failed, Sealed: 1}} {
		r = r.With(clock.Dot{Actor: "a~1", Counter: 3}, func(r *Record) { r.SetEnding(e) })
		require.Equal(t, []Ending{sealed}, r.Ended, "the sealed one decides (rule F2)")
	}

	r.Spec.AfterPolicy = AfterEnd
	_, barred = r.Barred()
	require.False(t, barred)
	back, err := DecodeRecord(r.Encode())
	require.NoError(t, err)
	require.Equal(t, r.Ended, back.Ended)
}
