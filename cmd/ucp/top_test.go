package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	tea "charm.land/bubbletea/v2"
	"github.com/stretchr/testify/require"

	"github.com/urban-compute/ucp/api"
	"github.com/urban-compute/ucp/job"
)

// topOf is what `ucp top` shows of a broker's answers, which it has had two seconds ago.
func topOf(t *testing.T, s *shell, colour bool) *top {
	client, err := api.New(s.env["UCP_ADDR"])
	require.NoError(t, err)
	defer client.Close()
	b := readBoard(t.Context(), client)
	require.NoError(t, b.err)
	b.sent = asOf
	m := newTop("van-1:8080", 2*time.Second, colour, func() {})
	m.now = asOf
	m.Update(b)
	m.Update(tickMsg(asOf.Add(2 * time.Second)))
	return m
}

// shownBy is the screen, each line within the terminal.
func shownBy(t *testing.T, m *top) string {
	t.Helper()
	lines := strings.Split(m.View().Content, "\n")
	require.Len(t, lines, m.height)
	for _, line := range lines {
		require.LessOrEqual(t, len([]rune(line)), m.width, "%q", line)
	}
	return strings.Join(lines, "\n") + "\n"
}

func press(m *top, keys ...tea.Key) {
	for _, k := range keys {
		m.Update(tea.KeyPressMsg(k))
	}
}

func letter(r rune) tea.Key { return tea.Key{Code: r, Text: string(r)} }

// A bad night in 80 columns and 24 lines, page by page; narrow and wide; and when nothing comes any more.
func TestTopOfABadNight(t *testing.T) {
	s := aBadNight(t)
	m := topOf(t, s, false)
	got := ""
	show := func(title string) { got += "=== " + title + "\n" + shownBy(t, m) }
	show("now")
	for _, p := range []string{"2 brokers", "3 jobs", "4 decisions"} {
		press(m, letter(rune(p[0])))
		show(p)
	}
	press(m, letter('3'), letter('f'))
	show("all jobs")
	m.Update(tea.WindowSizeMsg{Width: 40, Height: 12})
	press(m, letter('1'), tea.Key{Code: tea.KeyDown}, tea.Key{Code: tea.KeyPgDown})
	show("narrow, further down")
	m.Update(tea.WindowSizeMsg{Width: 132, Height: 14})
	show("wide")
	m.Update(&board{sent: asOf.Add(4 * time.Second), err: errors.New("no broker answers at van-1:8080")})
	m.Update(tickMsg(asOf.Add(14 * time.Second)))
	show("cut off")
	m.Update(tea.WindowSizeMsg{Width: 19, Height: 24})
	require.Equal(t, "too small for ucp …", m.View().Content)
	golden(t, "top.txt", got)
}

// A screen that nothing reaches any more says so on every page, with its age, whether a question has failed or none is answered, and
// whatever the colours; and is well again with the next answer.
func TestTopNeverLooksFresh(t *testing.T) {
	s := aBadNight(t)
	for _, colour := range []bool{false, true} {
		m := topOf(t, s, colour)
		for p := range pages {
			m.page, m.err = p, nil
			m.Update(tickMsg(asOf.Add(11 * time.Second)))
			require.NotContains(t, m.View().Content, "CUT OFF")
			require.Contains(t, m.View().Content, "van-1, 11s old")
			m.Update(tickMsg(asOf.Add(12 * time.Second)))
			lines := strings.Split(m.View().Content, "\n")
			require.Contains(t, lines[0], "OLD: 12s")
			require.Contains(t, lines[1], "CUT OFF: all below is as of 15:04:05 UTC, 12s ago: no answer comes")
			for _, line := range lines[2 : len(lines)-1] {
				require.True(t, line == "" || !colour || strings.HasPrefix(line, "\x1b[2m"), "what is old is dim: %q", line)
				require.NotContains(t, line, "\x1b[1", "nothing of it is bold")
			}
			m.Update(tickMsg(asOf.Add(2 * time.Second)))
		}
		require.Equal(t, colour, strings.Contains(m.View().Content, "\x1b"))
		m.Update(&board{sent: asOf.Add(2 * time.Second), err: errors.New("silent")})
		require.Contains(t, m.View().Content, "CUT OFF", "one question that failed is enough")
		b := *m.last
		b.sent = asOf.Add(3 * time.Second)
		m.Update(&b)
		require.NotContains(t, m.View().Content, "CUT OFF")
	}
	m := newTop("van-1:8080", 2*time.Second, false, func() {})
	require.Contains(t, shownBy(t, m), "nothing is known yet")
	m.Update(&board{sent: asOf, err: errors.New("no broker\x1b[2J answers")})
	require.Contains(t, shownBy(t, m), "NOTHING IS KNOWN: no broker [2J answers")
}

// What a broker does not tell is not known, and nothing of before stands in its place.
func TestTopSaysWhatIsNotKnown(t *testing.T) {
	s := aBadNight(t)
	m := topOf(t, s, false)
	m.last.unknown[pageJobs], m.last.jobs = "this takes read", nil
	press(m, letter('3'))
	require.Contains(t, shownBy(t, m), "not known: this takes read")
	press(m, letter('2'))
	require.Regexp(t, `van-1 .* \?     \? `, shownBy(t, m), "how many jobs run where is not known, either")
	m.last.screen.members = nil
	require.Contains(t, shownBy(t, m), "\nnot known\n")
}

// Keys move within what there is.
func TestTopKeys(t *testing.T) {
	s := aBadNight(t)
	m := topOf(t, s, false)
	woken := 0
	m.wake = func() { woken++ }
	m.last.jobs.Jobs = nil
	for i := range 100 {
		m.last.jobs.Jobs = append(m.last.jobs.Jobs, api.Job{ID: job.ID(fmt.Sprintf("job-%03d", i)), State: job.StateRunning, Executor: "van-2"})
	}
	press(m, tea.Key{Code: tea.KeyTab}, tea.Key{Code: tea.KeyRight})
	require.Equal(t, pageJobs, m.page)
	require.Contains(t, shownBy(t, m), "1-20 of 100")
	press(m, tea.Key{Code: tea.KeyPgDown}, tea.Key{Code: tea.KeyDown})
	require.Contains(t, shownBy(t, m), "22-41 of 100")
	require.Contains(t, shownBy(t, m), "ID       NAME", "the head stays")
	press(m, tea.Key{Code: tea.KeyEnd}, tea.Key{Code: tea.KeyPgDown})
	require.Contains(t, shownBy(t, m), "81-100 of 100")
	m.last.jobs.Jobs = m.last.jobs.Jobs[:30] // fewer have come
	m.Update(tickMsg(m.now))
	require.Contains(t, shownBy(t, m), "11-30 of 30")
	press(m, tea.Key{Code: tea.KeyHome}, tea.Key{Code: tea.KeyUp}, letter('r'))
	require.Contains(t, shownBy(t, m), "1-20 of 30")
	require.Equal(t, 1, woken)
	press(m, tea.Key{Code: tea.KeyTab, Mod: tea.ModShift}, tea.Key{Code: tea.KeyLeft}, tea.Key{Code: tea.KeyLeft})
	require.Equal(t, pageDecisions, m.page)
	for _, k := range []tea.Key{letter('q'), {Code: 'c', Mod: tea.ModCtrl}, {Code: tea.KeyEscape}} {
		_, cmd := m.Update(tea.KeyPressMsg(k))
		require.Equal(t, tea.QuitMsg{}, cmd())
	}
}

func TestCut(t *testing.T) {
	for line, want := range map[string]string{
		"abc": "abc", "abcde": "abcde", "abcdef": "abcd…", "": "",
		"\x1b[1mab\x1b[0mcde": "\x1b[1mab\x1b[0mcde", "\x1b[1mabcdefg\x1b[0m": "\x1b[1mabcde\x1b[0m", "äöüßéxx": "äöüß…",
	} {
		require.Equal(t, want, cut(line, 5), "%q", line)
	}
}

// It asks every so often, sooner when it is told to, and ends when it is told to.
func TestTopAsksAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, end := context.WithCancel(t.Context())
		wake, asked := make(chan struct{}, 1), []time.Duration{}
		began, done := time.Now(), make(chan struct{})
		ask := func(context.Context) *board {
			asked = append(asked, time.Since(began))
			b := &board{sent: time.Now()}
			time.Sleep(500 * time.Millisecond)
			return b
		}
		go func() { defer close(done); askAgain(ctx, 2*time.Second, wake, ask, func(tea.Msg) {}) }()
		time.Sleep(5 * time.Second)
		wake <- struct{}{}
		time.Sleep(time.Second)
		end()
		<-done
		require.Equal(t, []time.Duration{0, 2 * time.Second, 4 * time.Second, 5 * time.Second}, asked)
	})
}

// It draws on a terminal alone, and leaves it as it was: when the person ends it, and when a signal does.
func TestTopEndsCleanly(t *testing.T) {
	_, s := newFakeBroker(t)
	for args, want := range map[string]string{
		"":             "needs a terminal that can be drawn on; `ucp status` prints the same once",
		"--every 10ms": "from 1s to 1m",
	} {
		got := s.run(append([]string{"top"}, strings.Fields(args)...)...)
		require.Equal(t, exitError, got.code)
		require.Contains(t, got.errOut, want)
	}
	s.columns, s.env["TERM"] = 80, "dumb"
	require.Contains(t, s.run("top").errOut, "needs a terminal")
	s.env["TERM"] = "xterm"
	require.Contains(t, s.run("top", "-o", "json").errOut, "needs a terminal")
	s.stdin = "q"
	got := s.run("top")
	require.Equal(t, ran{0, got.out, ""}, got)
	require.Contains(t, got.out, "\x1b[?1049l", "the screen of before is back")
	s.stdin = ""
	go func() { s.signals <- syscall.SIGTERM }()
	got = s.run("top")
	require.Equal(t, ran{0, got.out, ""}, got)
	if strings.Contains(got.out, "\x1b[?1049h") { // it had begun to draw
		require.Contains(t, got.out, "\x1b[?1049l")
	}
}
