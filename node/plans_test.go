package node

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/urban-compute/ucp/api"
	"github.com/urban-compute/ucp/job"
)

// order is the body of a request with a plan.
func order(t *testing.T, in api.PlanOrder) string {
	b, err := json.Marshal(in)
	require.NoError(t, err)
	return string(b)
}

const tides = `jobs:
  gauge:
    command: true
    args: ["{}"]
    each: stations.txt
  map:
    command: true
    inputs: {maps/: ./sea, tide.csv: today.csv}
    after: [gauge]
`

// planned is what is said of a plan.
func (c *contracted) planned(want int, query string, in api.PlanOrder) (out api.PlanAnswer) {
	c.t.Helper()
	require.NoError(c.t, json.Unmarshal([]byte(c.send(want, "POST", "/v1/plans"+query, order(c.t, in))), &out))
	return out
}

// refusedPlan is why a plan is refused.
func (c *contracted) refusedPlan(want int, in api.PlanOrder) string {
	c.t.Helper()
	var e api.Error
	require.NoError(c.t, json.Unmarshal([]byte(c.send(want, "POST", "/v1/plans", order(c.t, in))), &e))
	require.Contains(c.t, e.Message, "nothing was taken")
	return e.Message
}

// A plan that somebody hands over without being able to read it: it is told what the plan names, hands that over, and all its jobs are taken at once, once.
func TestPlanIsHandedOver(t *testing.T) {
	c := contractWith(t, startNode(t, Config{Name: "a", Replicas: 1, DrainTimeout: -1}))
	upload := func(content string) (d string) {
		d = digest([]byte(content))
		c.send(201, "PUT", "/v1/blobs/"+d, content, "Content-Type", "application/octet-stream")
		return d
	}
	in := api.PlanOrder{ID: "tides", Name: "tides.yaml", Text: tides, Files: map[string]job.Digest{}}
	first := c.planned(200, "?dry_run=1", in)
	require.Equal(t, []api.PlanFile{{Path: "stations.txt", What: "each", Missing: true}, {Path: "./sea", What: `inputs["maps/"]`, Job: "map", Line: 8, Directory: true, Missing: true}, {Path: "today.csv", What: `inputs["tide.csv"]`, Job: "map", Line: 8, Missing: true}}, first.Files)
	require.Equal(t, 5, first.Mistakes[0].Line)
	require.Contains(t, first.Mistakes[0].Text, "was not handed over")
	require.Contains(t, c.refusedPlan(422, in), "the plan has mistakes")

	in.Files["stations.txt"] = job.Digest(upload("north pier\nsouth pier\n"))
	in.Files["sea/deep/bed.bin"] = job.Digest(digest([]byte("bed")))
	in.Files["today.csv"] = job.Digest(digest([]byte("3.1")))
	second := c.planned(200, "?dry_run=1", in)
	require.Empty(t, second.Mistakes)
	require.Equal(t, 3, second.Jobs)
	require.Equal(t, &api.PlanGraph{Jobs: []api.PlanNode{{Name: "gauge", Jobs: 2}, {Name: "map", Jobs: 1}}, Edges: []api.PlanEdge{{From: "gauge", To: "map"}}}, second.Graph)
	require.Equal(t, []job.Digest{in.Files["sea/deep/bed.bin"]}, second.Files[1].Absent)
	require.Contains(t, c.refusedPlan(422, in), "upload these first")
	require.Contains(t, c.send(200, "GET", "/v1/jobs?label=plan", ""), `"jobs":[]`, "nothing is submitted before all is right")

	upload("bed")
	upload("3.1")
	require.Equal(t, 3, c.planned(201, "", in).Created)
	require.Zero(t, c.planned(200, "", in).Created, "the same again is the same plan")
	var got api.Job
	require.NoError(t, json.Unmarshal([]byte(c.send(200, "GET", "/v1/jobs/tides.map", "")), &got))
	require.Equal(t, []string{"tides.gauge.0", "tides.gauge.1"}, []string{string(got.Spec.After[0]), string(got.Spec.After[1])})
	require.Equal(t, "3", got.Spec.Labels["plan-size"])
	manifest := strings.TrimPrefix(got.Spec.Inputs["maps/"], "tree:")
	require.Contains(t, c.send(200, "GET", "/v1/blobs/"+manifest, ""), `{"path":"deep/bed.bin","mode":"0644","size":3`)

	other := in
	other.Text = strings.Replace(tides, "after: [gauge]", "after: [gauge.0]", 1)
	require.Contains(t, c.refusedPlan(422, other), "job tides.map is there already, and is another one")
	require.Empty(t, c.Wrong())
}

// What comes from elsewhere is bounded before it becomes jobs.
func TestPlansFromElsewhereAreBounded(t *testing.T) {
	c := contractWith(t, startNode(t, Config{Name: "a", Replicas: 1, DrainTimeout: -1}))
	mistake := func(text string) string {
		out := c.planned(200, "?dry_run=1", api.PlanOrder{Name: "p.yaml", Text: text})
		require.NotEmpty(t, out.Mistakes)
		require.LessOrEqual(t, len(out.Mistakes), api.MaxPlanMistakes)
		return out.Mistakes[len(out.Mistakes)-1].Text
	}
	require.Contains(t, mistake("jobs:\n  a: {command: true, array: 0-1000}\n"), "more than the 1000 jobs")
	require.Contains(t, mistake("jobs:\n  a: {command: true, array: 0-999, args: ["+strings.Repeat(`"{}{}{}{}",`, 4000)+"]}\n"), "a job of this array would have some")
	require.Contains(t, mistake("jobs:\n  a: {command: true, array: 0-999, env: {A: "+strings.Repeat("x", 5000)+"}}\n"), "its jobs have")
	require.Contains(t, mistake("jobs:\n  a: {command: true, array: 0-100, inputs: {\"d/\": \"d{}\"}}\n"), "more than 100 directories")
	var wrong strings.Builder
	for i := range 300 {
		fmt.Fprintf(&wrong, "  j%d: {command: true, after: [nobody%d]}\n", i, i)
	}
	require.Contains(t, mistake("jobs:\n"+wrong.String()), "the plan has no job")
	require.Contains(t, c.refusedPlan(413, api.PlanOrder{Text: strings.Repeat("#", api.MaxPlanText+1)}), "at most 262144 are allowed")
	require.Contains(t, c.refusedPlan(400, api.PlanOrder{Text: "jobs: {}", Files: map[string]job.Digest{"a": "b"}}), "is not a SHA-256")
	require.Contains(t, c.refusedPlan(400, api.PlanOrder{Text: "jobs: {}", ID: "a.b"}), "is no ID of a plan")
	require.Contains(t, c.refusedPlan(400, api.PlanOrder{}), "the plan is empty")
	require.Empty(t, c.Wrong())
}
