package node

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/urban-compute/ucp/api"
	"github.com/urban-compute/ucp/emergency"
	"github.com/urban-compute/ucp/node/httpd"
)

// The whole life of an emergency over HTTP (docs/api.md).
func TestEmergenciesOverHTTP(t *testing.T) {
	n := startNode(t, Config{Name: "a"})
	status, body := request(t, n, "GET", "/v1/emergencies", nil)
	require.Equal(t, http.StatusOK, status)
	require.Equal(t, []any{}, fields(t, body)["emergencies"], "a list, not null")

	declare := func(text string) (int, map[string]any) {
		status, body := request(t, n, "POST", "/v1/emergencies", []byte(text))
		return status, fields(t, body)
	}
	status, m := declare(`{"id":"flood-1","type":"flood","level":"critical","scope":{"district":"7"},"select":"pumps","ttl":"2h","message":"M"}`)
	require.Equal(t, http.StatusCreated, status, m)
	for _, name := range []string{"id", "type", "level", "scope", "select", "message", "declared_at", "until", "active", "cleared"} {
		require.Contains(t, m, name)
	}
	require.Equal(t, []any{"district=7"}, m["scope"])
	require.Equal(t, false, m["in_scope"], "this broker has no such label")
	require.Equal(t, true, m["active"])
	status, m = declare(`{"id":"flood-1","type":"flood","level":"high"}`)
	require.Equal(t, http.StatusOK, status, m)
	require.Equal(t, "high", m["level"])
	require.Equal(t, []any{"district=7"}, m["scope"], "what is not given stays")
	require.Equal(t, false, m["in_scope"])
	status, m = declare(`{"id":"flood-1","scope":[]}`)
	require.Equal(t, http.StatusOK, status, m)
	require.Equal(t, "high", m["level"])
	require.Equal(t, []any{}, m["scope"], "what is given as nothing is dropped")
	require.Equal(t, true, m["in_scope"])

	status, m = declare(`{"id":"flood-2","type":"flood","level":"low"}`)
	require.Equal(t, http.StatusCreated, status, m)
	status, body = request(t, n, "DELETE", "/v1/emergencies/flood", nil)
	require.Equal(t, http.StatusConflict, status, body)
	require.Contains(t, body, "matches 2 emergencies: flood-1, flood-2")
	status, body = request(t, n, "GET", "/v1/emergencies/flood-", nil)
	require.Equal(t, http.StatusConflict, status, body)
	status, body = request(t, n, "DELETE", "/v1/emergencies/flood-1", nil)
	require.Equal(t, http.StatusOK, status, body)
	require.Equal(t, true, fields(t, body)["cleared"])
	status, body = request(t, n, "DELETE", "/v1/emergencies/flood-1", nil)
	require.Equal(t, http.StatusOK, status, body)
	status, m = declare(`{"id":"flood-1","type":"flood","level":"high"}`)
	require.Equal(t, http.StatusConflict, status)
	require.Equal(t, api.CodeOver, m["code"])
	require.Contains(t, m["error"], "final")

	status, body = request(t, n, "DELETE", "/v1/emergencies/fire-1", nil)
	require.Equal(t, http.StatusNotFound, status, body)
	require.Contains(t, body, "unknown=1")
	status, body = request(t, n, "DELETE", "/v1/emergencies/fire-1?unknown=1", nil)
	require.Equal(t, http.StatusOK, status, body)
	status, m = declare(`{"type":"storm","level":"medium"}`)
	require.Equal(t, http.StatusCreated, status)
	storm := m["id"].(string)
	require.Regexp(t, "^storm-[0-9a-f]{6,}$", storm)

	_, body = request(t, n, "GET", "/v1/emergencies", nil)
	var l api.EmergencyList
	require.NoError(t, json.Unmarshal([]byte(body), &l))
	var ids []string
	for _, e := range l.Emergencies {
		ids = append(ids, fmt.Sprintf("%s %t", e.ID, e.Active))
	}
	require.Equal(t, []string{storm + " true", "flood-2 true", "flood-1 false", "fire-1 false"}, ids, "active ones first, then the latest")

	// What it caused: nothing here, and that is said as a number.
	status, body = request(t, n, "GET", "/v1/emergencies/storm", nil)
	require.Equal(t, http.StatusOK, status)
	require.EqualValues(t, 0, fields(t, body)["caused"])
	status, body = request(t, n, "DELETE", "/v1/emergencies/"+storm[:8], nil)
	require.Equal(t, http.StatusOK, status, body)
}

// Beyond what a broker takes, a client is told to come back, and when.
func TestDeclarationsBeyondTheLimitAreRefused(t *testing.T) {
	n := startNode(t, Config{Name: "a"})
	for i := range 1000 {
		resp, err := http.Post("http://"+n.listener.Addr().String()+"/v1/emergencies", "application/json", strings.NewReader(fmt.Sprintf(`{"id":"e%d","type":"flood","level":"low"}`, i)))
		require.NoError(t, err)
		var e api.Error
		if resp.StatusCode == http.StatusCreated {
			require.NoError(t, resp.Body.Close())
			continue
		}
		require.NoError(t, json.NewDecoder(resp.Body).Decode(&e))
		require.NoError(t, resp.Body.Close())
		require.Equal(t, http.StatusTooManyRequests, resp.StatusCode)
		require.Equal(t, "1", resp.Header.Get("Retry-After"))
		require.Equal(t, api.CodeTooMany, e.Code)
		require.Contains(t, e.Message, "a second")
		require.GreaterOrEqual(t, i, 20)
		return
	}
	t.Fatal("a thousand were taken")
}

// watch follows the events of a node until the context ends; the stream has begun when it
// returns.
func watch(t *testing.T, ctx context.Context, n *Node, path string) (events chan api.Event, ended chan error) {
	t.Helper()
	req, err := http.NewRequestWithContext(ctx, "GET", "http://"+n.listener.Addr().String()+path, nil)
	require.NoError(t, err)
	resp, err := http.DefaultClient.Do(req)
	require.NoError(t, err)
	require.Equal(t, http.StatusOK, resp.StatusCode)
	require.Equal(t, "text/event-stream", resp.Header.Get("Content-Type"))
	lines := bufio.NewScanner(resp.Body)
	require.True(t, lines.Scan())
	require.Contains(t, lines.Text(), "the events of a from now on")
	events, ended = make(chan api.Event, 1000), make(chan error, 1)
	go func() {
		for lines.Scan() {
			if data, ok := strings.CutPrefix(lines.Text(), "data: "); ok {
				var e api.Event
				if json.Unmarshal([]byte(data), &e) == nil {
					events <- e
				}
			}
		}
		_ = resp.Body.Close()
		ended <- lines.Err()
	}()
	return events, ended
}

func next(t *testing.T, events chan api.Event) string {
	t.Helper()
	select {
	case e := <-events:
		return e.Kind + " " + e.ID + " " + e.What
	case <-time.After(10 * time.Second):
		t.Fatal("no event comes")
		return ""
	}
}

// What happens is told in order, to all who watch, of the kinds that they asked for; a stream of
// one job is of that job; and all streams end when the client goes or the broker leaves (goleak
// finds what does not).
func TestEventsStream(t *testing.T) {
	n := startNode(t, Config{Name: "a"})
	ctx, cancel := context.WithCancel(t.Context())
	all, _ := watch(t, t.Context(), n, "/v1/events")
	jobs, gone := watch(t, ctx, n, "/v1/events?kinds=job,emergency")
	status, body := request(t, n, "PUT", "/v1/jobs/j1", []byte(`{"command":"stay"}`))
	require.Equal(t, http.StatusAccepted, status, body)
	told := []string{next(t, jobs)}
	for told[len(told)-1] != "job j1 running" {
		told = append(told, next(t, jobs))
	}
	of, _ := watch(t, t.Context(), n, "/v1/jobs/j1/events")
	status, body = request(t, n, "POST", "/v1/emergencies", []byte(`{"id":"flood-1","type":"flood","level":"high"}`))
	require.Equal(t, http.StatusCreated, status, body)
	status, body = request(t, n, "DELETE", "/v1/jobs/j1", nil)
	require.Equal(t, http.StatusOK, status, body)
	status, body = request(t, n, "DELETE", "/v1/emergencies/flood-1", nil)
	require.Equal(t, http.StatusOK, status, body)

	require.Equal(t, "emergency flood-1 declared", next(t, all))
	require.Equal(t, "strategy emergency changed", next(t, all), "while it is in force it decides (rule E5)")
	require.Equal(t, "emergency flood-1 cleared", next(t, all), "jobs' states only for those who ask")
	for told[len(told)-1] != "emergency flood-1 cleared" {
		told = append(told, next(t, jobs))
	}
	require.Contains(t, told, "emergency flood-1 declared")
	require.Contains(t, told, "job j1 cancelled")
	require.Equal(t, "job j1 cancelled", next(t, of), "of this job, from now on")
	cancel()
	<-gone
}

// Who was cut off, and names the last event that it has seen, is told what has happened meanwhile, states of jobs too, and goes on from
// there. Who names one of another start is told that it is not known any more.
func TestEventsGoOn(t *testing.T) {
	n := startNode(t, Config{Name: "a"})
	// listen reads a stream until it has had a line that begins so, and says what it was told, and the last ID.
	listen := func(last, until string) (told []string, id string) {
		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
		defer cancel()
		req, err := http.NewRequestWithContext(ctx, "GET", "http://"+n.listener.Addr().String()+"/v1/events?kinds=job,emergency", nil)
		require.NoError(t, err)
		if last != "" {
			req.Header.Set("Last-Event-ID", last)
		}
		resp, err := http.DefaultClient.Do(req)
		require.NoError(t, err)
		defer resp.Body.Close()
		lines := bufio.NewScanner(resp.Body)
		for lines.Scan() {
			line := lines.Text()
			if text, ok := strings.CutPrefix(line, "id: "); ok {
				id = text
			}
			var e api.Event
			if text, ok := strings.CutPrefix(line, "data: "); ok && json.Unmarshal([]byte(text), &e) == nil {
				told = append(told, e.Kind+" "+e.ID+" "+e.What)
			}
			if strings.HasPrefix(line, until) || len(told) > 0 && told[len(told)-1] == until {
				if until == ": the events" { // the ID comes behind it
					require.True(t, lines.Scan())
					id = strings.TrimPrefix(lines.Text(), "id: ")
				}
				return told, id
			}
		}
		t.Fatalf("the stream ends before %q: %v", until, lines.Err())
		return nil, ""
	}
	_, last := listen("", ": the events")
	status, body := request(t, n, "PUT", "/v1/jobs/j1", []byte(`{"command":"stay"}`))
	require.Equal(t, http.StatusAccepted, status, body)
	status, body = request(t, n, "POST", "/v1/emergencies", []byte(`{"id":"flood-1","type":"flood","level":"high"}`))
	require.Equal(t, http.StatusCreated, status, body)
	told, last := listen(last, "emergency flood-1 declared")
	require.Equal(t, "job j1 pending", told[0], "while nobody listened")
	status, body = request(t, n, "DELETE", "/v1/jobs/j1", nil)
	require.Equal(t, http.StatusOK, status, body)
	told, _ = listen(last, "job j1 cancelled")
	require.NotContains(t, told, "emergency flood-1 declared", "it was told already")
	told, _ = listen("another.7", ": the events")
	require.Equal(t, []string{"lost  lost", "job j1 pending"}, told[:2], "that some of it is not known, once, and all that is")
	require.Contains(t, told, "emergency flood-1 declared")
	require.Equal(t, "job j1 cancelled", told[len(told)-1])
}

// A stream ends when its broker leaves, and does not hold it up.
func TestStreamsEndWithTheBroker(t *testing.T) {
	var ended chan error
	t.Run("a broker's life", func(t *testing.T) {
		n := startNode(t, Config{Name: "a"})
		_, ended = watch(t, context.Background(), n, "/v1/events")
	})
	select {
	case err := <-ended:
		require.NoError(t, err, "an end, and no broken connection")
	case <-time.After(10 * time.Second):
		t.Fatal("the stream outlives its broker")
	}
}

// 64 clients can watch; the next is refused, until one goes.
func TestWatchersAreBounded(t *testing.T) {
	n := startNode(t, Config{Name: "a"})
	ctx, cancel := context.WithCancel(t.Context())
	_, gone := watch(t, ctx, n, "/v1/events")
	for range httpd.MaxWatchers - 1 {
		watch(t, t.Context(), n, "/v1/events?kinds=member")
	}
	status, body := request(t, n, "GET", "/v1/events", nil)
	require.Equal(t, http.StatusServiceUnavailable, status, body)
	require.Contains(t, body, "64 clients watch")
	cancel()
	<-gone
	require.Eventually(t, func() bool {
		return n.http.Watchers() < httpd.MaxWatchers
	}, 10*time.Second, time.Millisecond)
	watch(t, t.Context(), n, "/v1/events")
}

// lines counts log lines.
type lines struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lines) count(what string) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return strings.Count(l.b.String(), what)
}

// An event that makes no sense is counted, and logged at most once a second; it and all others
// that are none of ours change nothing.
func TestEventsThatMakeNoSenseAreCounted(t *testing.T) {
	var log lines
	now := time.Now()
	var mu sync.Mutex
	clock := func() time.Time { mu.Lock(); defer mu.Unlock(); return now }
	n := startNode(t, Config{Name: "a", Now: clock, Logger: slog.New(slog.NewTextHandler(&log, nil))})
	const warning = "is not understood"
	for i := range 500 {
		n.broadcasts.receive(emergency.EventName, fmt.Append(nil, "flood! ", i), uint64(i))
		n.broadcasts.receive("deploy", []byte("flood!"), 7)
	}
	n.broadcasts.receive(emergency.EventName, bytes.Repeat([]byte("x"), 1000), 1<<62)
	require.Equal(t, 1, log.count(warning))
	mu.Lock()
	now = now.Add(time.Second)
	mu.Unlock()
	n.broadcasts.receive(emergency.EventName, nil, 7)
	require.Equal(t, 2, log.count(warning))
	_, body := request(t, n, "GET", "/metrics", nil)
	require.Contains(t, body, "ucp_emergency_events_invalid_total 502")

	n.broadcasts.receive(emergency.EventName, []byte(`{"type":"flood","level":"low"}`), 1<<62)
	require.Eventually(t, func() bool {
		_, body = request(t, n, "GET", "/v1/emergencies", nil)
		return len(fields(t, body)["emergencies"].([]any)) > 0
	}, 10*time.Second, time.Millisecond)
	require.Len(t, fields(t, body)["emergencies"], 1)
	require.Contains(t, body, `"id":"flood-`)
}
