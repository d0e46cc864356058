package main

import (
	"context"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"rsc.io/qr"

	"github.com/urban-compute/ucp/api"
	"github.com/urban-compute/ucp/identity"
)

const inviteHelp = `Invites a machine, a person or a program to the city. The code that is printed holds the address
of the broker that was asked, 96 bits by which the city is known, and a ticket that lets one
key in, once, within --ttl. On the other machine:

  ucp agent --invite CODE     # a broker
  ucp login CODE              # an operator or a client

The broker that is asked has the key of an authority: the one where the city began, or one that
keeps a key of its own (ucp agent --keep-authority). Where that key is encrypted give its
passphrase; the broker then holds the key until the invite is used or over, and such an invite
ends with the broker's process. Only operators may invite.`

// inviteCommand is `ucp cluster invite`.
func (c *cli) inviteCommand() *cobra.Command {
	var in api.Invitation
	var ttl time.Duration
	var passphraseFile string
	cmd := &cobra.Command{
		Use:               "invite",
		Short:             "Invite a machine, a person or a program to the city",
		Long:              inviteHelp,
		Example:           "  ucp cluster invite --name van-3\n  ucp cluster invite --role client --ttl 10m",
		Args:              exactArgs(),
		ValidArgsFunction: cobra.NoFileCompletions,
	}
	cmd.Flags().StringVar(&in.Name, "name", "", "`NAME` of the new member (default: it chooses)")
	cmd.Flags().StringVar(&in.Role, "role", string(identity.Broker), "broker, operator or client")
	cmd.Flags().DurationVar(&ttl, "ttl", time.Hour, "how long the invite holds")
	cmd.Flags().StringVar(&in.Addr, "at", "", "`HOST:PORT` at which the new member reaches the broker that is asked (default: what its peers are told)")
	cmd.Flags().StringVar(&passphraseFile, "passphrase-file", "", "`FILE` with the passphrase of the authority's key at that broker")
	must(cmd.RegisterFlagCompletionFunc("role", cobra.FixedCompletions([]string{"broker", "operator", "client"}, cobra.ShellCompDirectiveNoFileComp)))
	cmd.RunE = c.withClient(func(ctx context.Context, client *api.Client, _ []string) error {
		var err error
		if in.Passphrase, err = passphraseOf(passphraseFile); err != nil {
			return err
		}
		in.TTL = ttl.String()
		invite, err := client.Invite(ctx, in)
		if err != nil {
			return err
		}
		return c.show(invite, func(w io.Writer) {
			row(w, invite.Code)
			verb := map[bool]string{true: "ucp agent --invite", false: "ucp login"}[invite.Role == string(identity.Broker)]
			use := fmt.Sprintf("until %s, once: %s %s", invite.Ends.Local().Format(time.TimeOnly), verb, invite.Code)
			if c.outColumns() == 0 { // CODE=$(ucp cluster invite) is the code
				fmt.Fprintln(c.err, use)
				return
			}
			row(w, "")
			row(w, use)
			if code, err := qr.Encode(invite.Code, qr.M); err == nil && c.outColumns() >= code.Size+2*quietZone {
				row(w, "")
				drawQR(w, code)
			}
		})
	})
	return cmd
}

// quietZone is how many light modules there are around a QR code.
const quietZone = 4

// drawQR draws a code on a terminal, two rows of it in each line. Light is drawn, so that it can be read from a dark screen.
func drawQR(w io.Writer, code *qr.Code) {
	light := func(x, y int) bool { return !code.Black(x, y) } // all around it is light
	for y := -quietZone; y < code.Size+quietZone; y += 2 {
		var line strings.Builder
		for x := -quietZone; x < code.Size+quietZone; x++ {
			line.WriteString(map[[2]bool]string{{true, true}: "█", {true, false}: "▀", {false, true}: "▄", {false, false}: " "}[[2]bool{light(x, y), light(x, y+1)}])
		}
		row(w, line.String())
	}
}
