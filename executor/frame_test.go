package executor

import (
	"bytes"
	"encoding/binary"
	"io"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/urban-compute/ucp/job"
)

func TestFramesArriveAsSent(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var pipe bytes.Buffer
		l := newLink(&pipe, &pipe)
		text := rapid.SliceOfN(rapid.String(), 0, 5)
		var sent []*order
		for range rapid.IntRange(1, 4).Draw(t, "n") {
			o := &order{Driver: job.Wasm, Name: rapid.String().Draw(t, "name"), Args: text.Draw(t, "args"), Memory: rapid.Int64().Draw(t, "memory"),
				Inputs: rapid.MapOfN(rapid.String(), rapid.String(), 1, 3).Draw(t, "inputs")}
			if len(o.Args) == 0 {
				o.Args = nil
			}
			sent = append(sent, o)
			require.NoError(t, l.write(toWorker{Run: o}))
		}
		for _, want := range sent {
			var got toWorker
			require.NoError(t, l.read(&got))
			require.Equal(t, want, got.Run)
		}
		require.ErrorIs(t, l.read(new(toWorker)), io.EOF)
	})
}

// The length is checked before anything is allocated (rule L11).
func TestFramesAreBounded(t *testing.T) {
	head := binary.BigEndian.AppendUint32(nil, maxFrame+1)
	l := newLink(bytes.NewReader(head), io.Discard)
	require.ErrorContains(t, l.read(new(toWorker)), "over the limit")
	require.ErrorContains(t, l.write(toWorker{Run: &order{Name: strings.Repeat("x", maxFrame)}}), "over the limit")
}

func TestInvalidFramesAreErrors(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		body := rapid.SliceOfN(rapid.Byte(), 0, 200).Draw(t, "body")
		b := append(binary.BigEndian.AppendUint32(nil, uint32(len(body))), body...)
		_ = newLink(bytes.NewReader(b), io.Discard).read(new(fromWorker)) // must not panic
		err := newLink(bytes.NewReader(b[:rapid.IntRange(0, max(len(b)-1, 0)).Draw(t, "cut")]), io.Discard).read(new(fromWorker))
		require.Error(t, err)
	})
}
