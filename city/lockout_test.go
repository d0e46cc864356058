package city

import (
	"os"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/urban-compute/ucp/identity"
	"github.com/urban-compute/ucp/test/race"
)

// Who asks, and the last operator that is known, are not shut out without a further word, by a revocation or by the end of the
// authority that has let them in.
func TestLockout(t *testing.T) {
	broker, person := found(t)
	a := opened(t, broker)
	op := opened(t, person)
	revoke := func(who string) *identity.Proof { return revocation(t, a, who) }
	require.NoError(t, a.Lockout(revoke("op"), nil), "this broker knows of no operator yet")
	err := a.Lockout(revoke("op"), op.admission)
	require.ErrorIs(t, err, ErrLockout)
	require.ErrorContains(t, err, "op is the last operator that is known here", "it has just heard of who asks")
	a.Learn(a.Announce()...)
	err = a.Lockout(revoke("op"), nil)
	require.ErrorIs(t, err, ErrLockout)
	require.ErrorContains(t, err, "op is the last operator that is known here: nobody could invite")
	require.NoError(t, a.Lockout(revoke("van"), op.admission))
	require.NoError(t, a.book.Verify(op.admission), "to look changes nothing")

	// A second one, let in by an authority of its own.
	b := member(t, broker, "b", identity.Broker)
	key, err := b.KeepAuthority()
	require.NoError(t, err)
	p, err := a.AddAuthority(key, "")
	require.NoError(t, err)
	a.Learn(p)
	second := At(t.TempDir())
	_, err = AdmitOperator(b.folder, second, "", "op", "", time.UnixMilli(60))
	require.ErrorContains(t, err, "is no authority of the city", "it has not heard that it is one")
	b.Learn(p)
	m, err := AdmitOperator(b.folder, second, "op2", "", "", time.UnixMilli(60))
	require.NoError(t, err)
	a.Learn(b.Announce()...)
	require.NoError(t, a.Lockout(revoke("op"), m.Admission), "another one is left")
	err = a.Lockout(revoke("op"), op.admission)
	require.ErrorIs(t, err, ErrLockout)
	require.ErrorContains(t, err, "it is you, op, who would be shut out")
	remove, err := a.RemoveAuthority(key, "")
	require.NoError(t, err)
	require.NoError(t, a.Lockout(remove, op.admission))
	require.ErrorIs(t, a.Lockout(remove, m.Admission), ErrLockout)
	a.Learn(revoke("op"))
	err = a.Lockout(remove, nil)
	require.ErrorContains(t, err, "op2 is the last operator")
}

// With the key of an authority on a broker's disk there is a way back after the last operator was revoked, also under the same name,
// and what was said of a name before is not in its way.
func TestAnOperatorIsMadeOnTheDisk(t *testing.T) {
	broker, person := found(t)
	a := opened(t, broker)
	a.Learn(a.Announce()...)
	p, err := a.Revoke("op", "", time.UnixMilli(50), nobody)
	require.NoError(t, err)
	a.Learn(p)

	_, err = AdmitOperator(broker, person, "", "op", "", time.UnixMilli(60))
	require.ErrorContains(t, err, "holds an identity already")
	_, err = AdmitOperator(broker, At(t.TempDir()), "a", "", "", time.UnixMilli(60))
	require.ErrorContains(t, err, "not that of the broker")
	_, err = AdmitOperator(person, At(t.TempDir()), "", "op", "", time.UnixMilli(60))
	require.ErrorContains(t, err, "no authority's key lies in")
	_, err = AdmitOperator(Of(t.TempDir()), At(t.TempDir()), "", "op", "", time.UnixMilli(60))
	require.ErrorIs(t, err, identity.ErrNoIdentity)

	for i, c := range []struct{ name, gets string }{{"", "op-2"}, {"op", "op"}, {"", "op-3"}} {
		f := At(t.TempDir())
		m, err := AdmitOperator(broker, f, c.name, "op", "", time.UnixMilli(60))
		require.NoError(t, err)
		require.Equal(t, c.gets, m.Admission.Name)
		require.Equal(t, identity.Operator, m.Admission.Role)
		self := opened(t, f)
		require.Equal(t, "riverside", self.CityName())
		_, _, err = meet(t, a, self)
		require.NoError(t, err, "it is let in at once")
		again := opened(t, broker)
		require.Len(t, again.Announce(), 2+i+1, "the others hear of them as of the broker and the founder")
	}
}

// The key of an authority that is encrypted takes its passphrase.
func TestAnOperatorTakesThePassphrase(t *testing.T) {
	if race.Enabled {
		t.Skip("a passphrase costs a second on purpose, and twenty under the race detector: scripts/test.sh runs it without")
	}
	broker := Of(t.TempDir())
	_, err := Found(broker, nil, Founding{Broker: "a", Passphrase: "open sesame", At: time.UnixMilli(5),
		Keyring: func(path string) error { return os.WriteFile(path, []byte("[]"), 0o600) }})
	require.NoError(t, err)
	f := At(t.TempDir())
	_, err = AdmitOperator(broker, f, "", "kim", "", time.UnixMilli(60))
	require.ErrorIs(t, err, identity.ErrLocked)
	_, err = AdmitOperator(broker, f, "", "kim", "open barley", time.UnixMilli(60))
	require.ErrorIs(t, err, identity.ErrPassphrase)
	require.False(t, f.Held())
	m, err := AdmitOperator(broker, f, "", "kim", "open sesame", time.UnixMilli(60))
	require.NoError(t, err)
	require.Equal(t, "kim", m.Admission.Name)
}
