package job

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/urban-compute/ucp/canon"
	"github.com/urban-compute/ucp/clock"
)

func testSpec(t testing.TB) Spec {
	s, err := ParseSpec([]byte(`{"command":"true","args":["a","b"],"env":{"K":"V"}}`))
	require.NoError(t, err)
	return s
}

func newRecord(t testing.TB, stamp Stamp) *Record {
	spec := testSpec(t)
	return New("j1", spec, spec.Digest(), stamp)
}

func TestRecordRoundTrip(t *testing.T) {
	at := clock.HybridAt(time.Unix(1_700_000_000, 0))
	dot := clock.Dot{Actor: "a~00000001", Counter: 1}
	r := newRecord(t, Stamp{Dot: dot, At: at})
	dot.Counter++
	r = r.With(dot, func(r *Record) {
		r.Place = Placement{Attempt: Attempt{r.Owner.Tenure, 1}, Broker: "a", Actor: dot.Actor}
		r.SetReport(Report{Attempt: r.Place.Attempt, Dot: dot, At: at + 1, Phase: Running})
	})
	b := r.Encode()
	got, err := DecodeRecord(b)
	require.NoError(t, err)
	require.Equal(t, b, got.Encode())
	require.Equal(t, r.Key(), got.Key())
	require.Equal(t, StateRunning, got.State())
}

// A newer broker's fields survive a round trip through this one (rule L2).
func TestUnknownFieldsArePreserved(t *testing.T) {
	r := newRecord(t, Stamp{Dot: clock.Dot{Actor: "a~1", Counter: 1}, At: 1})
	r.Unknown = canon.Unknown{"zeta": map[string]any{"x": int64(1), "y": []any{"a", int64(2)}}}
	r.Spec.Unknown = canon.Unknown{"affinity": "near"}
	got, err := DecodeRecord(r.Encode())
	require.NoError(t, err)
	require.Equal(t, r.Encode(), got.Encode())
	require.Contains(t, got.Unknown, "zeta")
	require.Contains(t, got.Spec.Unknown, "affinity")
	require.Equal(t, r.Spec.Digest(), got.Spec.Digest())
}

func BenchmarkRecordEncode(b *testing.B) {
	r := newRecord(b, Stamp{Dot: clock.Dot{Actor: "a~1", Counter: 1}, At: 1})
	b.ReportAllocs()
	for b.Loop() {
		r.Encode()
	}
}

func BenchmarkRecordDecode(b *testing.B) {
	e := newRecord(b, Stamp{Dot: clock.Dot{Actor: "a~1", Counter: 1}, At: 1}).Encode()
	b.ReportAllocs()
	for b.Loop() {
		if _, err := DecodeRecord(e); err != nil {
			b.Fatal(err)
		}
	}
}

// Absent fields of a report must not be filled from the report before it.
func TestDecodeDoesNotMixReports(t *testing.T) {
	r := newRecord(t, Stamp{Dot: clock.Dot{Actor: "a~1", Counter: 1}, At: 1})
	for _, rep := range []Report{
		{Dot: clock.Dot{Actor: "a~1", Counter: 2}, Phase: Done, Result: &Result{Outcome: Succeeded}},
		{Dot: clock.Dot{Actor: "b~1", Counter: 1}, Phase: Running},
	} {
		r = r.With(rep.Dot, func(r *Record) { r.SetReport(rep) })
	}
	got, err := DecodeRecord(r.Encode())
	require.NoError(t, err)
	require.Equal(t, r, got)
}
