package main

import (
	"context"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/urban-compute/ucp/api"
	"github.com/urban-compute/ucp/emergency"
	"github.com/urban-compute/ucp/job"
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
		RunE: c.reading(func(ctx context.Context, client *api.Client, _ []string) error {
			s, err := client.Strategy(ctx)
			if err != nil {
				return err
			}
			inForce := commanding(ctx, client)
			return c.show(s, func(w io.Writer) { strategyTable(w, &s, inForce) })
		}),
	}
}

const (
	strategyIntro = `Changes how jobs that can't all run are decided. It takes effect at once, without a
restart and without losing a job:`
	strategyScope = `With --cluster every broker adopts it, also those that join later. Without --cluster
only the broker that is asked does, until the cluster's strategy is changed or that
broker restarts.

While an emergency of level high or critical is in force, the brokers in its scope decide
by "emergency" and then again as before (ucp agent --emergency-strategy keep: not). What
is set during the emergency beats that.`
)

// strategyTable shows how a broker decides, and warns when it does not by emergency while one is in force.
func strategyTable(w io.Writer, s *api.Strategy, inForce string) {
	row(w, strategyLine(s.Strategy, s.Chosen, s.Emergency))
	x := resolve.Strategy(s.Strategy)
	if _, otherwise := resolve.Commanded(x, inForce); inForce != "" && otherwise != nil {
		row(w, fmt.Sprintf("WARNING: %s is in force: by %s a job of its level %s (`ucp strategy set emergency`)", inForce, x, x.Levels()))
	}
}

// strategyLine is a strategy, and for which emergency it decides instead of the chosen one.
func strategyLine(strategy, chosen, emergency string) string {
	if emergency == "" {
		return strategy
	}
	return fmt.Sprintf("%s (while %s is in force; otherwise %s)", strategy, emergency, chosen)
}

// strategyHelp explains each strategy in a line.
func strategyHelp() string {
	var b strings.Builder
	for _, s := range resolve.All() {
		fmt.Fprintf(&b, "  %-10s %s", s, s.Help())
		if s == resolve.Default {
			b.WriteString(" (default)")
		}
		b.WriteByte('\n')
	}
	return strategyIntro + "\n\n" + b.String() + "\n" + strategyScope
}

// completeStrategy completes a strategy's name.
func completeStrategy(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
	var names []string
	for _, s := range resolve.All() {
		names = append(names, string(s))
	}
	return names, cobra.ShellCompDirectiveNoFileComp
}

func (c *cli) strategySetCommand() *cobra.Command {
	var cluster bool
	cmd := &cobra.Command{
		Use: "set NAME", Short: "Change how competing jobs are decided", Long: strategyHelp(),
		Example: "  ucp strategy set emergency --cluster\n  ucp strategy set fcfs", Args: exactArgs("a strategy"),
		ValidArgsFunction: completeStrategy,
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
		inForce := commanding(ctx, client)
		return c.show(s, func(w io.Writer) {
			strategyTable(w, &s, inForce)
			if len(s.Others) > 0 {
				row(w, othersLine(s.Others, s.Commanded))
			}
		})
	})
	return cmd
}

// commanding is the first emergency in force at a broker that makes brokers decide by emergency, "" if there is none, or
// that can't be known.
func commanding(ctx context.Context, client *api.Client) string {
	l, err := client.Emergencies(ctx)
	if err != nil {
		return ""
	}
	for _, e := range l.Emergencies {
		if e.Active && e.InScope && emergency.CommandsAt(job.Level(e.Level)) {
			return string(e.ID)
		}
	}
	return ""
}

// othersLine says which brokers decide otherwise than the one where a strategy was set by hand.
// Commanded says for which emergency some of them decide otherwise for the moment.
func othersLine(others map[string][]string, commanded map[string]string) string {
	var parts []string
	for _, by := range slices.Sorted(maps.Keys(others)) {
		groups := map[string][]string{}
		for _, name := range others[by] {
			line := by
			if id := commanded[name]; id != "" {
				line = strategyLine(string(resolve.Emergency), by, id)
			}
			groups[line] = append(groups[line], name)
		}
		for _, line := range slices.Sorted(maps.Keys(groups)) {
			parts = append(parts, strings.TrimSuffix(abridged(groups[line]), ":")+" by "+line)
		}
	}
	return "at this broker alone: others still decide otherwise, " + strings.Join(parts, ", ") + " (--cluster changes all)"
}
