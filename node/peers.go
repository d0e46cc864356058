package node

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"net"
	"net/http"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"
	"golang.org/x/sync/singleflight"

	"github.com/urban-compute/ucp/api"
	"github.com/urban-compute/ucp/broker"
	"github.com/urban-compute/ucp/broker/membership"
	"github.com/urban-compute/ucp/broker/replication"
	"github.com/urban-compute/ucp/broker/wire"
	"github.com/urban-compute/ucp/clock"
	"github.com/urban-compute/ucp/job"
	"github.com/urban-compute/ucp/node/httpd"
)

// leastRate is how many bytes a second a transfer must bring on the whole, beyond what the peer timeout gives it.
const leastRate = 1000

// peers carries messages and blobs to other brokers over HTTP, and remembers
// when each was last heard.
type peers struct {
	cfg     *Config
	name    string
	engine  *engine
	blobs   *blobs
	metrics *httpd.Metrics
	audits  *audits
	keys    *gossipKeys     // nil where the broker belongs to no city
	heads   *heads          // nil where the broker belongs to no city
	ctx     context.Context // ends with the node
	brokers func() []membership.Member
	self    func() clock.Actor // this broker's present start
	log     *slog.Logger

	client    *http.Client
	transfers transfers
	rates     *rates
	fetches   fetches
	lacking   lacking
	asking    singleflight.Group
	zip       httpd.Compression
	shown     credentials
	work      sync.WaitGroup

	mu       sync.Mutex
	urgent   map[string]int           // of jobs whose inputs are on their way, by key
	coming   map[string]coming        // what they are, by key
	met      map[string]httpd.Contact // by broker name
	lastSync time.Time                // last successful exchange with anybody
	mute     map[string]time.Time     // by broker name: when a question whether it is there was last waited for in vain
}

// newPeers makes a peers for what cfg says; brokers and self are set later.
func newPeers(ctx context.Context, cfg *Config, name string, e *engine, b *blobs, m *httpd.Metrics) *peers {
	return &peers{
		cfg: cfg, name: name, self: func() clock.Actor { return "" }, engine: e, blobs: b, metrics: m, ctx: ctx, log: cfg.Logger,
		met: map[string]httpd.Contact{}, mute: map[string]time.Time{}, rates: newRates(cfg.MaxRate, m.SentBlob), transfers: transfers{running: map[string][]*transfer{}}, urgent: map[string]int{}, coming: map[string]coming{}, fetches: fetches{by: map[job.Digest]*fetch{}}, zip: httpd.NewCompression(),
		client: &http.Client{Transport: &http.Transport{
			DialContext: cfg.Network.Dial, DialTLSContext: dialTLS(cfg), MaxIdleConnsPerHost: 4, IdleConnTimeout: 3 * cfg.SyncInterval,
			ResponseHeaderTimeout: cfg.PeerTimeout, ExpectContinueTimeout: time.Second, DisableCompression: true,
		}, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}, // no broker redirects
	}
}

// dialTLS connects to other brokers of the city; nil where the broker belongs to none.
func dialTLS(cfg *Config) func(ctx context.Context, network, addr string) (net.Conn, error) {
	if cfg.City == nil {
		return nil
	}
	return cfg.City.Dialer(cfg.Network.Dial)
}

// url is the address of something at a broker.
func (p *peers) url(addr, path string) string {
	if p.cfg.City != nil {
		return "https://" + addr + path
	}
	return "http://" + addr + path
}

// close waits for all that is under way; the node's context has ended.
func (p *peers) close() {
	p.work.Wait()
	p.client.CloseIdleConnections()
}

// heard notes that a broker has spoken.
func (p *peers) heard(name string, synced bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	c := p.met[name]
	c.Seen = p.cfg.Now()
	if synced {
		p.lastSync, c.Unanswered, c.UnansweredFrom = c.Seen, 0, time.Time{} // its messages reach this broker
	}
	p.met[name] = c
}

// tried notes how a message to a broker ended.
func (p *peers) tried(name string, actor clock.Actor, err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	c := p.met[name]
	if c.Actor != actor {
		c.Actor, c.Failing, c.Refused = actor, 0, "" // that was its earlier start
	}
	c.Attempts++
	c.Stranger = ""
	var wrong *strangerError
	var refused *refusedError
	switch {
	case err == nil:
		c.Seen, c.Failing, c.Refused = p.cfg.Now(), 0, ""
		c.Answered, p.lastSync = c.Seen, c.Seen
	default:
		c.Failed++
		c.Failing++
		if errors.As(err, &wrong) {
			c.Stranger = string(wrong.actor)
		}
		if errors.As(err, &refused) {
			c.Refused = refused.reason
		}
		if text := notLetIn(err); text != "" {
			c.Refused = text
		}
	}
	p.met[name] = c
}

// notLetIn says that the other side has ended the TLS connection for what we are, "" where it has not. It does not say why: it may
// know that this broker was revoked, or given up, of which nobody can tell this one.
func notLetIn(err error) string {
	var remote *net.OpError
	if !errors.As(err, &remote) || remote.Op != "remote error" {
		return ""
	}
	return fmt.Sprintf("%v: this broker may have been revoked or given up", remote.Err)
}

// refusedError says that a peer is there and does not take a message, and would not take it if it came
// again: nothing goes to it until one of the two is mended.
type refusedError struct{ reason string }

func (e *refusedError) Error() string { return "refused: " + e.reason }

// contacts returns how it went with each broker, and when the last exchange succeeded.
func (p *peers) contacts() (met map[string]httpd.Contact, lastSync time.Time) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return maps.Clone(p.met), p.lastSync
}

// contact returns how it went with one broker.
func (p *peers) contact(name string) httpd.Contact {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.met[name]
}

// told notes what a broker says in an answer of how its own messages to this one fare.
func (p *peers) told(name string, r *http.Response) {
	p.mu.Lock()
	defer p.mu.Unlock()
	c := p.met[name]
	was := c.Unanswered
	switch c.Unanswered = httpd.Unanswered(r); {
	case c.Unanswered == 0:
		c.UnansweredFrom = time.Time{}
	case was == 0:
		c.UnansweredFrom = p.cfg.Now()
	}
	p.met[name] = c
}

// send carries one message to a peer; it ends in Acked or Unreachable.
func (p *peers) send(s replication.Send) {
	p.work.Go(func() {
		ctx, cancel := context.WithTimeout(p.ctx, p.cfg.PeerTimeout)
		defer cancel()
		reply, err := p.exchange(ctx, s)
		p.metrics.Sent(s, err)
		p.tried(s.To, s.Actor, err)
		if err != nil {
			p.log.Debug("peer does not answer", "peer", s.To, "addr", s.Addr, "error", err)
			p.engine.Tell(broker.Unreachable{Peer: s.To, By: s.Message.Actor, Page: s.Message.Page != nil})
			return
		}
		p.metrics.Invalid(s.To, reply.Delta.Bad())
		p.engine.Tell(broker.Acked{Peer: s.To, By: s.Message.Actor, Page: s.Message.Page != nil, Reply: reply})
	})
}

// do sends a request to a broker, addressed to its actor; an answer of anybody else is an error (rule X3).
func (p *peers) do(req *http.Request, name string, actor clock.Actor) (*http.Response, error) {
	httpd.Address(req, name, actor)
	httpd.From(req, p.self())
	resp, err := p.client.Do(req)
	if err != nil {
		return nil, err
	}
	if by, right := httpd.AnsweredBy(resp); !right {
		return nil, errors.Join(&strangerError{name, by}, resp.Body.Close())
	}
	if p.cfg.City != nil {
		c, err := p.shown.of(resp.TLS, name)
		if err == nil {
			err = p.cfg.City.IsBroker(c, name)
		}
		if err != nil {
			return nil, errors.Join(err, resp.Body.Close())
		}
	}
	p.told(name, resp)
	return resp, nil
}

// strangerError says that another actor answers at a broker's address.
type strangerError struct {
	name  string
	actor clock.Actor
}

func (e *strangerError) Error() string {
	return fmt.Sprintf("at %s's address %s answers", e.name, e.actor)
}

// Bounds of a question to all brokers whether they are there.
const (
	askWithin = time.Second     // how long an answer may take
	askAtOnce = 128             // how many are asked at the same time: as many may be silent until others get no turn
	muteFor   = 3 * time.Second // how long who was waited for in vain is not waited for again

	askLost = 30 * time.Second // for how long after its last word one is asked that gossip has lost: who has a lease is heard each 10 s
)

// askable are the brokers that are asked whether they are there: those that gossip calls alive, and those that it has lost
// though they have been heard of since, or just before that. Others may have been gone for long, and would be waited for.
func (p *peers) askable() (ask []membership.Member) {
	now := p.cfg.Now()
	for _, m := range p.brokers() {
		lately := m.Status == membership.Failed && now.Sub(p.contact(m.Name).Seen) < askLost
		if m.Name != p.name && m.HTTPAddr != "" && (m.Status == membership.Alive || lately) {
			ask = append(ask, m)
		}
	}
	return ask
}

// askAll asks all brokers that are askable whether they are there, and returns who has answered within askWithin;
// these count as heard of. It is not held against the others: they may be busy. Those who ask at the same time share one
// round, and must not change what it returns. Who has taken all that time and has not been heard of since counts as silent for
// another muteFor without a question: what is read in a hundred requests is to wait for it a few times, and not a hundred.
func (p *peers) askAll(ctx context.Context) (answered map[string]bool) {
	round := p.asking.DoChan("", func() (any, error) {
		ctx, cancel := context.WithTimeout(p.ctx, askWithin)
		defer cancel()
		var mu sync.Mutex
		answered := map[string]bool{}
		var questions errgroup.Group // none fails the others
		questions.SetLimit(askAtOnce)
		for _, m := range p.askable() {
			questions.Go(func() error {
				if p.askOne(ctx, &m) {
					mu.Lock()
					defer mu.Unlock()
					answered[m.Name] = true
				}
				return nil
			})
		}
		return answered, questions.Wait()
	})
	select {
	case r := <-round:
		answered, _ = r.Val.(map[string]bool)
	case <-ctx.Done():
	}
	return answered
}

// askOne asks a broker whether it is there.
func (p *peers) askOne(ctx context.Context, m *membership.Member) (answered bool) {
	if p.isMute(m.Name) || ctx.Err() != nil { // of whom there was no time to ask nothing is known
		return false
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, p.url(m.HTTPAddr, "/healthz"), nil)
	if err != nil {
		return false
	}
	resp, err := p.do(req, m.Name, m.Actor)
	var wrong *strangerError
	switch {
	case err == nil && resp.Body.Close() == nil && resp.StatusCode == http.StatusOK:
		p.heard(m.Name, false)
		return true
	case errors.As(err, &wrong):
		p.tried(m.Name, m.Actor, err)
	case ctx.Err() != nil:
		p.mu.Lock()
		defer p.mu.Unlock()
		p.mute[m.Name] = p.cfg.Now()
	}
	return false
}

// isMute reports whether a broker was waited for in vain just now, and has not been heard of since.
func (p *peers) isMute(name string) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	at, mute := p.mute[name]
	if mute && (p.cfg.Now().Sub(at).Abs() >= muteFor || p.met[name].Seen.After(at)) {
		delete(p.mute, name)
		return false
	}
	return mute
}

func (p *peers) exchange(ctx context.Context, s replication.Send) (wire.Reply, error) {
	if n := s.Message.Clock.Names(); n > wire.MaxClock {
		return wire.Reply{}, &refusedError{fmt.Sprintf("our vector clock names %d brokers, and no broker takes one of more than %d", n, wire.MaxClock)}
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, p.url(s.Addr, "/broker/sync-metadata"), nil)
	if err != nil {
		return wire.Reply{}, err
	}
	told := func(clock.Actor) {}
	if p.heads != nil {
		s.Message.Heads, told = p.heads.show(s.To, s.Actor)
	}
	body := p.zip.Pack(wire.Encode(&s.Message), req.Header)
	req.Body, req.ContentLength = io.NopCloser(bytes.NewReader(body)), int64(len(body))
	req.Header.Set("Content-Type", "application/msgpack")
	p.metrics.SentMessage(len(body))
	req.Header.Set("Accept-Encoding", "zstd")
	p.audits.Show(req.Header, s.To)
	if p.keys != nil {
		p.keys.Show(req.Header)
	}
	resp, err := p.do(req, s.To, s.Actor)
	if err != nil {
		return wire.Reply{}, err
	}
	p.audits.See(resp.Header, s.To)
	if p.keys != nil {
		p.keys.See(resp.Header, s.To)
	}
	defer resp.Body.Close()
	b, err := p.zip.Unpack(resp.Body, resp.Header)
	if err != nil {
		return wire.Reply{}, err
	}
	if resp.StatusCode == http.StatusBadRequest || resp.StatusCode == http.StatusRequestEntityTooLarge {
		return wire.Reply{}, &refusedError{saidReason(b)}
	}
	if resp.StatusCode != http.StatusOK {
		return wire.Reply{}, fmt.Errorf("%s: %.200s", resp.Status, b)
	}
	reply, err := wire.DecodeReply(b)
	if err != nil {
		p.metrics.Malformed(s.To, err)
	} else if p.heads != nil && reply.From == s.To {
		told(reply.Actor)
		p.heads.See(reply.From, reply.Actor, reply.Heads)
	}
	return reply, err
}

// saidReason reads the reason out of an answer that is no success.
func saidReason(b []byte) string {
	var e api.Error
	if err := json.Unmarshal(b, &e); err != nil || e.Message == "" {
		return fmt.Sprintf("%.200q", b)
	}
	return fmt.Sprintf("%.300s", e.Message)
}

func (p *peers) blobURL(addr string, d job.Digest) string { return p.url(addr, "/v1/blobs/"+string(d)) }

// follow opens what a job writes at another broker, by that broker's route of this path and query. The caller closes it.
func (p *peers) follow(ctx context.Context, broker, path string) (io.ReadCloser, error) {
	for _, m := range p.holders(nil) {
		if m.Name != broker {
			continue
		}
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, p.url(m.HTTPAddr, "")+path, nil)
		if err != nil {
			return nil, err
		}
		resp, err := p.do(req, m.Name, m.Actor)
		if err != nil {
			return nil, err
		}
		if resp.StatusCode != http.StatusOK {
			return nil, errors.Join(fmt.Errorf("%s does not tell: %s", broker, resp.Status), resp.Body.Close())
		}
		return resp.Body, nil
	}
	return nil, fmt.Errorf("%s is not there", broker)
}

// watched ends a transfer that makes too little progress: a large blob may take long, but it never stands still for longer
// than the peer timeout, nor comes more slowly than leastRate on the whole.
type watched struct {
	r       io.Reader
	timer   *time.Timer
	timeout time.Duration
	began   time.Time
	n       int64
	failed  bool // reading has failed before the end

	arriving *arriving // counts what comes
	from     string
}

func newWatched(r io.Reader, timeout time.Duration, cancel func()) *watched {
	return &watched{r: r, timer: time.AfterFunc(timeout, cancel), timeout: timeout, began: time.Now()}
}

func (w *watched) Read(b []byte) (int, error) {
	n, err := w.r.Read(b)
	w.n += int64(n)
	w.arriving.note(n, w.from)
	w.failed = w.failed || err != nil && !errors.Is(err, io.EOF)
	due := w.timeout + time.Duration(w.n)*time.Second/leastRate - time.Since(w.began)
	w.timer.Reset(max(0, min(w.timeout, due)))
	return n, err
}

func (w *watched) stop() { w.timer.Stop() }
