package main

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/urban-compute/ucp/api"
)

const eventsHelp = `Shows what happens, line by line, as the broker comes to know it: emergencies that are
declared, changed, cleared or over; jobs that make room for others; nodes that come and go;
brokers with which messages pass no longer, or again (health); changes of the strategy;
results that do not count, since a job ran twice in a split. With --kinds job every job's
states instead, all at once with --kinds emergency,preemption,job,member,health,strategy,data.
It goes on until it is interrupted, or the
broker ends. What happened before, and what this broker does not hear of, is not shown: see
"ucp job list" and "ucp emergency get".`

// eventsCommand is `ucp events`: what happens, live.
func (c *cli) eventsCommand() *cobra.Command {
	var kinds string
	cmd := &cobra.Command{
		Use: "events", Short: "Follow what happens: emergencies, preemptions, nodes, jobs", Long: eventsHelp,
		Example: "  ucp events\n  ucp events --kinds emergency,preemption\n  ucp events -o json", Args: exactArgs(), ValidArgsFunction: cobra.NoFileCompletions,
	}
	cmd.Flags().StringVar(&kinds, "kinds", "", "`KIND,...`: "+strings.Join(api.EventKinds, ", ")+" (default: all but data and, of jobs, what is no rejected result)")
	must(cmd.RegisterFlagCompletionFunc("kinds", completeList(api.EventKinds)))
	cmd.RunE = c.withClient(func(ctx context.Context, client *api.Client, _ []string) error {
		ctx, stop := c.interruptible(ctx)
		defer stop()
		err := client.Events(ctx, kinds, "", func(e api.Event) error {
			if c.format == formatJSON {
				b, err := json.Marshal(e)
				if err == nil {
					_, err = fmt.Fprintf(c.out, "%s\n", b)
				}
				return err
			}
			_, err := fmt.Fprintf(c.out, "%s  %-10s  %s\n", e.At.UTC().Format("15:04:05.000"), e.Kind, oneLine(e.Text))
			return err
		})
		if ctx.Err() != nil {
			return nil // interrupted: that is how one ends it
		}
		return err
	})
	return cmd
}
