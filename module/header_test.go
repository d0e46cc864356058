package module

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func TestCheckHeader(t *testing.T) {
	require.NoError(t, checkHeader([]byte("\x00asm\x01\x00\x00\x00 and more")))
	for head, says := range map[string]string{
		"":                         "not a WebAssembly module",
		"\x00asm\x01\x00\x00":      "not a WebAssembly module",
		"#!/bin/sh":                `its first bytes are "#!/bin/s"`,
		"\x00asm\x0d\x00\x01\x00":  "this is a WASI preview 2 component; build for wasip1",
		"\x00asm\x01\x00\x01\x00":  "this is a WASI preview 2 component; build for wasip1",
		"\x00asm\x02\x00\x00\x00":  "version 2",
		"\x00asm\x01\x00\x07\x00z": "layer 7",
	} {
		require.ErrorContains(t, checkHeader([]byte(head)), says, "%q", head)
	}
}
