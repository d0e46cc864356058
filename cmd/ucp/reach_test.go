package main

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/urban-compute/ucp/api"
	"github.com/urban-compute/ucp/job"
)

// What a broker that does not hear another one shows may not be the latest: each verb that shows it says so, once, and in JSON,
// too. Verbs that change something, or wait, do not.
func TestWhoIsNotHeardIsSaid(t *testing.T) {
	b, s := newFakeBroker(t)
	b.knows("p.b", job.StateRunning, 1, "p.a")
	b.data = map[string]*api.Data{"s/x": {Name: "s/x"}}
	b.emergencies = api.EmergencyList{Emergencies: []api.Emergency{{ID: "flood-1"}}}
	j := succeeded("r1")
	b.jobs["r1"] = &j
	b.members = api.MemberList{Members: []api.Member{{Name: "n1"}}}
	const want = "ucp: WARNING: not all of it: n1 hears 2 of 3 brokers. What has happened since at n3 (does not answer) is not in this: " +
		"jobs that run or have ended there, later versions of data, what was set for all\n"
	verbs := [][]string{{"members"}, {"job", "list"}, {"job", "list", "--count"}, {"job", "get", "p.b"}, {"plan", "get", "p"}, {"plan", "list"}, {"data", "list"}, {"emergency", "list"},
		{"strategy", "get"}, {"job", "result", "r1", "--to", t.TempDir()}}
	for _, args := range verbs {
		t.Run(strings.Join(args, " "), func(t *testing.T) {
			b.unheard = nil
			require.NotContains(t, s.run(args...).errOut, "WARNING", "all are heard")
			b.unheard = []string{"n3; does not answer"}
			r := s.run(args...)
			require.Equal(t, 0, r.code, r.errOut)
			require.Equal(t, 1, strings.Count(r.errOut, want), r.errOut)

			r = s.run(append(args, "-o", "json")...)
			require.Equal(t, 1, strings.Count(r.errOut, want), r.errOut)
			var out struct{ Unheard []api.Unheard }
			require.NoError(t, json.Unmarshal([]byte(r.out), &out), r.out)
			require.Equal(t, []api.Unheard{{Broker: "n3", Why: "does not answer"}}, out.Unheard)
		})
	}
	require.NotContains(t, s.run("job", "cancel", "p.b").errOut, "WARNING")
}

func TestWithUnheard(t *testing.T) {
	some := []api.Unheard{{Broker: "n3", Why: `it "says" nothing`}}
	for in, want := range map[string]string{
		"{}":               `{"unheard":[{"broker":"n3","why":"it \"says\" nothing"}]}`,
		"{\n  \"a\": 1\n}": `{"a":1,"unheard":[{"broker":"n3","why":"it \"says\" nothing"}]}`,
		"[{}]":             "[{}]", // no object has room for it
		"null":             "null",
	} {
		got, err := withUnheard([]byte(in), some)
		require.NoError(t, err)
		require.JSONEq(t, want, string(got))
		got, err = withUnheard([]byte(in), nil)
		require.NoError(t, err)
		require.Equal(t, in, string(got))
	}
}

// Many that are gone make one line; what brokers of an earlier version say nothing of is no warning.
func TestReachText(t *testing.T) {
	require.Empty(t, reachText(api.Reach{}))
	require.Empty(t, reachText(api.Reach{Name: "n1", Heard: 3, Of: 3}))
	r := api.Reach{Name: "n1", Heard: 1, Of: 31}
	for range 20 {
		r.Unheard = append(r.Unheard, api.Unheard{Broker: "x", Why: "y"})
	}
	require.Contains(t, reachText(r), "n1 hears 1 of 31 brokers. What has happened since at x (y), x (y), x (y), 27 more is not in this")
}
