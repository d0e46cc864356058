package e2e

import (
	"bytes"
	"context"
	"log/slog"
	"net"
	"net/http"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/urban-compute/ucp/broker/wire"
	"github.com/urban-compute/ucp/city"
	"github.com/urban-compute/ucp/clock"
	"github.com/urban-compute/ucp/head"
)

// insider is a member's broker that somebody has changed: it speaks with that member's key.
type insider struct {
	t     *testing.T
	self  *city.Self
	actor clock.Actor
	http  *http.Client
}

func newInsider(t *testing.T, dir string, actor clock.Actor) *insider {
	self, err := city.Open(city.Of(dir), slog.New(slog.DiscardHandler))
	require.NoError(t, err)
	dial := self.Dialer(func(ctx context.Context, network, addr string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, network, addr)
	})
	return &insider{t, self, actor, &http.Client{Transport: &http.Transport{DisableKeepAlives: true, DialContext: dial}}}
}

// say sends heads to a broker, and whatever else of a message.
func (x *insider) say(to *agent, heads ...*head.Head) {
	m := wire.Message{Version: wire.Version, From: x.actor.Broker(), Actor: x.actor}
	for _, h := range heads {
		m.Heads = append(m.Heads, h.Encode())
	}
	resp, err := x.http.Post("http://"+to.http+"/broker/sync-metadata", "application/msgpack", bytes.NewReader(wire.Encode(&m)))
	require.NoError(x.t, err)
	defer resp.Body.Close()
	require.Equal(x.t, http.StatusOK, resp.StatusCode)
}

// sign is a head of an actor, with the insider's key.
func (x *insider) sign(a clock.Actor, counter uint64, what string) *head.Head {
	h, err := city.NewHeads(x.self).Sign(clock.Dot{Actor: a, Counter: counter}, []head.Hash{head.Slot{Key: what}.Leaf()})
	require.NoError(x.t, err)
	return h
}

// Of a member that signs two histories every broker of the city hears, and says so; another member's key signs none (rules H1, H2).
func TestHeads(t *testing.T) {
	founder, a := beginCity(t)
	dir := t.TempDir()
	b := startAgentAt(t, "b", filepath.Join(dir, "b"), 1, "--invite", founder.invite(a, "--name", "b"))
	c := startAgentAt(t, "c", filepath.Join(dir, "c"), 1, "--invite", founder.invite(a, "--name", "c"))
	founder.sees(a, "a", "b", "c")
	status := func(at *agent) string { return founder.must("--addr", at.http, "status", "-o", "json") }
	founder.must("--addr", b.http, "run", guestModule, "--", "sleep", "1ms")

	evil := newInsider(t, filepath.Join(dir, "b"), "b~0000000000000001")
	evil.say(a, evil.sign("a~0000000000000001", 7, "ours"), evil.sign("a~0000000000000001", 7, "theirs"))
	evil.say(a, evil.sign(evil.actor, 7, "ours"))
	require.NotContains(t, status(a), "FORK")
	evil.say(c, evil.sign(evil.actor, 7, "theirs"))
	for _, at := range []*agent{a, b, c} {
		eventually(t, time.Minute, at.name+" says that b has signed two histories", func() bool {
			return strings.Contains(status(at), "FORK: b~0000000000000001")
		})
		require.NotContains(t, status(at), "FORK: a~")
	}
	founder.must("--addr", a.http, "run", guestModule, "--", "sleep", "1ms") // all goes on
}
