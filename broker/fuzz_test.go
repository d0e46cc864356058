package broker

import (
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/urban-compute/ucp/clock"
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
		m, err := DecodeMessage(b)
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
		r, err := DecodeReply(b)
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
		s, err := DecodeState(b)
		if err != nil {
			return
		}
		for _, r := range s.Rows {
			require.NoError(t, r.validate())
		}
		survives(t, Gossip{State: s}, s.Rows)
	})
}

// survives gives an input to a broker with jobs, lets time pass, and starts it again
// from its disk. Peers may lie about what they hold; a clock that is adopted from a
// liar is not tested here.
func survives(t require.TestingT, in Input, rows []Row) {
	w, _, _ := busyWorld()
	n := w.nodes["b"]
	for _, r := range rows {
		n.seen[r.Name] = Member{Name: r.Name, Actor: r.Actor, HTTPAddr: r.HTTPAddr, Status: Alive}
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

// The bounds of what comes from outside (L11), and that both ends are who they say.
func TestDecodeRefuses(t *testing.T) {
	long := make(clock.Vector, 0, maxClock+1)
	for i := range maxClock + 1 {
		long = append(long, clock.Dot{Actor: clock.Actor([]byte{'a', byte('a' + i>>12), byte('a' + i>>6&63), byte('a' + i&63)}), Counter: 1})
	}
	require.NoError(t, long.Valid())
	good := func() Message {
		return Message{Version: Version, From: "b", Actor: "b~1", Clock: clock.Vector{{Actor: "b~1", Counter: 1}}, Row: &Row{Name: "b", Actor: "b~1"}}
	}
	for name, c := range map[string]struct {
		spoil func(*Message)
		hint  string
	}{
		"another version":          {func(m *Message) { m.Version++ }, "run the same ucp on all"},
		"no sender":                {func(m *Message) { m.From = "" }, "sender"},
		"another's actor":          {func(m *Message) { m.Actor = "c~1" }, "sender"},
		"a clock out of order":     {func(m *Message) { m.Clock = clock.Vector{{Actor: "b", Counter: 1}, {Actor: "a", Counter: 1}} }, "vector clock"},
		"a clock that is too long": {func(m *Message) { m.Clock = long }, "4097 entries"},
		"a page without records":   {func(m *Message) { m.Page = &Page{} }, "page"},
		"a bad since":              {func(m *Message) { m.Delta = &Delta{Since: clock.Vector{{}}} }, "vector clock"},
		"a bad delta's clock":      {func(m *Message) { m.Delta = &Delta{Clock: clock.Vector{{}}} }, "vector clock"},
		"a row without name":       {func(m *Message) { m.Row.Name = "" }, "metadata"},
		"another's row (S4)":       {func(m *Message) { m.Row = &Row{Name: "c", Actor: "c~1"} }, "S4"},
		"an old start's row (S4)":  {func(m *Message) { m.Row.Actor = "b~0" }, "S4"},
		"too many bytes": {func(m *Message) {
			m.Delta = &Delta{Records: []Encoded{{Kind: JobKind, Bytes: make([]byte, MaxMessage)}}}
		}, "at most 2097152"},
	} {
		t.Run(name, func(t *testing.T) {
			m := good()
			_, err := DecodeMessage(Encode(&m))
			require.NoError(t, err)
			c.spoil(&m)
			_, err = DecodeMessage(Encode(&m))
			require.ErrorContains(t, err, c.hint)
			if m.Page == nil {
				r := Reply{Version: m.Version, From: m.From, Actor: m.Actor, Clock: m.Clock, Row: m.Row, Delta: m.Delta}
				_, err = DecodeReply(Encode(&r))
				require.ErrorContains(t, err, c.hint)
			}
		})
	}
	_, err := DecodeMessage([]byte("hello"))
	require.Error(t, err)
}

// Of a push-pull state, rows that are not valid are left out; a state of another
// version is refused.
func TestDecodeState(t *testing.T) {
	s := State{Version: Version, From: "b", Rows: []Row{{Name: "b", Actor: "b~1"}, {Name: "c", Actor: "b~1"}, {}, {Name: "d", Actor: "d~1", Clock: clock.Vector{{}}}}}
	got, err := DecodeState(Encode(&s))
	require.NoError(t, err)
	require.Len(t, got.Rows, 1)
	s.Version++
	_, err = DecodeState(Encode(&s))
	require.ErrorContains(t, err, "version")
	_, err = DecodeState(make([]byte, MaxState+1))
	require.ErrorContains(t, err, "at most")
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
		if m, err := DecodeMessage(b); err == nil && !reply {
			decoded++
			survives(t, Deliver{Token: 1, Message: m}, nil)
		}
		if r, err := DecodeReply(b); err == nil && reply {
			decoded++
			survives(t, Acked{Peer: r.From, Reply: r}, nil)
		}
	})
	require.Greater(t, decoded, 10, "or nothing was tested")
}
