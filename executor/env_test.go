package executor

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/urban-compute/ucp/job"
)

// A job finds the span in which it runs, in place of what its spec says, unless it wants no variables but its own.
func TestJobsFindTheirTrace(t *testing.T) {
	spec := job.Spec{Env: map[string]string{"TRACEPARENT": "client's"}}
	require.Equal(t, []string{"TRACEPARENT=client's", "TRACEPARENT=ours", "UCP_ATTEMPT=1", "UCP_JOB_ID=j"}, envOf(&Task{ID: "j", Attempt: "1", Trace: "ours", Spec: spec}), "the last one wins")
	require.Equal(t, []string{"TRACEPARENT=client's", "UCP_ATTEMPT=1", "UCP_JOB_ID=j"}, envOf(&Task{ID: "j", Attempt: "1", Spec: spec}))
	spec.PlainEnv = true
	require.Equal(t, []string{"TRACEPARENT=client's"}, envOf(&Task{ID: "j", Attempt: "1", Trace: "ours", Spec: spec}))
}
