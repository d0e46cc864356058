package city

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/urban-compute/ucp/clock"
	"github.com/urban-compute/ucp/head"
	"github.com/urban-compute/ucp/identity"
)

// members are the brokers a, b and c of a city, who know of each other by what authorities have said.
func members(t *testing.T) (a, b, c *Self) {
	broker, _ := found(t)
	a = opened(t, broker)
	b, c = member(t, broker, "b", identity.Broker), member(t, broker, "c", identity.Broker)
	know(a, b, c)
	return a, b, c
}

// know lets all hear what all announce.
func know(all ...*Self) {
	for _, x := range all {
		for _, y := range all {
			x.Learn(y.Announce()...)
		}
	}
}

// commit signs and publishes a commit that ends with an update.
func commit(t *testing.T, h *Heads, actor clock.Actor, counter uint64, what string) *head.Head {
	x, err := h.Sign(clock.Dot{Actor: actor, Counter: counter}, []head.Hash{head.Slot{Kind: "job", Key: what}.Leaf()})
	require.NoError(t, err)
	h.Publish(x)
	return x
}

func bytesOf(list ...*head.Head) (out [][]byte) {
	for _, x := range list {
		out = append(out, x.Encode())
	}
	return out
}

// A head goes to each peer once, on whatever way, and from there on; it is news where it is the last.
func TestHeadsAreToldOnce(t *testing.T) {
	sa, sb, sc := members(t)
	a, b, c := NewHeads(sa), NewHeads(sb), NewHeads(sc)
	tell := func(from, to *Heads, by, peer clock.Actor) (n int, news []*head.Head) {
		list, arrived := from.For(peer.Broker(), peer)
		news, forks, err := to.Take(by.Broker(), by, list)
		require.NoError(t, err)
		require.Empty(t, forks)
		arrived()
		return len(list), news
	}
	commit(t, a, "a~1", 3, "one")
	last := commit(t, a, "a~1", 7, "two")
	n, news := tell(a, b, "a~1", "b~1")
	require.Equal(t, 1, n, "the last one")
	require.Equal(t, bytesOf(last), bytesOf(news...))
	n, _ = tell(a, b, "a~1", "b~1")
	require.Zero(t, n, "b has it")
	n, _ = tell(b, a, "b~1", "a~1")
	require.Zero(t, n, "it came from there")
	n, news = tell(b, c, "b~1", "c~1")
	require.Equal(t, 1, n)
	require.Len(t, news, 1, "c takes it from b, and a has signed it")
	n, news = tell(a, c, "a~1", "c~1")
	require.Equal(t, 1, n)
	require.Empty(t, news)
	n, _ = tell(a, b, "a~1", "b~2")
	require.Equal(t, 1, n, "another start of b may not have it")

	// What did not arrive is told again.
	commit(t, a, "a~1", 9, "three")
	list, _ := a.For("c", "c~1")
	require.Len(t, list, 1)
	again, _ := a.For("c", "c~1")
	require.Equal(t, list, again)
	// An earlier one is no news, and does not replace the last one.
	_, _ = tell(a, c, "a~1", "c~1")
	news, forks, err := c.Take("b", "b~1", bytesOf(last))
	require.NoError(t, err)
	require.Empty(t, news)
	require.Empty(t, forks)
	list, _ = c.For("b", "b~1")
	x, err := head.Decode(list[0])
	require.NoError(t, err)
	require.Equal(t, uint64(9), x.Counter)
}

// Nobody makes a head of another: not with its own key, not by changing one.
func TestHeadsAreTheirMembers(t *testing.T) {
	sa, sb, sc := members(t)
	b, c := NewHeads(sb), NewHeads(sc)
	forged := commit(t, NewHeads(sa), "b~1", 100, "forged")
	news, forks, err := c.Take("a", "a~1", bytesOf(forged))
	require.ErrorContains(t, err, "has not signed")
	require.Empty(t, news)
	require.Empty(t, forks)
	bad := commit(t, b, "b~1", 4, "good").Encode()
	bad[len(bad)-1] ^= 1
	good := commit(t, b, "b~1", 6, "better")
	news, _, err = c.Take("a", "a~1", append([][]byte{{0xc1}, bad}, good.Encode()))
	require.Error(t, err)
	require.Equal(t, bytesOf(good), bytesOf(news...), "one that is bad keeps no other back")
}

// Of a member that nobody has told of a head waits until its key is known; what was signed stays so when its membership is revoked.
func TestHeadsWaitForTheirKey(t *testing.T) {
	broker, _ := found(t)
	sa := opened(t, broker)
	sb, sc := member(t, broker, "b", identity.Broker), member(t, broker, "c", identity.Broker)
	b, c := NewHeads(sb), NewHeads(sc)
	x := commit(t, b, "b~1", 4, "one")
	y := commit(t, b, "b~1", 5, "two")
	for _, list := range [][]*head.Head{{y}, {x}} {
		news, _, err := c.Take("a", "a~1", bytesOf(list...))
		require.NoError(t, err)
		require.Empty(t, news)
	}
	news, _ := c.Retry()
	require.Empty(t, news)
	know(sb, sc)
	news, _ = c.Retry()
	require.Equal(t, bytesOf(y), bytesOf(news...), "the later one of the two")
	news, _ = c.Retry()
	require.Empty(t, news)

	p := revocation(t, sa, "b")
	sa.Learn(p)
	sa.Learn(sb.Announce()...)
	news, _, err := NewHeads(sa).Take("c", "c~1", bytesOf(x))
	require.NoError(t, err)
	require.Len(t, news, 1)
}

// Who shows its admission is known by it.
func TestAConnectionShowsWhoseHeadsThereAre(t *testing.T) {
	broker, _ := found(t)
	sb, sc := member(t, broker, "b", identity.Broker), member(t, broker, "c", identity.Broker)
	x := commit(t, NewHeads(sb), "b~1", 4, "one")
	c := NewHeads(sc)
	_, _, err := meet(t, sc, sb)
	require.NoError(t, err)
	news, _, err := c.Take("b", "b~1", bytesOf(x))
	require.NoError(t, err)
	require.Len(t, news, 1)
}

// Two heads that contradict each other are told to all, prove it to all, and are no news twice (rule H2).
func TestForksAreToldToAll(t *testing.T) {
	sa, sb, sc := members(t)
	one, two := NewHeads(sa), NewHeads(sa) // as a machine that was resumed from a snapshot
	commit(t, one, "a~1", 3, "before")
	b, c := NewHeads(sb), NewHeads(sc)
	take := func(h *Heads, list ...*head.Head) []*Fork {
		_, forks, err := h.Take("a", "a~1", bytesOf(list...))
		require.NoError(t, err)
		return forks
	}
	require.Empty(t, take(b, commit(t, one, "a~1", 5, "ours")))
	require.Empty(t, take(c, commit(t, two, "a~1", 4, "theirs")))
	list, arrived := b.For("c", "c~1")
	_, forks, err := c.Take("b", "b~1", list)
	arrived()
	require.NoError(t, err)
	require.Len(t, forks, 1, "the chain of one has passed over the other")
	require.Equal(t, clock.Actor("a~1"), forks[0].Actor())
	require.Len(t, c.Forks(), 1)

	list, arrived = c.For("b", "b~1")
	require.NotEmpty(t, list)
	_, forks, err = b.Take("c", "c~1", list)
	arrived()
	require.NoError(t, err)
	require.Len(t, forks, 1)
	list, _ = c.For("b", "b~1")
	require.Empty(t, list)
	require.Empty(t, take(b, commit(t, two, "a~1", 9, "more")), "it was said")
	require.Len(t, b.Forks(), 1)
	require.Contains(t, b.Forks()[0].String(), "ucp cluster revoke a")
}

// What is kept is bounded: of an actor, of a name, and of those whose key is not known.
func TestHeadsAreBounded(t *testing.T) {
	sa, sb, _ := members(t)
	a, b := NewHeads(sa), NewHeads(sb)
	for n := range uint64(3 * keepHeads) {
		_, _, err := b.Take("a", "a~1", bytesOf(commit(t, a, "a~1", n+1, "x")))
		require.NoError(t, err)
	}
	require.Len(t, b.known["a~1"].recent, keepHeads)
	for n := range 3 * keepChain {
		commit(t, a, clock.StartActor("a", clock.Start(n)), 1, "x")
	}
	require.Len(t, a.known, keepChain)
	require.Contains(t, a.known, clock.StartActor("a", 3*keepChain-1))
	for n := range maxEarly + 10 {
		_, _, err := b.Take("a", "a~1", bytesOf(commit(t, a, clock.StartActor("nobody", clock.Start(n)), 1, "x")))
		require.NoError(t, err)
	}
	require.Len(t, b.early, maxEarly)
	var list []*head.Head
	for n := range maxWrong {
		list = append(list, commit(t, a, clock.StartActor("b", clock.Start(n)), 1, "x"))
	}
	news, _, err := b.Take("a", "a~1", bytesOf(append(list, commit(t, a, "a~1", 100, "x"))...))
	require.Error(t, err)
	require.Empty(t, news, "whoever tells of so many is not listened to")
}

// A broker goes on from what it has stored.
func TestHeadsAreRecalled(t *testing.T) {
	sa, sb, _ := members(t)
	x := commit(t, NewHeads(sa), "a~1", 3, "one")
	b := NewHeads(sb, x)
	list, _ := b.For("c", "c~1")
	require.Equal(t, bytesOf(x), list)
	_, forks, err := b.Take("a", "a~1", bytesOf(commit(t, NewHeads(sa), "a~1", 3, "another")))
	require.NoError(t, err)
	require.Len(t, forks, 1)
}

// What proves a fork does not go with the heads of a broker's earlier starts (rule H2).
func TestForksOutliveLaterStarts(t *testing.T) {
	sa, sb, _ := members(t)
	one, two, b := NewHeads(sa), NewHeads(sa), NewHeads(sb)
	early := clock.StartActor("a", 1)
	_, forks, err := b.Take("a", early, bytesOf(commit(t, one, early, 3, "ours"), commit(t, two, early, 3, "theirs")))
	require.NoError(t, err)
	require.Len(t, forks, 1)
	for n := range 3 * keepChain {
		start := clock.StartActor("a", clock.Start(n+2))
		_, _, err := b.Take("a", start, bytesOf(commit(t, one, start, 1, "x")))
		require.NoError(t, err)
	}
	require.Len(t, b.Forks(), 1)
}
