package node

import (
	"fmt"
	"net"
	"net/netip"
	"strings"
)

// A Door is an interface of a broker that takes orders, or the words of other brokers.
type Door struct {
	Flag string // of its address
	What string // for people
	Addr string // HOST:PORT, or "-" for none
	Asks bool   // it finds out who is calling
}

// Doors are the interfaces of a broker, with its completed addresses: city says whether it belongs to a city, keyring whether
// its gossip has keys, and auth whether its RPC asks for one.
func Doors(bind, rpc, http string, city, keyring, auth bool) []Door {
	return []Door{
		{"bind", "gossip", bind, city || keyring},
		{"rpc-addr", "the serf RPC", rpc, auth},
		{"http-addr", "the HTTP API", http, city},
	}
}

// Exposed reports whether others than the programs of this machine can reach the door, and it does not ask who they are. A
// broker has such doors only where its operator says --insecure.
func (d *Door) Exposed() bool { return !d.Asks && d.Addr != "-" && !IsLoopback(d.Addr) }

// Refusal says why a broker does not open a door that is exposed, and how it is made safe.
func (d *Door) Refusal() string {
	fix := "`ucp cluster init` on the first machine, and `ucp agent --invite CODE`, with a code of `ucp cluster invite`, on each other one"
	if d.Flag == "rpc-addr" {
		fix = "`ucp keygen > FILE`, and --rpc-auth-file FILE"
	}
	return fmt.Sprintf("is not a loopback address, and %s does not authenticate its callers: whoever reaches it commands this broker. "+
		"Make it safe with %s; or keep it on 127.0.0.1; or give --insecure where you trust everybody who can reach it", d.What, fix)
}

// exposed are the doors that are exposed.
func (c *Config) exposed() (out []Door) {
	for _, d := range Doors(c.Bind, c.RPCAddr, c.HTTPAddr, c.City != nil, c.Keyring != "", c.RPCAuth != "") {
		if d.Exposed() {
			out = append(out, d)
		}
	}
	return out
}

// warnOfDoors says loudly in the log that strangers may command this broker.
func (c *Config) warnOfDoors() {
	if doors := doorTexts(c.exposed()); len(doors) > 0 {
		c.Logger.Warn("INSECURE: whoever reaches this broker commands it, and reads all jobs (--insecure)", "doors", strings.Join(doors, ", "))
	}
}

// doorTexts names doors for people.
func doorTexts(doors []Door) (out []string) {
	for _, d := range doors {
		out = append(out, d.What+" at "+d.Addr)
	}
	return out
}

// IsLoopback reports whether only programs of this machine reach HOST:PORT. It takes literals and "localhost" alone: what
// another name means may change.
func IsLoopback(addr string) bool {
	host, _, err := net.SplitHostPort(addr)
	if err != nil {
		return false
	}
	ip, err := netip.ParseAddr(host)
	return host == "localhost" || err == nil && ip.Unmap().IsLoopback()
}
