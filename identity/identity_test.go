package identity

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/urban-compute/ucp/canon"
)

// keyOf is the key with a number.
func keyOf(t require.TestingT, n int) Key {
	seed := sha256.Sum256(binary.BigEndian.AppendUint64(nil, uint64(n)))
	k, err := NewKey(bytes.NewReader(seed[:]))
	require.NoError(t, err)
	return k
}

// must returns the value of a call that may not fail.
func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

// admit admits the member with a number.
func admit(by Key, city City, member int) *Admission {
	return must(by.Admit(city, "van-3", keyOf(nil, member).Public(), Broker, time.UnixMilli(1000), 0))
}

func TestAdmission(t *testing.T) {
	root, other := keyOf(t, 1), keyOf(t, 2)
	city := FoundCity(root.Public())
	a := admit(root, city.City(), 9)
	require.NoError(t, city.Verify(a))
	again, err := DecodeAdmission(a.Encode())
	require.NoError(t, err)
	require.Equal(t, a, again)

	// A later admission has the greater number, whatever the clock says.
	later, err := root.Admit(city.City(), "van-3", a.Key, Broker, time.UnixMilli(5), a.Number)
	require.NoError(t, err)
	require.Greater(t, later.Number, a.Number)

	require.ErrorContains(t, city.Verify(admit(other, city.City(), 9)), "no authority of this city")
	require.ErrorContains(t, city.Verify(admit(root, CityOf(other.Public()), 9)), "another city")
	for _, wrong := range []func() (*Admission, error){
		func() (*Admission, error) { return root.Admit("", "a", a.Key, Broker, time.Now(), 0) },
		func() (*Admission, error) { return root.Admit(a.City, "a/b", a.Key, Broker, time.Now(), 0) },
		func() (*Admission, error) { return root.Admit(a.City, "a", "short", Broker, time.Now(), 0) },
		func() (*Admission, error) { return root.Admit(a.City, "a", a.Key, "king", time.Now(), 0) },
	} {
		_, err := wrong()
		require.Error(t, err)
	}
}

// No bit of what is signed can be changed.
func TestEveryBitIsSigned(t *testing.T) {
	root := keyOf(t, 1)
	city := FoundCity(root.Public())
	change := must(root.AddAuthority(city.City(), keyOf(t, 2).Public()))
	for what, x := range map[string]struct {
		raw    []byte
		decode func([]byte) error
	}{
		"admission":  {admit(root, city.City(), 9).Encode(), func(b []byte) error { _, err := DecodeAdmission(b); return err }},
		"change":     {change.Encode(), func(b []byte) error { _, err := DecodeChange(b); return err }},
		"revocation": {must(root.Revoke(city.City(), "van-3", keyOf(t, 9).Public(), time.UnixMilli(7), 3)).Encode(), func(b []byte) error { _, err := DecodeRevocation(b); return err }},
		"proof":      {must(must(city.With(change)).Prove(admit(keyOf(t, 2), city.City(), 9))).Encode(), func(b []byte) error { _, err := DecodeProof(b); return err }},
	} {
		require.NoError(t, x.decode(x.raw), what)
		for i := range len(x.raw) * 8 {
			b := bytes.Clone(x.raw)
			b[i/8] ^= 1 << (i % 8)
			require.Error(t, x.decode(b), "%s, bit %d", what, i)
		}
		require.Error(t, x.decode(append(bytes.Clone(x.raw), 0)), what)
	}
	// Nor can a statement pass for one of another kind.
	var c Change
	by, err := open(admissionKind, change.Encode(), maxChange, &c)
	require.NoError(t, err)
	require.ErrorIs(t, by(root.Public()), errSignature)
}

func TestAuthorities(t *testing.T) {
	root, a, b, c := keyOf(t, 0), keyOf(t, 1), keyOf(t, 2), keyOf(t, 3)
	city := CityOf(root.Public())
	add := func(by, key Key) *Change { return must(by.AddAuthority(city, key.Public())) }
	remove := func(by, key Key) *Change { return must(by.RemoveAuthority(city, key.Public())) }
	for what, x := range map[string]struct {
		changes []*Change
		want    []Key
	}{
		"one adds the next":                        {[]*Change{add(root, a), add(a, b)}, []Key{root, a, b}},
		"a senior removes":                         {[]*Change{add(root, a), add(a, b), remove(root, b)}, []Key{root, a}},
		"with all below":                           {[]*Change{add(root, a), add(a, b), remove(root, a)}, []Key{root}},
		"whom others have added, too":              {[]*Change{add(root, a), add(a, b), add(root, b), remove(root, a)}, []Key{root, b}},
		"nobody removes a senior":                  {[]*Change{add(root, a), add(a, b), remove(b, a)}, []Key{root, a, b}},
		"nor one beside it":                        {[]*Change{add(root, a), add(root, b), remove(b, a)}, []Key{root, a, b}},
		"oneself one may":                          {[]*Change{add(root, a), add(root, b), remove(a, a)}, []Key{root, b}},
		"who is removed stays so":                  {[]*Change{add(root, a), remove(root, a), add(root, b), add(b, a)}, []Key{root, b}},
		"and adds nobody":                          {[]*Change{add(root, a), remove(root, a), add(a, b), add(b, c)}, []Key{root}},
		"who adopts a key does not get hold of it": {[]*Change{add(root, a), add(root, b), add(a, c), add(b, c), remove(b, c), remove(a, c)}, []Key{root, a, b}},
		"but only with its other seniors":          {[]*Change{add(root, a), add(root, b), add(a, c), add(b, c), remove(b, c)}, []Key{root, a, b, c}},
	} {
		t.Run(what, func(t *testing.T) {
			set := FoundCity(root.Public())
			for _, change := range x.changes {
				set = must(set.With(change))
			}
			var want []PublicKey
			for _, k := range x.want {
				want = append(want, k.Public())
			}
			slices.Sort(want)
			require.Equal(t, want, set.Keys())
			again, err := DecodeAuthorities(set.Encode())
			require.NoError(t, err)
			require.Equal(t, set, again)
		})
	}

	set := FoundCity(root.Public())
	_, err := set.With(add(a, b))
	require.ErrorContains(t, err, "no authority of this city")
	_, err = must(set.With(add(root, a))).With(remove(a, root))
	require.ErrorContains(t, err, "for good")
	_, err = set.With(must(root.AddAuthority(CityOf(a.Public()), a.Public())))
	require.ErrorContains(t, err, "another city")
	_, _, err = set.Merge(FoundCity(a.Public()))
	require.ErrorContains(t, err, "another city")
	for i := range maxChanges {
		set = must(set.With(must(root.AddAuthority(city, keyOf(t, 100+i).Public()))))
	}
	_, err = set.With(add(root, a))
	require.ErrorContains(t, err, "at most 128")
	require.LessOrEqual(t, len(set.Encode()), maxAuthorities, "the largest set can be decoded")
	must(DecodeAuthorities(set.Encode()))
}

// drawSet draws the changes of a city in any order that takes them all.
func drawSet(t *rapid.T, name string) *Authorities {
	set := FoundCity(keyOf(t, 0).Public())
	for range rapid.IntRange(0, 6).Draw(t, name) {
		by, key := keyOf(t, rapid.IntRange(0, 3).Draw(t, "by")), keyOf(t, rapid.IntRange(1, 4).Draw(t, "key"))
		change := must(by.AddAuthority(set.City(), key.Public()))
		if rapid.IntRange(0, 2).Draw(t, "remove") == 0 {
			change = must(by.RemoveAuthority(set.City(), key.Public()))
		}
		if next, err := set.With(change); err == nil {
			set = next
		}
	}
	return set
}

// Sets of authorities merge in any order, with one result (rule L2), and what a senior has removed comes back by no merge.
func TestAuthoritiesMerge(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		a, b, c := drawSet(t, "a"), drawSet(t, "b"), drawSet(t, "c")
		merge := func(x, y *Authorities) *Authorities {
			m, changed, err := x.Merge(y)
			require.NoError(t, err)
			require.Equal(t, changed, !bytes.Equal(x.Encode(), m.Encode()))
			return m
		}
		ab := merge(a, b)
		require.Equal(t, ab, merge(b, a))
		require.Equal(t, ab, merge(ab, b))
		require.Equal(t, merge(ab, c), merge(a, merge(b, c)))
		again, err := DecodeAuthorities(ab.Encode())
		require.NoError(t, err)
		require.Equal(t, ab, again)

		for _, x := range ab.changes {
			if x.Remove && x.By == ab.root {
				require.False(t, ab.InForce(x.Key))
			}
		}
		// A set knows nobody who did not come by a chain of additions from the root.
		for key, path := range ab.seniors {
			by := ab.root
			for _, step := range path {
				require.Equal(t, by, step.By)
				by = step.Key
			}
			require.Equal(t, key, by)
		}
	})
}

// A proof leads from the root to who has signed, step by step.
func TestPaths(t *testing.T) {
	root, a, b := keyOf(t, 0), keyOf(t, 1), keyOf(t, 2)
	set := must(must(FoundCity(root.Public()).With(must(root.AddAuthority(CityOf(root.Public()), a.Public())))).With(must(a.AddAuthority(CityOf(root.Public()), b.Public()))))
	good := must(set.Prove(admit(b, set.City(), 9)))
	require.Len(t, good.Path, 2)
	raw := func(changes ...*Change) []byte {
		e := encodedProof{Kind: admissionKind, Statement: good.Statement.Encode()}
		for _, c := range changes {
			e.Path = append(e.Path, c.Encode())
		}
		return canon.Encode(e)
	}
	require.Equal(t, good.Encode(), raw(good.Path...))
	removal := must(root.RemoveAuthority(set.City(), a.Public()))
	for what, path := range map[string][]*Change{
		"nothing": nil, "half": good.Path[:1], "the other half": good.Path[1:], "backwards": {good.Path[1], good.Path[0]}, "a removal": {removal, good.Path[1]},
		"beyond": {good.Path[0], good.Path[1], must(b.AddAuthority(set.City(), keyOf(t, 3).Public()))},
	} {
		_, err := DecodeProof(raw(path...))
		require.Error(t, err, what)
	}
	_, err := DecodeProof(canon.Encode(encodedProof{Kind: "wish", Statement: good.Statement.Encode()}))
	require.ErrorContains(t, err, "no statement")
	_, err = set.Prove(must(a.RemoveAuthority(set.City(), root.Public())))
	require.ErrorContains(t, err, "for good")
}

// However much a stolen authority signs, what is signed above it is heard, and no set becomes too large for the others.
func TestFlood(t *testing.T) {
	root, thief, other := keyOf(t, 0), keyOf(t, 1), keyOf(t, 2)
	if thief.Public() > other.Public() {
		thief, other = other, thief // it comes first, where all are looked at by their keys
	}
	city := CityOf(root.Public())
	set := must(must(FoundCity(root.Public()).With(must(root.AddAuthority(city, thief.Public())))).With(must(root.AddAuthority(city, other.Public()))))
	mine := must(other.AddAuthority(city, keyOf(t, 3).Public()))
	var flood []*Change
	for i := range 2 * maxChanges {
		flood = append(flood, must(thief.AddAuthority(city, keyOf(t, 100+i).Public())))
	}
	full := must(set.Join(append(flood, mine)))
	require.LessOrEqual(t, len(full.changes), maxChanges)
	require.True(t, full.InForce(keyOf(t, 3).Public()), "what one beside it has added stays")
	full = must(full.With(must(root.RemoveAuthority(city, thief.Public()))))
	require.Equal(t, 3, len(full.Keys()))
	back, changed, err := must(set.Join(flood)).Merge(full)
	require.NoError(t, err)
	require.True(t, changed)
	require.False(t, back.InForce(thief.Public()), "also where the flood came first")
	must(DecodeAuthorities(back.Encode()))
}
