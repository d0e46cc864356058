package module

import (
	"encoding/binary"
	"iter"
)

// sections yields the sections of a module, each with its number and its contents, up to the first that is malformed.
func sections(b []byte) iter.Seq2[byte, []byte] {
	return func(yield func(byte, []byte) bool) {
		for b = b[min(headerSize, len(b)):]; len(b) > 0; {
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

// MemoryMin returns how many 64 KiB pages of memory a module needs at its start, which engines tell only for
// exported memories. The module has been validated, so anything unexpected here only means that there is no
// memory section.
func MemoryMin(b []byte) uint64 {
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
