package main

import (
	"cmp"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"time"

	promsink "github.com/hashicorp/go-metrics/prometheus"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/urban-compute/ucp/city"
	"github.com/urban-compute/ucp/gossip"
	"github.com/urban-compute/ucp/identity"
	"github.com/urban-compute/ucp/node"
	"github.com/urban-compute/ucp/tracing"
)

// libraryMetrics gathers what Serf and memberlist count. Their only outlet is one
// for the whole process, so that it is set up here, once.
func libraryMetrics() (prometheus.Gatherer, error) {
	registry := prometheus.NewRegistry()
	sink, err := promsink.NewPrometheusSinkFrom(promsink.PrometheusOpts{
		Registerer: registry, Expiration: time.Hour, Name: "ucp_serf_sink",
	})
	if err != nil {
		return nil, fmt.Errorf("metrics of serf: %w", err)
	}
	return registry, gossip.InstallMetrics(sink)
}

// runAgent runs a broker until ctx ends, then leaves the cluster in good order.
func runAgent(ctx context.Context, cfg agentConfig) error {
	syscall.Umask(0o077) // what this broker and its jobs write is for nobody else on this machine
	figures, err := libraryMetrics()
	if err != nil {
		return err
	}
	auth, err := readRPCAuth(cfg.RPCAuthFile)
	if err != nil {
		return err
	}
	if err := enterCity(ctx, &cfg); err != nil {
		return err
	}
	for _, dir := range citiesBeside(&cfg) {
		cfg.Logger.Warn("this broker belongs to no city, but one whose data lie beside its own does: was that one meant?", "data-dir", cfg.DataDir, "other", dir, "start-it", "ucp agent --data-dir "+dir)
	}
	var self *city.Self
	if cfg.InCity {
		if self, err = city.Open(city.Of(cfg.DataDir), cfg.Logger); err != nil {
			return err
		}
		if err := keepAuthority(&cfg, self); err != nil {
			return err
		}
	}
	web, err := identity.ReadWeb(cfg.TLSCert, cfg.TLSKey, cfg.TLSCA)
	if err != nil {
		return fmt.Errorf("--tls-cert, --tls-key, --tls-ca: %w", err)
	}
	tracer, err := tracerOf(&cfg)
	if err != nil {
		return err
	}
	n, err := node.New(node.Config{
		Metrics: figures, Tracer: tracer, City: self,
		Name: cfg.Name, DataDir: cfg.DataDir,
		Bind: cfg.Bind, Advertise: cfg.Advertise,
		RPCAddr: cfg.RPCAddr, HTTPAddr: cfg.HTTPAddr, HTTPAdvertise: cfg.HTTPAdvertise, HTTPHosts: cfg.HTTPHosts,
		Insecure: cfg.Insecure, Join: cfg.Join, RetryJoin: cfg.RetryJoin, Discover: cfg.Discover, Keyring: cfg.Keyring, RPCAuth: auth,
		HTTPSocket: cfg.HTTPSocket, RPCSocket: cfg.RPCSocket, SocketMode: cfg.SocketMode, TrustLocal: cfg.TrustLocal, Web: web,
		Labels: cfg.Labels, Devices: cfg.Devices, Strategy: cfg.Strategy, KeepStrategy: cfg.KeepStrategy, Weights: cfg.Weights, ConflictHistory: cfg.ConflictHistory, CPU: cfg.CPU, Memory: cfg.Memory, ModuleMemory: cfg.ModuleMemory, AllowProcess: cfg.AllowProcess, Sandbox: cfg.Sandbox, AllowModules: cfg.AllowModules, AdoptOrphans: true,
		SyncInterval: cfg.SyncInterval, Replicas: cfg.Replicas, AckTimeout: cfg.AckTimeout,
		RedeployDelay: cfg.RedeployDelay, IsolationDelay: cfg.IsolationDelay, MaxLosses: orNone(cfg.MaxLosses), DrainTimeout: orNone(cfg.DrainTimeout),
		Retention: cfg.Retention, RetentionCount: orNone(cfg.RetentionCount), DataRetention: cfg.DataRetention,
		DiskReserve: orNone(cfg.DiskReserve), ModuleCache: cfg.ModuleCache, MaxRate: cfg.MaxRate, Outbox: cfg.Outbox, Inbox: cfg.Inbox, BlobGrace: cfg.BlobGrace,
		NoNewsLinks: !cfg.NewsLinks,
		Software:    readVersion().String(),
		Logger:      cfg.Logger, LogLevel: cfg.Level, RecentLog: cfg.Recent, Settings: cfg.Shown,
	})
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(ctx)
	var pace sync.WaitGroup
	pace.Go(func() { node.PaceCollector(ctx) })
	defer pace.Wait()
	cfg.Reload.broker, cfg.Reload.web = n, web
	defer cfg.Reload.serve(ctx)()
	defer cancel()
	defer cfg.Notify.follow(ctx, n.Ready(), cfg.DrainTimeout)()
	return n.Run(ctx)
}

// tracerOf makes what tells a collector of OpenTelemetry of jobs; nil where nobody is to be told.
func tracerOf(cfg *agentConfig) (*tracing.Tracer, error) {
	if !tracing.Wanted(cfg.OTLPEndpoint) {
		return nil, nil
	}
	return tracing.New(tracing.Options{Endpoint: cfg.OTLPEndpoint, Broker: cmp.Or(cfg.Name, hostName(os.Hostname)), Version: readVersion().String(), Log: cfg.Logger})
}

// citiesBeside lists the data directories of brokers that belong to a city beside the one of a broker that belongs to none, where
// that is the directory that brokers have by default: there the name alone decides which of them is started.
func citiesBeside(cfg *agentConfig) (dirs []string) {
	all := filepath.Dir(filepath.Clean(cfg.DataDir))
	if cfg.InCity || all != defaultDataDirs {
		return nil
	}
	entries, err := os.ReadDir(all)
	if err != nil {
		return nil // it is about to be made, or its broker will say that it can't be read
	}
	for _, e := range entries {
		if dir := filepath.Join(all, e.Name()); city.Of(dir).Held() {
			dirs = append(dirs, dir)
		}
	}
	return dirs
}

// keepAuthority makes sure that the broker has a key that may become an authority's, if it is to have one, and says what it is.
func keepAuthority(cfg *agentConfig, self *city.Self) error {
	if !cfg.KeepAuthority {
		return nil
	}
	key, err := self.KeepAuthority()
	if err != nil {
		return fmt.Errorf("--keep-authority: %w", err)
	}
	if key != "" && !self.Authorities().InForce(key) {
		cfg.Logger.Info("the authority's key of this broker is none of the city's yet, as far as it knows: ucp cluster authority add "+self.Name(), "key", key.String())
	}
	return nil
}

// readRPCAuth reads the key of the serf command line, which only this broker's user may be able to read; "" is the file of none.
func readRPCAuth(file string) (string, error) {
	if file == "" {
		return "", nil
	}
	info, err := os.Stat(file)
	switch {
	case err != nil:
		return "", fmt.Errorf("--rpc-auth-file: %w", err)
	case info.Mode().Perm()&0o077 != 0:
		return "", fmt.Errorf("--rpc-auth-file %s can be read by others (%v): chmod 600 it, and take another key", file, info.Mode().Perm())
	case info.Size() > maxRPCAuth:
		return "", fmt.Errorf("--rpc-auth-file %s has %d bytes: it holds a key, as `ucp keygen` prints", file, info.Size())
	}
	key, err := os.ReadFile(file)
	if err != nil {
		return "", fmt.Errorf("--rpc-auth-file: %w", err)
	}
	text := strings.TrimSpace(string(key))
	if text == "" {
		return "", fmt.Errorf("--rpc-auth-file %s is empty: it holds a key, as `ucp keygen` prints", file)
	}
	return text, nil
}

// maxRPCAuth bounds the file of the key of the serf command line, in bytes.
const maxRPCAuth = 4 << 10

// orNone turns the zero of a flag, which means "none", into what node.Config takes
// for that: its own zero is the default.
func orNone[T int | int64 | time.Duration](v T) T {
	if v == 0 {
		return -1
	}
	return v
}
