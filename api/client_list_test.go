package api

import (
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/urban-compute/ucp/job"
)

// A broker of an earlier version knows no job that starts, and refuses the word: who asks for those that run, too, is answered by it.
func TestListsOfAnEarlierBroker(t *testing.T) {
	asked := 0
	c := serve(t, func(w http.ResponseWriter, r *http.Request) {
		asked++
		if strings.Contains(r.URL.Query().Get("state"), "starting") {
			w.WriteHeader(http.StatusBadRequest)
			_, _ = w.Write([]byte(`{"error":"?state=starting: one of pending, queued, loading, running","code":"bad_request"}`))
			return
		}
		_, _ = w.Write([]byte(`{"jobs":[{"id":"j","state":"running"}],"counts":{"running":1}}`))
	})
	states := []job.State{job.StateQueued, job.StateStarting, job.StateRunning}
	l, err := c.Jobs(t.Context(), ListOptions{States: states})
	require.NoError(t, err)
	require.Equal(t, job.ID("j"), l.Jobs[0].ID)
	n, err := c.CountJobs(t.Context(), ListOptions{States: states})
	require.NoError(t, err)
	require.Equal(t, map[job.State]int{job.StateRunning: 1}, n)
	require.Equal(t, 4, asked)
	require.Equal(t, []job.State{job.StateQueued, job.StateStarting, job.StateRunning}, states)

	_, err = c.Jobs(t.Context(), ListOptions{States: []job.State{job.StateStarting}})
	require.ErrorContains(t, err, "?state=starting", "all that run are not what was asked for")
	require.Equal(t, 5, asked)
}
