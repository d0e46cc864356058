// Command compliance prints the report on Part B of the Urban Compute Platform: for
// each requirement, how it was checked just now on real `ucp agent` processes, what
// was measured, and PASS or FAIL. docs/testing.md says how each row was made to fail;
// `compliance -list` lists the rows, `compliance -h` the flags.
//
// A row is a name, how it is checked, its limit, and a function; each family has a
// file of its own. Rows that need the same cluster make a group and are checked one
// after the other; groups are checked side by side, except those that measure this
// machine. A row that can't be checked here is skipped, and the last line names it.
//
// As root it runs in namespaces of its own (package rig), which it needs to split a
// network; without root brokers are on loopback, and the rows about splits are skipped.
//
// The rules that comments cite, such as J6, are defined in docs/protocol.md.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"

	"github.com/urban-compute/ucp/test/rig"
)

// options are the flags.
type options struct {
	ucp, only, format string
	list, keep        bool
	loopback, city    bool

	dir      string // for disks and logs
	noSplits string // why the network can't be split here; "" when it can
}

func flags() *options {
	o := &options{}
	flag.StringVar(&o.ucp, "ucp", "bin/ucp", "the broker's `program`")
	flag.StringVar(&o.only, "only", "", "check these `rows` alone, with commas")
	flag.StringVar(&o.format, "o", "table", "`table` or json")
	flag.BoolVar(&o.list, "list", false, "list the rows, and check nothing")
	flag.BoolVar(&o.keep, "keep", false, "keep the brokers' disks and logs")
	flag.BoolVar(&o.loopback, "loopback", false, "brokers on loopback, also for root: the network is not split")
	flag.BoolVar(&o.city, "city", false, "the brokers are a city: they know each other by their keys, and all between them is encrypted and signed")
	flag.Parse()
	return o
}

func main() {
	if len(os.Args) > 1 && os.Args[1] == guestVerb {
		os.Exit(guest(os.Args[2:]))
	}
	o := flags()
	chosen, err := o.check()
	switch {
	case err != nil:
		fmt.Fprintln(os.Stderr, "compliance:", err)
		os.Exit(2)
	case o.list:
		printList(os.Stdout, chosen)
		return
	case o.loopback:
		o.noSplits = "-loopback was given"
	default:
		code, inside, why := rig.Box()
		if why == nil && !inside {
			os.Exit(code)
		}
		if why != nil {
			o.noSplits = why.Error()
		}
	}
	// Also when nobody reads any more (`| head`) all that was started must end.
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM, syscall.SIGPIPE)
	r, err := report(ctx, o, chosen)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "compliance:", err)
		os.Exit(1)
	}
	if r.Failed > 0 {
		os.Exit(1)
	}
}

// check refuses what makes no sense, and returns the groups with the rows asked for.
func (o *options) check() ([]group, error) {
	if o.format != "table" && o.format != "json" {
		return nil, fmt.Errorf("-o %s: want table or json", o.format)
	}
	if flag.NArg() > 0 {
		return nil, fmt.Errorf("unexpected argument %q", flag.Arg(0))
	}
	all := groups()
	names := strings.FieldsFunc(o.only, func(r rune) bool { return r == ',' })
	if len(names) == 0 {
		return all, nil
	}
	wanted := map[string]bool{}
	for _, name := range names {
		wanted[name] = true
	}
	var chosen []group
	for _, g := range all {
		var rows []row
		for _, r := range g.rows {
			if wanted[r.name] {
				rows = append(rows, r)
				delete(wanted, r.name)
			}
		}
		if g.rows = rows; len(rows) > 0 {
			chosen = append(chosen, g)
		}
	}
	for name := range wanted {
		return nil, fmt.Errorf("-only: unknown row %q; -list lists the rows", name)
	}
	return chosen, nil
}

// report checks all rows and prints what came out.
func report(ctx context.Context, o *options, chosen []group) (*summary, error) {
	var err error
	if o.ucp, err = filepath.Abs(o.ucp); err == nil {
		_, err = os.Stat(o.ucp)
	}
	if err != nil {
		return nil, fmt.Errorf("%w; `make build` makes it", err)
	}
	if o.dir, err = os.MkdirTemp("", fmt.Sprintf("ucp-compliance-%d-", os.Getpid())); err != nil {
		return nil, err
	}
	defer func() {
		if o.keep {
			fmt.Fprintln(os.Stderr, "disks and logs are in", o.dir)
		} else if err := os.RemoveAll(o.dir); err != nil {
			fmt.Fprintln(os.Stderr, "compliance:", err)
		}
	}()
	network, err := o.network()
	if err != nil {
		return nil, err
	}
	if network != nil {
		defer network.Remove()
	}
	progress := os.Stdout
	if o.format == "json" {
		progress = os.Stderr
	}
	l := &lab{o: o, network: network, progress: progress}
	if o.city {
		if l.city, err = rig.NewCity(filepath.Join(o.dir, "city")); err != nil {
			return nil, err
		}
	}
	l.check(ctx, chosen)
	r := l.summary(chosen)
	if o.format == "json" {
		return r, r.json(os.Stdout)
	}
	r.table(os.Stdout)
	return r, ctx.Err()
}

// splitBrokers is how many brokers the split network has.
const splitBrokers = 4

// network makes the network that can be split. In a box it is made even when no row
// needs it: that sets loopback up, too.
func (o *options) network() (*rig.Network, error) {
	if o.noSplits != "" {
		return nil, nil
	}
	return rig.NewNetwork(splitBrokers)
}
