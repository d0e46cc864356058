package lan

import (
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/miekg/dns"
	"github.com/stretchr/testify/require"
)

// zone is a real server of names on the network's own address, and answers with its records.
type zone struct{ records atomic.Pointer[[]dns.RR] }

func (z *zone) set(t *testing.T, lines ...string) {
	t.Helper()
	var records []dns.RR
	for _, line := range lines {
		r, err := dns.NewRR(line)
		require.NoError(t, err)
		records = append(records, r)
	}
	z.records.Store(&records)
}

func (z *zone) serve(t *testing.T) {
	t.Helper()
	conn, err := net.ListenPacket("udp", "10.77.0.1:53")
	require.NoError(t, err)
	server := &dns.Server{PacketConn: conn, Handler: dns.HandlerFunc(func(w dns.ResponseWriter, q *dns.Msg) {
		answer := new(dns.Msg).SetReply(q)
		for _, r := range *z.records.Load() {
			if h := r.Header(); strings.EqualFold(h.Name, q.Question[0].Name) && h.Rrtype == q.Question[0].Qtype {
				answer.Answer = append(answer.Answer, r)
			}
		}
		if len(answer.Answer) == 0 {
			answer.Rcode = dns.RcodeNameError
		}
		_ = w.WriteMsg(answer) // who has gone asks again
	})}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		_ = server.ActivateAndServe() // until Shutdown
	}()
	t.Cleanup(func() {
		require.NoError(t, server.Shutdown())
		<-ended
	})
}

// Brokers find each other by a name that a server knows, by its address as well as by its service records, also when it is
// not known yet at their start.
func TestNamesOfAServer(t *testing.T) {
	network(t, 3)
	var z zone
	z.set(t)
	z.serve(t)
	conf := filepath.Join(t.TempDir(), "resolv.conf")
	require.NoError(t, os.WriteFile(conf, []byte("nameserver 10.77.0.1\noptions timeout:1\n"), 0o644))
	// What mounts it does so in a namespace of its own, which `ip netns exec` makes.
	asks := []string{"sh", "-c", `mount --bind "$0" "$(readlink -f /etc/resolv.conf)" && exec "$@"`, conf}
	a := start(t, 0, t.TempDir(), "--bind", everywhere)
	b := launch(t, 1, asks, t.TempDir(), "--bind", everywhere, "--retry-join", "dns:brokers.example")
	c := launch(t, 2, asks, t.TempDir(), "--bind", everywhere, "--retry-join", "dns:_serf._tcp.brokers.example")
	for _, x := range []*broker{b, c} {
		require.Eventually(t, func() bool { return strings.Contains(x.Said(), "brokers.example") }, patience, 100*time.Millisecond, "it says what it asked for")
	}
	z.set(t, "brokers.example. 1 IN A 10.77.0.11",
		"_serf._tcp.brokers.example. 1 IN SRV 10 1 7946 van-0.example.", "van-0.example. 1 IN A 10.77.0.11")
	b.sees(a, "10.77.0.11")
	c.sees(a, "10.77.0.11")
	b.sees(c, "10.77.0.13")
	a.sees(b, "10.77.0.12")
}

// Machines that have public addresses only are told by those.
func TestPublicAddressesOnly(t *testing.T) {
	ip := network(t, 2)
	for i, host := range []string{"11.22.33.1", "11.22.33.2"} {
		ip("-n b%d addr flush dev eth0", i)
		ip("-n b%d addr add %s/24 dev eth0", i, host)
	}
	a := start(t, 0, t.TempDir(), "--bind", everywhere)
	b := start(t, 1, t.TempDir(), "--bind", everywhere, "--retry-join", "11.22.33.1")
	a.sees(b, "11.22.33.2")
	b.sees(a, "11.22.33.1")
}
