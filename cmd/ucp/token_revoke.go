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
	var until string
	cmd := c.ordering(&cobra.Command{
		Use:               "revoke SUBJECT",
		Short:             "End the tokens of a subject that were made until now",
		Long:              tokenRevokeHelp,
		Example:           "  ucp token revoke ci\n  ucp token revoke ci --until 2026-01-31T15:04:05Z",
		Args:              exactArgs("the subject of the tokens"),
		ValidArgsFunction: cobra.NoFileCompletions,
	}, func(ctx context.Context, client *api.Client, subject, passphrase string) (said api.Said, text string, err error) {
		in := api.RevocationOrder{TokensOf: subject, Passphrase: passphrase}
		if until != "" {
			at, err := time.Parse(time.RFC3339, until)
			if err != nil {
				return said, "", fmt.Errorf("--until %q: write 2026-01-31T15:04:05Z", until)
			}
			in.Until = &at
		}
		said, err = client.Revoke(ctx, in)
		return said, "the tokens of " + subject + " are revoked", err
	})
	cmd.Flags().StringVar(&until, "until", "", "`TIME` (RFC 3339) until which they were made (default: now)")
	return cmd
}
