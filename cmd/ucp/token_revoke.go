package main

import (
	"context"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/urban-compute/ucp/api"
)

const tokenRevokeHelp = `Ends all tokens of a subject that were made until now, or until --until, and all that were made
of them: wherever that becomes known they are refused, and streams that are open end. Tokens that
are made later hold. The broker that is asked signs that with its authority's key.

Times are those that stand in the tokens, by the clock of who made them: if that clock is ahead,
choose a later --until.`

// tokenRevokeCommand is `ucp token revoke`.
func (c *cli) tokenRevokeCommand() *cobra.Command {
	var passphraseFile, until string
	cmd := &cobra.Command{
		Use:               "revoke SUBJECT",
		Short:             "End the tokens of a subject that were made until now",
		Long:              tokenRevokeHelp,
		Example:           "  ucp token revoke ci\n  ucp token revoke ci --until 2026-01-31T15:04:05Z",
		Args:              exactArgs("the subject of the tokens"),
		ValidArgsFunction: cobra.NoFileCompletions,
	}
	c.passphraseFlag(cmd, &passphraseFile)
	cmd.Flags().StringVar(&until, "until", "", "`TIME` (RFC 3339) until which they were made (default: now)")
	cmd.RunE = c.withClient(func(ctx context.Context, client *api.Client, args []string) error {
		in := api.RevocationOrder{TokensOf: args[0]}
		var err error
		if in.Passphrase, err = passphraseOf(passphraseFile); err != nil {
			return err
		}
		if until != "" {
			at, err := time.Parse(time.RFC3339, until)
			if err != nil {
				return fmt.Errorf("--until %q: write 2026-01-31T15:04:05Z", until)
			}
			in.Until = &at
		}
		said, err := client.Revoke(ctx, in)
		if err != nil {
			return err
		}
		return c.showSaid(said, "the tokens of "+args[0]+" are revoked")
	})
	return cmd
}
