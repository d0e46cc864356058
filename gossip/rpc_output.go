package gossip

import (
	"net"
	"sync"
)

// agentBuffer is the size of the buffer through which the agent writes to a client
// (bufio's default). It flushes after each message.
const agentBuffer = 4096

// maxHeldBack bounds what may wait while the agent is in the middle of a message.
const maxHeldBack = 1 << 20

// rpcOutput lets two write to one client: the agent, and we. A message must not
// end up inside another. Ours are whole. The agent's come in pieces when they
// are longer than its buffer: a piece shorter than the buffer ends a message,
// any other may not. After such a one ours wait for the agent's next short one.
type rpcOutput struct {
	conn net.Conn

	mu     sync.Mutex
	inside bool   // the agent may be in the middle of a message
	held   []byte // ours, waiting
}

// fromAgent writes a piece of the agent's, then what of ours waited for it.
func (o *rpcOutput) fromAgent(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	n, err := o.conn.Write(p)
	if err != nil {
		return n, err
	}
	o.inside = len(p) >= agentBuffer
	if !o.inside && len(o.held) > 0 {
		held := o.held
		o.held = nil
		_, err = o.conn.Write(held)
	}
	return n, err
}

// send writes one whole message of ours, now or when the agent has finished its
// own. It reports whether there was room for it.
func (o *rpcOutput) send(message []byte) (bool, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.inside {
		if len(o.held)+len(message) > maxHeldBack {
			return false, nil
		}
		o.held = append(o.held, message...)
		return true, nil
	}
	_, err := o.conn.Write(message)
	return true, err
}

// rpcReply begins every answer and every record of a stream.
type rpcReply struct {
	Seq   uint64
	Error string // "" for success
}

// reply answers a request without a result.
func (o *rpcOutput) reply(seq uint64, complaint string) error {
	message, err := encodeRPC(rpcReply{Seq: seq, Error: complaint})
	if err != nil {
		return err
	}
	_, err = o.send(message)
	return err
}
