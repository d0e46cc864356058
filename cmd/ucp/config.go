package main

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// configCommand is `ucp config`.
func (c *cli) configCommand() *cobra.Command {
	g := group(&cobra.Command{Use: "config", Short: "Check a broker's config file"})
	g.AddCommand(c.configCheckCommand())
	return g
}

const configCheckHelp = `Reads a config file as "ucp agent --config FILE" would, and says all that is wrong with it, with
the lines. Nothing is started and no broker is asked. Variables (UCP_*) of this shell and
flags are left out: they beat the file where the agent is started with them.`

func (c *cli) configCheckCommand() *cobra.Command {
	return &cobra.Command{
		Use: "check FILE", Short: "Say what is wrong with a config file, without starting a broker", Long: configCheckHelp,
		Example: "  ucp config check /etc/ucp.yaml", Args: exactArgs("a config file"),
		RunE: func(_ *cobra.Command, args []string) error {
			n, err := checkConfig(args[0])
			if err != nil {
				return err
			}
			answer := struct {
				File     string `json:"file"`
				Settings int    `json:"settings"` // that the file has
			}{args[0], n}
			return c.show(answer, func(w io.Writer) { row(w, fmt.Sprintf("%s: in order, %d settings", args[0], n)) })
		},
	}
}

// checkConfig reads a config file as an agent would without flags and variables. It returns how many settings the file has.
func checkConfig(path string) (settings int, err error) {
	var f agentFlags
	fs := pflag.NewFlagSet("agent", pflag.ContinueOnError)
	f.register(fs)
	f.config = path
	if _, err := f.resolve(fs, func(string) (string, bool) { return "", false }); err != nil {
		var m mistakes
		m.add(err)
		slices.SortStableFunc(m, func(a, b error) int { return cmp.Compare(lineIn(path, a), lineIn(path, b)) })
		if len(m) == 1 {
			return 0, errors.New(strings.TrimPrefix(m[0].Error(), "--config: "))
		}
		return 0, m
	}
	for _, from := range f.origin {
		if from[0] != '-' {
			settings++
		}
	}
	return settings, nil
}

// lineIn is the line of a file that a mistake names; 0 where it names none.
func lineIn(path string, mistake error) int {
	text, ok := strings.CutPrefix(mistake.Error(), path+":")
	if !ok {
		return 0
	}
	digits, _, _ := strings.Cut(text, ":")
	n, err := strconv.Atoi(digits)
	if err != nil {
		return 0
	}
	return n
}
