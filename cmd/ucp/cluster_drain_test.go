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
	require.Contains(t, got.out, "; 2 brokers know this so far, fewer than --replicas\n1 job still runs there, and is moved at ")
	require.Equal(t, []string{"PUT /v1/members/b0/drain", "PUT /v1/members/b0/drain?deadline=10m0s"}, asked)
	require.Equal(t, ran{0, "b1 runs jobs again; 2 brokers know this so far\n", ""}, s.run("cluster", "resume", "b1"))
	require.Equal(t, ran{0, "b0 was not drained: nothing changes\n", ""}, s.run("cluster", "resume", "b0"))
	require.Contains(t, s.run("cluster", "drain", "b0", "-o", "json").out, `"drained": true`)
	require.Equal(t, ran{exitError, "", "ucp: no broker \"x\" takes part\n"}, s.run("cluster", "drain", "x"))

	n := len(asked)
	for _, args := range [][]string{{"drain"}, {"drain", ""}, {"drain", "b0", "b1"}, {"drain", "b0", "--deadline", "0s"}, {"drain", "b0", "--deadline", "-1m"}, {"drain", "b0", "--deadline", "soon"}, {"resume"}} {
		got := s.run(append([]string{"cluster"}, args...)...)
		require.Equal(t, exitError, got.code, "%q", args)
		require.NotEmpty(t, got.errOut)
	}
	require.Len(t, asked, n)
	require.Contains(t, s.run("__complete", "cluster", "drain", "").out, "b0\talive\n:")
	require.Contains(t, s.run("__complete", "cluster", "resume", "").out, "b1\talive\n:")
	require.Contains(t, s.run("members").out, "alive, drained")
}
