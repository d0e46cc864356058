package main

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/urban-compute/ucp/city"
	"github.com/urban-compute/ucp/executor"
	"github.com/urban-compute/ucp/gossip"
	"github.com/urban-compute/ucp/identity"
	"github.com/urban-compute/ucp/job"
	"github.com/urban-compute/ucp/label"
	"github.com/urban-compute/ucp/module"
	"github.com/urban-compute/ucp/node"
	"github.com/urban-compute/ucp/resolve"
	"github.com/urban-compute/ucp/tracing"
)

// agentConfig holds the checked settings of `ucp agent`, which runAgent hands to
// package node. Zero CPU and Memory mean what the machine has.
type agentConfig struct {
	Name, DataDir                     string // Name is "" to let the data directory decide
	Bind, Advertise                   string
	RPCAddr, HTTPAddr, HTTPAdvertise  string
	HTTPHosts                         []string
	Join, RetryJoin                   []string
	Discover                          string
	Keyring, RPCAuthFile              string
	HTTPSocket, RPCSocket             string
	SocketMode                        fs.FileMode
	TrustLocal                        bool
	TLSCert, TLSKey, TLSCA            string
	InCity                            bool             // its data directory holds the identity of a member of a city, or will
	Invite                            *identity.Invite // to a city; nil for none
	Insecure, AllowProcess, NewsLinks bool
	KeepAuthority                     bool // whether it is to have a key that may become an authority's of its city
	Sandbox                           executor.SandboxConfig
	AllowModules                      module.Policy
	Labels                            map[string]string
	Devices                           map[string]int64
	Strategy                          resolve.Strategy
	KeepStrategy                      bool
	Weights                           resolve.Weights
	ConflictHistory                   int
	CPU, Memory, ModuleMemory         int64 // millicores, bytes
	SyncInterval, AckTimeout          time.Duration
	Replicas                          int
	RedeployDelay, IsolationDelay     time.Duration
	MaxLosses                         int
	DrainTimeout, Retention           time.Duration
	DataRetention                     time.Duration
	RetentionCount                    int
	DiskReserve, ModuleCache          int64 // bytes
	MaxRate                           int64 // bytes a second; 0 is unbounded
	Outbox, Inbox                     string
	OTLPEndpoint                      string
	BlobGrace                         time.Duration
	LogLevel                          slog.Level
	LogFormat                         string
	Logger                            *slog.Logger
	Level                             *slog.LevelVar
	Recent                            func() []byte     // the last lines of the log
	Shown                             map[string]string // the settings, without secrets
	Reload                            *reload
	Notify                            notifier // the service manager
}

// minCapacity is the least CPU a broker may offer, in millicores: what a job asks for by default.
const minCapacity = job.DefaultCPU

// check turns the flags into a config, or returns all that is wrong with them: each error names the flag, and where it was
// given.
func (f *agentFlags) check() (agentConfig, error) {
	cfg := agentConfig{
		Name: f.name, DataDir: f.dataDir, Bind: f.bind, Advertise: f.advertise,
		RPCAddr: f.rpcAddr, HTTPAddr: f.httpAddr, HTTPAdvertise: f.httpAdvertise, HTTPHosts: f.httpHosts,
		Join: f.join.entries, RetryJoin: f.retryJoin.entries, Discover: f.discover, Keyring: f.keyring, RPCAuthFile: f.rpcAuthFile,
		HTTPSocket: f.httpSocket, RPCSocket: f.rpcSocket, SocketMode: fs.FileMode(f.socketMode), TrustLocal: f.trustLocal, TLSCert: f.tlsCert, TLSKey: f.tlsKey, TLSCA: f.tlsCA,
		KeepAuthority: f.keepAuthority, Insecure: f.insecure, AllowProcess: f.allowProcess, NewsLinks: f.newsLinks,
		Labels: f.labels.pairs, CPU: int64(f.cpu), Memory: int64(f.memory), ModuleMemory: int64(f.moduleMemory),
		SyncInterval: f.syncInterval, AckTimeout: f.ackTimeout, Replicas: f.replicas,
		LogFormat:    f.logFormat,
		KeepStrategy: f.emergencyStrategy == keepStrategy, ConflictHistory: f.conflictHistory,
		RedeployDelay: f.redeployDelay, IsolationDelay: f.isolationDelay, MaxLosses: f.maxLosses, DrainTimeout: f.drainTimeout,
		Retention: f.retention, DataRetention: f.dataRetention, RetentionCount: f.retentionCount, DiskReserve: int64(f.diskReserve), ModuleCache: int64(f.moduleCache), MaxRate: int64(f.maxRate), Outbox: f.outbox, Inbox: f.inbox, OTLPEndpoint: f.otlpEndpoint, BlobGrace: f.blobGrace,
	}
	var m mistakes
	if !slices.Contains(logLevels, f.logLevel) {
		m.add(f.wrong("log-level", "%q: %s", f.logLevel, label.OneOf(f.logLevel, logLevels)))
	} else if err := cfg.LogLevel.UnmarshalText([]byte(f.logLevel)); err != nil {
		m.add(f.wrong("log-level", "%w", err))
	}
	if !slices.Contains(logFormats, f.logFormat) {
		m.add(f.wrong("log-format", "%q: %s", f.logFormat, label.OneOf(f.logFormat, logFormats)))
	}
	if cfg.DataDir == "" {
		cfg.DataDir = filepath.Join(defaultDataDirs, cmp.Or(cfg.Name, hostName(os.Hostname)))
	}
	m.add(f.checkCity(&cfg))
	cfg.Strategy, _ = resolve.ParseStrategy(f.strategy) // an alias is its strategy; an error is checkIdentity's, too
	cfg.Devices, _ = counts(f.devices.pairs)            // an error is checkIdentity's
	cfg.Weights, _ = f.weightsOf()
	sandbox, err := f.checkSandbox()
	cfg.Sandbox = sandbox
	m.add(err)
	for _, check := range []func() error{f.checkIdentity, f.checkAddresses, f.checkNodes, f.checkAmounts} {
		m.add(check())
	}
	if err := tracing.CheckEndpoint(f.otlpEndpoint); err != nil {
		m.add(f.wrong("otlp-endpoint", "%w", err))
	}
	if cfg.AllowModules, err = module.ParsePolicy(f.allowModules); err != nil {
		m.add(f.wrong("allow-module", "%w", err))
	}
	return cfg, m.all()
}

// keepStrategy is the value of --emergency-strategy by which emergencies change nothing.
const keepStrategy = "keep"

// checkCity looks whether the broker belongs to a city, and says what follows from that.
func (f *agentFlags) checkCity(cfg *agentConfig) error {
	folder := city.Of(cfg.DataDir)
	m, err := folder.Member()
	if f.invite != "" {
		invite, err := identity.ParseInvite(f.invite)
		if err != nil {
			return f.wrong("invite", "%w", err)
		}
		if err := folder.CheckCity(invite); err != nil && !errors.Is(err, identity.ErrNoIdentity) {
			return f.wrong("invite", "%w", err)
		}
		cfg.Invite, cfg.InCity, f.inCity = invite, true, true
	}
	switch {
	case errors.Is(err, identity.ErrNoIdentity):
	case err != nil:
		return fmt.Errorf("the broker's identity: %w", err)
	case m.Admission.Role != identity.Broker:
		return fmt.Errorf("the identity in %s is that of %s, who is no broker (%s)", folder.Folder, m.Admission.Name, m.Admission.Role)
	case f.name != "" && f.name != m.Admission.Name:
		return f.wrong("name", "%q: this broker was admitted to its city as %s (%s)", f.name, m.Admission.Name, folder.Folder)
	default:
		cfg.InCity, cfg.Name, f.inCity = true, m.Admission.Name, true
	}
	if f.keepAuthority && !f.inCity {
		return f.wrong("keep-authority", "this broker belongs to no city: begin one (ucp cluster init), or come into one (--invite)")
	}
	if f.trustLocal && !f.inCity {
		return f.wrong("trust-local", "this broker belongs to no city, and trusts everybody who reaches it: begin one (ucp cluster init), or come into one (--invite)")
	}
	if f.trustLocal && runtime.GOOS != "linux" {
		return f.wrong("trust-local", "only Linux says which user is at the other end")
	}
	for flag, file := range map[string]string{"tls-cert": f.tlsCert, "tls-key": f.tlsKey, "tls-ca": f.tlsCA} {
		if file != "" && !f.inCity {
			return f.wrong(flag, "this broker belongs to no city, and speaks no TLS: begin one (ucp cluster init), or come into one (--invite)")
		}
	}
	if f.tlsCert == "" && f.tlsKey != "" {
		return f.wrong("tls-key", "it belongs to a certificate: give --tls-cert, too")
	}
	if f.tlsCert != "" && f.tlsKey == "" {
		return f.wrong("tls-cert", "its key is missing: give --tls-key, too")
	}
	if f.inCity && !f.bindGiven {
		f.bind, cfg.Bind = node.DefaultCityBind, node.DefaultCityBind
	}
	return nil
}

// wrong makes an error that says where the value came from.
func (f *agentFlags) wrong(flag, format string, args ...any) error {
	return fmt.Errorf("%s: %w", f.origin[flag], fmt.Errorf(format, args...))
}

func (f *agentFlags) checkIdentity() error {
	var m mistakes
	if f.name != "" && !label.ValidName(f.name) {
		m.add(f.wrong("name", "%q: use letters, digits and . _ -, at most 64, the first a letter or digit", f.name))
	}
	if _, err := resolve.ParseStrategy(f.strategy); err != nil {
		m.add(f.wrong("strategy", "%w", err))
	}
	if f.emergencyStrategy != keepStrategy && f.emergencyStrategy != string(resolve.Emergency) {
		m.add(f.wrong("emergency-strategy", "%q: %s", f.emergencyStrategy, label.OneOf(f.emergencyStrategy, []string{string(resolve.Emergency), keepStrategy})))
	}
	if _, err := f.weightsOf(); err != nil {
		m.add(f.wrong("weight", "%w", err))
	}
	if _, err := counts(f.devices.pairs); err != nil {
		m.add(f.wrong("device", "%w", err))
	}
	for k, v := range f.labels.pairs {
		if !label.ValidLabel(k, v) {
			m.add(f.wrong("label", "%q: %s", k+"="+v, label.LabelForm))
		}
	}
	return m.all()
}

// weightsOf reads the weights of the strategies.
func (f *agentFlags) weightsOf() (resolve.Weights, error) {
	changes := map[string]int64{}
	for name, text := range f.weights.pairs {
		n, err := strconv.ParseInt(text, 10, 64)
		if err != nil {
			return resolve.Weights{}, fmt.Errorf("%q: write a whole number of points, such as waiting=20", name+"="+text)
		}
		changes[name] = n
	}
	return resolve.DefaultWeights().With(changes)
}

func (f *agentFlags) checkAmounts() error {
	var m mistakes
	if f.cpu != 0 && f.cpu < minCapacity {
		m.add(f.wrong("cpu", "%dm is less than one job asks for by default (%dm)", int64(f.cpu), minCapacity))
	}
	if f.memory != 0 && f.memory < job.DefaultMemory {
		m.add(f.wrong("memory", "%s is less than one job asks for by default (%s)", &f.memory, humanBytes(job.DefaultMemory)))
	}
	if f.syncInterval < 100*time.Millisecond {
		m.add(f.wrong("sync-interval", "%v: at least 100ms", f.syncInterval))
	}
	if f.ackTimeout <= 0 {
		m.add(f.wrong("ack-timeout", "%v: must be positive", f.ackTimeout))
	}
	if f.redeployDelay <= 0 {
		m.add(f.wrong("redeploy-delay", "%v: must be positive", f.redeployDelay))
	}
	if f.maxLosses < 0 {
		m.add(f.wrong("max-losses", "%d: must not be negative; 0 is without bound", f.maxLosses))
	}
	if f.isolationDelay <= 0 {
		m.add(f.wrong("isolation-delay", "%v: must be positive", f.isolationDelay))
	}
	if f.drainTimeout < 0 {
		m.add(f.wrong("drain-timeout", "%v: must not be negative", f.drainTimeout))
	}
	if f.retention <= 0 {
		m.add(f.wrong("retention", "%v: must be positive", f.retention))
	}
	if f.dataRetention < 0 {
		m.add(f.wrong("data-retention", "%v: must not be negative; 0 is as long as --retention", f.dataRetention))
	}
	if f.conflictHistory < 1 {
		m.add(f.wrong("conflict-history", "%d: at least 1", f.conflictHistory))
	}
	if f.retentionCount < 0 {
		m.add(f.wrong("retention-count", "%d: must not be negative", f.retentionCount))
	}
	if f.blobGrace < time.Minute {
		m.add(f.wrong("blob-grace", "%v: at least 1m, or a blob may be gone before its job is submitted", f.blobGrace))
	}
	if f.replicas < 1 {
		m.add(f.wrong("replicas", "%d: at least 1", f.replicas))
	}
	return m.all()
}

func (f *agentFlags) checkAddresses() error {
	for flag, addr := range map[string]string{"advertise": f.advertise, "http-advertise": f.httpAdvertise} {
		if addr == "" {
			continue
		}
		if err := checkHostPort(addr); err != nil {
			return f.wrong(flag, "%q: %w", addr, err)
		}
	}
	for _, d := range node.Doors(f.bind, f.rpcAddr, f.httpAddr, f.inCity, f.keyring != "", f.rpcAuthFile != "") {
		if d.Flag == "rpc-addr" && d.Addr == "-" || d.Flag == "http-addr" && d.Addr == "" {
			continue
		}
		if err := checkHostPort(d.Addr); err != nil {
			return f.wrong(d.Flag, "%q: %w", d.Addr, err)
		}
		if !f.insecure && d.Exposed() {
			return f.wrong(d.Flag, "%q %s", d.Addr, d.Refusal())
		}
	}
	_, err := node.Addresses{Bind: f.bind, Advertise: f.advertise, HTTPAddr: f.httpAddr, HTTPAdvertise: f.httpAdvertise}.Complete()
	var bad *node.AddressError
	if errors.As(err, &bad) {
		return f.wrong(bad.Flag, "%s", bad.Reason)
	}
	return err
}

// checkNodes checks what names the nodes to join.
func (f *agentFlags) checkNodes() error {
	var m mistakes
	for flag, entries := range map[string][]string{"join": f.join.entries, "retry-join": f.retryJoin.entries} {
		for _, entry := range entries {
			if err := gossip.CheckEntry(entry); err != nil {
				m.add(f.wrong(flag, "%w", err))
			}
		}
	}
	if f.discover != "" {
		if err := gossip.CheckEntry("mdns:" + f.discover); err != nil {
			m.add(f.wrong("discover", "%w", err))
		}
		if f.advertise == "" && node.IsLoopback(f.bind) {
			m.add(f.wrong("discover", "others are told where gossip is, and at %s they do not reach it: give --bind an address of your network, or 0.0.0.0:7946", f.bind))
		}
	}
	return m.all()
}

// checkHostPort says what is wrong with an address.
func checkHostPort(addr string) error {
	_, port, err := net.SplitHostPort(addr)
	if err != nil {
		return fmt.Errorf("write HOST:PORT, an IPv6 host in brackets")
	}
	if _, err := strconv.ParseUint(port, 10, 16); err != nil {
		return fmt.Errorf("the port is a number from 0 (any free one) to 65535")
	}
	return nil
}

// defaultDataDirs is where brokers have their data directories unless --data-dir says otherwise, each under its name.
const defaultDataDirs = "ucp-data"

// hostName makes a valid broker name of this machine's.
func hostName(hostname func() (string, error)) string {
	host, err := hostname()
	if err != nil {
		return "broker"
	}
	name := strings.Map(func(r rune) rune {
		if r < 0x80 && label.ValidName("x"+string(r)) {
			return r
		}
		return '-'
	}, host)
	name = strings.TrimLeft(name, "._-")
	if name = name[:min(len(name), 64)]; name == "" {
		return "broker"
	}
	return name
}
