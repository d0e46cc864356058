package httpd

import (
	"runtime"
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/urban-compute/ucp/api"
	"github.com/urban-compute/ucp/broker"
	"github.com/urban-compute/ucp/job"
	"github.com/urban-compute/ucp/ledger"
	"github.com/urban-compute/ucp/resolve"
)

// Disk is what is known of the file system of the data directory. What is not known is 0.
type Disk struct {
	Size, Free       uint64 // bytes
	Files, FreeFiles uint64
	Reserve          int64 // bytes; negative is none
}

// gauges reads what the broker last published, at each scrape: that costs what there is of brokers, and not of jobs. Before
// the core has published anything there is little to say.
type gauges struct{ srv *Server }

// Describe implements prometheus.Collector.
func (g gauges) Describe(ch chan<- *prometheus.Desc) { ch <- buildFigure.desc }

// sink takes figures of one scrape.
type sink chan<- prometheus.Metric

func (to sink) put(f *figure, v float64, labels ...string) {
	kind := prometheus.GaugeValue
	if f.kind == counter {
		kind = prometheus.CounterValue
	}
	to <- prometheus.MustNewConstMetric(f.desc, kind, v, labels...)
}

func (to sink) yes(f *figure, is bool, labels ...string) {
	v := 0.0
	if is {
		v = 1
	}
	to.put(f, v, labels...)
}

// Collect implements prometheus.Collector.
func (g gauges) Collect(ch chan<- prometheus.Metric) {
	to, srv := sink(ch), g.srv
	to.put(buildFigure, 1, srv.cfg.Name, srv.cfg.Software, runtime.Version())
	to.put(exposedFigure, float64(len(srv.host.Exposed())))
	if h := srv.cfg.Heads; h != nil {
		to.put(forksFigure, float64(h.Forks()))
		to.put(forgedFigure, float64(h.Forged()))
		to.put(noHeadFigure, float64(h.Refused()))
	}
	c := srv.coordination()
	g.room(to, &c)
	for f, x := range map[*figure]*api.Sandbox{sandboxFigure: c.Sandbox, moduleBoxFigure: c.ModuleSandbox} {
		if x == nil {
			continue
		}
		for _, wall := range x.Holds {
			to.put(f, 1, wall)
		}
		for wall := range x.Missing {
			to.put(f, 0, wall)
		}
	}
	o := srv.host.Overview()
	if o == nil {
		return
	}
	g.told(to, o)
	g.done(to, &o.Stats)
	g.peers(to, &c)
	for _, s := range []job.State{job.StatePending, job.StateQueued, job.StateLoading, job.StateRunning} {
		to.put(jobsFigure, float64(c.Jobs[s]), string(s))
	}
	now := srv.host.CityTime()
	for level, at := range o.Oldest {
		if at != 0 {
			to.put(oldestFigure, max(now.Sub(at.Time()), 0).Seconds(), job.LevelName(level))
		}
	}
}

// told is what the core says of the present.
func (g gauges) told(to sink, o *broker.Overview) {
	to.put(heldBackFigure, float64(o.HeldBack))
	to.put(lostFigure, float64(o.Lost))
	to.put(unstableFigure, float64(o.Unstable))
	to.put(badFigure, float64(o.Stats.Quarantined))
	to.put(uncoveredFigure, float64(o.Stats.Uncovered))
	row := g.srv.row()
	to.yes(withdrawnFigure, row.Withdrawn != "")
	to.put(emergencyFigure, float64(max(job.Level(row.Emergency.Level), 0)))
	for _, x := range []struct {
		of              job.Resources
		cpu, memory, io *figure
	}{
		{g.srv.cfg.Capabilities.Capacity, capCPUFigure, capMemoryFigure, capIOFigure},
		{row.Usage, askCPUFigure, askMemoryFigure, askIOFigure},
	} {
		to.put(x.cpu, float64(x.of.CPU)/1000)
		to.put(x.memory, float64(x.of.Memory))
		to.put(x.io, float64(x.of.IO))
	}
}

// done is what the core has counted since its start.
func (g gauges) done(to sink, s *broker.Stats) {
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
		to.put(workFigure, float64(v), what)
	}
	for outcome, n := range map[job.Outcome]uint64{
		job.Succeeded: s.Ended.Succeeded, job.Failed: s.Ended.Failed, job.Cancelled: s.Ended.Cancelled, job.Expired: s.Ended.Expired,
	} {
		to.put(endedFigure, float64(n), string(outcome))
	}
	for _, by := range resolve.All() {
		to.put(conflictsFigure, float64(s.Conflicts.Of(by)), string(by))
		to.put(preemptedFigure, float64(s.SuspendedBy.Of(by)), string(by), string(job.Suspend))
		to.put(preemptedFigure, float64(s.RequeuedBy.Of(by)), string(by), string(job.Requeue))
	}
	to.put(ackedFigure, float64(s.Acknowledged-s.Degraded), "false")
	to.put(ackedFigure, float64(s.Degraded), "true")
	s.Taken.Each(func(of ledger.Kind, n broker.TakenOf) {
		to.put(takenFigure, float64(n.Records), string(of))
		to.put(newFigure, float64(n.New), string(of))
		to.put(takenBytesFigure, float64(n.Bytes), string(of))
	})
}

// peers is how this broker stands to the others.
func (g gauges) peers(to sink, c *api.Coordination) {
	now := g.srv.cfg.Now()
	age := func(at time.Time) float64 { return max(now.Sub(at), 0).Seconds() }
	met, lastSync := g.srv.host.Contacts()
	if !lastSync.IsZero() {
		to.put(syncAgeFigure, age(lastSync))
	}
	for name, h := range g.srv.healths(now) {
		to.put(healthFigure, 1, name, string(h.kind))
	}
	for name, p := range c.PeerBrokers {
		to.yes(noJobsFigure, p.TakesNone != "", name)
		if seen := met[name].Seen; !seen.IsZero() { // of one that was never heard it is not known what it holds
			to.put(contactFigure, age(seen), name)
			to.put(behindFigure, float64(p.Behind), name)
			to.put(aheadFigure, float64(p.Ahead), name)
		}
	}
	for healthy, n := range map[bool]int{true: c.HealthyPeers, false: c.UnhealthyPeers} {
		to.put(peersFigure, float64(n), strconv.FormatBool(healthy))
	}
}

// room is what this machine has, and what is used of it.
func (g gauges) room(to sink, c *api.Coordination) {
	if cores, memory, known := g.srv.host.Used(); known {
		to.put(usedCPUFigure, cores)
		to.put(usedMemoryFigure, memory)
	}
	if busy, idle, known := g.srv.host.Workers(); known {
		to.put(workersFigure, float64(busy), "busy")
		to.put(workersFigure, float64(idle), "idle")
	}
	if m := c.WorkerMemory; m != nil {
		for part, n := range map[string]int64{
			"room": m.Room, "accounted": m.Accounted, "limits": m.Limits, "workers": m.Workers, "idle": m.Idle,
			"loading": m.Loading, "modules": m.Modules, "resident": m.Resident,
		} {
			to.put(workerFigure, float64(n), part)
		}
	}
	if m := c.ModuleCache; m != nil {
		to.put(cacheFigure, float64(m.Bytes), "used")
		to.put(cacheFigure, float64(m.Most), "most")
	}
	d := g.srv.host.Disk()
	if d.Size > 0 {
		to.put(diskFigure, float64(d.Size), "size")
		to.put(diskFigure, float64(d.Free), "free")
	}
	if d.Files > 0 {
		to.put(inodesFigure, float64(d.Files), "size")
		to.put(inodesFigure, float64(d.FreeFiles), "free")
	}
	if d.Reserve >= 0 {
		to.put(diskFigure, float64(d.Reserve), "reserve")
		to.yes(fullFigure, c.DiskFull)
	}
}
