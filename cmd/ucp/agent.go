package main

import (
	"io"
	"log/slog"

	"github.com/spf13/cobra"

	"github.com/urban-compute/ucp/executor"
	"github.com/urban-compute/ucp/resolve"
)

const agentHelp = `Starts a broker and runs it until it is told to leave: SIGINT, SIGTERM, or
"serf leave" through its RPC address. It then drains for up to --drain-timeout. A
second signal ends it at once.

The first line of its log names the addresses that were bound, so that every port may be 0:

  msg="broker is up" name=a gossip=127.0.0.1:7946 rpc=127.0.0.1:7373 http=127.0.0.1:8000 actor=...

Every flag can also stand in a YAML file (--config; keys are the flags' names,
unknown keys are errors) or in a variable (--sync-interval is UCP_SYNC_INTERVAL;
lists are separated by commas; an empty variable counts as not set). A flag beats
a variable, a variable beats the file.

On SIGHUP the broker reads the file again: the log level, --retry-join and the files of --tls-cert
and --tls-ca change at once, and what needs a restart is named in the log. "ucp agent log-level
debug" changes the level until then. A terminal that goes away does not end a broker.

A service manager that wants to know (NOTIFY_SOCKET, as of systemd's Type=notify) hears when the broker
is ready, and when it leaves and how long that may take.

Without --data-dir a broker keeps its jobs in ./ucp-data/NAME, where NAME is its
--name or, without one, this machine's host name.

With a data directory that "ucp cluster init" has made, a broker belongs to a city: it speaks TLS 1.3
with members of that only, gossip is encrypted with the city's key, and it listens on all addresses.

Without, HTTP does not authenticate its callers; gossip does with --keyring, which encrypts it, too,
and RPC with --rpc-auth-file. On addresses other than loopback all three need --insecure,
which says that you trust everybody who can reach them.
Pages of other sites are refused in any case; HTTP clients call a broker by an address,
by its own or the machine's name, or by a name given with --http-host.

Exit codes: 0 when the broker has left in good order; 1 on an error, also when it was
ended by a second signal, or when a broker of its name is already there and answers.`

// agentCommand is `ucp agent`: one broker, in the foreground.
func (c *cli) agentCommand() *cobra.Command {
	var flags agentFlags
	cmd := &cobra.Command{
		Use:   "agent",
		Short: "Run a broker",
		Long:  agentHelp,
		Example: `  ucp agent --name a
  ucp agent --name b --bind 10.0.0.2:7946 --insecure --join 10.0.0.1
  ucp agent --label site=north --device camera=1 --cpu 2 --memory 4GiB
  UCP_LOG_FORMAT=json ucp agent --config /etc/ucp.yaml`,
		Args:              exactArgs(),
		ValidArgsFunction: cobra.NoFileCompletions,
	}
	flags.register(cmd.Flags())
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		cfg, err := flags.resolve(cmd.Flags(), c.lookupEnv)
		if err != nil {
			return err
		}
		level := new(slog.LevelVar)
		level.Set(cfg.LogLevel)
		recent := new(recentLog)
		cfg.Logger = newLogger(io.MultiWriter(recent, c.err), level, cfg.LogFormat) // recent first: what can't be written is kept
		cfg.Level, cfg.Recent, cfg.Shown = level, recent.text, shownSettings(cmd.Flags())
		cfg.Notify = newNotifier(c.lookupEnv)
		cfg.Reload = &reload{args: c.args, env: c.lookupEnv, now: texts(cmd.Flags()), level: level, log: cfg.Logger}
		ctx, stop := c.interruptible(cmd.Context())
		defer stop()
		return runAgent(ctx, cfg)
	}
	for name, values := range map[string][]string{"log-level": logLevels, "log-format": logFormats} {
		must(cmd.RegisterFlagCompletionFunc(name, cobra.FixedCompletions(values, cobra.ShellCompDirectiveNoFileComp)))
	}
	cmd.AddCommand(c.logLevelCommand())
	must(cmd.RegisterFlagCompletionFunc("require-sandbox", completeList(executor.Walls)))
	must(cmd.RegisterFlagCompletionFunc("strategy", completeStrategy))
	must(cmd.RegisterFlagCompletionFunc("emergency-strategy", cobra.FixedCompletions([]string{string(resolve.Emergency), keepStrategy}, cobra.ShellCompDirectiveNoFileComp)))
	return cmd
}
