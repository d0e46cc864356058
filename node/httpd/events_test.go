package httpd

import (
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/urban-compute/ucp/api"
	"github.com/urban-compute/ucp/broker"
)

// A slow reader loses events, is told how many, and holds nobody up; the first and the last watcher of
// jobs' states are known, so that the core tells of them no longer than needed.
func TestSlowReadersLoseEvents(t *testing.T) {
	var h hub
	everything := func(broker.Note) bool { return true }
	slow := &watcher{wants: everything, queue: make(chan api.Event, 4)}
	picky := &watcher{wants: func(x broker.Note) bool { return x.Kind == "job" }, jobs: true, queue: make(chan api.Event, 4)}
	first, ok := h.add(slow)
	require.False(t, first)
	require.True(t, ok)
	first, _ = h.add(picky)
	require.True(t, first)
	other := &watcher{wants: everything, jobs: true, queue: make(chan api.Event, 4)}
	first, _ = h.add(other)
	require.False(t, first, "the second")
	require.False(t, h.remove(other))
	note := broker.Note{Kind: "member", ID: "b"}
	for range 10 {
		h.tell("a", []broker.Note{note})
	}
	require.Len(t, slow.queue, 4)
	require.Empty(t, picky.queue)
	<-slow.queue
	h.tell("a", []broker.Note{note}) // it has not caught up yet
	for range 4 {
		<-slow.queue
	}
	h.tell("a", []broker.Note{note})
	e := <-slow.queue
	require.Equal(t, "lost", e.Kind)
	require.Contains(t, e.Text, "6 events were lost")
	require.Equal(t, "member", (<-slow.queue).Kind)
	require.True(t, h.remove(picky), "the last")
	require.False(t, h.remove(slow))
	h.tell("a", []broker.Note{note})
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
