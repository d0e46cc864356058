package job

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
)

// ModuleHeader is how many bytes a WebAssembly module begins with that say what it is.
const ModuleHeader = 8

// The beginning of a binary of WebAssembly: the magic number, a version, and the layer that it is of.
var (
	wasmMagic    = []byte("\x00asm")
	errComponent = errors.New("this is a WASI preview 2 component; build for wasip1")
)

// CheckModule looks at the first ModuleHeader bytes of a program and returns an error that explains what is wrong when
// it is not a core WebAssembly module of version 1. Whoever takes a module in calls it, so that a
// component is refused before it travels.
func CheckModule(head []byte) error {
	if len(head) < ModuleHeader || !bytes.HasPrefix(head, wasmMagic) {
		return fmt.Errorf("it is not a WebAssembly module: its first bytes are %q, not \"\\x00asm\"; build for wasip1 (GOOS=wasip1, wasm32-wasip1 or the like)", head[:min(len(head), ModuleHeader)])
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
