package module

// Opcodes that the scanner looks at by name.
const (
	opEnd    = 0x0b
	opGC     = 0xfb
	opMisc   = 0xfc
	opVector = 0xfd
	opAtomic = 0xfe
)

// instruction reads an instruction with what belongs to it, and returns its first byte.
func (s *scanner) instruction() byte {
	op := s.byte()
	switch {
	case op >= 0x45 && op <= 0xc4: // arithmetic
	case op >= 0x28 && op <= 0x3e:
		s.memoryArgument()
	case op >= 0x20 && op <= 0x26: // locals, globals, tables
		s.number()
	default:
		s.otherInstruction(op)
	}
	return op
}

func (s *scanner) otherInstruction(op byte) {
	switch op {
	case 0x00, 0x01, 0x05, opEnd, 0x0a, 0x0f, 0x1a, 0x1b, 0xd1, 0xd4:
	case 0x02, 0x03, 0x04: // block, loop, if
		s.blockType()
	case 0x06, 0x07, 0x09, 0x18, 0x19: // try, catch, rethrow, delegate, catch_all
		s.needs(LegacyExceptions)
	case 0x08, 0x0c, 0x0d, 0x10, 0x12, 0x14, 0x15, 0xd2, 0xd5, 0xd6: // throw, branches, calls, references
		s.number()
	case 0x41, 0x42: // a constant, of which only the length counts
		s.number()
	case 0x43:
		s.skip(4)
	case 0x44:
		s.skip(8)
	case 0x0e: // br_table
		s.each(func() { s.number() })
		s.number()
	case 0x11, 0x13: // calls by a table
		s.numbers(2)
	case 0x1c: // select with types
		s.each(s.valueType)
	case 0x1f: // try_table
		s.blockType()
		s.each(func() {
			if kind := s.byte(); kind < 2 { // with a tag
				s.number()
			}
			s.number()
		})
	case 0x3f, 0x40: // the size of a memory
		s.memoryIndex()
	case 0xd0: // ref.null
		s.heapType()
	case 0xd3, opGC: // ref.eq
		s.needs(GC)
	case opAtomic:
		s.needs(Threads)
	case opMisc:
		s.misc()
	case opVector:
		s.vector()
	case 0xe0, 0xe1, 0xe2, 0xe3, 0xe4, 0xe5, 0xe6:
		s.needs(StackSwitching)
	default:
		s.fail(errUnknown)
	}
}

func (s *scanner) blockType() {
	switch b, err := s.r.Peek(1); {
	case err != nil:
		s.fail(err)
	case b[0] == 0x40: // none
		s.byte()
	case b[0] < 0x40 || b[0] >= 0x80: // the index of a type
		s.number()
	default:
		s.valueType()
	}
}

// memoryIndex reads which memory an instruction is about.
func (s *scanner) memoryIndex() {
	if s.number() != 0 {
		s.needs(MultiMemory)
	}
}

func (s *scanner) memoryArgument() {
	if align := s.number(); align&0x40 != 0 {
		s.memoryIndex()
	}
	s.number()
}

func (s *scanner) misc() {
	switch op := s.number(); op {
	case 0, 1, 2, 3, 4, 5, 6, 7: // conversions
	case 8: // memory.init
		s.number()
		s.memoryIndex()
	case 10: // memory.copy
		s.memoryIndex()
		s.memoryIndex()
	case 11: // memory.fill
		s.memoryIndex()
	case 9, 13, 15, 16, 17: // data.drop, elem.drop, table.grow, .size, .fill
		s.number()
	case 12, 14: // table.init, table.copy
		s.numbers(2)
	case 19, 20, 21, 22:
		s.needs(WideArithmetic)
	default:
		s.fail(errUnknown)
	}
}

func (s *scanner) vector() {
	switch op := s.number(); {
	case op <= 11, op == 0x5c, op == 0x5d: // loads and stores
		s.memoryArgument()
	case op == 12, op == 13: // a constant, lanes to shuffle
		s.skip(16)
	case op >= 21 && op <= 34: // one lane
		s.byte()
	case op >= 0x54 && op <= 0x5b: // loads and stores of one lane
		s.memoryArgument()
		s.byte()
	case op >= 0x100 && op < 0x130:
		s.needs(RelaxedSIMD)
	case op > 0xff:
		s.fail(errUnknown)
	}
}
