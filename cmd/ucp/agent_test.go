package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/spf13/pflag"
	"github.com/stretchr/testify/require"

	"github.com/urban-compute/ucp/city"
	"github.com/urban-compute/ucp/executor"
	"github.com/urban-compute/ucp/identity"
	"github.com/urban-compute/ucp/module"
	"github.com/urban-compute/ucp/resolve"
)

// configure resolves an agent's settings from the three sources; file is the
// text of a config file, "" for none.
func configure(t *testing.T, args []string, env map[string]string, file string) (agentConfig, error) {
	t.Helper()
	var f agentFlags
	fs := pflag.NewFlagSet("agent", pflag.ContinueOnError)
	f.register(fs)
	if file != "" {
		t.Chdir(t.TempDir())
		require.NoError(t, os.WriteFile("ucp.yaml", []byte(file), 0o600))
		args = append(args, "--config", "ucp.yaml")
	}
	if err := fs.Parse(args); err != nil {
		return agentConfig{}, err
	}
	return f.resolve(fs, func(k string) (string, bool) { v, ok := env[k]; return v, ok })
}

func TestAgentDefaults(t *testing.T) {
	cfg, err := configure(t, []string{"--name", "a"}, nil, "")
	require.NoError(t, err)
	want := nodeDefaults()
	want.Name, want.DataDir = "a", filepath.Join("ucp-data", "a")
	require.Equal(t, want, cfg)

	cfg, err = configure(t, nil, nil, "")
	require.NoError(t, err)
	require.Equal(t, filepath.Join("ucp-data", hostName(os.Hostname)), cfg.DataDir)

	cfg, err = configure(t, []string{"--data-dir", "/d"}, nil, "")
	require.NoError(t, err)
	require.Empty(t, cfg.Name, "the data directory knows the name")
}

// Who begins a city under one name and starts a broker under another is told that it is not the one of the city.
func TestABrokerBesideOneOfACity(t *testing.T) {
	t.Chdir(t.TempDir())
	at := func(args ...string) agentConfig {
		cfg, err := configure(t, args, nil, "")
		require.NoError(t, err)
		return cfg
	}
	cfg := at("--name", "fire-1")
	require.Empty(t, citiesBeside(&cfg), "there is nothing at all")
	_, err := city.Found(city.Of(filepath.Join(defaultDataDirs, "vm")), nil, city.Founding{Broker: "vm", Operator: "op", At: time.Now(), Keyring: func(string) error { return nil }})
	require.NoError(t, err)
	require.Equal(t, []string{filepath.Join(defaultDataDirs, "vm")}, citiesBeside(&cfg))
	cfg = at("--name", "vm")
	require.Empty(t, citiesBeside(&cfg), "it belongs to one itself")
	cfg = at("--name", "fire-1", "--data-dir", "elsewhere/fire-1")
	require.Empty(t, citiesBeside(&cfg))
}

func TestFlagBeatsEnvironmentBeatsFile(t *testing.T) {
	const file = "name: file\nreplicas: 5\nsync-interval: 10s\nnews-links: false\n"
	env := map[string]string{"UCP_NAME": "env", "UCP_REPLICAS": "4", "UCP_ADVERTISE": ""}
	cfg, err := configure(t, []string{"--name", "flag"}, env, file)
	require.NoError(t, err)
	require.Equal(t, "flag", cfg.Name)
	require.Equal(t, 4, cfg.Replicas)
	require.Equal(t, 10*time.Second, cfg.SyncInterval)
	require.False(t, cfg.NewsLinks)
}

// anInvite is an invite to some city.
const anInvite = "041H899P8XC6-JYMBKJPVWSC2K-YYDKXGK616PMN@10.0.0.1:8000"

func policyOf(t *testing.T, allowed ...string) module.Policy {
	p, err := module.ParsePolicy(allowed)
	require.NoError(t, err)
	return p
}

// Every flag can come from each of the three sources, and means the same there.
func TestEverySettingFromEverySource(t *testing.T) {
	settings := map[string]string{
		"name": "b", "data-dir": "/d", "bind": "10.0.0.1:1", "advertise": "10.0.0.1:2", "rpc-addr": "10.0.0.1:3",
		"http-addr": "10.0.0.1:4", "http-advertise": "10.0.0.1:5", "http-host": "ucp.city,*.svc.local", "insecure": "true", "join": "x:1,y:2", "retry-join": "z:3,dns:ucp.city,exec:printf a:1,2",
		"discover": "kitchen", "invite": anInvite, "keep-authority": "true", "keyring": "/k", "rpc-auth-file": "/a", "http-socket": "/h", "rpc-socket": "/r", "socket-mode": "0660", "trust-local": "true", "tls-cert": "/c", "tls-key": "/ck", "tls-ca": "/ca",
		"label": "rack=1", "cpu": "2", "memory": "2GiB", "module-memory": "1GiB", "allow-process": "true", "allow-network": "true", "job-path": "/opt/maps,/srv/out:rw", "device-path": "camera=/dev/video0", "job-uids": "7000-7999",
		"require-sandbox": "seccomp,cgroups", "no-sandbox": "true", "allow-module": strings.Repeat("0a", 32), "sync-interval": "5s", "replicas": "2",
		"ack-timeout": "1s", "news-links": "false", "log-level": "debug", "log-format": "json",
		"redeploy-delay": "4s", "isolation-delay": "20s", "max-losses": "5", "drain-timeout": "7s", "retention": "2h", "data-retention": "3h", "retention-count": "50",
		"disk-reserve": "1GiB", "module-cache": "2GiB", "max-rate": "100KiB", "outbox": "/out", "inbox": "/in", "otlp-endpoint": "http://c:4318", "blob-grace": "30m", "device": "camera=2", "strategy": "emergency", "emergency-strategy": "keep", "weight": "waiting=20", "conflict-history": "10",
	}
	want := agentConfig{
		Name: "b", DataDir: "/d", Bind: "10.0.0.1:1", Advertise: "10.0.0.1:2", RPCAddr: "10.0.0.1:3", HTTPAddr: "10.0.0.1:4",
		HTTPAdvertise: "10.0.0.1:5", HTTPHosts: []string{"ucp.city", "*.svc.local"}, Insecure: true, Join: []string{"x:1", "y:2"}, RetryJoin: []string{"z:3", "dns:ucp.city", "exec:printf a:1,2"}, Discover: "kitchen", Keyring: "/k", RPCAuthFile: "/a", HTTPSocket: "/h", RPCSocket: "/r", SocketMode: 0o660, TrustLocal: true, TLSCert: "/c", TLSKey: "/ck", TLSCA: "/ca",
		Labels: map[string]string{"rack": "1"}, CPU: 2000, Memory: 2 << 30, ModuleMemory: 1 << 30, AllowProcess: true,
		Sandbox: executor.SandboxConfig{
			Off: true, Network: true, Require: []string{"seccomp", "cgroups"}, Users: executor.UIDRange{First: 7000, Count: 1000},
			Paths: []executor.JobPath{{Path: "/opt/maps"}, {Path: "/srv/out", Write: true}}, DevicePaths: map[string][]string{"camera": {"/dev/video0"}},
		},
		AllowModules: policyOf(t, strings.Repeat("0a", 32)),
		SyncInterval: 5 * time.Second,
		Replicas:     2, AckTimeout: time.Second, LogLevel: slog.LevelDebug, LogFormat: "json",
		RedeployDelay: 4 * time.Second, IsolationDelay: 20 * time.Second, MaxLosses: 5, DrainTimeout: 7 * time.Second, Retention: 2 * time.Hour, DataRetention: 3 * time.Hour,
		RetentionCount: 50, DiskReserve: 1 << 30, ModuleCache: 2 << 30, MaxRate: 100 << 10, Outbox: "/out", Inbox: "/in", OTLPEndpoint: "http://c:4318", BlobGrace: 30 * time.Minute,
		Devices: map[string]int64{"camera": 2}, Strategy: "emergency", KeepStrategy: true, ConflictHistory: 10,
		Weights: resolve.Weights{Emergency: 1000, User: 100, Urgency: 800, Compute: 20, Waiting: 20, Margin: 100, Lost: 20},
	}
	invite, err := identity.ParseInvite(anInvite)
	require.NoError(t, err)
	want.InCity, want.Invite, want.KeepAuthority = true, invite, true
	var args []string
	var file strings.Builder
	env := map[string]string{}
	for k, v := range settings {
		args = append(args, "--"+k+"="+v)
		env[variable(k)] = v
		fmt.Fprintf(&file, "%s: %s\n", k, v)
	}
	var all agentFlags
	fs := pflag.NewFlagSet("", pflag.ContinueOnError)
	all.register(fs)
	fs.VisitAll(func(x *pflag.Flag) {
		if x.Name != "config" {
			require.Contains(t, settings, x.Name, "a new flag belongs into this test")
		}
	})
	for name, get := range map[string]func() (agentConfig, error){
		"flags":       func() (agentConfig, error) { return configure(t, args, nil, "") },
		"environment": func() (agentConfig, error) { return configure(t, nil, env, "") },
		"file":        func() (agentConfig, error) { return configure(t, nil, nil, file.String()) },
	} {
		got, err := get()
		require.NoError(t, err, name)
		require.Equal(t, want, got, name)
	}
}

func TestListsAndLabels(t *testing.T) {
	file := "join:\n  - a:1\n  - b:2\nlabel:\n  rack: 7\n  site: north\n# a comment\n---\n"
	cfg, err := configure(t, nil, nil, file)
	require.NoError(t, err)
	require.Equal(t, []string{"a:1", "b:2"}, cfg.Join)
	require.Equal(t, map[string]string{"rack": "7", "site": "north"}, cfg.Labels)

	cfg, err = configure(t, nil, nil, `label: ["k=v,w", k2=]`)
	require.NoError(t, err)
	require.Equal(t, map[string]string{"k": "v,w", "k2": ""}, cfg.Labels)

	cfg, err = configure(t, nil, map[string]string{"UCP_LABEL": "a=1, b=2,"}, "")
	require.NoError(t, err)
	require.Equal(t, map[string]string{"a": "1", "b": "2"}, cfg.Labels)

	cfg, err = configure(t, []string{"--join", "a:1,b:2", "--join", "c:3"}, nil, "")
	require.NoError(t, err)
	require.Equal(t, []string{"a:1", "b:2", "c:3"}, cfg.Join)
}

func TestAgentMistakesNameTheirSource(t *testing.T) {
	for name, x := range map[string]struct {
		args []string
		env  map[string]string
		file string
		want string
	}{
		"flag value":        {args: []string{"--sync-interval", "5"}, want: `invalid argument "5" for "--sync-interval" flag`},
		"variable value":    {env: map[string]string{"UCP_SYNC_INTERVAL": "5"}, want: `variable UCP_SYNC_INTERVAL="5": write a duration with its unit`},
		"open gossip":       {args: []string{"--bind", "10.0.0.1:7946"}, want: "--bind: \"10.0.0.1:7946\" is not a loopback address, and gossip does not authenticate"},
		"file value":        {file: "name: a\nsync-interval: 5\n", want: "ucp.yaml:2: sync-interval: write a duration with its unit"},
		"unknown key":       {file: "\nsync-intervall: 5s\n", want: `ucp.yaml:2: unknown key "sync-intervall"; did you mean "sync-interval"?`},
		"no nesting":        {file: "config: other.yaml\n", want: `ucp.yaml:1: unknown key "config"`},
		"key twice":         {file: "name: a\nname: b\n", want: "ucp.yaml:2: "},
		"not a mapping":     {file: "- a\n", want: "ucp.yaml:1: expected `key: value` lines"},
		"not YAML":          {file: "name: [a\n", want: "ucp.yaml:1: "},
		"no value":          {file: "replicas: 2\njoin:\n", want: "ucp.yaml:2: join: it has no value"},
		"not a list":        {file: "name: [a, b]\n", want: "ucp.yaml:1: name: it takes one value, not a list"},
		"nested":            {file: "label: {a: {b: c}}\n", want: "ucp.yaml:1: label: a: expected a plain value"},
		"hidden mistake":    {args: []string{"--replicas", "2"}, file: "replicas: two\n", want: "ucp.yaml:1: replicas: "},
		"file not there":    {args: []string{"--config", "nowhere.yaml"}, want: "--config: reading the config file: stat nowhere.yaml"},
		"file not there 2":  {env: map[string]string{"UCP_CONFIG": "nowhere.yaml"}, want: "variable UCP_CONFIG: reading the config file"},
		"name":              {args: []string{"--name", "a b"}, want: `--name: "a b": use letters`},
		"name in file":      {file: "name: -x\n", want: `ucp.yaml:1: name: "-x": use letters`},
		"label":             {args: []string{"--label", "a b=c"}, want: `--label: "a b=c": a label's name`},
		"cpu":               {args: []string{"--cpu", "50m"}, want: "--cpu: 50m is less than one job asks for by default (100m)"},
		"cpu in millicores": {env: map[string]string{"UCP_CPU": "2000"}, want: "2000 cores: write 2000m for millicores, or 2000000m if so many cores are meant"},
		"memory":            {env: map[string]string{"UCP_MEMORY": "64"}, want: "variable UCP_MEMORY: 64 B is less"},
		"interval":          {args: []string{"--sync-interval", "1ms"}, want: "--sync-interval: 1ms: at least 100ms"},
		"ack timeout":       {args: []string{"--ack-timeout", "0s"}, want: "--ack-timeout: 0s: must be positive"},
		"replicas":          {args: []string{"--replicas", "0"}, want: "--replicas: 0: at least 1"},
		"log level":         {args: []string{"--log-level", "loud"}, want: `--log-level: "loud": want one of debug, info, warn, error`},
		"log format":        {env: map[string]string{"UCP_LOG_FORMAT": "xml"}, want: `variable UCP_LOG_FORMAT: "xml": want one of text, json`},
		"http open":         {args: []string{"--http-addr", "0.0.0.0:8000"}, want: `--http-addr: "0.0.0.0:8000" is not a loopback address, and the HTTP API does not authenticate`},
		"http open, all":    {args: []string{"--http-addr", ":8000"}, want: "is not a loopback address"},
		"rpc open":          {env: map[string]string{"UCP_RPC_ADDR": "10.0.0.1:7373"}, want: `variable UCP_RPC_ADDR: "10.0.0.1:7373" is not a loopback address, and the serf RPC`},
		"unknown host name": {args: []string{"--http-addr", "myhost:8000"}, want: "is not a loopback address"},
		"join":              {args: []string{"--join", "a:b"}, want: `--join: gossip: join address "a:b": the port must be a number`},
		"dns with a port":   {args: []string{"--retry-join", "dns:a:1"}, want: `--retry-join: "dns:a:1": write dns:NAME`},
		"no command":        {file: "retry-join: [\"exec:\"]\n", want: `ucp.yaml:1: retry-join: "exec:": write exec: and a command`},
		"zone":              {args: []string{"--retry-join", "[fe80::1%eth0]:7946"}, want: "a link-local address counts on one network"},
		"discovered":        {args: []string{"--insecure", "--bind", "10.0.0.1:1", "--discover", "a.b"}, want: "--discover: gossip: \"a.b\" can't be discovered"},
		"nobody discovers":  {env: map[string]string{"UCP_DISCOVER": "a"}, want: "variable UCP_DISCOVER: others are told where gossip is, and at 127.0.0.1:7946"},
		"no port":           {args: []string{"--bind", "127.0.0.1"}, want: `--bind: "127.0.0.1": write HOST:PORT`},
		"port too high":     {args: []string{"--bind", "127.0.0.1:70000"}, want: "the port is a number from 0"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := configure(t, x.args, x.env, x.file)
			require.ErrorContains(t, err, x.want)
			require.NotContains(t, err.Error(), "\n", "one line")
		})
	}
}

func TestWhatIsAllowedOnLoopback(t *testing.T) {
	for _, args := range [][]string{
		{"--http-addr", "[::1]:0"}, {"--http-addr", "localhost:1"}, {"--rpc-addr", "-"}, {"--rpc-addr", "127.9.9.9:1"},
		{"--bind", "0.0.0.0:7946", "--insecure"}, {"--http-addr", ":8000", "--rpc-addr", ":1", "--insecure"},
	} {
		_, err := configure(t, args, nil, "")
		require.NoError(t, err, args)
	}
}

func TestHostNames(t *testing.T) {
	for in, want := range map[string]string{
		"node1.lab": "node1.lab", "Jürgens Laptop": "J-rgens-Laptop", "_x": "x", "": "broker", "---": "broker", strings.Repeat("a", 80): strings.Repeat("a", 64),
	} {
		require.Equal(t, want, hostName(func() (string, error) { return in, nil }), in)
	}
	require.Equal(t, "broker", hostName(func() (string, error) { return "", errors.New("no name") }))
}

func TestFirstSignalEndsTheContextSecondTheProcess(t *testing.T) {
	s := newShell(t)
	out, errOut := newBuffers()
	c := s.cli(out, errOut)
	ctx, stop := c.interruptible(context.Background())
	require.NoError(t, ctx.Err())
	s.signals <- syscall.SIGTERM
	<-ctx.Done()
	require.ErrorIs(t, context.Cause(ctx), errInterrupted)
	require.Empty(t, s.exited)
	s.signals <- os.Interrupt
	require.Equal(t, exitError, <-s.exited)
	stop()
	require.Contains(t, errOut.String(), "ending at once")
}
