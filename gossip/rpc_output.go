package gossip

import (
	"net"
	"sync"
)

// agentBuffer is the size in bytes of the buffer through which the agent writes to a client (bufio's
// default). The agent flushes it after each message.
const agentBuffer = 4096

// maxHeldBack is how many bytes may wait while the agent is in the middle of a message.
const maxHeldBack = 1 << 20

// rpcOutput lets the agent and rpcEvents write to the same client, so that no message ends up inside another
// one. Our messages are written whole. The agent's messages come in pieces when they are longer than its
// buffer: a piece that is shorter than the buffer ends a message, any other piece may not. After such a
// piece, our messages wait for the agent's next short piece.
type rpcOutput struct {
	conn net.Conn

	mu     sync.Mutex
	inside bool   // the agent may be in the middle of a message
	held   []byte // our messages that wait
}

// fromAgent writes a piece of the agent's, and then our messages that waited for it.
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

// send writes one whole message of ours, now or when the agent has finished its own. It returns false if too
// much is waiting already.
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

// rpcReply is the header of every answer and of every record of a stream.
type rpcReply struct {
	Seq   uint64
	Error string // "" for success
}

// reply answers a request that has no result; an empty errText means success.
func (o *rpcOutput) reply(seq uint64, errText string) error {
	message, err := encodeRPC(rpcReply{Seq: seq, Error: errText})
	if err != nil {
		return err
	}
	_, err = o.send(message)
	return err
}
