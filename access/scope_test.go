package access

import (
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/urban-compute/ucp/identity"
)

func TestScopesAreRead(t *testing.T) {
	for text, want := range map[string]string{
		"read": "read", "submit, read": "read,submit", "read,read": "read", "emergency:low,emergency:high": "emergency:high", "operate,cancel": "cancel,operate",
	} {
		require.Equal(t, want, scopes(t, text).String(), text)
	}
	for _, text := range []string{"", "reed", "emergency", "emergency:none", "emergency:grave", "admit", "peer", "anything", "read,", "READ"} {
		_, err := ParseScopes(text)
		require.Error(t, err, text)
	}
	require.Equal(t, "nothing", Scopes{}.String())
	require.Equal(t, "read,submit,cancel,operate,emergency:critical", Grantable().String())
}

func TestRolesAreSetsOfScopes(t *testing.T) {
	for role, want := range map[identity.Role]string{
		identity.Client: "read,submit", identity.Broker: "read,submit,peer", identity.Operator: "read,submit,cancel,operate,emergency:critical,admit", "king": "nothing",
	} {
		require.Equal(t, want, OfRole(role).String(), role)
		require.True(t, OfRole(role).Within(All()))
	}
}

func TestNeeds(t *testing.T) {
	met := func(n Need, text string) [2]bool {
		ok, own := n.Met(scopes(t, text))
		return [2]bool{ok, own}
	}
	cancelled := Need{Scope: Cancel, Own: true}
	require.Equal(t, [2]bool{true, false}, met(cancelled, "cancel"))
	require.Equal(t, [2]bool{true, true}, met(cancelled, "submit"))
	require.Equal(t, [2]bool{true, false}, met(cancelled, "cancel,submit"))
	require.Equal(t, [2]bool{false, false}, met(cancelled, "read,operate,emergency:critical"))
	require.Equal(t, [2]bool{true, false}, met(Need{Scope: Emergency}, "emergency:low"))
	require.Equal(t, [2]bool{true, false}, met(Need{Scope: anything}, "emergency:low"))
	ok, _ := Need{Scope: anything}.Met(Scopes{})
	require.False(t, ok)
	ok, _ = Nothing.Met(Scopes{})
	require.True(t, ok)
}

// What is in two sets is in each of them, and no larger set is.
func TestScopesMeet(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		a, b, c := drawScopes(t, "a"), drawScopes(t, "b"), drawScopes(t, "c")
		require.Equal(t, a.And(b), b.And(a))
		require.Equal(t, a.And(b).And(c), a.And(b.And(c)))
		require.Equal(t, a, a.And(a))
		require.Equal(t, a, a.And(All()))
		require.True(t, a.And(b).Within(a) && a.And(b).Within(b))
		require.Equal(t, c.Within(a) && c.Within(b), c.Within(a.And(b)))
		require.Equal(t, a, readScopes(a.Names()))
		for _, n := range Needs {
			all, _ := n.Met(a.And(b))
			one, _ := n.Met(a)
			require.True(t, one || !all, "%s with less", n)
		}
	})
}
