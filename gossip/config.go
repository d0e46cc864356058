package gossip

import (
	"context"
	"fmt"
	"log/slog"
	"maps"
	"net"
	"regexp"
	"time"

	"github.com/hashicorp/memberlist"
)

// Transport moves packets and streams between nodes. The default uses real UDP and TCP sockets; a simulation
// provides its own. It is memberlist's interface, under a name that lets other packages implement it without
// importing memberlist.
type Transport = memberlist.NodeAwareTransport

// Packet is an incoming datagram, as a Transport delivers it.
type Packet = memberlist.Packet

// Address names a peer of a Transport: "host:port" and, where known, its name.
type Address = memberlist.Address

// Defaults of Config.
const (
	DefaultPort         = 7946             // Serf's gossip port
	defaultSyncInterval = 60 * time.Second // rule S3
)

// Config configures a Pool. Start checks it once; it must not be changed afterwards. Only Name is required.
type Config struct {
	// Name is the node's name, which is unique in the cluster (rule I1): [A-Za-z0-9][A-Za-z0-9._-]{0,63}.
	Name string

	// Bind is the host:port for gossip, both UDP and TCP; the port defaults to 7946. With port 0 the kernel
	// chooses one that is free for both; Pool.Addr tells which. An empty host, 0.0.0.0 and [::] mean all
	// interfaces. Bind is ignored if Transport is set.
	Bind string

	// Advertise is the host:port under which peers reach this node if that is not Bind: behind NAT, or with
	// Bind on all interfaces. Port 0 means the port that was bound. If it is empty, the bound address is used
	// or, for 0.0.0.0, the first private IPv4 address of this machine.
	Advertise string

	// RPCAddr is the host:port for the stock serf command line; the port defaults to 7373. It is not
	// encrypted. With port 0 the kernel chooses one; Pool.RPCAddr tells which. If it is
	// empty there is no RPC port.
	RPCAddr string

	// RPCSocket is a listener on which RPC is served as well, on the same terms; nil for none. It is the pool's to close.
	RPCSocket net.Listener

	// RPCAuth is the key that a client of the RPC port has to give first ("serf -rpc-auth"), of at least 16
	// characters. If it is empty, whoever reaches the port commands this node.
	RPCAuth string

	// Keyring is a file of keys, in the form of "serf agent -keyring-file", with which all gossip is encrypted and
	// authenticated; "serf keys" on any node changes it. Only its owner may be able to read it. If it is empty, gossip
	// is neither (rule G4).
	Keyring string

	// KeysOrdered is called when a client of the RPC has had its order answered to install, use or remove a key, whether
	// that has changed the keyring or not. It is called on any goroutine. May be nil.
	KeysOrdered func()

	// Tags are shown to all members. Encoded they take at most 512 bytes.
	Tags map[string]string

	// SyncInterval is the time between two push-pulls that this node begins, each with one random peer; 0
	// means 60 seconds (rule S3). memberlist increases it in clusters of more than 32 nodes (rule S2).
	SyncInterval time.Duration

	// State returns what push-pull sends to a peer, at most 256 KiB; nothing is sent if it is empty. It is
	// called on memberlist's goroutines, several at a time, and must neither block nor lock: return what an
	// atomic pointer holds. The pool does not change the bytes, and they must not change later. May be nil.
	State func() []byte

	// Answer answers a query whose name begins with "ucp:", in at most 800 bytes; nil means no answer. Up to
	// 8 calls run at a time, each on its own goroutine. ctx ends at the query's deadline or at Shutdown,
	// which waits for the call to return. May be nil.
	Answer func(ctx context.Context, query string, payload []byte) []byte

	// Refused is told of each statement of a peer that was not let in, since it would mute a node. It is called
	// on any goroutine, and must neither block nor call the pool. May be nil.
	Refused func(Refused)

	// Discover is the name by which the nodes on the networks of this machine discover each other (mDNS, as
	// "serf agent -discover" does): this node answers who looks for it, and the entry mdns:NAME of a list of nodes
	// to join looks for others. "" is that it does not answer.
	Discover string

	// Resolver looks up the names of nodes to join; nil means the system's.
	Resolver *net.Resolver

	// Transport replaces real sockets, for simulations. It is shut down with the Pool. May be nil.
	Transport Transport

	// Logger receives the messages of this package, Serf, memberlist and the RPC server, each at its own
	// level. If it is nil, nothing is logged.
	Logger *slog.Logger
}

// namePattern is the form of all names and IDs of the platform.
var namePattern = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$`)

// withDefaults checks the config and returns it with defaults filled in.
func (cfg Config) withDefaults() (Config, error) {
	if !namePattern.MatchString(cfg.Name) {
		return cfg, fmt.Errorf("gossip: node name %q: use 1 to 64 letters, digits, dots, dashes and underscores, beginning with a letter or digit", cfg.Name)
	}
	if err := checkTags(cfg.Tags); err != nil {
		return cfg, err
	}
	if cfg.RPCAuth != "" && len(cfg.RPCAuth) < minRPCAuth {
		return cfg, fmt.Errorf("gossip: the RPC key has %d characters: give one of at least %d, as \"ucp keygen\" prints", len(cfg.RPCAuth), minRPCAuth)
	}
	if cfg.SyncInterval < 0 {
		return cfg, fmt.Errorf("gossip: sync interval %v is negative: use a duration such as 60s", cfg.SyncInterval)
	}
	if cfg.SyncInterval == 0 {
		cfg.SyncInterval = defaultSyncInterval
	}
	if cfg.State == nil {
		cfg.State = func() []byte { return nil }
	}
	if cfg.Refused == nil {
		cfg.Refused = func(Refused) {}
	}
	if cfg.KeysOrdered == nil {
		cfg.KeysOrdered = func() {}
	}
	if cfg.Discover != "" {
		if err := checkDiscover(cfg.Discover); err != nil {
			return cfg, err
		}
	}
	if cfg.Resolver == nil {
		cfg.Resolver = net.DefaultResolver
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	cfg.Tags = maps.Clone(cfg.Tags)
	return cfg, nil
}
