package ack

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/urban-compute/ucp/broker/kind"
	"github.com/urban-compute/ucp/broker/membership"
	"github.com/urban-compute/ucp/broker/prng"
	"github.com/urban-compute/ucp/broker/replication"
	"github.com/urban-compute/ucp/clock"
	"github.com/urban-compute/ucp/job"
	"github.com/urban-compute/ucp/ledger"
	"github.com/urban-compute/ucp/register"
	"github.com/urban-compute/ucp/setting"
)

// office is a broker a that wants three copies, among members that tell what they hold by hand.
type office struct {
	*Waiters[string]
	t       *testing.T
	members *membership.Membership
	ledger  *ledger.Ledger
	peers   *replication.Replication
	holders *Holders
	at      time.Time
	status  map[string]membership.Status
}

func newOffice(t *testing.T, others ...string) *office {
	random := prng.Source(1)
	o := &office{
		t: t, members: membership.New(membership.Config{Actor: "a~1"}), ledger: ledger.New("a~1", nil, kind.Schemas[kind.Setting]),
		at: time.Unix(1000, 0), status: map[string]membership.Status{},
	}
	o.peers = replication.New(replication.Config{Actor: "a~1", SyncInterval: time.Hour, NewsLinks: true}, o.ledger, o.members, &random)
	o.holders = NewHolders(o.members, time.Minute)
	o.Waiters = NewWaiters[string](3, o.members, o.peers, o.holders)
	for _, name := range others {
		o.status[name] = membership.Alive
	}
	o.pass(0)
	return o
}

// pass lets time go by, and shows the members as they are.
func (o *office) pass(d time.Duration) {
	o.at = o.at.Add(d)
	o.peers.Tick(o.at)
	o.holders.Tick(o.at)
	o.Tick(o.at)
	var roster []membership.Member
	for name, status := range o.status {
		roster = append(roster, membership.Member{Name: name, Actor: actorOf(name), HTTPAddr: name + ":1", Status: status})
	}
	c := o.members.Update(o.at, roster)
	for _, m := range roster {
		o.peers.Meet(m, c.Was[m.Name])
	}
}

// holds lets a member say that it holds the update, and what is confirmed of blobs.
func (o *office) holds(name string, blobs ...job.Digest) {
	o.peers.Hear(replication.Said{From: name, Actor: actorOf(name), Clock: clock.NewTips(update)})
	for _, d := range blobs {
		require.True(o.t, o.holders.Pushed(name, actorOf(name), d, false))
	}
}

// actorOf is a member's only start.
func actorOf(name string) clock.Actor { return clock.Actor(name + "~1") }

var update = clock.Dot{Actor: "a~1", Counter: 1}

func (o *office) demand() Demand { return Demand{Dot: update, Deadline: o.at.Add(2 * time.Second)} }

// An update is durable when so many brokers hold it, its writer included; when fewer are alive,
// that many are enough; after the deadline the answer says how many there are (rule A1).
func TestWaitForCopies(t *testing.T) {
	o := newOffice(t, "b", "c", "d")
	require.Empty(t, o.Add(o.demand(), "first"))
	o.holds("b")
	require.Empty(t, o.Check())
	o.holds("d")
	require.Equal(t, []Durable[string]{{"first", 3}}, o.Check())
	require.Equal(t, []Durable[string]{{"at once", 3}}, o.Add(o.demand(), "at once"))
	require.Zero(t, o.Len())

	o = newOffice(t, "b", "c")
	o.status["c"] = membership.Failed
	o.pass(0)
	require.Equal(t, 2, o.Goal())
	require.Empty(t, o.Add(o.demand(), "fewer are alive"))
	o.holds("b")
	require.Equal(t, []Durable[string]{{"fewer are alive", 2}}, o.Check())
	require.True(t, o.Degraded(2))

	o = newOffice(t, "b", "c")
	require.Empty(t, o.Add(o.demand(), "nobody answers"))
	o.pass(2*time.Second - 1)
	require.False(t, o.Expired())
	o.pass(1)
	require.True(t, o.Expired())
	require.Equal(t, []Durable[string]{{"nobody answers", 1}}, o.Check())
}

// A clock that covers the update proves nothing of its inputs: those are confirmed one by one
// (rule A1).
func TestClocksDoNotProveBlobs(t *testing.T) {
	o := newOffice(t, "b", "c")
	d := o.demand()
	d.Blobs = []job.Digest{"x", "y"}
	require.Empty(t, o.Add(d, "job"))
	o.holds("b", "x", "y")
	o.holds("c", "x")
	require.Empty(t, o.Check())
	o.holds("c", "y")
	require.Len(t, o.Check(), 1)
}

// A client that insists on copies waits for them beyond the deadline, and not without end.
func TestInsistOnCopies(t *testing.T) {
	o := newOffice(t, "b", "c")
	d := o.demand()
	d.Least, d.Final = 2, o.at.Add(10*time.Second)
	require.Empty(t, o.Add(d, "insists"))
	o.pass(3 * time.Second)
	require.Empty(t, o.Check())
	require.Equal(t, d.Final, o.due, "it is looked at again then")
	o.holds("b")
	require.Equal(t, []Durable[string]{{"insists", 2}}, o.Check(), "the deadline has passed, and there are as many as it insists on")

	require.Empty(t, o.Add(Demand{Dot: clock.Dot{Actor: "a~1", Counter: 2}, Deadline: o.at, Least: 3, Final: o.at.Add(time.Second)}, "in vain"))
	o.pass(time.Second)
	require.Equal(t, []Durable[string]{{"in vain", 1}}, o.Check())
}

// When holders are silent, one more broker every 200 ms gets copies, until all have (rule A1).
func TestHedge(t *testing.T) {
	o := newOffice(t, "b", "c", "d", "e")
	d := o.demand()
	d.Blobs = []job.Digest{"x"}
	o.Add(d, "job")
	require.Equal(t, 2, o.Reach())
	o.Hedge()
	require.Equal(t, 2, o.Reach(), "they are given a moment")
	o.pass(hedgeAfter)
	o.Hedge()
	require.Equal(t, 3, o.Reach())
	push := o.holders.Take()
	require.Len(t, push, 1)
	require.Equal(t, o.members.Ring()[2], push[0].To)
	o.pass(10 * hedgeAfter)
	o.Hedge()
	o.Hedge()
	require.Equal(t, 4, o.Reach(), "there are no more")
	o.Drop(func(who string) bool { return who == "job" })
	require.Empty(t, o.Check())
	require.Equal(t, 2, o.Reach(), "nobody waits: as usual again")
}

// A blob that a member can't take goes to the next on the ring, so that this ends (rule A1); what
// a member held is forgotten with its start, and trusted for a while only.
func TestBlobsTravelOn(t *testing.T) {
	o := newOffice(t, "b", "c", "d")
	ring := o.members.Ring()
	o.holders.Spread([]job.Digest{"x"}, 1)
	require.Equal(t, []Push{{To: ring[0], Actor: actorOf(ring[0]), Addr: ring[0] + ":1", Digest: "x"}}, o.holders.Take())
	require.True(t, o.holders.Travels([]job.Digest{"x"}))
	for i, name := range ring {
		require.False(t, o.holders.Pushed(name, actorOf(name), "x", true))
		if push := o.holders.Take(); i+1 < len(ring) {
			require.Equal(t, ring[i+1], push[0].To)
		} else {
			require.Empty(t, push)
		}
	}
	require.False(t, o.holders.Travels([]job.Digest{"x"}))
	require.True(t, o.holders.Pushed(ring[0], actorOf(ring[0]), "x", false))
	require.True(t, o.holders.Has(ring[0], []job.Digest{"x"}))
	o.pass(time.Minute + 1)
	require.False(t, o.holders.Has(ring[0], []job.Digest{"x"}), "it may have been swept since")
	require.True(t, o.holders.Pushed(ring[0], actorOf(ring[0]), "x", false))
	o.holders.Drop(ring[0])
	require.False(t, o.holders.Has(ring[0], []job.Digest{"x"}))
	require.False(t, o.holders.Pushed("nobody", actorOf("nobody"), "x", false))

	// What an earlier start has confirmed does not count: the present one is asked again (rule R3).
	require.True(t, o.holders.Push(ring[0], "z"))
	o.holders.Take()
	require.False(t, o.holders.Pushed(ring[0], "of an earlier start", "z", false))
	require.False(t, o.holders.Has(ring[0], []job.Digest{"z"}))
	require.Len(t, o.holders.Take(), 1)

	o.holders.Saw("y")
	require.True(t, o.holders.Has("a", []job.Digest{"y"}))
	o.holders.Missed("y")
	require.False(t, o.holders.Has("a", []job.Digest{"y"}))
}

// A member that lacks much is not counted on for copies, so that the one behind it gets them as well, at once;
// when there is no other, nobody waits for it. It is counted on again when it has shown that it takes what is new,
// whatever its clock says (rule R2).
func TestWhoLacksMuchIsNotCountedOn(t *testing.T) {
	o := newOffice(t, "b", "c", "d")
	for i := range 200 {
		name := strings.Repeat("x", i+1)
		_, err := o.ledger.Apply(kind.SettingRef(name), func(dot clock.Dot, _ ledger.Record) ledger.Record {
			return &setting.Setting{Name: name, Value: strings.Repeat("v", 9000), Seq: 1, At: 1, By: dot.Actor, Register: register.New(dot)}
		})
		require.NoError(t, err)
	}
	ring := o.members.Ring()
	lacks := func(name string, told replication.Said) {
		told.From, told.Actor = name, actorOf(name)
		o.peers.Answered(name, false) // what it was asked at the start
		o.peers.Hear(told)
		o.peers.Pull(name)
		_, err := o.peers.Pump(func() replication.Head { return replication.Head{} })
		require.NoError(t, err)
		o.peers.Answered(name, false)
	}
	require.Equal(t, 2, o.Reach())
	lacks(ring[0], replication.Said{})
	require.Equal(t, 3, o.Goal(), "the two others can hold copies")
	require.Equal(t, 3, o.Reach(), "and both get them")
	o.hedges++
	require.Equal(t, 4, o.Reach())
	o.hedges--
	lacks(ring[1], replication.Said{})
	require.Equal(t, 2, o.Goal())
	lacks(ring[2], replication.Said{})
	require.Equal(t, 1, o.Goal(), "nobody is waited for")
	require.Equal(t, 2, o.Reach(), "they get it all the same")

	_, err := o.ledger.Apply(kind.SettingRef("new"), func(dot clock.Dot, _ ledger.Record) ledger.Record {
		return &setting.Setting{Name: "new", Value: "v", Seq: 1, At: 1, By: dot.Actor, Register: register.New(dot)}
	})
	require.NoError(t, err)
	d := o.demand()
	d.Dot = clock.Dot{Actor: "a~1", Counter: 201}
	require.Equal(t, 1, o.Copies(d.Dot, nil))
	lacks(ring[0], replication.Said{}) // it is sent the new one beside the pages
	o.peers.Hear(replication.Said{From: ring[0], Actor: actorOf(ring[0]), Taken: true})
	require.Equal(t, 2, o.Copies(d.Dot, nil), "it has taken it")
	require.Equal(t, 1, o.Copies(update, nil), "not what the pages bring")
	require.Equal(t, 2, o.Goal())
}
