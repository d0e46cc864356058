package main

import (
	"crypto/rand"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"

	"github.com/urban-compute/ucp/city"
	"github.com/urban-compute/ucp/gossip"
	"github.com/urban-compute/ucp/label"
)

const initHelp = `Begins a city: a cluster that nobody enters who was not invited, and in which everything is
encrypted. It needs no network. In the data directory of this machine's broker it makes the key of the
city's first authority, which lets others in, the broker's own identity, and the key of the
gossip; and for you the identity of an operator, in ~/.config/ucp (or UCP_IDENTITY=DIR;
UCP_IDENTITY=- for none). A broker that is started with that directory then speaks TLS, and
is reached by members of the city only.

The authority's key is encrypted if you give a passphrase: the first line of a file that only you can
read. Whoever has the key and knows the passphrase owns the city; it can't be taken back from them.
Keep a copy of the directory "identity", and the passphrase, where no broker runs.`

// made is what `ucp cluster init` has made.
type made struct {
	City      string `json:"city"`
	Name      string `json:"name,omitempty"`
	Broker    string `json:"broker"`
	Operator  string `json:"operator,omitempty"`
	Identity  string `json:"identity"`
	Encrypted bool   `json:"encrypted"`
}

// initCommand is `ucp cluster init`.
func (c *cli) initCommand() *cobra.Command {
	var dataDir, name, cityName, passphraseFile string
	cmd := &cobra.Command{
		Use:   "init",
		Short: "Begin a city: a cluster that nobody enters who was not invited",
		Long:  initHelp,
		Example: `  ucp cluster init && ucp agent
  ucp cluster init --city riverside --name van-1 --data-dir /var/lib/ucp --passphrase-file ~/passphrase`,
		Args:              exactArgs(),
		ValidArgsFunction: cobra.NoFileCompletions,
	}
	cmd.Flags().StringVar(&dataDir, "data-dir", "", "`DIR` of the broker (default: ./ucp-data/NAME, as for \"ucp agent\")")
	cmd.Flags().StringVar(&name, "name", "", "`NAME` of the broker (default: the host name)")
	cmd.Flags().StringVar(&cityName, "city", "", "`NAME` of the city, for people")
	cmd.Flags().StringVar(&passphraseFile, "passphrase-file", "", "`FILE` with the passphrase that encrypts the authority's key")
	cmd.RunE = func(*cobra.Command, []string) error {
		if name == "" {
			name = hostName(os.Hostname)
		}
		if !label.ValidName(name) {
			return fmt.Errorf("--name %q: use letters, digits and . _ -, at most 64, the first a letter or digit", name)
		}
		if cityName != "" && !label.ValidName(cityName) {
			return fmt.Errorf("--city %q: use letters, digits and . _ -, at most 64, the first a letter or digit", cityName)
		}
		if dataDir == "" {
			dataDir = filepath.Join(defaultDataDirs, name)
		}
		passphrase, err := passphraseOf(passphraseFile)
		if err != nil {
			return err
		}
		person, folder := c.personFolder(), city.Of(dataDir)
		operator := c.personName()
		if operator == name {
			operator += "-operator"
		}
		m, err := city.Found(folder, person, city.Founding{
			Name: cityName, Passphrase: passphrase, Broker: name, Operator: operator, At: time.Now(),
			Keyring: func(path string) error {
				key, err := gossip.NewKey(rand.Reader)
				if err != nil {
					return err
				}
				return gossip.NewKeyring(path, key)
			},
		})
		if err != nil {
			return err
		}
		out := made{City: m.Admission.City.String(), Name: cityName, Broker: name, Identity: string(folder.Folder), Encrypted: passphrase != ""}
		if person != nil {
			out.Operator = operator
		}
		return c.show(out, func(w io.Writer) {
			row(w, fmt.Sprintf("a city has begun, %s; its first authority and the identity of its first broker, %s, are in %s", cityNamed(cityName, out.City), name, out.Identity))
			if person != nil {
				row(w, fmt.Sprintf("you are %s, an operator of it (%s)", out.Operator, person.Folder))
			}
			if passphrase == "" {
				row(w, "the authority's key is not encrypted: whoever can read that directory owns the city (--passphrase-file)")
			}
			row(w, fmt.Sprintf("next: ucp agent --data-dir %s; then, for each further machine: ucp cluster invite", dataDir))
		})
	}
	return cmd
}

// passphraseOf reads the passphrase that a flag names; "" is none.
func passphraseOf(file string) (string, error) {
	if file == "" {
		return "", nil
	}
	passphrase, err := city.ReadSecret(file)
	if err != nil {
		return "", fmt.Errorf("--passphrase-file: %w", err)
	}
	return passphrase, nil
}

// personName is the name that the person who runs ucp has as a member of a city.
func (c *cli) personName() string {
	if user, _ := c.lookupEnv("USER"); label.ValidName(user) {
		return user
	}
	return "operator"
}
