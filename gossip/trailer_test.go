package gossip

import (
	"bytes"
	"encoding/binary"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

// withTrailer returns a buffer with a trailer, whose length may be wrong.
func withTrailer(before string, length, magic uint32) []byte {
	buf := binary.BigEndian.AppendUint32([]byte(before), length)
	return binary.BigEndian.AppendUint32(buf, magic)
}

func TestCutTrailer(t *testing.T) {
	long := strings.Repeat("x", maxState+1)
	for _, c := range []struct {
		name           string
		in             []byte
		state, payload string
		found, fails   bool
	}{
		{name: "nothing"},
		{name: "shorter than a trailer", in: []byte("serf"), state: "serf"},
		{name: "a stock agent's", in: []byte("serf's own state"), state: "serf's own state"},
		{name: "with payload", in: withTrailer("serfours", 4, trailerMagic), state: "serf", payload: "ours", found: true},
		{name: "all payload", in: withTrailer("ours", 4, trailerMagic), payload: "ours", found: true},
		{name: "empty payload", in: withTrailer("serf", 0, trailerMagic), state: "serf", found: true},
		{name: "other magic", in: withTrailer("serfours", 4, trailerMagic+1), state: string(withTrailer("serfours", 4, trailerMagic+1))},
		{name: "claims too much", in: withTrailer("serf", 5, trailerMagic), state: string(withTrailer("serf", 5, trailerMagic)), found: true, fails: true},
		{name: "claims beyond int32", in: withTrailer("serf", 1<<32-1, trailerMagic), state: string(withTrailer("serf", 1<<32-1, trailerMagic)), found: true, fails: true},
		{name: "the longest (L11)", in: withTrailer("serf"+long[1:], maxState, trailerMagic), state: "serf", payload: long[1:], found: true},
		{name: "longer than the limit (L11)", in: withTrailer("serf"+long, maxState+1, trailerMagic), state: string(withTrailer("serf"+long, maxState+1, trailerMagic)), found: true, fails: true},
	} {
		t.Run(c.name, func(t *testing.T) {
			state, payload, found, err := cutTrailer(c.in)
			require.Equal(t, c.state, string(state))
			require.Equal(t, c.payload, string(payload))
			require.Equal(t, c.found, found)
			require.Equal(t, c.fails, err != nil)
		})
	}
}

func TestTrailerRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		state := rapid.SliceOf(rapid.Byte()).Draw(t, "state")
		payload := rapid.SliceOf(rapid.Byte()).Draw(t, "payload")
		buf := appendTrailer(state, payload)
		gotState, gotPayload, found, err := cutTrailer(buf)
		require.NoError(t, err)
		require.True(t, found)
		require.True(t, bytes.Equal(state, gotState))
		require.True(t, bytes.Equal(payload, gotPayload))
	})
}

// Whatever arrives, Serf gets either all of it or the part before the payload.
func TestGarbageTrailerIsHarmless(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		buf := rapid.SliceOf(rapid.Byte()).Draw(t, "buffer")
		if rapid.Bool().Draw(t, "magic") {
			buf = binary.BigEndian.AppendUint32(buf, trailerMagic)
		}
		before := bytes.Clone(buf)
		state, payload, found, err := cutTrailer(buf)
		require.True(t, bytes.Equal(before, buf), "the buffer is not changed")
		if !found || err != nil {
			require.True(t, bytes.Equal(before, state))
			require.Empty(t, payload)
			return
		}
		require.True(t, bytes.Equal(before, appendTrailer(state, payload)))
	})
}

func FuzzCutTrailer(f *testing.F) {
	f.Add(withTrailer("serfours", 4, trailerMagic))
	f.Add(withTrailer("", 1, trailerMagic))
	f.Fuzz(func(t *testing.T, buf []byte) {
		state, payload, found, err := cutTrailer(buf)
		if found && err == nil && !bytes.Equal(buf, appendTrailer(state, payload)) {
			t.Fatalf("cut %x into %x and %x", buf, state, payload)
		}
	})
}
