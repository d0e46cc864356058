package executor

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
)

// errNotWasm is what is wrong with a module that is not a core WebAssembly module.
var errNotWasm = errors.New("not a WebAssembly module")

// checkHeader tells, in words, what a file is that is not a core wasm module, before
// a decoder says it in its own.
func checkHeader(b []byte) error {
	if len(b) < 8 || !bytes.Equal(b[:4], []byte("\x00asm")) {
		return fmt.Errorf("%w: its first bytes are %q, not \"\\x00asm\"; build it for GOOS=wasip1, wasm32-wasip1 or alike", errNotWasm, b[:min(len(b), 8)])
	}
	if binary.LittleEndian.Uint16(b[6:]) == 1 {
		return fmt.Errorf("%w but a component; build it for WASI preview 1 (wasip1)", errNotWasm)
	}
	return nil
}

// memoryMin returns how many 64 KiB pages a module asks for at its start, which
// wazero tells only of exported memories. The module has been validated, so
// anything odd here just means that there is no memory section.
func memoryMin(b []byte) uint64 {
	const memorySection = 5
	for b = b[8:]; len(b) > 0; {
		id := b[0]
		size, n := binary.Uvarint(b[1:]) // LEB128 is what Go calls a uvarint
		if n <= 0 || uint64(len(b)-1-n) < size {
			return 0
		}
		body := b[1+n : 1+n+int(size)]
		b = b[1+n+int(size):]
		if id != memorySection {
			continue
		}
		count, n := binary.Uvarint(body)
		if n <= 0 || count == 0 || len(body) < n+2 {
			return 0
		}
		pages, _ := binary.Uvarint(body[n+1:]) // after the flags of the limits
		return pages
	}
	return 0
}
