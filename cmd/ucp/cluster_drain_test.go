package main

import (
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/urban-compute/ucp/api"
	"github.com/urban-compute/ucp/clock"
)

// An operator drains a broker, with a deadline, and resumes it; what is wrong here asks nobody.
func TestClusterDrain(t *testing.T) {
	b, s := newFakeBroker(t)
	b.members.Members = []api.Member{
		{Name: "b0", Actor: "b0~1", Status: "alive", Self: true},
		{Name: "b1", Actor: "b1~1", Status: "alive", Drained: &api.Drain{Since: clock.At(asOf)}},
		{Name: "stock", Status: "alive"},
	}
	var asked []string
	b.drain = func(w http.ResponseWriter, r *http.Request) {
		asked = append(asked, r.Method+" "+r.URL.String())
		name := r.PathValue("name")
		if name == "x" {
			b.fail(w, 404, api.CodeNotFound, `no broker "x" takes part`)
			return
		}
		d := api.DrainedMember{Name: name, Drained: r.Method == http.MethodPut, Before: name == "b1", Replicas: 2, Running: 1}
		if r.URL.Query().Get("deadline") != "" {
			d.Deadline, d.Degraded = clock.At(asOf.Add(10*time.Minute)), true
		}
		b.reply(w, 200, d)
	}
	require.Equal(t, ran{0, "b0 runs no new jobs until `ucp cluster resume b0`; 2 brokers know this so far\n1 job still runs there\n", ""}, s.run("cluster", "drain", "b0"))
	got := s.run("cluster", "drain", "b0", "--deadline", "10m")
	require.Contains(t, got.out, "; 2 brokers know this so far, fewer than --replicas\n1 job still runs there; at 2026-01-31 15:14:05.000 UTC what has not ended is moved\n")
	require.Equal(t, []string{"PUT /v1/members/b0/drain", "PUT /v1/members/b0/drain?deadline=10m0s"}, asked)
	require.Equal(t, ran{0, "b1 runs jobs again; 2 brokers know this so far\n", ""}, s.run("cluster", "resume", "b1"))
	require.Equal(t, ran{0, "b0 was not drained: nothing changes\n", ""}, s.run("cluster", "resume", "b0"))
	require.Contains(t, s.run("cluster", "drain", "b0", "-o", "json").out, `"drained": true`)
	require.Equal(t, ran{exitError, "", "ucp: no broker \"x\" takes part\n"}, s.run("cluster", "drain", "x"))

	for _, m := range []api.Member{{Status: "alive", Health: "silent for 3s"}, {Status: "failed"}, {Status: "alive", Away: true}} { // it has not heard of that
		m.Name = "b0"
		b.members.Members[0] = m
		require.Equal(t, "b0 runs no new jobs until `ucp cluster resume b0`; 2 brokers know this so far\n"+
			"WARNING: b0 does not answer, and has not heard of this: until it does it may run new jobs, and what runs there is not known\n", s.run("cluster", "drain", "b0").out)
	}
	b.members.Members[0] = api.Member{Name: "b0", Actor: "b0~1", Status: "alive", Self: true}

	n := len(asked)
	for _, args := range [][]string{{"drain"}, {"drain", ""}, {"drain", "b0", "b1"}, {"drain", "b0", "--deadline", "0s"}, {"drain", "b0", "--deadline", "-1m"}, {"drain", "b0", "--deadline", "soon"}, {"resume"}} {
		got := s.run(append([]string{"cluster"}, args...)...)
		require.Equal(t, exitError, got.code, "%q", args)
		require.NotEmpty(t, got.errOut)
	}
	require.Len(t, asked, n)
	require.Contains(t, s.run("__complete", "cluster", "drain", "").out, "b0\talive\n:")
	require.Contains(t, s.run("__complete", "cluster", "resume", "").out, "b1\talive\n:")
	require.Contains(t, s.run("members").out, "alive, drained ")

	// What can't be moved is said at once, and after the deadline.
	d := api.DrainedMember{Name: "b1", Drained: true, Running: 3, Stay: 2, Deadline: clock.At(asOf)}
	require.Equal(t, "3 jobs still run there; at 2026-01-31 15:04:05.000 UTC what has not ended is moved, but as things stand 2 of them can't be, since no other broker can take them, or they must not run twice: they run on", stillThere(&d))
	d.Stay = 3
	require.Contains(t, stillThere(&d), "NOTHING can be moved at 2026-01-31 15:04:05.000 UTC")
	b.members.Members[1].Drained.Stays = 1
	require.Contains(t, s.run("members").out, "alive, drained (1 job runs on though the deadline is over)")
	b.members.Members[1].Drained.Waits = 2
	require.Contains(t, s.run("members").out, "alive, drained (1 job runs on though the deadline is over; 2 jobs wait there, since no other broker can take what waits)")
	b.drain = func(w http.ResponseWriter, r *http.Request) {
		b.reply(w, 200, api.DrainedMember{Name: "b0", Drained: true, Replicas: 2, Waits: 1})
	}
	require.Contains(t, s.run("cluster", "drain", "b0").out, "\n1 job waits there, since no other broker can take what waits: it starts when one can, or after the resume\n")
}
