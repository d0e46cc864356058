package ledger

import (
	"fmt"
	"maps"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/urban-compute/ucp/clock"
	"github.com/urban-compute/ucp/test/story"
)

// cluster is a random walk: replicas that write, send each other deltas and
// transfers that break off or are damaged, crash and lose what they had not synced, or come back from an older copy of their disk.
type cluster struct {
	replicas []*replica
	minted   oracle
	known    map[[2]*replica]clock.Tips // what a sender knows of a receiver; it may be long out of date
	flows    map[[2]*replica]*outgoing
	copies   map[*replica][]story.Disk
}

// A clock takes in what was held ahead of it as soon as it has come so far, whoever brought that, and not before:
// otherwise it would cover what is missing between (rule R2).
func TestClockReachesWhatIsAhead(t *testing.T) {
	a, b := newReplica("a"), newReplica("b")
	var clocks []clock.Tips
	for _, key := range []string{"j1", "j2", "j3", "j4"} {
		_, err := touch(a.Ledger, key, false)
		require.NoError(t, err)
		clocks = append(clocks, a.Clock())
	}
	a.sync()
	take := func(since, upto clock.Tips) {
		d, _, err := a.Delta(since, 1<<20)
		require.NoError(t, err)
		d.Clock = nil
		b.receive(d)
		b.Ahead(since, upto)
	}
	take(clocks[1], clocks[2])
	take(clocks[2], clocks[3])
	require.Empty(t, b.Clock(), "j1 and j2 are missing")
	require.NotNil(t, b.set("j4"))
	d, _, err := a.Delta(nil, 1<<20)
	require.NoError(t, err)
	d.Clock = clocks[0]
	b.receive(d)
	require.Equal(t, clocks[0], b.Clock(), "j2 is missing")
	d.Since, d.Clock = clocks[0], clocks[1]
	b.receive(d)
	require.Equal(t, clocks[3], b.Clock())
	take(clocks[0], clocks[3])
	require.Empty(t, b.ahead)
	for i := range uint64(2 * keepAhead) { // they are bounded
		b.Ahead(clock.Tips{{Actor: "c~1", Counter: 2*i + 1}}, clock.Tips{{Actor: "d~1", Counter: i + 1}})
	}
	require.LessOrEqual(t, len(b.ahead), keepAhead)
}

// Whatever happens: a clock that covers a dot means that the record is held with
// it (rules I1, I4, L4, L5), and in the end all hold the same.
func TestClockCoversOnlyWhatIsHeld(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		c := &cluster{minted: oracle{}, known: map[[2]*replica]clock.Tips{}, flows: map[[2]*replica]*outgoing{}, copies: map[*replica][]story.Disk{}}
		for i := range rapid.IntRange(2, 4).Draw(t, "replicas") {
			c.replicas = append(c.replicas, newReplica(string(rune('a'+i))))
		}
		for _, r := range c.replicas { // from their second start on
			r.mint = func() (clock.Actor, bool) { return c.mint(t, r) }
		}
		deeds := []func(*rapid.T){c.write, c.write, c.sync, c.learn, c.learn, c.delta, c.delta, c.ahead, c.ahead, c.transfer, c.page, c.page, c.page, c.reduce, c.crash, c.copy}
		for range rapid.IntRange(20, 120).Draw(t, "steps") {
			rapid.SampledFrom(deeds).Draw(t, "deed")(t)
			for _, r := range c.replicas {
				require.Empty(t, c.minted.holes(r))
			}
		}
		c.converge(t)
	})
}

func (c *cluster) pick(t *rapid.T, label string) *replica {
	return rapid.SampledFrom(c.replicas).Draw(t, label)
}

func (c *cluster) pair(t *rapid.T) [2]*replica {
	return [2]*replica{c.pick(t, "from"), c.pick(t, "to")}
}

func (c *cluster) sync(t *rapid.T) { c.pick(t, "at").sync() }

func (c *cluster) write(t *rapid.T) {
	key := rapid.SampledFrom([]string{"j1", "j2", "j3", "j4", "j5", "j6"}).Draw(t, "key")
	dot, err := touch(c.pick(t, "at").Ledger, key, rapid.IntRange(0, 4).Draw(t, "closes") == 0)
	require.NoError(t, err)
	require.NotContains(t, c.minted, dot, "a dot was used twice")
	c.minted[dot] = key
}

// reduce makes a stub of a finished record at one replica (rule M4).
func (c *cluster) reduce(t *rapid.T) {
	key := rapid.SampledFrom([]string{"j1", "j2", "j3", "j4", "j5", "j6"}).Draw(t, "key")
	require.NoError(t, c.pick(t, "at").Reduce(setRef(key)))
}

// learn tells the sender the receiver's clock, which the receiver has synced.
func (c *cluster) learn(t *rapid.T) {
	p := c.pair(t)
	p[1].sync()
	c.known[p] = p[1].Clock()
}

func (c *cluster) delta(t *rapid.T) {
	p := c.pair(t)
	p[0].sync() // nothing unsynced leaves (rule I4)
	d, ok, err := p[0].Delta(c.known[p], rapid.SampledFrom([]int{100, 1 << 20}).Draw(t, "limit"))
	require.NoError(t, err)
	if ok {
		p[1].receive(c.spoil(t, p, d))
	}
}

// ahead sends what is newer than a clock that the receiver may yet have to come to, as what a donor holds (rule R1).
func (c *cluster) ahead(t *rapid.T) {
	p := c.pair(t)
	p[0].sync()
	since := c.pick(t, "donor").Clock()
	since = p[0].lineage.Merge(since, c.known[p])
	d, ok, err := p[0].Delta(since, 1<<20)
	require.NoError(t, err)
	require.True(t, ok)
	d.Clock = nil
	if p[1].receive(d); len(p[1].told) == 0 {
		p[1].Ahead(since, p[0].Clock())
	}
}

// spoil damages a record on its way, sometimes: it goes into quarantine (rule L10).
func (c *cluster) spoil(t *rapid.T, p [2]*replica, d Delta) Delta {
	d.From = p[0].self
	if len(d.Entries) == 0 || rapid.IntRange(0, 4).Draw(t, "spoilt") > 0 {
		return d
	}
	e := &d.Entries[rapid.IntRange(0, len(d.Entries)-1).Draw(t, "which")]
	if r, err := p[0].Decode(e.Kind, e.Encoded); err == nil {
		news := map[clock.Actor]int{}
		if s, ok := r.(*set); ok {
			for _, dot := range s.dots {
				if !p[1].Has(dot) {
					news[dot.Actor]++
				}
			}
		}
		for _, n := range news {
			if n > 1 { // the quarantine knows only the latest
				return d
			}
		}
	}
	e.Encoded = []byte("?")
	return d
}

func (c *cluster) transfer(t *rapid.T) {
	p := c.pair(t)
	p[0].sync()
	c.flows[p] = &outgoing{t: p[0].Pin(c.known[p]), limit: rapid.IntRange(1, 150).Draw(t, "limit")}
}

// page sends the present page of a transfer. Both the page and its answer may be
// lost; the page is then sent again, and may by then hold more records or fewer.
func (c *cluster) page(t *rapid.T) {
	p := c.pair(t)
	o := c.flows[p]
	if o == nil {
		return
	}
	p[0].sync()
	d, last, err := o.t.Page(p[0].Ledger, o.limit)
	require.NoError(t, err)
	fate := rapid.SampledFrom([]string{"arrives", "arrives", "lost", "answer lost"}).Draw(t, "fate")
	if fate == "lost" {
		return
	}
	_, _, ok := p[1].page(o.t, o.page, c.spoil(t, p, d))
	switch {
	case fate == "answer lost":
	case !ok || last:
		delete(c.flows, p)
	default:
		o.t.Advance()
		o.page++
	}
}

// crash loses what was not synced, and with it those dots: nobody can have seen
// them. Transfers that it was sending end with it; those that it was receiving go
// on, and must be refused.
func (c *cluster) crash(t *rapid.T) {
	r := c.pick(t, "at")
	if copies := append(c.copies[r], story.Disk{}); rapid.Bool().Draw(t, "wiped") {
		clear(r.disk)
		maps.Copy(r.disk, rapid.SampledFrom(copies).Draw(t, "restored"))
	}
	r.start()
	for p := range c.flows {
		if p[0] == r {
			delete(c.flows, p)
		}
	}
}

// copy keeps a disk as it is, for a later crash.
func (c *cluster) copy(t *rapid.T) {
	r := c.pick(t, "at")
	c.copies[r] = append(c.copies[r], maps.Clone(r.disk))
}

// mint makes the actor of a start: mostly one that has a row, sometimes one while somebody can't read rows (rule K5),
// sometimes one of an earlier version.
func (c *cluster) mint(t *rapid.T, r *replica) (a clock.Actor, row bool) {
	if rapid.IntRange(0, 5).Draw(t, "old") == 0 {
		return clock.Actor(fmt.Sprintf("%s~%d", r.name, r.starts)), true
	}
	stored, err := StoredClock(r.disk.Scan)
	require.NoError(t, err)
	return clock.StartActor(r.name, clock.NextStart(time.Unix(0, 0), stored.Of(r.name), "", uint32(r.starts))), rapid.IntRange(0, 5).Draw(t, "row") > 0
}

// converge heals everything: after everybody has told everybody, all hold the same. The third round is for clocks: what ends a
// quarantine may come in the second.
func (c *cluster) converge(t *rapid.T) {
	for range 3 {
		for _, a := range c.replicas {
			for _, b := range c.replicas {
				d, ok, err := a.Delta(b.Clock(), 1<<20)
				require.NoError(t, err)
				require.True(t, ok)
				_, adopted := b.receive(d)
				require.True(t, adopted || len(d.Clock) == 0)
			}
		}
	}
	first := c.replicas[0]
	for _, r := range c.replicas {
		require.Equal(t, first.contents(), r.contents())
		if r.Quarantined() == 0 && first.Quarantined() == 0 { // else its state is lost with a disk
			require.Equal(t, first.Clock(), r.Clock())
		}
		r.sync()
		require.Equal(t, r.contents(), (&replica{Ledger: reload(r)}).contents())
	}
}
