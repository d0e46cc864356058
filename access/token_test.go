package access

import (
	"bytes"
	"encoding/base64"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/urban-compute/ucp/canon"
	"github.com/urban-compute/ucp/identity"
)

// made is when the tokens of the tests are made.
var made = time.UnixMilli(1_700_000_000_000)

func keyOf(t require.TestingT, n byte) identity.Key {
	k, err := identity.NewKey(bytes.NewReader(bytes.Repeat([]byte{n}, 32)))
	require.NoError(t, err)
	return k
}

// memberOf is a member of the city of root 1, whom the authority with the second key has admitted.
func memberOf(t require.TestingT, name string, role identity.Role) (*identity.Member, *identity.Authorities) {
	root, second := keyOf(t, 1), keyOf(t, 2)
	of := identity.FoundCity(root.Public())
	for _, k := range []identity.Key{second, keyOf(t, 3)} { // the third has nothing to do with it
		c, err := root.AddAuthority(of.City(), k.Public())
		require.NoError(t, err)
		of, err = of.With(c)
		require.NoError(t, err)
	}
	key := keyOf(t, 9)
	a, err := second.Admit(of.City(), name, key.Public(), role, made, 0)
	require.NoError(t, err)
	return &identity.Member{Key: key, Admission: a, Authorities: of}, of
}

// trust is who knows these authorities.
func trust(t require.TestingT, of *identity.Authorities) identity.Trust {
	key := keyOf(t, 8)
	a, err := keyOf(t, 1).Admit(of.City(), "a", key.Public(), identity.Broker, made, 0)
	require.NoError(t, err)
	return &identity.Member{Key: key, Admission: a, Authorities: of}
}

func none(string) time.Time { return time.Time{} }

func scopes(t require.TestingT, text string) Scopes {
	s, err := ParseScopes(text)
	require.NoError(t, err)
	return s
}

func issue(t require.TestingT, text string, ttl time.Duration) *Token {
	op, _ := memberOf(t, "anna", identity.Operator)
	token, err := Issue(op, Grant{Subject: "ci", Scopes: scopes(t, text), TTL: ttl}, made)
	require.NoError(t, err)
	return token
}

func TestATokenIsVerifiedWithoutAskingAnybody(t *testing.T) {
	token := issue(t, "submit,emergency:medium", time.Hour)
	got, err := Parse(token.Text())
	require.NoError(t, err)
	require.Equal(t, "ci", got.Subject())
	require.Equal(t, "anna", got.Issuer())
	require.Equal(t, "submit,emergency:medium", got.Scopes().String())
	require.Equal(t, made.Add(time.Hour), got.Expires())
	_, of := memberOf(t, "anna", identity.Operator)
	young := identity.FoundCity(keyOf(t, 1).Public()) // a broker that knows the root alone
	for _, knows := range []*identity.Authorities{of, young} {
		require.NoError(t, got.Check(trust(t, knows), none, made))
		require.NoError(t, got.Check(trust(t, knows), none, made.Add(time.Hour-time.Millisecond)))
		require.NoError(t, got.Check(trust(t, knows), none, made.Add(-maxAhead)))
	}
	require.ErrorContains(t, got.Check(trust(t, of), none, made.Add(time.Hour)), "has expired")
	require.ErrorContains(t, got.Check(trust(t, of), none, made.Add(-maxAhead-time.Millisecond)), "one of the two clocks is wrong")
	require.ErrorContains(t, got.Check(trust(t, of), none, time.UnixMilli(0)), "one of the two clocks is wrong", "a broker whose clock is not set")
	require.ErrorContains(t, got.Check(trust(t, identity.FoundCity(keyOf(t, 4).Public())), none, made), "none of this city's operators")

	remove, err := keyOf(t, 1).RemoveAuthority(of.City(), keyOf(t, 2).Public())
	require.NoError(t, err)
	less, err := of.With(remove)
	require.NoError(t, err)
	require.ErrorContains(t, got.Check(trust(t, less), none, made), "none of this city's operators", "who has made it was admitted by an authority that is none any more")
}

func TestTokensAreRevokedBySubjectAndTime(t *testing.T) {
	token := issue(t, "read", time.Hour)
	_, of := memberOf(t, "anna", identity.Operator)
	until := func(subject string, at time.Time) Revoked {
		return func(s string) time.Time {
			if s == subject {
				return at
			}
			return time.Time{}
		}
	}
	require.ErrorContains(t, token.Check(trust(t, of), until("ci", made), made), "is revoked")
	narrow, err := token.Narrow(scopes(t, "read"), time.Minute, made.Add(time.Minute))
	require.NoError(t, err)
	require.ErrorContains(t, narrow.Check(trust(t, of), until("ci", made), made), "is revoked", "narrowing makes it no younger")
	require.NoError(t, token.Check(trust(t, of), until("ci", made.Add(-time.Millisecond)), made))
	require.NoError(t, token.Check(trust(t, of), until("anna", made), made))
}

func TestWhoMakesTokensAndOfWhat(t *testing.T) {
	for _, role := range []identity.Role{identity.Client, identity.Broker} {
		m, of := memberOf(t, "kim", role)
		_, err := Issue(m, Grant{Subject: "ci", Scopes: scopes(t, "read"), TTL: time.Hour}, made)
		require.ErrorContains(t, err, "is no operator")
		m.Admission.Role = identity.Operator // as a program of their own would go on; the role is signed
		token, err := Issue(m, Grant{Subject: "ci", Scopes: scopes(t, "read"), TTL: time.Hour}, made)
		require.NoError(t, err)
		require.ErrorContains(t, token.Check(trust(t, of), none, made), "is no operator")
	}
	op, _ := memberOf(t, "anna", identity.Operator)
	for _, bad := range []Grant{
		{Subject: "", Scopes: Grantable(), TTL: time.Hour}, {Subject: "../x", Scopes: Grantable(), TTL: time.Hour},
		{Subject: "ci", TTL: time.Hour}, {Subject: "ci", Scopes: All(), TTL: time.Hour}, {Subject: "ci", Scopes: OfRole(identity.Operator), TTL: time.Hour},
		{Subject: "ci", Scopes: Grantable()}, {Subject: "ci", Scopes: Grantable(), TTL: MaxTTL + 1}, {Subject: "ci", Scopes: Grantable(), TTL: -1},
	} {
		_, err := Issue(op, bad, made)
		require.Error(t, err, "%v", bad)
	}
	// One that an operator's own program has made says what it likes; it gives no more than a token can.
	sign := func(g grant) *Token {
		key := keyOf(t, 7)
		only, err := op.Authorities.Only(op.Admission.By)
		require.NoError(t, err)
		g.Issuer, g.Next = (&identity.Credential{Admission: op.Admission, Authorities: only}).Encode(), []byte(key.Public())
		token, err := read([][]byte{op.Key.Sign(identity.GrantKind, &g)}, key)
		if err != nil {
			return nil
		}
		return token
	}
	require.Equal(t, "read", sign(grant{Subject: "ci", Issued: 1, Expires: 2, Scopes: []string{"admit", "peer", "read", "emergency", "fly", "emergency:none"}}).Scopes().String())
	for _, bad := range []grant{{Subject: "ci", Issued: 1}, {Subject: "ci", Expires: 2}, {Subject: "a b", Issued: 1, Expires: 2}, {Subject: "ci", Issued: 1, Expires: 1 << 60}, {Subject: "ci", Issued: 1, Expires: 2, Scopes: make([]string, maxScopes+1)}} {
		require.Nil(t, sign(bad), "%v", bad)
	}
}

// drawScopes draws a set of scopes, not an empty one.
func drawScopes(t *rapid.T, name string) Scopes {
	return scopes(t, strings.Join(rapid.SliceOfNDistinct(rapid.SampledFrom(ScopeNames()), 1, 4, rapid.ID).Draw(t, name), ","))
}

// Whatever its holders do: a token may do what each statement of it allows, and no statement can be taken away again.
func TestANarrowedTokenMayNeverMore(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		token := issue(t, drawScopes(t, "granted").String(), time.Duration(rapid.IntRange(1, 100).Draw(t, "minutes"))*time.Minute)
		for range rapid.IntRange(0, 4).Draw(t, "times") {
			limit, ttl := drawScopes(t, "limit"), time.Duration(rapid.IntRange(0, 100).Draw(t, "ttl"))*time.Minute
			at := made.Add(time.Duration(rapid.IntRange(-100, 100).Draw(t, "at")) * time.Minute)
			next, err := token.Narrow(limit, ttl, at)
			if err != nil {
				require.Equal(t, Scopes{}, token.Scopes().And(limit))
				continue
			}
			next, err = Parse(next.Text())
			require.NoError(t, err)
			require.True(t, next.Scopes().Within(token.Scopes()))
			require.True(t, next.Scopes().Within(limit))
			require.Equal(t, token.Scopes().And(limit), next.Scopes())
			require.False(t, next.Expires().After(token.Expires()))
			require.False(t, ttl > 0 && next.Expires().After(at.Add(ttl)))
			require.Equal(t, []any{token.ID(), token.Subject(), token.Issued()}, []any{next.ID(), next.Subject(), next.Issued()})
			// Its holder has the statements, and the key of the last one.
			_, err = read(next.statements[:len(next.statements)-1], next.key)
			require.Error(t, err, "the last statement was taken away")
			_, err = read(append([][]byte{next.statements[0]}, next.statements[2:]...), next.key)
			require.Error(t, err, "one in the middle was taken away")
			wider := token.key.Sign(identity.NarrowKind, &narrowing{Expires: 1 << 60, Scopes: All().Names(), Next: []byte(keyOf(t, 5).Public())})
			wide, err := read(append(token.statements[:len(token.statements):len(token.statements)], wider), keyOf(t, 5))
			require.NoError(t, err)
			require.Equal(t, []any{token.Scopes(), token.Expires()}, []any{wide.Scopes(), wide.Expires()}, "what claims more gives nothing")
			token = next
		}
	})
}

func TestNarrowingHasAnEnd(t *testing.T) {
	token := issue(t, "read,submit", time.Hour)
	var err error
	for range maxStatements - 1 {
		token, err = token.Narrow(scopes(t, "read,submit"), 0, made)
		require.NoError(t, err)
	}
	require.Less(t, len(token.Text()), MaxText)
	_, err = token.Narrow(scopes(t, "read"), 0, made)
	require.ErrorContains(t, err, "can't be once more")
	_, err = issue(t, "read", time.Hour).Narrow(scopes(t, "cancel"), 0, made)
	require.ErrorContains(t, err, "nothing would be left")
	_, err = issue(t, "read", time.Hour).Narrow(scopes(t, "read"), -1, made)
	require.Error(t, err)
}

// Any changed bit of a token, as bytes or as text, is refused.
func TestEveryBitOfATokenCounts(t *testing.T) {
	token, err := issue(t, "read,submit", time.Hour).Narrow(scopes(t, "read"), time.Minute, made)
	require.NoError(t, err)
	text := token.Text()
	raw, err := base64.RawURLEncoding.DecodeString(strings.TrimPrefix(text, textPrefix))
	require.NoError(t, err)
	for i := range raw {
		bad := bytes.Clone(raw)
		bad[i] ^= 1 << (i % 8)
		_, err := Parse(textPrefix + base64.RawURLEncoding.EncodeToString(bad))
		require.Error(t, err, "byte %d of %d", i, len(raw))
	}
	for i := 0; i < len(text); i += 7 {
		bad := []byte(text)
		bad[i] ^= 1
		_, err := Parse(string(bad))
		require.Error(t, err, "character %d", i)
	}
	for _, bad := range []string{"", text + "=", text + "\n", text[:10] + "\n" + text[10:], " " + text, text + "A", text[:len(text)-1], textPrefix, strings.TrimPrefix(text, textPrefix), strings.Repeat("x", MaxText+1)} {
		_, err := Parse(bad)
		require.Error(t, err)
	}
	e := encoded{Statements: token.statements, Key: token.key.Seed()}
	for name, raw := range map[string][]byte{
		"more than there is": append(canon.Encode(e), 0),
		"an unknown field":   canon.Encode(map[string]any{"statements": e.Statements, "key": e.Key, "x": 1}),
		"no key":             canon.Encode(map[string]any{"statements": e.Statements}),
	} {
		_, err := Parse(textPrefix + base64.RawURLEncoding.EncodeToString(raw))
		require.Error(t, err, name)
	}
}

// A statement of one token is none of another.
func TestStatementsAreOfOneToken(t *testing.T) {
	a, b := issue(t, "read", time.Hour), issue(t, "read,submit", time.Hour)
	narrow, err := a.Narrow(scopes(t, "read"), 0, made)
	require.NoError(t, err)
	_, err = read([][]byte{b.statements[0], narrow.statements[1]}, narrow.key)
	require.Error(t, err)
	_, err = read([][]byte{b.statements[0]}, a.key)
	require.Error(t, err)
	_, err = read([][]byte{a.statements[0], b.statements[0]}, b.key)
	require.Error(t, err)
	_, err = read(nil, a.key)
	require.Error(t, err)
}

// Nothing that prints values prints the secret.
func TestATokenIsNotPrinted(t *testing.T) {
	token := issue(t, "read", time.Hour)
	shown := fmt.Sprintf("%v %s %+v %#v %q", token, token, token, token, token)
	require.Contains(t, shown, "ci (token "+token.ID()+" by anna)")
	require.NotContains(t, shown, textPrefix)
	require.NotContains(t, shown, fmt.Sprintf("%x", token.key.Seed()[:4]))
}

// What is understood is written back as the same text, whoever sent it.
func FuzzToken(f *testing.F) {
	token := issue(f, "read,submit", time.Hour)
	narrow, err := token.Narrow(scopes(f, "read"), time.Minute, made)
	require.NoError(f, err)
	f.Add([]byte(token.Text()))
	f.Add([]byte(narrow.Text()))
	f.Add([]byte(textPrefix))
	f.Add(canon.Encode(encoded{narrow.statements, narrow.key.Seed()}))
	f.Fuzz(func(t *testing.T, b []byte) {
		for _, text := range []string{string(b), textPrefix + base64.RawURLEncoding.EncodeToString(b)} {
			got, err := Parse(text)
			if err != nil {
				continue
			}
			require.Equal(t, text, got.Text())
			require.True(t, got.Scopes().Within(Grantable()))
			_, of := memberOf(t, "anna", identity.Operator)
			_ = got.Check(trust(t, of), none, made)
		}
	})
}
