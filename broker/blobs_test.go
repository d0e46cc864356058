package broker

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/urban-compute/ucp/job"
)

// A copy of an input that a peer confirmed long ago proves nothing: it may have been
// swept since (rules A1, L8).
func TestOldConfirmationsDoNotCount(t *testing.T) {
	w := newWorld()
	w.cfg.BlobTrust = time.Minute
	w.start("a", func(*Config) {})
	w.start("b", func(*Config) {})
	w.meet()
	w.pass(3 * time.Second)
	spec := job.Spec{Module: job.Digest(strings.Repeat("e", 64)), Priority: job.Priority{User: job.DefaultUser}, Constraints: []string{"nowhere"}}
	require.NoError(t, spec.Complete())
	submit := func(id job.ID) {
		w.said = nil
		w.ask(w.nodes["a"], string(id), func(tok Token) Input { return Submit{Token: tok, ID: id, Spec: spec} })
		w.settle()
	}
	submit("j1")
	require.Equal(t, []string{"a pushes eeee to b"}, w.said)
	w.step(w.nodes["a"], Pushed{Peer: "b", Actor: "b~1", Digest: spec.Module})
	submit("j2")
	require.Contains(t, w.said, "a answers j2: submitted, 2 replicas")
	w.pass(2 * time.Minute)
	submit("j3")
	require.Equal(t, []string{"a pushes eeee to b"}, w.said)
}
