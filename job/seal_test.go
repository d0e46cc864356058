package job

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/urban-compute/ucp/clock"
)

// A seal that is written again takes the place of the one before, whoever writes it, at all who have heard of both; it
// knows of as many closes (rules L5, F2).
func TestSealAgain(t *testing.T) {
	ended := newRecord(t, creation).With(clock.Dot{Actor: executor, Counter: 1}, func(r *Record) {
		r.AddVerdict(Verdict{At: 30, Dot: clock.Dot{Actor: executor, Counter: 1}, Outcome: Succeeded})
	})
	v, low, high := *ended.Verdict(), clock.Dot{Actor: "b~1", Counter: 5}, clock.Dot{Actor: "z~1", Counter: 9}
	first := ended.With(low, func(r *Record) { r.SetSeal(v, 1, low) })
	again := first.With(high, func(r *Record) { r.SetSeal(v, 0, high) })
	require.Equal(t, &Seal{Again: 1, Closes: 1, Dot: high, Verdict: v.Dot}, again.Seal)
	for _, m := range []*Record{join(first, again), join(again, first)} {
		require.Equal(t, again.Seal, m.Seal)
		stored, err := DecodeRecord(m.Encode())
		require.NoError(t, err)
		require.Equal(t, again.Seal, stored.Seal)
		stub, err := DecodeStub(m.ToStub().Key(), m.ToStub().EncodeStub())
		require.NoError(t, err)
		require.Equal(t, again.Seal, stub.Seal)
	}

	// Behind the last number there is none: the seal stays.
	last := first.With(high, func(r *Record) { r.Seal = &Seal{Again: clock.MaxCounter, Closes: 1, Dot: low, Verdict: v.Dot} })
	require.Equal(t, last.Seal, last.With(high, func(r *Record) { r.SetSeal(v, 1, high) }).Seal)
}
