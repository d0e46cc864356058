package httpd

import (
	"net/http"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/urban-compute/ucp/broker/replication"
	"github.com/urban-compute/ucp/job"
)

// Metrics is what /metrics shows of this broker, beside what is gathered for the whole process
// (Config.Metrics). Its methods count, and may be called from any goroutine.
type Metrics struct {
	all         prometheus.Gatherers
	own         *prometheus.Registry // what is described in figures
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
	loaded      prometheus.Histogram
	ran         *prometheus.HistogramVec
	committed   prometheus.Histogram
	requests    *prometheus.HistogramVec
	sent        sentBytes
	complaints  complaints
}

// sentBytes count what goes to other brokers.
type sentBytes struct{ messages, replies, blobs prometheus.Counter }

func newMetrics(srv *Server) *Metrics {
	sent := prometheus.NewCounterVec(sentFigure.options(), sentFigure.labels)
	m := &Metrics{
		own:         prometheus.NewRegistry(),
		complaints:  complaints{log: srv.log},
		submitted:   prometheus.NewCounter(submittedFigure.options()),
		malformed:   prometheus.NewCounter(malformedFigure.options()),
		quarantined: prometheus.NewCounter(invalidFigure.options()),
		errors:      prometheus.NewCounterVec(errorsFigure.options(), errorsFigure.labels),
		panics:      prometheus.NewCounter(panicsFigure.options()),
		messages:    prometheus.NewCounterVec(messagesFigure.options(), messagesFigure.labels),
		records:     prometheus.NewCounter(recordsFigure.options()),
		corrupt:     prometheus.NewCounter(corruptFigure.options()),
		badEvents:   prometheus.NewCounter(badEventsFigure.options()),
		gossip:      prometheus.NewCounterVec(gossipFigure.options(), gossipFigure.labels),
		swept:       prometheus.NewCounter(sweptFigure.options()),
		waited:      prometheus.NewHistogram(waitedFigure.histogramOptions()),
		loaded:      prometheus.NewHistogram(loadFigure.histogramOptions()),
		ran:         prometheus.NewHistogramVec(runFigure.histogramOptions(), runFigure.labels),
		committed:   prometheus.NewHistogram(commitFigure.histogramOptions()),
		requests:    prometheus.NewHistogramVec(requestFigure.histogramOptions(), requestFigure.labels),
		sent:        sentBytes{sent.WithLabelValues("messages"), sent.WithLabelValues("replies"), sent.WithLabelValues("blobs")},
	}
	m.own.MustRegister(m.submitted, m.malformed, m.quarantined, m.errors, m.panics, m.messages, m.records, m.corrupt, m.badEvents, m.gossip, m.swept,
		m.waited, m.loaded, m.ran, m.committed, m.requests, sent, gauges{srv})
	process := prometheus.NewRegistry()
	process.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	m.all = prometheus.Gatherers{m.own, process}
	if srv.cfg.Metrics != nil {
		m.all = append(m.all, srv.cfg.Metrics)
	}
	return m
}

// handler answers in the text format, or in OpenMetrics, which has exemplars, to who asks for that.
func (m *Metrics) handler() http.Handler {
	return promhttp.HandlerFor(m.all, promhttp.HandlerOpts{EnableOpenMetrics: true})
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

// SentMessage counts the bytes of a message to a peer.
func (m *Metrics) SentMessage(bytes int) { m.sent.messages.Add(float64(bytes)) }

// SentBlob counts bytes of a blob that go to a peer.
func (m *Metrics) SentBlob(bytes int) { m.sent.blobs.Add(float64(bytes)) }

// Corrupt counts a blob whose content did not fit its digest.
func (m *Metrics) Corrupt() { m.corrupt.Inc() }

// BadEvent counts a Serf event of an emergency that was not understood.
func (m *Metrics) BadEvent() { m.badEvents.Inc() }

// GossipRefused counts a statement in the gossip that was refused; what says what was wrong (gossip.Refused).
func (m *Metrics) GossipRefused(what string) { m.gossip.WithLabelValues(what).Inc() }

// Swept counts blobs that were removed since no job named them any more.
func (m *Metrics) Swept(blobs int) { m.swept.Add(float64(blobs)) }

// Committed notes how long a commit took.
func (m *Metrics) Committed(took time.Duration) { m.committed.Observe(took.Seconds()) }

// Started notes how long a job had waited when it was started.
func (m *Metrics) Started(id job.ID, waited time.Duration) { observe(m.waited, id, waited) }

// Loaded notes how long it took from an attempt's start to its program's beginning.
func (m *Metrics) Loaded(id job.ID, took time.Duration) { observe(m.loaded, id, took) }

// Ran notes how an attempt has ended, and how long its program ran. That it could not be carried out here, or was stopped, is an outcome, too.
func (m *Metrics) Ran(id job.ID, outcome string, ran time.Duration) {
	observe(m.ran.WithLabelValues(outcome), id, ran)
}

// observe notes a time, with the job as its exemplar.
func observe(h prometheus.Observer, id job.ID, took time.Duration) {
	v := max(took, 0).Seconds()
	if x, ok := h.(prometheus.ExemplarObserver); ok && id != "" {
		x.ObserveWithExemplar(v, prometheus.Labels{"job_id": string(id)})
		return
	}
	h.Observe(v)
}

// timed measures how long the requests of a route take, but for those that wait as they were told to.
func (srv *Server) timed(pattern string, next http.Handler) http.Handler {
	if strings.HasSuffix(pattern, "/events") {
		return next
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if q := r.URL.RawQuery; strings.Contains(q, "wait") || strings.Contains(q, "follow") {
			next.ServeHTTP(w, r)
			return
		}
		begun := time.Now()
		next.ServeHTTP(w, r)
		srv.metrics.requests.WithLabelValues(pattern).Observe(time.Since(begun).Seconds())
	})
}
