package main

import (
	"fmt"
	"io"
	"strings"
)

// banner says loudly which faults are left out on this machine, and why.
func banner(out io.Writer, o *options) {
	missing := o.missing()
	if len(missing) == 0 {
		return
	}
	line := strings.Repeat("*", 78)
	fmt.Fprintf(out, "%s\n  NOT TESTED HERE\n", line)
	for _, text := range missing {
		fmt.Fprintf(out, "  %s\n", text)
	}
	fmt.Fprintf(out, "  As root, with iproute2 and iptables (or nft), all is tested.\n%s\n", line)
}

// missing are the faults that are left out for want of something, by what they need.
func (o *options) missing() (out []string) {
	for _, n := range []need{onNetwork, onLoop, onPids} {
		if why := o.barred[n]; why != "" {
			var names []string
			for _, k := range kinds {
				if k.needs == n {
					names = append(names, k.name)
				}
			}
			out = append(out, fmt.Sprintf("%s: they need %s; %s", strings.Join(names, ", "), n, why))
		}
	}
	if why := o.barred[inBox]; why != "" {
		out = append(out, fmt.Sprintf("no-inodes, run-read-only, filler: they need %s; %s", inBox, why))
		out = append(out, fmt.Sprintf("disk-full by a disk that is full (the reserve is set higher than what is free instead): it needs %s; %s", inBox, why))
	}
	return out
}
