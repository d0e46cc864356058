package main

import (
	"github.com/spf13/cobra"

	"github.com/urban-compute/ucp/executor"
)

// spawnerCommand is the hidden `ucp spawner`: the process that starts a broker's workers, so that the broker itself never
// forks while it serves. Only a broker starts it.
func (c *cli) spawnerCommand() *cobra.Command {
	return &cobra.Command{
		Use:    "spawner",
		Short:  "Start workers for a broker (started by the broker itself)",
		Hidden: true,
		Args:   exactArgs(),
		RunE:   func(*cobra.Command, []string) error { return executor.RunSpawner() },
	}
}
