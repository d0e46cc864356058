package broker

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/urban-compute/ucp/broker/kind"
	"github.com/urban-compute/ucp/broker/membership"
	"github.com/urban-compute/ucp/broker/wire"
	"github.com/urban-compute/ucp/clock"
	"github.com/urban-compute/ucp/job"
)

// sender plays a peer whose transfer a broker receives, page by page.
type sender struct {
	t *testing.T
	w *world
}

func newSender(t *testing.T) *sender {
	w := newWorld()
	n := w.start("b", func(*Config) {})
	n.seen["s"] = membership.Member{Name: "s", Actor: "s~1", HTTPAddr: "s:1", Status: membership.Alive}
	w.roster(n)
	return &sender{t, w}
}

// record is the sender's n-th job.
func (s *sender) record(n uint64) wire.Encoded {
	spec := job.Spec{Command: "work", Priority: job.Priority{User: job.DefaultUser}}
	require.NoError(s.t, spec.Complete())
	r := job.New(job.ID(rune('a'+n)), spec, spec.Digest(), job.Stamp{Dot: clock.Dot{Actor: "s~1", Counter: n}, At: clock.Hybrid(n)})
	return wire.Encoded{Kind: kind.Job, Key: r.Key(), Dots: r.Dots, Bytes: r.Encode()}
}

// page delivers a page and returns whether the receiver asks to start again.
func (s *sender) page(id uint64, number int, upto clock.Tips, records ...wire.Encoded) (restart bool) {
	m := wire.Message{
		Version: wire.Version, From: "s", Actor: "s~1",
		Page: &wire.Page{Transfer: id, Number: number, Last: upto != nil}, Delta: &wire.Delta{Records: records, Clock: upto},
	}
	return s.send(m)
}

func (s *sender) send(m wire.Message) (restart bool) {
	m, err := wire.DecodeMessage(wire.Encode(&m))
	require.NoError(s.t, err)
	n := s.w.nodes["b"]
	s.w.step(n, Deliver{Token: 7, Message: m})
	for _, a := range n.b.Ready().Answers {
		if r, ok := a.Answer.(*Replied); ok {
			return r.Reply.Restart
		}
	}
	s.t.Fatal("no reply")
	return false
}

// holds lists the sender's jobs that the receiver holds.
func (s *sender) holds() (out string) {
	for n := range uint64(9) {
		if r, _ := s.w.nodes["b"].b.resolve(string(rune('a' + n))); r != nil {
			out += string(r.ID)
		}
	}
	return out
}

func (s *sender) covered() uint64 { return clock.Vector(s.w.nodes["b"].b.Clock()).Get("s~1") }

func upto(n uint64) clock.Tips { return clock.Tips{{Actor: "s~1", Counter: n}} }

// L5: a page that is sent again, since our answer was lost, shows its records as
// they are by then. If some have become smaller, it holds more of them than
// before, and the sender goes on behind those: all of it must be taken in.
func TestPageSentAgainMayHoldMore(t *testing.T) {
	s := newSender(t)
	require.False(t, s.page(1, 0, nil, s.record(1)))
	require.False(t, s.page(1, 1, nil, s.record(2)))
	require.False(t, s.page(1, 1, nil, s.record(2), s.record(3)), "again, and more")
	require.Zero(t, s.covered())
	require.False(t, s.page(1, 2, upto(4), s.record(4)))
	require.Equal(t, "bcde", s.holds())
	require.Equal(t, uint64(4), s.covered())
}

// The page that is sent again may even be the last one by then.
func TestPageSentAgainMayBeTheLast(t *testing.T) {
	s := newSender(t)
	require.False(t, s.page(1, 0, nil, s.record(1)))
	require.False(t, s.page(1, 0, upto(2), s.record(1), s.record(2)))
	require.Equal(t, uint64(2), s.covered())
}

// A page that comes out of turn, or of another transfer, is refused.
func TestPagesOutOfTurn(t *testing.T) {
	s := newSender(t)
	require.True(t, s.page(1, 1, upto(2), s.record(2)), "its beginning did not come here")
	require.False(t, s.page(1, 0, nil, s.record(1)))
	require.True(t, s.page(1, 2, upto(3), s.record(3)), "page 1 is missing")
	require.True(t, s.page(2, 1, upto(3), s.record(3)), "of another transfer")
	require.False(t, s.page(2, 0, nil, s.record(1)), "which takes the first one's place from its beginning on")
	require.True(t, s.page(1, 1, upto(2), s.record(2)))
	require.Zero(t, s.covered())
}

// L10: a bad record on any page goes into quarantine; the clock is adopted, but for
// what that record would have brought. A good state of it fills the hole.
func TestBadRecordOnAnyPage(t *testing.T) {
	for _, at := range []int{0, 1, 2} {
		s := newSender(t)
		bad := s.record(2)
		bad.Bytes = []byte{0xc1}
		pages := [][]wire.Encoded{{s.record(1)}, {}, {s.record(3)}}
		pages[at] = append(pages[at], bad)
		require.False(t, s.page(1, 0, nil, pages[0]...))
		require.False(t, s.page(1, 1, nil, pages[1]...))
		require.False(t, s.page(1, 2, upto(3), pages[2]...), "to start again would bring the same")
		require.Equal(t, "bd", s.holds(), "the others are not stopped")
		require.Equal(t, uint64(1), s.covered(), "bad record on page %d", at)
		require.False(t, s.page(2, 0, upto(3), s.record(1), s.record(2), s.record(3)))
		require.Equal(t, uint64(3), s.covered(), "a later transfer may be good")
	}
}

// A kind of records that this version does not know is a bad record, too.
func TestUnknownKind(t *testing.T) {
	s := newSender(t)
	m := wire.Message{Version: wire.Version, From: "s", Actor: "s~1", Delta: &wire.Delta{Clock: upto(2), Records: []wire.Encoded{{Kind: "dance", Key: "x", Dots: clock.Vector(upto(1)), Bytes: []byte{1}}, s.record(2)}}}
	require.False(t, s.send(m))
	require.Equal(t, "c", s.holds())
	require.Zero(t, s.covered())
	m, err := wire.DecodeMessage(wire.Encode(&m))
	require.NoError(t, err)
	require.Equal(t, 1, m.Delta.Bad())
	require.Zero(t, (*wire.Delta)(nil).Bad())
}

// L4: a delta on a base that we do not hold is merged, and its sender told to start
// again from our clock.
func TestDeltaOnAnotherBase(t *testing.T) {
	s := newSender(t)
	m := wire.Message{Version: wire.Version, From: "s", Actor: "s~1", Delta: &wire.Delta{Since: upto(1), Clock: upto(2), Records: []wire.Encoded{s.record(2)}}}
	require.True(t, s.send(m))
	require.Equal(t, "c", s.holds())
	require.Zero(t, s.covered())
}

// The same when the base of a transfer turns out not to be held, at its last page.
func TestTransferOnAnotherBase(t *testing.T) {
	s := newSender(t)
	m := wire.Message{Version: wire.Version, From: "s", Actor: "s~1", Page: &wire.Page{Last: true}, Delta: &wire.Delta{Since: upto(1), Clock: upto(2), Records: []wire.Encoded{s.record(2)}}}
	require.True(t, s.send(m))
	require.Zero(t, s.covered())
}

// L5: a bad record that stays bad must not make a link send all for ever: after
// the transfer it waits for news.
func TestTransferThatIsNotAdoptedIsNotRepeated(t *testing.T) {
	w := newWorld()
	w.start("a", func(*Config) {})
	w.start("b", func(*Config) {})
	w.meet()
	w.pass(3 * time.Second)
	(&story{t: t, w: w, d: parse(t, "flood a f n=200 size=9000")}).run()
	for range 10 {
		w.ready(w.nodes["a"])
		p, ok := w.take([2]string{"a", "b"})
		if !ok {
			return
		}
		m, err := wire.DecodeMessage(p.wire)
		require.NoError(t, err)
		if m.Delta != nil && len(m.Delta.Records) > 0 {
			m.Delta.Records[0].Bytes[0] = 0xc1
		}
		p.wire = wire.Encode(&m)
		w.deliver(p)
		w.ready(w.nodes["b"])
		if p, ok = w.take([2]string{"b", "a"}); ok {
			w.deliver(p)
		}
	}
	t.Fatal("a sends the same again and again")
}
