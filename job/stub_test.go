package job

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/urban-compute/ucp/clock"
)

// A stub keeps what decides a merge: it does not matter whether a job's end was merged before or after a copy became a
// stub (rule M4).
func TestStubOfAMergeIsTheMergeOfStubs(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		copies := rapid.SampledFrom(history(t))
		a, b := copies.Draw(t, "a"), copies.Draw(t, "b")
		if a.Finished() && b.Finished() {
			same(t, join(a, b).ToStub(), join(a.ToStub(), b.ToStub()), "both")
			same(t, join(a, b).ToStub(), join(a.ToStub(), b).ToStub(), "one")
		}
	})
}

// Nobody loses what is whole because another sends a stub, and no job that has ended runs again.
func TestStubTakesNothingAway(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		copies := rapid.SampledFrom(history(t))
		a, b := copies.Draw(t, "whole"), copies.Draw(t, "finished")
		if a.IsStub() || !b.Finished() {
			return
		}
		m := join(a, b.ToStub())
		require.Equal(t, a.Spec, m.Spec)
		require.Equal(t, a.Reports, m.Reports)
		require.True(t, m.Finished())
		require.Empty(t, m.Stub)
	})
}

// A stub is read again from its disk, and from the wire.
func TestStubRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		for _, r := range history(t) {
			if !r.Finished() {
				continue
			}
			s := r.ToStub()
			require.Equal(t, r.State(), s.State())
			require.Equal(t, r.Key(), s.Key())
			stored, err := DecodeStub(s.Key(), s.EncodeStub())
			require.NoError(t, err)
			same(t, s, stored, "from the disk")
			sent, err := DecodeRecord(s.Encode())
			require.NoError(t, err)
			same(t, s, sent, "from the wire")
			require.Equal(t, s.Key(), sent.Key())
		}
	})
}

// A finished job that is held back takes at most 64 bytes beside its ID, its digest and the actors that wrote it.
func TestStubIsSmall(t *testing.T) {
	r := busy(t)
	for i, v := range r.Verdicts {
		require.True(t, r.Dots.Has(v.Dot), i)
	}
	s := r.ToStub()
	actors := 0
	for _, d := range s.Dots {
		actors += len(d.Actor)
	}
	t.Logf("%d actors, %d creations, %d verdicts", len(s.Dots), len(s.Created), len(s.Verdicts))
	require.LessOrEqual(t, len(s.EncodeStub())-actors, 64)
}

// What is not a stub is not read as one.
func TestBadStubs(t *testing.T) {
	whole := busy(t).ToStub()
	for name, spoil := range map[string]func(*Record){
		"no verdict":       func(r *Record) { r.Verdicts = nil },
		"a spec":           func(r *Record) { r.Spec.Command = "true" },
		"an owner":         func(r *Record) { r.Owner.Broker = "a" },
		"another's digest": func(r *Record) { r.Stub = "zz" },
		"a creation that is not among its dots": func(r *Record) {
			r.Created = []Stamp{{Dot: clock.Dot{Actor: "z~1", Counter: 1}}}
		},
	} {
		r := *whole
		spoil(&r)
		_, err := DecodeRecord(r.Encode())
		require.Error(t, err, name)
	}
	b := whole.EncodeStub()
	for n := range b {
		_, err := DecodeStub(whole.Key(), b[:n])
		require.Error(t, err, fmt.Sprintf("%d bytes of %d", n, len(b)))
	}
	_, err := DecodeStub(whole.Key(), append(b, 0))
	require.Error(t, err, "a byte too many")
}

func FuzzDecodeStub(f *testing.F) {
	s := busy(f).ToStub()
	f.Add(s.Key(), s.EncodeStub())
	f.Fuzz(func(t *testing.T, key string, b []byte) {
		r, err := DecodeStub(key, b)
		if err != nil {
			return
		}
		again, err := DecodeStub(key, r.EncodeStub())
		require.NoError(t, err)
		require.Equal(t, r.Encode(), again.Encode())
	})
}
