package main

import (
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// foreign are variables of ours that other programs of the project read, or that a job finds; ucp itself does not.
var foreign = []string{
	"UCP_JOB_ID", "UCP_ATTEMPT", // of a job
	"UCP_CLUSTER_DIR", "UCP_BIN", "UCP_CLUSTER_WAIT", "UCP_AGENT_ARGS", // of scripts
	"UCP_BENCH_PROFILES", "UCP_BENCH_ROLE", "UCP_FAULTS", "UCP_FIGURES", "UCP_RECORD", "UCP_SEED", "UCP_SEEDS", "UCP_STOPPED",
	"UCP_RELEASE_TEST", "UCP_TRIALS", "UCP_WASI_TESTSUITE", // of tests
}

// warnOfVariables says which UCP_* variables nobody reads: a slip of the pen in one would otherwise change nothing, and
// say nothing.
func (c *cli) warnOfVariables(cmd *cobra.Command) {
	if cmd.Hidden {
		return // it is no person that starts those
	}
	known := slices.Concat([]string{"UCP_ADDR", "UCP_FORMAT", identityVariable, tokenVariable, tokenFileVariable}, foreign)
	agent, _, err := cmd.Root().Find([]string{"agent"})
	must(err)
	agent.Flags().VisitAll(func(f *pflag.Flag) {
		if isSetting(f) {
			known = append(known, variable(f.Name))
		}
	})
	var unknown []string
	for _, pair := range c.environ() {
		name, _, _ := strings.Cut(pair, "=")
		if strings.HasPrefix(name, "UCP_") && !slices.Contains(known, name) {
			unknown = append(unknown, name)
		}
	}
	slices.Sort(unknown)
	for _, name := range unknown {
		hint := ""
		if near := nearest(name, known); near != "" {
			hint = fmt.Sprintf("; did you mean %s?", near)
		}
		fmt.Fprintf(c.err, "ucp: the variable %s means nothing to ucp%s\n", oneLine(name), hint)
	}
}
