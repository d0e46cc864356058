package broker

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/urban-compute/ucp/broker/kind"
	"github.com/urban-compute/ucp/broker/wire"
	"github.com/urban-compute/ucp/clock"
	"github.com/urban-compute/ucp/job"
	"github.com/urban-compute/ucp/ledger"
	"github.com/urban-compute/ucp/roll"
)

// A peer that was deceived, and takes updates for its own that a has never written, drops the next job of a as
// forgotten and says so. That makes nobody forget it: a says it again as another start (rules X1, K3).
func TestDeceivedPeersForgetNothingOfOurs(t *testing.T) {
	w := newCluster("a", "b", "c")
	w.crash("c", false) // the test speaks for it
	a, b := w.nodes["a"], w.nodes["b"]
	lie := clock.NewTips(clock.Dot{Actor: "a~1", Counter: 1 << 40})
	m := wire.Message{Version: wire.Version, From: "c", Actor: "c~1", Delta: &wire.Delta{Clock: lie}}
	w.deliver(packet{from: "c", to: "b", wire: wire.Encode(&m)})
	require.Equal(t, lie, b.b.Clock(), "b can't know better")
	w.submit(a, "j1")
	w.pass(doubtAfter - time.Second)
	require.Len(t, a.b.jobs.withID("j1"), 1)
	w.submit(a, "j2")
	w.pass(w.cfg.AckTimeout)
	require.Contains(t, w.said, "a goes on as a~2: b holds 1099511627776 updates of a~1, which has written 6")
	require.Contains(t, w.said, "a answers j1: submitted, 1 replicas, degraded")
	require.Contains(t, w.said, "a answers j2: submitted, 2 replicas")
	for _, id := range []job.ID{"j1", "j2"} {
		require.Len(t, a.b.jobs.withID(id), 1)
		require.Len(t, b.b.jobs.withID(id), 1)
	}
	require.NotZero(t, a.b.stats.Breaches)
}

// While a member speaks only the version before, a claim of forgetting is believed: but not of who is deceived about us
// (rules F3, X1).
func TestDeceivedOldMembersMakeNobodyForget(t *testing.T) {
	w := newCluster("a", "b", "c")
	w.nodes["b"].protocol = 1
	w.meet()
	a, b := w.nodes["a"], w.nodes["b"]
	w.submit(a, "j1")
	w.pass(w.cfg.AckTimeout)
	claim := wire.Reply{Version: 1, From: "b", Actor: "b~1", Forgotten: []ledger.Ref{kind.JobRef(a.b.withID("j1")[0])}}
	claim.Clock = clock.NewTips(clock.Dot{Actor: "a~1", Counter: 1 << 40})
	w.step(a, Acked{Peer: "b", Reply: claim})
	require.Len(t, a.b.withID("j1"), 1)
	claim.Clock = b.b.Clock()
	w.step(a, Acked{Peer: "b", Reply: claim})
	require.Empty(t, a.b.withID("j1"))
}

// A peer may write the highest numbers that are valid. Whoever goes on from there writes nothing that its own next
// start can't read: c was the owner of a job, in the last epoch that there is, and its placement the last of all.
func TestNothingFollowsTheHighestNumbers(t *testing.T) {
	w := newCluster("a")
	a := w.nodes["a"]
	w.sees(a, "c", "c~1")
	spec := job.Spec{Command: "work", Priority: job.Priority{User: job.DefaultUser}}
	require.NoError(t, spec.Complete())
	dot := clock.Dot{Actor: "c~1", Counter: 1}
	r := job.New("j1", spec, spec.Digest(), job.Stamp{Dot: dot, At: a.b.stamp()}).With(dot, func(r *job.Record) {
		r.Owner = job.Assignment{Tenure: job.Tenure{Epoch: clock.MaxCounter, At: 1, By: "c~1"}, Broker: "a", Actor: "a~0"}
		r.Place = job.Placement{Attempt: job.Attempt{Tenure: r.Owner.Tenure, Seq: clock.MaxCounter}, Broker: "a", Actor: "a~0"}
		r.Losses = clock.MaxCounter
	})
	m := wire.Message{Version: wire.Version, From: "c", Actor: "c~1", Delta: &wire.Delta{Records: []wire.Encoded{{Kind: "job", Key: r.Key(), Dots: r.Dots, Bytes: r.Encode()}}}}
	w.deliver(packet{from: "c", to: "a", wire: wire.Encode(&m)})
	w.pass(time.Second)
	require.Len(t, a.running, 1)
	first := a.b.record(r.Key()).Place.Attempt
	w.crash("a", false)
	w.start("a", func(*Config) {}) // panics when the disk can't be read
	w.pass(10 * time.Second)
	require.Len(t, a.running, 1)
	require.Positive(t, a.b.record(r.Key()).Place.Attempt.Compare(first), "a newer attempt has a higher token")
}

// The same with a stamp of the year 9999: then nothing can follow, and the job stays as it is. What a would write of
// it would be undone again and again, at every broker.
func TestWhatNothingCanFollowStays(t *testing.T) {
	w := newCluster("a", "b")
	a := w.nodes["a"]
	w.pass(10 * time.Second)
	spec := job.Spec{Command: "work", Priority: job.Priority{User: job.DefaultUser}}
	require.NoError(t, spec.Complete())
	dot := clock.Dot{Actor: "c~1", Counter: 1}
	r := job.New("j1", spec, spec.Digest(), job.Stamp{Dot: dot, At: a.b.stamp()}).With(dot, func(r *job.Record) {
		r.Owner = job.Assignment{Tenure: job.Tenure{Epoch: clock.MaxCounter, At: clock.MaxCounter, By: "c~1"}, Broker: "a", Actor: "a~0"}
	})
	m := wire.Message{Version: wire.Version, From: "b", Actor: "b~1", Delta: &wire.Delta{Records: []wire.Encoded{{Kind: "job", Key: r.Key(), Dots: r.Dots, Bytes: r.Encode()}}}}
	before := a.b.ledger.Wrote()
	w.deliver(packet{from: "b", to: "a", wire: wire.Encode(&m)})
	w.pass(2 * w.cfg.SyncInterval)
	require.Equal(t, before, a.b.ledger.Wrote(), "a has written something")
	require.NotNil(t, a.b.record(r.Key()))
}

// A peer that lies without end fills neither memory nor log: of what it says in one step some is told, and all is
// counted.
func TestBreachesAreBounded(t *testing.T) {
	w := newCluster("a", "b")
	a := w.nodes["a"]
	for range 2 {
		lie := wire.Message{Version: wire.Version, From: "b", Actor: "b~1", Clock: clock.NewTips(clock.Dot{Actor: a.cfg.Actor, Counter: 1 << 40})}
		before := a.b.stats.Breaches
		for range mostBreaches + 5 {
			a.b.Step(Deliver{Token: 1, Message: lie})
		}
		require.EqualValues(t, mostBreaches+5, a.b.stats.Breaches-before)
		require.Len(t, a.b.out.Breaches, mostBreaches)
		w.settle()
		require.Empty(t, a.b.out.Breaches, "the next Ready has room again")
	}
	require.EqualValues(t, 2*(mostBreaches+5), a.b.standing("b").Breaches.Count)

	// Nothing is kept of invented names, nor of a member that is gone.
	lie := wire.Message{Version: wire.Version, From: "x", Actor: "x~1", Clock: clock.NewTips(clock.Dot{Actor: a.cfg.Actor, Counter: 1 << 40})}
	a.b.Step(Deliver{Token: 1, Message: lie})
	require.Len(t, a.b.breaches, 1)
	delete(a.seen, "b")
	w.roster(a)
	require.Empty(t, a.b.breaches)
}

// The same of the roll: what c says of b in the last epoch that there is stays, though nobody holds the update of it
// and b is there. Whoever wrote another record would have it undone by all others, and write again, without end.
func TestWhatNothingCanFollowStaysInTheRoll(t *testing.T) {
	for _, closed := range []roll.Closing{"", roll.Removed} {
		w := newCluster("a", "b")
		w.pass(time.Minute)
		a := w.nodes["a"]
		r := roll.Change(nil, "b", closed, clock.Dot{Actor: "c~1", Counter: 1}, 1)
		r.Epoch = clock.MaxCounter
		m := wire.Message{Version: wire.Version, From: "b", Actor: "b~1", Delta: &wire.Delta{Records: []wire.Encoded{{Kind: kind.Member, Key: r.Key(), Dots: r.Dots, Bytes: r.Encode()}}}}
		before := a.b.ledger.Wrote()
		w.deliver(packet{from: "b", to: "a", wire: wire.Encode(&m)})
		w.pass(3 * w.cfg.SyncInterval)
		require.True(t, a.b.members.Roll().Get("b").Last())
		require.Equal(t, before, a.b.ledger.Wrote(), "a has written something")
		w.crash("a", false)
		w.start("a", func(*Config) {}) // panics when the disk can't be read
	}
}
