package gossip

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// How an entry of a list of nodes to join may begin, if it is not simply host:port.
const (
	byDNS  = "dns:"
	byExec = "exec:"
	byMDNS = "mdns:"
)

// Plain is the host:port of an entry that names nothing else; false for others.
func Plain(entry string) (addr string, plain bool) {
	for _, by := range []string{byDNS, byExec, byMDNS} {
		if strings.HasPrefix(entry, by) {
			return "", false
		}
	}
	host, port, err := splitAddr("join", entry, "127.0.0.1", DefaultPort)
	return net.JoinHostPort(host, strconv.Itoa(int(port))), err == nil
}

// IsCommand reports whether a text begins an entry that is a command: it may contain commas.
func IsCommand(entry string) bool { return strings.HasPrefix(entry, byExec) }

// Bounds of what an entry may take and name.
const (
	commandTimeout = 10 * time.Second
	maxPrinted     = 64 << 10 // bytes that a command prints
	maxTargets     = 1024     // nodes that one entry names
)

// CheckEntry says what is wrong with an entry of a list of nodes to join; nil is that it can be looked up.
//
//	HOST:PORT    every address of a host, which is a name or an address; the port is 7946 unless it is given
//	dns:NAME     the SRV records of a name, else its addresses (A, AAAA), at port 7946
//	exec:LINE    what a shell prints that is given this line: HOST:PORT, one a line
//	mdns:NAME    the nodes on the networks of this machine that discover each other by this name
func CheckEntry(entry string) error {
	switch {
	case strings.HasPrefix(entry, byDNS):
		if name := entry[len(byDNS):]; name == "" || strings.ContainsAny(name, ":/ ") {
			return fmt.Errorf("%q: write dns:NAME; the ports are in its SRV records, else %d", entry, DefaultPort)
		}
		return nil
	case strings.HasPrefix(entry, byExec):
		if strings.TrimSpace(entry[len(byExec):]) == "" {
			return fmt.Errorf("%q: write exec: and a command that prints HOST:PORT, one a line", entry)
		}
		return nil
	case strings.HasPrefix(entry, byMDNS):
		return checkDiscover(entry[len(byMDNS):])
	}
	host, _, err := splitAddr("join", entry, "127.0.0.1", DefaultPort)
	if err != nil {
		return err
	}
	if strings.ContainsAny(host, " \t/") {
		return fmt.Errorf("gossip: join address %q: write host:port", entry)
	}
	if ip, err := netip.ParseAddr(host); err == nil && ip.Zone() != "" {
		return fmt.Errorf("%q: a link-local address counts on one network of this machine only, and gossip has no room for which: take another address", entry)
	}
	return nil
}

// Targets looks up now what entries name (see [CheckEntry]): each address once, as ip:port, without this node's own. An
// error tells of entries that could not be looked up; the others count all the same.
func (p *Pool) Targets(ctx context.Context, entries []string) (targets []string, err error) {
	return p.targets(ctx, entries, p.Addr())
}

// targets is Targets of a node that is at its own address.
func (p *Pool) targets(ctx context.Context, entries []string, own string) (targets []string, err error) {
	var errs []error
	for _, entry := range entries {
		found, err := p.lookup(ctx, entry)
		if err != nil {
			errs = append(errs, err)
		}
		for _, a := range found[:min(len(found), maxTargets)] {
			if target := net.JoinHostPort(a.Addr().Unmap().String(), strconv.Itoa(int(a.Port()))); target != own && !slices.Contains(targets, target) {
				targets = append(targets, target)
			}
		}
	}
	return targets, errors.Join(errs...)
}

// lookup looks up one entry.
func (p *Pool) lookup(ctx context.Context, entry string) ([]netip.AddrPort, error) {
	if err := CheckEntry(entry); err != nil {
		return nil, err
	}
	switch {
	case strings.HasPrefix(entry, byDNS):
		return p.lookupDNS(ctx, entry[len(byDNS):])
	case strings.HasPrefix(entry, byExec):
		return p.lookupPrinted(ctx, entry[len(byExec):])
	case strings.HasPrefix(entry, byMDNS):
		return p.mdns.lookup(ctx, entry[len(byMDNS):])
	}
	return p.lookupHost(ctx, entry)
}

// lookupHost looks up host:port.
func (p *Pool) lookupHost(ctx context.Context, addr string) (out []netip.AddrPort, err error) {
	host, port, err := splitAddr("join", addr, "127.0.0.1", DefaultPort)
	if err != nil {
		return nil, err
	}
	ips, err := resolve(ctx, p.cfg.Resolver, "join", host)
	for _, ip := range ips {
		out = append(out, netip.AddrPortFrom(ip, port))
	}
	return out, err
}

// lookupDNS looks up the nodes that a name server lists under a name: Consul and Kubernetes write SRV records, others
// addresses only.
func (p *Pool) lookupDNS(ctx context.Context, name string) (out []netip.AddrPort, err error) {
	limited, cancel := context.WithTimeout(ctx, resolveTimeout)
	defer cancel()
	_, services, err := p.cfg.Resolver.LookupSRV(limited, "", "", name)
	if err != nil || len(services) == 0 {
		return p.lookupHost(ctx, name)
	}
	var errs []error
	for _, s := range services[:min(len(services), maxTargets)] {
		ips, err := resolve(ctx, p.cfg.Resolver, "join", strings.TrimSuffix(s.Target, "."))
		if err != nil {
			errs = append(errs, err)
		}
		for _, ip := range ips {
			out = append(out, netip.AddrPortFrom(ip, s.Port))
		}
	}
	return out, errors.Join(errs...)
}

// lookupPrinted looks up what a command prints. Lines that are empty or begin with # are passed over.
func (p *Pool) lookupPrinted(ctx context.Context, line string) (out []netip.AddrPort, err error) {
	printed, failed := runCommand(ctx, line)
	line = byExec + line // so that who hides commands knows it
	var errs []error
	lines := bufio.NewScanner(bytes.NewReader(printed))
	for lines.Scan() && len(out) < maxTargets {
		addr := strings.TrimSpace(lines.Text())
		if addr == "" || addr[0] == '#' {
			continue
		}
		if strings.Contains(addr, "exec:") { // a command names nodes, not commands
			return nil, fmt.Errorf("gossip: %.200q prints %.200q: it must print HOST:PORT, one a line", line, addr)
		}
		if err = CheckEntry(addr); err == nil {
			var found []netip.AddrPort
			found, err = p.lookupHost(ctx, addr)
			out = append(out, found...)
		}
		if err != nil {
			errs = append(errs, fmt.Errorf("gossip: %.200q: %w", line, err))
		}
	}
	if failed != nil {
		errs = append(errs, fmt.Errorf("gossip: %.200q: %w", line, failed))
	}
	return out, errors.Join(errs...)
}

// runCommand gives a line to a shell and returns what that prints, the first maxPrinted bytes, within commandTimeout.
func runCommand(ctx context.Context, line string) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, commandTimeout)
	defer cancel()
	cmd := exec.CommandContext(ctx, "sh", "-c", line)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	endAll := func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) } // what it has started, too
	cmd.Cancel, cmd.WaitDelay = endAll, time.Second
	var said bytes.Buffer
	cmd.Stderr = &limited{w: &said, left: 500}
	pipe, err := cmd.StdoutPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		return nil, err
	}
	printed, err := io.ReadAll(io.LimitReader(pipe, maxPrinted))
	tooMuch := len(printed) == maxPrinted
	if tooMuch {
		_ = endAll() // fails when it has ended
	}
	ended := cmd.Wait()
	switch {
	case ctx.Err() != nil:
		return printed, fmt.Errorf("it has not ended within %v", commandTimeout)
	case tooMuch:
		return printed, fmt.Errorf("it prints more than %d bytes", maxPrinted)
	case ended != nil && !errors.Is(ended, syscall.ECHILD): // then who adopts orphans here has waited for it
		if why := bytes.TrimSpace(said.Bytes()); len(why) > 0 {
			ended = fmt.Errorf("%w: %s", ended, why)
		}
		return printed, ended
	}
	return printed, err
}

// limited passes on the first bytes, and drops what follows.
type limited struct {
	w    io.Writer
	left int
}

// Write implements io.Writer.
func (l *limited) Write(b []byte) (int, error) {
	n, err := l.w.Write(b[:min(len(b), l.left)])
	l.left -= n
	return len(b), err
}
