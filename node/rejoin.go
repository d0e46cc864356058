package node

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/urban-compute/ucp/gossip"
)

// The pauses of the rejoin loop (rule S6).
const (
	retryFirst = time.Second
	rejoinMin  = 5 * time.Second
	rejoinMax  = 30 * time.Second // and how often the names are looked up while others are there
	readyAfter = 5 * time.Second

	askedAtOnce = 3 // members that are asked how they see this broker
)

// entries are what --retry-join and --discover name now; never nil.
func (m *members) entries() []string {
	out := []string{}
	if names := m.names.Load(); names != nil {
		out = append(out, *names...)
	}
	if m.cfg.Discover != "" {
		out = append(out, "mdns:"+m.cfg.Discover)
	}
	return out
}

// company reports whether another node is known, and alive: only that counts as having joined. A list of addresses that
// all brokers share names this one, too, which answers itself.
func (m *members) company() bool {
	return slices.ContainsFunc(m.inPool(), func(x gossip.Member) bool { return x.Name != m.name && x.Status == gossip.Alive })
}

// firstJoin joins what --join names; that nobody else answers is an error. It decides when /readyz says yes: after the
// first join, or after five seconds of failed tries, since a broker alone is ready.
func (m *members) firstJoin(ctx context.Context) error {
	if len(m.cfg.Join) > 0 {
		pool := m.pool.Load()
		targets, _ := pool.Targets(ctx, m.cfg.Join) // what can't be looked up is told of by Join
		if able, mute := answerable(pool.Addr(), m.cfg.Bind, targets); len(able) == 0 && mute != nil {
			return fmt.Errorf("--join: %w", mute)
		}
		reached, err := pool.Join(ctx, m.cfg.Join)
		if err := taken(err); err != nil {
			return err
		}
		if reached == 0 && m.keys.askAbsent(ctx) {
			if reached, err = pool.Join(ctx, m.cfg.Join); taken(err) != nil {
				return taken(err)
			}
		}
		if reached == 0 && ctx.Err() == nil {
			if err == nil {
				err = errors.New("that is this broker itself")
			}
			return fmt.Errorf("--join %s: nobody else answers there: %w", strings.Join(m.cfg.Join, ","), err)
		}
		m.log.Info("joined the cluster")
	}
	if len(m.entries()) == 0 {
		m.life.ready()
	}
	return nil
}

// rejoin looks for others without end: for those that --retry-join and --discover name, which are looked up again each
// time, and for those that were met before and are absent. Serf itself gives up on them (rule S6).
func (m *members) rejoin(context.Context) error {
	late := time.AfterFunc(readyAfter, m.life.ready)
	defer late.Stop()
	defer m.life.ready()
	alone, joined := false, false // and that was said
	pause := retryFirst
	unsure := true       // whether the others see this broker where it is
	var lookUp time.Time // when the names are due, while others are there
	for {
		entries := m.entries()
		now := time.Now()
		due := !m.company() || now.After(lookUp)
		if due {
			lookUp = now.Add(rejoinMax)
		} else {
			entries = nil
		}
		m.noteUnanswered(entries, m.company()) // a try may take a while
		tried, reached, err := m.seek(entries, due || unsure)
		unsure = tried > 0
		if tried > reached && m.keys.askAbsent(m.life.leaving) {
			m.seekNow()
		}
		if err := taken(err); err != nil {
			return err
		}
		company := m.company()
		m.noteUnanswered(entries, company)
		switch {
		case m.life.leaving.Err() != nil:
			return nil
		case company:
			if alone || !joined && len(m.entries()) > 0 {
				m.log.Info("joined the cluster")
			}
			alone, joined = false, true
			m.life.ready()
		case len(entries) > 0 && !alone && !joined: // later each that is gone is told of
			m.log.Warn("nobody else answers yet; this goes on without end, and in silence", withError(err, "tried", entries)...)
			alone = true
		}
		if tried > 0 {
			m.log.Debug("rejoin", withError(err, "tried", tried, "reached", reached)...)
		}
		switch {
		case company && (tried == 0 || reached > 0):
			pause = rejoinMin
		default:
			pause = min(2*pause, rejoinMax)
		}
		switch woken, goesOn := m.sleep(pause); {
		case !goesOn:
			return nil
		case woken:
			pause, lookUp = retryFirst, time.Time{}
		}
	}
}

// noteUnanswered notes what the list of nodes to join names while nobody else answers there.
func (m *members) noteUnanswered(entries []string, company bool) {
	text := ""
	if !company && len(entries) > 0 {
		var shown []string
		for _, entry := range entries {
			if gossip.IsCommand(entry) { // it may hold a secret
				entry = "a command (exec:)"
			}
			shown = append(shown, fmt.Sprintf("%.100s", entry))
		}
		text = cutText("nobody else answers at what --retry-join and --discover name: " + strings.Join(shown, ", "))
	}
	m.unanswered.Store(&text)
}

// nobodyAnswers says, for people, where others are looked for in vain; "" if there are some. It may be called from any goroutine.
func (m *members) nobodyAnswers() string {
	if text := m.unanswered.Load(); text != nil {
		return *text
	}
	return ""
}

// misseenRounds is after how many rounds in a row, each of which joined them again, it is told that members see this broker wrongly.
const misseenRounds = 3

// misseen lists the addresses of members that see this broker elsewhere than where it is, or for gone. A few of them are
// asked, another few each time.
func (m *members) misseen(pool *gossip.Pool) (out []string) {
	var alive []gossip.Member
	for _, x := range pool.Members() {
		if x.Name != m.name && x.Status == gossip.Alive {
			alive = append(alive, x)
		}
	}
	rand.Shuffle(len(alive), func(i, j int) { alive[i], alive[j] = alive[j], alive[i] })
	var by []string
	for _, x := range alive[:min(len(alive), askedAtOnce)] {
		if right, answered := pool.SeenRight(m.life.leaving, x.Addr); answered && !right {
			out, by = append(out, x.Addr), append(by, x.Name)
		}
	}
	m.noteMisseen(pool.Addr(), by)
	return out
}

// noteMisseen notes who sees this broker wrongly, round after round although it joins them again: then what they send to its gossip
// does not arrive, and that it hears them all is no sign that they hear it. It is of the goroutine of the rejoin loop.
func (m *members) noteMisseen(own string, by []string) {
	if len(by) == 0 {
		m.misseenFor = 0
	} else {
		m.misseenFor++
	}
	text := ""
	if m.misseenFor >= misseenRounds {
		slices.Sort(by)
		text = fmt.Sprintf("%s see this broker as gone, or elsewhere, though it joins them again and again: is %s, where its gossip listens, open to others by UDP and TCP?", strings.Join(by, ", "), own)
	}
	was := m.unseen()
	m.misled.Store(&text)
	switch {
	case text != "" && was == "":
		m.log.Warn("others do not see this broker", "reason", text)
	case text == "" && was != "":
		m.log.Warn("others see this broker where it is again")
	}
}

// unseen says, for people, who does not see this broker where it is; "" if all do. It may be called from any goroutine.
func (m *members) unseen() string {
	if text := m.misled.Load(); text != nil {
		return *text
	}
	return ""
}

// withError adds an error to what a line of the log says, if there is one.
func withError(err error, args ...any) []any {
	if err != nil {
		args = append(args, "error", err)
	}
	return args
}

// seek joins those that entries name (nil: they are not due) and those that are absent, as far as they are not there, and those that see this broker
// wrongly, if that is to be asked. Tried is how many addresses that were, reached how many answered.
func (m *members) seek(entries []string, ask bool) (tried, reached int, err error) {
	pool := m.pool.Load()
	var targets []string
	if entries != nil {
		targets = m.lookups.targets(m.life.leaving, pool, entries)
	}
	for _, addr := range m.absent() {
		if !slices.Contains(targets, addr) {
			targets = append(targets, addr)
		}
	}
	there := map[string]bool{}
	for _, x := range pool.Members() {
		there[x.Addr] = x.Status == gossip.Alive
	}
	targets = slices.DeleteFunc(targets, func(addr string) bool { return there[addr] })
	if ask {
		targets = append(targets, m.misseen(pool)...)
	}
	if len(targets) == 0 {
		return 0, 0, nil
	}
	if !m.company() {
		m.settle(targets) // the address on the way to them
		pool = m.pool.Load()
	}
	targets, mute := answerable(pool.Addr(), m.cfg.Bind, targets)
	if len(targets) == 0 {
		return 0, 0, mute
	}
	reached, err = pool.Join(m.life.leaving, targets)
	return len(targets), reached, errors.Join(mute, err)
}

// answerable leaves out of addresses those of other machines as long as peers are told an address of this machine only, own: they
// would talk to themselves, and take this broker for one that answers wrongly. The error names them, and says what to do.
func answerable(own, bind string, targets []string) (out []string, err error) {
	host, _, splitErr := net.SplitHostPort(own)
	if splitErr != nil {
		return targets, nil
	}
	if !onlyHere(host) {
		return sameFamily(bind, targets)
	}
	var left []string
	for _, target := range targets {
		if there, _, err := net.SplitHostPort(target); err == nil && !onlyHere(there) {
			left = append(left, target)
		} else {
			out = append(out, target)
		}
	}
	switch host, _, _ := net.SplitHostPort(bind); {
	case len(left) == 0:
	case onlyHere(host):
		err = fmt.Errorf("this broker is to listen at %s (--bind), which others can't reach, so that %s could not answer it: start it with --bind and an address of this machine that they reach, or 0.0.0.0:7946", bind, strings.Join(left, ", "))
	default:
		err = fmt.Errorf("this machine has no address yet that %s could answer to; where it has one of IPv6 only, start the broker with --bind [::]:7946, since 0.0.0.0 is IPv4", strings.Join(left, ", "))
	}
	return out, err
}

// CheckJoin says which of the nodes that a broker is to join could not answer it, as far as that can be told without a network: of
// entries that are addresses, where its gossip is bound to bind, and known to others at advertise, if that is given.
func CheckJoin(bind, advertise string, entries []string) error {
	var targets []string
	for _, entry := range entries {
		if at, err := netip.ParseAddrPort(entry); err == nil {
			targets = append(targets, at.String())
		} else if ip, err := netip.ParseAddr(strings.Trim(entry, "[]")); err == nil {
			targets = append(targets, netip.AddrPortFrom(ip, gossip.DefaultPort).String())
		}
	}
	_, err := answerable(cmp.Or(advertise, bind), bind, targets)
	return err
}

// sameFamily leaves out of addresses those of IPv6 where the gossip is bound to IPv4, and the other way round: a stream would
// reach them, and none of their packets would reach this broker, as behind a firewall. The error names them, and says what to do.
func sameFamily(bind string, targets []string) (out []string, err error) {
	host, _, splitErr := net.SplitHostPort(bind)
	bound, parseErr := netip.ParseAddr(host)
	if splitErr != nil || parseErr != nil || bound == netip.IPv6Unspecified() { // which takes both
		return targets, nil
	}
	var left []string
	for _, target := range targets {
		if at, err := netip.ParseAddrPort(target); err == nil && at.Addr().Unmap().Is4() != bound.Unmap().Is4() {
			left = append(left, target)
		} else {
			out = append(out, target)
		}
	}
	if len(left) == 0 {
		return out, nil
	}
	ours, theirs := "IPv4", "IPv6"
	if !bound.Unmap().Is4() {
		ours, theirs = theirs, ours
	}
	return out, fmt.Errorf("this broker's gossip is %s (--bind %s), and %s is %s: nothing that is sent there is answered. Name an address of the other one that is %s, or start all brokers with --bind [::]:7946",
		ours, bind, strings.Join(left, ", "), theirs, ours)
}

// sleep waits, and says whether somebody has ended the wait (seekNow). It does not go on when the node begins to leave meanwhile.
func (m *members) sleep(d time.Duration) (woken, goesOn bool) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return false, true
	case <-m.wake:
		return true, true
	case <-m.life.leaving.Done():
		return false, false
	}
}

// seekNow makes the rejoin loop look at once.
func (m *members) seekNow() {
	select {
	case m.wake <- struct{}{}:
	default: // it is about to
	}
}

// RetryJoin replaces the list of Config.RetryJoin from now on. It may be called from any goroutine.
func (n *Node) RetryJoin(entries []string) {
	entries = slices.Clone(entries)
	n.members.names.Store(&entries)
	n.members.seekNow()
}
