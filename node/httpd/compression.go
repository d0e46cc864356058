package httpd

import (
	"fmt"
	"io"
	"net/http"

	"github.com/klauspost/compress/zstd"

	"github.com/urban-compute/ucp/broker/wire"
)

// compressFrom is the size in bytes from which bodies are compressed (rule S5).
const compressFrom = 4 << 10

// Compression compresses large bodies between brokers (rule S5). Its methods may be called from any
// goroutine.
type Compression struct {
	writer *zstd.Encoder
	reader *zstd.Decoder
}

// NewCompression makes a Compression.
func NewCompression() (p Compression) {
	p.writer, _ = zstd.NewWriter(nil, zstd.WithEncoderLevel(zstd.SpeedFastest), zstd.WithEncoderConcurrency(1))   // an error
	p.reader, _ = zstd.NewReader(nil, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxMemory(wire.MaxMessage)) // is one of an option only
	return p
}

// Pack compresses a large body, and says so in the header.
func (p Compression) Pack(b []byte, h http.Header) []byte {
	if len(b) < compressFrom {
		return b
	}
	h.Set("Content-Encoding", "zstd")
	return p.writer.EncodeAll(b, make([]byte, 0, len(b)/3)) // records become a quarter or less
}

// Unpack reads a body of at most wire.MaxMessage bytes, compressed or not.
func (p Compression) Unpack(r io.Reader, h http.Header) ([]byte, error) {
	b, err := io.ReadAll(io.LimitReader(r, wire.MaxMessage+1))
	if err != nil {
		return nil, err
	}
	if len(b) > wire.MaxMessage {
		return nil, fmt.Errorf("more than %d bytes", wire.MaxMessage)
	}
	switch enc := h.Get("Content-Encoding"); enc {
	case "":
		return b, nil
	case "zstd":
		return p.reader.DecodeAll(b, nil)
	default:
		return nil, fmt.Errorf("unknown Content-Encoding %.40q", enc)
	}
}
