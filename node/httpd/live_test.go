package httpd

import (
	"context"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/urban-compute/ucp/broker"
	"github.com/urban-compute/ucp/clock"
	"github.com/urban-compute/ucp/job"
)

// oneJob is a core that knows of one job.
type oneJob struct {
	Core
	mu  sync.Mutex
	rec *job.Record
}

func (c *oneJob) Ask(context.Context, func(broker.Token) broker.Input) (broker.Answer, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return &broker.Found{Record: c.rec}, nil
}

func (c *oneJob) set(rec *job.Record) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.rec = rec
}

// liveHost runs one attempt.
type liveHost struct {
	shownHost
	file    string
	over    chan struct{}
	leaving context.Context
}

func (h *liveHost) Leaving() context.Context { return h.leaving }
func (h *liveHost) Output(string, string, bool) (Running, bool) {
	return Running{Over: h.over, Open: func() (*os.File, error) {
		f, err := os.Open(h.file)
		if os.IsNotExist(err) {
			return nil, nil //nolint:nilnil // it has written nothing
		}
		return f, err
	}}, true
}

// runningAt is a record of a job that runs at a broker.
func runningAt(name, submitter string) *job.Record {
	spec := job.Spec{Command: "work", Submitter: submitter}
	dot := clock.Dot{Actor: clock.Actor(name + "~1"), Counter: 2}
	attempt := job.Attempt{Tenure: job.Tenure{Epoch: 1, At: 1, By: dot.Actor}, Seq: 1}
	return job.New("j", spec, spec.Digest(), job.Stamp{Dot: clock.Dot{Actor: "a~1", Counter: 1}, At: 1}).With(dot, func(r *job.Record) {
		r.Place = job.Placement{Attempt: attempt, Broker: name, Actor: dot.Actor}
		r.SetReport(job.Report{Dot: dot, Attempt: attempt, Phase: job.Running, At: 2})
	})
}

// What an attempt writes is sent as it comes, from where the reader was, and the answer ends with it; the last bytes are
// not lost, however late they come.
func TestOutputIsFollowed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		running := runningAt("a", "")
		core := &oneJob{rec: running}
		host := &liveHost{file: filepath.Join(t.TempDir(), "stdout"), over: make(chan struct{}), leaving: t.Context()}
		srv := New(Config{Name: "a", Now: time.Now, Logger: slog.New(slog.DiscardHandler)}, core, host, nil)
		w := httptest.NewRecorder()
		r := httptest.NewRequestWithContext(context.WithValue(t.Context(), callerKey{}, &caller{}), "GET", "/v1/jobs/j/stdout?follow=1&from=2", nil)
		r.SetPathValue("id", "j")
		var following sync.WaitGroup
		following.Go(func() { require.NoError(t, srv.follow(w, r)) })
		time.Sleep(time.Second)
		synctest.Wait()
		require.Empty(t, w.Body.String())
		f, err := os.Create(host.file)
		require.NoError(t, err)
		write := func(text string) {
			_, err := f.WriteString(text)
			require.NoError(t, err)
		}
		write("one ")
		time.Sleep(time.Second)
		synctest.Wait()
		require.Equal(t, "e ", w.Body.String())
		write("two")
		require.NoError(t, os.Remove(host.file))
		core.set(running.With(clock.Dot{Actor: "a~1", Counter: 3}, func(r *job.Record) {
			r.SetReport(job.Report{Dot: clock.Dot{Actor: "a~1", Counter: 3}, Attempt: r.Place.Attempt, Phase: job.Stopped, At: 3})
		}))
		close(host.over)
		time.Sleep(time.Second)
		synctest.Wait()
		require.Equal(t, "e two", w.Body.String())
		following.Wait()
	})
}

// Who may see jobs of their own only follows no others.
func TestOnlyOwnOutputIsFollowed(t *testing.T) {
	core := &oneJob{rec: runningAt("a", "kim")}
	srv := New(Config{Name: "a", Now: time.Now, Logger: slog.New(slog.DiscardHandler)}, core, &liveHost{leaving: t.Context()}, nil)
	ctx, cancel := context.WithTimeout(t.Context(), time.Second) // to which it does not come
	defer cancel()
	r := httptest.NewRequestWithContext(context.WithValue(ctx, callerKey{}, &caller{name: "ci", ownOnly: true}), "GET", "/v1/jobs/j/stdout?follow=1", nil)
	r.SetPathValue("id", "j")
	w := httptest.NewRecorder()
	require.ErrorContains(t, srv.follow(w, r), "is not one that ci has submitted")
	require.Empty(t, w.Body.String())
	require.Equal(t, http.StatusOK, w.Code, "nothing was written yet")
}
