package main

import (
	"context"
	"fmt"
	"io"
	"time"

	"github.com/spf13/cobra"

	"github.com/urban-compute/ucp/api"
)

const forgetHelp = `Says that a broker will not come back: nobody waits for it any more. While a broker is
away, the results of jobs that it may know better stay provisional, and finished jobs are
not forgotten, for as long as it takes; 'ucp members' says who is away, and since when.

It gives up what only that broker holds: jobs that it took while it was cut off, results
that it has told nobody, and blobs without a copy elsewhere. And it counts as one loss: a
result that was shown as firm stays as it is while fewer than --replicas brokers in all are
removed, wiped or restored from a copy.

It is refused while the broker is there: stop that one, and it leaves by itself. If it does
come back, it takes part again after it has met the others; its jobs are compared with
theirs first.

Exit code 1 when it is refused.`

// forgetCommand is `ucp cluster forget`.
func (c *cli) forgetCommand() *cobra.Command {
	return &cobra.Command{
		Use:               "forget NAME",
		Short:             "Give up a broker that will not come back",
		Long:              forgetHelp,
		Example:           "  ucp members\n  ucp cluster forget pump-station-3\n  ucp cluster forget b3 -o json",
		Args:              exactArgs("the name of a broker"),
		ValidArgsFunction: c.completeAway,
		RunE: c.withClient(func(ctx context.Context, client *api.Client, args []string) error {
			r, err := client.RemoveMember(ctx, args[0])
			if err != nil {
				return err
			}
			return c.show(r, func(w io.Writer) {
				row(w, fmt.Sprintf("%s takes part no more; %d brokers know it so far%s", r.Name, r.Replicas, map[bool]string{true: ", fewer than --replicas"}[r.Degraded]))
				row(w, lossLine(r.Losses, r.Bear))
			})
		}),
	}
}

// lossLine says what losses mean for results that were shown as firm.
func lossLine(losses, bear int) string {
	text := fmt.Sprintf("removed and not back: %d; firm results stay as they are with up to %d removed, wiped or restored", losses, bear)
	if losses > bear {
		text += ": they may change now"
	}
	return text
}

// completeAway completes the names of brokers that are away.
func (c *cli) completeAway(cmd *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
	const directive = cobra.ShellCompDirectiveNoFileComp
	client, ok := c.completer(cmd)
	if !ok || len(args) > 0 {
		return nil, directive
	}
	ctx, cancel := context.WithTimeout(context.Background(), completeTimeout)
	defer cancel()
	l, err := client.Members(ctx)
	if err != nil {
		return nil, cobra.ShellCompDirectiveError
	}
	var out []string
	for _, m := range l.Members {
		if m.Away {
			out = append(out, cobra.CompletionWithDesc(m.Name, inRoll(&m, time.Now())))
		}
	}
	return out, directive
}
