package httpd

import "github.com/prometheus/client_golang/prometheus"

// figure is a metric of /metrics: its name ends in its unit, or is a number of what it names; a counter's in _total. Labels take few
// values: those that the help names, names of brokers, strategies, or routes. What is not known is left out, and is never 0.
// docs/metrics.md is written from them.
type figure struct {
	name, kind, help string
	labels           []string
	buckets          []float64 // of a histogram
	group            string    // under which it is documented
	desc             *prometheus.Desc
}

// The kinds of figures.
const (
	counter   = "counter"
	gauge     = "gauge"
	histogram = "histogram"
)

// figures are all, in the order in which they are documented.
var figures []*figure

// group is the heading of what follows.
type group string

func (g group) add(f *figure) *figure {
	f.group = string(g)
	f.desc = prometheus.NewDesc(f.name, f.help, f.labels, nil)
	figures = append(figures, f)
	return f
}

func (g group) counter(name, help string, labels ...string) *figure {
	return g.add(&figure{name: name, kind: counter, help: help, labels: labels})
}

func (g group) gauge(name, help string, labels ...string) *figure {
	return g.add(&figure{name: name, kind: gauge, help: help, labels: labels})
}

func (g group) histogram(name, help string, buckets []float64, labels ...string) *figure {
	return g.add(&figure{name: name, kind: histogram, help: help, labels: labels, buckets: buckets})
}

// options are what a counter of the library is made of.
func (f *figure) options() prometheus.CounterOpts {
	return prometheus.CounterOpts{Name: f.name, Help: f.help}
}

// buckets of times: each bound is four times the one before.
func times(first float64, n int) []float64 { return prometheus.ExponentialBuckets(first, 4, n) }

func (f *figure) histogramOptions() prometheus.HistogramOpts {
	return prometheus.HistogramOpts{Name: f.name, Help: f.help, Buckets: f.buckets}
}

var (
	jobsGroup = group("Jobs")

	submittedFigure  = jobsGroup.counter("ucp_jobs_submitted_total", "Submissions that this broker has acknowledged.")
	endedFigure      = jobsGroup.counter("ucp_jobs_ended_total", "Jobs whose end this broker has decided, as their owner: over all brokers about what has ended. outcome: succeeded, failed, cancelled, expired.", "outcome")
	jobsFigure       = jobsGroup.gauge("ucp_jobs_unfinished", "Unfinished jobs that this broker owns, by state: pending, queued, loading, running.", "state")
	oldestFigure     = jobsGroup.gauge("ucp_oldest_waiting_seconds", "How long ago the job was submitted that has waited for longest for its turn at this broker, or, owned by it, for any broker that can take it. Absent where none waits. level: none, low, medium, high, critical.", "level")
	waitedFigure     = jobsGroup.histogram("ucp_job_waiting_seconds", "How long jobs had waited since their submission when they were started here. Exemplars name jobs.", times(0.01, 11))
	loadFigure       = jobsGroup.histogram("ucp_job_loading_seconds", "How long it took from the start of an attempt here until its program began: a worker, its files, compiling its module. Exemplars name jobs.", times(0.001, 10))
	runFigure        = jobsGroup.histogram("ucp_attempt_run_seconds", "How long attempts here took from the beginning of their program to its end, pauses included. outcome: succeeded, failed, returned (this broker could not carry it out), stopped. Exemplars name jobs.", times(0.01, 11), "outcome")
	heldBackFigure   = jobsGroup.gauge("ucp_held_back_jobs", "Finished jobs that are remembered beyond their retention, since an absent member may not know of them.")
	lostFigure       = jobsGroup.gauge("ucp_lost_output_files", "Files of output that this broker is to hold, and that it could not get from any other.")
	decidingGroup    = group("Decisions")
	conflictsFigure  = decidingGroup.counter("ucp_conflicts_total", "Decisions between jobs that could not all run, by strategy.", "strategy")
	preemptedFigure  = decidingGroup.counter("ucp_preemptions_total", "Attempts that were told to make room for others here, by the strategy that decided it. mode: suspend, requeue.", "strategy", "mode")
	workFigure       = decidingGroup.counter("ucp_decisions_total", "What this broker has done since its start by the rules of the protocol: each value of what is a counter of its own. returned counts attempts that it could not carry out.", "what")
	withdrawnFigure  = decidingGroup.gauge("ucp_offer_withdrawn", "1 while this broker takes no jobs since it could not carry out one (status says why), else 0.")
	emergencyFigure  = decidingGroup.gauge("ucp_emergency_level", "The highest level of emergency in force at this broker: 0 none, 1 low, 2 medium, 3 high, 4 critical.")
	brokersGroup     = group("Other brokers")
	peersFigure      = brokersGroup.gauge("ucp_peers", "Other brokers: those that are healthy (true), and those that are not.", "healthy")
	healthFigure     = brokersGroup.gauge("ucp_peer_health", "1 for each other broker and what its health is: healthy, unheard, silent, stranger, refusing, foreign (its protocol), addressless or revoked.", "peer", "health")
	contactFigure    = brokersGroup.gauge("ucp_peer_silence_seconds", "How long ago the last message went to each other broker and was answered, or came from it. Absent of one that was never heard.", "peer")
	noJobsFigure     = brokersGroup.gauge("ucp_peer_takes_no_jobs", "1 for each other broker that takes no jobs, as it has said, else 0: it leaves, is drained, its disk is full, or it could not carry one out (status says why).", "peer")
	syncGroup        = group("What brokers tell each other")
	syncAgeFigure    = syncGroup.gauge("ucp_sync_age_seconds", "How long ago the last exchange of records with any other broker was. Absent before the first one.")
	behindFigure     = syncGroup.gauge("ucp_peer_behind_updates", "Updates known here that the other broker has not said that it holds.", "peer")
	aheadFigure      = syncGroup.gauge("ucp_peer_ahead_updates", "Updates that the other broker has said that it holds, and that are not known here.", "peer")
	unstableFigure   = syncGroup.gauge("ucp_stable_lag_updates", "Updates held here of which it is not known that every member holds them: how far the stable clock is behind. Ends of jobs are provisional until it has passed them.")
	uncoveredFigure  = syncGroup.gauge("ucp_uncovered_starts", "Starts of brokers of which updates are held that this broker's clock does not cover: while it catches up, and for good what came of a transfer whose sender died.")
	messagesFigure   = syncGroup.counter("ucp_sync_messages_total", "Messages sent to peers. result: ok, failed.", "result")
	recordsFigure    = syncGroup.counter("ucp_sync_records_total", "Records sent to peers.")
	sentFigure       = syncGroup.counter("ucp_sync_sent_bytes_total", "Bytes sent to other brokers, before TLS. kind: messages, replies (both compressed), blobs.", "kind")
	takenFigure      = syncGroup.counter("ucp_sync_received_records_total", "Records that came of other brokers. kind: job, setting, emergency, member, data, start.", "kind")
	newFigure        = syncGroup.counter("ucp_sync_new_records_total", "Those of ucp_sync_received_records_total that said something that was not known here. What is missing to all was redundant.", "kind")
	takenBytesFigure = syncGroup.counter("ucp_sync_received_record_bytes_total", "Bytes of the records that came of other brokers, before compression.", "kind")
	ackedFigure      = syncGroup.counter("ucp_acknowledgements_total", "Changes that clients were told of as done. degraded: true where fewer brokers held them than --replicas asks for, when the time for that was over.", "degraded")
	badFigure        = syncGroup.gauge("ucp_quarantined_records", "Records of peers that are kept aside since they don't validate.")
	malformedFigure  = syncGroup.counter("ucp_sync_malformed_total", "Messages of peers, replies and push-pull states among them, that did not validate.")
	invalidFigure    = syncGroup.counter("ucp_sync_invalid_records_total", "Records of peers that did not validate.")
	badEventsFigure  = syncGroup.counter("ucp_emergency_events_invalid_total", "Serf events of emergencies that were not understood.")
	gossipFigure     = syncGroup.counter("ucp_gossip_refused_total", "Statements in the gossip that were refused, since they would mute a node, or came without a key of this broker, by what was wrong.", "what")
	roomGroup        = group("Room")
	capCPUFigure     = roomGroup.gauge("ucp_capacity_cpu_cores", "Processor cores that this broker offers to jobs.")
	capMemoryFigure  = roomGroup.gauge("ucp_capacity_memory_bytes", "Memory that this broker offers to jobs.")
	capIOFigure      = roomGroup.gauge("ucp_capacity_io_units", "Units of input and output that this broker offers to jobs.")
	askCPUFigure     = roomGroup.gauge("ucp_asked_cpu_cores", "Processor cores that running jobs have asked for.")
	askMemoryFigure  = roomGroup.gauge("ucp_asked_memory_bytes", "Memory that running jobs have asked for.")
	askIOFigure      = roomGroup.gauge("ucp_asked_io_units", "Units of input and output that running jobs have asked for.")
	usedCPUFigure    = roomGroup.gauge("ucp_used_cpu_cores", "Processor cores that jobs kept busy lately, by measurement.")
	usedMemoryFigure = roomGroup.gauge("ucp_used_memory_bytes", "Memory that jobs hold, by measurement.")
	workersFigure    = roomGroup.gauge("ucp_workers", "Worker processes, by state: busy, idle.", "state")
	workerFigure     = roomGroup.gauge("ucp_worker_memory_bytes", "Memory of workers. part: room that all may have; accounted of it, for limits of jobs, workers themselves (idle: those that stand by), loading, modules; resident, by measurement.", "part")
	diskFigure       = roomGroup.gauge("ucp_disk_bytes", "Bytes of the file system of the data directory. part: size, free, reserve (--disk-reserve).", "part")
	inodesFigure     = roomGroup.gauge("ucp_disk_inodes", "Files (inodes) of that file system. part: size, free.", "part")
	fullFigure       = roomGroup.gauge("ucp_disk_full", "1 while new jobs and blobs are refused, since the disk is down to its reserve, else 0.")
	cacheFigure      = roomGroup.gauge("ucp_module_cache_bytes", "Disk space of compiled modules. part: used, most.", "part")
	sweptFigure      = roomGroup.counter("ucp_blobs_removed_total", "Blobs removed since no job named them any more.")
	corruptFigure    = roomGroup.counter("ucp_blobs_corrupt_total", "Blobs whose content did not fit their digest.")
	programGroup     = group("This program")
	buildFigure      = programGroup.gauge("ucp_build_info", "1, with the broker's name, its version, and what it was built with.", "broker", "version", "goversion")
	commitFigure     = programGroup.histogram("ucp_commit_seconds", "How long commits took to be written and synced.", prometheus.ExponentialBuckets(0.0005, 2, 14))
	requestFigure    = programGroup.histogram("ucp_http_request_seconds", "How long requests took, by route. Those that wait as they were told to (?wait=, ?follow, events) are left out.", times(0.001, 8), "route")
	errorsFigure     = programGroup.counter("ucp_http_errors_total", "Requests that were answered with an error, by code.", "code")
	panicsFigure     = programGroup.counter("ucp_http_panics_total", "Requests whose handler has panicked, a fault of this program; the log shows where.")
	securityGroup    = group("Security")
	sandboxFigure    = securityGroup.gauge("ucp_sandbox", "1 for each wall of the sandbox of native jobs that stands, 0 for each that is missing (status says why).", "wall")
	moduleBoxFigure  = securityGroup.gauge("ucp_module_sandbox", "1 for each wall around WebAssembly jobs that stands, 0 for each that is missing (status says why).", "wall")
	exposedFigure    = securityGroup.gauge("ucp_exposed_interfaces", "Interfaces of this broker that strangers can reach and that do not ask who is calling (--insecure).")
	forksFigure      = securityGroup.gauge("ucp_forks", "Actors that have signed two histories, as is proven by their signatures (rule H2). Only in a city.")
	forgedFigure     = securityGroup.counter("ucp_forged_total", "Records that were found to say that a broker has written what it has not, as its signatures show (rule H3). Only in a city.")
	noHeadFigure     = securityGroup.counter("ucp_heads_refused_total", "Messages of peers with a head that was not believed (rule H1). Only in a city.")
)
