package job

import (
	"encoding/binary"
	"math"
)

// reader reads canonical bytes. Once bad is set it stays set, and everything that is read afterwards is
// empty. It allocates nothing that the remaining bytes cannot fill (rule L11).
type reader struct {
	b   []byte
	at  int
	bad bool

	names [6]string // a driver, a mode, and the names read last, which a record repeats
	next  int       // index of the name to replace
}

func (d *reader) expect(ok bool) { d.bad = d.bad || !ok }

// optionalTrue reads a flag that is left out if it is not set.
func (d *reader) optionalTrue(n *int, key string) bool {
	if !d.has(key) {
		return false
	}
	*n--
	yes := d.bool()
	d.expect(yes)
	return yes
}

// has consumes the key if it is the next one. Keys have at most 31 bytes.
func (d *reader) has(key string) bool {
	end := d.at + 1 + len(key)
	if d.bad || end > len(d.b) || d.b[d.at] != 0xa0|byte(len(key)) || string(d.b[d.at+1:end]) != key {
		return false
	}
	d.at = end
	return true
}

func (d *reader) key(key string) { d.expect(d.has(key)) }

func (d *reader) stringField(key string) string {
	d.key(key)
	return d.string()
}

func (d *reader) intField(key string) int64 {
	d.key(key)
	return d.int()
}

func (d *reader) uintField(key string) uint64 {
	d.key(key)
	return d.uint()
}

// nameField reads a name that is often repeated, such as that of an actor or a broker. Equal names share memory.
func (d *reader) nameField(key string) string {
	d.key(key)
	b := d.bytes()
	for _, name := range d.names {
		if string(b) == name {
			return name
		}
	}
	name := string(b)
	d.names[d.next%len(d.names)] = name
	d.next++
	return name
}

// The following methods read one field with omitempty. n counts down the fields of the map that contains it.

func (d *reader) optionalString(n *int, key string) string {
	if !d.has(key) {
		return ""
	}
	*n--
	s := d.string()
	d.expect(s != "")
	return s
}

func (d *reader) optionalInt(n *int, key string) int64 {
	if !d.has(key) {
		return 0
	}
	*n--
	v := d.int()
	d.expect(v != 0)
	return v
}

// optionalFlag reads a flag that may be absent, which is neither true nor false.
func (d *reader) optionalFlag(n *int, key string) *bool {
	if !d.has(key) {
		return nil
	}
	*n--
	yes := d.bool()
	return &yes
}

func optionalList[S ~string](d *reader, n *int, key string) []S {
	if !d.has(key) {
		return nil
	}
	*n--
	list := make([]S, d.length(len(d.b), 1))
	d.expect(len(list) > 0)
	for i := range list {
		list[i] = S(d.string())
	}
	return list
}

func readTexts[S ~string](d *reader, n *int, key string) map[string]S {
	if !d.has(key) {
		return nil
	}
	*n--
	count := d.filledMap()
	m := make(map[string]S, count)
	last := ""
	for i := range count {
		k := d.string()
		d.expect(i == 0 || k > last)
		last = k
		m[k] = S(d.string())
	}
	return m
}

// The following methods read the types of msgpack in their shortest form.

// small checks that a number fits into an int of this machine.
func (d *reader) small(v int64) int {
	d.expect(int64(int(v)) == v)
	return int(v)
}

// small32 is small for 32 bits.
func (d *reader) small32(v int64) int32 {
	d.expect(int64(int32(v)) == v)
	return int32(v)
}

// mapHeader reads the number of fields of a map; -1 means that it is not a map.
func (d *reader) mapHeader() int { return d.header(0x80, 0xde) }

// filledMap reads the number of entries of a map, which is at least 1, because an empty map would have been
// left out.
func (d *reader) filledMap() int {
	n := d.mapHeader()
	d.expect(n > 0 && 2*n <= len(d.b)-d.at)
	if d.bad {
		return 0
	}
	return n
}

// length reads the number of elements of a list, from 1 to most. Each element has at least size bytes. A list
// is never empty here: it would have been left out, or must not be empty.
func (d *reader) length(most, size int) int {
	n := d.header(0x90, 0xdc)
	d.expect(n > 0 && n <= most && n <= (len(d.b)-d.at)/size)
	if d.bad {
		return 0
	}
	return n
}

// header reads the length of a map or list: fixed is the first byte of the shortest form, for an empty one,
// and long that of the form with two bytes for the length.
func (d *reader) header(fixed, long byte) int {
	switch c := d.byte(); {
	case c&0xf0 == fixed:
		return int(c & 0x0f)
	case c == long:
		n := d.number(2)
		d.expect(n >= 16)
		return int(n)
	}
	d.bad = true // longer forms are left to the codec
	return -1
}

func (d *reader) byte() byte {
	if d.bad || d.at >= len(d.b) {
		d.bad = true
		return 0
	}
	c := d.b[d.at]
	d.at++
	return c
}

// number reads an unsigned number of size bytes.
func (d *reader) number(size int) uint64 {
	if d.bad || len(d.b)-d.at < size {
		d.bad = true
		return 0
	}
	p := d.b[d.at:]
	d.at += size
	switch size {
	case 1:
		return uint64(p[0])
	case 2:
		return uint64(binary.BigEndian.Uint16(p))
	case 4:
		return uint64(binary.BigEndian.Uint32(p))
	}
	return binary.BigEndian.Uint64(p)
}

// bytes reads a string without copying it.
func (d *reader) bytes() []byte {
	n := uint64(0)
	switch c := d.byte(); {
	case c&0xe0 == 0xa0:
		n = uint64(c & 0x1f)
	case c == 0xd9:
		n = d.number(1)
		d.expect(n >= 32)
	case c == 0xda:
		n = d.number(2)
		d.expect(n > math.MaxUint8)
	case c == 0xdb:
		n = d.number(4)
		d.expect(n > math.MaxUint16)
	default:
		d.bad = true
	}
	if d.bad || uint64(len(d.b)-d.at) < n {
		d.bad = true
		return nil
	}
	out := d.b[d.at : d.at+int(n)]
	d.at += int(n)
	return out
}

func (d *reader) string() string { return string(d.bytes()) }

func (d *reader) uint() uint64 {
	c := d.byte()
	switch c {
	case 0xcc:
		v := d.number(1)
		d.expect(v > math.MaxInt8)
		return v
	case 0xcd:
		v := d.number(2)
		d.expect(v > math.MaxUint8)
		return v
	case 0xce:
		v := d.number(4)
		d.expect(v > math.MaxUint16)
		return v
	case 0xcf:
		v := d.number(8)
		d.expect(v > math.MaxUint32)
		return v
	}
	d.expect(c <= math.MaxInt8)
	return uint64(c)
}

func (d *reader) int() int64 {
	c := d.byte()
	switch c {
	case 0xd0:
		v := int64(int8(d.number(1)))
		d.expect(v < -32)
		return v
	case 0xd1:
		v := int64(int16(d.number(2)))
		d.expect(v < math.MinInt8 || v > math.MaxInt8)
		return v
	case 0xd2:
		v := int64(int32(d.number(4)))
		d.expect(v < math.MinInt16 || v > math.MaxInt16)
		return v
	case 0xd3:
		v := int64(d.number(8))
		d.expect(v < math.MinInt32 || v > math.MaxInt32)
		return v
	}
	d.expect(c <= math.MaxInt8 || c >= 0xe0)
	return int64(int8(c))
}

func (d *reader) bool() bool {
	c := d.byte()
	d.expect(c == 0xc2 || c == 0xc3)
	return c == 0xc3
}
