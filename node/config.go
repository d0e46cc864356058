package node

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/urban-compute/ucp/city"
	"github.com/urban-compute/ucp/executor"
	"github.com/urban-compute/ucp/gossip"
	"github.com/urban-compute/ucp/identity"
	"github.com/urban-compute/ucp/job"
	"github.com/urban-compute/ucp/label"
	"github.com/urban-compute/ucp/module"
	"github.com/urban-compute/ucp/resolve"
	"github.com/urban-compute/ucp/store"
	"github.com/urban-compute/ucp/tracing"
)

// Config is what an operator says of a broker, and what a simulation replaces.
// Zero values mean the default; [New] checks it once.
type Config struct {
	Name    string // of the broker; default what the data directory says, else the host's
	DataDir string // required

	Bind          string        // gossip, host:port; default 127.0.0.1:7946
	Advertise     string        // gossip address that peers are told; default what is bound, or of all of the machine's the one on the way to peers
	RPCAddr       string        // Serf's RPC, host:port; default 127.0.0.1:7373; "-" is none
	RPCAuth       string        // what a client of Serf's RPC has to give first; default nothing
	Keyring       string        // file of the keys with which gossip is encrypted; default none (rule G4)
	HTTPSocket    string        // path of a Unix socket at which HTTP is answered as well, without TLS; default none
	RPCSocket     string        // the same for Serf's RPC
	SocketMode    fs.FileMode   // of these two; default DefaultSocketMode
	Web           *identity.Web // in a city, what browsers are shown, and whose certificates count beside those of members; see Node.SetWeb
	TrustLocal    bool          // in a city, a process of this broker's own user on this machine is an operator (node/httpd/local.go)
	HTTPAddr      string        // host:port; default port 8000 at the host of Bind
	HTTPAdvertise string        // HTTP address that peers are told; default what is bound, at the gossip's host where that is all addresses
	HTTPHosts     []string      // names that clients may call it by in the Host header, "*.example.org" for all below one; addresses need none
	Insecure      bool          // allow gossip, RPC and HTTP on other than loopback addresses

	City *city.Self // who this broker is among the members of a city; nil: it belongs to none

	Join      []string // whom to join, as gossip.CheckEntry says; that nobody else answers is an error
	RetryJoin []string // the same, looked up and tried again without end
	Discover  string   // the name by which brokers on one network find each other; "" is that they don't

	Labels       map[string]string
	CPU          int64                  // millicores offered to jobs; default all that control groups leave
	Memory       int64                  // bytes offered to jobs; default 75 % of what control groups leave
	ModuleMemory int64                  // bytes that workers may have beside Memory; see there for the default
	Devices      map[string]int64       // counted devices offered to jobs: camera -> 1
	AllowProcess bool                   // whether jobs may be native programs
	Sandbox      executor.SandboxConfig // how these are confined
	AllowModules module.Policy          // which modules are run; the zero value is any
	AdoptOrphans bool                   // whether this process waits for all children that it has, for programs that start no others (executor.Config)

	SyncInterval time.Duration // rule S2; default 60 s
	Replicas     int           // rule A1; default 3
	AckTimeout   time.Duration // rule A1; default 2 s
	PeerTimeout  time.Duration // rule S5; default 10 s
	MaxClockSkew time.Duration // rule I3; default 1 min

	RedeployDelay  time.Duration // rule J6: how long a lost broker may refute that; default 3 s
	IsolationDelay time.Duration // rule J7: how long who has lost most others waits; default 30 s
	MaxLosses      int           // rule P4: brokers that may be lost while one job runs there; default 3, negative is without bound
	DrainTimeout   time.Duration // how long a leaving broker lets its jobs run; default 30 s, negative is not at all
	Retention      time.Duration // rule L8: how long finished jobs are remembered; default 24 h
	RetentionCount int           // and how many at most; default 100,000, negative: no bound
	DataRetention  time.Duration // rule D3: how long versions of named data are kept that are not the latest; default Retention
	ModuleCache    int64         // bytes of the disk that compiled modules may take; default four times DiskReserve, 1 GiB where there is none
	DiskReserve    int64         // bytes that stay free: below it new jobs are refused; default 256 MiB, negative is none
	BlobGrace      time.Duration // how long a blob that no record names is kept; default 1 h
	Outbox         string        // directory for files that are carried to members which can't be reached (docs/carry.md); default none
	Inbox          string        // directory in which such files of others arrive; default none
	MaxRate        int64         // bytes a second of blobs to each peer, and from each; default unbounded. See Node.SetMaxRate

	LogLevel  *slog.LevelVar    // of Logger, which clients may change; nil: it has none
	RecentLog func() []byte     // the last lines of the log, for bundles; may be nil
	Settings  map[string]string // what the operator set, for bundles, without secrets

	Strategy        resolve.Strategy // how conflicts are decided, unless the cluster has another; default causal
	KeepStrategy    bool             // no emergency changes it here (rule E5); default: those of level high and critical do
	Weights         resolve.Weights  // of the strategies; default resolve.DefaultWeights
	ConflictHistory int              // how many decided conflicts are remembered; default 1,000

	NoNewsLinks bool // for tests: only the periodic exchange (rule S1)

	Software string // version of this program, for people
	Logger   *slog.Logger
	Tracer   *tracing.Tracer     // tells of jobs; nil: nobody is told
	Metrics  prometheus.Gatherer // more figures for /metrics: those that Serf keeps for the whole process

	// What a simulation replaces; the real thing by default.
	Network Network
	FS      store.FS
	Now     func() time.Time
	Random  io.Reader
	Load    func() float64 // how many programs want each core; 1 is busy (rule S5)
	Runner  func(RunnerConfig) (Runner, error)
}

// Network is how a broker reaches others.
type Network interface {
	// Gossip is Serf's transport; nil for real sockets at Config.Bind.
	Gossip() (gossip.Transport, error)
	// Listen opens the HTTP API's listener.
	Listen(addr string) (net.Listener, error)
	// Dial connects to a peer's HTTP API.
	Dial(ctx context.Context, network, addr string) (net.Conn, error)
}

// Runner runs what the broker has decided to run. The executor is the real one.
// Probe and FreeDisk may block; the others must not.
type Runner interface {
	Start(executor.Task)
	Stop(key, attempt string)
	// StopAndKeep is Stop, but the Update of the attempt's end tells what it had written.
	StopAndKeep(key, attempt string)
	Suspend(key, attempt string)
	Resume(key, attempt string)
	// Prepare asks that a module is compiled when there is nothing else to do, if it is here by then.
	Prepare(job.Digest)
	// Probe reports what is wrong with this machine, so that it could not carry out a job; nil when nothing is.
	Probe(context.Context) error
	// FreeDisk removes what is only kept to save time, until so many bytes of the disk are free, and returns how many are.
	FreeDisk(bytes int64) int64
	Close() error
}

// RunnerConfig is what a Runner is told.
type RunnerConfig struct {
	Dir          string // the broker's data directory
	Blobs        executor.Blobs
	AllowProcess bool
	Sandbox      executor.SandboxConfig
	AllowModule  func(job.Digest) error                                                        // is a module.NotAllowed when a module is not run here; nil allows any
	Secrets      func(ctx context.Context, key string, s *job.Spec) (map[string]string, error) // decrypts those of a job; nil where none can be
	AdoptOrphans bool
	Memory       int64 // bytes that jobs may ask for
	ModuleMemory int64 // bytes that workers may have beside that
	DiskReserve  int64 // bytes of the disk that jobs leave free; negative is none
	ModuleCache  int64 // bytes of the disk that compiled modules may take; 0 is the default
	Logger       *slog.Logger
	Report       func(executor.Update)
	Compiled     func([]job.Digest) // is told which modules are compiled here, the last used first
	Unable       func(why string)   // is told that no worker can be started
}

// Defaults of Config.
const (
	DefaultBind         = "127.0.0.1:7946"
	DefaultCityBind     = "0.0.0.0:7946" // of a broker that belongs to a city
	DefaultRPCAddr      = "127.0.0.1:7373"
	DefaultSyncInterval = 60 * time.Second
	DefaultReplicas     = 3
	DefaultAckTimeout   = 2 * time.Second
	defaultPeerTimeout  = 10 * time.Second
	defaultMaxClockSkew = time.Minute

	DefaultRedeployDelay  = 3 * time.Second
	DefaultIsolationDelay = 30 * time.Second
	DefaultMaxLosses      = 3
	DefaultDrainTimeout   = 30 * time.Second
	DefaultRetention      = 24 * time.Hour
	DefaultRetentionCount = 100_000
	DefaultDataRetention  = time.Duration(0) // as long as Retention
	DefaultDiskReserve    = 256 << 20
	DefaultBlobGrace      = time.Hour
	LeastMaxRate          = 4 << 10 // of Config.MaxRate
	defaultIO             = 100
)

func orElse[T comparable](v *T, fallback T) {
	var zero T
	if *v == zero {
		*v = fallback
	}
}

// complete fills in the defaults and says what is wrong, naming the flag.
func (c Config) complete() (Config, error) {
	if c.City != nil {
		orElse(&c.Name, c.City.Name())
		orElse(&c.Bind, DefaultCityBind)
		orElse(&c.Keyring, c.City.Folder().Keyring())
	}
	orElse(&c.Bind, DefaultBind)
	orElse(&c.RPCAddr, DefaultRPCAddr)
	orElse(&c.SocketMode, DefaultSocketMode)
	orElse(&c.SyncInterval, DefaultSyncInterval)
	orElse(&c.Replicas, DefaultReplicas)
	orElse(&c.AckTimeout, DefaultAckTimeout)
	orElse(&c.PeerTimeout, defaultPeerTimeout)
	orElse(&c.MaxClockSkew, defaultMaxClockSkew)
	orElse(&c.RedeployDelay, DefaultRedeployDelay)
	orElse(&c.IsolationDelay, DefaultIsolationDelay)
	orElse(&c.MaxLosses, DefaultMaxLosses)
	orElse(&c.DrainTimeout, DefaultDrainTimeout)
	orElse(&c.Retention, DefaultRetention)
	orElse(&c.RetentionCount, DefaultRetentionCount)
	orElse(&c.DataRetention, c.Retention)
	orElse(&c.DiskReserve, DefaultDiskReserve)
	orElse(&c.BlobGrace, DefaultBlobGrace)
	orElse(&c.CPU, max(machineCPU(), job.DefaultCPU))
	orElse(&c.Software, "dev")
	if c.Memory == 0 {
		c.Memory = max(machineMemory()/4*3, job.DefaultMemory)
	}
	if c.ModuleMemory == 0 {
		c.ModuleMemory = moduleMemory(c.Memory, machineMemory())
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	if c.Network == nil {
		c.Network = sockets{}
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.Random == nil {
		c.Random = rand.Reader
	}
	if c.Load == nil {
		c.Load = machineLoad
	}
	if c.Runner == nil {
		c.Runner = startExecutor
	}
	at, err := c.addresses().Complete()
	c.HTTPAddr = at.HTTPAddr
	return c, errors.Join(c.check(), err)
}

func (c *Config) addresses() Addresses {
	return Addresses{Bind: c.Bind, Advertise: c.Advertise, HTTPAddr: c.HTTPAddr, HTTPAdvertise: c.HTTPAdvertise}
}

func (c *Config) check() error {
	switch {
	case c.DataDir == "":
		return errors.New("--data-dir: name a directory where this broker keeps its jobs")
	case c.Name != "" && !label.ValidName(c.Name):
		return fmt.Errorf("--name %q: use letters, digits and . _ -, at most 64, the first a letter or digit", c.Name)
	case c.SyncInterval < 100*time.Millisecond:
		return fmt.Errorf("--sync-interval %v: at least 100ms", c.SyncInterval)
	case c.Replicas < 1:
		return fmt.Errorf("--replicas %d: at least 1", c.Replicas)
	case c.CPU < 1 || c.Memory < 1:
		return fmt.Errorf("--cpu %d, --memory %d: both must be positive", c.CPU, c.Memory)
	case c.ModuleMemory < 0:
		return fmt.Errorf("--module-memory %d: must be positive", c.ModuleMemory)
	case c.RedeployDelay < 0 || c.IsolationDelay < 0 || c.Retention < 0 || c.DataRetention < 0:
		return errors.New("--redeploy-delay, --isolation-delay, --retention and --data-retention must not be negative")
	case c.ModuleCache < 0:
		return fmt.Errorf("--module-cache %d: must be positive", c.ModuleCache)
	case c.MaxRate != 0 && c.MaxRate < LeastMaxRate:
		return fmt.Errorf("--max-rate %d: at least %d bytes a second", c.MaxRate, LeastMaxRate)
	case c.BlobGrace < 0:
		return fmt.Errorf("--blob-grace %v: must not be negative", c.BlobGrace)
	case c.AckTimeout <= 0 || c.PeerTimeout <= 0:
		return errors.New("--ack-timeout and the peer timeout must be positive")
	}
	for flag, entries := range map[string][]string{"--join": c.Join, "--retry-join": c.RetryJoin} {
		for _, entry := range entries {
			if err := gossip.CheckEntry(entry); err != nil {
				return fmt.Errorf("%s: %w", flag, err)
			}
		}
	}
	for k, v := range c.Labels {
		if !label.ValidLabel(k, v) {
			return fmt.Errorf("--label %q: %s", k+"="+v, label.LabelForm)
		}
	}
	switch {
	case c.City != nil && (c.City.Role() != identity.Broker || c.City.Name() != c.Name):
		return fmt.Errorf("--name %s: the identity in %s is that of %s (%s)", c.Name, c.City.Folder().Folder, c.City.Name(), c.City.Role())
	case c.Insecure:
		return nil
	}
	if doors := c.exposed(); len(doors) > 0 {
		return fmt.Errorf("--%s %s %s", doors[0].Flag, doors[0].Addr, doors[0].Refusal())
	}
	return nil
}

// fallbackName makes a valid broker name of the host's.
func fallbackName() string {
	host, err := os.Hostname()
	if err != nil {
		return "broker"
	}
	name := strings.Map(func(r rune) rune {
		if label.ValidName("x" + string(r)) {
			return r
		}
		return '-'
	}, host)
	if name = strings.TrimLeft(name, ".-_"); len(name) > 64 {
		name = name[:64]
	}
	if !label.ValidName(name) {
		return "broker"
	}
	return name
}

// sockets is the real network.
type sockets struct{}

func (sockets) Gossip() (gossip.Transport, error) { return nil, nil }

// Listen listens on IPv4 alone where the address is one of IPv4: the system would take 0.0.0.0 for IPv6, too, which a firewall for IPv4 leaves
// open.
func (sockets) Listen(addr string) (net.Listener, error) {
	network := "tcp"
	if at, err := netip.ParseAddrPort(addr); err == nil && at.Addr().Is4() {
		network = "tcp4"
	}
	return net.Listen(network, addr)
}

func (sockets) Dial(ctx context.Context, network, addr string) (net.Conn, error) {
	var d net.Dialer
	return d.DialContext(ctx, network, addr)
}

// moduleMemory returns how many bytes workers may have for themselves and for modules, by default, beside what is offered to
// jobs: a sixth of that, so that an eighth of the machine is left where three quarters are offered; or, where little is offered of
// a large machine, enough for a module of 18 MB.
func moduleMemory(offered, machine int64) int64 {
	return max(offered/6, min(512<<20, (machine-offered)/2))
}

// startExecutor is the real runner.
func startExecutor(c RunnerConfig) (Runner, error) {
	return executor.New(executor.Config{
		Dir:          filepath.Join(c.Dir, "run"),
		CacheDir:     filepath.Join(c.Dir, "wasm-cache"),
		Blobs:        c.Blobs,
		AllowProcess: c.AllowProcess,
		Sandbox:      c.Sandbox,
		AllowModule:  c.AllowModule,
		Secrets:      c.Secrets,
		AdoptOrphans: c.AdoptOrphans,
		Memory:       c.Memory,
		ModuleMemory: c.ModuleMemory,
		DiskReserve:  c.DiskReserve,
		ModuleCache:  c.ModuleCache,
		Logger:       c.Logger,
		Report:       c.Report,
		Compiled:     c.Compiled,
		Unable:       c.Unable,
	})
}
