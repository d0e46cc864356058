package main

import (
	"time"

	tea "charm.land/bubbletea/v2"
)

// page is one of those that `ucp top` shows.
type page int

const (
	pageNow page = iota
	pageBrokers
	pageJobs
	pageDecisions
	pages // how many there are
)

var pageNames = [pages]string{"Now", "Brokers", "Jobs", "Decisions"}

// top is what `ucp top` shows. It changes by messages alone: keys, sizes, what was asked, what time it is.
type top struct {
	addr   string // that was asked
	every  time.Duration
	colour bool
	wake   func() // asks at once

	width, height int
	page          page
	from          [pages]int // the first line that is shown
	ended         bool       // jobs that have ended are shown, too

	now   time.Time
	begun time.Time // when the first word came of what time it is
	last  *board    // the last one that has come with a screen; nil before
	err   error     // why the latest has none; nil if it has
}

func newTop(addr string, every time.Duration, colour bool, wake func()) *top {
	return &top{addr: addr, every: every, colour: colour, wake: wake, width: 80, height: 24, now: time.Now()}
}

// Init implements tea.Model.
func (t *top) Init() tea.Cmd { return nil }

// Update implements tea.Model.
func (t *top) Update(msg tea.Msg) (tea.Model, tea.Cmd) {
	switch m := msg.(type) {
	case tea.WindowSizeMsg:
		t.width, t.height = m.Width, m.Height
	case tickMsg:
		t.now = time.Time(m)
		if t.begun.IsZero() {
			t.begun = t.now
		}
	case *board:
		if t.err = m.err; m.screen != nil {
			t.last = m
		}
		if m.sent.After(t.now) {
			t.now = m.sent
		}
	case tea.KeyPressMsg:
		return t, t.key(m.String())
	}
	t.clamp()
	return t, nil
}

// key does what a key says.
func (t *top) key(name string) tea.Cmd {
	rows := max(t.rows(), 1)
	switch name {
	case "q", "ctrl+c", "esc":
		return tea.Quit
	case "1", "2", "3", "4":
		t.page = page(name[0] - '1')
	case "tab", "right", "l":
		t.page = (t.page + 1) % pages
	case "shift+tab", "left", "h":
		t.page = (t.page + pages - 1) % pages
	case "down", "j":
		t.from[t.page]++
	case "up", "k":
		t.from[t.page]--
	case "pgdown", "space":
		t.from[t.page] += rows
	case "pgup":
		t.from[t.page] -= rows
	case "home", "g":
		t.from[t.page] = 0
	case "end", "G":
		_, lines := t.body()
		t.from[t.page] = len(lines)
	case "f":
		t.ended = !t.ended
		t.from[pageJobs] = 0
	case "r":
		t.wake()
	}
	t.clamp()
	return nil
}

// clamp keeps what is shown within what there is.
func (t *top) clamp() {
	_, lines := t.body()
	t.from[t.page] = max(min(t.from[t.page], len(lines)-t.rows()), 0)
}

// cutOff is for how long nothing has come, and whether that is too long: a question has failed, or the last answer is older than three
// rounds of questions, each as slow as it may be.
func (t *top) cutOff() (old time.Duration, cut bool) {
	if t.last == nil {
		return 0, t.err != nil
	}
	old = max(t.now.Sub(t.last.sent), 0)
	return old, t.err != nil || old > 3*t.every+screenWithin
}
