package node

import (
	"fmt"
	"net"
	"net/netip"
	"strings"
	"testing"

	"github.com/cockroachdb/datadriven"
	"github.com/stretchr/testify/require"

	"github.com/urban-compute/ucp/api"
)

// TestAddresses reads testdata/addresses.txt. Its commands:
//
//	told bind=HOST:PORT [advertise=] [http-addr=] [http-advertise=] [chosen=ADDRESS]
//	    where HTTP listens, and which HTTP address peers are told; chosen is the machine's own where all are bound
//	choose [bind=HOST] [way=ADDRESS]
//	    of the machine's addresses, one a line, the one that peers are told
func TestAddresses(t *testing.T) {
	datadriven.RunTest(t, "testdata/addresses.txt", func(t *testing.T, d *datadriven.TestData) string {
		arg := func(name, otherwise string) string {
			for _, a := range d.CmdArgs {
				if a.Key == name {
					return strings.Join(a.Vals, ",")
				}
			}
			return otherwise
		}
		switch d.Cmd {
		case "told":
			a := Addresses{Bind: arg("bind", DefaultBind), Advertise: arg("advertise", ""), HTTPAddr: arg("http-addr", ""), HTTPAdvertise: arg("http-advertise", "")}
			a, err := a.Complete()
			if err != nil {
				return err.Error() + "\n"
			}
			bound := a.HTTPAddr // what a name means the system decides; an empty host is [::]
			if host, port, err := net.SplitHostPort(bound); err == nil && host == "" {
				bound = net.JoinHostPort("::", port)
			}
			http, err := a.http(bound, net.JoinHostPort(a.gossipHost(arg("chosen", "192.168.1.5")), "0"))
			if err != nil {
				return err.Error() + "\n"
			}
			return fmt.Sprintf("HTTP listens on %s, peers are told %s\n", a.HTTPAddr, http)
		case "choose":
			var own []netip.Addr
			for line := range strings.Lines(d.Input) {
				own = append(own, netip.MustParseAddr(strings.TrimSpace(line)))
			}
			way, _ := netip.ParseAddr(arg("way", ""))
			return chooseAddress(arg("bind", "::"), way, own).String() + "\n"
		}
		t.Fatalf("unknown command %s", d.Cmd)
		return ""
	})
}

// Clients look where a broker listens unless it is told otherwise.
func TestDefaultAddressOfHTTP(t *testing.T) {
	c, err := Config{DataDir: "d"}.complete()
	require.NoError(t, err)
	require.Equal(t, api.DefaultAddr, c.HTTPAddr)
}

// Of what a broker is to join that can be told without a network: machines that could not answer it. What is looked up may be any.
func TestCheckJoin(t *testing.T) {
	for _, entries := range [][]string{nil, {"127.0.0.1", "localhost:7946", "van-1", "dns:city.example", "exec:find"}} {
		require.NoError(t, CheckJoin("127.0.0.1:7946", "", entries))
	}
	require.ErrorContains(t, CheckJoin("127.0.0.1:7946", "", []string{"van-1", "10.0.0.1"}), "which others can't reach, so that 10.0.0.1:7946 could not answer it")
	require.ErrorContains(t, CheckJoin("0.0.0.0:7946", "", []string{"[fd00::1]:7"}), "gossip is IPv4 (--bind 0.0.0.0:7946), and [fd00::1]:7 is IPv6")
	require.ErrorContains(t, CheckJoin("0.0.0.0:7946", "", []string{"fd00::1"}), "[fd00::1]:7946")
	require.NoError(t, CheckJoin("[::]:7946", "", []string{"10.0.0.1", "fd00::1"}))
	require.NoError(t, CheckJoin("0.0.0.0:7946", "203.0.113.7:7946", []string{"10.0.0.1"}))
}

// While peers are told an address of this machine only, no other machine is joined.
func TestAnswerable(t *testing.T) {
	there := []string{"127.0.0.1:7946", "10.0.0.1:7946", "[fd00::1]:7946"}
	out, err := answerable("10.0.0.2:7946", "[::]:7946", there)
	require.NoError(t, err)
	require.Equal(t, there, out)
	out, err = answerable("10.0.0.2:7946", "0.0.0.0:7946", there)
	require.EqualError(t, err, "this broker's gossip is IPv4 (--bind 0.0.0.0:7946), and [fd00::1]:7946 is IPv6: nothing that is sent there is answered. Name an address of the other one that is IPv4, or start all brokers with --bind [::]:7946")
	require.Equal(t, there[:2], out)
	out, err = answerable("[fd00::2]:7946", "[fd00::2]:7946", there)
	require.ErrorContains(t, err, "gossip is IPv6 (--bind [fd00::2]:7946), and 127.0.0.1:7946, 10.0.0.1:7946 is IPv4")
	require.Equal(t, there[2:], out)
	out, err = answerable("10.0.0.2:7946", "name:7946", there)
	require.NoError(t, err, "what a name means is not known here")
	require.Equal(t, there, out)
	out, err = answerable("127.0.0.1:7947", "127.0.0.1:7947", there)
	require.ErrorContains(t, err, "listen at 127.0.0.1:7947 (--bind), which others can't reach, so that 10.0.0.1:7946, [fd00::1]:7946 could not answer it")
	require.Equal(t, there[:1], out)
	out, err = answerable("127.0.0.1:7947", "0.0.0.0:7947", there)
	require.ErrorContains(t, err, "no address yet that 10.0.0.1:7946, [fd00::1]:7946 could answer to")
	require.Equal(t, there[:1], out)
}
