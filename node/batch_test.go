package node

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/urban-compute/ucp/api"
	"github.com/urban-compute/ucp/job"
)

// sendBatch sends the lines as one batch and returns the answer of each.
func sendBatch(t *testing.T, n *Node, lines ...string) []api.BatchLine {
	t.Helper()
	status, body := request(t, n, "POST", "/v1/jobs:batch", []byte(strings.Join(lines, "\n")), "Content-Type", api.NDJSON)
	require.Equal(t, http.StatusOK, status, body)
	var out []api.BatchLine
	for line := range strings.Lines(body) {
		var l api.BatchLine
		require.NoError(t, json.Unmarshal([]byte(line), &l), line)
		out = append(out, l)
	}
	require.Len(t, out, len(lines))
	return out
}

// Each line of a batch has its own answer: what is wrong with one keeps no other out.
func TestBatchIsAnsweredLineByLine(t *testing.T) {
	n := startNode(t, Config{Name: "a"})
	lines := []string{
		`{"id":"one","spec":{"command":"true"}}`,
		`{"id":"two","spec":{"command":"true","colour":"red"}}`,
		`{"spec":{"command":"true"}}`,
		`{"id":"-x","spec":{"command":"true"}}`,
		`{"id":"three"}`,
		`{"id":"four","spec":{"command":"true"},"spec":{"command":"false"}}`,
		``,
		`{"id":"five","spec":{"command":"x","stdin":"` + strings.Repeat("0", 64) + `"}}`,
		`{"id":"one","spec":{"command":"true"}}`,
		`{"id":"one","spec":{"command":"false"}}`,
		`{"id":"behind","spec":{"command":"true","after":["ahead"]}}`,
		`{"id":"ahead","spec":{"command":"true"}}`,
		`{"id":"drilled","spec":{"command":"true","resources":{"cpu":2},"priority":{"emergency":"flood"}}}`,
	}
	want := []string{"", "colour", "", "not a job ID", `no "spec"`, "occurs twice", "empty", "upload these first", "", "another spec", "", "", ""}
	var taken int
	for i, l := range sendBatch(t, n, lines...) {
		require.Equal(t, i+1, l.Line)
		if want[i] != "" {
			require.NotNil(t, l.Error, lines[i])
			require.Contains(t, l.Error.Message, want[i])
			require.NotEmpty(t, l.Error.Code)
			continue
		}
		require.Nil(t, l.Error, lines[i])
		require.NotEmpty(t, l.ID)
		require.Equal(t, []int{1, 3}, []int{l.Replicas, l.Wanted})
		require.Equal(t, i != 8, l.Created, "the ninth is the first one again")
		require.Equal(t, l.ID == "drilled", len(l.Warnings) == 2, "it names an emergency that is not there, and a core perhaps as millicores: %q", l.Warnings)
		if l.Created {
			taken++
		}
	}
	_, body := request(t, n, "GET", "/v1/jobs", nil)
	require.Len(t, fields(t, body)["jobs"], taken)
	status, body := request(t, n, "GET", "/v1/jobs/behind?wait=10s", nil)
	require.Equal(t, http.StatusOK, status)
	require.Equal(t, "succeeded", fields(t, body)["state"], body)
}

// What is wrong with a batch as a whole is refused, and nothing of it is taken.
func TestBatchIsBounded(t *testing.T) {
	n := startNode(t, Config{Name: "a"})
	job := `{"spec":{"command":"true"}}`
	for _, c := range []struct {
		name, body, media string
		status            int
		says              string
	}{
		{"empty", " \n\n", api.NDJSON, 400, "the batch is empty"},
		{"too many", strings.Repeat(job+"\n", api.MaxBatch+1), api.NDJSON, 413, "1001 lines"},
		{"too large", strings.Repeat(" ", api.MaxBatchBytes+1), api.NDJSON, 413, "8388608"},
		{"of a form", job, "text/plain", 415, "text/plain"},
		{"JSON alone", job, "application/json", 415, api.NDJSON},
	} {
		status, body := request(t, n, "POST", "/v1/jobs:batch", []byte(c.body), "Content-Type", c.media)
		require.Equal(t, c.status, status, c.name)
		require.Contains(t, body, c.says)
		require.Contains(t, body, "nothing was taken")
	}
	_, body := request(t, n, "GET", "/v1/jobs", nil)
	require.Empty(t, fields(t, body)["jobs"])
}

// The client hands over a batch, may do so again, and gets a token that covers all of it.
func TestBatchOfTheClient(t *testing.T) {
	n := startNode(t, Config{Name: "a"})
	c, err := api.New("http://" + n.listener.Addr().String())
	require.NoError(t, err)
	jobs := make([]api.BatchJob, 40)
	for i := range jobs {
		jobs[i].Spec = job.Spec{Driver: job.Process, Command: "true"}
	}
	for _, created := range []bool{true, false} {
		lines, token, err := c.SubmitBatch(t.Context(), jobs, api.SubmitOptions{})
		require.NoError(t, err)
		require.Len(t, lines, len(jobs))
		for i, l := range lines {
			require.Nil(t, l.Error)
			require.Equal(t, jobs[i].ID, l.ID)
			require.Equal(t, created, l.Created)
		}
		j, err := c.JobAfter(t.Context(), string(jobs[0].ID), 0, token)
		require.NoError(t, err)
		require.Equal(t, jobs[0].ID, j.ID)
	}
}
