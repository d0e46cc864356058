package gossip

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"crypto/subtle"
	"errors"
	"fmt"
	"io"
	"math"
	"net"
	"strings"
	"sync"
	"time"

	"github.com/hashicorp/go-msgpack/v2/codec"
)

// maxRPCValue is the largest size of one value in a request, in bytes (rule L11).
const maxRPCValue = 1 << 20

// rpcConn is the connection of a client of the RPC port, from which AgentIPC reads. A request is a msgpack
// header {Command, Seq} and, for most commands, a body. rpcConn inspects each header, passes most requests on
// to the agent, and handles these itself:
//
//   - "leave" would make the agent leave and shut down at once, without the owner's knowledge. It becomes a request to
//     the owner, which leaves after its jobs are handed over (Pool.Done). The client's answer waits for that.
//   - "auth", and everything until the client has given the right key, where one is asked for: the agent would compare
//     keys byte by byte, and does not know of the commands that are handled here.
//   - "stream", its "stop", and "respond": see rpc_events.go.
//   - "install-key", "use-key", "remove-key": they pass, and the owner is told when they are answered.
//   - "event" with a ucp: name: at most rpcEventRate per second pass, so that one broken client cannot flood the whole
//     cluster (rpc_limit.go).
//
// Only the connection's one handler reads from it.
type rpcConn struct {
	net.Conn
	server  *rpcServer
	limit   *io.LimitedReader
	dec     *codec.Decoder
	pending []byte // what the handler has yet to read of the present value
	greeted bool   // the client has sent its handshake
	known   bool   // it has given the key, or there is none
	ordered bool   // it has given an order about keys, which is not answered yet
	out     rpcOutput
	events  *rpcEvents
	once    sync.Once // for Close
}

// rpcHeader begins every request.
type rpcHeader struct {
	Command string
	Seq     uint64
}

// The bodies of the requests that are handled here.
type (
	rpcStream struct{ Type string } // which events, as in "member-join,user:deploy"
	rpcStop   struct{ Stop uint64 } // the Seq of the stream to end
	rpcEvent  struct {              // a user event
		Name     string
		Payload  []byte
		Coalesce bool
	}
	rpcAuth    struct{ AuthKey string }
	rpcRespond struct {
		ID      uint64
		Payload []byte
	}
)

func newRPCConn(conn net.Conn, s *rpcServer) *rpcConn {
	limit := &io.LimitedReader{R: bufio.NewReader(conn), N: maxRPCValue}
	c := &rpcConn{Conn: conn, server: s, limit: limit, dec: codec.NewDecoder(limit, rpcHandle()), known: s.auth == ""}
	c.out.conn = conn
	c.events = newRPCEvents(&c.out, s.stats)
	return c
}

// rpcHandle returns the encoding that AgentIPC and its clients use.
func rpcHandle() *codec.MsgpackHandle {
	h := &codec.MsgpackHandle{WriteExt: true}
	h.TimeNotBuiltin = true
	return h
}

// Read implements net.Conn for the handler. When the handler calls it, it has answered the previous request.
func (c *rpcConn) Read(p []byte) (int, error) {
	for len(c.pending) == 0 {
		value, err := c.next()
		if err != nil {
			return 0, err
		}
		c.pending = value
	}
	n := copy(p, c.pending)
	c.pending = c.pending[n:]
	return n, nil
}

// Write implements net.Conn for the handler.
func (c *rpcConn) Write(p []byte) (int, error) { return c.out.fromAgent(p) }

// next waits for the client's next value and returns the part of it that the handler is to see, which may be
// empty.
func (c *rpcConn) next() ([]byte, error) {
	c.answered()
	c.server.setBusy(c, false)
	var value codec.Raw
	if err := c.decode(&value); err != nil {
		return nil, err
	}
	c.server.setBusy(c, true)
	h := parseRPCHeader(value)
	if !c.greeted { // the agent refuses other requests
		return c.greet(value, h)
	}
	if !c.known || h.Command == "auth" {
		return nil, c.authenticate(h)
	}
	switch h.Command {
	case "leave":
		return c.leave(h.Seq)
	case "stream":
		return nil, c.stream(h.Seq)
	case "stop":
		return c.stop(value, h.Seq)
	case "respond":
		return nil, c.respond(h.Seq)
	case "event":
		return c.event(value, h.Seq)
	case "install-key", "use-key", "remove-key":
		c.ordered = true
		return c.withBody(value)
	}
	return value, nil
}

// answered tells the owner that an order about keys is over, if the client has given one. The handler calls for more, or closes
// the connection, when it has answered.
func (c *rpcConn) answered() {
	if c.ordered {
		c.ordered = false
		c.server.keysOrdered()
	}
}

// withBody adds to a request its body, so that what the handler asks for next is another request.
func (c *rpcConn) withBody(header []byte) ([]byte, error) {
	header = bytes.Clone(header) // before the next value overwrites it
	var body codec.Raw
	if err := c.decode(&body); err != nil {
		return nil, err
	}
	return append(header, body...), nil
}

// greet passes on a client's first request, with its body if it is the greeting, so that no body is taken for a request.
func (c *rpcConn) greet(header []byte, h rpcHeader) ([]byte, error) {
	if c.greeted = h.Command == "handshake"; !c.greeted {
		return header, nil
	}
	request, err := c.withBody(header)
	if err != nil {
		return nil, err
	}
	return request, c.mayStay()
}

// mayStay lets a client take its time that has greeted, and given the key.
func (c *rpcConn) mayStay() error {
	if !c.greeted || !c.known {
		return nil
	}
	return c.SetReadDeadline(time.Time{})
}

// authenticate compares the key that a client gives with the one that it has to give, in a time that tells nothing of
// either. A client without the right one is told so, and its connection ends.
func (c *rpcConn) authenticate(h rpcHeader) error {
	if h.Command != "auth" {
		return c.turnAway(h.Seq, "Authentication required")
	}
	var body rpcAuth
	if err := c.decode(&body); err != nil {
		return err
	}
	given, wanted := sha256.Sum256([]byte(body.AuthKey)), sha256.Sum256([]byte(c.server.auth))
	if c.server.auth != "" && subtle.ConstantTimeCompare(given[:], wanted[:]) != 1 {
		return c.turnAway(h.Seq, "Invalid authentication token")
	}
	c.known = true
	return errors.Join(c.out.reply(h.Seq, ""), c.mayStay())
}

// turnAway answers a client that may not stay, and gives it the time to read that: nothing more of it is looked at.
func (c *rpcConn) turnAway(seq uint64, why string) error {
	if err := c.out.reply(seq, why); err != nil {
		return err
	}
	_ = c.SetReadDeadline(time.Now().Add(rpcFarewell)) // an error shows at the next step
	_, _ = io.Copy(io.Discard, c.limit.R)              // it ends when the client has gone, or at the deadline
	return io.EOF                                      // the agent logs any other error at ERROR, as often as a stranger comes
}

// decode reads one value of at most maxRPCValue bytes.
func (c *rpcConn) decode(v any) error {
	c.limit.N = maxRPCValue
	return c.dec.Decode(v)
}

// leave asks the owner to leave and waits for it. The handler then gets a command that does nothing and that
// has the same answer as "leave": no error and no body.
func (c *rpcConn) leave(seq uint64) ([]byte, error) {
	c.server.life.request()
	timer := time.NewTimer(leaveWait)
	defer timer.Stop()
	select {
	case <-c.server.life.left:
	case <-timer.C:
		return nil, fmt.Errorf("gossip: serf leave: this node is still leaving after %v", leaveWait)
	}
	return encodeRPC(rpcHeader{Command: "stop", Seq: seq}, rpcStop{Stop: math.MaxUint64})
}

// stream begins to send events.
func (c *rpcConn) stream(seq uint64) error {
	var body rpcStream
	if err := c.decode(&body); err != nil {
		return err
	}
	if errText := c.events.add(seq, body.Type); errText != "" {
		return c.out.reply(seq, errText)
	}
	// The answer must come first: a client does not accept events before it.
	if err := c.out.reply(seq, ""); err != nil {
		return err
	}
	c.server.listen(c)
	return nil
}

// stop ends a stream of events. The same command ends a stream of log lines, which the agent handles.
func (c *rpcConn) stop(header []byte, seq uint64) ([]byte, error) {
	var body rpcStop
	if err := c.decode(&body); err != nil {
		return nil, err
	}
	if c.events.remove(body.Stop) {
		return nil, c.out.reply(seq, "")
	}
	rest, err := encodeRPC(body)
	return append(bytes.Clone(header), rest...), err
}

// event passes a user event on, or refuses it if it has a ucp: name and comes too fast.
func (c *rpcConn) event(header []byte, seq uint64) ([]byte, error) {
	header = bytes.Clone(header) // before the next value overwrites it
	var body rpcEvent
	if err := c.decode(&body); err != nil {
		return nil, err
	}
	if strings.HasPrefix(body.Name, queryPrefix) && !c.server.events.take(time.Now()) {
		c.server.stats.rpcEventsRefused.Add(1)
		return nil, c.out.reply(seq, fmt.Sprintf("too many events %s: this broker takes %d a second; try again in a second", body.Name, rpcEventRate))
	}
	rest, err := encodeRPC(body)
	return append(header, rest...), err
}

// respond answers a query that was streamed to the client.
func (c *rpcConn) respond(seq uint64) error {
	var body rpcRespond
	if err := c.decode(&body); err != nil {
		return err
	}
	return c.out.reply(seq, c.events.respond(body.ID, body.Payload))
}

// Close implements net.Conn. The handler calls it when it is done with this client, for whatever reason. It
// ends the streaming of events first.
func (c *rpcConn) Close() error {
	c.once.Do(func() {
		c.answered()
		_ = c.Conn.Close() // ends a write that blocks because the client does not read
		c.events.close()
		c.server.forget(c)
	})
	return nil
}

// parseRPCHeader decodes a value as a header. A value that is not a header has no command.
func parseRPCHeader(value []byte) (h rpcHeader) {
	if err := codec.NewDecoderBytes(value, rpcHandle()).Decode(&h); err != nil {
		return rpcHeader{}
	}
	return h
}

// encodeRPC encodes values one after the other.
func encodeRPC(values ...any) ([]byte, error) {
	var buf bytes.Buffer
	enc := codec.NewEncoder(&buf, rpcHandle())
	for _, v := range values {
		if err := enc.Encode(v); err != nil {
			return nil, fmt.Errorf("gossip: encoding an RPC message: %w", err)
		}
	}
	return buf.Bytes(), nil
}
