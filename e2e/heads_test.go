package e2e

import (
	"bytes"
	"context"
	"encoding/json"
	"log/slog"
	"net"
	"net/http"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/urban-compute/ucp/api"
	"github.com/urban-compute/ucp/broker/kind"
	"github.com/urban-compute/ucp/broker/wire"
	"github.com/urban-compute/ucp/city"
	"github.com/urban-compute/ucp/clock"
	"github.com/urban-compute/ucp/head"
	"github.com/urban-compute/ucp/job"
	"github.com/urban-compute/ucp/roll"
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

// say sends heads to a broker.
func (x *insider) say(to *agent, heads ...*head.Head) {
	var m wire.Message
	for _, h := range heads {
		m.Heads = append(m.Heads, h.Encode())
	}
	x.send(to, m)
}

// send sends a broker a message.
func (x *insider) send(to *agent, m wire.Message) {
	m.Version, m.From, m.Actor = wire.Version, x.actor.Broker(), x.actor
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

// A member that ends a job in another's name is believed at first; then every broker finds by what that one has signed that it has not written
// that, and says so. Of what honest brokers write none says such a thing (rule H3).
func TestForgedEnds(t *testing.T) {
	founder, a := beginCity(t)
	dir := t.TempDir()
	b := startAgentAt(t, "b", filepath.Join(dir, "b"), 1, "--sync-interval", "2s", "--invite", founder.invite(a, "--name", "b"))
	c := startAgentAt(t, "c", filepath.Join(dir, "c"), 1, "--sync-interval", "2s", "--invite", founder.invite(a, "--name", "c"))
	founder.sees(a, "a", "b", "c")
	for _, at := range []*agent{a, b, c} {
		founder.must("--addr", at.http, "run", guestModule, "--", "sleep", "1ms")
	}
	founder.must("--addr", c.http, "run", "--detach", "--id", "waits", "--constraint", "nowhere=1", guestModule)
	var j api.Job
	require.NoError(t, json.Unmarshal([]byte(founder.must("--addr", c.http, "job", "get", "waits", "-o", "json")), &j))
	eventually(t, time.Minute, "a knows the job", func() bool { return founder.ucp("--addr", a.http, "job", "get", "waits").code == 0 })

	dot := clock.Dot{Actor: clock.Actor(c.actor), Counter: 2} // c has written that, and something else with it
	stamp := job.Stamp{Dot: dot, At: clock.Hybrid(1 << 20)}
	forged := job.New("waits", *j.Spec, j.Spec.Digest(), stamp).With(dot, func(r *job.Record) {
		r.AddVerdict(job.Verdict{At: stamp.At + 1, Dot: dot, Outcome: job.Failed, Reason: "made up"})
	})
	evil := newInsider(t, filepath.Join(dir, "b"), clock.Actor(b.actor))
	evil.send(a, wire.Message{Delta: &wire.Delta{Records: []wire.Encoded{{Kind: kind.Job, Key: forged.Key(), Dots: forged.Dots, Bytes: forged.Encode()}}}})
	for _, at := range []*agent{a, b, c} {
		eventually(t, time.Minute, at.name+" says that c has not written that", func() bool {
			return strings.Contains(founder.must("--addr", at.http, "status", "-o", "json"), "FORGED: the")
		})
		text := founder.must("--addr", at.http, "status", "-o", "json")
		require.Equal(t, 1, strings.Count(text, "FORGED: the"), text)
		require.Contains(t, text, "of job "+forged.Key()+" is in the name of "+c.actor)
		require.Contains(t, founder.must("--addr", at.http, "job", "get", "waits"), "provisional: it may still change, since it is in the name of c, which has not written it")
	}

	// Nor does anybody wait for a name that b makes up (rule M6).
	up := roll.Change(nil, "zz", "", clock.Dot{Actor: clock.Actor(b.actor), Counter: 1 << 20}, clock.Hybrid(1<<20))
	evil.send(a, wire.Message{Delta: &wire.Delta{Records: []wire.Encoded{{Kind: kind.Member, Key: "zz", Dots: up.Dots, Bytes: up.Encode()}}}})
	eventually(t, time.Minute, "c hears of it", func() bool { return strings.Contains(founder.must("--addr", c.http, "status"), "zz (by b)") })
	require.NotContains(t, founder.must("--addr", c.http, "members"), "zz")
	founder.must("--addr", c.http, "run", "--id", "after", guestModule, "--", "sleep", "1ms")
	eventually(t, time.Minute, "the end of a job is final", func() bool {
		return !strings.Contains(founder.must("--addr", c.http, "job", "get", "after"), "provisional")
	})
	founder.must("--addr", a.http, "cluster", "forget", "zz")
	eventually(t, time.Minute, "zz is gone", func() bool { return !strings.Contains(founder.must("--addr", c.http, "status"), "zz (by b)") })
}
