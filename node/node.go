package node

import (
	"cmp"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"net"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/urban-compute/ucp/broker"
	"github.com/urban-compute/ucp/broker/wire"
	"github.com/urban-compute/ucp/city"
	"github.com/urban-compute/ucp/executor"
	"github.com/urban-compute/ucp/gossip"
	"github.com/urban-compute/ucp/identity"
	"github.com/urban-compute/ucp/job"
	"github.com/urban-compute/ucp/ledger"
	"github.com/urban-compute/ucp/node/httpd"
	"github.com/urban-compute/ucp/store"
)

// Node is one running broker. Make it with [New], then call [Node.Run] once. It composes the parts that
// do the work; each part's goroutine is started by Run.
type Node struct {
	cfg    Config
	log    *slog.Logger
	life   *lifecycle
	name   string
	starts starts // the broker's actor
	caps   wire.Capabilities

	store    *store.Store
	engine   *engine // the core's loop
	listener net.Listener
	socket   net.Listener         // of --http-socket; nil for none
	told     atomic.Pointer[told] // the addresses that peers are told
	moving   sync.Mutex           // held while the broker moves to another address, or begins to leave
	bound    *bound               // the addresses that it listens on
	nameless bool                 // its own name can't be looked up, which was said; of New, then of the goroutine that watches addresses
	http     *httpd.Server
	shown    shown       // what the core last published
	breaches onceASecond // of peers, into the log

	known      *knownPeers
	members    *members
	peers      *peers
	blobs      *blobs
	gate       *moduleGate
	reserve    *diskReserve
	dir        *dataDir
	broadcasts *broadcasts
	executions *executions
	prober     *prober
	carrier    *carrier
	audits     *audits
	web        atomic.Pointer[identity.Web]
	keys       *gossipKeys // nil where the broker belongs to no city
	heads      *heads      // nil where the broker belongs to no city
}

// New opens the store, mints the actor (rule I1), reads what was stored, and
// binds the listeners. Nothing runs before [Node.Run]; a Node that is not run
// must be closed with [Node.Close].
func New(cfg Config) (n *Node, err error) {
	cfg, err = cfg.complete()
	if err != nil {
		return nil, err
	}
	n = &Node{cfg: cfg, log: cfg.Logger, life: newLifecycle(), shown: shown{first: make(chan struct{})}}
	started := cfg.Now()
	defer func() {
		if err != nil {
			err = errors.Join(err, n.Close())
		}
	}()
	if err := n.openStore(); err != nil {
		return n, err
	}
	if n.listener, err = cfg.Network.Listen(cfg.HTTPAddr); err != nil {
		return n, fmt.Errorf("--http-addr %s: %w", cfg.HTTPAddr, err)
	}
	if cfg.HTTPSocket != "" {
		if n.socket, err = listenSocket(cfg.HTTPSocket, cfg.SocketMode); err != nil {
			return n, fmt.Errorf("--http-socket: %w", err)
		}
	}
	at, err := n.addresses(n.firstAddress(slices.Concat(cfg.Join, n.cfg.RetryJoin, n.known.addrs(nil))))
	if err != nil {
		return n, err
	}
	n.told.Store(&at)
	n.web.Store(cfg.Web)
	n.cfg.warnOfDoors()
	n.bound = newBound(n.log, &cfg)
	n.bound.look(machineAddresses())
	if err := n.openCore(); err != nil {
		return n, err
	}
	if n.audits, err = openAudits(n.store, n.name, &cfg, n.log); err != nil {
		return n, err
	}
	if cfg.City != nil {
		n.heads.audits, n.heads.sheets.audits = n.audits, n.audits
		n.keys = &gossipKeys{audits: n.audits, store: n.store, cfg: &n.cfg, log: n.log, now: n.cityTime}
	}
	n.http = httpd.New(httpd.Config{
		Name: n.name, Software: cfg.Software, Capabilities: n.caps, Started: started, City: cfg.City, Keyring: cfg.Keyring,
		HTTPHosts: hosts(&cfg, at.http), Replicas: cfg.Replicas, SyncInterval: cfg.SyncInterval, AckTimeout: cfg.AckTimeout, PeerTimeout: cfg.PeerTimeout,
		Now: cfg.Now, Logger: n.log, Metrics: cfg.Metrics, LogLevel: cfg.LogLevel, RecentLog: cfg.RecentLog, Settings: cfg.Settings, Audit: n.audits, Keys: n.keyring(), Heads: n.signedHeads(), TrustLocal: cfg.TrustLocal, Web: n.web.Load,
	}, n.engine, host{n}, n.store)
	if have := machineMemory(); cfg.Memory+cfg.ModuleMemory > have {
		n.log.Warn("this broker may use more memory for jobs and modules than its machine, or the control groups that it is in, allow", "bytes", cfg.Memory+cfg.ModuleMemory, "of", have)
	}
	n.compose()
	n.executions.runner, err = cfg.Runner(RunnerConfig{
		Dir: cfg.DataDir, Blobs: n.blobs, AllowProcess: cfg.AllowProcess, Sandbox: cfg.Sandbox, AllowModule: n.gate.check, Secrets: n.secrets(), AdoptOrphans: cfg.AdoptOrphans, Memory: cfg.Memory, ModuleMemory: cfg.ModuleMemory,
		DiskReserve: cfg.DiskReserve - n.store.Ballast(), ModuleCache: cmp.Or(cfg.ModuleCache, 4*max(cfg.DiskReserve, 0)),
		Logger: n.log.With("part", "executor"), Report: n.executions.report, Compiled: n.executions.compiled, Unable: n.executions.unable,
	})
	if err == nil {
		err = n.checkTrust(sandbox(n.executions.runner))
		n.prober.runner, n.reserve.giveWay = n.executions.runner, n.giveWay
	}
	return n, err
}

// giveWay frees so many bytes of the disk of what is only kept to save time: what has come of blobs that nobody fetches now,
// then compiled modules.
func (n *Node) giveWay(bytes int64) (freed int64) {
	if freed = n.store.Blobs().FreePartials(bytes); freed < bytes {
		freed += n.executions.runner.FreeDisk(bytes - freed)
	}
	return freed
}

// hosts are the names by which clients may call this broker: those that were given, and that which peers are told.
func hosts(cfg *Config, told string) []string {
	names := slices.Clone(cfg.HTTPHosts)
	if host, _, err := net.SplitHostPort(told); err == nil {
		names = append(names, host)
	}
	for i, name := range names {
		names[i] = strings.ToLower(name)
	}
	return names
}

// compose makes the parts.
func (n *Node) compose() {
	counted := n.http.Metrics()
	n.engine.committed = counted.Committed
	n.blobs = &blobs{store: n.store, grace: n.cfg.BlobGrace, engine: n.engine, metrics: counted, log: n.log, cutting: make(chan struct{}, 2)}
	n.reserve = &diskReserve{dir: n.cfg.DataDir, reserve: n.cfg.DiskReserve, store: n.store, tell: n.engine.Tell, log: n.log}
	n.blobs.scarce = n.reserve.scarce
	n.broadcasts = &broadcasts{engine: n.engine, metrics: counted, log: n.log, now: n.cfg.Now, waiting: make(chan []byte, maxBroadcasts)}
	n.prober = newProber(n.engine, n.log, n.cfg.Now)
	n.executions = &executions{engine: n.engine, metrics: counted, log: n.log, now: n.cfg.Now}
	n.peers = newPeers(n.life.ctx, &n.cfg, n.name, n.engine, n.blobs, counted)
	n.members = &members{
		cfg: &n.cfg, name: n.name, known: n.known, engine: n.engine, peers: n.peers, broadcasts: n.broadcasts,
		http: n.http, life: n.life, log: n.log, wake: make(chan struct{}, 1),
		asked: make(chan struct{}), moved: make(chan struct{}, 1), settle: n.settle,
		lookups: lookups{log: n.log},
	}
	n.members.names.Store(&n.cfg.RetryJoin)
	if n.keys != nil {
		n.keys.peers, n.keys.members, n.members.keys = n.peers, n.members, n.keys
	}
	n.peers.keys, n.peers.heads = n.keys, n.heads
	if n.heads != nil {
		n.heads.sheets.peers, n.heads.sheets.brokers = n.peers, n.members.brokers
	}
	n.carrier = &carrier{
		name: n.name, engine: n.engine, blobs: n.blobs, peers: n.peers, city: n.cfg.City, heads: n.heads, reserve: n.reserve,
		actor: n.starts.actor, now: n.cityTime, random: n.cfg.Random, digest: n.http.LedgerDigest, log: n.log.With("part", "carry"), path: heldPath(n.cfg.DataDir),
		outbox: n.cfg.Outbox, inbox: n.cfg.Inbox,
	}
	n.carrier.recall()
	n.peers.self = n.starts.actor
	n.peers.brokers, n.peers.audits, n.audits.brokers = n.members.brokers, n.audits, n.members.brokers
}

func (n *Node) openStore() error {
	st, err := store.Open(store.Options{
		Dir: n.cfg.DataDir, FS: n.cfg.FS, Logger: n.log.With("part", "store"), Fatal: n.life.fatal,
		Ballast: ballast(n.cfg.DiskReserve),
	})
	if err != nil {
		return err
	}
	n.store, n.gate = st, newModuleGate(n.cfg.AllowModules, st)
	if n.dir, err = lookAtDataDir(&n.cfg); err != nil {
		return err
	}
	id, err := st.Identify(n.cfg.Name, fallbackName(), n.cfg.Now(), n.cfg.Random)
	if err != nil {
		return err
	}
	n.name = id.Name
	n.starts.begin(id.Actor)
	before, err := broker.StoredUptime(st.Scan)
	if err != nil {
		return err
	}
	began := n.cfg.Now()
	uptime := func() time.Duration { return before + n.cfg.Now().Sub(began) }
	var invited []string // whom the broker was told to join as it came into its city
	if n.cfg.City != nil {
		invited = n.cfg.City.Folder().Gossip()
	}
	n.known, err = recallPeers(st, n.name, len(n.cfg.Join)+len(n.cfg.RetryJoin)+len(invited) > 0 || n.cfg.Discover != "", uptime)
	if err == nil && len(n.known.met) == 0 {
		invited = slices.DeleteFunc(invited, func(at string) bool { return slices.Contains(n.cfg.RetryJoin, at) })
		n.cfg.RetryJoin = slices.Concat(n.cfg.RetryJoin, invited)
	}
	return err
}

func (n *Node) openCore() error {
	var seed [8]byte
	if _, err := io.ReadFull(n.cfg.Random, seed[:]); err != nil {
		return fmt.Errorf("random seed: %w", err)
	}
	drivers := []job.Driver{job.Wasm}
	if n.cfg.AllowProcess {
		drivers = append(drivers, job.Process)
	}
	labels := maps.Clone(n.cfg.Labels)
	if labels == nil {
		labels = map[string]string{}
	}
	labels["name"], labels["os"], labels["arch"] = n.name, runtime.GOOS, runtime.GOARCH
	n.caps = wire.Capabilities{
		Capacity: job.Resources{CPU: n.cfg.CPU, Memory: n.cfg.Memory, IO: defaultIO, Devices: n.cfg.Devices},
		Drivers:  drivers, Labels: labels,
		NoNetwork: !n.cfg.Sandbox.Network && !n.cfg.Sandbox.Off, Room: n.cfg.Memory + n.cfg.ModuleMemory,
		AllowModules: n.cfg.AllowModules.Tags(), Secrets: n.cfg.City != nil,
	}
	if free, err := n.store.Free(); err == nil {
		n.caps.Disk = free
	}
	core := broker.New(broker.Config{
		Actor: n.starts.actor(), HTTPAddr: n.told.Load().http, Software: n.cfg.Software, Capabilities: n.caps,
		City: n.city(), Adopted: n.adopted(), Signs: n.cfg.City != nil, Expecting: n.known.expecting, Protocol: n.known.protocol(),
		Replicas: n.cfg.Replicas, SyncInterval: n.cfg.SyncInterval, NewsLinks: !n.cfg.NoNewsLinks, RumourPause: rumourPause,
		AckTimeout: n.cfg.AckTimeout, BlobTrust: n.cfg.BlobGrace / 2, MaxClockSkew: n.cfg.MaxClockSkew,
		RedeployDelay: n.cfg.RedeployDelay, IsolationDelay: n.cfg.IsolationDelay, MaxLosses: uint64(max(n.cfg.MaxLosses, 0)),
		Strategy: n.cfg.Strategy, KeepStrategy: n.cfg.KeepStrategy, Weights: n.cfg.Weights, Conflicts: n.cfg.ConflictHistory,
		Retention: n.cfg.Retention, RetentionCount: max(n.cfg.RetentionCount, 0), DataRetention: n.cfg.DataRetention,
		Seed: binary.LittleEndian.Uint64(seed[:]), Archive: n.store,
		WorkerMemory: executor.WorkerMemory,
		ModuleTags:   n.gate.tagsOf,
		ModuleSize:   func(d job.Digest) int64 { size, _ := n.store.Blobs().Has(string(d)); return size },
	})
	if n.cfg.City != nil {
		stored, err := broker.StoredHeads(n.store.Scan)
		if err != nil {
			return fmt.Errorf("reading the heads in %s: %w", n.cfg.DataDir, err)
		}
		n.heads = &heads{all: city.NewHeads(n.cfg.City, stored...), now: n.cfg.Now, log: n.log}
		n.heads.sheets = &sheets{heads: n.heads, store: n.store, name: n.name, now: n.cfg.Now, log: n.log, limit: keptSheets, found: map[ledger.Ref]string{}, told: func(in broker.Looked) { n.engine.Tell(in) }}
		if err := n.heads.sheets.recall(); err != nil {
			return fmt.Errorf("reading the sheets in %s: %w", n.cfg.DataDir, err)
		}
	}
	if err := core.Load(n.store.Scan); err != nil {
		return fmt.Errorf("reading the jobs in %s: %w", n.cfg.DataDir, err)
	}
	n.engine = newEngine(core, n.store, n.cfg.Now, n.act)
	if n.heads != nil {
		n.heads.engine = n.engine
		n.engine.sign, n.engine.synced = n.heads.sign, n.heads.all.Publish
	}
	return nil
}

// city is the one that the broker belongs to; "" for none.
func (n *Node) city() identity.City {
	if n.cfg.City == nil {
		return ""
	}
	return n.cfg.City.Authorities().City()
}

// adopted are those in the roll that nobody has let into the city, as this broker was told when it came in.
func (n *Node) adopted() []string {
	if n.cfg.City == nil {
		return nil
	}
	return n.cfg.City.Folder().Adopted()
}

// keyring is what the HTTP server asks about the keys of the gossip; nil where the broker belongs to no city.
func (n *Node) keyring() httpd.Keyring {
	if n.keys == nil {
		return nil
	}
	return n.keys
}

// signedHeads is what the HTTP server asks about heads; nil where the broker belongs to no city.
func (n *Node) signedHeads() httpd.Heads {
	if n.heads == nil {
		return nil
	}
	return n.heads
}

// cityTime is what time it is in the city (rule T2).
func (n *Node) cityTime() time.Time { return n.shown.cityTime(n.cfg.Now(), n.cfg.MaxClockSkew) }

// keysOrdered is told that somebody has had an order about keys answered here.
func (n *Node) keysOrdered() {
	if n.keys != nil {
		n.keys.ordered()
	}
}

// announce tells all members who this broker is, once it has met some or tried to.
func (n *Node) announce(ctx context.Context) error {
	if n.cfg.City == nil {
		return nil
	}
	select {
	case <-n.life.joined:
		n.engine.Tell(broker.Vouch{Proofs: n.cfg.City.Announce()})
	case <-ctx.Done():
	}
	return nil
}

// introduce tells the core who has let in those who have come, where that is known here: they have shown their certificates.
func (n *Node) introduce(names []string) {
	var proofs []*identity.Proof
	for _, name := range names {
		if p := n.cfg.City.Introduce(name); p != nil {
			proofs = append(proofs, p)
		}
	}
	if len(proofs) > 0 {
		n.engine.Tell(broker.Vouch{Proofs: proofs})
	}
}

// rumourPause is long enough that a broker under load passes on many records in one
// message, and short beside the seconds in which all brokers are to know of a job.
const rumourPause = 200 * time.Millisecond

// Ready is closed when the broker has joined others, or has tried to for some seconds: /readyz says yes then.
func (n *Node) Ready() <-chan struct{} { return n.life.joined }

// Name is the broker's name.
func (n *Node) Name() string { return n.name }

// Run joins the cluster and works until the context ends, or `serf leave` is said on the RPC port: it
// then leaves the cluster gracefully and returns nil. It returns an error when it can't start, a wanted
// join fails, or the disk does. All that it started has ended when it returns.
func (n *Node) Run(ctx context.Context) error {
	defer n.Close()
	rpc := n.cfg.RPCAddr
	if rpc == "-" {
		rpc = ""
	}
	pool, err := n.startGossip(n.cfg.Bind, rpc)
	if err != nil {
		return err
	}
	if err := n.members.claim(ctx); err != nil {
		return err
	}
	n.log.Info("broker is up", "name", n.name, "gossip", pool.Addr(), "rpc", pool.RPCAddr(),
		"http", n.listener.Addr().String(), "actor", string(n.starts.actor()), "version", n.cfg.Software)
	n.life.run("engine", n.engine.run)
	n.life.run("http", n.serve)
	if n.socket != nil {
		n.life.run("http socket", n.serveSocket)
	}
	n.life.run("audit log", n.audits.run)
	n.life.run("members", n.members.watch)
	n.life.run("rejoin", n.members.rejoin)
	n.life.run("pressure", n.measurePressure)
	n.life.run("disk reserve", n.reserve.watch)
	n.life.run("data directory", n.dir.watch)
	n.life.run("blob sweep", n.blobs.sweep)
	n.life.run("carrier", n.carrier.run)
	n.life.run("prober", n.prober.run)
	n.life.run("announcement", n.announce)
	if n.heads != nil {
		n.life.run("sheets", n.heads.sheets.run)
	}
	n.life.run("addresses", n.watchAddresses)
	n.life.run("broadcasts", func(ctx context.Context) error { return n.broadcasts.run(ctx, n.members.pool.Load) })
	if err := n.members.firstJoin(ctx); err != nil {
		return err
	}
	select {
	case <-ctx.Done():
		n.log.Info("leaving the cluster")
	case <-n.members.asked:
		n.log.Info("leaving the cluster, as asked for through RPC")
	case <-n.life.ctx.Done():
		return context.Cause(n.life.ctx)
	}
	n.leave()
	return nil
}

// serve answers requests once there is something to tell: who asks a broker that has begun just now waits for
// that, and is not told of a broker that knows nobody and holds nothing.
func (n *Node) serve(ctx context.Context) error {
	select {
	case <-n.shown.first:
		return n.http.Serve(n.listener)
	case <-ctx.Done():
		return nil
	}
}

// serveSocket is serve for the Unix socket.
func (n *Node) serveSocket(ctx context.Context) error {
	select {
	case <-n.shown.first:
		return n.http.ServeSocket(n.socket)
	case <-ctx.Done():
		return nil
	}
}

// rpcSocket listens for Serf's RPC on a Unix socket; nil where there is to be none.
func (n *Node) rpcSocket() (net.Listener, error) {
	if n.cfg.RPCSocket == "" {
		return nil, nil
	}
	l, err := listenSocket(n.cfg.RPCSocket, n.cfg.SocketMode)
	if err != nil {
		return nil, fmt.Errorf("--rpc-socket: %w", err)
	}
	return l, nil
}

// startGossip shows the pool to the other parts, unless the node was closed meanwhile.
func (n *Node) startGossip(bind, rpc string) (*gossip.Pool, error) {
	transport, err := n.cfg.Network.Gossip()
	if err != nil {
		return nil, fmt.Errorf("gossip transport: %w", err)
	}
	socket, err := n.rpcSocket()
	if err != nil {
		return nil, err
	}
	pool, err := gossip.Start(gossip.Config{
		Name: n.name, RPCSocket: socket, Bind: bind, Advertise: n.told.Load().gossip, RPCAddr: rpc, RPCAuth: n.cfg.RPCAuth, Keyring: n.cfg.Keyring, KeysOrdered: n.keysOrdered, Discover: n.cfg.Discover,
		Tags:         n.tags(false),
		SyncInterval: n.cfg.SyncInterval,
		State:        n.shown.state,
		Refused:      func(what gossip.Refused) { n.http.Metrics().GossipRefused(string(what)) },
		Answer:       n.http.AnswerQuery, Transport: transport, Logger: slog.New(quiet{n.log.Handler()}).With("part", "gossip"),
	})
	if err != nil {
		return nil, err
	}
	n.members.pool.Store(pool)
	if n.keys != nil {
		if err := n.keys.recall(); err != nil {
			return nil, err
		}
	}
	if n.life.ctx.Err() != nil { // Close may not have seen it
		return nil, errors.Join(context.Cause(n.life.ctx), pool.Shutdown())
	}
	return pool, nil
}

// leave drains this broker, then leaves Serf so that peers record it as left, not failed: it takes
// nothing more, hands over what it owns, lets what runs finish within DrainTimeout, and stops the rest,
// which runs again elsewhere (rule J6). It does not leave Serf, and so counts as failed, when a member
// lacks what it wrote: nobody waits for the news of a broker that has left (rule A3).
func (n *Node) leave() {
	n.moving.Lock() // it stays where it is from now on
	n.life.leave()
	n.moving.Unlock()
	pool := n.members.pool.Load()
	known := n.drain(pool)
	ctx, cancel := context.WithTimeout(context.Background(), n.cfg.PeerTimeout)
	defer cancel()
	if err := n.http.Shutdown(ctx); err != nil {
		n.log.Warn("requests were cut off", "error", err)
	}
	if !known {
		n.log.Warn("this broker ends without leaving Serf, and counts as failed: not all others hold what it wrote, which is on its disk until its next start")
		return
	}
	if err := pool.Leave(ctx); err != nil {
		n.log.Warn("leaving the cluster", "error", err)
	}
}

// Close ends all at once, without leaving the cluster, and waits; what was
// acknowledged is on disk. It may be called several times, also while Run runs,
// which then returns.
func (n *Node) Close() error {
	var errs []error
	n.life.closed.Do(func() {
		n.life.stop()
		if n.http != nil {
			errs = append(errs, n.http.Close())
		}
		for _, l := range []net.Listener{n.listener, n.socket} {
			if l == nil {
				continue
			}
			if err := l.Close(); !errors.Is(err, net.ErrClosed) {
				errs = append(errs, err)
			}
		}
		if n.members != nil {
			if pool := n.members.pool.Load(); pool != nil {
				errs = append(errs, pool.Shutdown())
			}
		}
		if n.executions != nil && n.executions.runner != nil {
			errs = append(errs, n.executions.runner.Close())
		}
		n.life.work.Wait()
		if n.peers != nil {
			n.peers.close() // now nothing sends any more
		}
		if n.store != nil {
			errs = append(errs, n.store.Close())
		}
	})
	return errors.Join(errs...)
}

// measurePressure tells the core how busy this machine is (rule S5).
func (n *Node) measurePressure(ctx context.Context) error {
	t := time.NewTicker(10 * time.Second)
	defer t.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-t.C:
			n.engine.Tell(broker.Pressure{Stretch: n.cfg.Load(), Tight: machineTight()})
		}
	}
}
