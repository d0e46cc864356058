package gossip_test

import (
	"bytes"
	"compress/lzw"
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"log/slog"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/hashicorp/go-msgpack/v2/codec"
	"github.com/stretchr/testify/require"

	"github.com/urban-compute/ucp/gossip"
	"github.com/urban-compute/ucp/sim/simnet"
)

// Messages as memberlist and Serf have them on the wire.
type (
	forgedDeath struct { // or suspicion
		Incarnation uint32
		Node, From  string
	}
	forgedAlive struct {
		Incarnation uint32
		Node        string
		Addr        []byte
		Port        uint16
		Meta        []byte
		Vsn         []uint8
	}
	forgedIntent struct { // to join or to leave
		LTime uint64
		Node  string
		Prune bool
	}
	forgedQuery struct {
		LTime   uint64
		ID      uint32
		Name    string
		Timeout time.Duration
	}
)

// forgedPacket encodes a message after its types: memberlist's, and Serf's if it is one.
func forgedPacket(t *testing.T, kind byte, message any, inner ...byte) []byte {
	t.Helper()
	var body []byte
	require.NoError(t, codec.NewEncoderBytes(&body, &codec.MsgpackHandle{}).Encode(message))
	return append(append([]byte{kind}, inner...), body...)
}

// wrapped puts a packet into a compound message beside another one, compresses that, and adds a checksum.
func wrapped(t *testing.T, packet []byte) []byte {
	t.Helper()
	other := forgedPacket(t, 3, forgedDeath{Node: "nobody", From: "x"})
	b := []byte{7, 2}
	for _, p := range [][]byte{packet, other} {
		b = binary.BigEndian.AppendUint16(b, uint16(len(p)))
	}
	b = append(append(b, packet...), other...)
	var buf bytes.Buffer
	w := lzw.NewWriter(&buf, lzw.LSB, 8)
	_, err := w.Write(b)
	require.NoError(t, err)
	require.NoError(t, w.Close())
	b = forgedPacket(t, 9, struct {
		Algo uint8
		Buf  []byte
	}{0, buf.Bytes()})
	return append(binary.BigEndian.AppendUint32([]byte{12}, crc32.ChecksumIEEE(b)), b...)
}

// refusals counts what a cluster refuses.
type refusals struct {
	mu    sync.Mutex
	count map[gossip.Refused]int
}

func (r *refusals) add(what gossip.Refused) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.count[what]++
}

func (r *refusals) of(what gossip.Refused) int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.count[what]
}

// Each forged packet is sent to every node of a cluster. Afterwards all still see each other as alive, a node that
// changes its tags is heard, and so is a user event within a second; a node that leaves is seen as left (rule G1).
func TestForgedPacketsMuteNobody(t *testing.T) {
	const n1 = "n1"
	addr, vsn := []byte{10, 0, 0, 2}, []uint8{1, 5, 2, 2, 5, 5}
	for _, x := range []struct {
		name    string
		packet  []byte
		refused gossip.Refused
	}{
		{"dead, at the end", forgedPacket(t, 5, forgedDeath{1<<32 - 1, n1, "x"}), gossip.RefusedIncarnation},
		{"dead, just below the ceiling", forgedPacket(t, 5, forgedDeath{1<<31 - 1, n1, "x"}), gossip.RefusedIncarnation},
		{"dead, one step", forgedPacket(t, 5, forgedDeath{1 << 16, n1, "x"}), ""},
		{"dead, by itself", forgedPacket(t, 5, forgedDeath{1<<32 - 1, n1, n1}), gossip.RefusedIncarnation},
		{"dead, wrapped", wrapped(t, forgedPacket(t, 5, forgedDeath{1<<32 - 1, n1, "x"})), gossip.RefusedIncarnation},
		{"suspect", forgedPacket(t, 3, forgedDeath{1<<32 - 1, n1, "x"}), gossip.RefusedIncarnation},
		{"alive, at the end", forgedPacket(t, 4, forgedAlive{1<<32 - 1, n1, addr, 7946, nil, vsn}), gossip.RefusedIncarnation},
		{"alive, two steps", forgedPacket(t, 4, forgedAlive{2 << 16, n1, addr, 7946, nil, vsn}), ""},
		{"alive, elsewhere", forgedPacket(t, 4, forgedAlive{1 << 16, n1, []byte{10, 0, 0, 99}, 7946, nil, vsn}), ""},
		{"tags", forgedPacket(t, 4, forgedAlive{2, n1, addr, 7946, make([]byte, 600), vsn}), gossip.RefusedTags},
		{"event that wraps", oddEvent(t, 1<<64-1, "x", "forged"), gossip.RefusedLamport},
		{"event that wraps, wrapped", wrapped(t, oddEvent(t, 1<<64-1, "x", "forged")), gossip.RefusedLamport},
		{"event at the end", oddEvent(t, 1<<64-2, "x", "forged"), gossip.RefusedLamport},
		{"event, one step", oddEvent(t, 1<<32, "x", "one step"), ""},
		{"leave", forgedPacket(t, 8, forgedIntent{1<<64 - 1, n1, false}, 0), gossip.RefusedLamport},
		{"leave, one step", forgedPacket(t, 8, forgedIntent{1 << 32, n1, false}, 0), ""},
		{"leave and forget", forgedPacket(t, 8, forgedIntent{1 << 20, n1, true}, 0), gossip.RefusedPrune},
		{"join", forgedPacket(t, 8, forgedIntent{1<<64 - 2, n1, false}, 1), gossip.RefusedLamport},
		{"query", forgedPacket(t, 8, forgedQuery{1<<64 - 1, 7, "x", time.Hour}, 4), gossip.RefusedLamport},
	} {
		t.Run(x.name, func(t *testing.T) {
			simulate(t, simnet.Options{}, func(t *testing.T, net *simnet.Network) {
				logs, refused := &logLines{}, &refusals{count: map[gossip.Refused]int{}}
				nodes := cluster(t, net, 3, func(c *gossip.Config) { c.Logger, c.Refused = logs.logger(), refused.add })
				attacker, err := net.Host("attacker").Transport()
				require.NoError(t, err)
				for _, n := range nodes {
					_, err := attacker.WriteTo(x.packet, n.Addr())
					require.NoError(t, err)
				}
				time.Sleep(10 * time.Second)
				if x.refused != "" {
					require.NotZero(t, refused.of(x.refused))
					require.True(t, slices.ContainsFunc(logs.atLeast(slog.LevelError), func(line string) bool {
						return bytes.Contains([]byte(line), []byte("is refused"))
					}))
				} else {
					require.Empty(t, refused.count)
				}
				within(t, 10*time.Second, "all see all alive", all(nodes, func(n *node) bool { return alive(n) == 3 }))
				time.Sleep(2 * time.Minute)
				require.True(t, all(nodes, func(n *node) bool { return alive(n) == 3 })())

				require.NoError(t, nodes[1].SetTags(map[string]string{"k": "v"}))
				within(t, 3*time.Second, "tags", all(nodes, func(n *node) bool { return n.Members()[1].Tags["k"] == "v" }))
				for i, n := range nodes {
					event := fmt.Sprintf("user later %d", i)
					require.NoError(t, n.UserEvent("later", fmt.Append(nil, i)))
					within(t, time.Second, event, all(nodes, func(n *node) bool { return slices.Contains(n.eventLog(), event) }))
				}
				require.NotContains(t, nodes[0].eventLog(), "user x forged")
				require.NotContains(t, nodes[0].eventLog(), "reap n1")

				require.NoError(t, nodes[1].Leave(t.Context()))
				nodes[1].stop()
				within(t, 15*time.Second, "n1 left", func() bool { return nodes[0].status("n1") == gossip.Left && nodes[2].status("n1") == gossip.Left })
			})
		})
	}
}
