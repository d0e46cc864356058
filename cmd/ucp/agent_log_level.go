package main

import (
	"context"
	"fmt"
	"io"
	"slices"

	"github.com/spf13/cobra"

	"github.com/urban-compute/ucp/api"
	"github.com/urban-compute/ucp/label"
)

const logLevelHelp = `Shows from which level on the broker at --addr logs what happens, or changes that at once:
debug, info, warn or error. It holds until the broker reads its settings again (SIGHUP) or
restarts; --log-level, or log-level in the config file, is for longer.`

// logLevelCommand is `ucp agent log-level`.
func (c *cli) logLevelCommand() *cobra.Command {
	return &cobra.Command{
		Use: "log-level [LEVEL]", Short: "Show or change how much a running broker logs", Long: logLevelHelp,
		Example: "  ucp agent log-level\n  ucp agent log-level debug\n  ucp agent log-level info --addr 10.0.0.3:8000 -o json",
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) == 0 {
				return nil
			}
			return exactArgs("a level")(cmd, args)
		},
		ValidArgsFunction: func(_ *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
			if len(args) > 0 {
				return nil, cobra.ShellCompDirectiveNoFileComp
			}
			return logLevels, cobra.ShellCompDirectiveNoFileComp | cobra.ShellCompDirectiveKeepOrder
		},
		RunE: c.withClient(func(ctx context.Context, client *api.Client, args []string) error {
			ask := client.LogLevel
			if len(args) > 0 {
				if err := checkLogLevel(args[0]); err != nil {
					return err
				}
				ask = func(ctx context.Context) (api.LogLevel, error) { return client.SetLogLevel(ctx, args[0]) }
			}
			l, err := ask(ctx)
			if err != nil {
				return err
			}
			return c.show(l, func(w io.Writer) { row(w, l.Name+" logs from "+l.Level+" on") })
		}),
	}
}

// checkLogLevel says what may have been meant by a level that there is not.
func checkLogLevel(level string) error {
	if slices.Contains(logLevels, level) {
		return nil
	}
	return fmt.Errorf("level %q: %s", level, label.OneOf(level, logLevels))
}
