package job

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/urban-compute/ucp/clock"
)

// Of two checkpoints that counts for which the job had run longer, whichever attempt took it and in whatever order they come (rule J17).
func TestTheLongestCheckpointCounts(t *testing.T) {
	spec := Spec{Command: "x", Checkpoint: &Checkpointing{Paths: []string{"state/"}}}
	require.NoError(t, spec.Complete())
	base := New("j", spec, spec.Digest(), Stamp{Dot: clock.Dot{Actor: "a~1", Counter: 1}, At: 1})
	with := func(actor clock.Actor, seq uint64, ran time.Duration, c string) *Record {
		dot := clock.Dot{Actor: actor, Counter: 1}
		return base.With(dot, func(r *Record) {
			r.SetCheckpoint(Checkpoint{Attempt: Attempt{Tenure: r.Owner.Tenure, Seq: seq}, Dot: dot, At: 2, Ran: clock.Duration(ran), Tree: Digest(strings.Repeat(c, 64))})
		})
	}
	longer, later, third := with("x~1", 1, time.Hour, "c"), with("y~1", 2, time.Minute, "d"), with("z~1", 3, time.Minute, "e")
	joins(t, longer, later, third)
	require.Equal(t, longer.Checkpoint, join(later, longer).Checkpoint)
	require.Equal(t, longer.Checkpoint, join(longer, later).Checkpoint)
	require.Equal(t, third.Checkpoint, join(later, third).Checkpoint, "of two that had run as long that of the later attempt")

	tree := TreeOf(longer.Checkpoint.Tree)
	require.Contains(t, longer.Needs(), tree)
	over := longer.With(clock.Dot{Actor: "a~1", Counter: 2}, func(r *Record) {
		r.AddVerdict(Verdict{At: 3, Dot: clock.Dot{Actor: "a~1", Counter: 2}, Outcome: Cancelled})
	})
	require.NotContains(t, slices.Collect(over.Blobs()), string(tree), "a job that has ended needs none")
	got, err := DecodeRecord(longer.Encode())
	require.NoError(t, err)
	require.Equal(t, longer.Encode(), got.Encode())
}

// What a checkpoint is to be is checked when a job is submitted, and all spellings are one.
func TestCheckpointsAreChecked(t *testing.T) {
	module := `"module":"` + strings.Repeat("e", 64) + `",`
	for text, want := range map[string]string{
		`"command":"x","checkpoint":{"paths":[]}`:                                                             "checkpoint.paths: ",
		`"command":"x","checkpoint":{"paths":["../x"]}`:                                                       "checkpoint.paths[0]: ",
		`"command":"x","checkpoint":{"paths":["a/","a/b"]}`:                                                   "checkpoint.paths[1]: ",
		`"command":"x","checkpoint":{"paths":[".ucp-checkpoint"]}`:                                            "by which the program asks",
		`"command":"x","checkpoint":{"paths":["a"],"every":"500ms"}`:                                          "checkpoint.every: ",
		`"command":"x","checkpoint":{"paths":["a"],"signal":"KILL"}`:                                          "unknown signal",
		module + `"checkpoint":{"paths":["a"],"signal":"USR1"}`:                                               "hears no signals",
		`"command":"x","redeploy":false,"checkpoint":{"paths":["a"]}`:                                         "must not run twice",
		`"command":"x","inputs":{"d/":"` + strings.Repeat("a", 64) + `"},"checkpoint":{"paths":["d/s"]}`:      "is within the input",
		`"command":"x","secrets":{"./s/key":"` + strings.Repeat("a", 64) + `"},"checkpoint":{"paths":["s/"]}`: "not encrypted",
	} {
		_, err := ParseSpec([]byte("{" + text + "}"))
		require.ErrorContains(t, err, want, text)
	}
	one, err := ParseSpec([]byte(`{"command":"x","checkpoint":{"paths":["a"],"signal":"SIGusr1"}}`))
	require.NoError(t, err)
	other, err := ParseSpec([]byte(`{"command":"x","checkpoint":{"paths":["a"],"signal":"USR1","every":"5m"}}`))
	require.NoError(t, err)
	require.Equal(t, other.Digest(), one.Digest())
	text, err := json.Marshal(one)
	require.NoError(t, err)
	require.Contains(t, string(text), `"checkpoint":{"paths":["a"],"every":`)
}
