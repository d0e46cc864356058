package broker

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/urban-compute/ucp/broker/kind"
	"github.com/urban-compute/ucp/broker/membership"
	"github.com/urban-compute/ucp/job"
	"github.com/urban-compute/ucp/ledger"
)

// No input is an error of the shell, and the only one.
func TestNoInput(t *testing.T) {
	w := newWorld()
	n := w.start("a", func(*Config) {})
	require.ErrorContains(t, n.b.Step(nil), "no input")
	require.Equal(t, "a", n.b.Name())
}

// The jobs of a batch are written together, and told to each peer in one message; each has its own answer.
func TestBatchIsOneCommitAndOneMessage(t *testing.T) {
	w := newCluster("a", "b", "c")
	n := w.nodes["a"]
	const jobs = 100
	var batch Batch
	for i := range Token(jobs) {
		batch = append(batch, Submit{Token: i + 1, ID: job.ID(fmt.Sprintf("j%d", i)), Spec: someRecord(t, 1, 1).Spec})
	}
	must(n.b.Step(Tick{Now: w.now, Wall: w.now}))
	must(n.b.Step(batch))
	rd := n.b.Ready()
	records := 0
	for _, op := range rd.Commit.Ops() {
		if ref, ok := ledger.RefOf([]byte(op.Key)); ok && ref.Kind == kind.Job {
			records++
		}
	}
	require.Equal(t, jobs, records)
	told := map[string]int{}
	for _, s := range rd.Send {
		told[s.To] += len(s.Message.Delta.Records)
	}
	require.Equal(t, map[string]int{"b": jobs, "c": jobs}, told)
	require.Len(t, rd.Send, 2)
}

// Whoever gives up waiting leaves nothing behind.
func TestAbandon(t *testing.T) {
	w := newWorld()
	n := w.start("a", func(*Config) {})
	n.seen["b"] = membership.Member{Name: "b", Actor: "b~1", Status: membership.Alive} // silent: every answer waits
	w.roster(n)
	s := someRecord(t, 1, 1).Spec
	w.step(n, Submit{Token: 1, ID: "j1", Spec: s})
	w.step(n, Await{Token: 2, ID: "j1"})
	w.step(n, Await{Token: 3, ID: "j1"})
	w.step(n, Cancel{Token: 4, ID: "j1"})
	require.Equal(t, 2, n.b.copies.Len())
	for _, token := range []Token{0, 1, 2, 4, 9} {
		w.step(n, Abandon{Token: token})
	}
	require.Equal(t, 1, n.b.copies.Len(), "the verdict is nobody's to give up")
	require.Equal(t, map[Token]waiting{3: {token: 3, key: n.b.jobs.withID("j1")[0]}}, n.b.waiters.byToken)
	w.now = w.now.Add(time.Minute)
	must(n.b.Step(Tick{Now: w.now}))
	answers := n.b.Ready().Answers
	require.Len(t, answers, 1)
	require.Equal(t, Token(3), answers[0].Token)
	require.Empty(t, n.b.waiters.byKey)
	require.Empty(t, n.b.waiters.byToken)
}

// An archive that fails stops the owner: no decision rests on a disk that lies.
func TestArchiveFailureIsAnError(t *testing.T) {
	w := newWorld()
	n := w.start("a", func(*Config) {})
	w.ask(n, "j1", func(tok Token) Input { return Submit{Token: tok, ID: "j1", Spec: someRecord(t, 1, 1).Spec} })
	w.settle()
	w.ask(n, "cancel", func(tok Token) Input { return Cancel{Token: tok, ID: "j1"} })
	w.settle()
	w.start("a", func(*Config) {}) // the finished job is only on the disk now
	for k := range n.disk {
		if _, record := ledger.RefOf([]byte(k)); record {
			delete(n.disk, k)
		}
	}
	must(n.b.Step(Tick{Now: w.now}))
	require.ErrorContains(t, n.b.Step(Get{Token: 1, ID: "j1"}), "gone from the store")
}
