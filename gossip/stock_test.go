package gossip_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/hashicorp/go-msgpack/v2/codec"
	"github.com/hashicorp/serf/client"
	"github.com/stretchr/testify/require"

	"github.com/urban-compute/ucp/gossip"
)

// stockDir holds the stock serf binary; TestMain removes it.
var stockDir string

// stockSerf builds the stock serf command line, in the version that go.mod pins, once.
var stockSerf = sync.OnceValues(func() (string, error) {
	dir, err := os.MkdirTemp("", "ucp-serf-")
	if err != nil {
		return "", err
	}
	stockDir = dir
	bin := filepath.Join(dir, "serf")
	out, err := exec.Command("go", "build", "-o", bin, "github.com/hashicorp/serf/cmd/serf").CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("build serf: %w: %s", err, out)
	}
	return bin, nil
})

// serf runs the stock command line against a pool and returns what it printed.
func serf(t *testing.T, p *node, args ...string) (string, error) {
	t.Helper()
	bin, err := stockSerf()
	require.NoError(t, err)
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	args = append([]string{args[0], "-rpc-addr=" + p.RPCAddr()}, args[1:]...)
	out, err := exec.CommandContext(ctx, bin, args...).CombinedOutput()
	return string(out), err
}

// process is a running stock serf, and what it has printed.
type process struct {
	cmd    *exec.Cmd
	reader sync.WaitGroup
	mu     sync.Mutex
	out    strings.Builder
}

// startSerf starts a stock serf that runs until it is stopped, at the latest at the
// end of the test.
func startSerf(t *testing.T, args ...string) *process {
	t.Helper()
	bin, err := stockSerf()
	require.NoError(t, err)
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	p := &process{cmd: exec.CommandContext(ctx, bin, args...)}
	pipe, err := p.cmd.StdoutPipe()
	require.NoError(t, err)
	p.cmd.Stderr = p.cmd.Stdout
	require.NoError(t, p.cmd.Start())
	p.reader.Go(func() { p.read(pipe) })
	t.Cleanup(func() {
		cancel()
		p.reader.Wait()
		_ = p.cmd.Wait()
	})
	return p
}

func (p *process) read(pipe io.Reader) {
	for lines := bufio.NewScanner(pipe); lines.Scan(); {
		p.mu.Lock()
		p.out.WriteString(lines.Text() + "\n")
		p.mu.Unlock()
	}
}

func (p *process) printed() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.out.String()
}

// freeAddr returns an address that was free a moment ago. It is needed because the stock
// agent cannot tell which port the kernel chose.
func freeAddr(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer func() { require.NoError(t, l.Close()) }()
	return l.Addr().String()
}

func answering(c *gossip.Config) {
	c.RPCAddr = "127.0.0.1:0"
	c.Answer = func(_ context.Context, query string, payload []byte) []byte {
		switch query {
		case "ucp:status":
			return fmt.Appendf(nil, "%s is well %s", c.Name, payload)
		case "ucp:long":
			return []byte(strings.Repeat("x", gossip.MaxAnswer+1))
		case "ucp:longest":
			return []byte(strings.Repeat("x", gossip.MaxAnswer))
		}
		return nil
	}
}

func TestStockAgentInTheSamePool(t *testing.T) {
	logs := &logLines{}
	logged := func(c *gossip.Config) { c.Logger = logs.logger() }
	a, b := startReal(t, "a", logged), startReal(t, "b", logged)
	bind := freeAddr(t)
	stock := startSerf(t, "agent", "-node=stock", "-bind="+bind, "-rpc-addr="+freeAddr(t), "-log-level=debug", "-join="+a.Addr())
	eventually(t, "a sees the stock agent", func() bool { return a.status("stock") == gossip.Alive })

	// b learns of a only through the stock agent; then the states are exchanged directly.
	_, err := b.Join(t.Context(), []string{bind})
	require.NoError(t, err)
	eventually(t, "states among our own", func() bool { return a.received("state of b") && b.received("state of a") })
	eventually(t, "the stock agent sees both", func() bool {
		return strings.Contains(stock.printed(), "EventMemberJoin: a ") && strings.Contains(stock.printed(), "EventMemberJoin: b ")
	})
	before := a.Stats().StatesReceived + b.Stats().StatesReceived
	eventually(t, "many more exchanges, also with the stock agent", func() bool {
		return a.Stats().StatesReceived+b.Stats().StatesReceived > before+20
	})
	require.NoError(t, stock.cmd.Process.Signal(os.Interrupt))
	eventually(t, "it left", func() bool {
		return a.status("stock") == gossip.Left && b.status("stock") == gossip.Left
	})
	require.Empty(t, logs.atLeast(slog.LevelWarn), "our nodes log no warnings")
	for _, warning := range []string{"[WARN]", "[ERR"} {
		require.NotContains(t, stock.printed(), warning, "the stock agent logs no warnings")
	}
}

func TestCommandLine(t *testing.T) {
	a, b := startReal(t, "a", answering), startReal(t, "b", answering)
	_, err := b.Join(t.Context(), []string{a.Addr()})
	require.NoError(t, err)
	eventually(t, "both", func() bool { return alive(a) == 2 && alive(b) == 2 })

	out, err := serf(t, a, "members")
	require.NoError(t, err, out)
	require.Regexp(t, `(?m)^b\s+`+b.Addr()+`\s+alive\s+ucp=1`, out)

	out, err = serf(t, a, "info")
	require.NoError(t, err, out)
	require.Contains(t, out, "members = 2")

	out, err = serf(t, a, "query", "-timeout=2s", "ucp:status", "today")
	require.NoError(t, err, out)
	require.Contains(t, out, "Response from 'a': a is well today")
	require.Contains(t, out, "Response from 'b': b is well today")

	out, err = serf(t, a, "query", "-timeout=1s", "-relay-factor=1", "ucp:longest")
	require.NoError(t, err, out)
	require.Contains(t, out, "Response from 'b': "+strings.Repeat("x", gossip.MaxAnswer))
	out, err = serf(t, a, "query", "-timeout=1s", "ucp:long")
	require.NoError(t, err, out)
	require.Contains(t, out, "the answer has 801 bytes", "it is neither truncated nor dropped silently")
	require.NotZero(t, b.Stats().AnswersTooLong)
	out, err = serf(t, a, "query", "-timeout=1s", "ucp:nothing")
	require.NoError(t, err, out)
	require.Contains(t, out, "Total Responses: 0")

	out, err = serf(t, a, "event", "ucp:emergency", `{"type":"flood","level":"critical"}`)
	require.NoError(t, err, out)
	eventually(t, "event", func() bool {
		return strings.Contains(strings.Join(b.eventLog(), ";"), `user ucp:emergency {"type":"flood","level":"critical"}`)
	})

	// Brokers see each event, even if a client wants them merged (rule E4).
	c, err := client.NewRPCClient(a.RPCAddr())
	require.NoError(t, err)
	for _, payload := range []string{"one", "two"} {
		require.NoError(t, c.UserEvent("merged", []byte(payload), true))
	}
	require.NoError(t, c.Close())
	eventually(t, "both events", func() bool {
		told := strings.Join(a.eventLog(), ";") // a gets both; for b they may be merged
		return strings.Contains(told, "user merged one") && strings.Contains(told, "user merged two")
	})

	eventually(t, "rtt, once coordinates are known", func() bool {
		out, err = serf(t, a, "rtt", "a", "b")
		return err == nil && strings.Contains(out, "Estimated a <-> b rtt")
	})
	rtt, ok := a.RTT("b")
	require.True(t, ok)
	require.Less(t, rtt, time.Second)
}

func TestForceLeave(t *testing.T) {
	a, b := startReal(t, "a", answering), startReal(t, "b", nil)
	_, err := b.Join(t.Context(), []string{a.Addr()})
	require.NoError(t, err)
	require.NoError(t, b.Shutdown())
	eventually(t, "b failed", func() bool { return a.status("b") == gossip.Failed })
	out, err := serf(t, a, "force-leave", "b")
	require.NoError(t, err, out)
	eventually(t, "b left", func() bool { return a.status("b") == gossip.Left })
	out, err = serf(t, a, "force-leave", "-prune", "b")
	require.NoError(t, err, out)
	eventually(t, "b forgotten", func() bool { return a.status("b") == "" })
}

func TestMonitor(t *testing.T) {
	a := startReal(t, "a", answering)
	monitor := startSerf(t, "monitor", "-rpc-addr="+a.RPCAddr(), "-log-level=debug")
	eventually(t, "old log lines", func() bool { return strings.Contains(monitor.printed(), "EventMemberJoin: a") })
	eventually(t, "events", func() bool {
		require.NoError(t, a.UserEvent("seen", nil))
		return strings.Contains(monitor.printed(), "user-event: seen") || strings.Contains(monitor.printed(), "seen")
	})
	require.NoError(t, monitor.cmd.Process.Signal(syscall.SIGKILL))
	for range 100 {
		require.NoError(t, a.UserEvent("after", nil))
	}
	out, err := serf(t, a, "members")
	require.NoError(t, err, out)
}

// rawStream speaks the RPC protocol without the client library, which has races
// of its own. It shakes hands and asks for all events.
func rawStream(t *testing.T, addr string) net.Conn {
	t.Helper()
	conn, err := net.DialTimeout("tcp", addr, 5*time.Second)
	require.NoError(t, err)
	require.NoError(t, conn.SetDeadline(time.Now().Add(10*time.Second)))
	enc := codec.NewEncoder(conn, &codec.MsgpackHandle{WriteExt: true})
	for _, v := range []any{
		map[string]any{"Command": "handshake", "Seq": 1}, map[string]any{"Version": 1},
		map[string]any{"Command": "stream", "Seq": 2}, map[string]any{"Type": "*"},
	} {
		require.NoError(t, enc.Encode(v))
	}
	return conn
}

// Clients stream events and disconnect while many events arrive. With the agent's
// own streaming the broker would sometimes panic (rpc_events.go).
func TestStreamsComeAndGoDuringEvents(t *testing.T) {
	a := startReal(t, "a", answering)
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
	defer cancel()
	var work sync.WaitGroup
	for range 4 {
		work.Go(func() {
			for ctx.Err() == nil {
				conn := rawStream(t, a.RPCAddr())
				_, err := io.ReadFull(conn, make([]byte, 1000))
				_ = conn.Close()
				if err != nil {
					t.Error("streaming", err)
				}
			}
		})
	}
	work.Go(func() {
		for i := 0; ctx.Err() == nil || i%20 != 0; i++ {
			_ = a.UserEvent("x", fmt.Append(nil, i))
			if i%20 == 0 {
				time.Sleep(time.Millisecond)
			}
		}
	})
	done := make(chan struct{})
	go func() { work.Wait(); close(done) }()
	for ended := false; !ended; { // the last streams need events to end
		select {
		case <-done:
			ended = true
		case <-time.After(10 * time.Millisecond):
			_ = a.UserEvent("last", []byte(time.Now().String()))
		}
	}
	require.Equal(t, gossip.Alive, a.status("a"))
}

// A client that streams events and does not read them blocks nothing else.
func TestStreamToAClientThatDoesNotRead(t *testing.T) {
	a := startReal(t, "a", answering)
	conn := rawStream(t, a.RPCAddr())
	defer func() { _ = conn.Close() }()
	eventually(t, "events are dropped", func() bool {
		for range 1000 {
			require.NoError(t, a.UserEvent("x", []byte(strings.Repeat("x", gossip.MaxEventPayload))))
		}
		return a.Stats().RPCEventsDropped > 0
	})
	out, err := serf(t, a, "members")
	require.NoError(t, err, out)
	began := time.Now()
	require.NoError(t, a.Shutdown())
	require.Less(t, time.Since(began), 3*time.Second)
}

// The agent's answers, which are longer than its buffer, log lines and our events share one
// connection. All of them must arrive intact.
func TestLongAnswersAndEventsOnOneConnection(t *testing.T) {
	const others = 10 // some 8 KB of members
	a := startReal(t, "a", answering)
	for i := range others {
		n := startReal(t, fmt.Sprintf("n%d-%s", i, strings.Repeat("x", 40)), func(c *gossip.Config) {
			c.Tags = map[string]string{"long": strings.Repeat("y", 480)}
			c.SyncInterval = time.Minute
		})
		_, err := n.Join(t.Context(), []string{a.Addr()})
		require.NoError(t, err)
	}
	eventually(t, "all are members", func() bool { return len(a.Members()) == others+1 })
	c, err := client.NewRPCClient(a.RPCAddr())
	require.NoError(t, err)
	events := make(chan map[string]any, 100_000)
	_, err = c.Stream("user", events)
	require.NoError(t, err)
	logs := make(chan string, 100_000)
	_, err = c.Monitor("DEBUG", logs)
	require.NoError(t, err)
	const rounds = 100
	for i := range rounds {
		require.NoError(t, a.UserEvent("x", fmt.Append(nil, i)))
		members, err := c.Members()
		require.NoError(t, err, "round %d", i)
		require.Len(t, members, others+1)
	}
	for i := range rounds {
		select {
		case e := <-events:
			require.Equal(t, fmt.Sprint(i), string(e["Payload"].([]byte)))
		case <-time.After(10 * time.Second):
			t.Fatalf("event %d is missing", i)
		}
	}
	require.NotEmpty(t, logs)
	require.False(t, c.IsClosed())
	// The pool hangs up, and not the client: Serf's client closes the channel of its log lines while the
	// goroutine that reads its connection may still send one.
	require.NoError(t, a.Shutdown())
	for range logs { // until the client has noticed, and closes the channel
		continue
	}
}

// This tests events of all kinds, filters, stop and respond with the client library.
func TestStreamProtocol(t *testing.T) {
	a, b := startReal(t, "a", answering), startReal(t, "b", nil)
	c, err := client.NewRPCClient(a.RPCAddr())
	require.NoError(t, err)
	_, err = c.Stream("nonsense", make(chan map[string]any, 1))
	require.ErrorContains(t, err, "Invalid event filter")
	joins, queries := make(chan map[string]any, 16), make(chan map[string]any, 16)
	handle, err := c.Stream("member-join,user:one", joins)
	require.NoError(t, err)
	_, err = c.Stream("query", queries)
	require.NoError(t, err)

	require.NoError(t, a.UserEvent("two", nil))
	require.NoError(t, a.UserEvent("one", []byte("1")))
	event := receive(t, joins)
	if event["Event"] == "member-join" { // a's own, which may come after the stream has begun
		event = receive(t, joins)
	}
	require.Equal(t, "one", event["Name"])
	_, err = b.Join(t.Context(), []string{a.Addr()})
	require.NoError(t, err)
	join := receive(t, joins)
	require.Equal(t, "member-join", join["Event"])
	require.Equal(t, "b", join["Members"].([]any)[0].(map[any]any)["Name"])

	responses := make(chan client.NodeResponse, 16)
	require.NoError(t, c.Query(&client.QueryParam{Name: "deploy", FilterNodes: []string{"a"}, Timeout: 5 * time.Second, RespCh: responses}))
	query := receive(t, queries)
	require.Equal(t, "deploy", query["Name"])
	require.NoError(t, c.Respond(toUint(query["ID"]), []byte("done")))
	require.ErrorContains(t, c.Respond(toUint(query["ID"]), []byte("again")), "already sent")
	require.ErrorContains(t, c.Respond(12345, nil), "No pending queries")
	require.Equal(t, "done", string(receive(t, responses).Payload))

	require.NoError(t, c.Stop(handle))
	require.NoError(t, a.UserEvent("one", []byte("2")))
	for e := range joins { // closed by Stop
		t.Fatalf("an event after its stream's end: %v", e)
	}
	require.NoError(t, c.Close())
}

func toUint(v any) uint64 {
	switch v := v.(type) {
	case int64:
		return uint64(v)
	case uint64:
		return v
	}
	return 0
}

func receive[T any](t *testing.T, from <-chan T) T {
	t.Helper()
	select {
	case v := <-from:
		return v
	case <-time.After(10 * time.Second):
		t.Fatal("nothing has arrived")
		panic("unreachable")
	}
}

// "serf leave" is a request to the owner, and its answer waits for the owner.
func TestLeaveOverRPCIsLeftToTheOwner(t *testing.T) {
	a, b := startReal(t, "a", answering), startReal(t, "b", answering)
	_, err := b.Join(t.Context(), []string{a.Addr()})
	require.NoError(t, err)
	type result struct {
		out string
		err error
	}
	results := make(chan result, 2)
	for range 2 { // two at once, on which the stock agent can panic
		go func() {
			out, err := serf(t, a, "leave")
			results <- result{out, err}
		}()
	}
	<-a.Done()
	select {
	case r := <-results:
		t.Fatalf("serf leave answered before the owner left: %v", r)
	case <-time.After(300 * time.Millisecond): // meanwhile the owner would hand over its jobs
	}
	require.Equal(t, gossip.Alive, b.status("a"), "it does not leave by itself")
	require.NoError(t, a.Leave(t.Context()))
	require.NoError(t, a.Shutdown())
	for range 2 {
		r := <-results
		require.NoError(t, r.err, r.out)
		require.Contains(t, r.out, "Graceful leave complete")
	}
	eventually(t, "b knows that a has left", func() bool { return b.status("a") == gossip.Left })
}

func TestQueriesAreBounded(t *testing.T) {
	release := make(chan struct{})
	var block, blocked atomic.Bool
	a := startReal(t, "a", func(c *gossip.Config) {
		c.RPCAddr = "127.0.0.1:0"
		c.Answer = func(ctx context.Context, _ string, _ []byte) []byte {
			if block.Load() {
				blocked.Store(true)
				<-ctx.Done()
			}
			<-release
			return []byte("late")
		}
	})
	c, err := client.NewRPCClient(a.RPCAddr())
	require.NoError(t, err)
	defer func() { _ = c.Close() }()
	ask := func(name string) {
		require.NoError(t, c.Query(&client.QueryParam{Name: name, Timeout: 5 * time.Second}))
	}
	ask("other:program")
	for range 12 {
		ask("ucp:slow")
	}
	eventually(t, "four refused", func() bool { return a.Stats().QueriesRefused == 4 })
	close(release)
	eventually(t, "eight answered", func() bool { return a.Stats().QueriesAnswered == 8 })

	// A Shutdown ends the context of an answer that is under way, and waits for the answer.
	block.Store(true)
	ask("ucp:slow")
	eventually(t, "the answer is under way", blocked.Load)
	began := time.Now()
	require.NoError(t, a.Shutdown())
	require.Less(t, time.Since(began), 4*time.Second)
}

// One broken client sends very many ucp: events. Beyond a hundred at once they are refused with an error, on
// every connection. Other requests are not affected.
func TestEventsOfOneClientAreLimited(t *testing.T) {
	a := startReal(t, "a", answering)
	c, err := client.NewRPCClient(a.RPCAddr())
	require.NoError(t, err)
	taken := 0
	for err == nil && taken < 1000 {
		if err = c.UserEvent("ucp:emergency", fmt.Append(nil, taken), false); err == nil {
			taken++
		}
	}
	require.ErrorContains(t, err, "too many events ucp:emergency")
	require.GreaterOrEqual(t, taken, 100)
	require.Less(t, taken, 300, "a hundred may pass, and twenty for each second that this took")
	require.NoError(t, c.UserEvent("deploy", nil, false), "events of other programs pass")
	_, err = c.Members()
	require.NoError(t, err, "the connection still works")
	require.NoError(t, c.Close())

	refused := a.Stats().RPCEventsRefused
	require.NotZero(t, refused)
	out := ""
	for i := 0; i < 100 && err == nil; i++ { // some may be accepted, because time has passed
		out, err = serf(t, a, "event", "ucp:emergency", fmt.Sprint("more ", i))
	}
	require.Error(t, err, "the limit is for all connections together")
	require.Contains(t, out, "try again in a second")
	eventually(t, "all accepted events arrive", func() bool {
		return strings.Count(strings.Join(a.eventLog(), ";"), "user ucp:emergency") >= taken
	})
}

// Forged packets that would mute a node for good are refused, and what comes later still arrives, also at a node
// that joins later (rule G1).
func TestForgedPacketsOnRealSockets(t *testing.T) {
	var refused atomic.Int64
	count := func(c *gossip.Config) {
		answering(c)
		c.Refused = func(gossip.Refused) { refused.Add(1) }
	}
	a, b := startReal(t, "a", count), startReal(t, "b", count)
	_, err := b.Join(t.Context(), []string{a.Addr()})
	require.NoError(t, err)
	eventually(t, "both", func() bool { return alive(a) == 2 && alive(b) == 2 })

	udp, err := net.Dial("udp", a.Addr())
	require.NoError(t, err)
	defer func() { _ = udp.Close() }()
	forged := [][]byte{
		forgedPacket(t, 5, forgedDeath{Incarnation: 1<<32 - 1, Node: "b", From: "x"}),
		oddEvent(t, 1<<64-1, "ucp:emergency", "wraps"),
		oddEvent(t, 1<<64-2, "ucp:emergency", "wraps at the next"),
		oddEvent(t, 1<<62+1, "ucp:emergency", "high"),
	}
	eventually(t, "all are refused", func() bool {
		for _, packet := range forged { // repeatedly, since packets may be lost
			_, err := udp.Write(packet)
			require.NoError(t, err)
		}
		return refused.Load() >= 8
	})
	saw := func(n *node, what string) bool { return strings.Contains(strings.Join(n.eventLog(), ";"), what) }
	require.False(t, saw(a, "wraps") || saw(a, "high") || saw(a, "failed b"))
	require.Equal(t, gossip.Alive, a.status("b"))

	require.NoError(t, b.UserEvent("ucp:emergency", []byte("from b")))
	require.NoError(t, a.UserEvent("ucp:emergency", []byte("from a")))
	for _, n := range []*node{a, b} {
		eventually(t, "later events", func() bool { return saw(n, "ucp:emergency from a") && saw(n, "ucp:emergency from b") })
	}
	c := startReal(t, "c", answering)
	_, err = c.Join(t.Context(), []string{b.Addr()})
	require.NoError(t, err)
	eventually(t, "all three", func() bool { return alive(a) == 3 && alive(c) == 3 })
	require.NoError(t, c.UserEvent("ucp:emergency", []byte("from c")))
	require.NoError(t, a.UserEvent("ucp:emergency", []byte("to c")))
	eventually(t, "events to and from the node that joined later", func() bool { return saw(a, "from c") && saw(b, "from c") && saw(c, "to c") })
}

// oddEvent returns Serf's message of a user event, as memberlist carries it.
func oddEvent(t *testing.T, ltime uint64, name, payload string) []byte {
	t.Helper()
	const userMsg, userEvent = 8, 3 // memberlist's and Serf's message types
	out := []byte{userMsg, userEvent}
	var body []byte
	require.NoError(t, codec.NewEncoderBytes(&body, &codec.MsgpackHandle{}).Encode(struct {
		LTime   uint64
		Name    string
		Payload []byte
		CC      bool
	}{ltime, name, []byte(payload), false}))
	return append(out, body...)
}
