package node

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/urban-compute/ucp/broker"
	"github.com/urban-compute/ucp/broker/membership"
	"github.com/urban-compute/ucp/broker/replication"
	"github.com/urban-compute/ucp/broker/wire"
	"github.com/urban-compute/ucp/clock"
	"github.com/urban-compute/ucp/job"
	"github.com/urban-compute/ucp/node/httpd"
)

// A peer that is there and refuses what it is sent is not healthy, and the reason is shown, until it
// takes a message again (rule K4). It looks like one that is away otherwise, for good.
func TestRefusedByAPeer(t *testing.T) {
	n := startNode(t, Config{Name: "a"})
	status, answer := http.StatusBadRequest, `{"error":"the message is not understood: vector clock of 4097 entries, at most 4096 are allowed","code":"bad_request"}`
	peer := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(status)
		_, _ = w.Write([]byte(answer))
	}))
	defer peer.Close()
	talk := func(m wire.Message) httpd.Contact {
		_, err := n.peers.exchange(t.Context(), replication.Send{To: "b", Addr: peer.Listener.Addr().String(), Message: m})
		n.peers.tried("b", "b~1", err)
		met, _ := n.peers.contacts()
		return met["b"]
	}
	good := wire.Message{Version: wire.Version, From: "a", Actor: "a~1"}
	require.Contains(t, talk(good).Refused, "vector clock of 4097 entries")
	status, answer = http.StatusServiceUnavailable, `{"error":"this broker is about to leave","code":"draining"}`
	require.Contains(t, talk(good).Refused, "4097", "it was silent since")
	reply := wire.Reply{Version: wire.Version, From: "b", Actor: "b~1"}
	status, answer = http.StatusOK, string(wire.Encode(&reply))
	c := talk(good)
	require.Empty(t, c.Refused)
	require.Zero(t, c.Failing)
	status, answer = http.StatusBadGateway, "a proxy's own page"
	require.Empty(t, talk(good).Refused, "that was not the peer")

	// What no broker would take is not sent at all.
	long := good
	for i := range wire.MaxClock + 1 {
		long.Clock = append(long.Clock, clock.Dot{Actor: clock.Actor(fmt.Sprintf("a%08d~1", i)), Counter: 1})
	}
	require.Contains(t, talk(long).Refused, "our vector clock names 4097 brokers")
}

// Nobody is sent elsewhere by what answers at a member's address: no message, no blob and no question follows a redirect.
func TestPeersDoNotRedirect(t *testing.T) {
	n := startNode(t, Config{Name: "a"})
	var called atomic.Int64
	elsewhere := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { called.Add(1) }))
	defer elsewhere.Close()
	for _, status := range []int{http.StatusMovedPermanently, http.StatusFound, http.StatusTemporaryRedirect, http.StatusPermanentRedirect} {
		var asked atomic.Int64
		peer := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			asked.Add(1)
			http.Redirect(w, r, elsewhere.URL+"/somewhere", status)
		}))
		addr := peer.Listener.Addr().String()
		_, err := n.peers.exchange(t.Context(), replication.Send{To: "b", Addr: addr, Message: wire.Message{Version: wire.Version, From: "a", Actor: "a~1"}})
		require.Error(t, err)
		_, err = n.peers.holds(t.Context(), addr, "b", "b~1", job.Digest(digest([]byte("x"))))
		require.Error(t, err)
		require.EqualValues(t, 2, asked.Load())
		peer.Close()
	}
	require.Zero(t, called.Load())
}

// Who was shut out while it was away is told by nobody: that others end its connections is shown.
func TestWhoIsNotLetIn(t *testing.T) {
	n := startNode(t, Config{Name: "a"})
	alert := fmt.Errorf("Post \"https://b\": %w", &net.OpError{Op: "remote error", Err: errors.New("tls: bad certificate")})
	n.peers.tried("b", "b~1", alert)
	met, _ := n.peers.contacts()
	require.Equal(t, "tls: bad certificate: this broker may have been revoked or given up", met["b"].Refused)
	n.peers.tried("b", "b~1", &net.OpError{Op: "dial", Err: errors.New("refused")})
	n.peers.tried("b", "b~1", nil)
	met, _ = n.peers.contacts()
	require.Empty(t, met["b"].Refused)
}

// Tags say which versions of the protocol a broker speaks; earlier builds say only one (rule K5).
func TestProtocolTag(t *testing.T) {
	n := startNode(t, Config{Name: "a"})
	lowest, highest := httpd.Protocols(n.tags(false)[httpd.ProtocolTag])
	require.Equal(t, []int{wire.Lowest, wire.Version}, []int{lowest, highest})
	for tag, want := range map[string][]int{"1": {1, 1}, "1-2": {1, 2}, "2-17": {2, 17}, "": {0, 0}, "x": {0, 0}, "1-": {0, 0}} {
		lowest, highest := httpd.Protocols(tag)
		require.Equal(t, want, []int{lowest, highest}, "%q", tag)
	}
	_, body := request(t, n, "GET", "/broker/coordination-status", nil)
	require.Equal(t, float64(wire.Version), fields(t, body)["protocol"], body)
}

// Of more brokers than fit into a push-pull, all are told of in turn.
func TestPushPullTellsOfAllInTurn(t *testing.T) {
	s := shown{first: make(chan struct{})}
	require.Nil(t, s.state())
	o := overviewOf(1000)
	o.Protocol = 2 // every member reads more
	s.set(o)
	state, err := wire.DecodeState(s.state())
	require.NoError(t, err)
	require.Len(t, state.Metadata, 1000)
	seen := map[string]bool{}
	const brokers = 1000
	for range 3 {
		s.set(overviewOf(brokers))
		state, err := wire.DecodeState(s.state())
		require.NoError(t, err)
		require.Less(t, len(state.Metadata), brokers)
		for _, r := range state.Metadata {
			seen[r.Name] = true
		}
	}
	require.Len(t, seen, brokers)
}

func overviewOf(brokers int) *broker.Overview {
	o := &broker.Overview{State: wire.State{Version: wire.Version, From: "broker-0000"}}
	for i := range brokers {
		name := fmt.Sprintf("broker-%04d", i)
		o.State.Metadata = append(o.State.Metadata, wire.Metadata{
			Name: name, Actor: clock.Actor(name + "~0a1b2c3d"), Capabilities: wire.Capabilities{Labels: map[string]string{"padding": strings.Repeat("x", 200)}},
		})
	}
	return o
}

// Warnings are logged when they come up, and not with each overview.
func TestWarningsAreLoggedOnce(t *testing.T) {
	var log bytes.Buffer
	n := &Node{log: slog.New(slog.NewTextHandler(&log, nil)), shown: shown{first: make(chan struct{})}}
	for _, w := range [][]string{nil, {"a"}, {"a", "b"}, {"b"}, {"a"}} {
		o := &broker.Overview{Warnings: w}
		n.warn(o)
		n.shown.set(o)
	}
	n.warn(nil)
	require.Equal(t, 3, strings.Count(log.String(), "level=WARN"), log.String())
}

// A broker that says nothing is waited for once, and not by each of many requests one after the other; when it is heard of it is
// asked again.
func TestWhoSaysNothingIsNotWaitedForAgain(t *testing.T) {
	n := startNode(t, Config{Name: "a"})
	var asked atomic.Int32
	var speaks atomic.Bool
	peer := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if asked.Add(1); !speaks.Load() {
			<-r.Context().Done()
		}
	}))
	defer peer.Close()
	ask := func() bool {
		ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
		defer cancel()
		return n.peers.askOne(ctx, &membership.Member{Name: "b", Actor: "b~1", HTTPAddr: peer.Listener.Addr().String()})
	}
	for range 10 {
		require.False(t, ask())
	}
	require.EqualValues(t, 1, asked.Load())
	speaks.Store(true)
	n.peers.heard("b", false)
	require.True(t, ask())
	require.True(t, ask())

	speaks.Store(false)
	require.False(t, ask(), "it has fallen silent")
	require.EqualValues(t, 4, asked.Load())
	speaks.Store(true)
	n.peers.mute["b"] = n.peers.mute["b"].Add(-muteFor)
	require.True(t, ask(), "it is asked again after a while")
}

// A broker hears in each answer how many messages to it were not answered, until one arrives.
func TestUnansweredIsTold(t *testing.T) {
	a, b := startNode(t, Config{Name: "a"}), startNode(t, Config{Name: "b"})
	ask := func() httpd.Contact {
		require.True(t, a.peers.askOne(t.Context(), &membership.Member{Name: "b", Actor: b.starts.actor(), HTTPAddr: b.told.Load().http}))
		return a.peers.contact("b")
	}
	require.Zero(t, ask().Unanswered)
	for range unansweredTwice {
		b.peers.tried("a", a.starts.actor(), errors.New("no answer"))
	}
	began := ask()
	require.EqualValues(t, unansweredTwice, began.Unanswered)
	require.NotZero(t, began.UnansweredFrom)
	b.peers.tried("a", a.starts.actor(), errors.New("no answer"))
	c := ask()
	require.EqualValues(t, unansweredTwice+1, c.Unanswered)
	require.Equal(t, began.UnansweredFrom, c.UnansweredFrom, "it says so since then")
	a.peers.heard("b", false)
	require.NotZero(t, a.peers.contact("b").Unanswered, "gossip is no message")
	a.peers.heard("b", true)
	require.Zero(t, a.peers.contact("b").Unanswered, "one has arrived")
	require.NotZero(t, ask().Unanswered)
	b.peers.tried("a", a.starts.actor(), nil)
	require.Zero(t, ask().Unanswered)
	require.Zero(t, a.peers.contact("b").UnansweredFrom)
}

const unansweredTwice = 2 // that is when a broker counts as silent

// Those are asked whether they are there that gossip calls alive, and who was heard of lately: it may be wrong of them.
func TestWhoIsAsked(t *testing.T) {
	n := startNode(t, Config{Name: "a"})
	n.peers.brokers = func() (all []membership.Member) {
		for name, status := range map[string]membership.Status{"a": membership.Alive, "b": membership.Alive, "c": membership.Failed, "d": membership.Failed, "e": membership.Left} {
			all = append(all, membership.Member{Name: name, HTTPAddr: name + ":1", Status: status})
		}
		return all
	}
	asked := func() (names []string) {
		for _, m := range n.peers.askable() {
			names = append(names, m.Name)
		}
		slices.Sort(names)
		return names
	}
	n.peers.heard("d", false)
	n.peers.heard("e", false)
	require.Equal(t, []string{"b", "d"}, asked())
	n.peers.met["d"] = httpd.Contact{Seen: n.cfg.Now().Add(-askLost)}
	require.Equal(t, []string{"b"}, asked(), "it has been gone for long, and would be waited for each time")
}

// That others do not see a broker is told when it lasts though it joins them, and when it is over.
func TestUnseenIsTold(t *testing.T) {
	n := startNode(t, Config{Name: "a"})
	var log bytes.Buffer
	m := &members{log: slog.New(slog.NewTextHandler(&log, nil))}
	n.members.misled.Store(nil)
	for range misseenRounds - 1 {
		m.noteMisseen("10.0.0.1:7946", []string{"c", "b"})
	}
	require.Empty(t, m.unseen())
	m.noteMisseen("10.0.0.1:7946", []string{"c", "b"})
	require.Equal(t, "b, c see this broker as gone, or elsewhere, though it joins them again and again: is 10.0.0.1:7946, where its gossip listens, open to others by UDP and TCP?", m.unseen())
	m.noteMisseen("10.0.0.1:7946", []string{"d"})
	require.Equal(t, 1, strings.Count(log.String(), "\n"), "once: %s", log.String())
	m.noteMisseen("10.0.0.1:7946", nil)
	require.Empty(t, m.unseen())
	require.Equal(t, 2, strings.Count(log.String(), "\n"), log.String())

	text := "b does not see it"
	n.members.misled.Store(&text)
	require.Contains(t, host{n}.Troubles(), text)
}

// Many that say nothing, as after a split, do not keep one that is there from being asked.
func TestWhoAnswersIsAskedBesideManyWhoDoNot(t *testing.T) {
	n := startNode(t, Config{Name: "a"})
	hangs := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }))
	defer hangs.Close()
	answers := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	defer answers.Close()
	var all []membership.Member
	for i := range 60 {
		all = append(all, membership.Member{Name: fmt.Sprintf("b%d", i), Status: membership.Alive, HTTPAddr: hangs.Listener.Addr().String()})
	}
	all = append(all, membership.Member{Name: "z", Status: membership.Alive, HTTPAddr: answers.Listener.Addr().String()})
	p := newPeers(t.Context(), &n.cfg, "a", nil, nil, nil)
	p.brokers = func() []membership.Member { return all }
	defer p.close()
	require.Equal(t, map[string]bool{"z": true}, p.askAll(t.Context()))
}
