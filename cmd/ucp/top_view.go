package main

import (
	"cmp"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"time"

	tea "charm.land/bubbletea/v2"

	"github.com/urban-compute/ucp/api"
	"github.com/urban-compute/ucp/job"
)

// View implements tea.Model.
func (t *top) View() tea.View {
	v := tea.NewView(strings.Join(t.screen(), "\n"))
	v.AltScreen = true
	v.WindowTitle = "ucp top"
	return v
}

// rows is how many lines of a page are shown below its head.
func (t *top) rows() int {
	head, _ := t.body()
	return t.height - 3 - len(head)
}

// screen is all that is drawn, as many lines as the terminal has.
func (t *top) screen() []string {
	if t.width < 20 || t.height < 5 {
		return []string{cut("too small for ucp top", t.width)}
	}
	old, isCut := t.cutOff()
	head, body := t.body()
	end := min(t.from[t.page]+t.rows(), len(body))
	out := []string{t.tabs(old, isCut), t.banner(old, isCut)}
	for _, line := range append(head, body[t.from[t.page]:end]...) {
		if line = cut(line, t.width); isCut {
			line = t.styled("2", line)
		}
		out = append(out, line)
	}
	for len(out) < t.height-1 {
		out = append(out, "")
	}
	return append(out, t.foot(end, len(body)))
}

// styled puts a text into a style, where colours are wanted.
func (t *top) styled(style, text string) string {
	if !t.colour || text == "" {
		return text
	}
	return "\x1b[" + style + "m" + text + "\x1b[0m"
}

// tabs is the first line: the pages, and how old all is.
func (t *top) tabs(old time.Duration, isCut bool) string {
	names, plain := "", 0
	for p := range pages {
		name := fmt.Sprintf(" %d %s ", p+1, pageNames[p])
		if t.width < 60 {
			name = fmt.Sprintf(" %d ", p+1)
		}
		if p == t.page {
			name = "[" + strings.TrimSpace(name) + "]"
			names += t.styled("7", name)
		} else {
			names += name
		}
		plain += len(name)
	}
	age := "asking " + t.addr
	switch {
	case t.last != nil && isCut:
		age = "OLD: " + humanDuration(old.Truncate(time.Second))
	case t.last != nil:
		age = t.last.screen.Name + ", " + humanDuration(old.Truncate(time.Second)) + " old"
	}
	age = cut(age, max(t.width-plain-1, 0))
	gap := strings.Repeat(" ", max(t.width-plain-len([]rune(age)), 0))
	if isCut {
		age = t.styled("1;31", age)
	}
	return names + gap + age
}

// banner is the second line: that nothing comes any more; or what must be known on every page.
func (t *top) banner(old time.Duration, isCut bool) string {
	switch {
	case t.last == nil && t.err != nil:
		return t.styled("1;37;41", cut("NOTHING IS KNOWN: "+oneLine(t.err.Error()), t.width))
	case t.last == nil:
		return cut("nothing is known yet", t.width)
	case isCut:
		why := "no answer comes"
		if t.err != nil {
			why = oneLine(t.err.Error())
		}
		text := fmt.Sprintf("CUT OFF: all below is as of %s, %s ago: %s", t.last.screen.AsOf.UTC().Format("15:04:05 MST"), humanDuration(old.Truncate(time.Second)), why)
		return t.styled("1;37;41", cut(text, t.width))
	}
	s, parts := t.last.screen, []string{}
	panels := []panel{s.trustPanel(), s.emergencyPanel(), s.urgentPanel()}
	if strings.HasPrefix(panels[0].lines[0], "mostly") { // 80 columns may hold little more than the first
		panels[0], panels[1] = panels[1], panels[0]
	}
	for _, p := range panels {
		if p.alarm {
			parts = append(parts, strings.TrimSuffix(oneLine(p.lines[0]), ", but"))
		}
	}
	if len(parts) == 0 {
		return cut("no emergency; you see all; no urgent job waits", t.width)
	}
	return t.styled("1;31", cut(strings.Join(parts, " | "), t.width))
}

// foot is the last line: the keys, and what of the page is shown.
func (t *top) foot(end, all int) string {
	keys := "q ends  1-4 Tab pages  arrows move  f all jobs  r asks"
	if t.ended {
		keys = strings.Replace(keys, "f all jobs", "f unfinished", 1)
	}
	where := fmt.Sprintf("%d-%d of %d", min(t.from[t.page]+1, end), end, all)
	keys = cut(keys, max(t.width-len(where)-2, 0))
	return t.styled("2", keys+strings.Repeat(" ", max(t.width-len([]rune(keys))-len(where), 0))+where)
}

// body is the page, all of it; its head stays where it is.
func (t *top) body() (head, lines []string) {
	if t.last == nil {
		return nil, nil
	}
	if why := t.last.unknown[t.page]; why != "" {
		return nil, wrapped("not known: "+oneLine(why), t.width)
	}
	switch t.page {
	case pageBrokers:
		return t.brokers()
	case pageJobs:
		return t.jobs()
	case pageDecisions:
		return t.decisions()
	}
	_, isCut := t.cutOff()
	return nil, t.last.screen.lines(t.width, t.colour && !isCut)
}

// headed takes the first line of a table as its head.
func headed(table []string) (head, lines []string) { return table[:1:1], table[1:] }

// brokers is the page of brokers: how they are, and what they have.
func (t *top) brokers() (head, lines []string) {
	s := t.last.screen
	if s.members == nil {
		return nil, []string{"not known"}
	}
	runs, waits := t.last.placed()
	rows := [][]string{{"BROKER", "STATE", "FREE CPU", "FREE MEMORY", "RUNS", "WAITS", "LEVEL", "RTT"}}
	for _, m := range s.members {
		if m.Actor == "" || m.Roll == "removed" || m.Roll == "left" {
			continue
		}
		row := brokerRow{}
		_ = json.Unmarshal(s.rows[m.Name], &row) // what can't be read, or is not there, is not shown
		cpu, memory, rtt := "-", "-", "-"
		state, heard := brokerState(s, &m)
		sure := map[bool]string{false: "?"}[heard] // of one that is not heard it is what was known last
		if c := row.Capabilities.Capacity; heard && c.CPU > 0 {
			free := c.Minus(row.Usage)
			cpu = cores(free.CPU) + " of " + cores(c.CPU)
			memory = humanBytes(max(free.Memory, 0)) + " of " + humanBytes(c.Memory)
		}
		if m.RTT > 0 {
			rtt = humanDuration(time.Duration(m.RTT))
		}
		rows = append(rows, []string{m.Name, state, cpu, memory, runs(m.Name) + sure, waits(m.Name) + sure, dash(m.Emergency), rtt})
	}
	return headed(aligned(rows))
}

// placed counts the unfinished jobs at each broker that run, and that wait there; "?" where not all jobs are known.
func (b *board) placed() (runs, waits func(broker string) string) {
	running, waiting := map[string]int{}, map[string]int{}
	all := b.jobs != nil && b.jobs.Next == ""
	if all {
		for i := range b.jobs.Jobs {
			switch j := &b.jobs.Jobs[i]; j.State {
			case job.StateRunning, job.StateLoading, job.StateStarting:
				running[j.Executor]++
			default:
				waiting[j.Executor]++
			}
		}
	}
	say := func(n map[string]int) func(string) string {
		return func(broker string) string {
			if !all {
				return "?"
			}
			return strconv.Itoa(n[broker])
		}
	}
	return say(running), say(waiting)
}

// brokerRow is what is shown of a broker's metadata.
type brokerRow struct {
	Capabilities struct{ Capacity job.Resources }
	Usage        job.Resources
}

// brokerState says how a broker is, in a word or a few, and whether the broker that has answered hears it.
func brokerState(s *screen, m *api.Member) (state string, heard bool) {
	peer, isPeer := s.PeerBrokers[m.Name]
	switch {
	case m.Revoked:
		return "was revoked", false
	case m.Away || m.Status == "failed" && !m.Self:
		return "GONE", false
	case isPeer && !peer.Healthy:
		return cmp.Or(peer.Health, "silent"), false
	case isPeer && peer.Answers != nil && !*peer.Answers:
		return "DOES NOT ANSWER", false
	case m.Drained != nil:
		return "drained", true
	case m.Self && s.DiskFull:
		return "DISK FULL", true
	case m.Self:
		return cmp.Or(m.TakesNone, "answers"), true
	}
	return cmp.Or(m.TakesNone, peer.TakesNone, "healthy"), isPeer
}

// jobs is the page of jobs, the newest first.
func (t *top) jobs() (head, lines []string) {
	l := t.last.jobs
	if t.ended {
		l = t.last.all
	}
	switch {
	case l == nil:
		return nil, []string{"not known"}
	case len(l.Jobs) == 0:
		return nil, []string{"no job" + map[bool]string{false: " is unfinished; f shows those that have ended"}[t.ended]}
	}
	rows := [][]string{{"ID", "NAME", "STATE", "AT", "AGE", "TOOK", "NOTE"}}
	for i := range l.Jobs {
		j := &l.Jobs[i]
		rows = append(rows, []string{shortID(j), dash(shorten(j.Name, 16)), stateIn(j), dash(j.Executor), ago(j.SubmittedAt, l.AsOf), took(j, l.AsOf), oneLine(noteOf(j))})
	}
	head, lines = headed(aligned(rows))
	if l.Next != "" {
		lines = append(lines, fmt.Sprintf("and more than these %d: `ucp job list --all`", len(l.Jobs)))
	}
	return head, lines
}

// decisions is the page of the latest decisions of the broker that answers.
func (t *top) decisions() (head, lines []string) {
	l := t.last.decisions
	switch {
	case l == nil:
		return nil, []string{"not known"}
	case len(l.Conflicts) == 0:
		return nil, wrapped("no decisions at "+t.last.screen.Name+": all jobs there fitted together. Each broker remembers its own: --addr asks another", t.width)
	}
	rows := [][]string{{"TIME", "KIND", "WINNER", "JOBS", "DECIDED AT " + t.last.screen.Name}}
	for _, x := range l.Conflicts {
		rows = append(rows, []string{x.At.Time().Format("15:04:05"), x.Kind, dash(x.Winner), strconv.Itoa(x.Jobs), x.ID})
	}
	head, table := headed(aligned(rows))
	for i, line := range table {
		lines = append(lines, line)
		for _, part := range wrapped(oneLine(l.Conflicts[i].Sentence), t.width-4) {
			lines = append(lines, "    "+part)
		}
	}
	return head, lines
}

// cut shortens a line to so many columns. Styles in it take none, and end with it.
func cut(line string, columns int) string {
	out, shown, styled := []rune{}, 0, false
	runes := []rune(line)
	for i := 0; i < len(runes); i++ {
		if runes[i] == '\x1b' {
			end := i
			for end < len(runes)-1 && runes[end] != 'm' {
				end++
			}
			out, styled = append(out, runes[i:end+1]...), string(runes[i:end+1]) != "\x1b[0m"
			i = end
			continue
		}
		if shown == columns {
			if styled {
				out = append(out, []rune("\x1b[0m")...)
			}
			if n := len(out); !styled && n > 0 && columns > 1 {
				out[n-1] = '…'
			}
			return string(out)
		}
		out, shown = append(out, runes[i]), shown+1
	}
	return string(out)
}
