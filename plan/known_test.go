package plan

import (
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/urban-compute/ucp/job"
)

const diamond = `
jobs:
  top: {command: x}
  left: {command: x, stdin: job:top/stdout}
  right: {command: x, after: [top]}
  last: {command: x, after: [left], stdin: job:right/stdout}
  alone: {command: x}
`

// stand makes what a broker knows of a plan whose jobs are in these states, in their first run.
func stand(t *testing.T, p *Plan, states map[string]job.State) (out []Known) {
	specs := final(t, p)
	for _, j := range p.Jobs {
		if s := states[j.Name]; s != "" {
			spec := specs[JobID(p.ID, j.Name, 1)]
			out = append(out, Known{JobID(p.ID, j.Name, 1), s, &spec})
		}
	}
	return out
}

func TestRetry(t *testing.T) {
	p := mustRead(t, "p.yaml", diamond)
	const ok, bad, runs = job.StateSucceeded, job.StateFailed, job.StateRunning
	for _, c := range []struct {
		states map[string]job.State
		again  []job.ID
		err    string
	}{
		{map[string]job.State{"top": ok, "left": ok, "right": bad, "last": bad, "alone": ok}, []job.ID{"p.right.r2", "p.last.r2"}, ""},
		{map[string]job.State{"top": ok, "left": ok, "right": ok, "last": ok, "alone": ok}, nil, ""},
		{map[string]job.State{"top": bad, "left": bad, "right": ok, "last": ok, "alone": runs}, []job.ID{"p.top.r2", "p.left.r2", "p.right.r2", "p.last.r2"}, ""},
		{map[string]job.State{"top": ok, "left": ok, "right": ok, "last": ok}, []job.ID{"p.alone"}, ""}, // was never taken
		{map[string]job.State{"top": job.StateCancelled, "left": runs, "right": ok, "last": ok, "alone": ok}, nil, "job left is running"},
	} {
		known := stand(t, p, c.states)
		again, id, err := p.Retry(known)
		if c.err != "" {
			require.ErrorContains(t, err, c.err)
			continue
		}
		require.NoError(t, err)
		var ids []job.ID
		for _, a := range again {
			ids = append(ids, a.ID)
		}
		require.Equal(t, c.again, ids)
		if slices.Contains(ids, "p.right.r2") && !slices.Contains(ids, "p.top.r2") {
			last := again[1]
			s, err := FromJobs("p", known).Final(last.Job, nil, NewIDs(id), last.Run)
			require.NoError(t, err)
			require.EqualValues(t, "job:p.right.r2/stdout", s.Stdin)
			require.Equal(t, []job.ID{"p.left", "p.right.r2"}, s.After, "who has succeeded is read as before")
			require.Equal(t, "2", s.Labels[LabelRun])
		}
	}
}

// What brokers know of a plan is the same plan again.
func TestFromJobs(t *testing.T) {
	p := mustRead(t, "p.yaml", diamond)
	known := stand(t, p, map[string]job.State{"top": "failed", "left": "failed", "right": "failed", "last": "failed", "alone": "succeeded"})
	require.Equal(t, 5, Size(known))
	again := FromJobs("p", append(known, Known{ID: "q.x"}, Known{ID: "alone"}))
	require.ElementsMatch(t, p.Graph(nil).Edges, again.Graph(nil).Edges)
	before, after := final(t, p), final(t, again)
	for id, s := range before {
		require.Equal(t, s, after[id])
	}
	spec := before["p.top"]
	latest := Latest("p", append(known, Known{"p.top.r10", job.StateRunning, &spec}, Known{"p.top.r9", job.StateFailed, &spec}))
	require.Len(t, latest, 5)
	require.Equal(t, job.ID("p.top.r10"), latest[len(latest)-1].ID)
	require.Equal(t, []string{
		"top: running", "├─ left: failed  (stdout)", "│  └─ last: failed", "└─ right: failed", "   └─ last: failed  (stdout)", "alone: succeeded",
	}, p.Graph(func(name string) job.State {
		for _, k := range latest {
			if _, n, _, _ := Split(k.ID); n == name {
				return k.State
			}
		}
		return ""
	}).Tree())
}

// Names are in an order, and numbers in them count as such.
func TestOrderOfNames(t *testing.T) {
	names := []string{"tile.10", "b", "tile.9", "a", "tile.09"}
	slices.SortFunc(names, compareNames)
	require.Equal(t, []string{"a", "b", "tile.09", "tile.9", "tile.10"}, names)
	rapid.Check(t, func(t *rapid.T) {
		name := rapid.StringMatching(`[ab019]{0,5}`)
		a, b, c := name.Draw(t, "a"), name.Draw(t, "b"), name.Draw(t, "c")
		require.Equal(t, compareNames(a, b), -compareNames(b, a))
		if compareNames(a, b) <= 0 && compareNames(b, c) <= 0 {
			require.LessOrEqual(t, compareNames(a, c), 0)
		}
	})
}
