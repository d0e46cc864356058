package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/urban-compute/ucp/api"
	"github.com/urban-compute/ucp/test/rig"
)

// proxyGroup has a fourth broker whose HTTP address, as the others are told it, is a
// proxy's. Gossip finds it healthy all the time.
func proxyGroup() group {
	var p *proxy
	with := func(check func(context.Context, *cluster, *proxy) (string, error)) func(context.Context, *cluster) (string, error) {
		return func(ctx context.Context, c *cluster) (string, error) { return check(ctx, c, p) }
	}
	return group{
		name: "proxy",
		open: func(ctx context.Context, l *lab, name string) (c *cluster, err error) {
			if l.city != nil {
				return nil, lacking{"in a city nobody stands between brokers, and reads what they say (-city)"}
			}
			if p, err = newProxy(); err != nil {
				return nil, err
			}
			c, err = l.launch(name, 4, onLoopback, func(i int) []string {
				args := []string{"--sync-interval", shortSync.String(), "--label", "side=front"}
				if i == behindProxy {
					args = []string{"--sync-interval", shortSync.String(), "--http-advertise", p.addr()}
				}
				return args
			})
			c.atEnd = append(c.atEnd, p.close)
			if err != nil {
				return c, err
			}
			p.guards(c.brokers[behindProxy].HTTP) // a broker is healthy when messages pass
			return c, c.whole(ctx, c.brokers)
		},
		rows: []row{
			{
				name: "compression", requirement: 12, limit: "each of 4 KiB and more compressed, to half or less",
				how: "what peers send to one broker passes a proxy (--http-advertise) that notes Content-Encoding and sizes; it breaks connections while 150 " +
					"jobs are submitted elsewhere, then lets all pass, until the broker knows all 150 from what it was sent",
				check: with(compression),
			},
			{
				name: "black-hole", requirement: 3, limit: "timeout 10 s; pauses from 0.5, 1, 2, ... s (half of that by jitter); others under 1 s, 2 s",
				how: "all that peers send to one broker is read and never answered twice, then cut off: pauses between their attempts, attempts against " +
					"coordination-status; meanwhile submissions at the three others (none degraded) and news between them; the broker itself learns of all",
				within: 2 * time.Minute, check: with(blackHole),
			},
		},
	}
}

// behindProxy is the number of the broker with the proxy.
const behindProxy = 3

// compressedFrom is the size from which messages must be compressed.
const compressedFrom = 4 << 10

func compression(ctx context.Context, c *cluster, p *proxy) (string, error) {
	const n = 150
	guarded := c.brokers[behindProxy]
	if err := rig.Pause(ctx, 2*time.Second); err != nil { // links begin
		return "", err
	}
	p.set(slams)
	var all sync.WaitGroup
	errs := make([]error, n)
	for i := range n {
		all.Go(func() {
			spec := command(100, []string{"true", fmt.Sprintf("block-%d", i), "--threshold", "0.35", "--window", "00:15:00"}, "side=front", "nobody-has-this")
			_, errs[i] = submit(ctx, c.brokers[i%behindProxy], fmt.Sprint("compressed-", i), spec, "")
		})
	}
	all.Wait()
	p.set(passes)
	if err := errors.Join(errs...); err != nil {
		return "", err
	}
	if _, err := until(ctx, 40*time.Second, func(ctx context.Context) error {
		for i := range n {
			if err := knows(fmt.Sprint("compressed-", i))(ctx, guarded); err != nil {
				return err
			}
		}
		return nil
	}); err != nil {
		return "", err
	}
	large, sent, plain := 0, 0, 0
	var wrong []string
	for _, b := range others(c.brokers, guarded) {
		for _, v := range p.of(b.Name, passes, slams) {
			if v.accepts != "zstd" {
				wrong = append(wrong, fmt.Sprintf("%s accepts %q, not zstd, in answers", v.from, v.accepts))
			}
			if v.plain < compressedFrom {
				continue
			}
			large, sent, plain = large+1, sent+v.sent, plain+v.plain
			if !v.compressed || 2*v.sent > v.plain {
				wrong = append(wrong, fmt.Sprintf("%s sends %d bytes as %d", v.from, v.plain, v.sent))
			}
		}
	}
	if large == 0 {
		wrong = append(wrong, "no message was large")
	}
	return fmt.Sprintf("%d large messages: %d KiB sent as %d KiB", large, plain>>10, sent>>10), anyOf(slices.Compact(wrong))
}

// knows is an error unless a broker knows a job.
func knows(id string) func(context.Context, *rig.Broker) error {
	return func(ctx context.Context, b *rig.Broker) error {
		_, err := b.Client().Job(ctx, id, 0)
		return err
	}
}

// Limits of the black hole: what others may feel of it.
const (
	peerTimeout   = 10 * time.Second
	firstPause    = 500 * time.Millisecond
	submitWithin  = time.Second
	newsWithin    = 2 * time.Second
	heldVisits    = 2
	slammedVisits = 3
)

func blackHole(ctx context.Context, c *cluster, p *proxy) (string, error) {
	front, guarded := c.brokers[:behindProxy], c.brokers[behindProxy]
	if _, err := until(ctx, 20*time.Second, func(ctx context.Context) error { return nobodyFails(ctx, front, guarded.Name) }); err != nil {
		return "", err
	}
	p.forget()
	p.set(holds)
	felt, ids, err := feel(ctx, front)
	if err != nil {
		return "", err
	}
	// It is told nothing, but asks itself (rule S2).
	interval, err := stretched(ctx, guarded)
	if err != nil {
		return "", err
	}
	if _, err := until(ctx, 3*interval, func(ctx context.Context) error {
		for _, id := range ids {
			if err := knows(id)(ctx, guarded); err != nil {
				return fmt.Errorf("the broker behind the hole does not learn of %s: %w", id, err)
			}
		}
		return nil
	}); err != nil {
		return "", err
	}
	if _, err := until(ctx, 40*time.Second, func(context.Context) error { return p.saw(front, heldVisits, holds) }); err != nil {
		return "", err
	}
	p.set(slams)
	if _, err := until(ctx, 40*time.Second, func(context.Context) error { return p.saw(front, slammedVisits, slams) }); err != nil {
		return "", err
	}
	a, err := attempts(ctx, p, front, guarded.Name)
	p.set(passes)
	figure := fmt.Sprintf("timeout %s; pauses of one %s; %s attempts; submissions at most %s, news %s",
		tenths(a.timeout), listOf(a.pauses), a.counted, tenths(felt.submit), tenths(felt.news))
	return figure, first(err, inTime("a submission elsewhere", felt.submit, submitWithin), inTime("news between the others", felt.news, newsWithin))
}

// nobodyFails is an error while messages to a peer fail.
func nobodyFails(ctx context.Context, at []*rig.Broker, name string) error {
	for _, b := range at {
		s, err := b.Client().Coordination(ctx)
		if err != nil {
			return err
		}
		if p := s.PeerBrokers[name]; p.Failing > 0 || p.Attempts == 0 {
			return fmt.Errorf("%s has %d messages to %s, the last %d unanswered", b.Name, p.Attempts, name, p.Failing)
		}
	}
	return nil
}

// feeling is what clients of the others noticed.
type feeling struct{ submit, news time.Duration }

// feel submits jobs at the others for as long as their first attempts may hang.
func feel(ctx context.Context, front []*rig.Broker) (f feeling, ids []string, err error) {
	for i := range 18 {
		b, id := front[i%len(front)], fmt.Sprint("meanwhile-", i)
		began := time.Now()
		s, err := submit(ctx, b, id, command(100, []string{"true"}, "side=front"), "")
		if err != nil {
			return f, nil, err
		}
		took := time.Since(began)
		f.submit = max(f.submit, took)
		if s.Degraded {
			return f, nil, fmt.Errorf("the submission of %s at %s has %d copies only", id, b.Name, s.Replicas)
		}
		if _, err := everywhere(ctx, front, 20*time.Second, knows(id)); err != nil {
			return f, nil, err
		}
		f.news = max(f.news, time.Since(began))
		ids = append(ids, id)
		if err := rig.Pause(ctx, 400*time.Millisecond-took); err != nil {
			return f, nil, err
		}
	}
	return f, ids, nil
}

// forget forgets all visits.
func (d *proxy) forget() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.visits = nil
}

// saw is an error unless each of these has come so often.
func (d *proxy) saw(who []*rig.Broker, n int, m proxyMode) error {
	for _, b := range who {
		if got := len(d.of(b.Name, m)); got < n {
			return fmt.Errorf("%s has sent %d messages, not %d", b.Name, got, n)
		}
	}
	return nil
}

// tries is what the proxy saw of the attempts.
type tries struct {
	timeout time.Duration // the longest that somebody waited
	pauses  []time.Duration
	counted string
}

// attempts compares the pauses with the rule, and the numbers with what brokers say.
func attempts(ctx context.Context, p *proxy, front []*rig.Broker, name string) (a tries, err error) {
	var wrong []string
	least := time.Hour
	for _, b := range front {
		seen := p.of(b.Name, holds, slams)
		var pauses []time.Duration
		for i, v := range seen {
			if v.mode == holds {
				a.timeout, least = max(a.timeout, v.ended.Sub(v.began)), min(least, v.ended.Sub(v.began))
			}
			if i == 0 {
				continue
			}
			d, atLeast := v.began.Sub(seen[i-1].ended), firstPause<<(i-1)/2
			pauses = append(pauses, d)
			if d < atLeast*9/10 {
				wrong = append(wrong, fmt.Sprintf("%s comes again after %s, at least %s are its pause then", b.Name, tenths(d), tenths(atLeast)))
			}
		}
		if a.pauses == nil {
			a.pauses = pauses
		}
		s, err := b.Client().Coordination(ctx)
		if err != nil {
			return a, err
		}
		p := s.PeerBrokers[name]
		a.counted += fmt.Sprintf("%d/%d ", p.Failing, len(seen))
		if int(p.Failing) < len(seen)-1 || int(p.Failing) > len(seen)+1 { // one may just be under way
			wrong = append(wrong, fmt.Sprintf("%s counts %d unanswered attempts, %d were seen", b.Name, p.Failing, len(seen)))
		}
		if p.Healthy {
			wrong = append(wrong, fmt.Sprintf("%s calls %s healthy, which answers none of its messages", b.Name, name))
		}
		list, err := b.Client().Members(ctx)
		if err != nil {
			return a, err
		}
		if !slices.ContainsFunc(list.Members, func(m api.Member) bool { return m.Name == name && m.Status == "alive" }) {
			wrong = append(wrong, fmt.Sprintf("%s takes %s for dead, whose gossip is well", b.Name, name))
		}
	}
	if a.timeout > peerTimeout+2*time.Second || least < peerTimeout-time.Second {
		wrong = append(wrong, fmt.Sprintf("peers lost patience after %s to %s", tenths(least), tenths(a.timeout)))
	}
	return a, anyOf(wrong)
}

func listOf(d []time.Duration) (out string) {
	for i, x := range d {
		if i > 0 {
			out += ", "
		}
		out += tenths(x)
	}
	return out
}
