package main

import (
	"crypto/rand"
	"io"

	"github.com/spf13/cobra"

	"github.com/urban-compute/ucp/gossip"
)

const keygenHelp = `Draws a key of 256 bits with which the brokers of a cluster encrypt their gossip.

With FILE it makes a keyring of it for "ucp agent --keyring FILE", which only you can read;
bring a copy to each of the other brokers by a way that you trust, such as scp. Without it the key
is printed, as "serf keygen" does: for "serf keys -install", or for "ucp agent --rpc-auth-file".

To replace the key while the cluster runs, at any broker:

  serf keys -install NEW     # all brokers that are there take it, and keep it in their keyring
  serf keys -use NEW         # they send with it
  serf keys -remove OLD      # they no longer take the old one

A broker of a city that was away meanwhile gets the present key from another one when it is back.
Without a city it is not heard until the keyring of another one is copied to it.`

// keygenCommand is `ucp keygen`.
func (c *cli) keygenCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "keygen [FILE]",
		Short: "Make a key with which brokers encrypt their gossip",
		Long:  keygenHelp,
		Example: `  ucp keygen /var/lib/ucp/keyring
  go tool serf keys -install "$(ucp keygen)"`,
		Args: cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := noneEmpty(cmd, args, "FILE"); err != nil {
				return err
			}
			key, err := gossip.NewKey(rand.Reader)
			if err != nil {
				return err
			}
			if len(args) == 1 {
				if err := gossip.NewKeyring(args[0], key); err != nil {
					return err
				}
				return c.show(map[string]string{"file": args[0]}, func(io.Writer) {}) // the file is there: there is nothing to say
			}
			return c.show(map[string]string{"key": key}, func(w io.Writer) { row(w, key) })
		},
	}
}
