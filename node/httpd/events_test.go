package httpd

import (
	"fmt"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/urban-compute/ucp/api"
	"github.com/urban-compute/ucp/broker"
	"github.com/urban-compute/ucp/job"
)

// A slow reader loses events, is told how many, and holds nobody up; the first and the last watcher of
// jobs' states are known, so that the core tells of them no longer than needed, and a minute.
func TestSlowReadersLoseEvents(t *testing.T) {
	var h hub
	everything := func(broker.Note) bool { return true }
	slow := &watcher{wants: everything, queue: make(chan told, 4)}
	picky := &watcher{wants: func(x broker.Note) bool { return x.Kind == "job" }, jobs: true, queue: make(chan told, 4)}
	_, _, first, ok := h.add(slow, begin{}, asOf)
	require.False(t, first)
	require.True(t, ok)
	_, _, first, _ = h.add(picky, begin{}, asOf)
	require.True(t, first)
	other := &watcher{wants: everything, jobs: true, queue: make(chan told, 4)}
	_, _, first, _ = h.add(other, begin{}, asOf)
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
	_, _, _, _ = h.add(quick, begin{}, asOf)
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
		missed, from, _, _ := h.add(w, begin{last: last}, asOf)
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

	all := []string{"lost ", "member b", "member c"} // what is still known follows
	for _, strange := range []string{"t.1", "s.99", "s.x", "s", "s.-1", "s.18446744073709551616"} {
		missed, _ = come(false, strange)
		require.Equal(t, all, missed, strange)
	}
	missed, _ = come(true, "s.1")
	require.Equal(t, []string{"lost ", "job j1", "member c"}, missed, "nobody asked for states of jobs then")
	missed, _ = come(true, "t.1")
	require.Equal(t, []string{"lost ", "member b", "lost ", "job j1", "member c"}, missed, "each gap in its place")
	missed, _ = come(false, "s.1")
	require.Equal(t, []string{"member c"}, missed, "but for the others")
	require.True(t, h.rest(asOf.Add(comesBack)))
	missed, _ = come(true, h.id(from))
	require.Equal(t, []string{"lost "}, missed, "the core was silent in between")

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
	require.Equal(t, "lost ", missed[0], "too long ago")
	require.Equal(t, "member e", missed[1], "what is still known follows")
	require.LessOrEqual(t, len(h.rare.past), pastEvents)
}

// Who names no kinds is told of everything but the states of jobs; every kind that is told of can be asked for.
func TestKindsOfEvents(t *testing.T) {
	kinds := func(query string) []string {
		kinds, err := eventKinds(httptest.NewRequest("GET", "/v1/events"+query, nil))
		require.NoError(t, err)
		return kinds
	}
	require.Equal(t, []string{"emergency", "preemption", "member", "health", "strategy", "rejected"}, kinds(""))
	require.Equal(t, []string{"health", "job"}, kinds("?kinds=health,job"))
	_, err := eventKinds(httptest.NewRequest("GET", "/v1/events?kinds=helth", nil))
	require.ErrorContains(t, err, "did you mean health?")

	late, state := broker.Note{Kind: "job", What: "rejected"}, broker.Note{Kind: "job", What: "succeeded"}
	for query, want := range map[string][2]bool{"": {true, false}, "?kinds=rejected": {true, false}, "?kinds=job": {true, true}, "?kinds=member,health": {false, false}} {
		require.Equal(t, want, [2]bool{isOf(late, kinds(query)), isOf(state, kinds(query))}, "a result that does not count, and a state, with %q", query)
	}

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

// Who asks for what has happened since a time is told it, and whether that is all of it: what was before the broker's start, what was
// forgotten, and states of jobs that nobody had asked for are not known. However many jobs there are, emergencies stay.
func TestWhatHasHappenedSince(t *testing.T) {
	h := hub{start: "s", born: asOf}
	at := func(minutes int) time.Time { return asOf.Add(time.Duration(minutes) * time.Minute) }
	tell := func(minutes int, kind, id string) {
		h.tell("a", []broker.Note{{At: at(minutes), Kind: kind, ID: id, Job: &job.Record{}}})
	}
	come := func(jobs bool, since, now int) (out []string, first string) {
		w := &watcher{wants: func(x broker.Note) bool { return jobs || x.Kind != "job" }, jobs: jobs, queue: make(chan told, 4)}
		missed, _, _, ok := h.add(w, begin{since: at(since)}, at(now))
		require.True(t, ok)
		h.remove(w, at(now))
		for _, x := range missed {
			require.Nil(t, x.note.Job, "records are not kept in memory")
			out = append(out, x.event.Kind+" "+x.event.ID)
		}
		if len(missed) > 0 {
			first = missed[0].event.Text
		}
		return out, first
	}
	tell(1, "emergency", "flood")
	tell(3, "member", "b")
	got, _ := come(false, 0, 4)
	require.Equal(t, []string{"emergency flood", "member b"}, got, "all since its start")
	got, _ = come(false, 2, 4)
	require.Equal(t, []string{"member b"}, got)
	got, _ = come(false, 4, 4)
	require.Empty(t, got)
	got, text := come(false, -1, 4)
	require.Equal(t, []string{"lost ", "emergency flood", "member b"}, got)
	require.Contains(t, text, "not all that happened before "+asOf.Format(time.RFC3339)+" is known here: this broker has started then")
	got, _ = come(true, 2, 5)
	require.Equal(t, []string{"member b", "lost "}, got, "what is known before the gap comes before it")
	w := &watcher{wants: func(broker.Note) bool { return true }, jobs: true}
	require.Contains(t, h.from(w, at(2))[1].event.Text, "only while somebody asks")
	require.Empty(t, h.behind(w, h.id(h.from(w, at(2))[1].number)), "who goes on behind it misses nothing, and is told nothing twice")

	for i := range 3 * pastEvents {
		tell(6, "job", fmt.Sprint("j", i))
	}
	h.tell("a", []broker.Note{{At: at(6), Kind: "job", ID: "twice", What: "rejected"}})
	got, _ = come(false, 0, 7)
	require.Equal(t, []string{"emergency flood", "member b"}, got, "jobs push nothing out")
	got, text = come(true, 5, 7)
	require.Equal(t, "lost ", got[0])
	require.Contains(t, text, "too much has happened")
	require.Equal(t, "job twice", got[len(got)-1])
	require.LessOrEqual(t, len(h.frequent.past), pastEvents)
}

// Where a stream begins, and about which broker, is asked for by its query.
func TestBeginningOfEvents(t *testing.T) {
	srv := &Server{host: &shownHost{at: func() time.Time { return asOf }}}
	read := func(query, last string) (begin, error) {
		r := httptest.NewRequest("GET", "/v1/events"+query, nil)
		r.Header.Set(LastEventID, last)
		return srv.beginning(r)
	}
	b, err := read("", "s.7")
	require.NoError(t, err)
	require.Equal(t, begin{last: "s.7"}, b)
	b, err = read("?since=10m", "")
	require.NoError(t, err)
	require.Equal(t, srv.host.CityTime().Add(-10*time.Minute), b.since)
	b, err = read("?since=2026-01-31T15:04:05Z", "")
	require.NoError(t, err)
	require.Equal(t, 2026, b.since.Year())
	for _, bad := range []string{"yesterday", "-10m", "12"} {
		_, err = read("?since="+bad, "")
		require.ErrorContains(t, err, "or a duration from now back", bad)
	}
	require.True(t, concerns(broker.Note{Kind: "job", ID: "j", Place: "b"}, "b"))
	require.True(t, concerns(broker.Note{Kind: "health", ID: "b"}, "b"))
	require.False(t, concerns(broker.Note{Kind: "job", ID: "b", Place: "c"}, "b"), "a job that is called so")
}
