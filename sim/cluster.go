package sim

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/stretchr/testify/require"

	"github.com/urban-compute/ucp/api"
	"github.com/urban-compute/ucp/clock"
	"github.com/urban-compute/ucp/executor"
	"github.com/urban-compute/ucp/gossip"
	"github.com/urban-compute/ucp/job"
	"github.com/urban-compute/ucp/node"
	"github.com/urban-compute/ucp/sim/simnet"
)

// Cluster is whole brokers in virtual time: real Serf, real Pebble, the real
// node, over a simulated network, disks in memory that can crash, and a runner
// that only takes the time that a job says. Make it inside a testing/synctest
// bubble, where minutes cost nothing; it ends with the test.
//
// A job of the process driver runs for as long as its command says ("3s"), and
// writes its broker's name to no file: it simply succeeds.
type Cluster struct {
	Net *simnet.Network
	// Configure, when set, changes a broker's configuration before it starts.
	Configure func(*node.Config)

	t     *testing.T
	log   *slog.Logger
	nodes map[string]*simNode
	names []string
	stock []*gossip.Pool
}

// simNode is one broker's place: its host and disk outlive each start.
type simNode struct {
	host   *simnet.Host
	disk   *vfs.MemFS
	node   *node.Node
	stop   context.CancelFunc // graceful
	ended  chan error
	client *api.Client
	runs   *runs
}

// runs notes what a broker's runner was told, across restarts.
type runs struct {
	mu    sync.Mutex
	count map[job.ID]int       // starts
	still map[job.ID]time.Time // when it was last told to stand still
	goOn  map[job.ID]time.Time // and to go on

	broken string // what is wrong with the machine, so that it carries out nothing; "" when it works
}

func newRuns() *runs {
	return &runs{count: map[job.ID]int{}, still: map[job.ID]time.Time{}, goOn: map[job.ID]time.Time{}}
}

// note notes an order; what names the job by its key.
func (r *runs) note(orders map[job.ID]time.Time, key string) {
	id, _, _ := strings.Cut(key, "~")
	r.mu.Lock()
	defer r.mu.Unlock()
	orders[job.ID(id)] = time.Now()
}

// wrong is what is wrong with the machine.
func (r *runs) wrong() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.broken
}

// Break spoils a broker's machine, so that it can carry out nothing, for the reason given; "" mends it.
func (c *Cluster) Break(name, why string) {
	r := c.nodes[name].runs
	r.mu.Lock()
	defer r.mu.Unlock()
	r.broken = why
}

// NewCluster makes n hosts, and starts no broker yet.
func NewCluster(t *testing.T, n int, opt simnet.Options) *Cluster {
	c := &Cluster{Net: simnet.New(opt), t: t, nodes: map[string]*simNode{}, log: slog.New(slog.DiscardHandler)}
	for i := range n {
		name := fmt.Sprintf("b%d", i)
		h := c.Net.Host(name)
		tr := &http.Transport{DialContext: h.Dial, DisableKeepAlives: true, ExpectContinueTimeout: time.Second}
		client, err := api.New(h.HTTPAddr(), api.WithTransport(tr))
		require.NoError(t, err)
		c.names = append(c.names, name)
		c.nodes[name] = &simNode{host: h, disk: vfs.NewCrashableMem(), client: client, runs: newRuns()}
	}
	return c
}

// Names lists the brokers, started or not.
func (c *Cluster) Names() []string { return c.names }

// Host returns a broker's host.
func (c *Cluster) Host(name string) *simnet.Host { return c.nodes[name].host }

// Client returns a client of a broker, which sits on the broker's own host.
func (c *Cluster) Client(name string) *api.Client { return c.nodes[name].client }

// Started tells how often a broker's runner was told to start a job.
func (c *Cluster) Started(name string, id job.ID) int {
	r := c.nodes[name].runs
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.count[id]
}

// Suspended tells when a broker's runner was last told that a job stands still, and Resumed
// when that it goes on; the zero time is never.
func (c *Cluster) Suspended(name string, id job.ID) time.Time {
	r := c.nodes[name].runs
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.still[id]
}

// Resumed is when the broker last let the job go on; see Suspended.
func (c *Cluster) Resumed(name string, id job.ID) time.Time {
	r := c.nodes[name].runs
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.goOn[id]
}

// StartAll starts all brokers; they join the first. It returns when all see each
// other.
func (c *Cluster) StartAll() {
	for _, name := range c.names {
		c.Start(name)
	}
	// Where packets get lost a rumour of somebody's join may miss a broker. The next
	// push-pull brings it, with one random node a minute; above 32 nodes memberlist makes
	// that two minutes, above 64 three (rule S2).
	patience := 3 * time.Minute
	if len(c.names) > 32 {
		patience = 30 * time.Minute
	}
	c.Eventually(patience, "all brokers see each other", func() bool {
		for _, name := range c.names {
			s, err := c.Client(name).Coordination(context.Background())
			if err != nil || s.HealthyPeers != len(c.names)-1 {
				return false
			}
		}
		return true
	})
}

// Start starts a broker from its disk.
func (c *Cluster) Start(name string) {
	n := c.nodes[name]
	cfg := node.Config{
		Name: name, DataDir: "/data", RPCAddr: "-", HTTPAddr: n.host.HTTPAddr(), HTTPAdvertise: n.host.HTTPAddr(),
		Insecure: true, AllowProcess: true, CPU: 1000, Memory: 1 << 30, Logger: c.log.With("broker", name),
		Network: hostNetwork{n.host}, FS: n.disk, Load: func() float64 { return 0 },
		Runner: func(rc node.RunnerConfig) (node.Runner, error) { return newSleeper(rc.Report, n.runs), nil },
	}
	if first := c.names[0]; name != first {
		cfg.RetryJoin = []string{c.nodes[first].host.GossipAddr()}
	}
	if c.Configure != nil {
		c.Configure(&cfg)
	}
	var err error
	n.node, err = node.New(cfg)
	require.NoError(c.t, err)
	ctx, stop := context.WithCancel(context.Background())
	n.stop, n.ended = stop, make(chan error, 1)
	running, ended := n.node, n.ended
	go func() { ended <- running.Run(ctx) }()
}

// Stock starts a stock Serf agent, which is not a broker, on a host of its own, and lets it
// join; it ends with the cluster.
func (c *Cluster) Stock(name string) *gossip.Pool {
	tr, err := c.Net.Host(name).Transport()
	require.NoError(c.t, err)
	p, err := gossip.Start(gossip.Config{Name: name, Transport: tr})
	require.NoError(c.t, err)
	c.stock = append(c.stock, p)
	_, err = p.Join(context.Background(), []string{c.nodes[c.names[0]].host.GossipAddr()})
	require.NoError(c.t, err)
	return p
}

// Stop leaves the cluster gracefully, as SIGTERM does, and waits.
func (c *Cluster) Stop(name string) {
	n := c.nodes[name]
	n.stop()
	require.NoError(c.t, <-n.ended)
	n.node = nil
}

// Kill ends a broker at once, as a power cut does: its disk keeps what was
// synced and loses the rest, its host falls silent until Start.
func (c *Cluster) Kill(name string) {
	n := c.nodes[name]
	crashed := n.disk.CrashClone(vfs.CrashCloneCfg{UnsyncedDataPercent: 50, RNG: rand.New(rand.NewPCG(7, uint64(len(name))))})
	n.host.Crash()
	_ = n.node.Close() // its goroutines must end; what it says no longer matters
	<-n.ended
	n.stop()
	n.disk, n.node = crashed, nil
}

// Backup copies a broker's disk as it is, and Restore brings a broker that does not run back to such a copy.
func (c *Cluster) Backup(name string) *vfs.MemFS {
	return c.nodes[name].disk.CrashClone(vfs.CrashCloneCfg{UnsyncedDataPercent: 100, RNG: rand.New(rand.NewPCG(7, 1))})
}

// Restore is the other half of Backup.
func (c *Cluster) Restore(name string, disk *vfs.MemFS) { c.nodes[name].disk = disk }

// Restart starts a killed broker again.
func (c *Cluster) Restart(name string) {
	c.nodes[name].host.Restart()
	c.Start(name)
}

// Move starts a killed broker again on another host, with its disk.
func (c *Cluster) Move(name, host string) {
	n := c.nodes[name]
	n.host = c.Net.Host(host)
	client, err := api.New(n.host.HTTPAddr(), api.WithTransport(&http.Transport{DialContext: n.host.Dial, DisableKeepAlives: true, ExpectContinueTimeout: time.Second}))
	require.NoError(c.t, err)
	n.client = client
	c.Start(name)
}

// Close stops what still runs.
func (c *Cluster) Close() {
	for _, p := range c.stock {
		_ = p.Shutdown() // the test is over
	}
	for _, name := range c.names {
		n := c.nodes[name]
		if n.node == nil {
			continue
		}
		_ = n.node.Close() // the test is over
		<-n.ended
		n.stop()
	}
	c.Net.Close()
}

// Eventually waits, in virtual time, until a condition holds.
func (c *Cluster) Eventually(within time.Duration, what string, holds func() bool) time.Duration {
	c.t.Helper()
	start := time.Now()
	for !holds() {
		require.Less(c.t, time.Since(start), within, "not within %v: %s", within, what)
		time.Sleep(50 * time.Millisecond) // virtual
	}
	return time.Since(start)
}

// Knows reports whether a broker knows of a job.
func (c *Cluster) Knows(name string, id job.ID) bool {
	_, err := c.Client(name).Job(context.Background(), string(id), 0)
	return err == nil
}

// Submit submits a job that takes the given time, under an ID.
func (c *Cluster) Submit(name string, id job.ID, takes time.Duration) (api.Submission, error) {
	return c.Client(name).Submit(context.Background(), job.Spec{
		Command: takes.String(), Priority: job.Priority{User: job.DefaultUser},
	}, api.SubmitOptions{ID: id})
}

// hostNetwork gives a node its host as network.
type hostNetwork struct{ h *simnet.Host }

func (n hostNetwork) Gossip() (gossip.Transport, error)   { return n.h.Transport() }
func (n hostNetwork) Listen(string) (net.Listener, error) { return n.h.Listen() }
func (n hostNetwork) Dial(ctx context.Context, network, addr string) (net.Conn, error) {
	return n.h.Dial(ctx, network, addr)
}

// sleeper is a runner whose jobs do nothing but take their time.
type sleeper struct {
	report func(executor.Update)
	runs   *runs
	ctx    context.Context
	close  context.CancelFunc
	work   sync.WaitGroup

	mu     sync.Mutex
	stops  map[string]context.CancelFunc // by key and attempt
	wishes map[string]chan bool          // to stand still, or to go on
}

func newSleeper(report func(executor.Update), r *runs) *sleeper {
	s := &sleeper{report: report, runs: r, stops: map[string]context.CancelFunc{}, wishes: map[string]chan bool{}}
	s.ctx, s.close = context.WithCancel(context.Background())
	return s
}

// Start implements node.Runner.
func (s *sleeper) Start(t executor.Task) {
	s.runs.mu.Lock()
	s.runs.count[t.ID]++
	s.runs.mu.Unlock()
	if why := s.runs.wrong(); why != "" {
		s.work.Go(func() {
			s.report(executor.Update{Key: t.Key, Attempt: t.Attempt, Returned: true, Result: &job.Result{Outcome: job.Failed, Reason: why}})
		})
		return
	}
	ctx, stop := context.WithCancel(s.ctx)
	s.mu.Lock()
	s.stops[t.Key+t.Attempt] = stop
	wish := make(chan bool, 1)
	s.wishes[t.Key+t.Attempt] = wish
	s.mu.Unlock()
	s.work.Go(func() {
		takes, _ := time.ParseDuration(t.Spec.Command)
		started := clock.At(time.Now())
		timer := time.NewTimer(takes)
		defer timer.Stop()
		u := executor.Update{Key: t.Key, Attempt: t.Attempt}
		s.report(executor.Update{Key: t.Key, Attempt: t.Attempt, Phase: executor.PhaseLoaded})
		since := time.Now()
		for u.Result == nil {
			select {
			case still := <-wish:
				if !still {
					since = time.Now()
					timer.Reset(takes)
					continue
				}
				timer.Stop()
				takes -= time.Since(since)
				s.report(executor.Update{Key: t.Key, Attempt: t.Attempt, Phase: executor.PhaseSuspended})
			case <-timer.C:
				zero := 0
				u.Result = &job.Result{Outcome: job.Succeeded, ExitCode: &zero, Started: started, Finished: clock.At(time.Now())}
			case <-ctx.Done():
				u.Result, u.Stopped = &job.Result{Outcome: job.Failed}, true
			}
		}
		stop()
		if s.ctx.Err() == nil {
			s.report(u)
		}
	})
}

// Stop implements node.Runner.
func (s *sleeper) Stop(key, attempt string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if stop := s.stops[key+attempt]; stop != nil {
		stop()
	}
}

// Cancel implements node.Runner.
func (s *sleeper) StopAndKeep(key, attempt string) { s.Stop(key, attempt) }

// Suspend implements node.Runner.
func (s *sleeper) Suspend(key, attempt string) {
	s.runs.note(s.runs.still, key)
	s.wish(key+attempt, true)
}

// Resume implements node.Runner.
func (s *sleeper) Resume(key, attempt string) {
	s.runs.note(s.runs.goOn, key)
	s.wish(key+attempt, false)
}

func (s *sleeper) wish(id string, still bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if ch := s.wishes[id]; ch != nil {
		select {
		case <-ch: // the newest counts
		default:
		}
		ch <- still
	}
}

// Prepare implements node.Runner.
func (s *sleeper) Prepare(job.Digest) {}

// FreeDisk implements node.Runner.
func (s *sleeper) FreeDisk(int64) int64 { return 0 }

// Probe implements node.Runner.
func (s *sleeper) Probe(context.Context) error {
	if why := s.runs.wrong(); why != "" {
		return errors.New(why)
	}
	return nil
}

// Close implements node.Runner.
func (s *sleeper) Close() error {
	s.close()
	s.work.Wait()
	return nil
}
