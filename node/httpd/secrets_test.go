package httpd

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/urban-compute/ucp/clock"
	"github.com/urban-compute/ucp/job"
)

// A secret of a job is for the broker at which that is placed, as long as it has not ended; and only those that the job names.
func TestWhoMayReadASecret(t *testing.T) {
	mine, other := job.Digest(strings.Repeat("1", 64)), job.Digest(strings.Repeat("2", 64))
	spec := job.Spec{Driver: job.Process, Command: "sh", Secrets: map[string]string{"PW": string(mine)}}
	require.NoError(t, spec.Complete())
	r := job.New("j", spec, spec.Digest(), job.Stamp{Dot: clock.Dot{Actor: "a~1", Counter: 1}})
	require.False(t, mayRead(r, "b", mine), "it is placed nowhere")
	require.False(t, mayRead(r, "", other))
	r.Place.Broker = "b"
	require.True(t, mayRead(r, "b", mine))
	require.False(t, mayRead(r, "b", other))
	require.False(t, mayRead(r, "c", mine))
	r.Verdicts = []job.Verdict{{Outcome: job.Cancelled, Dot: clock.Dot{Actor: "a~1", Counter: 2}}}
	require.True(t, r.State().Final())
	require.False(t, mayRead(r, "b", mine), "it has ended")
}
