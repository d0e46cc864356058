package main

import (
	"context"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"github.com/urban-compute/ucp/api"
	"github.com/urban-compute/ucp/resolve"
)

// strategyCommand is `ucp strategy`.
func (c *cli) strategyCommand() *cobra.Command {
	g := group(&cobra.Command{Use: "strategy", Short: "See or change how competing jobs are decided"})
	g.AddCommand(c.strategyGetCommand(), c.strategySetCommand())
	return g
}

func (c *cli) strategyGetCommand() *cobra.Command {
	return &cobra.Command{
		Use: "get", Short: "Show how this broker decides between jobs that can't all run",
		Example: "  ucp strategy get", Args: exactArgs(), ValidArgsFunction: cobra.NoFileCompletions,
		RunE: c.withClient(func(ctx context.Context, client *api.Client, _ []string) error {
			s, err := client.Strategy(ctx)
			if err != nil {
				return err
			}
			return c.show(s, func(w io.Writer) { row(w, s.Strategy) })
		}),
	}
}

const strategyHelp = `Changes how jobs that can't all run are decided. It takes effect at once, without a
restart and without losing a job:

  causal     what the submitter had seen comes first; unrelated jobs by score (default)
  priority   the higher score first; stops running jobs that are worse by a margin
  emergency  the emergency level is absolute; stops lower levels
  optimal    packs the most value into what there is
  fcfs       first come, first served

With --cluster every broker adopts it, also those that join later. Without --cluster
only the broker that is asked does, until the cluster's strategy is changed or that
broker restarts.`

// strategyNames lists the strategies for a help text.
func strategyNames() string {
	var names []string
	for _, s := range resolve.All() {
		names = append(names, string(s))
	}
	return strings.Join(names, ", ")
}

func (c *cli) strategySetCommand() *cobra.Command {
	var cluster bool
	cmd := &cobra.Command{
		Use: "set NAME", Short: "Change how competing jobs are decided", Long: strategyHelp,
		Example: "  ucp strategy set emergency --cluster\n  ucp strategy set fcfs", Args: exactArgs("a strategy"),
		ValidArgsFunction: func(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
			return strings.Split(strategyNames(), ", "), cobra.ShellCompDirectiveNoFileComp
		},
	}
	cmd.Flags().BoolVar(&cluster, "cluster", false, "for all brokers, also those that join later")
	cmd.RunE = c.withClient(func(ctx context.Context, client *api.Client, args []string) error {
		if _, err := resolve.ParseStrategy(args[0]); err != nil {
			return err
		}
		s, err := client.SetStrategy(ctx, args[0], cluster)
		if err != nil {
			return err
		}
		return c.show(s, func(w io.Writer) { row(w, s.Strategy) })
	})
	return cmd
}
