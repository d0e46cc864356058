package broker

import (
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/urban-compute/ucp/broker/membership"
	"github.com/urban-compute/ucp/broker/wire"
	"github.com/urban-compute/ucp/emergency"
	"github.com/urban-compute/ucp/job"
)

// busyWorld has two brokers with jobs in all states, and the messages that went
// between them: the seeds of the fuzz targets.
func busyWorld() (w *world, messages, replies [][]byte) {
	w = newWorld()
	w.start("a", func(*Config) {})
	w.start("b", func(*Config) {})
	w.meet()
	for i := range 6 {
		spec := job.Spec{Command: "work", Priority: job.Priority{User: job.DefaultUser}, Resources: job.Resources{CPU: 400}}
		must(spec.Complete())
		id := job.ID(rune('p' + i))
		w.ask(w.nodes["a"], "", func(t Token) Input { return Submit{Token: t, ID: id, Spec: spec} })
	}
	d, err := emergency.ParseDeclaration([]byte(`{"id":"flood-1","type":"flood","level":"critical","ttl":"20s","select":"x"}`))
	must(err)
	w.ask(w.nodes["a"], "", func(t Token) Input { return Declare{Token: t, Declaration: d} })
	for range 12 {
		for _, name := range w.names {
			w.ready(w.nodes[name])
		}
		for _, path := range w.paths() {
			if p, ok := w.take(path); ok {
				if p.reply {
					replies = append(replies, p.wire)
				} else {
					messages = append(messages, p.wire)
				}
				w.deliver(p)
			}
		}
		w.now = w.now.Add(500 * time.Millisecond)
		for key, r := range w.nodes["b"].running {
			delete(w.nodes["b"].running, key)
			w.step(w.nodes["b"], Reported{Key: key, Attempt: r.Attempt, Result: job.Result{Outcome: job.Succeeded}})
			break
		}
	}
	return w, messages, replies
}

// FuzzDecodeMessage: no bytes from a peer make a broker panic or start a job that
// its record does not name; what it then stores it can read again.
func FuzzDecodeMessage(f *testing.F) {
	_, messages, _ := busyWorld()
	for _, m := range messages {
		f.Add(m)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		m, err := wire.DecodeMessage(b)
		if err != nil {
			return
		}
		survives(t, Deliver{Token: 1, Message: m}, nil)
	})
}

// FuzzDecodeReply is the same for the answer to one of our own messages.
func FuzzDecodeReply(f *testing.F) {
	_, _, replies := busyWorld()
	for _, r := range replies {
		f.Add(r)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		r, err := wire.DecodeReply(b)
		if err != nil {
			return
		}
		survives(t, Acked{Peer: r.From, Reply: r}, nil)
	})
}

// FuzzDecodeState is the same for what a push-pull brings.
func FuzzDecodeState(f *testing.F) {
	w, _, _ := busyWorld()
	f.Add(w.nodes["a"].state)
	f.Add(w.nodes["b"].state)
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, b []byte) {
		s, err := wire.DecodeState(b)
		if err != nil {
			return
		}
		for _, r := range s.Metadata {
			require.NoError(t, r.Validate())
		}
		survives(t, Gossip{State: s}, s.Metadata)
	})
}

// survives gives an input to a broker with jobs, lets time pass, and starts it again
// from its disk. Peers may lie about what they hold; a clock that is adopted from a
// liar is not tested here.
func survives(t require.TestingT, in Input, rows []wire.Metadata) {
	w, _, _ := busyWorld()
	n := w.nodes["b"]
	for _, r := range rows {
		n.seen[r.Name] = membership.Member{Name: r.Name, Actor: r.Actor, HTTPAddr: r.HTTPAddr, Status: membership.Alive}
	}
	delete(n.seen, "b")
	w.roster(n)
	w.step(n, in)
	for range 3 {
		w.ready(n)
		w.now = w.now.Add(40 * time.Second)
	}
	require.Empty(t, w.errors)
	w.start("b", func(*Config) {}) // panics when the disk can't be read
	w.ready(w.nodes["b"])
}

// What the fuzz targets do for hours, for a moment in every run: good messages with
// a few bytes damaged.
func TestDamagedMessagesHarmNothing(t *testing.T) {
	_, messages, replies := busyWorld()
	decoded := 0
	rapid.Check(t, func(t *rapid.T) {
		reply := rapid.Bool().Draw(t, "reply")
		list := messages
		if reply {
			list = replies
		}
		b := slices.Clone(rapid.SampledFrom(list).Draw(t, "good"))
		for range rapid.IntRange(1, 3).Draw(t, "damages") {
			b[rapid.IntRange(0, len(b)-1).Draw(t, "where")] = rapid.Byte().Draw(t, "byte")
		}
		if m, err := wire.DecodeMessage(b); err == nil && !reply {
			decoded++
			survives(t, Deliver{Token: 1, Message: m}, nil)
		}
		if r, err := wire.DecodeReply(b); err == nil && reply {
			decoded++
			survives(t, Acked{Peer: r.From, Reply: r}, nil)
		}
	})
	require.Greater(t, decoded, 10, "or nothing was tested")
}

// A cursor that is taken names the place that it named when it was written.
func FuzzCursor(f *testing.F) {
	f.Add(jobItem{at: 7, key: "j1~0123"}.cursor())
	f.Add("NyA")
	f.Add("MTg0NDY3NDQwNzM3MDk1NTE2MTUgag")
	f.Fuzz(func(t *testing.T, s string) {
		it, err := parseCursor(s)
		if err != nil {
			return
		}
		again, err := parseCursor(it.cursor())
		require.NoError(t, err)
		require.Equal(t, it, again)
	})
}
