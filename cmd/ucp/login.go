package main

import (
	"errors"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"github.com/urban-compute/ucp/identity"
)

const loginHelp = `Makes you a member of a city, by an invite that one of its operators has got with
"ucp cluster invite --role operator" or "--role client". Your key is made here, and stays in
~/.config/ucp (or UCP_IDENTITY=DIR), readable by you only. From then on ucp speaks TLS and shows who you are to
all brokers whose address has no scheme; to one that belongs to no city write http://HOST:PORT.

The code is typed in letters of either case; dashes may be left out. It can be used once.`

// login is what `ucp login` came to.
type login struct {
	Name    string   `json:"name"`
	Role    string   `json:"role"`
	City    string   `json:"city"`
	Brokers []string `json:"brokers"`
}

// loginCommand is `ucp login`.
func (c *cli) loginCommand() *cobra.Command {
	var name string
	cmd := &cobra.Command{
		Use:               "login CODE",
		Short:             "Become a member of a city, by an invite",
		Long:              loginHelp,
		Example:           "  ucp login 0K3M-...@10.0.0.1:8000",
		Args:              exactArgs("an invite code"),
		ValidArgsFunction: cobra.NoFileCompletions,
	}
	cmd.Flags().StringVar(&name, "name", "", "`NAME` that you would like to have, where the invite has none (default: your user name, or that with a number)")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		invite, err := identity.ParseInvite(args[0])
		if err != nil {
			return err
		}
		f := c.personFolder()
		if f == nil {
			return errors.New("there is no place for your identity: set HOME, or UCP_IDENTITY to a directory")
		}
		if f.Held() {
			return fmt.Errorf("%s holds an identity already: you belong to a city; set UCP_IDENTITY to another directory", f.Folder)
		}
		m, got, err := enterAs(cmd.Context(), invite, *f, name, c.personName(), false)
		if err != nil {
			return err
		}
		out := login{m.Admission.Name, string(m.Admission.Role), m.Admission.City.String(), got.Brokers}
		return c.show(out, func(w io.Writer) {
			row(w, fmt.Sprintf("you are %s (%s) in the city %s; ucp asks %s unless it is told otherwise", out.Name, out.Role, cityNamed(got.City, out.City), got.Brokers[0]))
		})
	}
	return cmd
}

// cityNamed is a city as people call it.
func cityNamed(name, hash string) string {
	if name != "" {
		return name
	}
	return hash[:12]
}
