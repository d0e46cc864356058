package main

import (
	"os"

	"github.com/spf13/cobra"

	"github.com/urban-compute/ucp/executor"
)

// workerCommand is the hidden `ucp worker`: the process in which a broker runs
// jobs, one after another. Only a broker starts it. A wasm job may still run
// when RunWorker returns; main ends the process at once.
func (c *cli) workerCommand() *cobra.Command {
	return &cobra.Command{
		Use:    "worker",
		Short:  "Run jobs for a broker (started by the broker itself)",
		Hidden: true,
		Args:   exactArgs(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			return executor.RunWorker(cmd.Context(), os.Stdin, os.Stdout)
		},
	}
}
