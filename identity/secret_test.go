package identity

import (
	"bytes"
	"crypto/rand"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// A secret is read by those to whom it was encrypted, and nobody else; a change of any byte is seen; and what is sealed does not
// have it in clear.
func TestSecrets(t *testing.T) {
	key := func() Key {
		k, err := NewKey(rand.Reader)
		require.NoError(t, err)
		return k
	}
	a, b, c := key(), key(), key()
	secret := &Secret{Of: "kim", Value: []byte("seven dry wells")}
	sealed, err := Seal(secret, a.Public(), b.Public())
	require.NoError(t, err)
	require.False(t, bytes.Contains(sealed, secret.Value))
	for _, k := range []Key{a, b} {
		got, err := k.Unseal(sealed)
		require.NoError(t, err)
		require.Equal(t, secret, got)
	}
	_, err = c.Unseal(sealed)
	require.ErrorIs(t, err, ErrNotForUs)
	for i := range sealed {
		changed := bytes.Clone(sealed)
		changed[i] ^= 1
		got, err := a.Unseal(changed)
		require.Error(t, err, "byte %d", i)
		require.Nil(t, got)
	}
	_, err = a.Unseal(nil)
	require.Error(t, err)
	_, err = a.Unseal(make([]byte, MaxSealed+1))
	require.Error(t, err)
	_, err = Seal(&Secret{Value: make([]byte, MaxSecret+1)}, a.Public())
	require.Error(t, err)
	_, err = Seal(&Secret{Of: strings.Repeat("x", maxSecretOf+1)}, a.Public())
	require.Error(t, err)
	_, err = Seal(secret)
	require.Error(t, err)
	most, err := Seal(&Secret{Of: strings.Repeat("x", maxSecretOf), Value: make([]byte, MaxSecret)}, slices.Repeat([]PublicKey{a.Public()}, maxReaders)...)
	require.NoError(t, err)
	require.LessOrEqual(t, len(most), MaxSealed)
	got, err := a.Unseal(most)
	require.NoError(t, err)
	require.Len(t, got.Value, MaxSecret)
}
