package main

import (
	"cmp"
	"fmt"
	"io"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/urban-compute/ucp/api"
	"github.com/urban-compute/ucp/clock"
	"github.com/urban-compute/ucp/executor"
	"github.com/urban-compute/ucp/job"
)

// panel is one part of the screen.
type panel struct {
	title string
	lines []string // the first one says how it stands
	alarm bool     // somebody should act
}

// print writes the screen for a person, in so many columns.
func (s *screen) print(w io.Writer, columns int, colour bool) error {
	for _, line := range s.lines(columns, colour) {
		if _, err := fmt.Fprintln(w, line); err != nil {
			return err
		}
	}
	return nil
}

// lines are the screen for a person, in so many columns.
func (s *screen) lines(columns int, colour bool) (out []string) {
	const indent = 11
	for _, p := range s.panels() {
		title := p.title
		for i, text := range p.lines {
			hang := ""
			for _, line := range wrapped(text, columns-indent-2) {
				line = hang + line
				if colour && p.alarm && i == 0 {
					line = "\x1b[1;31m" + line + "\x1b[0m"
				}
				line = fmt.Sprintf("%-*s", indent, title) + line
				if colour && title != "" {
					line = "\x1b[1m" + title + "\x1b[0m" + line[len(title):]
				}
				out = append(out, line)
				title, hang = "", "  "
			}
		}
	}
	return out
}

func (s *screen) panels() []panel {
	out := []panel{s.emergencyPanel(), s.trustPanel(), s.urgentPanel()}
	out = append(out, s.gonePanel(), s.stoppedPanel(), s.failedPanel(), s.roomPanel())
	if len(s.Exposed) > 0 {
		out = append(out, panel{title: "INSECURE", lines: []string{s.Name + ": " + exposedText(s.Exposed)}, alarm: true})
	}
	if lines := s.sandboxLines(); lines != nil {
		out = append(out, panel{title: "Sandbox", lines: lines})
	}
	out = append(out, panel{title: "As of", lines: []string{fmt.Sprintf("%s, as %s sees it; `ucp status --full` shows more of that broker", s.AsOf.UTC().Format("2006-01-02 15:04:05 MST"), s.Name)}})
	for i := range out {
		for k := range out[i].lines {
			out[i].lines[k] = oneLine(out[i].lines[k])
		}
	}
	return out
}

// emergencyPanel: what is in force, where, until when.
func (s *screen) emergencyPanel() panel {
	p := panel{title: "Emergency", alarm: len(s.Emergencies) > 0}
	for _, e := range s.Emergencies {
		where := "for all brokers"
		if len(e.Scope) > 0 {
			where = "where " + strings.Join(e.Scope, " and ")
		}
		switch state := emergencyState(&e); {
		case state == nowhere || state == noneYet:
			where += ", " + state
			if e.Unmet != "" {
				where += ": " + e.Unmet
			}
			where += ";"
		case !e.InScope:
			where += " (not at " + s.Name + "),"
		default:
			where += ","
		}
		text := fmt.Sprintf("%s: %s %s until %s (%s left)", e.ID, strings.ToUpper(e.Level), where, shortTime(e.Until, e.AsOf), humanDuration(max(e.Until.Time().Sub(e.AsOf), 0).Truncate(time.Second)))
		if e.Message != "" {
			text += ": " + e.Message
		}
		if p := e.PassedOver; p != nil && job.Level(p.Level) > job.Level(e.Level) {
			text += fmt.Sprintf(". BUT level %s was declared at %s meanwhile: `ucp emergency get %s`", p.Level, cmp.Or(p.DeclaredBy, "a stock command line"), e.ID)
		}
		p.lines = append(p.lines, text)
	}
	if len(p.lines) == 0 {
		p.lines = []string{"none in force"}
	}
	return p
}

// trustPanel: whether this is all, or only what one part of the cluster knows.
func (s *screen) trustPanel() panel {
	p := panel{title: "Trust it?"}
	seen, all, mute := 1+s.HealthyPeers, 1+s.TotalPeers, 0
	var buts []string
	for _, name := range slices.Sorted(maps.Keys(s.PeerBrokers)) {
		switch peer := s.PeerBrokers[name]; {
		case !peer.Healthy:
			buts = append(buts, s.silence(name, &peer))
		case peer.Answers == nil || !*peer.Answers:
			mute++
			buts = append(buts, name+" does not answer; last heard of at "+sinceText(time.Unix(peer.LastSeen, 0), s.AsOf)+s.byGossip(&peer))
		case healthText(&peer) != "healthy":
			buts = append(buts, name+": "+strings.TrimPrefix(healthText(&peer), "healthy, "))
		}
	}
	switch {
	case !s.CoordinatorRunning:
		buts = append(buts, s.Name+" is leaving")
	case s.Draining:
		buts = append(buts, s.Name+" drains, and takes no new jobs")
	}
	if s.DiskFull {
		buts = append(buts, s.Name+"'s disk is full: it refuses new jobs")
	}
	if s.Withdrawn != "" {
		buts = append(buts, s.Name+" takes no jobs: "+s.Withdrawn)
	}
	if s.Unproven {
		buts = append(buts, s.Name+" has just started: "+cmp.Or(s.AwaitsProof, "results are provisional"))
	}
	if s.Quarantined > 0 {
		buts = append(buts, fmt.Sprintf("%s can't read %d records of its peers", s.Name, s.Quarantined))
	}
	if text := timeLine(&s.Coordination); text != "" {
		buts = append(buts, "it is "+text)
	}
	buts = append(buts, s.Warnings...)
	for _, text := range s.Unknown {
		buts = append(buts, "not known: "+text)
	}
	switch {
	case all == 1 && len(buts) == 0:
		p.lines = []string{fmt.Sprintf("yes, of %s alone: %s", s.Name, s.company())}
	case seen < all:
		p.alarm, p.lines = true, []string{fmt.Sprintf("NOT ALL OF IT: you see %d of %d brokers", seen-mute, all)}
	case mute > 0:
		p.alarm, p.lines = true, []string{fmt.Sprintf("NOT SURE: at the moment %d of %d brokers answer", seen-mute, all)}
	case len(buts) > 0 && all == 1:
		p.alarm, p.lines = true, []string{fmt.Sprintf("mostly: %s is the only broker, but", s.Name)}
	case len(buts) > 0:
		p.alarm, p.lines = true, []string{fmt.Sprintf("mostly: you see all %d brokers, but", all)}
	default:
		p.lines = []string{fmt.Sprintf("yes: you see all %d brokers, and each has answered just now", all)}
	}
	p.lines = append(p.lines, buts...)
	return p
}

// company says why a broker is the only one that takes part.
func (s *screen) company() string {
	var removed, left []string
	for _, m := range s.members {
		switch m.Roll {
		case "removed":
			removed = append(removed, m.Name)
		case "left":
			left = append(left, m.Name)
		}
	}
	var parts []string
	if len(removed) > 0 {
		parts = append(parts, strings.TrimSuffix(abridged(removed), ":")+" given up")
	}
	if len(left) > 0 {
		parts = append(parts, strings.TrimSuffix(abridged(left), ":")+" left")
	}
	if len(parts) == 0 {
		return "it has met no other broker"
	}
	return "no other broker takes part (" + strings.Join(parts, "; ") + ")"
}

// silence says of a broker that is not well what is wrong with it, and when it was last heard of.
func (s *screen) silence(name string, peer *api.Peer) string {
	text := name + " silent"
	switch {
	case peer.Stranger != "" || peer.Refused != "":
		text = name + ": " + healthText(peer)
	case peer.Health != "" && !strings.HasPrefix(peer.Health, "silent"):
		text = name + " " + peer.Health
	case strings.Contains(peer.Health, "though it sends"): // it was heard, and does not answer
		return name + " " + peer.Health
	}
	if peer.Answers != nil && *peer.Answers {
		return text // what is wrong is not that it is silent
	}
	if peer.LastSeen == 0 {
		return text + ", not heard of since " + s.Name + " started"
	}
	last := "last heard of at " + sinceText(time.Unix(peer.LastSeen, 0), s.AsOf)
	if text != name+" silent" {
		return text + "; " + last
	}
	return text + ", " + last + s.byGossip(peer) // it may have fallen silent later: where all is quiet its last word is some half a minute old
}

// byGossip says how a silent broker is for gossip: its last message may have come long before it fell silent, where there was
// nothing to say.
func (s *screen) byGossip(peer *api.Peer) string {
	switch {
	case peer.InGossip:
		return "; gossip still hears it"
	case peer.GossipLost != nil:
		return "; gossip lost it at " + sinceText(*peer.GossipLost, s.AsOf)
	}
	return ""
}

// sinceText is an instant, and how long ago that was.
func sinceText(at, now time.Time) string {
	return fmt.Sprintf("%s (%s)", shortTime(clock.At(at), now), ago(clock.At(at), now))
}

// shown are the first few of a list as lines, and in a last line how many more there are, and the command that lists them.
func shown(l *api.JobList, line func(j *api.Job) string, more string) (lines []string) {
	for i := range l.Jobs[:min(len(l.Jobs), screenShows)] {
		lines = append(lines, line(&l.Jobs[i]))
	}
	if n := len(l.Jobs) - screenShows; n > 0 {
		lines = append(lines, fmt.Sprintf("and %s more: `ucp job list %s`", atLeast(n, l), more))
	}
	return lines
}

// atLeast writes a number of jobs of a list that may have more pages.
func atLeast(n int, l *api.JobList) string {
	if l.Next != "" {
		return strconv.Itoa(n) + " or"
	}
	return strconv.Itoa(n)
}

// jobCount counts jobs in words.
func jobCount(n int, l *api.JobList) string {
	text := "jobs"
	if n == 1 {
		text = "job"
	}
	if l != nil && l.Next != "" {
		return fmt.Sprintf("%d or more %s", n, text)
	}
	return fmt.Sprintf("%d %s", n, text)
}

// stateList is how states are given to --state.
func stateList(states []job.State) string {
	var names []string
	for _, s := range states {
		names = append(names, string(s))
	}
	return strings.Join(names, ",")
}

// called is how a person knows a job.
func called(j *api.Job) string {
	if j.Name == "" || j.Name == string(j.ID) {
		return shortID(j)
	}
	return shortID(j) + " " + shorten(j.Name, 24)
}

// urgentPanel: urgent jobs that do not run, and why. Those of an emergency come first, and the oldest of them.
func (s *screen) urgentPanel() panel {
	p := panel{title: "Urgent"}
	switch l := s.Urgent; {
	case l == nil:
		return panel{"Urgent", []string{"not known"}, true}
	case len(l.Jobs) == 0:
		p.lines = []string{"no urgent job waits"}
	default:
		slices.SortStableFunc(l.Jobs, func(a, b api.Job) int {
			return cmp.Or(-cmp.Compare(min(len(a.Emergency+a.NoLevel), 1), min(len(b.Emergency+b.NoLevel), 1)), cmp.Compare(a.SubmittedAt, b.SubmittedAt))
		})
		p.alarm, p.lines = true, []string{jobCount(len(l.Jobs), l) + " that should run at once"}
		p.lines = append(p.lines, shown(l, func(j *api.Job) string {
			return fmt.Sprintf("%s, %s for %s: %s", called(j), stateIn(j), ago(j.SubmittedAt, l.AsOf), cmp.Or(noteOf(j), "no reason is known here"))
		}, "--state "+stateList(unfinishedStates()))...)
	}
	return p
}

// gonePanel: brokers that are gone, what ran there, where it is now.
func (s *screen) gonePanel() panel {
	p := panel{title: "Gone", alarm: len(s.Gone) > 0}
	for _, g := range s.Gone {
		text := g.Name
		if g.Silent {
			text = "perhaps " + text + ", silent"
		}
		if g.Since != nil {
			text += " since " + sinceText(*g.Since, s.AsOf)
		}
		if g.GivenUp {
			text += ", which was given up"
		}
		if g.Jobs == nil {
			p.lines = append(p.lines, text+": what was there is not known")
			continue
		}
		l := *g.Jobs
		l.Jobs = slices.DeleteFunc(slices.Clone(l.Jobs), func(j api.Job) bool { return s.elsewhere(&j, g.Name) })
		if len(l.Jobs) == 0 {
			p.lines = append(p.lines, text+": nothing that is known here was left there")
			continue
		}
		p.lines = append(p.lines, fmt.Sprintf("%s, with %s", text, jobCount(len(l.Jobs), &l)))
		p.lines = append(p.lines, shown(&l, func(j *api.Job) string { return called(j) + ": " + whereNow(j, g.Name) }, "--broker "+g.Name)...)
	}
	switch {
	case s.Gone == nil:
		return panel{"Gone", []string{"not known"}, true}
	case len(s.Gone) == 0:
		p.lines = []string{"no broker is gone"}
	}
	return p
}

// elsewhere reports whether a job was at a broker once, and no longer when that one was heard of for the last time: it had
// ended, or ran at another one.
func (s *screen) elsewhere(j *api.Job, gone string) bool {
	last := clock.At(time.Unix(s.PeerBrokers[gone].LastSeen, 0))
	if lost := s.PeerBrokers[gone].GossipLost; lost != nil { // nothing is moved off it before
		last = max(last, clock.At(*lost))
	}
	switch {
	case j.Executor == gone:
		return j.State.Final()
	case s.PeerBrokers[gone].LastSeen == 0:
		return false
	}
	return j.State.Final() && j.FinishedAt <= last || j.StartedAt != 0 && j.StartedAt <= last
}

// whereNow says what has become of a job that was at a broker.
func whereNow(j *api.Job, gone string) string {
	switch {
	case j.Executor == gone:
		return string(j.State) + "? still counted there"
	case j.State.Final():
		return strings.TrimSuffix(string(j.State)+" at "+j.Executor, " at ")
	case j.Executor == "":
		return strings.TrimSuffix("now "+string(j.State)+": "+j.Why, ": ")
	}
	return "now " + stateIn(j) + " at " + j.Executor
}

// stoppedPanel: who was stopped for whom.
func (s *screen) stoppedPanel() panel {
	switch l := s.Stopped; {
	case l == nil:
		return panel{"Stopped", []string{"not known"}, true}
	case len(l.Jobs) == 0:
		return panel{title: "Stopped", lines: []string{"no job makes room for another"}}
	default:
		lines := []string{jobCount(len(l.Jobs), l) + " stopped for others"}
		return panel{title: "Stopped", lines: append(lines, shown(l, func(j *api.Job) string {
			last := j.Pauses[len(j.Pauses)-1]
			text := fmt.Sprintf("%s for %s at %s since %s", called(j), last.For, last.At, sinceText(last.From.Time(), l.AsOf))
			if last.Emergency != "" {
				text += ", because of " + last.Emergency
			}
			return text
		}, "--state suspended,queued")...)}
	}
}

// failedPanel: what has failed in the last hour.
func (s *screen) failedPanel() panel {
	switch l := s.Failed; {
	case l == nil:
		return panel{"Failed", []string{"not known"}, true}
	case len(l.Jobs) == 0:
		return panel{title: "Failed", lines: []string{"nothing in the last hour"}}
	default:
		lines := []string{jobCount(len(l.Jobs), l) + " in the last hour"}
		slices.SortStableFunc(l.Jobs, func(a, b api.Job) int { return cmp.Compare(b.FinishedAt, a.FinishedAt) })
		return panel{title: "Failed", alarm: true, lines: append(lines, shown(l, func(j *api.Job) string {
			at := ""
			if j.Executor != "" {
				at = " at " + j.Executor
			}
			return fmt.Sprintf("%s%s, %s ago: %s", called(j), at, ago(j.FinishedAt, l.AsOf), cmp.Or(noteOf(j), string(j.State)))
		}, "--state failed,expired")...)}
	}
}

// roomPanel: what is left for more jobs, and how many there are.
func (s *screen) roomPanel() panel {
	switch {
	case s.Room == nil:
		return panel{"Room", []string{"not known"}, true}
	case len(s.Room) == 0:
		return panel{"Room", []string{"NONE: no broker that answers takes jobs"}, true}
	}
	var free, all job.Resources
	for _, r := range s.Room {
		free, all = free.Plus(r.Free), all.Plus(r.Capacity)
	}
	most := slices.MaxFunc(s.Room, func(a, b room) int {
		return cmp.Or(cmp.Compare(a.Free.CPU, b.Free.CPU), cmp.Compare(a.Free.Memory, b.Free.Memory))
	})
	text := fmt.Sprintf("%s of %s cores and %s of %s free", cores(free.CPU), cores(all.CPU), humanBytes(max(free.Memory, 0)), humanBytes(all.Memory))
	if len(s.Room) > 1 && free.CPU > 0 {
		text += fmt.Sprintf("; most at %s: %s cores, %s", most.Broker, cores(most.Free.CPU), humanBytes(max(most.Free.Memory, 0)))
	}
	if s.InAll == nil {
		return panel{"Room", []string{text, "how many jobs run and wait is not known"}, true}
	}
	runs, starts := s.InAll[job.StateRunning], s.InAll[job.StateLoading]+s.InAll[job.StateStarting]
	waits := s.InAll[job.StatePending] + s.InAll[job.StateQueued] + s.InAll[job.StateSuspended]
	unsure, begun := s.unsure()
	counts := jobsRun(max(runs-unsure, 0))
	switch starts = max(starts-begun, 0); {
	case starts == 1:
		counts += ", 1 starts"
	case starts > 1:
		counts += fmt.Sprintf(", %d start", starts)
	}
	if unsure += begun; unsure > 0 {
		counts += fmt.Sprintf(", %d may still run at brokers that do not answer", unsure)
	}
	lines := []string{text}
	if away := s.uncounted(); len(away) > 0 {
		lines = append(lines, "what "+strings.Join(away, " and ")+" may have is not counted")
	}
	lines = append(lines, counts+", "+jobsWait(waits))
	n, states := s.InAll[job.StatePending], "pending"
	for _, l := range s.placeless {
		if l != nil && len(l.Jobs) > 0 {
			n, states = n+len(l.Jobs), "pending,queued"
		}
	}
	if n > 0 {
		lines = append(lines, fmt.Sprintf("%d of these without a place: `ucp job list --state %s` says why", n, states))
	}
	return panel{title: "Room", lines: lines, alarm: free.CPU <= 0}
}

// uncounted are the brokers that take part and do not answer: what they offered is not in the room that is shown.
func (s *screen) uncounted() (out []string) {
	for _, g := range s.Gone {
		if !g.GivenUp {
			out = append(out, g.Name)
		}
	}
	return out
}

// unsure counts the jobs that ran, and those that had just been started, at brokers which are gone, and of which nobody here
// knows whether they still do.
func (s *screen) unsure() (ran, started int) {
	for _, g := range s.Gone {
		if g.Jobs == nil {
			continue
		}
		for _, j := range g.Jobs.Jobs {
			switch {
			case j.Executor != g.Name:
			case j.State == job.StateRunning:
				ran++
			case j.State == job.StateLoading || j.State == job.StateStarting:
				started++
			}
		}
	}
	return ran, started
}

// sandboxLines say which walls around jobs are missing at the broker that answers; around native jobs, where it runs such.
func (s *screen) sandboxLines() []string {
	return append(s.missingWalls("native jobs", s.Sandbox), s.missingWalls("modules", s.ModuleSandbox)...)
}

func (s *screen) missingWalls(around string, x *api.Sandbox) (lines []string) {
	if x == nil || len(x.Missing) == 0 {
		return nil
	}
	by := map[string][]string{} // walls by why they are missing
	for _, wall := range slices.Sorted(maps.Keys(x.Missing)) {
		by[x.Missing[wall]] = append(by[x.Missing[wall]], wall)
	}
	if by[executor.NotAllowed] != nil {
		return nil
	}
	for _, why := range slices.Sorted(maps.Keys(by)) {
		walls := strings.Join(by[why], ", ")
		if len(x.Holds) == 0 && len(by) == 1 {
			walls = "all of it"
		}
		lines = append(lines, fmt.Sprintf("around %s at %s is MISSING %s: %s", around, s.Name, walls, why))
	}
	return lines
}

// cores writes millicores as cores.
func cores(milli int64) string {
	return strconv.FormatFloat(float64(max(milli, 0))/1000, 'f', -1, 64)
}
