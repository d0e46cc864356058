package emergency

import (
	"math"
	"testing"

	"github.com/stretchr/testify/require"
)

// FuzzParse checks that every event is refused or makes a valid hint, which can be encoded,
// decoded, sent as an event and merged with other records.
func FuzzParse(f *testing.F) {
	for _, s := range []string{
		`{"type":"flood","level":"critical"}`, `{"clear":"flood-1"}`, `{"clear":"x","at":18446744073709551615,"by":"a~1"}`,
		`{"id":"x","type":"flood","level":"low","scope":{"a":"1"},"select":["b in (c,d)"],"ttl":"720h","message":"\u00e4","declared":1,"seq":4294967296,"at":2,"by":"b~1"}`,
		`{"type":"flood","level":"critical","scope":" district=7 "}`, `null`, `{}`, `[]`, `{"type":"a","level":"low","ttl":"9223372036854775807ns"}`,
	} {
		f.Add([]byte(s), uint64(7))
	}
	f.Add([]byte(`{"type":"flood","level":"critical"}`), uint64(math.MaxUint64))
	f.Fuzz(func(t *testing.T, payload []byte, ltime uint64) {
		r, err := Parse(payload, ltime, hybrid(1000))
		if err != nil {
			return
		}
		require.NoError(t, r.validate())
		again, err := DecodeHint(r.Encode())
		require.NoError(t, err)
		same(t, r, again, "as it is stored")
		same(t, r, join(r, again), "idempotent")
		other := goodRecord()
		other.ID = r.ID
		same(t, join(r, other), join(other, r), "commutative")
		require.NoError(t, join(r, other).validate())
		if b, err := r.Event(); err == nil {
			require.LessOrEqual(t, len(b), maxEvent)
			_, err = Parse(b, ltime, hybrid(2000))
			require.NoError(t, err)
		}
		_ = NewActiveSet([]*Record{r}, nil, r.Until()-1)
	})
}

// FuzzDecode checks that a record that was decoded is valid, has a canonical encoding, and can be merged.
func FuzzDecode(f *testing.F) {
	f.Add(goodRecord().Encode())
	cleared := goodRecord()
	cleared.Cleared = []Mark{{9, "b~1"}}
	f.Add(cleared.Encode())
	newer := goodRecord()
	newer.Unknown.Add([]byte("a"), map[string]any{"b": []any{1, "x"}})
	f.Add(newer.Encode())
	f.Add([]byte{0x80})
	f.Fuzz(func(t *testing.T, b []byte) {
		r, err := Decode(b)
		if err != nil {
			return
		}
		require.NoError(t, r.validate())
		require.False(t, r.IsHint())
		canonical := r.Encode()
		if len(canonical) > MaxRecord {
			return // the canonical encoding is longer than b, and over the limit
		}
		again, err := Decode(canonical)
		require.NoError(t, err)
		require.Equal(t, canonical, again.Encode())
		same(t, r, join(r, again), "idempotent")
		other := goodRecord()
		other.ID = r.ID
		m := join(r, other)
		same(t, m, join(other, r), "commutative")
		require.NoError(t, m.validate())
	})
}
