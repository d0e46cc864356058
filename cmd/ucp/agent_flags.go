package main

import (
	"strings"
	"time"

	"github.com/spf13/pflag"

	"github.com/urban-compute/ucp/node"
	"github.com/urban-compute/ucp/resolve"
)

// agentFlags holds the flags of `ucp agent` as they were given. Every one of
// them can also come from the environment or the config file: see resolve.
type agentFlags struct {
	name, dataDir, config, invite     string
	bind, advertise                   string
	rpcAddr, httpAddr, httpAdvertise  string
	httpHosts                         []string
	join, retryJoin                   entriesValue
	discover                          string
	keyring, rpcAuthFile              string
	httpSocket, rpcSocket             string
	socketMode                        modeValue
	trustLocal                        bool
	tlsCert, tlsKey, tlsCA            string
	insecure, allowProcess, newsLinks bool
	keepAuthority                     bool
	labels, devices, weights          pairsValue
	sandbox                           sandboxFlags
	allowModules                      []string
	strategy, emergencyStrategy       string
	conflictHistory                   int
	cpu                               cpuValue
	memory, moduleMemory, moduleCache bytesValue
	maxRate                           rateValue
	outbox, inbox                     string
	otlpEndpoint                      string
	syncInterval, ackTimeout          time.Duration
	replicas                          int
	redeployDelay, isolationDelay     time.Duration
	maxLosses                         int
	drainTimeout, retention           time.Duration
	dataRetention                     time.Duration
	retentionCount                    int
	diskReserve                       reserveValue
	blobGrace                         time.Duration
	logLevel, logFormat               string

	bindGiven bool // it is no default
	inCity    bool // see checkCity

	origin map[string]string // flag -> where its value came from, for errors
}

// register declares the flags with their help texts. The defaults are those of packages node and resolve.
func (f *agentFlags) register(fs *pflag.FlagSet) {
	f.labels.form, f.devices.form, f.weights.form = "NAME=VALUE", "NAME=COUNT", "NAME=POINTS"
	fs.SortFlags = false
	fs.StringVar(&f.name, "name", "", "`NAME` of the broker, unique in the cluster (default: what the data directory says, else the host name)")
	fs.StringVar(&f.dataDir, "data-dir", "", "`DIR` where the broker keeps its jobs (default: ./ucp-data/NAME)")
	fs.StringVar(&f.config, "config", "", "YAML `FILE` with any of these flags")

	fs.StringVar(&f.invite, "invite", "", "`CODE` of \"ucp cluster invite\": the broker becomes a member of that city, and joins it, unless it is one already")
	fs.BoolVar(&f.keepAuthority, "keep-authority", false, "keep a key that, once \"ucp cluster authority add NAME\" has made it an authority of the city, lets this broker admit members\nwhile no operator has another one; it is not encrypted")
	fs.StringVar(&f.bind, "bind", node.DefaultBind, "`HOST:PORT` for gossip, UDP and TCP; of a broker that belongs to a city "+node.DefaultCityBind+" unless it is given")
	fs.StringVar(&f.advertise, "advertise", "", "gossip `HOST:PORT` that peers are told; a name is followed to its next address (default: what is bound; of 0.0.0.0, the address on the way to them)")
	fs.StringVar(&f.rpcAddr, "rpc-addr", node.DefaultRPCAddr, "`HOST:PORT` for the serf command line; - for none")
	fs.StringVar(&f.rpcAuthFile, "rpc-auth-file", "", "`FILE` with the key that the serf command line has to give (-rpc-auth), of at least 16 characters")
	fs.StringVar(&f.keyring, "keyring", "", "`FILE` of the keys with which all gossip is encrypted, the same on all brokers (ucp keygen FILE); \"serf keys\" changes it")
	fs.StringVar(&f.httpAddr, "http-addr", "", "`HOST:PORT` for the HTTP API (default: port 8000 at the host of --bind)")
	fs.StringVar(&f.httpSocket, "http-socket", "", "`PATH` of a Unix socket for the HTTP API as well (ucp --addr unix:PATH); without TLS")
	fs.StringVar(&f.rpcSocket, "rpc-socket", "", "`PATH` of a Unix socket for the serf RPC as well; it asks for the key of --rpc-auth-file, too")
	f.socketMode = modeValue(node.DefaultSocketMode)
	fs.Var(&f.socketMode, "socket-mode", "who may open these sockets: a `MODE` as chmod takes it, in octal digits")
	fs.BoolVar(&f.trustLocal, "trust-local", false, "in a city, take for an operator who comes from a process of this broker's own user, by the word of the kernel:\nover --http-socket (there root, too), or over loopback (docs/security.md); Linux only")
	fs.StringVar(&f.httpAdvertise, "http-advertise", "", "HTTP `HOST:PORT` that peers are told (default: what is bound; of 0.0.0.0, the host of the gossip)")
	fs.StringSliceVar(&f.httpHosts, "http-host", nil, "`NAME` that clients may call this broker by over HTTP, \"*.NAME\" for all below it;\nits addresses, its own name, the machine's and localhost need none")
	fs.StringVar(&f.tlsCert, "tls-cert", "", "in a city, `FILE` in PEM with the certificate that browsers and other programs are shown, which know nothing\nof cities; with those of the authorities between it and the root behind it. SIGHUP reads it again")
	fs.StringVar(&f.tlsKey, "tls-key", "", "`FILE` in PEM with its key")
	fs.StringVar(&f.tlsCA, "tls-ca", "", "in a city, `FILE` in PEM with an authority of your own: who shows a certificate of it is a client of the common name,\nan operator if an organisational unit is \"operator\". SIGHUP reads it again")
	fs.BoolVar(&f.insecure, "insecure", false, "allow gossip, RPC and HTTP on addresses other than loopback; HTTP does not authenticate its callers, gossip does with --keyring, RPC with --rpc-auth-file")

	fs.Var(&f.join, "join", "gossip HOST:PORT of brokers to join, or what names some, as below; it is an error when no other answers")
	fs.Var(&f.retryJoin, "retry-join", "gossip HOST:PORT of brokers to join, one list for all; dns:NAME for the SRV records or addresses of a name,\nexec:COMMAND for what a shell command prints, one a line; looked up and tried again without end")
	fs.StringVar(&f.discover, "discover", "", "`NAME` by which brokers on one network find each other, by mDNS, as \"serf agent -discover\" does")

	fs.Var(&f.labels, "label", "label that job constraints can ask for; repeatable")
	fs.Var(&f.cpu, "cpu", "CPU offered to jobs, "+cpuHelp+" (default: all cores, or what control groups leave of them)")
	fs.Var(&f.memory, "memory", "memory offered to jobs, "+bytesHelp+" (default: 75 % of what there is, or of what control groups leave of it)")
	fs.Var(&f.moduleMemory, "module-memory", "memory that workers may have beside that, for themselves and for compiled modules, "+bytesHelp+"\n(default: a sixth of --memory, or up to 512 MiB where the machine has more)")
	fs.Var(&f.devices, "device", "counted device offered to jobs, such as camera=1; repeatable")
	fs.BoolVar(&f.allowProcess, "allow-process", false, "also run native programs (--driver process), in a sandbox (docs/security.md)")
	f.sandbox.register(fs)
	fs.StringSliceVar(&f.allowModules, "allow-module", nil, "`MODULE` that this broker runs: the SHA-256 of its file, or the public key of who has signed it (ucp module key); any, the default; repeatable")

	fs.DurationVar(&f.syncInterval, "sync-interval", node.DefaultSyncInterval, "how often clocks are exchanged with every other broker")
	fs.IntVar(&f.replicas, "replicas", node.DefaultReplicas, "brokers that must hold a job before it is acknowledged")
	fs.DurationVar(&f.ackTimeout, "ack-timeout", node.DefaultAckTimeout, "time after which a job is acknowledged with fewer replicas; the answer says so")
	fs.BoolVar(&f.newsLinks, "news-links", true, "send changes to peers at once; false leaves only the periodic exchange (for tests)")

	fs.StringVar(&f.strategy, "strategy", string(resolve.Default), "`STRATEGY` for jobs that can't all run: "+resolve.Names(", ")+" (ucp strategy set --help explains them)")
	fs.StringVar(&f.emergencyStrategy, "emergency-strategy", string(resolve.Emergency), "while an emergency of level high or critical is in force here: emergency (that strategy decides, unless another one is set meanwhile) or keep (nothing changes)")
	fs.Var(&f.weights, "weight", "points of a factor of the score: emergency, user, urgency, compute, waiting, margin or lost (docs/strategies.md); repeatable")
	fs.IntVar(&f.conflictHistory, "conflict-history", resolve.DefaultHistory, "how many decided conflicts are remembered so that they can be explained")

	fs.DurationVar(&f.redeployDelay, "redeploy-delay", node.DefaultRedeployDelay, "time for a lost broker to come back before its jobs run elsewhere; doubled each time it flaps")
	fs.IntVar(&f.maxLosses, "max-losses", node.DefaultMaxLosses, "brokers that may be lost, each alone, while one job runs there, before the job fails; 0 is without bound")
	fs.DurationVar(&f.isolationDelay, "isolation-delay", node.DefaultIsolationDelay, "time that a broker which lost most others at once waits before it takes jobs over")
	fs.DurationVar(&f.drainTimeout, "drain-timeout", node.DefaultDrainTimeout, "on SIGTERM, time for running jobs to end before they are stopped and run elsewhere (0: none)")
	fs.DurationVar(&f.retention, "retention", node.DefaultRetention, "how long a finished job and its output are kept, in time that this broker is up; how it ended stays known until every broker knows")
	fs.DurationVar(&f.dataRetention, "data-retention", node.DefaultDataRetention, "how long a version of named data is kept that is not the latest, in time that this broker is up (default: as --retention)")
	fs.IntVar(&f.retentionCount, "retention-count", node.DefaultRetentionCount, "how many finished jobs are kept at most, the newest (0: no bound)")
	f.diskReserve = node.DefaultDiskReserve
	fs.Var(&f.diskReserve, "disk-reserve", "free disk space below which new jobs are refused, "+bytesHelp+" (0: no reserve); 16MiB of it,\nat most half, are kept by the file BALLAST in the data directory, for a start on a full disk")
	fs.Var(&f.maxRate, "max-rate", "how much of blobs may go to each other broker in a second, and come from it, "+bytesHelp+"\n(0: unbounded; such as 100KiB; changes at SIGHUP)")
	fs.StringVar(&f.outbox, "outbox", "", "`DIR` in which there is a file with what the brokers lack that this one does not reach, for any carrier (docs/carry.md)")
	fs.StringVar(&f.inbox, "inbox", "", "`DIR` in which such files of others arrive; it may be the same one")
	fs.StringVar(&f.otlpEndpoint, "otlp-endpoint", "", "`URL` of a collector of OpenTelemetry that is told what becomes of jobs, by OTLP over HTTP: http://HOST:4318\n(default: OTEL_EXPORTER_OTLP_ENDPOINT; docs/tracing.md)")
	fs.Var(&f.moduleCache, "module-cache", "disk space that compiled modules may take; they also go before anything is refused for want of disk, "+bytesHelp+"\n(default: four times --disk-reserve, or 1GiB where there is none)")
	fs.DurationVar(&f.blobGrace, "blob-grace", node.DefaultBlobGrace, "how long a blob is kept without a job or data that names it; 5m at most while less than twice --disk-reserve is free")

	fs.StringVar(&f.logLevel, "log-level", "info", strings.Join(logLevels, ", "))
	fs.StringVar(&f.logFormat, "log-format", "text", strings.Join(logFormats, ", "))
}
