package module

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
)

// Features that some modules need and workers do not have, as they are named to people.
const (
	LegacyExceptions = "legacy exceptions"
	Memory64         = "64-bit memory (memory64)"
	MultiMemory      = "several memories (multi-memory)"
	Threads          = "threads"
	GC               = "garbage collection (GC)"
	RelaxedSIMD      = "relaxed SIMD"
	StackSwitching   = "stack switching"
	WideArithmetic   = "wide arithmetic"
	PageSizes        = "custom page sizes"
)

// unsupported reads a whole module and names the first feature that it needs and workers do not have; "" is none that is known
// here. It looks at the instructions themselves: the engine takes some that it does not know for others. What is no valid module, or
// has instructions of which this package does not know, needs nothing that it can name. An error is one of reading.
func unsupported(r io.Reader) (feature string, err error) {
	feature, err = scan(r)
	if errors.Is(err, errUnknown) || errors.Is(err, io.EOF) {
		err = nil
	}
	return feature, err
}

// Refused is why brokers can't run a module.
type Refused struct{ error }

// Unwrap lets errors.Is see the cause.
func (e Refused) Unwrap() error { return e.error }

// Check reads a whole module, and returns a Refused when brokers can't run it: it is something else, or
// needs a feature that workers do not have. Whether it is valid only the engine tells. Any other error is one of reading. Whoever takes a
// module in calls it, so that one that can't run is refused before it travels.
func Check(r io.Reader) error {
	head := make([]byte, headerSize)
	n, err := io.ReadFull(r, head)
	if err != nil && !errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) {
		return err
	}
	if err := checkHeader(head[:n]); err != nil {
		return Refused{err}
	}
	feature, err := unsupported(io.MultiReader(bytes.NewReader(head), r))
	if feature != "" {
		return Refused{fmt.Errorf("it needs %s, which workers do not have; build it without", feature)}
	}
	return err
}

// scan is unsupported, and says so when the module is not understood, or cut off.
func scan(r io.Reader) (feature string, err error) {
	s := &scanner{r: bufio.NewReaderSize(r, 64<<10)}
	s.skip(headerSize)
	for s.section() {
	}
	return s.feature, s.err
}

// A scanner reads a module from its first to its last byte. When it has found a feature, or can't go on, it is at its end: it reads
// zeros, and nothing more is found.
type scanner struct {
	r        *bufio.Reader
	at       int64
	memories uint64
	over     bool
	feature  string // that the module needs
	err      error  // why it can't go on
}

var errUnknown = errors.New("this is not understood")

// needs ends the scan: the module needs a feature.
func (s *scanner) needs(feature string) {
	if !s.over {
		s.feature, s.over = feature, true
	}
}

// fail ends the scan without a result.
func (s *scanner) fail(err error) {
	if !s.over {
		s.err, s.over = err, true
	}
}

func (s *scanner) byte() byte {
	if s.over {
		return 0
	}
	b, err := s.r.ReadByte()
	if err != nil {
		s.fail(err)
		return 0
	}
	s.at++
	return b
}

func (s *scanner) skip(n uint64) {
	for n > 0 && !s.over {
		k, err := s.r.Discard(int(min(n, 1<<30)))
		s.at += int64(k)
		n -= uint64(k)
		if err != nil {
			s.fail(err)
		}
	}
}

// number reads an unsigned LEB128.
func (s *scanner) number() (n uint64) {
	for shift := 0; shift < 70; shift += 7 {
		b := s.byte()
		n |= uint64(b&0x7f) << shift
		if b < 0x80 {
			return n
		}
	}
	s.fail(errUnknown)
	return 0
}

func (s *scanner) numbers(n int) {
	for range n {
		s.number()
	}
}

// each reads a vector.
func (s *scanner) each(item func()) {
	for n := s.number(); n > 0 && !s.over; n-- {
		item()
	}
}

const (
	typeSection   = 1
	importSection = 2
	tableSection  = 4
	memorySection = 5
	globalSection = 6
	codeSection   = 10
)

// section reads a section, and reports false where the module ends.
func (s *scanner) section() bool {
	if _, err := s.r.Peek(1); s.over || err == io.EOF {
		return false
	}
	id, size := s.byte(), s.number()
	end := s.at + int64(size)
	switch id {
	case typeSection:
		s.each(s.recursiveType)
	case importSection:
		s.each(s.imported)
	case tableSection:
		s.each(s.table)
	case memorySection:
		s.each(s.memory)
	case globalSection:
		s.each(func() { s.valueType(); s.byte(); s.expression() })
	case codeSection:
		s.each(s.function)
	}
	if s.at > end || end < 0 {
		s.fail(errUnknown)
		return false
	}
	s.skip(uint64(end - s.at))
	return true
}

// recursiveType reads what a type section lists.
func (s *scanner) recursiveType() {
	switch s.byte() {
	case 0x60: // a function
		s.each(s.valueType)
		s.each(s.valueType)
	case 0x5f, 0x5e, 0x50, 0x4f, 0x4e: // a structure, an array, subtypes, a group
		s.needs(GC)
	case 0x5d:
		s.needs(StackSwitching)
	default:
		s.fail(errUnknown)
	}
}

func (s *scanner) valueType() {
	switch t := s.byte(); t {
	case 0x7f, 0x7e, 0x7d, 0x7c, 0x7b, 0x70, 0x6f, 0x69, 0x74, 0x73, 0x72:
	case 0x64, 0x63: // a reference to a heap type
		s.heapType()
	default:
		s.otherType(t)
	}
}

// heapType reads what a reference is of: the index of a type, or an abstract one.
func (s *scanner) heapType() {
	switch t := s.byte(); {
	case t >= 0x80: // a number of several bytes, all of which are not negative here
		s.number()
	case t < 0x40, t == 0x70, t == 0x6f, t == 0x69, t == 0x74, t == 0x73, t == 0x72:
	default:
		s.otherType(t)
	}
}

func (s *scanner) otherType(t byte) {
	switch t {
	case 0x6e, 0x6d, 0x6c, 0x6b, 0x6a, 0x71: // any, eq, i31, struct, array, none
		s.needs(GC)
	case 0x68, 0x75:
		s.needs(StackSwitching)
	default:
		s.fail(errUnknown)
	}
}

func (s *scanner) imported() {
	s.skip(s.number())
	s.skip(s.number())
	switch s.byte() {
	case 0: // a function
		s.number()
	case 1:
		s.valueType()
		s.limits()
	case 2:
		s.memory()
	case 3: // a global
		s.valueType()
		s.byte()
	case 4: // a tag
		s.byte()
		s.number()
	default:
		s.fail(errUnknown)
	}
}

func (s *scanner) table() {
	if b, err := s.r.Peek(2); err == nil && b[0] == 0x40 && b[1] == 0 { // with a first value
		s.skip(2)
		s.valueType()
		s.limits()
		s.expression()
		return
	}
	s.valueType()
	s.limits()
}

func (s *scanner) memory() {
	s.limits()
	if s.memories++; s.memories > 1 {
		s.needs(MultiMemory)
	}
}

func (s *scanner) limits() {
	switch flags := s.byte(); {
	case flags&4 != 0:
		s.needs(Memory64)
	case flags&2 != 0:
		s.needs(Threads)
	case flags&8 != 0:
		s.needs(PageSizes)
	case flags > 1:
		s.fail(errUnknown)
	default:
		s.numbers(1 + int(flags))
	}
}

func (s *scanner) function() {
	size := s.number()
	end := s.at + int64(size)
	s.each(func() { s.number(); s.valueType() })
	for s.at < end && !s.over {
		s.instruction()
	}
	if s.at != end {
		s.fail(errUnknown)
	}
}

// expression reads a constant expression, in which no block begins.
func (s *scanner) expression() {
	for s.instruction() != opEnd && !s.over {
	}
}
