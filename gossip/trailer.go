package gossip

import (
	"encoding/binary"
	"fmt"
)

// maxState is the size in bytes of the largest state that push-pull carries (rule L11). A larger state of our
// own is not sent (its owner keeps to the bound); a larger remote state is not delivered.
const maxState = 2 << 20

// trailerMagic ends every buffer that carries a trailer. It begins with 0xC1, the one byte that msgpack never
// uses as a type. Serf's own state ends with its query clock, so a stock agent's state could end with the
// same bytes only after three billion queries, and then only once.
const trailerMagic uint32 = 0xC1_75_63_70 // 0xC1 "ucp"

// trailerOverhead is how many bytes a trailer adds to its payload: length and magic.
const trailerOverhead = 8

// appendTrailer returns Serf's state followed by our payload:
//
//	serf's state | payload | 4 bytes length of payload | 4 bytes magic
//
// Integers are big-endian. Length and magic come last because a reader knows where the buffer ends but not
// where Serf's part ends. The result shares no memory with state or payload. The caller must have checked the
// payload's length.
func appendTrailer(state, payload []byte) []byte {
	out := make([]byte, 0, len(state)+len(payload)+trailerOverhead)
	out = append(out, state...)
	out = append(out, payload...)
	out = binary.BigEndian.AppendUint32(out, uint32(len(payload)))
	return binary.BigEndian.AppendUint32(out, trailerMagic)
}

// cutTrailer splits a received buffer into Serf's state and our payload. Both are parts of buf. Without the
// magic there is no trailer: found is false and state is all of buf, as it comes from a stock agent. A
// trailer that claims more than is there, or more than maxState, is an error, and state is all of buf, which
// Serf can read because it ignores what follows its own value.
func cutTrailer(buf []byte) (state, payload []byte, found bool, err error) {
	end := len(buf) - trailerOverhead
	if end < 0 || binary.BigEndian.Uint32(buf[end+4:]) != trailerMagic {
		return buf, nil, false, nil
	}
	n := uint64(binary.BigEndian.Uint32(buf[end:]))
	if n > maxState {
		return buf, nil, true, fmt.Errorf("gossip: remote state of %d bytes is longer than %d: ignored", n, maxState)
	}
	if n > uint64(end) {
		return buf, nil, true, fmt.Errorf("gossip: remote state claims %d bytes, but only %d precede its length: ignored", n, end)
	}
	start := end - int(n)
	return buf[:start:start], buf[start:end:end], true, nil
}
