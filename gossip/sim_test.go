package gossip_test

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/urban-compute/ucp/gossip"
	"github.com/urban-compute/ucp/sim/simnet"
)

// node is a pool with an owner that records all events and states.
type node struct {
	*gossip.Pool
	host  *simnet.Host
	state atomic.Pointer[string]
	quit  chan struct{}
	owner sync.WaitGroup

	mu     sync.Mutex
	events []gossip.Event
	states []string
}

// startNode starts a pool on a simulated host, after change has adapted its config. The pool
// is shut down when the test ends.
func startNode(t *testing.T, host *simnet.Host, change func(*gossip.Config)) *node {
	t.Helper()
	transport, err := host.Transport()
	require.NoError(t, err)
	n := &node{host: host, quit: make(chan struct{})}
	n.set("state of " + host.Name())
	cfg := gossip.Config{Name: host.Name(), Transport: transport, State: n.snapshot}
	if change != nil {
		change(&cfg)
	}
	n.Pool, err = gossip.Start(cfg)
	require.NoError(t, err)
	n.owner.Go(n.receive)
	t.Cleanup(n.stop)
	return n
}

func (n *node) set(state string) { n.state.Store(&state) }

func (n *node) snapshot() []byte { return []byte(*n.state.Load()) }

// receive does what an owner must do: it receives all the time.
func (n *node) receive() {
	for {
		select {
		case e := <-n.Events():
			n.mu.Lock()
			n.events = append(n.events, e)
			n.mu.Unlock()
		case s := <-n.States():
			n.mu.Lock()
			n.states = append(n.states, string(s.Data))
			n.mu.Unlock()
		case <-n.quit:
			return
		}
	}
}

func (n *node) stop() {
	_ = n.Shutdown()
	select {
	case <-n.quit:
	default:
		close(n.quit)
	}
	n.owner.Wait()
}

// received reports whether a state has arrived.
func (n *node) received(state string) bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	return slices.Contains(n.states, state)
}

// eventLog returns the events as text: "join b", "user x payload", ...
func (n *node) eventLog() (all []string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, e := range n.events {
		switch e := e.(type) {
		case gossip.MemberEvent:
			for _, m := range e.Members {
				all = append(all, fmt.Sprintf("%s %s", e.Kind, m.Name))
			}
		case gossip.UserEvent:
			all = append(all, fmt.Sprintf("user %s %s", e.Name, e.Payload))
		case gossip.NameConflict:
			all = append(all, fmt.Sprintf("conflict %s ours=%v", e.Name, e.Ours))
		}
	}
	return all
}

// status returns another node's status as this node sees it, or "" if it does not know that node.
func (n *node) status(name string) gossip.Status {
	for _, m := range n.Members() {
		if m.Name == name {
			return m.Status
		}
	}
	return ""
}

// within waits, in virtual time, until cond is true, and returns how long that took.
func within(t *testing.T, limit time.Duration, what string, cond func() bool) time.Duration {
	t.Helper()
	began := time.Now()
	for !cond() {
		require.Less(t, time.Since(began), limit, "%s: not within %v", what, limit)
		time.Sleep(100 * time.Millisecond)
	}
	return time.Since(began)
}

func all(nodes []*node, cond func(*node) bool) func() bool {
	return func() bool {
		return !slices.ContainsFunc(nodes, func(n *node) bool { return !cond(n) })
	}
}

// cluster starts nodes n0, n1, ... and lets all join n0.
func cluster(t *testing.T, net *simnet.Network, size int, change func(*gossip.Config)) []*node {
	t.Helper()
	nodes := make([]*node, size)
	for i := range nodes {
		nodes[i] = startNode(t, net.Host(fmt.Sprintf("n%d", i)), change)
		if i > 0 {
			got, err := nodes[i].Join(t.Context(), []string{nodes[0].Addr()})
			require.NoError(t, err)
			require.Equal(t, 1, got)
		}
	}
	// A broadcast may miss one of them, who then hears of it with the next push-pull.
	within(t, 3*time.Minute, "all see all alive", all(nodes, func(n *node) bool { return alive(n) == size }))
	return nodes
}

func alive(n *node) (count int) {
	for _, m := range n.Members() {
		if m.Status == gossip.Alive {
			count++
		}
	}
	return count
}

func simulate(t *testing.T, opt simnet.Options, test func(t *testing.T, net *simnet.Network)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		net := simnet.New(opt)
		t.Cleanup(net.Close)
		test(t, net)
	})
}

// The state is exchanged in both directions during the join itself, before any interval has passed (rule S3).
func TestJoinCarriesStates(t *testing.T) {
	simulate(t, simnet.Options{}, func(t *testing.T, net *simnet.Network) {
		nodes := cluster(t, net, 3, nil)
		synctest.Wait()
		require.True(t, nodes[1].received("state of n0"))
		require.True(t, nodes[0].received("state of n1"))
		require.True(t, nodes[0].received("state of n2"))
		within(t, 5*time.Second, "join events", func() bool { return slices.Contains(nodes[1].eventLog(), "join n2") })
		require.Equal(t, net.Host("n1").GossipAddr(), nodes[1].Addr())
		require.Equal(t, nodes[1].Addr(), nodes[1].Members()[1].Addr)
	})
}

// A changed state reaches thirty nodes by push-pull alone (rule S3). (With intervals of 60 s this
// takes six times as long, in virtual and in real time.)
func TestChangedStateReachesAllByPushPull(t *testing.T) {
	simulate(t, simnet.Options{Latency: 5 * time.Millisecond, Jitter: 5 * time.Millisecond, Loss: 0.02}, func(t *testing.T, net *simnet.Network) {
		nodes := cluster(t, net, 30, func(c *gossip.Config) { c.SyncInterval = 10 * time.Second })
		nodes[7].set("news")
		pass := func(n *node) bool { // each node that has received it passes it on, as a broker does
			if n.received("news") {
				n.set("news")
				return true
			}
			return n == nodes[7]
		}
		took := within(t, 4*time.Minute, "news at all", func() bool {
			done := true
			for _, n := range nodes {
				done = pass(n) && done
			}
			return done
		})
		t.Logf("30 nodes agree after %v of push-pulls every 10s", took)
	})
}

func TestKilledNodeIsFailedAndComesBack(t *testing.T) {
	simulate(t, simnet.Options{}, func(t *testing.T, net *simnet.Network) {
		nodes := cluster(t, net, 3, nil)
		nodes[2].host.Crash()
		nodes[2].stop()
		rest := nodes[:2]
		took := within(t, 30*time.Second, "n2 failed", all(rest, func(n *node) bool { return n.status("n2") == gossip.Failed }))
		t.Logf("seen as failed after %v", took)
		within(t, time.Second, "event", func() bool { return slices.Contains(nodes[0].eventLog(), "failed n2") })

		nodes[2].host.Restart()
		again := startNode(t, nodes[2].host, nil)
		_, err := again.Join(t.Context(), []string{nodes[0].Addr()})
		require.NoError(t, err)
		within(t, 10*time.Second, "n2 alive", all(rest, func(n *node) bool { return n.status("n2") == gossip.Alive }))
	})
}

func TestLeavingNodeIsLeftNotFailed(t *testing.T) {
	simulate(t, simnet.Options{}, func(t *testing.T, net *simnet.Network) {
		nodes := cluster(t, net, 3, nil)
		require.NoError(t, nodes[2].Leave(t.Context()))
		require.NoError(t, nodes[2].Leave(t.Context()), "twice")
		nodes[2].stop()
		within(t, 5*time.Second, "n2 left", all(nodes[:2], func(n *node) bool { return n.status("n2") == gossip.Left }))
		time.Sleep(time.Minute)
		for _, n := range nodes[:2] {
			require.Contains(t, n.eventLog(), "leave n2")
			require.NotContains(t, n.eventLog(), "failed n2")
		}
	})
}

// After a partition has healed, all nodes see each other again. The owner has to rejoin (rule S6).
func TestPartitionAndHeal(t *testing.T) {
	simulate(t, simnet.Options{}, func(t *testing.T, net *simnet.Network) {
		nodes := cluster(t, net, 5, nil)
		left, right := nodes[:2], nodes[2:]
		hosts := func(nodes []*node) (hosts []*simnet.Host) {
			for _, n := range nodes {
				hosts = append(hosts, n.host)
			}
			return hosts
		}
		net.Partition(hosts(left), hosts(right))
		within(t, time.Minute, "both sides alone", func() bool {
			return all(left, func(n *node) bool { return alive(n) == 2 })() && all(right, func(n *node) bool { return alive(n) == 3 })()
		})
		net.HealAll()
		for _, n := range right { // the rejoin loop of rule S6
			_, err := n.Join(t.Context(), []string{left[0].Addr()})
			require.NoError(t, err)
		}
		within(t, 30*time.Second, "whole again", all(nodes, func(n *node) bool { return alive(n) == 5 }))
	})
}

// A node that is cut off from a peer in one direction must not be declared failed: other nodes probe it for
// that peer.
func TestOneWayCutKeepsTheNodeAlive(t *testing.T) {
	simulate(t, simnet.Options{}, func(t *testing.T, net *simnet.Network) {
		nodes := cluster(t, net, 5, nil)
		net.CutOneWay(nodes[0].host, nodes[1].host)
		time.Sleep(time.Minute)
		for _, n := range nodes {
			require.Equal(t, 5, alive(n))
		}
	})
}

// Events are not merged, however many there are, and their size is limited (rule E4).
func TestUserEvents(t *testing.T) {
	simulate(t, simnet.Options{}, func(t *testing.T, net *simnet.Network) {
		nodes := cluster(t, net, 3, nil)
		for i := range 5 {
			require.NoError(t, nodes[0].UserEvent("ucp:emergency", fmt.Append(nil, i)))
		}
		require.NoError(t, nodes[0].UserEvent(strings.Repeat("n", 64), make([]byte, gossip.MaxEventPayload)), "Serf accepts the longest event")
		within(t, 2*time.Second, "all events at all", all(nodes, func(n *node) bool {
			told := n.eventLog()
			for i := range 5 {
				if !slices.Contains(told, fmt.Sprintf("user ucp:emergency %d", i)) {
					return false
				}
			}
			return true
		}))
		require.ErrorContains(t, nodes[0].UserEvent("x", make([]byte, 401)), "limit is 400")
		require.ErrorContains(t, nodes[0].UserEvent("", nil), "name")
		require.ErrorContains(t, nodes[0].UserEvent(strings.Repeat("n", 65), nil), "name")

		// A node that joins later does not get earlier events (rule E1).
		late := startNode(t, net.Host("late"), nil)
		_, err := late.Join(t.Context(), []string{nodes[0].Addr()})
		require.NoError(t, err)
		time.Sleep(3 * time.Minute)
		for _, told := range late.eventLog() {
			require.NotContains(t, told, "user")
		}
	})
}

func TestTagsTravel(t *testing.T) {
	simulate(t, simnet.Options{}, func(t *testing.T, net *simnet.Network) {
		nodes := cluster(t, net, 3, func(c *gossip.Config) { c.Tags = map[string]string{"ucp": "1"} })
		require.Error(t, nodes[0].SetTags(map[string]string{"k": strings.Repeat("v", 600)}))
		require.NoError(t, nodes[0].SetTags(map[string]string{"ucp": "1", "draining": "1"}))
		tags := func(n *node) map[string]string { return n.Members()[0].Tags }
		within(t, 3*time.Second, "tags", all(nodes, func(n *node) bool { return tags(n)["draining"] == "1" }))
		require.Contains(t, nodes[1].eventLog(), "update n0")
		tags(nodes[1])["ucp"] = "changed by the caller"
		require.Equal(t, "1", tags(nodes[1])["ucp"], "each call returns a copy")
	})
}

func TestRTT(t *testing.T) {
	simulate(t, simnet.Options{Latency: 20 * time.Millisecond}, func(t *testing.T, net *simnet.Network) {
		nodes := cluster(t, net, 3, nil)
		_, ok := nodes[0].RTT("nobody")
		require.False(t, ok)
		own, ok := nodes[0].RTT("n0")
		require.True(t, ok)
		require.Zero(t, own)
		time.Sleep(time.Minute)
		rtt, ok := nodes[0].RTT("n1")
		require.True(t, ok)
		require.InDelta(t, 0.040, rtt.Seconds(), 0.015)
	})
}

// A state beyond the limit is not sent and an error is logged, but the node keeps working (rule L11).
func TestOwnStateTooLong(t *testing.T) {
	simulate(t, simnet.Options{}, func(t *testing.T, net *simnet.Network) {
		logs := &logLines{}
		a := startNode(t, net.Host("a"), func(c *gossip.Config) { c.Logger = logs.logger() })
		a.set(strings.Repeat("x", gossip.MaxState+1))
		b := startNode(t, net.Host("b"), nil)
		_, err := b.Join(t.Context(), []string{a.Addr()})
		require.NoError(t, err)
		synctest.Wait()
		require.Equal(t, gossip.Alive, b.status("a"))
		require.Empty(t, b.states)
		require.True(t, a.received("state of b"))
		require.EqualValues(t, 2, a.Stats().OwnStateTooLong, "asked for the name of b, and joined by it")
		require.Len(t, logs.atLeast(slog.LevelError), 2)

		a.set(strings.Repeat("x", gossip.MaxState))
		_, err = b.Join(t.Context(), []string{a.Addr()})
		require.NoError(t, err)
		synctest.Wait()
		require.True(t, b.received(strings.Repeat("x", gossip.MaxState)), "the largest state gets through")
	})
}

// A slow owner loses states and events, but the pool never blocks.
func TestSlowOwnerDoesNotBlock(t *testing.T) {
	simulate(t, simnet.Options{}, func(t *testing.T, net *simnet.Network) {
		slow := startNode(t, net.Host("slow"), nil)
		close(slow.quit) // the owner stops receiving
		slow.owner.Wait()
		b := startNode(t, net.Host("b"), nil)
		for range 40 {
			_, err := b.Join(t.Context(), []string{slow.Addr()})
			require.NoError(t, err)
		}
		for i := range 5000 {
			require.NoError(t, slow.UserEvent("x", fmt.Append(nil, i)))
		}
		synctest.Wait()
		require.NotZero(t, slow.Stats().StatesDropped)
		require.NotZero(t, slow.Stats().EventsDropped)
		require.Equal(t, slow.Stats().StatesReceived, slow.Stats().StatesDropped+16)
		require.Equal(t, gossip.Alive, slow.status("b"))
		time.Sleep(time.Minute)
		require.Equal(t, gossip.Alive, b.status("slow"))
	})
}

// A node that restarts with another address has its name back within seconds, by one join: it asks whether
// anybody answers at the old address, and tells that its old self has left (rule G2).
func TestNameMovesToANewAddress(t *testing.T) {
	for dead, limit := range map[time.Duration]time.Duration{time.Second: 4 * time.Second, 8 * time.Second: 10 * time.Second} { // before and after it is known as failed
		simulate(t, simnet.Options{}, func(t *testing.T, net *simnet.Network) {
			nodes := cluster(t, net, 5, nil)
			nodes[2].host.Crash()
			nodes[2].stop()
			time.Sleep(dead)
			moved := startNode(t, net.Host("elsewhere"), func(c *gossip.Config) { c.Name = "n2" })
			began := time.Now()
			_, err := moved.Join(t.Context(), []string{nodes[0].Addr()})
			require.NoError(t, err)
			within(t, limit, "the name at its new address", func() bool {
				return all([]*node{nodes[0], nodes[1], nodes[3], nodes[4]}, func(n *node) bool {
					return slices.ContainsFunc(n.Members(), func(m gossip.Member) bool {
						return m.Name == "n2" && m.Status == gossip.Alive && m.Addr == moved.Addr()
					})
				})()
			})
			t.Logf("killed %v before: back after %v", dead, time.Since(began))
			time.Sleep(2 * time.Minute)
			require.Equal(t, 5, alive(nodes[0]))
		})
	}
}

// A node whose name belongs to another one that answers joins nobody, and nobody hears of it (rule G2).
func TestTakenNameIsRefused(t *testing.T) {
	simulate(t, simnet.Options{}, func(t *testing.T, net *simnet.Network) {
		nodes := cluster(t, net, 3, nil)
		double := startNode(t, net.Host("double"), func(c *gossip.Config) { c.Name = "n1" })
		reached, err := double.Join(t.Context(), []string{nodes[0].Addr()})
		require.Zero(t, reached)
		var taken *gossip.NameTaken
		require.ErrorAs(t, err, &taken)
		require.Equal(t, nodes[1].Addr(), taken.Addr)
		require.ErrorContains(t, err, "a node named n1 is already at "+nodes[1].Addr()+" and answers")
		time.Sleep(time.Minute)
		for _, n := range nodes {
			require.Equal(t, 3, alive(n))
			require.NotContains(t, n.eventLog(), "conflict n1 ours=false")
			require.False(t, n.received("state of double"))
		}
		require.NotContains(t, nodes[0].eventLog(), "failed n1")
	})
}

func TestJoinErrors(t *testing.T) {
	simulate(t, simnet.Options{}, func(t *testing.T, net *simnet.Network) {
		a := startNode(t, net.Host("a"), nil)
		n, err := a.Join(t.Context(), nil)
		require.NoError(t, err)
		require.Zero(t, n)
		n, err = a.Join(t.Context(), []string{a.Addr()})
		require.NoError(t, err, "its own address is skipped")
		require.Zero(t, n)
		_, err = a.Join(t.Context(), []string{"x:y"})
		require.ErrorContains(t, err, `join address "x:y"`)
		net.Host("empty")
		_, err = a.Join(t.Context(), []string{"10.0.0.2:7946"})
		require.ErrorContains(t, err, "refused")

		b := startNode(t, net.Host("b"), nil)
		n, err = a.Join(t.Context(), []string{"10.0.0.2:7946", b.Addr(), "x:y"})
		require.Equal(t, 1, n)
		require.ErrorContains(t, err, "x:y", "one node was reached; the error reports the others")

		net.Cut(a.host, b.host)
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		began := time.Now()
		_, err = a.Join(ctx, []string{b.Addr()})
		require.ErrorIs(t, err, context.DeadlineExceeded)
		require.Equal(t, time.Second, time.Since(began))
		require.NoError(t, a.Shutdown())
		require.NoError(t, a.Shutdown(), "twice")
		_, err = a.Join(t.Context(), []string{b.Addr()})
		require.ErrorContains(t, err, "shutting down")
		require.ErrorContains(t, a.Leave(t.Context()), "shut down")
		require.NotEmpty(t, a.Members(), "Members works after Shutdown")
	})
}

// Shutdown must wait for a Leave that is under way, because memberlist panics when it is asked to
// leave after its shutdown.
func TestShutdownDuringLeave(t *testing.T) {
	simulate(t, simnet.Options{}, func(t *testing.T, net *simnet.Network) {
		nodes := cluster(t, net, 3, nil)
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
		defer cancel()
		require.ErrorIs(t, nodes[2].Leave(ctx), context.DeadlineExceeded)
		require.NoError(t, nodes[2].Shutdown())
		within(t, 5*time.Second, "n2 left", all(nodes[:2], func(n *node) bool { return n.status("n2") == gossip.Left }))
	})
}

// Who exchanges states with a node that is leaving, or with one that has heard of it, before the word itself comes, must
// not take the leaving for a join: it would hold the node for failed.
func TestPushPullWhileANodeLeaves(t *testing.T) {
	for name, asked := range map[string]int{"with the one that leaves": 1, "with one that knows": 0} {
		t.Run(name, func(t *testing.T) {
			simulate(t, simnet.Options{}, func(t *testing.T, net *simnet.Network) {
				nodes := cluster(t, net, 3, nil)
				if asked == 0 {
					net.Cut(nodes[1].host, nodes[2].host)
				}
				left := make(chan error, 1)
				go func() { left <- nodes[1].Leave(t.Context()) }()
				for nodes[asked].status("n1") != gossip.Leaving {
					time.Sleep(time.Millisecond)
				}
				require.Equal(t, gossip.Alive, nodes[2].status("n1"), "it has not heard of it yet")
				_, err := nodes[2].Join(t.Context(), []string{nodes[asked].Addr()})
				require.NoError(t, err)
				require.Equal(t, gossip.Leaving, nodes[2].status("n1"))
				require.NoError(t, <-left)
				nodes[1].stop()
				within(t, 15*time.Second, "n1 left", func() bool { return nodes[0].status("n1") == gossip.Left && nodes[2].status("n1") == gossip.Left })
				require.NotContains(t, nodes[2].eventLog(), "failed n1")
			})
		})
	}
}

func TestDoneClosesWithShutdown(t *testing.T) {
	simulate(t, simnet.Options{}, func(t *testing.T, net *simnet.Network) {
		for range 20 { // often enough that a race shows
			a := startNode(t, net.Host("a"), nil)
			require.NoError(t, a.Shutdown())
			<-a.Done()
		}
	})
}

// logLines collects what a pool logs.
type logLines struct {
	mu    sync.Mutex
	lines []slog.Record
}

func (l *logLines) logger() *slog.Logger                     { return slog.New(l) }
func (l *logLines) Enabled(context.Context, slog.Level) bool { return true }
func (l *logLines) WithAttrs([]slog.Attr) slog.Handler       { return l }
func (l *logLines) WithGroup(string) slog.Handler            { return l }
func (l *logLines) Handle(_ context.Context, r slog.Record) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.lines = append(l.lines, r)
	return nil
}

// atLeast returns the messages of that level and above.
func (l *logLines) atLeast(level slog.Level) (found []string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, r := range l.lines {
		if r.Level >= level {
			found = append(found, r.Message)
		}
	}
	return found
}
