package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/urban-compute/ucp/api"
)

const drainHelp = `Tells a broker to run nothing new, before work is done on it or its machine. Any broker
takes the word and passes it on; one that is away obeys when it is back. It holds, over
restarts, until "ucp cluster resume NAME".

What runs there finishes. What waits there goes elsewhere at once, jobs that must not run
twice (ucp run --once) included; what no other broker can take waits there, and starts when
one can, or after the resume. With --deadline what still runs there after that time is
stopped and runs again elsewhere, once another broker can take it; jobs that must not run
twice are left to finish. What could not be moved, and what waits, is said at once, and after
the deadline by 'ucp', 'ucp members' and the log.

The broker stays in the cluster: it keeps its copies, answers for every job, and takes jobs
that others run. 'ucp members' and 'ucp status' show it as drained. Repeat the command to
change the deadline; without --deadline it then has none.

Exit code 1 when there is no such broker, or it runs a version that can't be told.`

// drainCommand is `ucp cluster drain`.
func (c *cli) drainCommand() *cobra.Command {
	var deadline time.Duration
	cmd := &cobra.Command{
		Use:               "drain NAME",
		Short:             "Let a broker run nothing new until it is resumed",
		Long:              drainHelp,
		Example:           "  ucp cluster drain van-3\n  ucp cluster drain van-3 --deadline 10m\n  ucp job list --broker van-3 --state running\n  ucp cluster resume van-3",
		Args:              exactArgs("the name of a broker"),
		ValidArgsFunction: c.completeMembers(func(m *api.Member) bool { return m.Drained == nil }),
	}
	cmd.Flags().DurationVar(&deadline, "deadline", 0, "move what still runs there after this time (default: never)")
	cmd.RunE = c.withClient(func(ctx context.Context, client *api.Client, args []string) error {
		if deadline < 0 || deadline == 0 && cmd.Flags().Changed("deadline") {
			return errors.New("--deadline must be positive, such as 10m")
		}
		r, err := client.Drain(ctx, args[0], deadline)
		if err != nil {
			return err
		}
		return c.showDrained(&r, doesNotAnswer(ctx, client, r.Name))
	})
	return cmd
}

const resumeHelp = `Lets a broker run jobs again that was drained with "ucp cluster drain". Jobs that were moved
meanwhile stay where they are. One that was not drained stays as it is.

Exit code 1 when there is no such broker.`

// resumeCommand is `ucp cluster resume`.
func (c *cli) resumeCommand() *cobra.Command {
	return &cobra.Command{
		Use:               "resume NAME",
		Short:             "Let a broker run jobs again that was drained",
		Long:              resumeHelp,
		Example:           "  ucp cluster resume van-3\n  ucp cluster resume van-3 -o json",
		Args:              exactArgs("the name of a broker"),
		ValidArgsFunction: c.completeMembers(func(m *api.Member) bool { return m.Drained != nil }),
		RunE: c.withClient(func(ctx context.Context, client *api.Client, args []string) error {
			r, err := client.Resume(ctx, args[0])
			if err != nil {
				return err
			}
			return c.showDrained(&r, doesNotAnswer(ctx, client, r.Name))
		}),
	}
}

// doesNotAnswer reports whether a broker is out of reach of the one that is asked: then it has not heard of an order that is for it.
func doesNotAnswer(ctx context.Context, client *api.Client, name string) bool {
	l, err := client.Members(ctx)
	return err == nil && slices.ContainsFunc(l.Members, func(m api.Member) bool {
		return m.Name == name && (m.Away || m.Status == "failed" || strings.HasPrefix(m.Health, "silent"))
	})
}

// showDrained says what was ordered; deaf is whether the broker has not heard of it, since it does not answer.
func (c *cli) showDrained(r *api.DrainedMember, deaf bool) error {
	return c.show(*r, func(w io.Writer) {
		know := "; " + knownSoFar(r.Replicas, r.Degraded)
		switch {
		case !r.Drained && !r.Before:
			row(w, r.Name+" was not drained: nothing changes")
		case !r.Drained:
			row(w, r.Name+" runs jobs again"+know)
			if deaf {
				row(w, "WARNING: "+r.Name+" does not answer, and has not heard of this")
			}
		default:
			row(w, r.Name+" runs no new jobs until `ucp cluster resume "+r.Name+"`"+know)
			if deaf {
				row(w, "WARNING: "+r.Name+" does not answer, and has not heard of this: until it does it may run new jobs, and what runs there is not known")
				return
			}
			row(w, stillThere(r))
			if r.Waits > 0 {
				row(w, plural(r.Waits, "job waits", "jobs wait")+" there, since no other broker can take what waits: it starts when one can, or after the resume")
			}
		}
	})
}

// stillThere says what runs at a broker that was drained, and what becomes of it.
func stillThere(r *api.DrainedMember) string {
	still := plural(r.Running, "job still runs", "jobs still run") + " there"
	if r.Deadline == 0 || r.Running == 0 {
		return still
	}
	move := fmt.Sprintf("at %s what has not ended is moved", clockTime(r.Deadline))
	switch {
	case r.Stay == r.Running:
		return still + "; as things stand NOTHING can be moved at " + clockTime(r.Deadline) + ", since no other broker can take it, or it must not run twice: it runs on"
	case r.Stay > 0:
		return fmt.Sprintf("%s; %s, but as things stand %d of them can't be, since no other broker can take them, or they must not run twice: they run on", still, move, r.Stay)
	}
	return still + "; " + move
}

// knownSoFar says of a change of the cluster, behind what it is, how many brokers hold it.
func knownSoFar(replicas int, degraded bool) string {
	text := plural(replicas, "broker knows", "brokers know") + " this so far"
	if degraded {
		text += ", fewer than --replicas"
	}
	return text
}

// plural counts things.
func plural(n int, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return fmt.Sprintf("%d %s", n, many)
}
