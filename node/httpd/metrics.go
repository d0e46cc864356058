package httpd

import (
	"net/http"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/urban-compute/ucp/api"
	"github.com/urban-compute/ucp/broker/replication"
	"github.com/urban-compute/ucp/job"
	"github.com/urban-compute/ucp/resolve"
)

// Metrics is what /metrics shows of this broker, beside what is gathered for the whole process
// (Config.Metrics). Its methods count, and may be called from any goroutine.
type Metrics struct {
	all         prometheus.Gatherers
	submitted   prometheus.Counter
	malformed   prometheus.Counter
	quarantined prometheus.Counter
	errors      *prometheus.CounterVec
	panics      prometheus.Counter
	messages    *prometheus.CounterVec
	records     prometheus.Counter
	corrupt     prometheus.Counter
	badEvents   prometheus.Counter
	gossip      *prometheus.CounterVec
	swept       prometheus.Counter
	waited      prometheus.Histogram
	complaints  complaints
}

func newMetrics(srv *Server) *Metrics {
	m := &Metrics{
		complaints:  complaints{log: srv.log},
		submitted:   prometheus.NewCounter(prometheus.CounterOpts{Name: "ucp_jobs_submitted_total", Help: "Submissions that this broker has acknowledged."}),
		malformed:   prometheus.NewCounter(prometheus.CounterOpts{Name: "ucp_sync_malformed_total", Help: "Messages of peers, replies and push-pull states among them, that did not validate."}),
		quarantined: prometheus.NewCounter(prometheus.CounterOpts{Name: "ucp_sync_invalid_records_total", Help: "Records of peers that did not validate."}),
		errors:      prometheus.NewCounterVec(prometheus.CounterOpts{Name: "ucp_http_errors_total", Help: "Requests that were answered with an error, by code."}, []string{"code"}),
		panics:      prometheus.NewCounter(prometheus.CounterOpts{Name: "ucp_http_panics_total", Help: "Requests whose handler has panicked, a fault of this program; the log shows where."}),
		messages:    prometheus.NewCounterVec(prometheus.CounterOpts{Name: "ucp_sync_messages_total", Help: "Messages sent to peers, by result."}, []string{"result"}),
		records:     prometheus.NewCounter(prometheus.CounterOpts{Name: "ucp_sync_records_total", Help: "Records sent to peers."}),
		corrupt:     prometheus.NewCounter(prometheus.CounterOpts{Name: "ucp_blobs_corrupt_total", Help: "Blobs whose content did not fit their digest."}),
		badEvents:   prometheus.NewCounter(prometheus.CounterOpts{Name: "ucp_emergency_events_invalid_total", Help: "Serf events of emergencies that were not understood."}),
		gossip:      prometheus.NewCounterVec(prometheus.CounterOpts{Name: "ucp_gossip_refused_total", Help: "Statements in the gossip that were refused, since they would mute a node, or came without a key of this broker, by what was wrong."}, []string{"what"}),
		swept:       prometheus.NewCounter(prometheus.CounterOpts{Name: "ucp_blobs_removed_total", Help: "Blobs removed since no job named them any more."}),
	}
	m.waited = prometheus.NewHistogram(prometheus.HistogramOpts{
		Name: "ucp_job_waiting_seconds", Help: "How long jobs had waited since their submission when they were started here.",
		Buckets: prometheus.ExponentialBuckets(0.01, 4, 9), // to 11 minutes
	})
	registry := prometheus.NewRegistry()
	registry.MustRegister(m.submitted, m.malformed, m.quarantined, m.errors, m.panics, m.messages, m.records, m.corrupt, m.badEvents, m.gossip, m.swept, m.waited,
		collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}),
		gauges{srv})
	m.all = prometheus.Gatherers{registry}
	if srv.cfg.Metrics != nil {
		m.all = append(m.all, srv.cfg.Metrics)
	}
	return m
}

func (m *Metrics) handler() http.Handler {
	return promhttp.HandlerFor(m.all, promhttp.HandlerOpts{})
}

func (m *Metrics) refused(code string) { m.errors.WithLabelValues(code).Inc() }

// Sent counts a message to a peer, and whether it was answered.
func (m *Metrics) Sent(s replication.Send, err error) {
	result := "ok"
	if err != nil {
		result = "failed"
	}
	m.messages.WithLabelValues(result).Inc()
	if s.Message.Delta != nil {
		m.records.Add(float64(len(s.Message.Delta.Records)))
	}
}

// Corrupt counts a blob whose content did not fit its digest.
func (m *Metrics) Corrupt() { m.corrupt.Inc() }

// BadEvent counts a Serf event of an emergency that was not understood.
func (m *Metrics) BadEvent() { m.badEvents.Inc() }

// GossipRefused counts a statement in the gossip that was refused; what says what was wrong (gossip.Refused).
func (m *Metrics) GossipRefused(what string) { m.gossip.WithLabelValues(what).Inc() }

// Swept counts blobs that were removed since no job named them any more.
func (m *Metrics) Swept(blobs int) { m.swept.Add(float64(blobs)) }

// Started notes how long a job had waited when it was started.
func (m *Metrics) Started(waited time.Duration) { m.waited.Observe(waited.Seconds()) }

// gauges reads what the broker last published, at each scrape.
type gauges struct{ srv *Server }

var (
	jobsDesc          = prometheus.NewDesc("ucp_jobs_unfinished", "Unfinished jobs that this broker owns, by state.", []string{"state"}, nil)
	peersDesc         = prometheus.NewDesc("ucp_peers", "Other brokers, by health.", []string{"healthy"}, nil)
	healthDesc        = prometheus.NewDesc("ucp_peer_health", "1 for each other broker and what its health is: healthy, unheard, silent, stranger, refusing, foreign (its protocol), addressless or revoked.", []string{"peer", "health"}, nil)
	noJobsDesc        = prometheus.NewDesc("ucp_peer_takes_no_jobs", "1 for each other broker that takes no jobs, as it has said, else 0: it leaves, is drained, its disk is full, or it could not carry one out (status says why).", []string{"peer"}, nil)
	usageDesc         = prometheus.NewDesc("ucp_usage", "What running jobs have asked for.", []string{"resource"}, nil)
	workDesc          = prometheus.NewDesc("ucp_decisions_total", "What this broker has decided since its start.", []string{"what"}, nil)
	badDesc           = prometheus.NewDesc("ucp_quarantined_records", "Records of peers that are kept aside since they don't validate.", nil, nil)
	uncoveredDesc     = prometheus.NewDesc("ucp_uncovered_starts", "Starts of brokers of which updates are held that this broker's clock does not cover: while it catches up, and for good what came of a transfer whose sender died.", nil, nil)
	heldBackDesc      = prometheus.NewDesc("ucp_held_back_jobs", "Finished jobs that are remembered beyond their retention, since an absent member may not know of them.", nil, nil)
	lostDesc          = prometheus.NewDesc("ucp_lost_output_files", "Files of output that this broker is to hold, and that it could not get from any other.", nil, nil)
	withdrawnDesc     = prometheus.NewDesc("ucp_offer_withdrawn", "1 while this broker takes no jobs since it could not carry out one (status says why), else 0.", nil, nil)
	conflictsDesc     = prometheus.NewDesc("ucp_conflicts_total", "Decisions between jobs that could not all run, by strategy.", []string{"strategy"}, nil)
	emergencyDesc     = prometheus.NewDesc("ucp_emergency_level", "The highest level of emergency in force at this broker: 0 none, 1 low, 2 medium, 3 high, 4 critical.", nil, nil)
	cacheDesc         = prometheus.NewDesc("ucp_module_cache_bytes", "Disk space that compiled modules take, and may take.", []string{"part"}, nil)
	workerDesc        = prometheus.NewDesc("ucp_worker_memory_bytes", "Memory that workers may have (room), what is accounted of it and for what, and what is resident.", []string{"part"}, nil)
	sandboxDesc       = prometheus.NewDesc("ucp_sandbox", "1 for each wall of the sandbox of native jobs that stands, 0 for each that is missing (status says why).", []string{"wall"}, nil)
	moduleSandboxDesc = prometheus.NewDesc("ucp_module_sandbox", "1 for each wall around WebAssembly jobs that stands, 0 for each that is missing (status says why).", []string{"wall"}, nil)
	exposedDesc       = prometheus.NewDesc("ucp_exposed_interfaces", "Interfaces of this broker that strangers can reach and that do not ask who is calling (--insecure).", nil, nil)
	forgedDesc        = prometheus.NewDesc("ucp_forged_total", "Records that were found to say that a broker has written what it has not, as its signatures show (rule H3).", nil, nil)
	forksDesc         = prometheus.NewDesc("ucp_forks", "Actors that have signed two histories, as is proven by their signatures (rule H2).", nil, nil)
	noHeadDesc        = prometheus.NewDesc("ucp_heads_refused_total", "Messages of peers with a head that was not believed (rule H1).", nil, nil)
	capacDesc         = prometheus.NewDesc("ucp_capacity", "What this broker offers to jobs.", []string{"resource"}, nil)
)

// Describe implements prometheus.Collector.
func (g gauges) Describe(ch chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{jobsDesc, peersDesc, healthDesc, noJobsDesc, usageDesc, capacDesc, sandboxDesc, moduleSandboxDesc, workerDesc, cacheDesc, workDesc, badDesc, uncoveredDesc, heldBackDesc, lostDesc, withdrawnDesc, conflictsDesc, emergencyDesc, exposedDesc, forksDesc, noHeadDesc} {
		ch <- d
	}
}

// Collect implements prometheus.Collector.
func (g gauges) Collect(ch chan<- prometheus.Metric) {
	gauge := func(d *prometheus.Desc, v float64, label string) {
		ch <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, v, label)
	}
	s := g.srv.stats()
	for what, v := range map[string]uint64{
		"replaced": s.Replaced, "taken_over": s.TakenOver, "adopted": s.Adopted, "rebalanced": s.Rebalanced,
		"proven_alive": s.ProvenAlive, "put_off_as_unproven": s.Unproven, "misunderstood": s.Misunderstood, "of_lost_starts": s.OfLostStarts, "moves_paced": s.Paced, "breaches_of_peers": s.Breaches, "starts_minted": s.Minted, "ends_sealed": s.Sealed,
		"returned": s.Returned, "placed_elsewhere": s.Elsewhere, "offer_withdrawn": s.Withdrawn,
		"rejected": s.Rejected, "copies_repaired": s.Repaired, "handed_over": s.Handed, "forgotten": s.Forgotten, "given_up_unread": s.Unread, "dropped_as_forgotten": s.Zombies,
		"disputed": s.Disputed, "set_aside": s.SetAside, "forgetting_refuted": s.Refuted, "created_again": s.Recreated, "recollected": s.Recollected,
		"suspended": s.Suspended, "requeued": s.Requeued, "checkpoints": s.Checkpoints, "waited_for_news": s.Behind, "went_on_without_news": s.Uncaused,
		"unheard_as_superseded": s.Unheard, "isolations": s.Isolations,
		"claims_refused": s.ClaimsRefused, "events_refused": s.EventsRefused,
	} {
		ch <- prometheus.MustNewConstMetric(workDesc, prometheus.CounterValue, float64(v), what)
	}
	for _, by := range resolve.All() {
		ch <- prometheus.MustNewConstMetric(conflictsDesc, prometheus.CounterValue, float64(s.Conflicts.Of(by)), string(by))
	}
	if o := g.srv.host.Overview(); o != nil {
		ch <- prometheus.MustNewConstMetric(heldBackDesc, prometheus.GaugeValue, float64(o.HeldBack))
		ch <- prometheus.MustNewConstMetric(lostDesc, prometheus.GaugeValue, float64(o.Lost))
		withdrawn := 0.0
		if o.State.Metadata[0].Withdrawn != "" {
			withdrawn = 1
		}
		ch <- prometheus.MustNewConstMetric(withdrawnDesc, prometheus.GaugeValue, withdrawn)
	}
	ch <- prometheus.MustNewConstMetric(exposedDesc, prometheus.GaugeValue, float64(len(g.srv.host.Exposed())))
	if h := g.srv.cfg.Heads; h != nil {
		ch <- prometheus.MustNewConstMetric(forksDesc, prometheus.GaugeValue, float64(h.Forks()))
		ch <- prometheus.MustNewConstMetric(forgedDesc, prometheus.CounterValue, float64(h.Forged()))
		ch <- prometheus.MustNewConstMetric(noHeadDesc, prometheus.CounterValue, float64(h.Refused()))
	}
	ch <- prometheus.MustNewConstMetric(badDesc, prometheus.GaugeValue, float64(s.Quarantined))
	ch <- prometheus.MustNewConstMetric(uncoveredDesc, prometheus.GaugeValue, float64(s.Uncovered))
	ch <- prometheus.MustNewConstMetric(emergencyDesc, prometheus.GaugeValue, float64(max(job.Level(g.srv.row().Emergency.Level), 0)))
	c := g.srv.coordination()
	for _, s := range []job.State{job.StatePending, job.StateQueued, job.StateLoading, job.StateRunning} {
		gauge(jobsDesc, float64(c.Jobs[s]), string(s))
	}
	for name, h := range g.srv.healths(g.srv.cfg.Now()) {
		ch <- prometheus.MustNewConstMetric(healthDesc, prometheus.GaugeValue, 1, name, string(h.kind))
	}
	for name, p := range c.PeerBrokers {
		none := 0.0
		if p.TakesNone != "" {
			none = 1
		}
		gauge(noJobsDesc, none, name)
	}
	gauge(peersDesc, float64(c.HealthyPeers), "true")
	gauge(peersDesc, float64(c.UnhealthyPeers), "false")
	for desc, x := range map[*prometheus.Desc]*api.Sandbox{sandboxDesc: c.Sandbox, moduleSandboxDesc: c.ModuleSandbox} {
		if x == nil {
			continue
		}
		for _, wall := range x.Holds {
			gauge(desc, 1, wall)
		}
		for wall := range x.Missing {
			gauge(desc, 0, wall)
		}
	}
	if m := c.WorkerMemory; m != nil {
		for part, n := range map[string]int64{
			"room": m.Room, "accounted": m.Accounted, "limits": m.Limits, "workers": m.Workers, "idle": m.Idle,
			"loading": m.Loading, "modules": m.Modules, "resident": m.Resident,
		} {
			gauge(workerDesc, float64(n), part)
		}
	}
	if m := c.ModuleCache; m != nil {
		gauge(cacheDesc, float64(m.Bytes), "used")
		gauge(cacheDesc, float64(m.Most), "most")
	}
	for d, r := range map[*prometheus.Desc]job.Resources{usageDesc: c.Usage, capacDesc: c.Capacity} {
		gauge(d, float64(r.CPU), "cpu_millicores")
		gauge(d, float64(r.Memory), "memory_bytes")
		gauge(d, float64(r.IO), "io")
	}
}
