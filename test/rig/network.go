package rig

import (
	"bytes"
	"errors"
	"fmt"
	"maps"
	"net"
	"os/exec"
	"slices"
	"strings"
)

// Link is one direction between two brokers, by their numbers: what To hears of From.
type Link struct{ From, To int }

// Network is a bridge with a network namespace for each broker on it, all inside the
// namespace of our own process. Brokers are numbered from 0. Our own address on the
// bridge, where clients are, is never cut off.
type Network struct {
	n      int
	filter filter
	set    []map[string]float64 // what is filtered at each broker now
}

const (
	bridge = "rig"
	hub    = "10.77.0.1"
)

func addr(i int) string      { return fmt.Sprintf("10.77.0.%d", 11+i) }
func namespace(i int) string { return fmt.Sprintf("b%d", i) }
func port(i int) string      { return fmt.Sprintf("port%d", i) }

// NewNetwork makes a network for n brokers. It must run in a network namespace that
// was made for it: see Box.
func NewNetwork(n int) (*Network, error) {
	if err := ownNamespace(); err != nil {
		return nil, err
	}
	steps := []string{
		"link set lo up",
		"link add " + bridge + " type bridge",
		"addr add " + hub + "/24 dev " + bridge,
		"link set " + bridge + " up",
	}
	for i := range n {
		ns, port := namespace(i), port(i)
		steps = append(steps,
			"netns add "+ns,
			fmt.Sprintf("link add %s type veth peer name eth0 netns %s", port, ns),
			fmt.Sprintf("link set %s master %s up", port, bridge),
			fmt.Sprintf("-n %s addr add %s/24 dev eth0", ns, addr(i)),
			fmt.Sprintf("-n %s link set eth0 up", ns),
			fmt.Sprintf("-n %s link set lo up", ns),
		)
	}
	for _, step := range steps {
		if err := run(nil, append([]string{"ip"}, strings.Fields(step)...)...); err != nil {
			return nil, err
		}
	}
	net := &Network{n: n, set: make([]map[string]float64, n)}
	return net, net.chooseFilter()
}

// chooseFilter takes the first filter that this kernel obeys, also where it is to
// drop at random.
func (n *Network) chooseFilter() error {
	errs := []error{errors.New("neither iptables nor nft can filter here")}
	for _, f := range filters() {
		n.filter = f
		err := n.Set(map[Link]float64{{0, 1}: 0.5, {1, 0}: 1})
		if err = errors.Join(err, n.Set(nil)); err == nil {
			return nil
		}
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}

// Filter names what drops the packets.
func (n *Network) Filter() string { return n.filter.name() }

// Place is where broker i runs.
func (n *Network) Place(i int) Place {
	return Place{
		// Its own mounts, too. `ip netns exec` would hide the control groups beneath a new /sys.
		Enter:  []string{"nsenter", "--net=/run/netns/" + namespace(i), "unshare", "--mount", "--"},
		Gossip: net.JoinHostPort(addr(i), "7946"), HTTP: net.JoinHostPort(addr(i), "8000"), RPC: "-",
		Insecure: true,
	}
}

// Set says for each link what part of the packets is lost on it: 1 cuts it. Links
// that are not named are whole.
func (n *Network) Set(lost map[Link]float64) error {
	var errs []error
	for to := range n.n {
		from := map[string]float64{}
		for l, p := range lost {
			if l.To == to && l.From != to && p > 0 {
				from[addr(l.From)] = p
			}
		}
		if n.set[to] != nil && maps.Equal(n.set[to], from) {
			continue
		}
		command := append([]string{"ip", "netns", "exec", namespace(to)}, n.filter.command()...)
		if err := run([]byte(n.filter.rules(from)), command...); err != nil {
			errs = append(errs, err)
			continue
		}
		n.set[to] = from
	}
	return errors.Join(errs...)
}

// Cut are both directions between two groups.
func Cut(a, b []int) []Link {
	var out []Link
	for _, x := range a {
		for _, y := range b {
			out = append(out, Link{x, y}, Link{y, x})
		}
	}
	return out
}

func sorted(m map[string]float64) []string { return slices.Sorted(maps.Keys(m)) }

// run runs a command that says nothing when all is well.
func run(stdin []byte, line ...string) error {
	cmd := exec.Command(line[0], line[1:]...)
	cmd.Stdin = bytes.NewReader(stdin)
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("%s: %w: %s", strings.Join(line, " "), err, bytes.TrimSpace(out))
	}
	return nil
}

// Remove takes the network away, so that another can be made in the same box.
func (n *Network) Remove() {
	for i := range n.n { // links first: the kernel takes those of a deleted namespace away some time later
		_ = run(nil, "ip", "link", "del", port(i)) // the box takes what stays
		_ = run(nil, "ip", "netns", "del", namespace(i))
	}
	_ = run(nil, "ip", "link", "del", bridge)
}
