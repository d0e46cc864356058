package city

import (
	"context"
	"crypto/rand"
	"crypto/tls"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/urban-compute/ucp/identity"
)

func quiet() *slog.Logger { return slog.New(slog.DiscardHandler) }

// found begins a city with a broker "a" and an operator "op".
func found(t *testing.T) (broker, person Folder) {
	broker, person = Of(t.TempDir()), At(t.TempDir())
	_, err := Found(broker, &person, Founding{Name: "riverside", Broker: "a", Operator: "op", At: time.UnixMilli(5),
		Keyring: func(path string) error { return os.WriteFile(path, []byte("[]"), 0o600) }})
	require.NoError(t, err)
	return broker, person
}

// opened is who has a folder.
func opened(t *testing.T, f Folder) *Self {
	s, err := Open(f, quiet())
	require.NoError(t, err)
	return s
}

// revocation shuts somebody out, in the name of the authority of a broker that is sure of the name.
func revocation(t *testing.T, by *Self, who string) *identity.Proof {
	p, err := by.Revoke(who, "", time.UnixMilli(50), func(string) bool { return true })
	require.NoError(t, err)
	return p
}

// member admits one more member, with the key of a folder's authority.
func member(t *testing.T, by Folder, name string, role identity.Role) *Self {
	authority, err := by.Authority("")
	require.NoError(t, err)
	f := Of(t.TempDir())
	self := opened(t, by)
	_, err = Enrol(f, authority, self.Authorities(), name, role, time.UnixMilli(7))
	require.NoError(t, err)
	s := opened(t, f)
	return s
}

// meet connects a client with a server, as brokers do; both ends are tracked.
func meet(t *testing.T, server, client *Self) (near, far *tls.Conn, err error) {
	a, b := net.Pipe()
	t.Cleanup(func() { a.Close(); b.Close() })
	far = tls.Server(b, server.ServerTLS(func() *identity.Web { return nil }))
	ended := make(chan error, 1)
	go func() { ended <- far.Handshake() }()
	conn, err := client.Dialer(func(context.Context, string, string) (net.Conn, error) { return a, nil })(t.Context(), "tcp", "x")
	if err != nil {
		return nil, nil, err
	}
	near = conn.(*tls.Conn)
	read := make(chan error, 1)
	go func() { _, err := near.Read(make([]byte, 1)); read <- err }() // it takes in what ends the handshake
	if err := <-ended; err != nil {
		return nil, nil, err
	}
	server.Track(far)
	_, err = far.Write([]byte("x"))
	require.NoError(t, err)
	require.NoError(t, <-read)
	return near, far, nil
}

func TestFounding(t *testing.T) {
	broker, person := found(t)
	a := opened(t, broker)
	op := opened(t, person)
	require.Equal(t, "a", a.Name())
	require.Equal(t, identity.Operator, op.Role())
	require.Equal(t, "riverside", op.CityName())
	require.Equal(t, a.Authorities().City(), op.Authorities().City())
	_, err := person.Authority("")
	require.ErrorIs(t, err, os.ErrNotExist, "a person's folder holds no authority")
	require.NoError(t, filepath.WalkDir(string(broker.Folder), func(path string, d os.DirEntry, err error) error {
		info, err2 := d.Info()
		require.NoError(t, err2)
		require.Zero(t, info.Mode().Perm()&0o077, path)
		return err
	}))
	for _, again := range []Folder{broker, Of(t.TempDir())} { // neither the broker nor the person has two cities
		_, err = Found(again, &person, Founding{Broker: "b", Operator: "op", At: time.UnixMilli(5)})
		require.ErrorContains(t, err, "holds an identity already")
	}
}

// A removal of the authority that admitted somebody reaches who hears of it from whoever knows of it, ends that one's
// connections at both sides, and lets it in no more.
func TestWhoFallsIsCutOff(t *testing.T) {
	broker, person := found(t)
	root, err := broker.Authority("")
	require.NoError(t, err)
	a := opened(t, broker)

	second, err := identity.NewKey(rand.Reader)
	require.NoError(t, err)
	add, err := root.AddAuthority(a.Authorities().City(), second.Public())
	require.NoError(t, err)
	of, err := a.Authorities().With(add)
	require.NoError(t, err)
	f := Of(t.TempDir())
	_, err = Enrol(f, second, of, "b", identity.Broker, time.UnixMilli(9))
	require.NoError(t, err)
	b := opened(t, f)

	near, far, err := meet(t, a, b)
	require.NoError(t, err)
	require.True(t, a.Authorities().InForce(second.Public()), "it learns of the second authority from the certificate")
	again := opened(t, broker)
	require.True(t, again.Authorities().InForce(second.Public()), "and keeps it")
	back, there, err := meet(t, b, a)
	require.NoError(t, err)

	remove, err := root.RemoveAuthority(of.City(), second.Public())
	require.NoError(t, err)
	less, err := of.With(remove)
	require.NoError(t, err)
	require.NoError(t, person.KeepAuthorities(less))
	op := opened(t, person)
	_, _, err = meet(t, a, op)
	require.NoError(t, err)
	require.False(t, a.Authorities().InForce(second.Public()))
	for _, conn := range []*tls.Conn{near, far, back, there} {
		_ = conn.SetReadDeadline(time.Now().Add(time.Minute)) // an error is that it is closed
		_, err = conn.Read(make([]byte, 1))
		require.Error(t, err)
		require.NotErrorIs(t, err, os.ErrDeadlineExceeded)
	}
	_, _, err = meet(t, a, b)
	require.Error(t, err)
	_, _, err = meet(t, b, a)
	require.Error(t, err)
}

// Whom a broker asks is the broker that it means.
func TestWhoIsAsked(t *testing.T) {
	broker, _ := found(t)
	a := opened(t, broker)
	b, c := member(t, broker, "b", identity.Broker), member(t, broker, "c", identity.Client)
	_, far, err := meet(t, a, b)
	require.NoError(t, err)
	state := far.ConnectionState()
	cred, err := identity.CredentialOf(&state)
	require.NoError(t, err)
	require.NoError(t, a.IsBroker(cred, "b"))
	require.ErrorContains(t, a.IsBroker(cred, "a"), "not the broker a")
	_, _, err = meet(t, c, a)
	require.ErrorContains(t, err, "no broker", "a client's key makes no server")
	_, far, err = meet(t, a, c)
	require.NoError(t, err)
	state = far.ConnectionState()
	cred, err = identity.CredentialOf(&state)
	require.NoError(t, err)
	require.Error(t, a.IsBroker(cred, "c"))
}

func TestSecrets(t *testing.T) {
	path := filepath.Join(t.TempDir(), "secret")
	for text, want := range map[string]string{"one\n": "one", "one two\r\nthree": "one two", "": "", "\nx": ""} {
		require.NoError(t, os.WriteFile(path, []byte(text), 0o600))
		got, err := ReadSecret(path)
		require.Equal(t, want == "", err != nil)
		require.Equal(t, want, got)
	}
	require.NoError(t, os.Chmod(path, 0o640))
	_, err := ReadSecret(path)
	require.ErrorContains(t, err, "can be read by others")
}
