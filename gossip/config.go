package gossip

import (
	"context"
	"fmt"
	"log/slog"
	"maps"
	"regexp"
	"time"

	"github.com/hashicorp/memberlist"
)

// Transport moves packets and streams between nodes. The default is real UDP and
// TCP sockets; a simulation gives its own. It is memberlist's interface, under a
// name that lets others implement it without importing memberlist.
type Transport = memberlist.NodeAwareTransport

// Packet is an incoming datagram, as a Transport hands it over.
type Packet = memberlist.Packet

// Address names a peer of a Transport: "host:port" and, where known, its name.
type Address = memberlist.Address

// Defaults of Config.
const (
	DefaultPort         = 7946             // Serf's gossip port
	DefaultSyncInterval = 60 * time.Second // rule S3
)

// Config is all that a Pool needs to know. Start checks it once; nothing in it
// may be changed afterwards.
type Config struct {
	// Name is the node's name in the cluster, unique there (rule I1):
	// [A-Za-z0-9][A-Za-z0-9._-]{0,63}.
	Name string

	// Bind is the host:port for gossip, both UDP and TCP. Port 0 lets the
	// kernel choose one that is free for both; Pool.Addr tells which. An empty
	// host, 0.0.0.0 and [::] mean all interfaces. With a Transport, Bind
	// matters not.
	Bind string

	// Advertise is the host:port under which peers reach this node, when it is
	// not Bind: behind NAT, or with Bind on all interfaces. Port 0 stands for
	// the port bound. Empty: the address bound, or, for 0.0.0.0, the first
	// private IPv4 address of this machine.
	Advertise string

	// RPCAddr is the host:port for the stock serf command line. It is neither
	// authenticated nor encrypted. Port 0 works, see Pool.RPCAddr. Empty: none.
	RPCAddr string

	// Tags are shown to all members. Encoded they take at most 512 bytes.
	Tags map[string]string

	// SyncInterval is the time between two push-pulls that this node begins,
	// each with one random peer; 0 is DefaultSyncInterval. Above 32 nodes
	// memberlist stretches it (rule S2).
	SyncInterval time.Duration

	// State returns what push-pull sends to a peer, at most MaxState bytes; empty
	// sends nothing. It is called on memberlist's goroutines, also several at
	// once, and must neither block nor lock: return what an atomic pointer
	// holds. The bytes are not changed, and must not change later. May be nil.
	State func() []byte

	// Answer answers a query whose name begins with "ucp:", in at most MaxAnswer
	// bytes; nil means no answer. Up to 8 calls run at once, each on its own
	// goroutine; ctx ends at the query's deadline or at Shutdown, which
	// waits for the call to return. May be nil.
	Answer func(ctx context.Context, query string, payload []byte) []byte

	// Transport replaces real sockets, for simulations. It is shut down with
	// the Pool. May be nil.
	Transport Transport

	// Logger gets what this package, Serf, memberlist and the RPC server have to
	// say, each at its own level. Nil: nothing is logged.
	Logger *slog.Logger
}

// namePattern is the form of all names and IDs of the platform.
var namePattern = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$`)

// withDefaults checks cfg and fills in what it leaves open.
func (cfg Config) withDefaults() (Config, error) {
	if !namePattern.MatchString(cfg.Name) {
		return cfg, fmt.Errorf("gossip: node name %q: use 1 to 64 letters, digits, dots, dashes and underscores, beginning with a letter or digit", cfg.Name)
	}
	if err := checkTags(cfg.Tags); err != nil {
		return cfg, err
	}
	if cfg.SyncInterval < 0 {
		return cfg, fmt.Errorf("gossip: sync interval %v is negative: use a duration such as 60s", cfg.SyncInterval)
	}
	if cfg.SyncInterval == 0 {
		cfg.SyncInterval = DefaultSyncInterval
	}
	if cfg.State == nil {
		cfg.State = func() []byte { return nil }
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	cfg.Tags = maps.Clone(cfg.Tags)
	return cfg, nil
}
