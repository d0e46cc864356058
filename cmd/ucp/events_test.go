package main

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// told is a broker that answers every request for events with this stream, and says what it was asked.
func told(t *testing.T, stream string) (s *shell, asked *[]string) {
	asked = &[]string{}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		*asked = append(*asked, r.URL.RequestURI()+" "+r.Header.Get("Last-Event-ID"))
		w.Header().Set("Content-Type", "text/event-stream")
		_, _ = fmt.Fprint(w, stream)
	}))
	t.Cleanup(server.Close)
	s = newShell(t)
	s.env["UCP_ADDR"] = server.URL
	return s, asked
}

// What has happened is asked for by a time or a cursor; each line of JSON has the cursor behind which one goes on.
func TestEventsOfThePast(t *testing.T) {
	event := func(id, kind, text string) string {
		return fmt.Sprintf("id: %s\nevent: %s\ndata: {\"at\":\"2026-01-31T15:04:05Z\",\"broker\":\"a\",\"kind\":%q,\"id\":\"x\",\"what\":\"y\",\"text\":%q}\n\n", id, kind, kind, text)
	}
	stream := event("s.3", "lost", "not all is known") + event("s.4", "job", "j is running") + event("s.5", "preemption", "j makes room") + ": from now on\nid: s.7\n\n" + event("s.8", "member", "b: left")
	s, asked := told(t, stream)
	got := s.run("events", "--since", "10m", "--no-follow", "-o", "json")
	require.Zero(t, got.code, got.errOut)
	lines := strings.Split(strings.TrimSpace(got.out), "\n")
	require.Len(t, lines, 3, "what comes behind is not waited for")
	require.Contains(t, lines[0], `"kind":"lost"`)
	require.Contains(t, lines[2], `"cursor":"s.5"`)
	got = s.run("events", "--after", "s.2", "-o", "json")
	require.Equal(t, exitError, got.code)
	require.Contains(t, got.out, "b: left")
	require.Equal(t, "ucp: the broker has ended the stream of events; --after s.8 goes on behind the last line\n", got.errOut)
	got = s.run("events", "--job", "j", "--kinds", "job", "--since", "2026-01-31T15:00:00Z", "--broker", "b", "--no-follow")
	require.Equal(t, "2026-01-31 15:04:05.000  lost        not all is known\n2026-01-31 15:04:05.000  job         j is running\n", got.out, "a gap is told whatever is chosen")
	require.Equal(t, []string{"/v1/events?since=10m ", "/v1/events s.2", "/v1/jobs/j/events?broker=b&since=2026-01-31T15%3A00%3A00Z "}, *asked)

	old, _ := told(t, ": from now on\n\n")
	got = old.run("events", "--after", "s.2", "--no-follow")
	require.Zero(t, got.code)
	require.Contains(t, got.out, "lost        this broker is of an earlier version", "its silence is no history")
	require.Empty(t, old.run("events", "--no-follow").out)

	for args, want := range map[string]string{
		"--since 1h --after s.2": "give one or the other",
		"--since yesterday":      "write 2026-01-31T15:04:05Z, or a duration from now back such as 10m",
		"--since -1h":            "a duration from now back",
		"--job j --kinds jbo":    `did you mean job?`,
	} {
		got := s.run(append([]string{"events"}, strings.Fields(args)...)...)
		require.Equal(t, exitError, got.code)
		require.Contains(t, got.errOut, want)
	}
	require.Contains(t, s.run("events", "--after", "s\n2").errOut, "that is no cursor")
	today := time.Now().UTC().Format("2006-01-02")
	s, _ = told(t, strings.ReplaceAll(stream, "2026-01-31", today))
	require.NotContains(t, s.run("events").out, today, "what is of today has its time alone")
}
