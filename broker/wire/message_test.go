package wire

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/urban-compute/ucp/broker/kind"
	"github.com/urban-compute/ucp/clock"
)

// The bounds of what comes from outside (L11), and that both ends are who they say.
func TestDecodeRefuses(t *testing.T) {
	long := make(clock.Tips, 0, MaxClock+1)
	for i := range MaxClock + 1 {
		long = append(long, clock.Dot{Actor: clock.Actor(fmt.Sprintf("a%04d~1", i)), Counter: 1})
	}
	require.NoError(t, long.Valid())
	good := func() Message {
		return Message{Version: Version, From: "b", Actor: "b~1", Clock: clock.Tips{{Actor: "b~1", Counter: 1}}, Metadata: &Metadata{Name: "b", Actor: "b~1"}}
	}
	for name, c := range map[string]struct {
		spoil func(*Message)
		hint  string
	}{
		"another version":          {func(m *Message) { m.Version++ }, "upgrade the older one"},
		"no sender":                {func(m *Message) { m.From = "" }, "sender"},
		"another's actor":          {func(m *Message) { m.Actor = "c~1" }, "sender"},
		"a clock out of order":     {func(m *Message) { m.Clock = clock.Tips{{Actor: "b", Counter: 1}, {Actor: "a", Counter: 1}} }, "vector clock"},
		"a clock that is too long": {func(m *Message) { m.Clock = long }, "4097 brokers"},
		"a clock with a long name": {func(m *Message) {
			m.Clock = clock.Tips{{Actor: clock.Actor(strings.Repeat("a", 300) + "~1"), Counter: 1}}
		}, "302 bytes"},
		"told since later": {func(m *Message) { m.Told = &Told{Version: 3, Since: 4} }, "version 3 of clocks since 4"},
		"told above all":   {func(m *Message) { m.Told = &Told{Version: clock.MaxCounter + 1} }, "version"},
		"told out of order": {func(m *Message) {
			m.Told = &Told{Version: 3, Stable: clock.Tips{{Actor: "b", Counter: 1}, {Actor: "a", Counter: 1}}}
		}, "vector clock"},
		"a page without records":  {func(m *Message) { m.Page = &Page{} }, "page"},
		"a bad since":             {func(m *Message) { m.Delta = &Delta{Since: clock.Tips{{}}} }, "vector clock"},
		"a bad delta's clock":     {func(m *Message) { m.Delta = &Delta{Clock: clock.Tips{{}}} }, "vector clock"},
		"a row without name":      {func(m *Message) { m.Metadata.Name = "" }, "metadata"},
		"a start of another (X2)": {func(m *Message) { m.Metadata.Between = []clock.Actor{"b~1", "c~1"} }, "starts of its process"},
		"too many starts":         {func(m *Message) { m.Metadata.Between = slices.Repeat([]clock.Actor{"b~1"}, MaxBetween+1) }, "at most 16"},
		"another's row (S4)":      {func(m *Message) { m.Metadata = &Metadata{Name: "c", Actor: "c~1"} }, "S4"},
		"an old start's row (S4)": {func(m *Message) { m.Metadata.Actor = "b~0" }, "S4"},
		"too many bytes": {func(m *Message) {
			m.Delta = &Delta{Records: []Encoded{{Kind: kind.Job, Bytes: make([]byte, MaxMessage)}}}
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
				r := Reply{Version: m.Version, From: m.From, Actor: m.Actor, Clock: m.Clock, Told: m.Told, Metadata: m.Metadata, Delta: m.Delta}
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
	s := State{Version: Version, From: "b", Metadata: []Metadata{{Name: "b", Actor: "b~1"}, {Name: "c", Actor: "b~1"}, {}, {Name: "d", Actor: "d~1", Clock: clock.Tips{{}}}}}
	got, err := DecodeState(encode(&s, 0))
	require.NoError(t, err)
	require.Len(t, got.Metadata, 1)
	s.Version++
	_, err = DecodeState(encode(&s, 0))
	require.ErrorContains(t, err, "version")
	_, err = DecodeState(make([]byte, MaxState+1))
	require.ErrorContains(t, err, "at most")
}
