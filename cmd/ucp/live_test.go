package main

import (
	"bytes"
	"io"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/urban-compute/ucp/api"
	"github.com/urban-compute/ucp/job"
)

// Of what was written before only the last lines are printed, of what comes later all.
func TestTailOfALog(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for tail, want := range map[int]string{0: "e\nf", 1: "d\ne\nf", 2: "c1c2\nd\ne\nf", 9: "a\nb\nc1c2\nd\ne\nf", -1: "a\nb\nc1c2\nd\ne\nf"} {
			var out bytes.Buffer
			w := newLogWriter(&out, &logsFlags{tail: tail})
			for _, part := range []string{"a\nb\n", "c1", "c2\nd\n"} {
				_, err := w.Write([]byte(part))
				require.NoError(t, err)
			}
			time.Sleep(2 * pastFor)
			synctest.Wait()
			_, err := w.Write([]byte("e\nf"))
			require.NoError(t, err)
			require.NoError(t, w.end())
			require.Equal(t, want, out.String(), "--tail %d", tail)
		}
		var out bytes.Buffer
		w := newLogWriter(&out, &logsFlags{tail: 1})
		_, _ = w.Write([]byte("a\nb"))
		require.NoError(t, w.end())
		require.Equal(t, "b", out.String(), "also of a log that ends at once")
	})
}

// Each line has the time at which it began to come.
func TestTimesOfALog(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var out bytes.Buffer
		w := newLogWriter(&out, &logsFlags{tail: -1, timestamps: true})
		for _, part := range []string{"a\nb", "c\n", "\nd"} {
			_, err := w.Write([]byte(part))
			require.NoError(t, err)
			time.Sleep(time.Second)
		}
		require.Equal(t, "2000-01-01T00:00:00.000Z a\n2000-01-01T00:00:00.000Z bc\n2000-01-01T00:00:02.000Z \n2000-01-01T00:00:02.000Z d", out.String())
	})
}

// A connection that breaks costs nothing: it goes on behind what has come. An attempt that is lost is said to be, and the
// next one follows.
func TestLogsGoOn(t *testing.T) {
	b, s := newFakeBroker(t)
	j := succeeded("j1")
	j.State = job.StateRunning
	j.Attempts = []api.Attempt{{Executor: "n3", Attempt: "1.1.n1", State: job.AttemptRunning}}
	b.jobs["j1"] = &j
	asked := map[string]int{}
	b.follow = func(w http.ResponseWriter, r *http.Request) {
		q := r.URL.Query()
		asked[q.Get("attempt")+"/"+q.Get("from")]++
		whole := map[string]string{"1.1.n1": "one\ntwo\nthree\n", "1.2.n1": "again\n"}[q.Get("attempt")]
		switch {
		case strings.HasSuffix(r.URL.Path, "/stderr"):
		case asked[q.Get("attempt")+"/"+q.Get("from")] > 5:
			b.fail(w, 404, api.CodeNotFound, "asked for the same again and again")
		case q.Get("from") == "":
			_, _ = w.Write([]byte(whole[:6]))
			if q.Get("attempt") == "1.1.n1" {
				_ = http.NewResponseController(w).Flush()
				panic(http.ErrAbortHandler)
			}
		default:
			_, _ = w.Write([]byte(whole[6:]))
			j.Attempts[0].State = job.AttemptLost
			j.Attempts = append(j.Attempts, api.Attempt{Executor: "n1", Attempt: "1.2.n1", State: job.AttemptSucceeded})
			j.State, j.Accepted = job.StateSucceeded, &api.Accepted{Attempt: "1.2.n1"}
		}
	}
	got := s.run("job", "logs", "-f", "j1")
	require.Equal(t, ran{0, "one\ntwo\nthree\nagain\n", "ucp: job j1: attempt 1, at n3, is lost, or its broker has not said how it ended; attempt 2, at n1, follows\n"}, got)
	require.Equal(t, 1, asked["1.1.n1/6"])

	require.Equal(t, "again\n", s.run("job", "logs", "j1", "--tail", "1").out)
	require.Contains(t, s.run("job", "logs", "j1", "--attempt", "3").errOut, "no attempt 3")
	require.Contains(t, s.run("job", "logs", "j1", "-f", "-o", "json").errOut, "leave -f")
}

// What has become of an attempt that was followed is told as far as it is known: that one which was given up at a broker that
// stood still ended is not, and that it may be the one which counts again is.
func TestLogsSayWhatIsKnownOfAnAttempt(t *testing.T) {
	b, s := newFakeBroker(t)
	j := succeeded("j1")
	j.State = job.StateRunning
	j.Attempts = []api.Attempt{{Executor: "n2", Attempt: "1.1.n1", State: job.AttemptRunning}}
	b.jobs["j1"] = &j
	b.follow = func(w http.ResponseWriter, r *http.Request) {
		if strings.HasSuffix(r.URL.Path, "/stderr") {
			return
		}
		_, _ = w.Write([]byte(r.URL.Query().Get("attempt") + "\n"))
		switch r.URL.Query().Get("attempt") {
		case "1.1.n1":
			j.Attempts[0].State = job.AttemptStopped // as a report that it waited is read
			j.Attempts = append(j.Attempts, api.Attempt{Executor: "n3", Attempt: "1.2.n1", State: job.AttemptRunning})
		case "1.2.n1":
			j.Attempts[0] = api.Attempt{Attempt: "1.1.n1", State: job.AttemptEarlier}
			j.Attempts[1] = api.Attempt{Attempt: "1.2.n1", State: job.AttemptEarlier}
			j.Attempts = append(j.Attempts, api.Attempt{Executor: "n2", Attempt: "1.3.n1", State: job.AttemptRunning})
		case "1.3.n1":
			j.Attempts[2].State, j.Attempts[2].EndedAt, j.Attempts[2].Reason = job.AttemptFailed, j.FinishedAt, "exit code 3"
			j.Attempts = append(j.Attempts, api.Attempt{Executor: "n3", Attempt: "1.4.n1", State: job.AttemptRunning})
		case "1.4.n1":
			j.Attempts[3].State, j.Attempts[3].EndedAt = job.AttemptStopped, j.FinishedAt
			j.Attempts = append(j.Attempts, api.Attempt{Executor: "n1", Attempt: "1.5.n1", State: job.AttemptRunning})
		default:
			j.State, j.Accepted = job.StateSucceeded, &api.Accepted{Attempt: "1.5.n1"}
		}
	}
	require.Equal(t, ran{0, "1.1.n1\n1.2.n1\n1.3.n1\n1.4.n1\n1.5.n1\n", `
ucp: job j1: attempt 1, at n2, no longer counts; attempt 2, at n3, follows
ucp: job j1: attempt 2, at n3, no longer counts; attempt 3, at n2, follows from its beginning; it may be attempt 1, which has gone on
ucp: job j1: attempt 3, at n2, failed: exit code 3; attempt 4, at n3, follows from its beginning; it may be attempt 2, which has gone on
ucp: job j1: attempt 4, at n3, stopped; attempt 5, at n1, follows
`[1:]}, s.run("job", "logs", "-f", "j1"))
}

// Where attempts go on from a checkpoint, what that has kept of the output is shown once.
func TestLogsOfCheckpointsAreShownOnce(t *testing.T) {
	var p past
	for _, x := range []struct{ writes, shown []string }{
		{[]string{"from 0\nstep 1\n", "step 2\n"}, []string{"from 0\nstep 1\n", "step 2\n"}},
		{[]string{"from 0\n", "step 1\nfrom 1\n", "step 2\n"}, []string{"from 1\n", "step 2\n"}}, // its checkpoint was taken after step 1
		{[]string{"from 0\nst"}, nil}, // it was lost before all had come
		{[]string{"from 0\nstep 1\nfrom 1\nstep 2\nstep 3\n"}, []string{"step 3\n"}},
		{[]string{"another\n"}, []string{"another\n"}},
	} {
		var out bytes.Buffer
		w := p.after(true)(&out)
		for _, b := range x.writes {
			n, err := io.WriteString(w, b)
			require.NoError(t, err)
			require.Equal(t, len(b), n)
		}
		require.Equal(t, strings.Join(x.shown, ""), out.String())
	}
	var out bytes.Buffer
	for range 2 {
		_, err := io.WriteString(p.after(false)(&out), "again\n")
		require.NoError(t, err)
	}
	require.Equal(t, "again\nagain\n", out.String(), "a job that takes none begins from the beginning")
}
