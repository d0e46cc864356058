// Package httpd is the HTTP side of a broker: what clients, peers, monitoring and browsers ask, and
// how they are answered. It decides nothing: a request becomes an input of the broker's core, the
// core's answer becomes JSON. What it needs of the node that it runs in, it asks through [Core] and
// [Host].
//
//   - server.go: the routes, errors, health
//   - jobs.go, batch.go, plans.go, output.go, live.go, blobs.go, causal.go: jobs and their data
//   - data.go: named data
//   - emergencies.go, conflicts.go, events.go: what a duty officer asks
//   - debug.go: bundles of what helps to understand a broker; the level of its log
//   - orders.go: what of all this the audit log has
//   - carry.go: files that are carried by hand
//   - drain.go: which brokers are to run nothing new
//   - health.go: how the other brokers are
//   - dashboard.go, views.go: pages for browsers, and how each broker sees the others
//   - status.go, digest.go, metrics.go, query.go: what the broker says of itself, also to Serf queries
//   - access.go, local.go: who sends a request, and whether its route answers them
//   - invites.go: how new members come into it
//   - origin.go: requests that pages of other sites make browsers send
//   - limiter.go, budget.go, pace.go: how many connections and bytes at once, and how slowly
//   - compression.go, panics.go: bodies between brokers, and faults of this program
//
// The rules that comments cite are numbered in docs/protocol.md; docs/api.md lists the routes.
package httpd

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"strconv"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/urban-compute/ucp/api"
	"github.com/urban-compute/ucp/broker"
	"github.com/urban-compute/ucp/broker/membership"
	"github.com/urban-compute/ucp/broker/wire"
	"github.com/urban-compute/ucp/city"
	"github.com/urban-compute/ucp/clock"
	"github.com/urban-compute/ucp/gossip"
	"github.com/urban-compute/ucp/identity"
	"github.com/urban-compute/ucp/job"
	"github.com/urban-compute/ucp/store"
	"github.com/urban-compute/ucp/tracing"
	"github.com/urban-compute/ucp/tree"
)

// Config is what a server is told once. All values are valid.
type Config struct {
	Name         string // of the broker
	Software     string // version, for people
	Capabilities wire.Capabilities
	Started      time.Time

	Keyring string // file of the keys of the gossip, which new members of the city get

	City *city.Self // who the broker is, and who may come in; nil: it belongs to no city, and everybody may

	HTTPHosts []string // names by which clients may call it, beside its addresses and those of [ownNames]

	Replicas     int           // shown in the status, and of what fewer hold
	SyncInterval time.Duration // shown in the status
	AckTimeout   time.Duration // rule A1
	PeerTimeout  time.Duration // rule S5: how long the core may take beyond what a request asks for

	Now     func() time.Time
	Logger  *slog.Logger
	Tracer  *tracing.Tracer     // tells of submissions; nil: nobody is told
	Metrics prometheus.Gatherer // more figures for /metrics; may be nil

	LogLevel   *slog.LevelVar       // of Logger; nil: it has none
	RecentLog  func() []byte        // the last lines of the log, without what nobody else may see; may be nil
	Audit      AuditLog             // nil: it keeps none
	Web        func() *identity.Web // what there is for programs that know nothing of cities; may be nil, and may return nil
	TrustLocal bool                 // who comes from a process of the broker's own user on this machine is an operator

	Keys     Keyring           // nil where the broker belongs to no city
	Heads    Heads             // nil where the broker belongs to no city
	Settings map[string]string // with which the broker was started, for people, without secrets
}

// Core is the broker's decision loop.
type Core interface {
	// Ask steps the input that make returns for a token, and waits for its answer. It fails with
	// ErrBusy when too much waits already, with ErrStopped, or with the context's error; the input
	// may have been stepped all the same.
	Ask(ctx context.Context, make func(broker.Token) broker.Input) (broker.Answer, error)
	// AskAll steps an input that has n answers, one for each token, and waits for all of them. It fails as Ask does;
	// the answers that had come by then stand in their places, the others are nil.
	AskAll(ctx context.Context, n int, input func([]broker.Token) broker.Input) ([]broker.Answer, error)
	// Tell steps an input that has no answer.
	Tell(broker.Input)
}

// ErrBusy says that the broker has more to do than it can hold; ask again later (rule A2).
var ErrBusy = errors.New("the broker is busy; try again in a second")

// ErrStopped says that the broker is shutting down.
var ErrStopped = errors.New("the broker is shutting down")

// Host is the node that a server runs in.
type Host interface {
	// Actor is the broker's present start; it may begin another one while it runs.
	Actor() clock.Actor
	// Overview is what the core last published; nil before it has.
	Overview() *broker.Overview
	// CityTime is what time it is in the city, by what the core last published: this machine's clock before it has (rule T2).
	CityTime() time.Time
	// Sound reports whether a blob, or all of a directory (job.TreeOf), is here and undamaged.
	Sound(context.Context, job.Digest) bool
	// Lacks lists what of a blob, or of a directory, is not here, at most so many; an error that is not of the disk or the
	// context says that a blob is no manifest.
	Lacks(ctx context.Context, d job.Digest, most int) ([]job.Digest, error)
	// Manifest reads the manifest of a directory that is here.
	Manifest(job.Digest) (*tree.Manifest, error)
	// AllowsModule is a module.NotAllowed when this broker does not run a module; another error when that can't be told.
	AllowsModule(job.Digest) error
	// Need brings a blob here, asking the named brokers first.
	Need(ctx context.Context, d job.Digest, from []string) error
	// Holds asks another broker whether it has a blob, undamaged.
	Holds(ctx context.Context, m membership.Member, d job.Digest) (bool, error)
	// Rated bounds how fast what is sent to a broker at this address is read (--max-rate).
	Rated(ctx context.Context, addr string, r io.Reader) io.Reader
	// Chunks is the list of chunks of a blob that is here; store.ErrNotFound where it is not, or is too small to have one.
	Chunks(context.Context, job.Digest) ([]byte, error)
	// Output is what an attempt that runs here writes; ok is false when it does not run here, or no longer.
	Output(key, attempt string, stderr bool) (r Running, ok bool)
	// Arriving says, for people, how far the inputs of a job have come that is placed here; "" while none are on their way.
	Arriving(key string) string
	// Follow has another broker say what an attempt writes there, by its own route of that path and query.
	Follow(ctx context.Context, broker, path string) (io.ReadCloser, error)
	// DiskFull says why no new jobs and blobs are taken; "" while there is room.
	DiskFull() string
	// Troubles say what is wrong with how this broker reaches others, for people: an address that this machine has lost, nodes to
	// join that can't be looked up. Each may be "".
	Troubles() []string
	// Exposed names the interfaces that strangers can reach and that do not ask who is calling, for people.
	Exposed() []string
	// Hold keeps room on the disk for a file of the given size that is about to arrive. Either it says why there is none,
	// or give is called with the bytes that have arrived or will not come any more, until they are as many.
	Hold(size int64) (give func(bytes int64), why string)
	// Pack writes a file for members that can't be reached (rule B1). Nothing was written if the error is a *CarryRefused.
	Pack(ctx context.Context, out io.Writer, o api.CarryOptions) (api.Carried, error)
	// Unpack takes such a file in as far as it goes; with look it says what is in it. Nothing of it was taken if the error is a
	// *CarryRefused.
	Unpack(ctx context.Context, in io.Reader, look bool) (api.Carried, error)
	// Word is what this broker says of itself to whom it does not reach (rule B3).
	Word(context.Context) ([]byte, error)
	// HearWords takes in what others say of themselves, and says how many do not take part here yet.
	HearWords(ctx context.Context, words [][]byte) (unknown int, err error)
	// Used is how many cores jobs kept busy lately, and the bytes of memory that they hold; known is false where the system does not tell.
	Used() (cores, memory float64, known bool)
	// Workers is how many worker processes have an attempt, and how many stand by; known is false where that is not known.
	Workers() (busy, idle int, known bool)
	// Disk is what is known of the file system of the data directory.
	Disk() Disk
	// Sandbox says which walls stand around native jobs; nil where that is not known.
	Sandbox() *api.Sandbox
	// ModuleSandbox says which walls stand around WebAssembly jobs; nil where that is not known.
	ModuleSandbox() *api.Sandbox
	// WorkerMemory is what workers may have of memory and have; nil where that is not known.
	WorkerMemory() *api.WorkerMemory
	// ModuleCache is what compiled modules take of the disk; nil where that is not known.
	ModuleCache() *api.ModuleCache

	// Addresses are those that others are told.
	Addresses() (http, gossip string)
	// Members are all nodes of the gossip pool, stock Serf agents among them.
	Members() []gossip.Member
	// RTT estimates the round-trip time to a member; ok is false when it is not known.
	RTT(name string) (rtt time.Duration, ok bool)
	// Brokers are the members that are brokers, with those met before this start.
	Brokers() []membership.Member
	// Heard notes that a broker has exchanged a message with this one.
	Heard(name string)
	// Ask asks all other brokers whether they are there, and says, a second later at most, which have answered.
	Ask(ctx context.Context) (answered map[string]bool)
	// Contacts says how it went with each broker since this start, and when the last exchange
	// succeeded; zero is never.
	Contacts() (by map[string]Contact, lastSync time.Time)
	// Contact says how it went with one broker since this start.
	Contact(name string) Contact

	// Running reports whether the node works.
	Running() bool
	// Joined is closed when the node is ready to serve.
	Joined() <-chan struct{}
	// Leaving ends when the node begins to leave: no request waits longer.
	Leaving() context.Context
}

// Running is what an attempt that runs here writes to its stdout or stderr.
type Running struct {
	Open func() (*os.File, error) // the file with what it has written so far, which grows; nil while it has written nothing
	Over <-chan struct{}          // closed when it has ended, and nothing is written any more
}

// Contact is how this broker has fared with another since its own start.
type Contact struct {
	Actor    clock.Actor // the start of it to which the last message went; "" for none
	Seen     time.Time   // last message, either way; zero for never
	Answered time.Time   // when it last answered one; zero for never
	Attempts uint64      // messages that were sent to it, without those under way
	Failed   uint64      // those that were not answered
	Failing  uint64      // the same, since it last answered
	Stranger string      // the actor that answered the last message in its stead; "" when none did (rule X3)
	Refused  string      // why it has refused a message since it last answered one; "" when it has not

	// Unanswered is how many of its own messages to this broker have had no answer in a row, as it says in its answers; 0 when
	// none, or when one has come since. UnansweredFrom is since when it says so.
	Unanswered     uint64
	UnansweredFrom time.Time
}

// Server serves one broker. Make it with [New]; [Server.Serve] may be called once.
type Server struct {
	cfg     Config
	log     *slog.Logger
	core    Core
	host    Host
	store   *store.Store
	metrics *Metrics

	http        *http.Server
	limiter     *limiter
	uploads     uploads
	door        *city.Door // nil where the broker belongs to no city
	names       []string   // that Host may say
	memory      *budgets
	sources     *sources
	compression Compression
	hub         hub                   // watchers of /v1/events
	healthWas   map[string]healthKind // of the goroutine that calls WatchHealth
	tookNone    map[string]bool       // of the same: who was told to take no jobs
	isWasm      modules               // modules that were looked at
	tokens      tokens                // that were verified
	digesting   sync.Mutex            // held while a digest of the store is made
	debugging   sync.Mutex            // held while a bundle is made
	planning    chan struct{}         // of the one that reads a plan
	asking      chan struct{}         // of those that ask all brokers what they hold
	viewing     views                 // how the brokers saw each other lately
}

// New makes a server that answers from a core and a store.
func New(cfg Config, core Core, host Host, st *store.Store) *Server {
	srv := &Server{cfg: cfg, log: cfg.Logger, core: core, host: host, store: st, sources: &sources{host: host}, memory: newBudgets(), healthWas: map[string]healthKind{}, tookNone: map[string]bool{}, compression: NewCompression(), asking: make(chan struct{}, copiesAtOnce), planning: make(chan struct{}, 1)}
	srv.limiter = newLimiter(cfg.Logger, srv.sources.member)
	if cfg.City != nil {
		srv.door = city.NewDoor(cfg.City)
		terms := cfg.City.ServerTLS(srv.web)
		srv.limiter.secure = func(conn net.Conn) net.Conn { return tls.Server(conn, terms) }
	}
	srv.hub.start, srv.hub.born = strconv.FormatInt(cfg.Started.UnixNano(), 36), cfg.Started
	srv.names = ownNames(cfg.Name, cfg.HTTPHosts)
	srv.metrics = newMetrics(srv)
	srv.http = &http.Server{
		ConnState: srv.track, ConnContext: connected,
		Handler: srv.guarded(harmless(srv.sameOrigin(paced(srv.addressed(srv.handler()))))), ReadHeaderTimeout: cfg.PeerTimeout, IdleTimeout: 2 * time.Minute,
		MaxHeaderBytes: 64 << 10, ErrorLog: slog.NewLogLogger(cfg.Logger.Handler(), slog.LevelDebug),
	}
	return srv
}

// web is what there is for programs that know nothing of cities; nil is nothing.
func (srv *Server) web() *identity.Web {
	if srv.cfg.Web == nil {
		return nil
	}
	return srv.cfg.Web()
}

// Metrics are the counters that /metrics shows; the node counts, too.
func (srv *Server) Metrics() *Metrics { return srv.metrics }

// Serve answers on a listener until Shutdown or Close, which are no errors.
func (srv *Server) Serve(l net.Listener) error {
	limited := srv.limiter.limit(l)
	var peers sync.WaitGroup
	peers.Go(func() { _ = srv.http.Serve(limited.peers) }) // it ends with the server, and has no other error
	defer peers.Wait()
	if err := srv.http.Serve(limited); !errors.Is(err, http.ErrServerClosed) {
		return errors.Join(err, limited.Close())
	}
	return nil
}

// ServeSocket answers on a Unix socket as well, without TLS, until Shutdown or Close, which are no errors.
func (srv *Server) ServeSocket(l net.Listener) error {
	limited := srv.limiter.limit(l)
	limited.secure = nil
	if err := srv.http.Serve(limited); !errors.Is(err, http.ErrServerClosed) {
		return errors.Join(err, limited.Close())
	}
	return nil
}

// Shutdown takes no more requests and waits for those under way, until the context ends.
func (srv *Server) Shutdown(ctx context.Context) error { return srv.http.Shutdown(ctx) }

// Close ends all at once.
func (srv *Server) Close() error { return srv.http.Close() }

// Watch tells those that watch /v1/events what has happened.
func (srv *Server) Watch(notes []broker.Note) { srv.hub.tell(srv.cfg.Name, notes) }
