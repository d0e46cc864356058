package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/urban-compute/ucp/api"
	"github.com/urban-compute/ucp/label"
)

// cli is what a verb may use of the world outside, so that tests can give their
// own, and the values of the global flags.
type cli struct {
	in       io.Reader
	out, err io.Writer

	lookupEnv func(string) (string, bool)
	environ   func() []string                      // NAME=VALUE
	terminal  bool                                 // err is watched by a person
	width     func(w io.Writer) int                // columns of the screen that a stream of ours goes to, 0 if it is none
	signals   func(chan<- os.Signal) (undo func()) // asks for SIGINT and SIGTERM
	exit      func(code int)                       // ends the process at once

	args []string // the command line

	reads *api.Client // of a verb that shows what its broker knows; see reading

	addr      string
	tokenFile string
	format    formatValue
}

// formatValue is the value of -o.
type formatValue string

const (
	formatTable formatValue = "table"
	formatJSON  formatValue = "json"
)

func (f *formatValue) String() string { return string(*f) }
func (f *formatValue) Type() string   { return "table|json" }
func (f *formatValue) Set(s string) error {
	switch v := formatValue(s); v {
	case formatTable, formatJSON:
		*f = v
		return nil
	}
	return errors.New(label.OneOf(s, []string{string(formatTable), string(formatJSON)}))
}

const rootHelp = `ucp runs jobs (WebAssembly modules or native programs) on a cluster of brokers
that needs no leader, no database and no uplink.

Alone it shows how things are, like "ucp status". Every verb but "agent", "config", "keygen", "module",
"cluster init", "token" and what "audit" does with copies talks to one broker. Any one will do, since
each can answer for every job: the one at --addr, else at UCP_ADDR, else at
` + api.DefaultAddr + `. Either may
name several, with commas between them: the first that answers is asked.

Exit codes: 0 ok; 1 error; 2 not placed within --place-timeout. "run" and
"job wait" end with the job's own exit code, 128+n for signal n; with 124 when the
job's timeout has ended it; and with 1 when there is no code that tells of its failure.
What the code does not tell, such as a limit that the job has exceeded, is on stderr.`

// rootCommand builds the whole tree of verbs.
func (c *cli) rootCommand() *cobra.Command {
	c.format = formatTable
	root := group(&cobra.Command{
		Use:   "ucp",
		Short: "Run jobs on a cluster of brokers that needs no leader",
		Long:  rootHelp,
		Example: `  ucp agent --name a --data-dir /var/lib/ucp
  ucp run quake.wasm --input quake.csv=today.csv -- quake.csv
  ucp job list
  ucp status`,
		SilenceErrors: true,
		SilenceUsage:  true,
		PersistentPreRunE: func(cmd *cobra.Command, _ []string) error {
			c.warnOfVariables(cmd)
			if err := noneUnset(cmd); err != nil {
				return err
			}
			return c.globalsFromEnv(cmd.Root().PersistentFlags())
		},
	})
	verbs := root.RunE
	root.RunE = func(cmd *cobra.Command, args []string) error {
		if len(args) == 0 {
			return c.alone(cmd.Context())
		}
		return verbs(cmd, args)
	}
	root.PersistentFlags().StringVar(&c.addr, "addr", api.DefaultAddr, "`HOST:PORT,...`, URL or unix:PATH of the broker to talk to; of several the first that answers (UCP_ADDR)")
	root.PersistentFlags().StringVar(&c.tokenFile, "token-file", "", "`FILE` with the token to show (UCP_TOKEN_FILE; or the token itself in UCP_TOKEN)")
	root.PersistentFlags().VarP(&c.format, "format", "o", "output format (UCP_FORMAT)")
	must(root.RegisterFlagCompletionFunc("format", cobra.FixedCompletions([]string{"table", "json"}, cobra.ShellCompDirectiveNoFileComp)))
	must(root.RegisterFlagCompletionFunc("addr", cobra.NoFileCompletions))
	root.SetFlagErrorFunc(explainFlag)
	root.AddCommand(
		c.agentCommand(), c.auditCommand(), c.carryCommand(), c.runCommand(), c.jobCommand(), c.clusterCommand(), c.membersCommand(),
		c.strategyCommand(), c.configCommand(), c.conflictCommand(), c.dataCommand(), c.debugCommand(), c.emergencyCommand(), c.eventsCommand(), c.healthCommand(), c.keygenCommand(), c.loginCommand(), c.manCommand(), c.moduleCommand(), c.planCommand(),
		c.spawnerCommand(), c.statusCommand(), c.tokenCommand(), c.topCommand(), c.traceCommand(), c.versionCommand(), c.workerCommand(),
	)
	offerNoFiles(root)
	sayNeeds(root)
	return root
}

// outColumns is how wide the screen is that stdout goes to, 0 where it goes to none.
func (c *cli) outColumns() int { return c.width(c.out) }

// must is for mistakes in this program's own tables, which every test run meets.
func must(err error) {
	if err != nil {
		panic(err)
	}
}

// globalsFromEnv gives the global flags that were not named on the command line
// the values of their variables.
func (c *cli) globalsFromEnv(fs *pflag.FlagSet) error {
	for name, variable := range map[string]string{"addr": "UCP_ADDR", "format": "UCP_FORMAT"} {
		v, ok := c.lookupEnv(variable)
		if !ok || v == "" || fs.Changed(name) {
			continue
		}
		if err := fs.Lookup(name).Value.Set(v); err != nil {
			return fmt.Errorf("variable %s=%q: %w", variable, v, err)
		}
	}
	if f := c.personFolder(); c.addr == api.DefaultAddr && !fs.Changed("addr") && f != nil { // who has logged in elsewhere was told of brokers
		if brokers := f.Brokers(); len(brokers) > 0 {
			c.addr = strings.Join(brokers, ",")
		}
	}
	return nil
}

// client makes the client of the broker that the person named.
func (c *cli) client() (*api.Client, error) {
	client, err := c.connect(c.addr)
	if err != nil {
		return nil, fmt.Errorf("--addr or UCP_ADDR: %w", err)
	}
	return client, nil
}

// noneUnset refuses flags of which the value is empty, which a script gives where a variable is not set: without it a choice
// of jobs would have one condition less, and mean more of them.
func noneUnset(cmd *cobra.Command) (err error) {
	if cmd.Name() == "agent" || cmd.Hidden {
		return nil // there an empty value counts as none, as in its file and its variables
	}
	cmd.Flags().Visit(func(f *pflag.Flag) {
		empty := f.Value.String() == ""
		if list, isList := f.Value.(pflag.SliceValue); isList {
			empty = len(list.GetSlice()) == 0 || slices.Contains(list.GetSlice(), "")
		}
		if empty && !slices.Contains([]string{"addr", "message", "causal-token"}, f.Name) { // these may be empty
			err = fmt.Errorf("--%s is given without a value; see `%s --help`", f.Name, cmd.CommandPath())
		}
	})
	return err
}

// readable says what a value must look like where a library says how it has read it.
func readable(f *pflag.Flag, err error) error {
	var number *strconv.NumError
	switch kind := f.Value.Type(); {
	case kind == "duration":
		return errors.New("write a duration with its unit, such as 90s, 5m or 1h30m")
	case kind == "int" && errors.As(err, &number):
		return errors.New("write a whole number")
	case kind == "bool" && errors.As(err, &number):
		return errors.New("write true or false")
	}
	return err
}

// explainFlag says which verb's help knows better, and what may have been meant.
func explainFlag(cmd *cobra.Command, err error) error {
	hint := fmt.Sprintf("see `%s --help`", cmd.CommandPath())
	var invalid *pflag.InvalidValueError
	if errors.As(err, &invalid) {
		f := invalid.GetFlag()
		name := "--" + f.Name
		if f.Shorthand != "" {
			name = "-" + f.Shorthand
		}
		err = fmt.Errorf("%s %q: %w", name, invalid.GetValue(), readable(f, invalid.Unwrap()))
	}
	var unknown *pflag.NotExistError
	if errors.As(err, &unknown) {
		if words := cmd.Flags().Args(); cmd.HasSubCommands() && len(words) > 0 { // the flag is of the verb that was meant
			return noSuchVerb(cmd, words[0])
		}
		var names []string
		cmd.Flags().VisitAll(func(f *pflag.Flag) {
			if !f.Hidden {
				names = append(names, f.Name)
			}
		})
		if near := nearest(unknown.GetSpecifiedName(), names); near != "" {
			hint = fmt.Sprintf("did you mean --%s? %s", near, hint)
		}
	}
	return fmt.Errorf("%w; %s", err, hint)
}

// group makes a verb that only holds others: alone it shows its help, with
// anything that it does not know it says so.
func group(cmd *cobra.Command) *cobra.Command {
	cmd.Args = cobra.ArbitraryArgs
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if len(args) == 0 {
			return cmd.Help()
		}
		return noSuchVerb(cmd, args[0])
	}
	return cmd
}

// noSuchVerb says which verbs a command has, and which of them may have been meant.
func noSuchVerb(cmd *cobra.Command, word string) error {
	var names []string
	for _, sub := range cmd.Commands() {
		if !sub.Hidden {
			names = append(names, sub.Name())
		}
	}
	hint := "it has: " + strings.Join(names, ", ")
	if near := cmp.Or(nearest(word, names), label.Begun(word, names)); near != "" {
		hint = fmt.Sprintf("did you mean %q? %s", near, hint)
	}
	return fmt.Errorf("there is no `%s %s`; %s", cmd.CommandPath(), word, hint)
}

// exactArgs wants the named arguments, no fewer and no more.
func exactArgs(names ...string) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		switch {
		case len(args) < len(names):
			return fmt.Errorf("`%s` needs %s; see `%s --help`", cmd.CommandPath(), names[len(args)], cmd.CommandPath())
		case len(args) > len(names):
			return fmt.Errorf("unexpected argument %q; see `%s --help`", args[len(names)], cmd.CommandPath())
		}
		return noneEmpty(cmd, args, names...)
	}
}

// someArgs takes one argument of that name, or more.
func someArgs(name string) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		if len(args) == 0 {
			return exactArgs(name)(cmd, args)
		}
		return noneEmpty(cmd, args, name)
	}
}

// noneEmpty refuses arguments without any text, which a script passes where a variable is not set: an empty ID would mean
// any job. The last name is that of all further arguments.
func noneEmpty(cmd *cobra.Command, args []string, names ...string) error {
	if i := slices.Index(args, ""); i >= 0 {
		return fmt.Errorf("`%s` needs %s, and what is given is empty; see `%s --help`", cmd.CommandPath(), names[min(i, len(names)-1)], cmd.CommandPath())
	}
	return nil
}

// withClient makes the body of a verb that asks a broker.
func (c *cli) withClient(do func(ctx context.Context, client *api.Client, args []string) error) func(*cobra.Command, []string) error {
	return func(cmd *cobra.Command, args []string) error {
		client, err := c.client()
		if err != nil {
			return err
		}
		defer client.Close()
		return do(cmd.Context(), client, args)
	}
}
