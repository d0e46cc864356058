// Package module reads WebAssembly modules without running them: what kind of binary one is, what it needs that brokers do
// not have, how much memory it starts with, and who has signed it.
package module

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
)

// headerSize is how many bytes a WebAssembly module begins with that say what it is.
const headerSize = 8

// The beginning of a binary of WebAssembly: the magic number, a version, and the layer that it is of.
var (
	wasmMagic = []byte("\x00asm")
	// ErrNotWasm is why something that is not WebAssembly at all is refused.
	ErrNotWasm   = errors.New("it is not a WebAssembly module")
	errComponent = errors.New("this is a WASI preview 2 component; build for wasip1")
)

// checkHeader looks at the first headerSize bytes of a program and returns an error that explains what is wrong when
// it is not a core WebAssembly module of version 1.
func checkHeader(head []byte) error {
	if len(head) < headerSize || !bytes.HasPrefix(head, wasmMagic) {
		return fmt.Errorf("%w: its first bytes are %q, not \"\\x00asm\"; build for wasip1 (GOOS=wasip1, wasm32-wasip1 or the like)", ErrNotWasm, head[:min(len(head), headerSize)])
	}
	version, layer := binary.LittleEndian.Uint16(head[4:]), binary.LittleEndian.Uint16(head[6:])
	switch {
	case layer == 1:
		return errComponent
	case layer != 0 || version != 1:
		return fmt.Errorf("it is WebAssembly of version %d and layer %d; only modules of version 1 can run", version, layer)
	}
	return nil
}
