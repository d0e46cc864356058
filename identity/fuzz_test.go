package identity

import (
	"testing"

	"github.com/stretchr/testify/require"
)

// What decodes is what was encoded, whoever sent it.
func FuzzIdentity(f *testing.F) {
	root := keyOf(f, 1)
	city := FoundCity(root.Public())
	two := must(city.With(must(root.AddAuthority(city.City(), keyOf(f, 2).Public()))))
	a := admit(root, city.City(), 9)
	f.Add(a.Encode())
	f.Add(two.Encode())
	f.Add(two.changes[0].Encode())
	f.Add((&Credential{a, two}).Encode())
	f.Fuzz(func(t *testing.T, b []byte) {
		if a, err := DecodeAdmission(b); err == nil {
			require.Equal(t, b, a.Encode())
			require.True(t, a.Key.Valid() && a.By.Valid() && a.Role.Valid() && a.Number > 0)
		}
		if c, err := DecodeChange(b); err == nil {
			require.Equal(t, b, c.Encode())
		}
		if set, err := DecodeAuthorities(b); err == nil {
			again, err := DecodeAuthorities(set.Encode())
			require.NoError(t, err)
			require.Equal(t, set, again)
			require.True(t, set.InForce(set.Root()))
		}
		if c, err := DecodeCredential(b); err == nil {
			must(DecodeCredential(c.Encode()))
		}
	})
}

// An invite that is understood is written back as the same one.
func FuzzInvite(f *testing.F) {
	f.Add((&Invite{Addr: "a:1"}).String())
	f.Add("o0Il-@[::1]:8000")
	f.Fuzz(func(t *testing.T, typed string) {
		i, err := ParseInvite(typed)
		if err != nil {
			return
		}
		again, err := ParseInvite(i.String())
		require.NoError(t, err)
		require.Equal(t, i, again)
	})
}

// The file of a key may hold anything.
func FuzzKeyFile(f *testing.F) {
	locked, err := lock([]byte("x"), "p", 1)
	require.NoError(f, err)
	f.Add(locked)
	f.Add([]byte("00"))
	f.Fuzz(func(t *testing.T, b []byte) {
		if k, err := parseKey(b, ""); err == nil {
			require.True(t, k.Public().Valid())
		}
	})
}
