package main

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"maps"
	"net"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/urban-compute/ucp/api"
	"github.com/urban-compute/ucp/clock"
	"github.com/urban-compute/ucp/job"
)

const statusHelp = `Shows how things are, as one broker sees it, in this order: emergencies in force; whether
this is all there is to see, or what speaks against it; urgent jobs that do not run, and
why (those of an emergency, in its scope or not, or with a priority of 8 or more); brokers
that are gone, what was there, and where it is now; which jobs were stopped for which;
what has failed in the last hour; what room is left. It takes at most five seconds: what
is not known by then is said. On a terminal what should be looked at is red, unless NO_COLOR is set.

With --full it shows how that broker is: its peers and their health, its vector clock
(two brokers with equal clocks know the same), the jobs that run and are queued here,
whoever owns them, the unfinished jobs that it owns, wherever they run, and what its
running jobs have asked for out of what it offers. All peers are called
healthy only when nothing is known that speaks against it: Start says what a broker
that has just started waits for until what it says of results counts; the list of
peers marks clocks that are more than a minute off, starts that are not proven yet,
and BREACHES, what a peer has said since this broker's start that it can't know.`

// statusCommand is `ucp status`: how things are.
func (c *cli) statusCommand() *cobra.Command {
	var full bool
	cmd := &cobra.Command{
		Use:               "status",
		Short:             "Show how things are: emergencies, what waits, who is gone, what has failed",
		Long:              statusHelp,
		Example:           "  ucp status\n  ucp status --full\n  ucp status -o json",
		Args:              exactArgs(),
		ValidArgsFunction: cobra.NoFileCompletions,
	}
	cmd.Flags().BoolVar(&full, "full", false, "show how the broker that answers is, and its peers")
	cmd.RunE = c.withClient(func(ctx context.Context, client *api.Client, _ []string) error {
		if !full {
			return c.showScreen(ctx, client)
		}
		s, err := client.Coordination(ctx)
		if err != nil {
			return err
		}
		return c.show(s, func(w io.Writer) { statusTable(w, &s) })
	})
	return cmd
}

func statusTable(w io.Writer, s *api.Coordination) {
	state := "up " + humanDuration(time.Duration(s.Uptime))
	switch {
	case s.Draining:
		state = "draining, takes no new jobs (" + state + ")"
	case s.Drained != nil:
		state = "drained, runs no new jobs (" + state + ")"
	case !s.CoordinatorRunning:
		state = "leaving (" + state + ")"
	}
	row(w, "Broker:", s.Name+", "+state)
	row(w, "Actor:", s.Actor)
	row(w, "Software:", dash(s.Software))
	row(w, "Peers:", peersLine(s))
	row(w, "Last sync:", syncLine(s))
	row(w, "Clock:", clockLine(s.Clock))
	row(w, "Jobs:", jobsLine(s))
	row(w, "CPU:", fmt.Sprintf("%s of %s cores asked for%s", cores(s.Usage.CPU), cores(s.Capacity.CPU), percent(s.Usage.CPU, s.Capacity.CPU)))
	row(w, "Memory:", fmt.Sprintf("%s of %s asked for%s", humanBytes(s.Usage.Memory), humanBytes(s.Capacity.Memory), percent(s.Usage.Memory, s.Capacity.Memory)))
	if m := s.WorkerMemory; m != nil {
		row(w, "", workerMemoryLine(m))
	}
	if m := s.ModuleCache; m != nil {
		row(w, "Module cache:", fmt.Sprintf("%s of %s", humanBytes(m.Bytes), humanBytes(m.Most)))
	}
	if x := s.Sandbox; x != nil {
		row(w, "Sandbox:", sandboxLine(x))
	}
	if x := s.ModuleSandbox; x != nil {
		row(w, "Around modules:", sandboxLine(x))
	}
	row(w, "Strategy:", dash(strategyLine(s.Strategy, s.Chosen, s.Commands)))
	for i, e := range s.Emergencies {
		title := "Emergency:"
		if i > 0 {
			title = ""
		}
		row(w, title, emergencyLine(&e))
	}
	row(w, "Replicas:", s.Replicas)
	troubleRows(w, s)
	row(w, "As of:", s.AsOf.UTC().Format("2006-01-02 15:04:05 MST"))
	if len(s.PeerBrokers) > 0 {
		fmt.Fprintln(w)
		peersTable(w, s)
	}
}

// workerMemoryLine says what is accounted of the memory that jobs and their modules may take, and what they take.
func workerMemoryLine(m *api.WorkerMemory) string {
	parts := []string{}
	for _, p := range []struct {
		bytes int64
		what  string
	}{{m.Limits, "jobs"}, {m.Workers - m.Idle, "their workers"}, {m.Idle, "idle workers"}, {m.Modules, "modules"}, {m.Loading, "loading modules"}} {
		if p.bytes > 0 {
			parts = append(parts, p.what+" "+humanBytes(p.bytes))
		}
	}
	line := fmt.Sprintf("%s of %s accounted", humanBytes(m.Accounted), humanBytes(m.Room))
	if len(parts) > 0 {
		line += " (" + strings.Join(parts, ", ") + ")"
	}
	return line + ", " + humanBytes(m.Resident) + " resident"
}

// sandboxLine says which walls stand around jobs, and which don't.
func sandboxLine(x *api.Sandbox) string {
	var lacks []string
	for _, wall := range slices.Sorted(maps.Keys(x.Missing)) {
		lacks = append(lacks, fmt.Sprintf("%s (%s)", wall, x.Missing[wall]))
	}
	reasons := map[string]bool{}
	for _, why := range x.Missing {
		reasons[why] = true
	}
	switch {
	case len(x.Holds) == 0 && len(reasons) == 1: // none for one reason
		return "none; " + slices.Collect(maps.Values(x.Missing))[0]
	case len(lacks) == 0:
		return strings.Join(x.Holds, ", ")
	}
	return strings.Join(x.Holds, ", ") + "; MISSING " + strings.Join(lacks, ", ")
}

// troubleRows says what is not as it should be.
func troubleRows(w io.Writer, s *api.Coordination) {
	if len(s.Exposed) > 0 {
		row(w, "INSECURE:", exposedText(s.Exposed))
	}
	if d := s.Drained; d != nil {
		text := "since " + clockTime(d.Since) + ", until `ucp cluster resume " + s.Name + "`"
		if d.Deadline != 0 {
			text += "; what still runs here at " + clockTime(d.Deadline) + " is moved"
		}
		row(w, "Drained:", text)
	}
	if s.DiskFull {
		row(w, "Disk:", "FULL: new jobs are refused until space is free")
	}
	if s.Unproven {
		row(w, "Start:", cmp.Or(s.AwaitsProof, "not proven yet: results are provisional")) // an older broker does not say more
	}
	if s.Quarantined > 0 {
		row(w, "Quarantine:", fmt.Sprintf("%d records of peers that this version can't read; until each goes, a --retention after a peer last sent it, no blob is removed", s.Quarantined))
	}
	for _, text := range s.Warnings {
		row(w, "WARNING:", text)
	}
	for _, name := range slices.Sorted(maps.Keys(s.PeerBrokers)) {
		if last := s.PeerBrokers[name].LastBreach; last != "" {
			row(w, "WARNING:", fmt.Sprintf("%s says what it can't know, which is not believed; the last: %s", name, last))
		}
	}
	if text := timeLine(s); text != "" {
		row(w, "Time:", text)
	}
}

// exposedText says what it means that a broker has interfaces which strangers can reach and that don't ask who is calling.
func exposedText(doors []string) string {
	return "whoever reaches it commands this broker, and reads all jobs: " + strings.Join(doors, ", ") + " (--insecure)"
}

// peersTable lists the other brokers.
func peersTable(w io.Writer, s *api.Coordination) {
	row(w, "PEER", "HEALTH", "HTTP", "LAST SYNC", "BEHIND BY", "AHEAD BY")
	for _, name := range slices.Sorted(maps.Keys(s.PeerBrokers)) {
		p := s.PeerBrokers[name]
		seen := "never"
		if p.LastSeen > 0 {
			seen = ago(clock.At(time.Unix(p.LastSeen, 0)), s.AsOf) + " ago"
		}
		row(w, name, healthText(&p), net.JoinHostPort(p.Host, strconv.Itoa(p.Port)), seen, p.Behind, p.Ahead)
	}
}

// healthText says how a peer is.
func healthText(p *api.Peer) string {
	health := "healthy"
	if !p.Healthy {
		health = "UNHEALTHY"
	}
	if p.ByMessages {
		health += " by its messages; gossip says it is gone"
	}
	switch {
	case p.Health != "" && !p.Healthy:
		health += ", " + p.Health
	case p.Stranger != "": // an older broker says no more
		health += fmt.Sprintf(", %s answers at its address", p.Stranger)
	case p.Refused != "":
		health += ", it refuses our messages: " + p.Refused
	case p.Failing > 0:
		health += fmt.Sprintf(", %d unanswered", p.Failing)
	}
	if p.TakesNone != "" {
		health += ", TAKES NO JOBS: " + p.TakesNone
	}
	return health + troubles(p.Unset, time.Duration(p.ClockOff), p.Unproven, p.Breaches)
}

// emergencyLine is one that is active, in a line.
func emergencyLine(e *api.Emergency) string {
	text := fmt.Sprintf("%s, level %s, until %s", e.ID, e.Level, shortTime(e.Until, e.AsOf))
	if !e.InScope {
		text += ", out of whose scope this broker is"
	}
	if e.Message != "" {
		text += ": " + e.Message
	}
	return text
}

// timeLine says what time it is for the brokers where this machine's clock shows another, "" where it does not.
func timeLine(s *api.Coordination) string {
	off, text := s.AsOf.Sub(s.Time), s.Time.UTC().Format("2006-01-02 15:04:05 MST")
	switch {
	case s.Time.IsZero(): // of an older version
		return ""
	case s.Unset:
		return text + "; this machine's clock is NOT SET"
	case off.Abs() >= time.Minute:
		return text + "; this machine's clock is " + offText(off)
	}
	return ""
}

// peersLine sums up the peers. It calls all healthy only when nothing is known that speaks against it.
func peersLine(s *api.Coordination) string {
	switch buts := peerTroubles(s); {
	case s.TotalPeers == 0:
		return "none; this broker is alone"
	case s.UnhealthyPeers > 0:
		return fmt.Sprintf("%d, %d UNHEALTHY", s.TotalPeers, s.UnhealthyPeers)
	case len(buts) > 0:
		return fmt.Sprintf("%d, all answer, but %s", s.TotalPeers, strings.Join(buts, "; "))
	}
	return fmt.Sprintf("%d, all healthy", s.TotalPeers)
}

// peerTroubles says what is wrong although all peers answer.
func peerTroubles(s *api.Coordination) (buts []string) {
	some := func(is func(p api.Peer) bool, text string) {
		if slices.ContainsFunc(slices.Collect(maps.Values(s.PeerBrokers)), is) {
			buts = append(buts, text)
		}
	}
	if s.Unproven {
		buts = append(buts, "this broker's start is NOT PROVEN")
	}
	some(func(p api.Peer) bool { return p.ByMessages }, "gossip says that some are GONE")
	some(func(p api.Peer) bool { return p.TakesNone != "" }, "some TAKE NO JOBS")
	some(func(p api.Peer) bool { return p.Unproven }, "the start of some is not proven")
	some(func(p api.Peer) bool { return p.Unset || p.ClockOff != 0 }, "the clock of some is WRONG")
	some(func(p api.Peer) bool { return p.Breaches > 0 }, "some say what they CAN'T KNOW")
	return buts
}

// troubles says in a few words what else is wrong with a broker that answers, each thing behind a comma.
func troubles(unset bool, off time.Duration, unproven bool, breaches uint64) (text string) {
	if unset {
		text += ", clock NOT SET"
	}
	if off != 0 {
		text += ", clock " + offText(off)
	}
	if unproven {
		text += ", not proven"
	}
	if breaches > 0 {
		text += fmt.Sprintf(", BREACHES: %d", breaches)
	}
	return text
}

// offText says by how much a clock is off.
func offText(off time.Duration) string {
	if off < 0 {
		return humanDuration(-off) + " BEHIND"
	}
	return humanDuration(off) + " AHEAD"
}

func syncLine(s *api.Coordination) string {
	every := "every " + time.Duration(s.SyncInterval).String()
	if s.SyncStretch > 1 {
		every += fmt.Sprintf(", stretched %.1f-fold because the machine is busy", s.SyncStretch)
	}
	if s.LastSyncTime == nil {
		return "none yet (" + every + ")"
	}
	return fmt.Sprintf("%s ago (%s)", ago(clock.At(*s.LastSyncTime), s.AsOf), every)
}

// clockShown bounds how many entries of a clock the table shows; -o json has all.
const clockShown = 12

func clockLine(v clock.Vector) string {
	if len(v) <= clockShown {
		return v.String()
	}
	return fmt.Sprintf("%s and %d more (-o json shows all)", v[:clockShown], len(v)-clockShown)
}

// jobsLine counts the jobs that run and wait here, and those that the broker owns, wherever they run; other brokers own
// others, and `ucp job list` has all.
func jobsLine(c *api.Coordination) string {
	text := ""
	if h := c.Here; h != nil {
		text = fmt.Sprintf("%d run here, %d are queued here; ", h.Running, h.Queued)
	}
	var parts []string
	for _, s := range job.States {
		if n := c.Jobs[s]; n > 0 {
			parts = append(parts, fmt.Sprintf("%d %s", n, s))
		}
	}
	if len(parts) == 0 {
		return text + "it owns none unfinished"
	}
	return text + "it owns " + strings.Join(parts, ", ")
}

func percent(part, whole int64) string {
	if whole <= 0 {
		return ""
	}
	return fmt.Sprintf(" (%d %%)", part*100/whole)
}
