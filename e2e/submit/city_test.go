package submit

import (
	"crypto/rand"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/urban-compute/ucp/access"
	"github.com/urban-compute/ucp/city"
	"github.com/urban-compute/ucp/gossip"
	"github.com/urban-compute/ucp/identity"
)

// settlement is a city as clients see it: by what they know its brokers, and the token that they show. Nil is none: everybody may
// do everything, in clear.
type settlement struct {
	pin   identity.Pin
	token string
}

// settle makes the folders of brokers members of a city, with a keyring, and a token that may read and submit.
func settle(tb testing.TB, dir string, names ...string) *settlement {
	tb.Helper()
	at := time.Now()
	first := city.Of(filepath.Join(dir, names[0]))
	person := city.Of(filepath.Join(dir, "person"))
	gossipKey, err := gossip.NewKey(rand.Reader)
	require.NoError(tb, err)
	founder, err := city.Found(first, &person, city.Founding{Broker: names[0], Operator: "operator", At: at, Keyring: func(path string) error { return gossip.NewKeyring(path, gossipKey) }})
	require.NoError(tb, err)
	by, err := first.Authority("")
	require.NoError(tb, err)
	keyring, err := os.ReadFile(first.Keyring())
	require.NoError(tb, err)
	for _, name := range names[1:] {
		f := city.Of(filepath.Join(dir, name))
		key, err := f.Key()
		require.NoError(tb, err)
		a, err := by.Admit(founder.Admission.City, name, key.Public(), identity.Broker, at, 0)
		require.NoError(tb, err)
		require.NoError(tb, os.WriteFile(f.Keyring(), keyring, 0o600))
		require.NoError(tb, f.Keep(&identity.Member{Key: key, Admission: a, Authorities: founder.Authorities}))
	}
	operator, err := person.Member()
	require.NoError(tb, err)
	scopes, err := access.ParseScopes("read,submit")
	require.NoError(tb, err)
	token, err := access.Issue(operator, access.Grant{Subject: "load", Scopes: scopes, TTL: time.Hour}, at)
	require.NoError(tb, err)
	return &settlement{founder.Admission.City.Pin(), token.Text()}
}
