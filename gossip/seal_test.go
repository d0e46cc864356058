package gossip

import (
	"bufio"
	"bytes"
	"testing"

	"github.com/hashicorp/memberlist"
	"github.com/stretchr/testify/require"
)

// testSeal has a key of its own.
func testSeal(t require.TestingT, first byte) seal {
	ring, err := memberlist.NewKeyring(nil, append([]byte{first}, make([]byte, keySize-1)...))
	require.NoError(t, err)
	return seal{ring}
}

// What is sealed on a stream is what comes out of it, and nothing of it can be changed.
func TestSealedStreams(t *testing.T) {
	s := testSeal(t, 1)
	read := func(b []byte) ([]byte, error) { return s.openStream(bufio.NewReader(bytes.NewReader(b))) }
	want := append([]byte{wirePushPull}, bytes.Repeat([]byte("x"), 10_000)...)
	b, err := s.closeStream(want)
	require.NoError(t, err)
	got, err := read(b)
	require.NoError(t, err)
	require.Equal(t, want, got)
	for _, i := range []int{0, 1, 3, 4, 5, 6, 17, 18, 5_000, len(b) - 1} {
		bad := bytes.Clone(b)
		bad[i] ^= 1
		_, err := read(bad)
		require.Error(t, err, "byte %d", i)
	}
	_, err = read(b[:len(b)-1])
	require.Error(t, err)
	_, err = read(want)
	require.ErrorIs(t, err, errUnsealed)
	_, err = read([]byte{wireEncrypt, 255, 255, 255, 255})
	require.ErrorContains(t, err, "at most")

	twice, err := s.closeStream(b)
	require.NoError(t, err)
	_, err = read(twice)
	require.ErrorContains(t, err, "twice")
	empty, err := s.closeStream(nil)
	require.NoError(t, err)
	_, err = read(empty)
	require.ErrorContains(t, err, "empty")

	again, err := s.closeStream(want)
	require.NoError(t, err)
	require.NotEqual(t, b[6:18], again[6:18], "a nonce is used once")
}

// Nobody without the key gets anything past it.
func FuzzSealed(f *testing.F) {
	s := testSeal(f, 1)
	b, err := testSeal(f, 2).closeStream([]byte{wirePing})
	require.NoError(f, err)
	f.Add(b)
	f.Add(b[5:])
	f.Fuzz(func(t *testing.T, b []byte) {
		_, err := s.openStream(bufio.NewReader(bytes.NewReader(b)))
		require.Error(t, err)
		_, err = s.open(b, nil)
		require.ErrorIs(t, err, errUnsealed)
	})
}

// The file of a keyring may hold anything; its errors show nothing of it.
func FuzzKeyring(f *testing.F) {
	f.Add([]byte("[]"))
	f.Add([]byte(`["AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="]`))
	f.Fuzz(func(t *testing.T, text []byte) {
		ring, err := parseKeyring(text)
		if err == nil {
			require.NotEmpty(t, ring.GetKeys())
		}
	})
}
