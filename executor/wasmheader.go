package executor

import (
	"bytes"
	"encoding/binary"
	"iter"
	"strings"
)

// refusals are what wazero says of modules that need what it does not have, and how that is called. What it has is on:
// see runtimeConfig.
var refusals = []struct{ says, feature string }{
	{"legacy exception handling", "legacy exceptions"},
	{"invalid byte for limits: 0x4", "64-bit memory (memory64)"},
	{"invalid byte for limits: 0x5", "64-bit memory (memory64)"},
	{"at most one memory", "several memories (multi-memory)"},
	{"threads", "threads"},
	{"invalid byte: 0x5f", "garbage collection (GC)"},
	{"invalid byte: 0x5e", "garbage collection (GC)"},
	{"invalid byte: 0x50", "garbage collection (GC)"},
	{"invalid instruction 0xfb", "garbage collection (GC)"},
}

// missing names the feature for want of which wazero refuses module b, or returns "" if it is none, or is not known.
func missing(b []byte, err error) string {
	for _, r := range refusals {
		if strings.Contains(err.Error(), r.says) {
			return r.feature
		}
	}
	// wazero takes instructions of relaxed SIMD for others, so what it says of them tells nothing. Compilers write the
	// features that they were let use into a custom section (WebAssembly tool conventions, "target_features").
	for id, body := range sections(b) {
		if id == customSection && bytes.HasPrefix(body, []byte("\x0ftarget_features")) && bytes.Contains(body, []byte("+\x0crelaxed-simd")) {
			return "relaxed SIMD"
		}
	}
	return ""
}

const (
	customSection = 0
	memorySection = 5
)

// sections yields the sections of a module, each with its number and its contents, up to the first that is malformed.
func sections(b []byte) iter.Seq2[byte, []byte] {
	return func(yield func(byte, []byte) bool) {
		for b = b[min(8, len(b)):]; len(b) > 0; {
			id := b[0]
			size, n := binary.Uvarint(b[1:]) // LEB128 is what Go calls a uvarint
			if n <= 0 || uint64(len(b)-1-n) < size {
				return
			}
			body := b[1+n : 1+n+int(size)]
			b = b[1+n+int(size):]
			if !yield(id, body) {
				return
			}
		}
	}
}

// memoryMin returns how many 64 KiB pages of memory a module needs at its start. wazero tells it only for
// exported memories. The module has been validated, so anything unexpected here only means that there is no
// memory section.
func memoryMin(b []byte) uint64 {
	for id, body := range sections(b) {
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
