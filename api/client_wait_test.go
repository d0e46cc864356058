package api

import (
	"context"
	"errors"
	"net/http"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/urban-compute/ucp/job"
)

const (
	running = `{"id":"j1","state":"running"}`
	done    = `{"id":"j1","state":"succeeded"}`
)

func TestWaitPollsUntilTheJobIsFinal(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var asked []string
		c := through(t, func(r *http.Request) (*http.Response, error) {
			asked = append(asked, r.URL.RequestURI())
			if len(asked) < 3 {
				time.Sleep(MaxWait)
				return answer(200, running), nil
			}
			return answer(200, done), nil
		})
		var seen []job.State
		j, err := c.Wait(t.Context(), "j", WaitOptions{Seen: func(j Job) error { seen = append(seen, j.State); return nil }})
		require.NoError(t, err)
		require.Equal(t, job.StateSucceeded, j.State)
		require.Equal(t, []string{"/v1/jobs/j?wait=30s", "/v1/jobs/j1?wait=30s", "/v1/jobs/j1?wait=30s"}, asked)
		require.Equal(t, []job.State{"running", "running", "succeeded"}, seen)
	})
}

func TestWaitDoesNotHammerABrokerThatAnswersAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := 0
		c := through(t, func(*http.Request) (*http.Response, error) { n++; return answer(200, running), nil })
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		defer cancel()
		_, err := c.Wait(ctx, "j1", WaitOptions{})
		require.ErrorIs(t, err, context.DeadlineExceeded)
		require.LessOrEqual(t, n, 41)
	})
}

// Whoever learns of the other brokers first waits for a short job no longer than without them.
func TestWaitForAShortJob(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		began := time.Now()
		c := through(t, func(r *http.Request) (*http.Response, error) {
			switch {
			case r.URL.Path == "/v1/members":
				return answer(200, `{"members":[{"name":"a","self":true,"status":"alive","http_addr":"a:8000"}]}`), nil
			case !r.URL.Query().Has("wait"):
				return answer(200, running), nil
			}
			time.Sleep(20 * time.Millisecond)
			return answer(200, done), nil
		})
		j, err := c.Wait(t.Context(), "j1", WaitOptions{Others: true})
		require.NoError(t, err)
		require.Equal(t, job.StateSucceeded, j.State)
		require.Equal(t, 20*time.Millisecond, time.Since(began))
	})
}

func TestWaitSurvivesARestart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		began := time.Now()
		c := through(t, func(*http.Request) (*http.Response, error) {
			switch up := time.Since(began); {
			case up == 0:
				return answer(200, running), nil
			case up < 10*time.Second:
				return nil, syscall.ECONNREFUSED
			case up < 20*time.Second:
				return answer(503, `{"error":"starting","code":"unavailable"}`), nil
			}
			return answer(200, done), nil
		})
		j, err := c.Wait(t.Context(), "j1", WaitOptions{})
		require.NoError(t, err)
		require.Equal(t, job.StateSucceeded, j.State)
	})
}

func TestWaitGivesUpOnABrokerThatStaysAway(t *testing.T) {
	for name, gone := range map[string]func() (*http.Response, error){
		"refused":     func() (*http.Response, error) { return nil, syscall.ECONNREFUSED },
		"unavailable": func() (*http.Response, error) { return answer(503, `{"error":"leaving"}`), nil },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				began := time.Now()
				c := through(t, func(*http.Request) (*http.Response, error) {
					if time.Since(began) == 0 {
						return answer(200, running), nil
					}
					return gone()
				})
				_, err := c.Wait(t.Context(), "j1", WaitOptions{})
				require.Error(t, err)
				require.InDelta(t, reconnectWithin.Seconds(), time.Since(began).Seconds(), 1)
			})
		})
	}
}

func TestWaitDoesNotWaitForABrokerThatWasNeverThere(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		began := time.Now()
		c := through(t, func(*http.Request) (*http.Response, error) { return nil, syscall.ECONNREFUSED })
		_, err := c.Wait(t.Context(), "j1", WaitOptions{})
		require.ErrorIs(t, err, syscall.ECONNREFUSED)
		require.Zero(t, time.Since(began))
	})
}

func TestWaitEndsWithWhatSeenSays(t *testing.T) {
	enough := errors.New("enough")
	c := through(t, func(*http.Request) (*http.Response, error) { return answer(200, running), nil })
	j, err := c.Wait(t.Context(), "j1", WaitOptions{Seen: func(Job) error { return enough }})
	require.ErrorIs(t, err, enough)
	require.Equal(t, job.StateRunning, j.State)

	c = through(t, func(*http.Request) (*http.Response, error) { return answer(404, `{"error":"no job"}`), nil })
	_, err = c.Wait(t.Context(), "j1", WaitOptions{})
	require.EqualError(t, err, "no job")
}
