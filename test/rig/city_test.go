package rig

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/urban-compute/ucp/city"
)

// A name has one key, whatever becomes of its disk, and the city's keyring; two names have two.
func TestACityOfTheRig(t *testing.T) {
	c, err := NewCity(t.TempDir())
	require.NoError(t, err)
	at := func(b *Broker, file string) string {
		text, err := os.ReadFile(filepath.Join(b.Disk, "identity", file))
		require.NoError(t, err)
		return string(text)
	}
	a, b := &Broker{Name: "a", Disk: t.TempDir(), City: c}, &Broker{Name: "b", Disk: t.TempDir(), City: c}
	for _, x := range []*Broker{a, b, a} {
		require.NoError(t, c.identify(x))
		require.True(t, city.Of(x.Disk).Held())
		require.NotContains(t, x.commandLineIn(Place{Insecure: true}), "--insecure")
	}
	key := at(a, "key")
	require.NotEqual(t, key, at(b, "key"))
	require.Equal(t, at(a, "keyring"), at(b, "keyring"))
	require.NoError(t, EmptyDisk(a.Disk))
	require.NoError(t, c.identify(a))
	require.Equal(t, key, at(a, "key"))
	require.NoError(t, os.Remove(filepath.Join(a.Disk, "identity", "admission"))) // a disk that was full meanwhile
	require.NoError(t, c.identify(a))
	require.True(t, city.Of(a.Disk).Held())

	var none *City
	require.Contains(t, none.Environment(), "UCP_IDENTITY=-")
	require.Contains(t, c.Environment(), "UCP_IDENTITY="+filepath.Join(c.dir, "operator"))
}

// commandLineIn is the command line of a broker in another place.
func (b *Broker) commandLineIn(p Place) []string {
	c := Broker{Name: b.Name, Disk: b.Disk, City: b.City, Place: p, Peers: func() []string { return nil }}
	return c.commandLine()
}
