package httpd

import (
	"bytes"
	"net/http"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/urban-compute/ucp/broker/wire"
)

// A body never becomes longer than a message may be, however it was compressed; what was packed comes out as it was.
func FuzzUnpack(f *testing.F) {
	z := NewCompression()
	f.Add([]byte("text"), true)
	f.Add(z.Pack(make([]byte, 1<<20), http.Header{}), true)
	f.Add(z.Pack(make([]byte, wire.MaxMessage+1), http.Header{}), true)
	f.Fuzz(func(t *testing.T, b []byte, packed bool) {
		h := http.Header{}
		if packed {
			h.Set("Content-Encoding", "zstd")
		}
		got, err := z.Unpack(bytes.NewReader(b), h)
		if err != nil {
			return
		}
		require.LessOrEqual(t, len(got), wire.MaxMessage)
		h = http.Header{}
		again, err := z.Unpack(bytes.NewReader(z.Pack(got, h)), h)
		require.NoError(t, err)
		require.True(t, bytes.Equal(got, again))
	})
}
