package rig

import (
	"fmt"
	"os/exec"
	"strings"
)

// A filter drops packets that come into a network namespace. It replaces all its
// rules at once, so that nobody ever sees half a split.
type filter interface {
	name() string
	command() []string // reads its rules from stdin
	rules(from map[string]float64) string
}

// iptables needs the statistic match for loss.
type iptables struct{}

func (iptables) name() string      { return "iptables" }
func (iptables) command() []string { return []string{"iptables-restore"} }

func (iptables) rules(from map[string]float64) string {
	var s strings.Builder
	s.WriteString("*filter\n:INPUT ACCEPT [0:0]\n:FORWARD ACCEPT [0:0]\n:OUTPUT ACCEPT [0:0]\n")
	for _, addr := range sorted(from) {
		match := ""
		if p := from[addr]; p < 1 {
			match = fmt.Sprintf(" -m statistic --mode random --probability %.3f", p)
		}
		fmt.Fprintf(&s, "-A INPUT -s %s%s -j DROP\n", addr, match)
	}
	s.WriteString("COMMIT\n")
	return s.String()
}

// nft drops by a random number.
type nft struct{}

func (nft) name() string      { return "nft" }
func (nft) command() []string { return []string{"nft", "-f", "-"} }

func (nft) rules(from map[string]float64) string {
	var s strings.Builder
	s.WriteString("flush ruleset\ntable ip rig {\n chain in {\n  type filter hook input priority 0; policy accept;\n")
	for _, addr := range sorted(from) {
		match := ""
		if p := from[addr]; p < 1 {
			match = fmt.Sprintf(" numgen random mod 1000 < %d", int(p*1000))
		}
		fmt.Fprintf(&s, "  ip saddr %s%s drop\n", addr, match)
	}
	s.WriteString(" }\n}\n")
	return s.String()
}

// filters are what this machine has, the first is tried first.
func filters() (out []filter) {
	for _, f := range []filter{iptables{}, nft{}} {
		if _, err := exec.LookPath(f.command()[0]); err == nil {
			out = append(out, f)
		}
	}
	return out
}
