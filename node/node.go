package node

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"net"
	"net/http"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"github.com/urban-compute/ucp/broker"
	"github.com/urban-compute/ucp/broker/wire"
	"github.com/urban-compute/ucp/clock"
	"github.com/urban-compute/ucp/gossip"
	"github.com/urban-compute/ucp/job"
	"github.com/urban-compute/ucp/store"
)

// Node is one running broker. Make it with [New], then call [Node.Run] once.
type Node struct {
	cfg    Config
	log    *slog.Logger
	name   string
	actor  clock.Actor
	caps   wire.Capabilities
	start  time.Time
	random io.Reader

	store      *store.Store
	engine     *engine
	pool       *gossip.Pool
	listener   net.Listener
	http       *http.Server
	runner     Runner
	peers      *peers
	met        acquaintances
	meter      meter
	runs       running
	metrics    *metrics
	hub        hub // who watches /v1/events
	floods     chan []byte
	complaints complaints

	isWasm  modules
	strange atomic.Bool            // told of others, and has never met one
	full    atomic.Pointer[string] // why no new jobs are taken; nil while there is room
	leaving context.Context        // ends when the node begins to leave: nobody waits longer
	goodbye context.CancelFunc

	overview atomic.Pointer[broker.Overview] // what is shown of this broker and the others
	encoded  atomic.Pointer[func() []byte]   // the same, as push-pull carries it: encoded when the first asks

	work      sync.WaitGroup // all goroutines of Run
	ctx       context.Context
	cancel    context.CancelCauseFunc
	digesting sync.Mutex // held while a digest of the store is made

	joined chan struct{} // closed when /readyz may say yes
	once   sync.Once
}

// New opens the store, mints the actor (rule I1), reads what was stored, and
// binds the listeners. Nothing runs before [Node.Run]; a Node that is not run
// must be closed with [Node.Close].
func New(cfg Config) (n *Node, err error) {
	cfg, err = cfg.complete()
	if err != nil {
		return nil, err
	}
	n = &Node{cfg: cfg, log: cfg.Logger, start: cfg.Now(), random: cfg.Random, joined: make(chan struct{}), floods: make(chan []byte, maxFloods)}
	n.ctx, n.cancel = context.WithCancelCause(context.Background())
	n.leaving, n.goodbye = context.WithCancel(n.ctx)
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
	if err := n.openCore(); err != nil {
		return n, err
	}
	n.peers = newPeers(n)
	n.metrics = newMetrics(n)
	crowd := newCrowd(n.log)
	n.listener = newDoor(n.listener, crowd)
	n.http = &http.Server{
		ConnState: crowd.state,
		Handler:   n.handler(), ReadHeaderTimeout: cfg.PeerTimeout, IdleTimeout: 2 * time.Minute,
		MaxHeaderBytes: 64 << 10, ErrorLog: slog.NewLogLogger(n.log.Handler(), slog.LevelDebug),
	}
	n.runner, err = cfg.Runner(RunnerConfig{
		Dir: cfg.DataDir, Blobs: blobs{n.store.Blobs(), n.sound}, AllowProcess: cfg.AllowProcess,
		Logger: n.log.With("part", "executor"), Report: n.report,
	})
	return n, err
}

func (n *Node) openStore() error {
	st, err := store.Open(store.Options{
		Dir: n.cfg.DataDir, FS: n.cfg.FS, Logger: n.log.With("part", "store"), Fatal: n.fatal,
	})
	if err != nil {
		return err
	}
	n.store = st
	id, err := st.Identify(n.cfg.Name, fallbackName(), n.cfg.Random)
	if err != nil {
		return err
	}
	n.name, n.actor = id.Name, id.Actor
	if err := n.met.recall(st); err != nil {
		return err
	}
	n.strange.Store(n.met.metNobody() && len(n.cfg.Join)+len(n.cfg.RetryJoin) > 0)
	return nil
}

// fatal ends the node because its disk can't be trusted any more; nothing is
// retried.
func (n *Node) fatal(err error) { n.cancel(fmt.Errorf("the disk failed: %w", err)) }

func (n *Node) openCore() error {
	var seed [8]byte
	if _, err := io.ReadFull(n.random, seed[:]); err != nil {
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
	}
	if free, err := n.store.Free(); err == nil {
		n.caps.Disk = free
	}
	core := broker.New(broker.Config{
		Actor: n.actor, HTTPAddr: n.httpAddr(), Software: n.cfg.Software, Capabilities: n.caps,
		Replicas: n.cfg.Replicas, SyncInterval: n.cfg.SyncInterval, NewsLinks: !n.cfg.NoNewsLinks, RumourPause: rumourPause,
		AckTimeout: n.cfg.AckTimeout, BlobTrust: n.cfg.BlobGrace / 2, MaxClockSkew: n.cfg.MaxClockSkew,
		RedeployDelay: n.cfg.RedeployDelay, IsolationDelay: n.cfg.IsolationDelay,
		Strategy: n.cfg.Strategy, Weights: n.cfg.Weights, Conflicts: n.cfg.ConflictHistory,
		Retention: n.cfg.Retention, RetentionCount: max(n.cfg.RetentionCount, 0),
		Seed: binary.LittleEndian.Uint64(seed[:]), Archive: n.store,
	})
	if err := core.Load(n.store.Scan); err != nil {
		return fmt.Errorf("reading the jobs in %s: %w", n.cfg.DataDir, err)
	}
	n.engine = newEngine(core, n.store, n.cfg.Now, n.act)
	return nil
}

// rumourPause is long enough that a broker under load passes on many records in one
// message, and short beside the seconds in which all brokers are to know of a job.
const rumourPause = 200 * time.Millisecond

// httpAddr is the HTTP address that peers are told.
func (n *Node) httpAddr() string {
	if n.cfg.HTTPAdvertise != "" {
		return n.cfg.HTTPAdvertise
	}
	return n.listener.Addr().String()
}

// Name is the broker's name.
func (n *Node) Name() string { return n.name }

// Run joins the cluster and works until the context ends, or somebody says
// `serf leave` on the RPC port: it then leaves the cluster gracefully and returns
// nil. It returns an error when it can't start, a wanted join fails, or the disk
// does. All that it started has ended when it returns.
func (n *Node) Run(ctx context.Context) error {
	defer n.Close()
	if err := n.startGossip(); err != nil {
		return err
	}
	n.log.Info("broker is up", "name", n.name, "gossip", n.pool.Addr(), "rpc", n.pool.RPCAddr(),
		"http", n.listener.Addr().String(), "actor", string(n.actor), "version", n.cfg.Software)
	n.goRun("engine", func() error { return n.engine.run(n.ctx) })
	n.goRun("http", n.serve)
	n.goRun("members", n.watchMembers)
	n.goRun("rejoin", n.rejoin)
	n.goRun("pressure", n.measurePressure)
	n.goRun("room", n.watchRoom)
	n.goRun("sweep", n.sweepBlobs)
	n.goRun("floods", n.floodEvents)
	if err := n.firstJoin(ctx); err != nil {
		return err
	}
	select {
	case <-ctx.Done():
		n.log.Info("leaving the cluster")
	case <-n.pool.Done():
		n.log.Info("leaving the cluster, as asked for through RPC")
	case <-n.ctx.Done():
		return context.Cause(n.ctx)
	}
	n.leave()
	return nil
}

// goRun starts one of the node's goroutines. When it fails, the node ends.
func (n *Node) goRun(what string, f func() error) {
	n.work.Go(func() {
		if err := f(); err != nil && n.ctx.Err() == nil {
			n.cancel(fmt.Errorf("%s: %w", what, err))
		}
	})
}

func (n *Node) startGossip() error {
	transport, err := n.cfg.Network.Gossip()
	if err != nil {
		return fmt.Errorf("gossip transport: %w", err)
	}
	rpc := n.cfg.RPCAddr
	if rpc == "-" {
		rpc = ""
	}
	n.pool, err = gossip.Start(gossip.Config{
		Name: n.name, Bind: n.cfg.Bind, Advertise: n.cfg.Advertise, RPCAddr: rpc,
		Tags:         n.tags(false),
		SyncInterval: n.cfg.SyncInterval,
		State: func() []byte {
			if encoded := n.encoded.Load(); encoded != nil {
				return (*encoded)()
			}
			return nil
		},
		Answer: n.answerQuery, Transport: transport, Logger: slog.New(quiet{n.log.Handler()}).With("part", "gossip"),
	})
	return err
}

// leave drains this broker and says goodbye, so that nobody mourns it as failed:
// it takes nothing more, hands over what it owns, lets what runs finish within
// DrainTimeout, and stops the rest, which runs again elsewhere (rule J6). Without a
// goodbye it counts as failed: that is so when somebody lacks what it wrote, since
// nobody waits for the news of who has left (rule A3).
func (n *Node) leave() {
	n.goodbye()
	known := n.drain()
	ctx, cancel := context.WithTimeout(context.Background(), n.cfg.PeerTimeout)
	defer cancel()
	if err := n.http.Shutdown(ctx); err != nil {
		n.log.Warn("requests were cut off", "error", err)
	}
	if !known {
		n.log.Warn("this broker goes without a goodbye and counts as failed: not all others hold what it wrote, which is on its disk until its next start")
		return
	}
	if err := n.pool.Leave(ctx); err != nil {
		n.log.Warn("leaving the cluster", "error", err)
	}
}

// Close ends all at once, without leaving the cluster, and waits; what was
// acknowledged is on disk. It may be called several times, also while Run runs,
// which then returns.
func (n *Node) Close() error {
	var errs []error
	n.once.Do(func() {
		n.cancel(ErrStopped)
		if n.http != nil {
			errs = append(errs, n.http.Close())
		} else if n.listener != nil {
			errs = append(errs, n.listener.Close())
		}
		if n.pool != nil {
			errs = append(errs, n.pool.Shutdown())
		}
		if n.runner != nil {
			errs = append(errs, n.runner.Close())
		}
		if n.peers != nil {
			n.peers.close()
		}
		n.work.Wait()
		if n.store != nil {
			errs = append(errs, n.store.Close())
		}
	})
	return errors.Join(errs...)
}

func (n *Node) serve() error {
	if err := n.http.Serve(n.listener); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}

// measurePressure tells the broker how busy this machine is (rule S5).
func (n *Node) measurePressure() error {
	t := time.NewTicker(10 * time.Second)
	defer t.Stop()
	for {
		select {
		case <-n.ctx.Done():
			return nil
		case <-t.C:
			n.engine.tell(broker.Pressure{Stretch: n.cfg.Load(), Tight: machineTight()})
		}
	}
}
