package main

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/urban-compute/ucp/gossip"
	"github.com/urban-compute/ucp/identity"
	"github.com/urban-compute/ucp/node"
)

// configCommand is `ucp config`.
func (c *cli) configCommand() *cobra.Command {
	g := group(&cobra.Command{Use: "config", Short: "Check a broker's config file"})
	g.AddCommand(c.configCheckCommand())
	return g
}

const configCheckHelp = `Reads a config file as "ucp agent --config FILE" would, and says all that is wrong with it, with
the lines, also of the files and directories that it names, as they are on this machine. Nothing
is started and no broker is asked. Variables (UCP_*) of this shell and
flags are left out: they beat the file where the agent is started with them.`

func (c *cli) configCheckCommand() *cobra.Command {
	return &cobra.Command{
		Use: "check FILE", Short: "Say what is wrong with a config file, without starting a broker", Long: configCheckHelp,
		Example: "  ucp config check /etc/ucp.yaml", Args: exactArgs("a config file"),
		RunE: func(_ *cobra.Command, args []string) error {
			n, err := checkConfig(args[0])
			if err != nil {
				return err
			}
			answer := struct {
				File     string `json:"file"`
				Settings int    `json:"settings"` // that the file has
			}{args[0], n}
			return c.show(answer, func(w io.Writer) { row(w, fmt.Sprintf("%s: in order, %d settings", args[0], n)) })
		},
	}
}

// checkConfig reads a config file as an agent would without flags and variables. It returns how many settings the file has.
func checkConfig(path string) (settings int, err error) {
	var f agentFlags
	flags := pflag.NewFlagSet("agent", pflag.ContinueOnError)
	f.register(flags)
	f.config = path
	var m mistakes
	_, err = f.resolve(flags, func(string) (string, bool) { return "", false })
	m.add(err)
	m.add(f.checkPaths())
	if len(m) > 0 {
		slices.SortStableFunc(m, func(a, b error) int { return cmp.Compare(lineIn(path, a), lineIn(path, b)) })
		if len(m) == 1 {
			return 0, errors.New(strings.TrimPrefix(m[0].Error(), "--config: "))
		}
		return 0, m
	}
	for _, from := range f.origin {
		if from[0] != '-' {
			settings++
		}
	}
	return settings, nil
}

// checkPaths says which files and directories of a config an agent could not use on this machine.
func (f *agentFlags) checkPaths() error {
	var m mistakes
	check := func(flag string, err error) {
		if err != nil {
			m.add(f.wrong(flag, "%w", err))
		}
	}
	if f.keyring != "" {
		check("keyring", gossip.CheckKeyring(f.keyring))
	}
	_, err := readRPCAuth(f.rpcAuthFile)
	check("rpc-auth-file", err)
	if _, err := identity.ReadWeb(f.tlsCert, f.tlsKey, f.tlsCA); err != nil {
		m.add(fmt.Errorf("tls-cert, tls-key, tls-ca: %w", err))
	}
	for flag, entries := range map[string][]string{"join": f.join.entries, "retry-join": f.retryJoin.entries} {
		check(flag, node.CheckJoin(f.bind, f.advertise, entries))
	}
	for flag, dir := range map[string]string{"http-socket": dirOf(f.httpSocket), "rpc-socket": dirOf(f.rpcSocket), "data-dir": f.dataDir} {
		if dir != "" {
			check(flag, writable(dir))
		}
	}
	return m.all()
}

// dirOf is where a file is to be; "" is no file.
func dirOf(file string) string {
	if file == "" {
		return ""
	}
	return filepath.Dir(file)
}

// writable says why nothing can be written into a directory, which is made where it is not there yet.
func writable(dir string) error {
	there := filepath.Clean(dir)
	for {
		if _, err := os.Stat(there); !errors.Is(err, fs.ErrNotExist) || filepath.Dir(there) == there {
			break
		}
		there = filepath.Dir(there)
	}
	probe, err := os.MkdirTemp(there, ".ucp-check-")
	if err != nil {
		var p *fs.PathError
		if errors.As(err, &p) {
			err = p.Err
		}
		return fmt.Errorf("%s: nothing can be written into %s: %w", dir, there, err)
	}
	return os.Remove(probe)
}

// lineIn is the line of a file that a mistake names; 0 where it names none.
func lineIn(path string, mistake error) int {
	text, ok := strings.CutPrefix(mistake.Error(), path+":")
	if !ok {
		return 0
	}
	digits, _, _ := strings.Cut(text, ":")
	n, err := strconv.Atoi(digits)
	if err != nil {
		return 0
	}
	return n
}
