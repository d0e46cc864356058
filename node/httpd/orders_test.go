package httpd

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/urban-compute/ucp/api"
	"github.com/urban-compute/ucp/broker"
	"github.com/urban-compute/ucp/job"
)

// Every route that changes something is in the audit log, or has a reason not to be.
func TestOrdersAreNoted(t *testing.T) {
	not := map[string]string{
		"POST /broker/sync-metadata": "what a peer passes on is in the log of the broker that was ordered it",
		"POST /broker/word":          "what brokers say of themselves is no order; that a file was unpacked is noted where it was",
		"POST /broker/secrets":       "who runs a job gets what that takes; nothing changes",
		"PUT /v1/blobs/{digest}":     "content alone changes nothing; the submission that uses it is noted",
	}
	routes := new(Server).routes()
	for pattern := range routes {
		changes := !strings.HasPrefix(pattern, "GET ")
		_, isOrder := orders[pattern]
		if not[pattern] == "" {
			require.Equal(t, changes, isOrder, pattern)
		} else {
			require.False(t, isOrder, pattern)
		}
	}
	for pattern := range orders {
		require.Contains(t, routes, pattern)
	}
}

// Of a batch the audit log has the jobs that were taken, or may have been, and nothing where all were refused.
func TestABatchIsNotedAsItWasTaken(t *testing.T) {
	taken, refused, unknown := &api.Error{}, &api.Error{Status: 409, Code: api.CodeConflict}, &api.Error{Status: 503, Code: api.CodeTooFew}
	for want, answers := range map[order][]*api.Error{
		{which: "j1", detail: "2 jobs, of which this is the first"}: {taken, taken},
		{which: "j2", detail: "1 jobs, of which this is the first"}: {refused, taken},
		{which: "j3", detail: "1 jobs, of which this is the first"}: {refused, refused, unknown},
		{none: true}: {refused, refused},
	} {
		b := &batch{out: make([]api.BatchLine, len(answers))}
		for i, e := range answers {
			b.jobs, b.at = append(b.jobs, broker.Submit{ID: []job.ID{"j1", "j2", "j3"}[i]}), append(b.at, i)
			if e != taken {
				b.out[i].Error = e
			}
		}
		var o order
		b.order(&o)
		if o.none {
			o.detail = ""
		}
		require.Equal(t, want, o)
	}
}
