package head

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/mod/sumdb/tlog"
	"pgregory.net/rapid"

	"github.com/urban-compute/ucp/clock"
	"github.com/urban-compute/ucp/identity"
)

// keyOf is the key with a number.
func keyOf(t require.TestingT, n byte) identity.Key {
	k, err := identity.NewKey(bytes.NewReader(bytes.Repeat([]byte{n}, 32)))
	require.NoError(t, err)
	return k
}

// some are n leaves that depend on a number.
func some(n, of int) (out []Hash) {
	for i := range n {
		out = append(out, Slot{"job", fmt.Sprint(of), "report", fmt.Append(nil, i)}.Leaf())
	}
	return out
}

// next is the head of a commit that ends with an update.
func next(t require.TestingT, c *Chain, counter uint64, leaves []Hash) *Head {
	h, err := c.Next(clock.Dot{Actor: "van-3~1", Counter: counter}, leaves)
	require.NoError(t, err)
	return h
}

func TestHeads(t *testing.T) {
	key := keyOf(t, 1)
	c := NewChain(key)
	first, second := next(t, c, 3, some(2, 1)), next(t, c, 7, nil)
	require.Equal(t, uint64(0), first.Before)
	require.Equal(t, none, first.Previous)
	require.Equal(t, uint64(3), second.Before)
	require.Equal(t, first.Hash(), second.Previous)
	require.Equal(t, uint64(2), first.Slots)
	for _, h := range []*Head{first, second} {
		again, err := Decode(h.Encode())
		require.NoError(t, err)
		require.True(t, again.Same(h))
		require.Equal(t, h.Hash(), again.Hash())
		require.NoError(t, again.SignedBy(key.Public()))
		require.Error(t, again.SignedBy(keyOf(t, 2).Public()))
		require.Error(t, again.SignedBy(""))
		require.Less(t, len(h.Encode()), 256)
	}
	// Another start has a chain of its own (rule K1).
	h, err := c.Next(clock.Dot{Actor: "van-3~2", Counter: 2}, nil)
	require.NoError(t, err)
	require.Equal(t, uint64(0), h.Before)
	require.False(t, h.Contradicts(first) || first.Contradicts(h))
}

// No bit of a head can be another one.
func TestEveryBitIsSigned(t *testing.T) {
	key := keyOf(t, 1)
	c := NewChain(key)
	next(t, c, 3, some(2, 1))
	good := next(t, c, 7, some(3, 2)).Encode()
	for i := range 8 * len(good) {
		bad := bytes.Clone(good)
		bad[i/8] ^= 1 << (i % 8)
		h, err := Decode(bad)
		require.False(t, err == nil && h.SignedBy(key.Public()) == nil, "bit %d", i)
	}
}

func TestWrongHeads(t *testing.T) {
	key := keyOf(t, 1)
	sign := func(b body) error {
		_, err := Decode(key.Sign(identity.HeadKind, &b))
		return err
	}
	hash := make([]byte, 32)
	good := body{Actor: "a~1", Counter: 4, Before: 2, Slots: 1, Root: hash, Previous: hash}
	require.NoError(t, sign(good))
	for what, spoil := range map[string]func(*body){
		"no broker":        func(b *body) { b.Actor = "a/b~1" },
		"long":             func(b *body) { b.Actor = clock.Actor(strings.Repeat("a", 60) + "~" + strings.Repeat("1", maxActor)) },
		"no counter":       func(b *body) { b.Counter = 0 },
		"too high":         func(b *body) { b.Counter = clock.MaxCounter + 1 },
		"after itself":     func(b *body) { b.Before = b.Counter },
		"no root":          func(b *body) { b.Root = nil },
		"too many":         func(b *body) { b.Slots = maxSlots + 1 },
		"nothing before":   func(b *body) { b.Previous = nil },
		"something before": func(b *body) { b.Before = 0 },
		"short":            func(b *body) { b.Previous = hash[1:] },
	} {
		bad := good
		spoil(&bad)
		require.Error(t, sign(bad), what)
	}
	h, err := Decode(key.Sign(identity.GrantKind, &good))
	require.True(t, err != nil || h.SignedBy(key.Public()) != nil, "a statement of another kind")
	_, err = Decode(make([]byte, MaxSize+1))
	require.ErrorContains(t, err, "at most")
}

// The heads of one chain never contradict each other; of two chains with one beginning the first two that differ do, and so does any
// two where one passes over the other (rule H2).
func TestForks(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		grow := func(from *Head, branch string) (out []*Head) {
			for range rapid.IntRange(1, 4).Draw(t, branch) {
				h := &Head{Actor: "a~1", Counter: rapid.Uint64Range(1, 3).Draw(t, "updates")}
				if from != nil {
					h.Counter += from.Counter
					h.Before, h.Previous = from.Counter, from.Hash()
				}
				h.raw = fmt.Append(nil, branch, h.Counter, h.Before, h.Previous) // for this no signature is needed
				out, from = append(out, h), h
			}
			return out
		}
		common, last := []*Head(nil), (*Head)(nil)
		if rapid.Bool().Draw(t, "something in common") {
			common = grow(nil, "common")
			last = common[len(common)-1]
		}
		ours, theirs := grow(last, "ours"), grow(last, "theirs")
		for _, branch := range [][]*Head{slices.Concat(common, ours), slices.Concat(common, theirs)} {
			for _, a := range branch {
				for _, b := range branch {
					require.False(t, a.Contradicts(b))
				}
			}
		}
		require.True(t, ours[0].Contradicts(theirs[0]))
		for _, a := range ours {
			for _, b := range theirs {
				require.Equal(t, a.Contradicts(b), b.Contradicts(a))
				if a.Counter == b.Counter || a.Counter < b.Counter && b.Before <= a.Counter {
					require.True(t, a.Contradicts(b))
				}
			}
		}
	})
}

// Each slot of a commit can be proven, and nothing else: no other slot, no other place, no other commit.
func TestPaths(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.IntRange(0, 40).Draw(t, "slots")
		var slots []Slot
		var leaves []Hash
		var stored []tlog.Hash
		read := tlog.HashReaderFunc(func(indexes []int64) (out []tlog.Hash, _ error) {
			for _, i := range indexes {
				out = append(out, stored[i])
			}
			return out, nil
		})
		for i := range n {
			s := Slot{"job", fmt.Sprint("j", i), "verdict", fmt.Append(nil, i)}
			slots, leaves = append(slots, s), append(leaves, s.Leaf())
			more, err := tlog.StoredHashesForRecordHash(int64(i), s.Leaf(), read)
			require.NoError(t, err)
			stored = append(stored, more...)
		}
		root, err := tlog.TreeHash(int64(n), read)
		require.NoError(t, err)
		require.Equal(t, root, Root(leaves))
		h, other := &Head{Slots: uint64(n), Root: root}, &Head{Slots: uint64(n), Root: Root(some(n, 9))}
		for i, s := range slots {
			p := PathTo(leaves, i)
			require.NoError(t, h.Holds(s, uint64(i), p))
			require.Error(t, other.Holds(s, uint64(i), p))
			require.Error(t, h.Holds(s, uint64(n), p))
			forged := s
			forged.Content = append(bytes.Clone(s.Content), '!')
			require.Error(t, h.Holds(forged, uint64(i), p))
			if n > 1 {
				require.Error(t, h.Holds(s, uint64((i+1)%n), p))
				require.Error(t, h.Holds(s, uint64(i), p[1:]))
				require.Error(t, h.Holds(s, uint64(i), append(Path{none}, p[1:]...)))
			}
		}
	})
	require.Equal(t, Hash(sha256.Sum256(nil)), Root(nil))
}

// Two slots have one leaf only if they are one, wherever their bytes stand.
func TestLeavesTellSlotsApart(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		text := rapid.SliceOfN(rapid.Byte(), 0, 8).Draw(t, "text")
		cut := func() Slot {
			var at []int
			for range 3 {
				at = append(at, rapid.IntRange(0, len(text)).Draw(t, "cut"))
			}
			slices.Sort(at)
			return Slot{string(text[:at[0]]), string(text[at[0]:at[1]]), string(text[at[1]:at[2]]), text[at[2]:]}
		}
		a, b := cut(), cut()
		same := a.Kind == b.Kind && a.Key == b.Key && a.Part == b.Part && bytes.Equal(a.Content, b.Content)
		require.Equal(t, same, a.Leaf() == b.Leaf())
	})
}

// What decodes is what somebody has encoded, and is within all bounds.
func FuzzHead(f *testing.F) {
	key := keyOf(f, 1)
	c := NewChain(key)
	first := next(f, c, 3, some(2, 1))
	f.Add(first.Encode(), []byte("x"), uint64(0))
	f.Add(next(f, c, 7, nil).Encode(), []byte(nil), uint64(1))
	f.Fuzz(func(t *testing.T, b, path []byte, index uint64) {
		h, err := Decode(b)
		if err != nil {
			return
		}
		require.Equal(t, b, h.Encode())
		require.True(t, h.Counter > h.Before && h.Counter <= clock.MaxCounter)
		require.False(t, h.Contradicts(h))
		_ = h.SignedBy(key.Public())
		require.Equal(t, h.Contradicts(first), first.Contradicts(h))
		var p Path
		for n := 0; n < len(path); n += 32 {
			p = append(p, sha256.Sum256(path[n:min(n+32, len(path))]))
		}
		require.Error(t, h.Holds(Slot{Part: "none has this"}, index, p))
	})
}

// One signature a commit, over all that it has written.
func BenchmarkNext(b *testing.B) {
	for _, n := range []int{3, 60, 600} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			c, content := NewChain(keyOf(b, 1)), make([]byte, 128)
			for i := range b.N {
				leaves := make([]Hash, n)
				for j := range leaves {
					leaves[j] = Slot{"job", "0123456789-0123456789~0123456789abcdef0123456789abcdef", "report", content}.Leaf()
				}
				next(b, c, uint64(i)+1, leaves)
			}
		})
	}
}

// What a broker does with a head that is new to it.
func BenchmarkVerify(b *testing.B) {
	key := keyOf(b, 1)
	raw := next(b, NewChain(key), 3, some(3, 1)).Encode()
	for range b.N {
		h, err := Decode(raw)
		require.NoError(b, err)
		require.NoError(b, h.SignedBy(key.Public()))
	}
}
