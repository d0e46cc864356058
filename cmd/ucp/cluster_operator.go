package main

import (
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/spf13/cobra"

	"github.com/urban-compute/ucp/city"
)

const operatorHelp = `Makes you an operator of a city, with the key of an authority that lies in the data directory of a
broker on this machine: the way back where no operator is left, or all have lost their keys. It
needs no network, and no broker that runs: who can read that key owns the city anyhow.

Your identity is put into ~/.config/ucp (or UCP_IDENTITY=DIR), which must hold none: move that of
a member who was revoked away first. All brokers take you at once; that a name is yours they hear
when the broker of that directory starts the next time.

Exit code 1 when no authority's key that is in force lies there, or the passphrase is missing.`

// newOperator is what `ucp cluster operator` has made.
type newOperator struct {
	City     string `json:"city"`
	Name     string `json:"name"`
	Identity string `json:"identity"`
}

// operatorCommand is `ucp cluster operator`.
func (c *cli) operatorCommand() *cobra.Command {
	var dataDir, name, passphraseFile string
	cmd := &cobra.Command{
		Use:               "operator --data-dir DIR",
		Short:             "Become an operator by the authority's key on a broker's disk",
		Long:              operatorHelp,
		Example:           "  ucp cluster operator --data-dir ./ucp-data/van-1\n  UCP_IDENTITY=~/.config/ucp/second ucp cluster operator --data-dir /var/lib/ucp --passphrase-file ~/passphrase",
		Args:              exactArgs(),
		ValidArgsFunction: cobra.NoFileCompletions,
	}
	cmd.Flags().StringVar(&dataDir, "data-dir", "", "`DIR` of a broker at which the key of an authority lies")
	cmd.Flags().StringVar(&name, "name", "", "`NAME` of the operator, which is taken from whoever has it (default: your user name, or that with a number)")
	cmd.Flags().StringVar(&passphraseFile, "passphrase-file", "", "`FILE` with the passphrase of the authority's key")
	cmd.RunE = func(*cobra.Command, []string) error {
		if dataDir == "" {
			return errors.New("--data-dir: say which broker's, as for `ucp agent`")
		}
		person := c.personFolder()
		if person == nil {
			return errors.New("there is no place for your identity: set HOME, or UCP_IDENTITY to a directory")
		}
		passphrase, err := passphraseOf(passphraseFile)
		if err != nil {
			return err
		}
		m, err := city.AdmitOperator(city.Of(dataDir), *person, name, c.personName(), passphrase, time.Now())
		if err != nil {
			return err
		}
		out := newOperator{City: m.Admission.City.String(), Name: m.Admission.Name, Identity: string(person.Folder)}
		return c.show(out, func(w io.Writer) {
			row(w, fmt.Sprintf("you are %s, an operator of the city %s (%s)", out.Name, cityNamed("", out.City), out.Identity))
		})
	}
	return cmd
}
