package city

import (
	"crypto/rand"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/urban-compute/ucp/identity"
)

// Invites outlive the process of the broker; used ones stay used. Where the authority's key is encrypted open ones are void.
func TestInvitesOutliveTheProcess(t *testing.T) {
	a, d, key := door(t)
	now := time.UnixMilli(1000)
	invite := func(d *Door) identity.Ticket {
		i, err := d.Invite(Invitation{Role: identity.Broker, TTL: time.Hour}, "x:1", now, nobody)
		require.NoError(t, err)
		return i.Ticket
	}
	enter := func(d *Door, ticket identity.Ticket, key identity.PublicKey, name string) error {
		_, err := d.Enter(Arrival{Ticket: ticket, Key: key, Name: name, Broker: true}, "here", now, nobody)
		return err
	}
	used, open := invite(d), invite(d)
	require.NoError(t, enter(d, used, key, "one"))

	stored, err := os.ReadFile(filepath.Join(string(a.folder.Folder), ticketsFile))
	require.NoError(t, err)
	require.NotContains(t, string(stored), string(open[:]))
	d = NewDoor(a)
	require.ErrorIs(t, enter(d, used, newKey(t), "two"), ErrTicket, "it was used")
	require.NoError(t, enter(d, used, key, "one"), "the answer may have been lost")
	require.NoError(t, enter(d, open, newKey(t), "two"))
	d = NewDoor(a)
	require.ErrorIs(t, enter(d, open, newKey(t), "three"), ErrTicket)

	require.NoError(t, os.WriteFile(filepath.Join(string(a.folder.Folder), ticketsFile), []byte("nonsense"), 0o600))
	require.ErrorIs(t, enter(NewDoor(a), open, newKey(t), "four"), ErrTicket, "a damaged file lets nobody in")

	// The same where the key can't be read without a passphrase.
	ticket := invite(d)
	require.NoError(t, os.Remove(filepath.Join(string(a.folder.Folder), "authority")))
	require.ErrorIs(t, enter(NewDoor(a), ticket, key, "five"), ErrTicket)
	require.NoError(t, enter(d, ticket, key, "five"))
}

// A name that was given away at another broker is taken here, and a key that was revoked is not let in again; its name is
// given again by an operator.
func TestTheDoorKnowsWhatOthersHaveSaid(t *testing.T) {
	a, d, _ := door(t)
	now := time.UnixMilli(1000)
	authority, err := a.folder.Authority("")
	require.NoError(t, err)
	prove := func(s identity.Statement, err error) *identity.Proof {
		require.NoError(t, err)
		p, err := a.Authorities().Prove(s)
		require.NoError(t, err)
		return p
	}
	city, old := a.Authorities().City(), newKey(t)
	enter := func(in Invitation, key identity.PublicKey) (*identity.Admission, error) {
		in.Role, in.TTL = identity.Broker, time.Hour
		i, err := d.Invite(in, "x:1", now, nobody)
		require.NoError(t, err)
		return d.Enter(Arrival{Ticket: i.Ticket, Key: key, Name: "van", Broker: true}, "here", now, nobody)
	}
	first, err := authority.Admit(city, "van", old, identity.Broker, time.UnixMilli(5000), 0)
	a.Learn(prove(first, err))
	_, err = enter(Invitation{}, newKey(t))
	require.ErrorIs(t, err, ErrTaken)

	p, err := a.Revoke("van", "", now, nobody)
	require.NoError(t, err)
	a.Learn(p)
	require.True(t, a.Gone("van"))
	_, err = enter(Invitation{Name: "van"}, old)
	require.ErrorIs(t, err, ErrBarred)
	_, err = enter(Invitation{}, newKey(t))
	require.ErrorIs(t, err, ErrTaken, "somebody had it: only an operator gives it again")
	again, err := enter(Invitation{Name: "van"}, newKey(t))
	require.NoError(t, err)
	require.Greater(t, again.Number, first.Number, "it stands, although this clock is behind")
	a.Learn(prove(again, nil))
	require.False(t, a.Gone("van"))
	require.Empty(t, a.Splits())

	tokens, err := authority.RevokeTokens(city, "kim", time.UnixMilli(500))
	a.Learn(prove(tokens, err))
	require.Equal(t, time.UnixMilli(500), a.Revoked("kim"))
	require.Zero(t, a.Revoked("van"))

	_, err = a.Revoke("tram", "", now, nobody)
	require.ErrorIs(t, err, ErrUnknown, "a slip of the pen shuts nobody out")
	_, err = a.Revoke("tram", "", now, func(string) bool { return true })
	require.NoError(t, err)
	_, err = a.Revoke("a", "", now, nobody)
	require.ErrorIs(t, err, ErrItself)
	_, err = a.Revoke(newKey(t).String(), "", now, nobody)
	require.ErrorIs(t, err, ErrUnknown)
}

// A broker that keeps an authority's key admits once that was added, and no more once it is removed, which only those above it do.
func TestKeptAuthorities(t *testing.T) {
	broker, _ := found(t)
	a := opened(t, broker)
	b := member(t, broker, "b", identity.Broker)
	require.Empty(t, b.Kept())
	_, err := b.authority("")
	require.ErrorIs(t, err, ErrNoAuthority)
	key, err := b.KeepAuthority()
	require.NoError(t, err)
	same, err := b.KeepAuthority()
	require.NoError(t, err)
	require.Equal(t, key, same)
	require.Equal(t, key, b.Kept())
	_, err = b.authority("")
	require.ErrorIs(t, err, ErrNoAuthority)

	p, err := a.AddAuthority(key, "")
	require.NoError(t, err)
	a.Learn(p)
	b.Learn(p)
	_, err = b.authority("")
	require.NoError(t, err)
	require.Len(t, b.Announce(), 1)
	require.Len(t, a.Announce(), 2, "the founder's broker tells of its operator, too")
	_, err = b.RemoveAuthority(a.Authorities().Root(), "")
	require.ErrorIs(t, err, ErrNotAbove)
	_, err = b.Revoke("a", "", time.UnixMilli(9), func(string) bool { return true })
	require.NoError(t, err, "b knows of no admission of a yet")
	b.Learn(a.Announce()...)
	_, err = b.Revoke("a", "", time.UnixMilli(9), nobody)
	require.ErrorIs(t, err, ErrNotAbove)

	p, err = a.RemoveAuthority(key, "")
	require.NoError(t, err)
	a.Learn(p)
	b.Learn(p)
	_, err = b.authority("")
	require.ErrorIs(t, err, ErrNoAuthority)
	_, err = a.AddAuthority(key, "")
	require.ErrorContains(t, err, "for good")
	_, err = a.RemoveAuthority(key, "")
	require.ErrorIs(t, err, ErrUnknown)
	_, err = b.authority("")
	require.ErrorContains(t, err, "start this broker again with --keep-authority")
	replaced, err := b.KeepAuthority()
	require.NoError(t, err)
	require.NotEqual(t, key, replaced, "a removed key is of no use")
	p, err = a.AddAuthority(replaced, "")
	require.NoError(t, err)
	b.Learn(p)
	_, err = b.authority("")
	require.NoError(t, err)
	again, err := b.KeepAuthority()
	require.NoError(t, err)
	require.Equal(t, replaced, again)
	other, err := identity.NewKey(rand.Reader)
	require.NoError(t, err)
	_, err = ParseKey(other.String() + "0")
	require.Error(t, err)
}

// Who is revoked is cut off where that is heard of, on connections that are open, and comes in by no new one (rule X6).
func TestWhoIsRevokedIsCutOff(t *testing.T) {
	broker, _ := found(t)
	a := opened(t, broker)
	b, c := member(t, broker, "b", identity.Broker), member(t, broker, "c", identity.Broker)
	_, far, err := meet(t, c, b)
	require.NoError(t, err)
	p := revocation(t, a, "b")
	c.Learn(p)
	_, err = far.Read(make([]byte, 1))
	require.Error(t, err)
	_, _, err = meet(t, c, b)
	require.Error(t, err)
	_, _, err = meet(t, a, b)
	require.NoError(t, err, "a has not heard of it")
}
