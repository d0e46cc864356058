package executor

import (
	"bytes"
	"errors"
	"io"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/urban-compute/ucp/job"
)

// Whatever comes through the pipe of a worker, or of its broker, is a message or an error, and nothing is taken for the rest
// of a frame.
func FuzzFrames(f *testing.F) {
	var pipe bytes.Buffer
	l := newLink(&pipe, &pipe)
	require.NoError(f, l.write(toWorker{Run: &order{Driver: job.Wasm, Name: "x", Args: []string{"a"}, Memory: 1 << 20}}))
	f.Add(pipe.Bytes(), true)
	f.Add([]byte{0, 0, 0, 5, 0xdf, 0xff, 0xff, 0xff, 0xff}, false)
	f.Add([]byte{0xff, 0xff, 0xff, 0xff}, true)
	f.Fuzz(func(t *testing.T, b []byte, toTheWorker bool) {
		l := newLink(bytes.NewReader(b), io.Discard)
		for range len(b)/4 + 2 { // each frame has a length of four bytes
			into := any(new(fromWorker))
			if toTheWorker {
				into = new(toWorker)
			}
			if err := l.read(into); errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
				return
			}
		}
		t.Fatal("it reads without end")
	})
}
