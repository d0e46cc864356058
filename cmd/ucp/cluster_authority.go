package main

import (
	"context"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"github.com/urban-compute/ucp/api"
	"github.com/urban-compute/ucp/city"
)

const authorityHelp = `Authorities are the keys that let members into the city, and shut them out. The first one, the
root, was made by "ucp cluster init". Authorities form a tree: each can remove those below it,
and itself; nothing removes the root.`

// authorityCommand is `ucp cluster authority`.
func (c *cli) authorityCommand() *cobra.Command {
	g := group(&cobra.Command{Use: "authority", Short: "List, add and remove the keys that let members into the city", Long: authorityHelp})
	g.AddCommand(c.authorityListCommand(), c.authorityAddCommand(), c.authorityRemoveCommand())
	return g
}

const authorityListHelp = `Lists the authorities that the broker which is asked knows of, and which of them added each. With
* is that whose key lies at this broker, unless that is encrypted.

Exit code 1 when the broker belongs to no city.`

func (c *cli) authorityListCommand() *cobra.Command {
	return &cobra.Command{
		Use:               "list",
		Short:             "List the authorities of the city",
		Long:              authorityListHelp,
		Example:           "  ucp cluster authority list\n  ucp cluster authority list -o json",
		Args:              exactArgs(),
		ValidArgsFunction: cobra.NoFileCompletions,
		RunE: c.withClient(func(ctx context.Context, client *api.Client, _ []string) error {
			list, err := client.Authorities(ctx)
			if err != nil {
				return err
			}
			return c.show(list, func(w io.Writer) { authorityTable(w, &list) })
		}),
	}
}

func authorityTable(w io.Writer, list *api.Authorities) {
	row(w, "KEY", "ADDED BY")
	known := false
	for _, a := range list.Authorities {
		key, by := a.Key, a.AddedBy
		if a.Root {
			by = "- (root)"
		}
		if a.Key == list.Here {
			key, known = key+" *", true
		}
		row(w, key, by)
	}
	if list.Here != "" && !known {
		row(w, fmt.Sprintf("the key that lies at this broker, %s, is none of them", list.Here))
	}
}

const authorityAddHelp = `Makes a key an authority of the city: by the name of a broker, the one that lies there
(ucp agent --keep-authority), or by itself, 64 hexadecimal digits. The broker that is asked
signs that with its own authority's key. All brokers know it within a second.

Whoever has the new key can let anybody into the city. It can do nothing to the authorities
above it, and these can remove it.

Exit code 1 when no authority's key lies at the broker that is asked, or none at the other one.`

func (c *cli) authorityAddCommand() *cobra.Command {
	return c.ordering(&cobra.Command{
		Use:               "add NAME|KEY",
		Short:             "Make a key an authority of the city",
		Long:              authorityAddHelp,
		Example:           "  ucp cluster authority add van-3\n  ucp cluster authority add van-3 --addr 10.0.0.1:8000 --passphrase-file ~/passphrase",
		Args:              exactArgs("the name of a broker, or a key"),
		ValidArgsFunction: c.completeMembers(func(m *api.Member) bool { return m.HTTPAddr != "" }),
	}, func(ctx context.Context, client *api.Client, arg, passphrase string) (said api.Said, text string, err error) {
		key := arg
		if _, err := city.ParseKey(key); err != nil {
			if key, err = keptAt(ctx, client, arg); err != nil {
				return said, "", err
			}
		}
		said, err = client.AddAuthority(ctx, api.AuthorityOrder{Key: key, Passphrase: passphrase})
		return said, key + " is an authority of the city", err
	})
}

// keptAt asks a broker for the authority's key that lies there.
func keptAt(ctx context.Context, client *api.Client, name string) (string, error) {
	members, err := client.Members(ctx)
	if err != nil {
		return "", err
	}
	for _, m := range members.Members {
		if m.Name != name || m.HTTPAddr == "" {
			continue
		}
		there, err := client.At(m.HTTPAddr)
		if err != nil {
			return "", err
		}
		list, err := there.Authorities(ctx)
		if err != nil {
			return "", fmt.Errorf("%s: %w", name, err)
		}
		if list.Here == "" {
			return "", fmt.Errorf("no authority's key lies at %s, or it is encrypted: start that broker with --keep-authority, or say the key itself", name)
		}
		return list.Here, nil
	}
	return "", fmt.Errorf("%q is no broker, and no key", name)
}

const authorityRemoveHelp = `Ends for good that a key is an authority: one that was lost, or stolen. All that it has signed
counts no more: the members that it has let in are shut out (let those come in again by another
invite), and whom it has shut out, and not let in itself, is back. The broker that is asked signs
that with its own authority's key, which has to be above the other one.

If you or the last operator that the broker knows would fall by it, it asks for --allow-lockout.

Exit code 1 when it is not, or there is no such authority.`

func (c *cli) authorityRemoveCommand() *cobra.Command {
	var lockout bool
	cmd := c.ordering(&cobra.Command{
		Use:               "remove KEY",
		Short:             "End that a key is an authority of the city",
		Long:              authorityRemoveHelp,
		Example:           "  ucp cluster authority list\n  ucp cluster authority remove 3b6a27bcceb6a42d62a3a8d02a6f0d73653215771de243a63ac048a18b59da29",
		Args:              exactArgs("the key of an authority"),
		ValidArgsFunction: cobra.NoFileCompletions,
	}, func(ctx context.Context, client *api.Client, key, passphrase string) (said api.Said, text string, err error) {
		if _, err := city.ParseKey(key); err != nil {
			return said, "", fmt.Errorf("%w; see `ucp cluster authority list`", err)
		}
		said, err = client.RemoveAuthority(ctx, api.AuthorityOrder{Key: key, Passphrase: passphrase, Lockout: lockout})
		return said, key + " is no authority of the city any more", err
	})
	lockoutFlag(cmd, &lockout)
	return cmd
}

const revokeHelp = `Ends the membership of a broker, a person or a program: wherever that becomes known its
connections are closed, and its key is not let in again, under whatever name. Its name may be
given again (ucp cluster invite --name NAME). The broker that is asked signs that with its
authority's key, which has to be the one that let the member in, or above that.

A member may be named by its key, too: of two that have one name that is meant.

A broker that is revoked still has the key of the gossip: replace that (serf keys). And "ucp
cluster forget NAME" says that its jobs and results are not waited for.

To shut out yourself, or the last operator that the broker knows, takes --allow-lockout: after the
last one nobody commands the city until "ucp cluster operator" makes another one, on the machine
of a broker at which an authority's key lies.

Exit code 1 when the member is not known, the authority may not, or --allow-lockout is missing.`

// revokeCommand is `ucp cluster revoke`.
func (c *cli) revokeCommand() *cobra.Command {
	var lockout bool
	cmd := c.ordering(&cobra.Command{
		Use:               "revoke NAME|KEY",
		Short:             "Shut a member out of the city",
		Long:              revokeHelp,
		Example:           "  ucp cluster revoke van-3\n  ucp cluster revoke kim -o json",
		Args:              exactArgs("the name of a member, or its key"),
		ValidArgsFunction: c.completeMembers(func(m *api.Member) bool { return m.HTTPAddr != "" }),
	}, func(ctx context.Context, client *api.Client, member, passphrase string) (api.Said, string, error) {
		said, err := client.Revoke(ctx, api.RevocationOrder{Member: member, Passphrase: passphrase, Lockout: lockout})
		return said, member + " is shut out of the city", err
	})
	lockoutFlag(cmd, &lockout)
	return cmd
}

func lockoutFlag(cmd *cobra.Command, to *bool) {
	cmd.Flags().BoolVar(to, "allow-lockout", false, "do it although you, or the last operator that the broker knows, are shut out by it")
}

// ordering completes a command by which the broker that is asked signs something with its authority's key: order sends it, with the
// command's argument and the passphrase of that key, and says what is so from then on.
func (c *cli) ordering(cmd *cobra.Command, order func(ctx context.Context, client *api.Client, arg, passphrase string) (api.Said, string, error)) *cobra.Command {
	var file string
	cmd.Flags().StringVar(&file, "passphrase-file", "", "`FILE` with the passphrase of the authority's key at the broker that is asked")
	cmd.RunE = c.withClient(func(ctx context.Context, client *api.Client, args []string) error {
		passphrase, err := passphraseOf(file)
		if err != nil {
			return err
		}
		said, text, err := order(ctx, client, args[0], passphrase)
		if err != nil {
			return err
		}
		return c.show(said, func(w io.Writer) { row(w, text+"; "+knownSoFar(said.Replicas, said.Degraded)) })
	})
	return cmd
}
