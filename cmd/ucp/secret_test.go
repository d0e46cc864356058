package main

import (
	"crypto/rand"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/urban-compute/ucp/api"
	"github.com/urban-compute/ucp/city"
	"github.com/urban-compute/ucp/identity"
)

// Secrets are encrypted to the brokers that are capable of the job and to the one that is asked, by keys that an authority of the
// city has admitted under these names as those of brokers: whatever else a broker tells ends the command.
func TestWhomSecretsAreFor(t *testing.T) {
	type settled struct {
		m  *identity.Member
		by identity.Key
	}
	found := func() settled {
		f := city.Of(t.TempDir())
		m, err := city.Found(f, nil, city.Founding{Broker: "a", At: time.UnixMilli(5), Keyring: func(path string) error { return os.WriteFile(path, nil, 0o600) }})
		require.NoError(t, err)
		by, err := f.Authority("")
		require.NoError(t, err)
		return settled{m, by}
	}
	here, elsewhere := found(), found()
	admitted := func(in settled, name string, role identity.Role) *identity.Admission {
		key, err := identity.NewKey(rand.Reader)
		require.NoError(t, err)
		a, err := in.by.Admit(in.m.Admission.City, name, key.Public(), role, time.UnixMilli(7), 0)
		require.NoError(t, err)
		return a
	}
	trust := here.m.Admission.City.Pin()
	b, c := admitted(here, "b", identity.Broker), admitted(here, "c", identity.Broker)
	told := func(more ...api.Recipient) api.Recipients {
		return api.Recipients{Authorities: here.m.Authorities.Encode(), Brokers: append([]api.Recipient{
			{Name: "a", Self: true, Admission: here.m.Admission.Encode()}, {Name: "b", Admission: b.Encode()}, {Name: "c", Admission: c.Encode()},
		}, more...)}
	}
	capable := map[string]bool{"b": true, "x": true}
	got, err := readersAmong(told(), capable, trust)
	require.NoError(t, err)
	require.Equal(t, []identity.PublicKey{here.m.Admission.Key, b.Key}, got)
	for why, a := range map[string]*identity.Admission{
		"of another name": c, "of a client": admitted(here, "x", identity.Client), "of another city": admitted(elsewhere, "x", identity.Broker),
	} {
		_, err := readersAmong(told(api.Recipient{Name: "x", Admission: a.Encode()}), capable, trust)
		require.ErrorContains(t, err, `the admission of "x"`, why)
	}
	in := told()
	in.Authorities = elsewhere.m.Authorities.Encode()
	_, err = readersAmong(in, capable, trust)
	require.Error(t, err)
}

// Names of secrets are checked before anything is sent, and values come from the environment, a file or stdin.
func TestSecretsThatAreNamed(t *testing.T) {
	for _, named := range [][]string{{""}, {"=file"}, {"A", "A"}, {"A", "A=file"}} {
		require.Error(t, (&secrets{named: named}).check(), named)
	}
	path := filepath.Join(t.TempDir(), "secret")
	require.NoError(t, os.WriteFile(path, []byte("two\nlines\n"), 0o600))
	t.Chdir(filepath.Dir(path))
	read := func(stdin string, named ...string) (map[string][]byte, error) {
		c := &cli{in: strings.NewReader(stdin), lookupEnv: func(name string) (string, bool) { return "value", name == "A" }}
		s := secrets{named: named}
		require.NoError(t, s.check())
		require.Len(t, s.unsealed(), len(named))
		err := c.readSecrets(&s, &sources{in: c.in})
		return s.values, err
	}
	got, err := read("typed\n", "A", "B="+path, "./secret", "keys/x="+path, "C=-")
	require.NoError(t, err)
	require.Equal(t, map[string][]byte{
		"A": []byte("value"), "B": []byte("two\nlines"), "./secret": []byte("two\nlines\n"), "keys/x": []byte("two\nlines\n"), "C": []byte("typed"),
	}, got)
	most := strings.Repeat("x", identity.MaxSecret)
	_, err = read(most+"\n", "C=-")
	require.NoError(t, err)
	for name, named := range map[string][]string{
		"no such variable": {"B"}, "no such file": {"B=" + path + "-not"}, "nor that one": {"./not"}, "stdin twice": {"B=-", "C=-"}, "too long": {"./x=-"},
	} {
		_, err := read(most+"\n", named...)
		require.Error(t, err, name)
	}
}
