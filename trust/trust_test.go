package trust

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/urban-compute/ucp/clock"
	"github.com/urban-compute/ucp/identity"
)

func keyOf(n byte) identity.Key {
	k, err := identity.NewKey(bytes.NewReader(bytes.Repeat([]byte{n}, 32)))
	if err != nil {
		panic(err)
	}
	return k
}

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

var (
	root = keyOf(0)
	city = identity.CityOf(root.Public())
)

// family is a root, two authorities below it, and one below the first of these.
func family() (of *identity.Authorities, added []*identity.Proof) {
	of = identity.FoundCity(root.Public())
	for _, x := range [][2]identity.Key{{root, keyOf(1)}, {root, keyOf(2)}, {keyOf(1), keyOf(3)}} {
		c := must(x[0].AddAuthority(city, x[1].Public()))
		of = must(of.With(c))
		added = append(added, must(of.Prove(c)))
	}
	return of, added
}

// book is what a broker knows that has heard of these.
func book(t require.TestingT, proofs ...*identity.Proof) *Book {
	b := NewBook(identity.FoundCity(root.Public()))
	_, err := b.Learn(nil, proofs...)
	require.NoError(t, err)
	return b
}

func admit(by identity.Key, name string, key byte, at int64, after uint64) *identity.Admission {
	return must(by.Admit(city, name, keyOf(key).Public(), identity.Broker, time.UnixMilli(at), after))
}

// Who is revoked is out, with every admission until then and with its key; the name may be given again.
func TestRevocation(t *testing.T) {
	of, added := family()
	prove := func(s identity.Statement) *identity.Proof { return must(of.Prove(s)) }
	old, next := admit(keyOf(1), "van", 50, 100, 0), admit(keyOf(2), "van", 51, 300, 200)
	end := prove(must(keyOf(1).Revoke(city, "van", keyOf(50).Public(), time.UnixMilli(200), 100)))

	b := book(t, append(added, prove(old))...)
	require.NoError(t, b.Verify(old))
	require.False(t, b.Gone("van"))
	_, err := b.Learn(nil, end)
	require.NoError(t, err)
	require.ErrorAs(t, b.Verify(old), new(*Revoked))
	require.True(t, b.Gone("van"))
	require.True(t, b.Barred(keyOf(50).Public()))
	require.False(t, b.Barred(keyOf(51).Public()))
	require.EqualValues(t, 200, b.Last("van"))
	require.ErrorAs(t, b.Verify(admit(keyOf(1), "bus", 50, 900, 0)), new(*Revoked), "its key comes in under no other name either")
	require.NoError(t, b.Verify(next))
	_, err = b.Learn(nil, prove(next))
	require.NoError(t, err)
	require.False(t, b.Gone("van"))
	require.Equal(t, next.Key, b.Holder("van").Key)
	require.Empty(t, b.Splits())

	// Only who has admitted somebody, or is above that, ends it.
	by := func(k identity.Key, admittedBy identity.Key) error {
		x := admit(admittedBy, "bus", 60, 100, 0)
		return book(t, append(added, prove(must(k.Revoke(city, "bus", "", time.UnixMilli(200), 0))))...).Verify(x)
	}
	require.Error(t, by(root, keyOf(3)))
	require.Error(t, by(keyOf(1), keyOf(3)))
	require.Error(t, by(keyOf(3), keyOf(3)))
	require.NoError(t, by(keyOf(2), keyOf(3)))
	require.NoError(t, by(keyOf(3), keyOf(1)))
	require.NoError(t, by(keyOf(1), root))
}

// A stolen authority shuts out, and lets in, whom it likes, below it; when it is removed all of that is void.
func TestAStolenAuthorityIsRemoved(t *testing.T) {
	of, added := family()
	prove := func(s identity.Statement) *identity.Proof { return must(of.Prove(s)) }
	thief := keyOf(1)
	van := admit(keyOf(3), "van", 50, 100, 0)
	b := book(t, append(added,
		prove(van),
		prove(must(thief.Revoke(city, "van", "", time.UnixMilli(500), 0))),
		prove(must(thief.RevokeTokens(city, "kim", time.UnixMilli(500)))),
		prove(admit(thief, "bus", 70, 900, 0)),
		prove(admit(keyOf(2), "bus", 51, 300, 0)),
	)...)
	require.Error(t, b.Verify(van))
	require.EqualValues(t, 500, b.TokensUpto("kim"))
	require.Equal(t, keyOf(70).Public(), b.Holder("bus").Key, "it takes names, too")
	require.Len(t, b.Splits(), 1, "which is seen")

	_, err := b.Learn(nil, prove(must(root.RemoveAuthority(city, thief.Public()))), prove(must(root.AddAuthority(city, keyOf(3).Public()))))
	require.NoError(t, err)
	require.NoError(t, b.Verify(van), "its authority was added by somebody else")
	require.Zero(t, b.TokensUpto("kim"))
	require.Equal(t, keyOf(51).Public(), b.Holder("bus").Key)
	require.Empty(t, b.Splits())
	require.Error(t, b.Verify(admit(thief, "bus", 70, 999, 0)))

	// However much it says, what is said above it stays.
	var flood []*identity.Proof
	for i := range 40 {
		k := must(identity.NewKey(rand.NewChaCha8([32]byte{byte(i)})))
		flood = append(flood, prove(must(thief.AddAuthority(city, k.Public()))), prove(must(thief.Revoke(city, "tram", k.Public(), time.UnixMilli(1000), uint64(i)))))
	}
	tram := must(keyOf(2).Revoke(city, "tram", "", time.UnixMilli(400), 0))
	b = book(t, append(append(added, prove(tram)), flood...)...)
	_, err = b.Learn(nil, prove(must(root.RemoveAuthority(city, thief.Public()))))
	require.NoError(t, err)
	require.False(t, b.Authorities().InForce(thief.Public()))
	require.True(t, b.Authorities().InForce(keyOf(2).Public()))
	require.Len(t, b.Authorities().Keys(), 2)
	require.Error(t, b.Verify(admit(keyOf(2), "tram", 9, 300, 0)), "what others have said is not crowded out")
}

// Two authorities that do not know of each other give one name to two keys: the later admission has it everywhere, and that is
// told until an operator has decided. One that was given again on purpose is no split.
func TestANameIsGivenTwice(t *testing.T) {
	of, added := family()
	prove := func(s identity.Statement) *identity.Proof { return must(of.Prove(s)) }
	one, two := admit(keyOf(1), "van", 50, 100, 0), admit(keyOf(2), "van", 51, 300, 0)
	b := book(t, append(added, prove(one), prove(two))...)
	require.ErrorAs(t, b.Verify(one), new(*Renamed))
	require.NoError(t, b.Verify(two))
	require.Equal(t, two.Key, b.Holder("van").Key)
	require.Len(t, b.Splits(), 1)
	require.Contains(t, b.Splits()[0].String(), "ucp cluster revoke "+one.Key.String())
	_, err := b.Learn(nil, prove(must(keyOf(1).Revoke(city, "van", one.Key, time.UnixMilli(100), 100))))
	require.NoError(t, err)
	require.Empty(t, b.Splits())
	require.NoError(t, b.Verify(two))

	again := admit(keyOf(2), "van", 51, 300, one.Number)
	b = book(t, append(added, prove(one), prove(again))...)
	require.Error(t, b.Verify(one))
	require.NoError(t, b.Verify(again))
	require.Empty(t, b.Splits())
}

// Who has heard the same, in whatever order and however often, answers the same (rule L2).
func TestOrderDoesNotMatter(t *testing.T) {
	of, added := family()
	signers := []identity.Key{root, keyOf(1), keyOf(2), keyOf(3)}
	rapid.Check(t, func(t *rapid.T) {
		proofs := append([]*identity.Proof(nil), added...)
		for range rapid.IntRange(0, 8).Draw(t, "statements") {
			by := rapid.SampledFrom(signers).Draw(t, "by")
			name := rapid.SampledFrom([]string{"van", "bus"}).Draw(t, "name")
			key, n := byte(rapid.IntRange(50, 52).Draw(t, "key")), int64(rapid.IntRange(1, 9).Draw(t, "number"))
			var s identity.Statement
			switch rapid.IntRange(0, 4).Draw(t, "what") {
			case 0, 1:
				s = admit(by, name, key, n, 0)
			case 2:
				s = must(by.Revoke(city, name, keyOf(key).Public(), time.UnixMilli(n), 0))
			case 3:
				s = must(by.RevokeTokens(city, name, time.UnixMilli(n)))
			case 4:
				s = must(by.RemoveAuthority(city, rapid.SampledFrom(signers[1:]).Draw(t, "removed").Public()))
			}
			proofs = append(proofs, must(of.Prove(s)))
		}
		a := book(t, proofs...)
		b := NewBook(identity.FoundCity(root.Public()))
		for _, p := range rapid.Permutation(append(proofs, proofs...)).Draw(t, "order") {
			_, err := b.Learn(nil, p)
			require.NoError(t, err)
		}
		require.Equal(t, a.Authorities().Encode(), b.Authorities().Encode())
		require.Equal(t, fmt.Sprint(a.Splits()), fmt.Sprint(b.Splits()))
		for _, name := range []string{"van", "bus"} {
			require.Equal(t, a.Holder(name), b.Holder(name))
			require.Equal(t, a.Last(name), b.Last(name))
			require.Equal(t, a.Gone(name), b.Gone(name))
			require.Equal(t, a.TokensUpto(name), b.TokensUpto(name))
			holders := 0
			for _, p := range proofs {
				x, is := p.Statement.(*identity.Admission)
				require.True(t, !is || (a.Verify(x) == nil) == (b.Verify(x) == nil))
				if is && x.Name == name && a.Verify(x) == nil && x.Key != a.Holder(name).Key {
					holders++
				}
			}
			require.Zero(t, holders, "a name belongs to one key")
		}
	})
}

// Nothing but what an authority of the city has said is kept as such (rule X6): whoever passes statements on can't make any.
func TestOnlyAuthoritiesAreHeard(t *testing.T) {
	of, _ := family()
	good := must(of.Prove(admit(keyOf(3), "van", 50, 100, 0)))
	dot := clock.Dot{Actor: "b~1", Counter: 7}
	require.NoError(t, Check(city, Say(good, 1, dot)))
	require.NoError(t, Check("", Say(good, 1, dot)))
	require.Error(t, Check(identity.CityOf(keyOf(9).Public()), Say(good, 1, dot)), "of another city")

	// Whoever makes a key, and a city of their own, is nobody in this one.
	other := identity.FoundCity(keyOf(9).Public())
	require.Error(t, Check(city, Say(must(other.Prove(must(keyOf(9).Revoke(other.City(), "van", "", time.UnixMilli(1), 0)))), 1, dot)))
	_, err := other.Prove(must(keyOf(9).Revoke(city, "van", "", time.UnixMilli(1), 0)))
	require.ErrorContains(t, err, "root of its city")
	_, err = of.Prove(must(keyOf(9).Revoke(city, "van", "", time.UnixMilli(1), 0)))
	require.ErrorContains(t, err, "no authority")

	for what, spoil := range map[string]func([]byte) []byte{
		"nothing": func([]byte) []byte { return nil },
		"a bit":   func(b []byte) []byte { b[len(b)/2] ^= 1; return b },
		"more":    func(b []byte) []byte { return append(b, 0) },
	} {
		s := Say(good, 1, dot)
		s.Said = string(spoil([]byte(s.Said)))
		require.Error(t, Check(city, s), what)
		s.Name = nameOf([]byte(s.Said))
		require.Error(t, Check(city, s), what)
	}
	s := Say(good, 1, dot)
	s.Name = "strategy"
	require.Error(t, Check(city, s), "under the name of another setting")
	s = Say(good, 1, dot)
	s.Value = "and more"
	require.Error(t, Check(city, s))
}
