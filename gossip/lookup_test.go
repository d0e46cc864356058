package gossip

import (
	"context"
	"net"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/cockroachdb/datadriven"
	"github.com/miekg/dns"
	"github.com/stretchr/testify/require"
)

// TestLookup reads testdata/lookup.txt. Its commands:
//
//	names
//	    the records of the name server from now on, one a line
//	lookup
//	    what each entry, one a line, names; the node itself is at 127.0.0.9:7946
//
// Sizes and times are those of the real commands that are run.
func TestLookup(t *testing.T) {
	server := &nameServer{}
	server.records.Store(&[]dns.RR{})
	p := &Pool{cfg: Config{Name: "a", Resolver: server.start(t)}, mdns: newMDNS("a", "", discardLines{})}
	datadriven.RunTest(t, "testdata/lookup.txt", func(t *testing.T, d *datadriven.TestData) string {
		switch d.Cmd {
		case "names":
			var records []dns.RR
			for line := range strings.Lines(d.Input) {
				r, err := dns.NewRR(line)
				require.NoError(t, err)
				records = append(records, r)
			}
			server.records.Store(&records)
			return "ok\n"
		case "lookup":
			var out strings.Builder
			for line := range strings.Lines(d.Input) {
				entry := strings.TrimSpace(line)
				targets, err := p.targets(t.Context(), []string{entry}, "127.0.0.9:7946")
				slices.Sort(targets) // SRV records of one priority come in any order
				out.WriteString(strings.Join(targets, " "))
				if err != nil {
					if len(targets) > 0 {
						out.WriteString("; ")
					}
					out.WriteString("error: " + ofServer.ReplaceAllString(strings.ReplaceAll(err.Error(), "\n", "; "), ""))
				}
				out.WriteString("\n")
			}
			return out.String()
		}
		t.Fatalf("unknown command %s", d.Cmd)
		return ""
	})
}

// ofServer is where an error names the machine's own name server.
var ofServer = regexp.MustCompile(` on \S+:53`)

// A command that never ends, or prints without end, holds the others up for a bounded time, and is gone then.
func TestCommandsAreBounded(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	began := time.Now()
	_, err := runCommand(ctx, "echo 10.0.0.1; sleep 1000 & sleep 1000")
	require.ErrorContains(t, err, "has not ended")
	require.Less(t, time.Since(began), commandTimeout)
	printed, err := runCommand(t.Context(), "yes 10.0.0.1")
	require.ErrorContains(t, err, "more than 65536 bytes")
	require.Len(t, printed, maxPrinted)
}

// nameServer answers with its records.
type nameServer struct{ records atomic.Pointer[[]dns.RR] }

type discardLines struct{}

func (discardLines) Write(b []byte) (int, error) { return len(b), nil }

// start starts it, and returns what asks it.
func (s *nameServer) start(t *testing.T) *net.Resolver {
	conn, err := net.ListenPacket("udp", "127.0.0.1:0")
	require.NoError(t, err)
	server := &dns.Server{PacketConn: conn, Handler: dns.HandlerFunc(func(w dns.ResponseWriter, q *dns.Msg) {
		answer := new(dns.Msg).SetReply(q)
		for _, r := range *s.records.Load() {
			if h := r.Header(); strings.EqualFold(h.Name, q.Question[0].Name) && h.Rrtype == q.Question[0].Qtype {
				answer.Answer = append(answer.Answer, r)
			}
		}
		if len(answer.Answer) == 0 {
			answer.Rcode = dns.RcodeNameError
		}
		_ = w.WriteMsg(answer) // who has gone asks again
	})}
	go func() { _ = server.ActivateAndServe() }() // ends at Shutdown
	t.Cleanup(func() { require.NoError(t, server.Shutdown()) })
	return &net.Resolver{PreferGo: true, Dial: func(ctx context.Context, _, _ string) (net.Conn, error) {
		var d net.Dialer
		return d.DialContext(ctx, "udp", conn.LocalAddr().String())
	}}
}

// An answer names nodes only by what is of the service, and only by addresses that gossip can tell.
func TestNodesInAnAnswer(t *testing.T) {
	records := func(lines ...string) *dns.Msg {
		m := new(dns.Msg)
		for _, line := range lines {
			r, err := dns.NewRR(line)
			require.NoError(t, err)
			m.Answer = append(m.Answer, r)
		}
		return m
	}
	const service = "_serf_kitchen._tcp.local."
	for want, m := range map[string]*dns.Msg{
		"10.0.0.1:7946":   records("_serf_kitchen._tcp.local. PTR a._serf_kitchen._tcp.local.", "a._serf_kitchen._tcp.local. SRV 10 1 7946 a.local.", "a.local. A 10.0.0.1", "b.local. A 10.0.0.2"),
		"[2001:db8::1]:7": records("A._Serf_Kitchen._tcp.local. SRV 10 1 7 a.local.", "a.local. AAAA fe80::1", "a.local. AAAA 2001:db8::1", "a.local. A 224.0.0.1", "a.local. A 0.0.0.0"),
		"":                records("a._http._tcp.local. SRV 10 1 80 a.local.", "a._serf_kitchen._tcp.local. SRV 10 1 0 a.local.", "a.local. A 10.0.0.1"),
	} {
		var got []string
		for _, a := range nodesIn(m, service) {
			got = append(got, net.JoinHostPort(a.Addr().String(), strconv.Itoa(int(a.Port()))))
		}
		require.Equal(t, want, strings.Join(got, " "))
	}
}
