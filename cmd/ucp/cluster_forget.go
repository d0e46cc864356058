package main

import (
	"context"
	"fmt"
	"io"

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
theirs first. In a city it does not come back: its membership ends, too, if the authority's
key of the broker that is asked may say so without a passphrase; else 'ucp cluster revoke'
does it. It may be invited again under its name.

Exit code 1 when it is refused.`

// forgetCommand is `ucp cluster forget`.
func (c *cli) forgetCommand() *cobra.Command {
	return &cobra.Command{
		Use:               "forget NAME",
		Short:             "Give up a broker that will not come back",
		Long:              forgetHelp,
		Example:           "  ucp members\n  ucp cluster forget pump-station-3\n  ucp cluster forget b3 -o json",
		Args:              exactArgs("the name of a broker"),
		ValidArgsFunction: c.completeAway(),
		RunE: c.withClient(func(ctx context.Context, client *api.Client, args []string) error {
			r, err := client.RemoveMember(ctx, args[0])
			if err != nil {
				return err
			}
			return c.show(r, func(w io.Writer) {
				row(w, r.Name+" no longer takes part; "+knownSoFar(r.Replicas, r.Degraded))
				row(w, lossLine(r.Losses, r.Bear))
				if r.StillMember != "" {
					row(w, "its membership of the city has not ended (ucp cluster revoke "+r.Name+"): "+r.StillMember)
				}
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
