package module

import (
	"bytes"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/mod/sumdb/note"
)

// newKey makes a key, and returns its public half as text, too.
func newKey(t *testing.T, name string) (note.Signer, string) {
	private, public, err := note.GenerateKey(rand.Reader, name)
	require.NoError(t, err)
	s, err := note.NewSigner(private)
	require.NoError(t, err)
	return s, public
}

func sign(t *testing.T, m []byte, by note.Signer) []byte {
	out, err := Sign(m, by)
	require.NoError(t, err)
	return out
}

// check is what a policy says of a module.
func check(t *testing.T, m []byte, allowed ...string) error {
	p, err := ParsePolicy(allowed)
	require.NoError(t, err)
	sum := sha256.Sum256(m)
	return p.Check(hex.EncodeToString(sum[:]), func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(m)), nil })
}

// A module that a known key has signed is allowed, with whatever other signatures, and no other one is; nor is it when a single bit
// of it has changed.
func TestPolicy(t *testing.T) {
	m := code(everyForm)
	pumps, pumpsKey := newKey(t, "pumps")
	maps, mapsKey := newKey(t, "maps")
	_, otherPumps := newKey(t, "pumps") // of the same name
	signed := sign(t, m, pumps)
	both := sign(t, signed, maps)
	sum := sha256.Sum256(m)
	digest := hex.EncodeToString(sum[:])

	for name, c := range map[string]struct {
		module  []byte
		allowed []string
		says    string // "" is allowed
	}{
		"any":                        {m, nil, ""},
		"any by name":                {m, []string{"any"}, ""},
		"by digest":                  {m, []string{digest}, ""},
		"by digest, with its kind":   {m, []string{"sha256:" + digest}, ""},
		"another digest":             {signed, []string{digest}, "is not among those that this broker runs (--allow-module)"},
		"signed":                     {signed, []string{pumpsKey}, ""},
		"signed by two":              {both, []string{pumpsKey}, ""},
		"by the second":              {both, []string{mapsKey}, ""},
		"by one of several":          {signed, []string{digest, mapsKey, pumpsKey}, ""},
		"not signed":                 {m, []string{pumpsKey}, "signed by nobody"},
		"signed by somebody else":    {signed, []string{mapsKey}, "signed by nobody that it knows: by pumps+"},
		"another key of that name":   {signed, []string{otherPumps}, "signed by nobody that it knows: by pumps+"},
		"sections behind it":         {append(bytes.Clone(signed), "\x00\x05\x04more"...), []string{pumpsKey}, "has a signature of pumps that is not valid"},
		"its signature on another":   {append(code(""), signed[len(m):]...), []string{pumpsKey}, "has a signature of pumps that is not valid"},
		"signatures without end":     {append(bytes.Clone(signed), bytes.Repeat(signed[len(m):], 200)...), []string{pumpsKey}, "more than 16384 bytes of signatures"},
		"a digest beside, and alone": {both, []string{digest}, "not among"},
	} {
		t.Run(name, func(t *testing.T) {
			err := check(t, c.module, c.allowed...)
			if c.says == "" {
				require.NoError(t, err)
				return
			}
			require.ErrorContains(t, err, c.says)
		})
	}
	for i := range signed {
		for bit := range 8 {
			bad := bytes.Clone(signed)
			bad[i] ^= 1 << bit
			if check(t, bad, pumpsKey) != nil {
				continue
			}
			// The base64 of a signature, and the lengths before it, have bits that do not count; what is signed has none.
			require.GreaterOrEqual(t, i, len(m), "bit %d of byte %d", bit, i)
		}
		require.Error(t, check(t, signed[:i], pumpsKey), "cut off at %d", i)
	}
	for _, wrong := range [][]string{{"any", digest}, {"pumps"}, {digest[1:]}, {"sha256:" + pumpsKey}, {pumpsKey[:40]}, make([]string, MaxAllowed+1)} {
		_, err := ParsePolicy(wrong)
		require.Error(t, err, wrong)
	}
	p, err := ParsePolicy([]string{pumpsKey})
	require.NoError(t, err)
	broken := errors.New("a broken disk")
	require.ErrorIs(t, p.Check(digest, func() (io.ReadCloser, error) { return nil, broken }), broken)
	require.NotErrorAs(t, p.Check(digest, func() (io.ReadCloser, error) { return nil, broken }), new(NotAllowed))
}

// By its tags others know which modules a broker runs, without the keys.
func TestTags(t *testing.T) {
	m := code("")
	pumps, pumpsKey := newKey(t, "pumps")
	signed := sign(t, m, pumps)
	sum := sha256.Sum256(signed)
	digest := hex.EncodeToString(sum[:])
	p, err := ParsePolicy([]string{digest, pumpsKey})
	require.NoError(t, err)
	tags, err := TagsOf(digest, bytes.NewReader(signed))
	require.NoError(t, err)
	require.Equal(t, p.Tags(), tags)
	require.Equal(t, uint32(sum[0])<<24|uint32(sum[1])<<16|uint32(sum[2])<<8|uint32(sum[3]), tags[0])
	for i := range signed { // whatever is read, it ends
		_, err := TagsOf(digest, bytes.NewReader(signed[:i]))
		require.NoError(t, err)
	}
	tags, err = TagsOf(digest, bytes.NewReader(m))
	require.NoError(t, err)
	require.Len(t, tags, 1)
	require.Empty(t, (&Policy{}).Tags())
}

// Whatever the bytes are, nothing is taken for a signature that is none.
func FuzzSignatures(f *testing.F) {
	m := code("")
	private, public, err := note.GenerateKey(zeros{}, "pumps")
	require.NoError(f, err)
	s, err := note.NewSigner(private)
	require.NoError(f, err)
	v, err := note.NewVerifier(public)
	require.NoError(f, err)
	signed, err := Sign(m, s)
	require.NoError(f, err)
	f.Add(signed[len(m):])
	f.Add([]byte("\x00\xff\xff\xff\xff\x7f\x0ducp.signature"))
	f.Fuzz(func(t *testing.T, rest []byte) {
		valid, _, _ := Signers(bytes.NewReader(append(code("\x01"), rest...)), []note.Verifier{v}) // signed was another
		require.Empty(t, valid)
		_, err := TagsOf("00", bytes.NewReader(append(code("\x01"), rest...)))
		require.NoError(t, err)
	})
}

type zeros struct{}

func (zeros) Read(b []byte) (int, error) { clear(b); return len(b), nil }
