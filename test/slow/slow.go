// Package slow makes WebAssembly modules that take long to compile, for their size, and do nothing when they run.
package slow

import "encoding/binary"

// Module returns a command with one function of that many local variables and blocks, in which all are alive at all times:
// what the compiler does with it grows with the product of both. 800 and 4,000, which are 66 kB, take ten seconds of a core.
func Module(locals, blocks int) []byte {
	const i32 = 0x7f
	code := append([]byte{1}, number(locals)...) // one run of locals
	code = append(code, i32, 0x03, 0x40)         // loop
	for i := range blocks {
		code = append(append(code, 0x02, 0x40, 0x20), number(i%locals)...)           // block; local.get
		code = append(append(code, 0x0d, 0, 0x20), number((i*7+3)%locals)...)        // br_if 0; local.get
		code = append(append(code, 0x41, 1, 0x6a, 0x21), number((i*13+5)%locals)...) // i32.const 1; i32.add; local.set
		code = append(code, 0x0b)                                                    // end
	}
	code = append(code, 0x41, 0, 0x0d, 0, 0x0b, 0x0b) // i32.const 0; br_if 0, which goes on; end; end
	m := []byte("\x00asm\x01\x00\x00\x00")
	m = append(m, section(1, []byte{1, 0x60, 0, 0})...)                                   // a type: () -> ()
	m = append(m, section(3, []byte{1, 0})...)                                            // a function of it
	m = append(m, section(7, append([]byte{1, 6}, append([]byte("_start"), 0, 0)...))...) // exported
	return append(m, section(10, append([]byte{1}, append(number(len(code)), code...)...))...)
}

func section(id byte, body []byte) []byte {
	return append(append([]byte{id}, number(len(body))...), body...)
}

func number(n int) []byte { return binary.AppendUvarint(nil, uint64(n)) }
