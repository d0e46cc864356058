package module

import (
	"bytes"
	"encoding/binary"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

// assemble makes a module of sections, each a number and its contents.
func assemble(sections ...string) []byte {
	m := []byte("\x00asm\x01\x00\x00\x00")
	for _, s := range sections {
		m = append(m, s[0])
		m = append(binary.AppendUvarint(m, uint64(len(s)-1)), s[1:]...)
	}
	return m
}

// code makes a module with one function, which has these instructions.
func code(instructions string) []byte {
	body := "\x00" + instructions + "\x0b"
	return assemble("\x01\x01\x60\x00\x00", "\x03\x01\x00", "\x0a\x01"+string(binary.AppendUvarint(nil, uint64(len(body))))+body)
}

// Each feature that workers lack is found where it can stand: in a type, an import, a memory, a table, a global, and in
// instructions behind instructions of every form.
func TestUnsupported(t *testing.T) {
	for name, c := range map[string]struct {
		module  []byte
		feature string
	}{
		"relaxed SIMD":                    {code("\xfd\x80\x02"), RelaxedSIMD},
		"the last of relaxed SIMD":        {code("\xfd\x93\x02"), RelaxedSIMD},
		"behind a constant that looks so": {code("\xfd\x0c" + strings.Repeat("\xfe", 16) + "\x1a\xfd\x85\x02"), RelaxedSIMD},
		"atomics":                         {code("\x41\x00\xfe\x10\x02\x00"), Threads},
		"a shared memory":                 {assemble("\x05\x01\x03\x01\x02"), Threads},
		"an imported shared memory":       {assemble("\x02\x01\x03env\x06memory\x02\x03\x01\x02"), Threads},
		"memory64":                        {assemble("\x05\x01\x04\x01"), Memory64},
		"imported memory64":               {assemble("\x02\x01\x03env\x06memory\x02\x05\x01\x02"), Memory64},
		"a table of 64 bits":              {assemble("\x04\x01\x70\x04\x01"), Memory64},
		"two memories":                    {assemble("\x05\x02\x00\x01\x00\x01"), MultiMemory},
		"one imported, one its own":       {assemble("\x02\x01\x03env\x06memory\x02\x00\x01", "\x05\x01\x00\x01"), MultiMemory},
		"a load from the second":          {code("\x41\x00\x28\x42\x01\x00\x1a"), MultiMemory},
		"a copy between memories":         {code("\xfc\x0a\x01\x00"), MultiMemory},
		"the size of the second":          {code("\x3f\x01\x1a"), MultiMemory},
		"a structure":                     {assemble("\x01\x01\x5f\x00"), GC},
		"an array":                        {assemble("\x01\x01\x5e\x7f\x00"), GC},
		"a group of types":                {assemble("\x01\x01\x4e\x01\x60\x00\x00"), GC},
		"a subtype":                       {assemble("\x01\x01\x50\x00\x60\x00\x00"), GC},
		"a parameter anyref":              {assemble("\x01\x01\x60\x01\x6e\x00"), GC},
		"a reference to eq":               {assemble("\x01\x01\x60\x01\x63\x6d\x00"), GC},
		"a global i31":                    {assemble("\x06\x01\x6c\x00\x41\x01\xfb\x1c\x0b"), GC},
		"struct.new":                      {code("\xfb\x00\x00"), GC},
		"ref.eq":                          {code("\xd0\x70\xd0\x70\xd3\x1a"), GC},
		"ref.null any":                    {code("\xd0\x6e\x1a"), GC},
		"try, as it was at first":         {code("\x06\x40\x07\x00\x0b"), LegacyExceptions},
		"a continuation":                  {assemble("\x01\x01\x5d\x00"), StackSwitching},
		"suspend":                         {code("\xe2\x00"), StackSwitching},
		"add128":                          {code("\xfc\x13"), WideArithmetic},
		"pages of one byte":               {assemble("\x05\x01\x08\x01\x00"), PageSizes},
		"behind every other instruction":  {code(everyForm + "\xfd\x80\x02"), RelaxedSIMD},

		"nothing":                 {assemble(), ""},
		"every other instruction": {code(everyForm), ""},
		"SIMD":                    {code("\xfd\xff\x01"), ""},
		"what nobody knows":       {code("\xff\xfe"), ""},
		"cut off":                 {code("\xfe")[:20], ""},
	} {
		t.Run(name, func(t *testing.T) {
			feature, err := unsupported(bytes.NewReader(c.module))
			require.NoError(t, err)
			require.Equal(t, c.feature, feature)
		})
	}
	_, err := unsupported(iotest.ErrReader(os.ErrPermission))
	require.ErrorIs(t, err, os.ErrPermission)
}

// everyForm has an instruction of each form that what follows it may take. Each is a prefix of what it could be taken for, if
// one byte too few of it were read.
const everyForm = "\x02\x40\x0b\x03\x7f\x0b\x04\x00\x05\x0b\x02\x63\x70\x0b\x02\x80\x01\x0b" +
	"\x08\x80\x01\x0c\x00\x0d\x00\x0e\x02\x00\x01\x02\x10\x80\x7d\x11\x80\x7d\x00\x12\x00\x13\x00\x00\x14\x00\x15\x00" +
	"\x1c\x01\x7b\x1f\x40\x02\x00\x01\x02\x03\x04\x0b\x20\xfd\x7d\x23\x00\x25\x00\x28\x02\xfe\x7d\x3e\x00\x00\x3f\x00\x40\x00" +
	"\x41\xfe\x00\x42\x80\x80\x80\x80\x80\x80\x80\x80\x80\x7f\x43\xfe\xfe\xfe\xfe\x44\xfe\xfe\xfe\xfe\xfe\xfe\xfe\xfe\x45\xc4" +
	"\xd0\x70\xd0\x00\xd1\xd2\x00\xd4\xd5\x00\xd6\x00\xfc\x00\xfc\x08\x00\x00\xfc\x09\x00\xfc\x0a\x00\x00\xfc\x0b\x00\xfc\x0c\x00\x00" +
	"\xfc\x0e\x00\x00\xfc\x0f\x00\xfd\x00\x04\x00\xfd\x0d" + "\xfe\xfe\xfe\xfe\xfe\xfe\xfe\xfe\xfe\xfe\xfe\xfe\xfe\xfe\xfe\xfe" +
	"\xfd\x15\xfe\xfd\x54\x00\x00\xfe\xfd\x5c\x03\x00\xfd\xae\x01"

// The public tests of WASI, made by three compilers, are read to their ends, each function to exactly its end, and none needs
// what workers do not have.
func TestModulesAreReadToTheirEnds(t *testing.T) {
	dir := os.Getenv("UCP_WASI_TESTSUITE")
	if dir == "" {
		dir = filepath.Join("..", "..", "shared", "wasi-testsuite")
	}
	files, err := filepath.Glob(filepath.Join(dir, "*", "*.wasm"))
	require.NoError(t, err)
	if len(files) == 0 {
		t.Skip("wasi-testsuite is not there; UCP_WASI_TESTSUITE says where it is")
	}
	for _, path := range files {
		f, err := os.Open(path)
		require.NoError(t, err)
		feature, err := scan(f)
		require.NoError(t, err, path)
		require.Empty(t, feature, path)
		require.NoError(t, f.Close())
	}
}

// Whatever the bytes are, there is an answer.
func TestAnyBytesAreRead(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		b := append(assemble(), rapid.SliceOf(rapid.Byte()).Draw(t, "rest")...)
		_, err := unsupported(bytes.NewReader(b))
		require.NoError(t, err)
		MemoryMin(b)
		_ = checkHeader(b[:rapid.IntRange(0, len(b)).Draw(t, "cut")])
	})
	require.EqualValues(t, 70000, MemoryMin(assemble("\x05\x01\x00\xf0\xa2\x04")))
	require.Zero(t, MemoryMin(assemble()))
}

// What is asked of a module's bytes before anybody has validated them has an answer.
func FuzzModule(f *testing.F) {
	f.Add([]byte("\x00asm\x01\x00\x00\x00\x05\x03\x01\x00\x01"))
	f.Add([]byte("\x00asm\x0d\x00\x01\x00"))
	f.Add([]byte("\x00asm\x01\x00\x00\x00\x00\xff\xff\xff\xff\x7f"))
	f.Add(code(everyForm))
	f.Fuzz(func(t *testing.T, b []byte) {
		n := 0
		for _, body := range sections(b) {
			n += len(body)
		}
		require.LessOrEqual(t, n, len(b))
		MemoryMin(b)
		_, err := unsupported(io.LimitReader(bytes.NewReader(b), 1<<20))
		require.NoError(t, err)
	})
}
