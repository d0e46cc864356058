package plan

import (
	"fmt"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/urban-compute/ucp/job"
)

const tiles = `
jobs:
  join: {command: x, after: [tiles, few]}
  read: {command: x, stdin: job:tiles.7/stdout, after: [tiles]}
  tiles: {command: x, array: 0-999}
  few: {command: x, array: 0-2}
  each: {command: x, array: 0-20, after: [join]}
  end: {command: x, after: [each, tiles]}
`

// A job may wait for a whole array, in one entry. Where there are few jobs in all they are named one by one, as brokers of any version take it.
func TestAfterAnArray(t *testing.T) {
	p := mustRead(t, "p.yaml", tiles)
	specs := final(t, p)
	require.Equal(t, []job.ID{"p.few[0-2]", "p.tiles[0-999]"}, specs["p.join"].After)
	require.Equal(t, []job.ID{"p.tiles[0-999]", "p.tiles.7"}, specs["p.read"].After)
	require.Equal(t, []job.ID{"p.each[0-20]", "p.tiles[0-999]"}, specs["p.end"].After)

	small := mustRead(t, "p.yaml", "jobs:\n  a: {command: x, array: 0-9}\n  b: {command: x, array: \"1,3-9\"}\n  c: {command: x, after: [a, b]}\n")
	require.Equal(t, []job.ID{"p.a[0-9]", "p.b[1,3-9]"}, final(t, small)["p.c"].After)

	small = mustRead(t, "p.yaml", "jobs:\n  a: {command: x, array: 0-2}\n  c: {command: x, after: [a]}\n")
	require.Equal(t, []job.ID{"p.a.0", "p.a.1", "p.a.2"}, final(t, small)["p.c"].After)

	g := p.Graph(nil)
	require.Len(t, g.Edges, 6)
	require.Contains(t, g.Edges, Edge{From: "tiles", To: "join"})
	require.Contains(t, g.Edges, Edge{From: "tiles", To: "read", Reads: []string{"stdout"}})

	_, err := read("p.yaml", "jobs:\n  a: {command: x, array: 0-99, after: [b]}\n  b: {command: x, after: [c]}\n  c: {command: x, after: [a]}\n")
	require.EqualError(t, err, "p.yaml:2: job a: jobs wait for one another: a.0 waits for b waits for c waits for a.0")
}

// In whatever order a plan has its jobs, each is submitted after those that it waits for.
func TestOrdered(t *testing.T) {
	p := mustRead(t, "p.yaml", tiles)
	var runs []Again
	for _, j := range p.Jobs {
		runs = append(runs, Again{Job: j})
	}
	ordered := p.Ordered(runs)
	require.Len(t, ordered, len(runs))
	at := map[*Job]int{}
	for i, r := range ordered {
		at[r.Job] = i
	}
	for _, j := range p.Jobs {
		for _, other := range p.after(j, nil) {
			require.Less(t, at[other], at[j], "%s before %s", other.Name, j.Name)
		}
	}
	require.Len(t, p.after(p.named["end"], nil), 1021)
}

// When some of an array run once more, who waits for all of it waits for these and for those that have succeeded before.
func TestRetryWithinAnArray(t *testing.T) {
	p := mustRead(t, "p.yaml", tiles)
	states := map[string]job.State{}
	for _, j := range p.Jobs {
		states[j.Name] = job.StateSucceeded
	}
	states["tiles.5"], states["tiles.8"], states["join"], states["end"] = job.StateFailed, job.StateFailed, job.StateFailed, job.StateFailed
	known := stand(t, p, states)
	again, id, err := p.Retry(known)
	require.NoError(t, err)
	require.Len(t, again, 2+1+1+21+1, "two of tiles, join, read, each, end")
	byName := func(p *Plan, name string, runs []Again, id func(string) job.ID) (job.Spec, Again) {
		i := slices.IndexFunc(runs, func(a Again) bool { return a.Job.Name == name })
		require.GreaterOrEqual(t, i, 0, name)
		s, err := p.Final(runs[i].Job, nil, NewIDs(id), runs[i].Run)
		require.NoError(t, err)
		return s, runs[i]
	}
	end, _ := byName(p, "end", again, id)
	require.Equal(t, []job.ID{"p.each[0-20].r2", "p.tiles[0-4,6-7,9-999]", "p.tiles[5,8].r2"}, end.After)

	// The same again without the file: the plan is what brokers know, and its arrays are whole again.
	for _, a := range again {
		s, err := p.Final(a.Job, nil, NewIDs(id), a.Run)
		require.NoError(t, err)
		state := job.StateSucceeded
		if a.Job.Name == "tiles.8" || a.Job.Name == "end" {
			state = job.StateFailed
		}
		known = append(known, Known{a.ID, state, &s})
	}
	back := FromJobs("p", known)
	require.Equal(t, []job.ID{"each[0-20]", "tiles[0-999]"}, back.named["end"].Spec.After)
	again, id, err = back.Retry(known)
	require.NoError(t, err)
	end, _ = byName(back, "end", again, id)
	require.Equal(t, []job.ID{"p.each[0-20].r3", "p.tiles[0-4,6-7,9-999]", "p.tiles.5.r2", "p.tiles.8.r3"}, end.After)
}

// What a plan costs does not grow with the product of what waits and what is waited for.
func TestManyAfterMany(t *testing.T) {
	const n = 20_000
	p := mustRead(t, "p.yaml", fmt.Sprintf("jobs:\n  a: {command: x, array: 0-%d}\n  b: {command: x, array: 0-%d, after: [a]}\n", n-1, n-1))
	for _, s := range final(t, p) {
		require.LessOrEqual(t, len(s.After), 1)
	}
	known := stand(t, p, map[string]job.State{"a.3": job.StateFailed})
	again, _, err := p.Retry(known)
	require.NoError(t, err)
	require.Len(t, again, 2*n)
	var runs []Again
	for _, j := range p.Jobs {
		runs = append(runs, Again{Job: j})
	}
	require.Len(t, p.Ordered(runs), 2*n)
}
