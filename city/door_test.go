package city

import (
	"crypto/rand"
	"os"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/urban-compute/ucp/identity"
)

func nobody(string) bool { return false }

// door is that of a broker "a" of a new city, and a key that would like to come in.
func door(t *testing.T) (*Self, *Door, identity.PublicKey) {
	broker, _ := found(t)
	a := opened(t, broker)
	return a, NewDoor(a), newKey(t)
}

func newKey(t *testing.T) identity.PublicKey {
	k, err := identity.NewKey(rand.Reader)
	require.NoError(t, err)
	return k.Public()
}

func TestATicketLetsOneKeyInOnce(t *testing.T) {
	a, d, key := door(t)
	now := time.UnixMilli(1000)
	invite, err := d.Invite(Invitation{Name: "van-3", Role: identity.Broker, TTL: time.Hour}, "10.0.0.1:8000", now, nobody)
	require.NoError(t, err)
	typed, err := identity.ParseInvite(invite.String())
	require.NoError(t, err)
	require.Equal(t, a.Authorities().City().Pin(), typed.Pin)
	enter := func(ticket identity.Ticket, key identity.PublicKey, broker bool, at time.Time) (*identity.Admission, error) {
		return d.Enter(Arrival{Ticket: ticket, Key: key, Name: "x", Broker: broker}, at.String(), at, nobody)
	}
	wrong := typed.Ticket
	wrong[9] ^= 1
	_, err = enter(wrong, key, true, now)
	require.ErrorIs(t, err, ErrTicket)
	_, err = enter(typed.Ticket, key, false, now)
	require.ErrorContains(t, err, "ucp agent --invite", "an invite of a broker makes no person of anybody, and is not used up by that")
	_, err = enter(typed.Ticket, key, true, now.Add(time.Hour))
	require.ErrorIs(t, err, ErrTicket, "it is over")

	invite, err = d.Invite(Invitation{Name: "van-3", Role: identity.Broker, TTL: time.Hour}, "x:1", now, nobody)
	require.NoError(t, err)
	in, err := enter(invite.Ticket, key, true, now)
	require.NoError(t, err)
	require.Equal(t, "van-3", in.Name)
	require.NoError(t, a.Authorities().Verify(in))
	again, err := enter(invite.Ticket, key, true, now)
	require.NoError(t, err, "the answer may have been lost")
	require.Equal(t, in, again)
	_, err = enter(invite.Ticket, newKey(t), true, now)
	require.ErrorIs(t, err, ErrTicket, "another key")

	invite, err = d.Invite(Invitation{Name: "van-3", Role: identity.Broker, TTL: time.Hour}, "x:1", now, nobody)
	require.NoError(t, err)
	later, err := enter(invite.Ticket, newKey(t), true, now)
	require.NoError(t, err, "an operator may give a name again, as to a broker whose disk is lost")
	require.Greater(t, later.Number, in.Number)
}

func TestNamesOfNewMembers(t *testing.T) {
	a, d, key := door(t)
	now := time.UnixMilli(1000)
	there := func(name string) bool { return name == "b" }
	_, err := d.Invite(Invitation{Name: "b", Role: identity.Broker, TTL: time.Hour}, "x:1", now, there)
	require.ErrorIs(t, err, ErrTaken)
	invite := func() identity.Ticket {
		i, err := d.Invite(Invitation{Role: identity.Client, TTL: time.Hour}, "x:1", now, there)
		require.NoError(t, err)
		return i.Ticket
	}
	first := invite()
	for _, name := range []string{"a", "b", "", "../x", "a b"} {
		now = now.Add(time.Second)
		_, err := d.Enter(Arrival{Ticket: first, Key: key, Name: name}, "here", now, there)
		require.Error(t, err, name)
	}
	in, err := d.Enter(Arrival{Ticket: first, Key: key, Name: "c"}, "here", now, there)
	require.NoError(t, err)
	require.Equal(t, "c", in.Name)
	_, err = d.Enter(Arrival{Ticket: invite(), Key: newKey(t), Name: "c"}, "here", now, there)
	require.ErrorIs(t, err, ErrTaken, "it was given a moment ago")
	d = NewDoor(a) // the broker starts again
	for _, name := range []string{"c", "op"} {
		now = now.Add(time.Second)
		_, err = d.Enter(Arrival{Ticket: invite(), Key: newKey(t), Name: name}, "here", now, there)
		require.ErrorIs(t, err, ErrTaken, "%s was admitted before", name)
	}
}

func TestAttemptsAreLimited(t *testing.T) {
	_, d, key := door(t)
	now := time.UnixMilli(1000)
	try := func(source string) error {
		_, err := d.Enter(Arrival{Key: key, Name: "x"}, source, now, nobody)
		return err
	}
	for range attemptsOfOneAtOnce {
		require.ErrorIs(t, try("one"), ErrTicket)
	}
	require.ErrorIs(t, try("one"), ErrTooOften)
	require.ErrorIs(t, try("another"), ErrTicket)
	refused := 0
	for i := range 10 * attemptsAtOnce {
		if try(time.Duration(i).String()) != ErrTicket {
			refused++
		}
	}
	require.GreaterOrEqual(t, refused, 9*attemptsAtOnce, "many sources have no more in all")
	now = now.Add(time.Minute)
	require.ErrorIs(t, try("one"), ErrTicket, "it is over some time")
}

func TestWhoInvites(t *testing.T) {
	a, d, _ := door(t)
	now := time.UnixMilli(1000)
	in := Invitation{Role: identity.Broker, TTL: time.Hour}
	for _, bad := range []Invitation{{Role: "king", TTL: time.Hour}, {Role: identity.Broker}, {Role: identity.Broker, TTL: MaxTTL + 1}, {Role: identity.Broker, TTL: 1, Name: "a b"}} {
		_, err := d.Invite(bad, "x:1", now, nobody)
		require.Error(t, err)
	}
	for range maxInvites {
		_, err := d.Invite(in, "x:1", now, nobody)
		require.NoError(t, err)
	}
	_, err := d.Invite(in, "x:1", now, nobody)
	require.ErrorContains(t, err, "no more can be")
	_, err = d.Invite(in, "x:1", now.Add(time.Hour), nobody)
	require.NoError(t, err, "those that are over make room")

	b := member(t, a.Folder(), "b", identity.Broker)
	_, err = NewDoor(b).Invite(in, "x:1", now, nobody)
	require.ErrorIs(t, err, ErrNoAuthority)
	_, err = b.Folder().NewAuthority("")
	require.NoError(t, err)
	_, err = NewDoor(b).Invite(in, "x:1", now, nobody)
	require.ErrorContains(t, err, "no authority of the city")
}

// What is answered to an invite is kept if it is of the city that the invite is to, and for the key that was shown.
func TestWhatIsTaken(t *testing.T) {
	a, d, _ := door(t)
	now := time.UnixMilli(1000)
	f := Of(t.TempDir())
	key, err := f.Key()
	require.NoError(t, err)
	invite, err := d.Invite(Invitation{Name: "b", Role: identity.Broker, TTL: time.Hour}, "x:1", now, nobody)
	require.NoError(t, err)
	in, err := d.Enter(Arrival{Ticket: invite.Ticket, Key: key.Public(), Broker: true}, "here", now, nobody)
	require.NoError(t, err)
	got := Admitted{Admission: in.Encode(), Authorities: a.Authorities().Encode(), City: "riverside", Keyring: []byte("[]")}

	other, otherDoor, _ := door(t)
	elsewhere, err := otherDoor.Invite(Invitation{Name: "b", Role: identity.Broker, TTL: time.Hour}, "x:1", now, nobody)
	require.NoError(t, err)
	in, err = otherDoor.Enter(Arrival{Ticket: elsewhere.Ticket, Key: key.Public(), Broker: true}, "here", now, nobody)
	require.NoError(t, err)
	_, err = f.Take(invite, Admitted{Admission: in.Encode(), Authorities: other.Authorities().Encode(), City: "riverside", Keyring: []byte("[]")})
	require.ErrorContains(t, err, "another city", "all of it is in order, of a city that nobody has named")
	wrong := got
	wrong.Authorities = other.Authorities().Encode()
	_, err = f.Take(invite, wrong)
	require.ErrorContains(t, err, "another city")
	wrong = got
	wrong.City = "../../x"
	_, err = f.Take(invite, wrong)
	require.Error(t, err)
	_, err = Of(t.TempDir()).Take(invite, got)
	require.ErrorContains(t, err, "not the one that was admitted", "it is for another key")
	require.False(t, f.Held())

	m, err := f.Take(invite, got)
	require.NoError(t, err)
	require.Equal(t, "b", m.Admission.Name)
	require.NoError(t, f.CheckCity(invite))
	invite.Pin[0] ^= 1
	require.Error(t, f.CheckCity(invite))
	text, err := os.ReadFile(f.Keyring())
	require.NoError(t, err)
	require.Equal(t, "[]", string(text))
}
