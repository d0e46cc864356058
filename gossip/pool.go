package gossip

import (
	"context"
	"fmt"
	"io"
	"log"
	"maps"
	"net/netip"
	"strconv"
	"sync"
	"time"

	"github.com/hashicorp/memberlist"
	"github.com/hashicorp/serf/cmd/serf/command/agent"
	"github.com/hashicorp/serf/serf"
)

const (
	// leavePropagate is how long a node that leaves still answers pings, so that it is not taken for failed
	// before the message that it leaves has arrived.
	leavePropagate = time.Second
	// reclaimAfter is how long a node must have been dead before its name may be used by another address (a
	// restart with a new address). Without it, memberlist refuses the name until it forgets the dead node,
	// after half a minute or more.
	reclaimAfter = 5 * time.Second
	// monitorLines is how many past log lines "serf monitor" shows first.
	monitorLines = 512
	// packetLimit is Serf's limit for an encoded query and for an encoded answer, in bytes: each must fit
	// into one UDP packet.
	packetLimit = 1024
)

// Pool is this node's membership in the cluster. Make one with Start. Its methods may be called from any
// goroutine unless they say otherwise.
type Pool struct {
	cfg    Config
	stats  counters
	queue  *queue
	logs   *logBridge
	agent  *agent.Agent
	rpc    *rpcServer // nil: no RPC port
	wire   *transport
	keys   *keys  // nil: gossip is not encrypted
	addr   string // see Addr; it never changes
	bound  int    // see BoundPort
	mdns   *mdnsNode
	serfIn chan serf.Event // Serf sends its events here; drain receives them

	answers chan struct{} // a slot for each answer under way
	work    sync.WaitGroup
	ctx     context.Context // ends when Shutdown begins
	cancel  context.CancelFunc
	life    lifecycle
}

// Start starts the node. It is alone in its own cluster until it joins, or is joined by, another one. On
// error nothing keeps running. The caller owns the Pool: it must receive from Events and States, and call
// Shutdown.
func Start(cfg Config) (*Pool, error) {
	cfg, err := cfg.withDefaults()
	if err != nil {
		return nil, err
	}
	p := &Pool{
		cfg:     cfg,
		serfIn:  make(chan serf.Event, eventQueue),
		logs:    &logBridge{log: cfg.Logger},
		answers: make(chan struct{}, maxConcurrentAnswers),
	}
	p.life.init()
	p.mdns = newMDNS(cfg.Name, cfg.Discover, p.logs)
	p.queue = newQueue(&p.stats)
	p.ctx, p.cancel = context.WithCancel(context.Background())
	if err := p.start(); err != nil {
		p.cancel()
		if p.wire != nil {
			_ = p.wire.Shutdown()
		}
		switch {
		case p.rpc != nil:
			_ = p.rpc.listener.Close()
		case cfg.RPCSocket != nil:
			_ = cfg.RPCSocket.Close()
		}
		return nil, err
	}
	return p, nil
}

// start first does what can fail for external reasons (ports, addresses), then starts Serf, and lets peers in
// last.
func (p *Pool) start() error {
	conf, err := p.serfConfig()
	if err != nil {
		return err
	}
	if p.cfg.RPCAddr != "" || p.cfg.RPCSocket != nil {
		if p.rpc, err = listenRPC(&p.cfg, &p.life, &p.stats); err != nil {
			return err
		}
	}
	// The monitor keeps the last lines for "serf monitor"; AgentIPC streams from it, too.
	monitor := agent.NewLogWriter(monitorLines)
	out := io.MultiWriter(p.logs, monitor)
	agentConf := agent.DefaultConfig()
	agentConf.EnableCompression = true // DefaultConfig of the agent leaves it off
	p.agent, err = agent.Create(agentConf, conf, out)
	if err != nil {
		return fmt.Errorf("gossip: creating the serf agent of %s: %w", p.cfg.Name, err)
	}
	// The agent would pass Serf's events to RPC clients itself. It gets none; rpc_events.go says why.
	conf.EventCh = p.serfIn
	if err := p.agent.Start(); err != nil {
		return fmt.Errorf("gossip: starting the serf agent of %s: %w", p.cfg.Name, err)
	}
	own := p.agent.Serf().Memberlist().LocalNode() // which memberlist changes later without a lock, but not its address
	p.addr = joinHostPort(own.Addr, own.Port)
	if p.rpc != nil {
		p.rpc.ipc = agent.NewAgentIPC(p.agent, "", rpcListener{&p.rpc.listener, p.rpc}, out, monitor, false)
	}
	p.work.Go(p.drain)
	p.wire.open()
	if p.cfg.Discover != "" {
		p.work.Go(func() { p.mdns.answer(p.ctx, p.Addr()) })
	}
	return nil
}

// serfConfig returns Serf's configuration: the defaults of a stock agent on a LAN, with the changes that the
// rules and the design require.
func (p *Pool) serfConfig() (*serf.Config, error) {
	conf := serf.DefaultConfig()
	conf.NodeName = p.cfg.Name
	conf.Tags = maps.Clone(p.cfg.Tags)
	conf.ProtocolVersion = serf.ProtocolVersionMax // as the stock agent does
	conf.LeavePropagateDelay = leavePropagate
	conf.QuerySizeLimit, conf.QueryResponseSizeLimit = packetLimit, packetLimit
	// Events are delivered one by one and at once (rule E4), and so are changes of members.
	conf.UserCoalescePeriod, conf.UserQuiescentPeriod = 0, 0
	conf.CoalescePeriod, conf.QuiescentPeriod = 0, 0
	// The owner itself remembers members, including dead ones (rule S6).
	conf.SnapshotPath = ""
	// No node is voted out of the cluster: see NameConflict.
	conf.EnableNameConflictResolution = false

	ml := memberlist.DefaultLANConfig()
	ml.PushPullInterval = p.cfg.SyncInterval
	ml.DeadNodeReclaimTime = reclaimAfter
	conf.MemberlistConfig = ml
	conf.KeyringFile = "" // what "serf keys" changes we write ourselves (keys.go)
	if err := p.connect(ml); err != nil {
		return nil, err
	}
	return conf, nil
}

// connect gives memberlist its transport and its addresses.
func (p *Pool) connect(ml *memberlist.Config) (err error) {
	inner := p.cfg.Transport
	if inner == nil {
		bind, err := resolveOne(p.ctx, "bind", p.cfg.Bind, "0.0.0.0")
		if err != nil {
			return err
		}
		if p.cfg.Advertise == "" && bind.Addr() == netip.IPv6Unspecified() {
			return fmt.Errorf("gossip: bind address %q means all interfaces: set an advertise address to say which one peers should use", p.cfg.Bind)
		}
		socks, err := bindSockets(bind, log.New(p.logs, "", log.LstdFlags))
		if err != nil {
			return err
		}
		inner = socks
		ml.BindAddr, ml.BindPort = bind.Addr().String(), socks.GetAutoBindPort()
		p.bound = ml.BindPort
	}
	sift := newSift(p.cfg.Name, p.cfg.Refused, p.cfg.Logger)
	sift.alive = p.alive
	if p.cfg.Keyring != "" {
		if ml.Keyring, err = readKeyring(p.cfg.Keyring); err != nil {
			_ = inner.Shutdown()
			return err
		}
		ml.GossipVerifyIncoming = false // the transport has: nothing comes past it that is not sealed
		p.keys = &keys{ring: ml.Keyring, path: p.cfg.Keyring, log: p.cfg.Logger, written: ml.Keyring.GetKeys()}
	}
	p.wire = newTransport(inner, sift, seal{ml.Keyring}, func() error {
		return installDelegates(ml, p.cfg.State, p.withStatus, p.queue, sift, &p.stats, p.cfg.Logger)
	})
	p.wire.keys = p.keys
	ml.Transport = p.wire
	if p.cfg.Advertise == "" {
		return nil
	}
	adv, err := resolveOne(p.ctx, "advertise", p.cfg.Advertise, "")
	if err != nil {
		return err
	}
	if adv.Addr().IsUnspecified() {
		return fmt.Errorf("gossip: advertise address %q: peers cannot reach it: name one address of this machine", p.cfg.Advertise)
	}
	ml.AdvertiseAddr, ml.AdvertisePort = adv.Addr().String(), int(adv.Port())
	if adv.Port() == 0 {
		ml.AdvertisePort = ml.BindPort
	}
	return nil
}

// alive reports whether a node is alive, or about to leave. It may be called when Serf is complete.
func (p *Pool) alive(name string) bool {
	for _, m := range p.agent.Serf().Members() {
		if m.Name == name {
			return m.Status == serf.StatusAlive || m.Status == serf.StatusLeaving
		}
	}
	return false
}

// withStatus lists the nodes that have a status. It may be called when Serf is complete.
func (p *Pool) withStatus(status serf.MemberStatus) (names []string) {
	for _, m := range p.agent.Serf().Members() {
		if m.Status == status {
			names = append(names, m.Name)
		}
	}
	return names
}

// Addr returns the host:port under which peers reach this node: the advertised address, with the port that
// was bound.
func (p *Pool) Addr() string { return p.addr }

// BoundPort returns the port that was bound, which is not that of Addr where another one is advertised; 0 with a Transport of
// the owner's.
func (p *Pool) BoundPort() string { return strconv.Itoa(p.bound) }

// RPCAddr returns the host:port of the RPC port, or "" if there is none.
func (p *Pool) RPCAddr() string {
	if p.rpc == nil {
		return ""
	}
	return p.rpc.listener.port()
}
