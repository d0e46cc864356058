package httpd

import (
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/urban-compute/ucp/api"
	"github.com/urban-compute/ucp/broker"
)

// A slow reader loses events, is told how many, and holds nobody up; the first and the last watcher of
// jobs' states are known, so that the core tells of them no longer than needed, and a minute.
func TestSlowReadersLoseEvents(t *testing.T) {
	var h hub
	everything := func(broker.Note) bool { return true }
	slow := &watcher{wants: everything, queue: make(chan told, 4)}
	picky := &watcher{wants: func(x broker.Note) bool { return x.Kind == "job" }, jobs: true, queue: make(chan told, 4)}
	_, _, first, ok := h.add(slow, "")
	require.False(t, first)
	require.True(t, ok)
	_, _, first, _ = h.add(picky, "")
	require.True(t, first)
	other := &watcher{wants: everything, jobs: true, queue: make(chan told, 4)}
	_, _, first, _ = h.add(other, "")
	require.False(t, first, "the second")
	h.remove(other, asOf)
	require.False(t, h.rest(asOf.Add(time.Hour)), "somebody asks")
	note := broker.Note{Kind: "member", ID: "b"}
	for range 10 {
		h.tell("a", []broker.Note{note})
	}
	require.Len(t, slow.queue, 4)
	require.Empty(t, picky.queue)
	quick := &watcher{wants: everything, queue: make(chan told, 4)}
	_, _, _, _ = h.add(quick, "")
	_, all := h.reached(quick)
	require.True(t, all)
	h.tell("a", []broker.Note{note})
	_, all = h.reached(quick)
	require.False(t, all, "one waits for it")
	h.remove(quick, asOf)
	_, all = h.reached(slow)
	require.False(t, all)
	<-slow.queue
	h.tell("a", []broker.Note{note}) // it has not caught up yet
	for range 4 {
		<-slow.queue
	}
	_, all = h.reached(slow)
	require.False(t, all, "it has lost some, and does not know it yet")
	h.tell("a", []broker.Note{note})
	e := (<-slow.queue).event
	require.Equal(t, "lost", e.Kind)
	require.Contains(t, e.Text, "7 events were lost")
	require.Equal(t, "member", (<-slow.queue).event.Kind)
	h.remove(picky, asOf)
	require.False(t, h.rest(asOf.Add(comesBack-1)), "it may come back")
	require.True(t, h.rest(asOf.Add(comesBack)), "the last")
	require.False(t, h.rest(asOf.Add(comesBack)), "once")
	h.remove(slow, asOf)
	h.tell("a", []broker.Note{note})
}

// Who comes back and names the last event that it has seen is told what it has missed, or that this is not known any more: since
// the broker has started again, since too much has happened, or since nobody has asked for states of jobs meanwhile.
func TestWhoComesBackMissesNothing(t *testing.T) {
	h := hub{start: "s"}
	tell := func(kind, id string) { h.tell("a", []broker.Note{{Kind: kind, ID: id}}) }
	come := func(jobs bool, last string) (ids []string, from uint64) {
		w := &watcher{wants: func(x broker.Note) bool { return jobs || x.Kind != "job" }, jobs: jobs, queue: make(chan told, 4)}
		missed, from, _, _ := h.add(w, last)
		h.remove(w, asOf)
		for _, x := range missed {
			ids = append(ids, x.event.Kind+" "+x.event.ID)
		}
		return ids, from
	}
	tell("member", "b")
	missed, from := come(true, "")
	require.Empty(t, missed, "from now on")
	last := h.id(from)
	tell("job", "j1")
	tell("member", "c")
	missed, _ = come(true, last)
	require.Equal(t, []string{"job j1", "member c"}, missed)
	missed, _ = come(false, last)
	require.Equal(t, []string{"member c"}, missed, "what it wants")
	_, from = come(true, last)
	missed, _ = come(true, h.id(from))
	require.Empty(t, missed)

	lost := []string{"lost "}
	for _, strange := range []string{"t.1", "s.99", "s.x", "s", "s.-1", "s.18446744073709551616"} {
		missed, _ = come(false, strange)
		require.Equal(t, lost, missed, strange)
	}
	missed, _ = come(true, "s.1")
	require.Equal(t, lost, missed, "nobody asked for states of jobs then")
	missed, _ = come(false, "s.1")
	require.Equal(t, []string{"member c"}, missed, "but for the others")
	require.True(t, h.rest(asOf.Add(comesBack)))
	missed, _ = come(true, h.id(from))
	require.Equal(t, lost, missed, "the core was silent in between")

	_, from = come(true, "")
	for range pastEvents / 2 {
		tell("member", "d")
	}
	missed, _ = come(false, h.id(from))
	require.Len(t, missed, pastEvents/2)
	for range pastEvents {
		tell("member", "e")
	}
	missed, _ = come(false, h.id(from))
	require.Equal(t, lost, missed, "too long ago")
	require.LessOrEqual(t, len(h.past), pastEvents)
}

// Who names no kinds is told of everything but the states of jobs; every kind that is told of can be asked for.
func TestKindsOfEvents(t *testing.T) {
	kinds := func(query string) []string {
		kinds, err := eventKinds(httptest.NewRequest("GET", "/v1/events"+query, nil))
		require.NoError(t, err)
		return kinds
	}
	require.Equal(t, []string{"emergency", "preemption", "member", "health", "strategy"}, kinds(""))
	require.Equal(t, []string{"health", "job"}, kinds("?kinds=health,job"))
	_, err := eventKinds(httptest.NewRequest("GET", "/v1/events?kinds=helth", nil))
	require.ErrorContains(t, err, "did you mean health?")

	told := 0 // a Note without a kind that can be asked for would be seen by nobody
	for _, dir := range []string{".", "..", "../../broker"} {
		files, err := filepath.Glob(filepath.Join(dir, "*.go"))
		require.NoError(t, err)
		for _, file := range files {
			b, err := os.ReadFile(file)
			require.NoError(t, err)
			for _, m := range regexp.MustCompile(`Note\{+[^}]*Kind: "(\w+)"`).FindAllStringSubmatch(string(b), -1) {
				require.Contains(t, api.EventKinds, m[1], file)
				told++
			}
		}
	}
	require.Greater(t, told, 5, "the test sees what is told")
}
