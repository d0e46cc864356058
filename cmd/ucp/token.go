package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/urban-compute/ucp/access"
	"github.com/urban-compute/ucp/identity"
)

// tokenCommand is `ucp token`.
func (c *cli) tokenCommand() *cobra.Command {
	cmd := group(&cobra.Command{
		Use:   "token",
		Short: "Let programs and people without a key of their own do some things for some time",
		Long: `Lets programs, and people without a key of their own, do some things at the brokers of a city for
some time. An operator makes a token; every broker verifies it without asking anybody; and who
holds it makes a narrower one of it, as for a part of a program, without asking either.

Whoever sees a token holds it. It is read from a file or a variable, never from the command
line: --token-file FILE, UCP_TOKEN_FILE=FILE, or UCP_TOKEN. It holds the name of its city, so that
nothing else is needed, and goes to brokers of that city only.`,
	})
	cmd.AddCommand(c.tokenCreateCommand(), c.tokenListCommand(), c.tokenNarrowCommand(), c.tokenRevokeCommand())
	return cmd
}

const scopesHelp = `Scopes, with commas between them:

  read                what there is to see: jobs and their output, brokers, emergencies, events
  submit              submit jobs, and see and cancel those that the subject has submitted
  cancel              cancel anybody's jobs
  operate             strategies, draining, forgetting, log levels, debug bundles, audit logs
  emergency:LEVEL     declare and clear emergencies up to low, medium, high or critical`

// madeToken is what `ucp token create` and `narrow` show.
type madeToken struct {
	Token string `json:"token,omitempty"` // not where it is in a file
	File  string `json:"file,omitempty"`
	access.Issued
}

// tokenCreateCommand is `ucp token create`.
func (c *cli) tokenCreateCommand() *cobra.Command {
	var subject, scope, out string
	var ttl time.Duration
	cmd := &cobra.Command{
		Use:   "create",
		Short: "Make a token, as an operator",
		Long: `Makes a token, signed with your key, and prints it; no broker is asked. You have to be an operator of
the city. The subject is who is to hold it: jobs are submitted in that name, and "ucp token
revoke" takes it. Subjects and members have one space of names.

A token ends, by the clocks of the brokers: one whose clock is behind takes it for longer. One that
was made more than ten minutes in a broker's future is refused there, so set your clock.

` + scopesHelp,
		Example:           "  ucp token create --subject ci --scope submit --out ci.token\n  ucp token create --subject duty --scope read,emergency:high --ttl 12h",
		Args:              exactArgs(),
		ValidArgsFunction: cobra.NoFileCompletions,
	}
	cmd.Flags().StringVar(&subject, "subject", "", "`NAME` of who is to hold it")
	cmd.Flags().StringVar(&scope, "scope", "", "`SCOPES` that it allows")
	cmd.Flags().DurationVar(&ttl, "ttl", 24*time.Hour, "how long it holds, at most 366 days")
	cmd.Flags().StringVar(&out, "out", "", "new `FILE` to write it to, instead of to stdout")
	must(cmd.RegisterFlagCompletionFunc("scope", completeList(access.ScopeNames())))
	cmd.RunE = func(*cobra.Command, []string) error {
		if subject == "" || scope == "" {
			return errors.New("`ucp token create` needs --subject NAME and --scope SCOPES; see `ucp token create --help`")
		}
		scopes, err := access.ParseScopes(scope)
		if err != nil {
			return fmt.Errorf("--scope: %w", err)
		}
		f, m, err := c.operator()
		if err != nil {
			return err
		}
		now := time.Now()
		t, err := access.Issue(m, access.Grant{Subject: subject, Scopes: scopes, TTL: ttl}, now)
		if err != nil {
			return err
		}
		if err := access.Remember(f, t, now); err != nil {
			return err
		}
		return c.showToken(t, out)
	}
	return cmd
}

// operator is who runs ucp, as a member of a city with a key that signs.
func (c *cli) operator() (identity.Folder, *identity.Member, error) {
	f := c.personFolder()
	if f == nil {
		return "", nil, errors.New("you have no identity: set HOME, or UCP_IDENTITY to a directory")
	}
	m, err := f.Member()
	if errors.Is(err, identity.ErrNoIdentity) {
		return "", nil, fmt.Errorf("you belong to no city (%s): begin one with `ucp cluster init`, or become an operator of one with `ucp login CODE`", f.Folder)
	}
	return f.Folder, m, err
}

// showToken prints a token, or writes it to a new file that nobody else can read.
func (c *cli) showToken(t *access.Token, file string) error {
	made := madeToken{Token: t.Text(), Issued: t.About()}
	if file != "" {
		f, err := os.OpenFile(file, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
		if err != nil {
			return fmt.Errorf("--out: %w", err)
		}
		_, err = f.WriteString(t.Text() + "\n")
		if err := errors.Join(err, f.Close()); err != nil {
			return fmt.Errorf("--out: %w", err)
		}
		made.Token, made.File = "", file
	}
	about := fmt.Sprintf("%s may %s until %s", t.Subject(), t.Scopes(), t.Expires().Local().Format(time.DateTime))
	return c.show(made, func(w io.Writer) {
		if file != "" {
			row(w, fmt.Sprintf("%s: %s", file, about))
			return
		}
		row(w, t.Text())
		fmt.Fprintln(c.err, about) // stdout is the token alone, for a variable or a file
	})
}

// tokenNarrowCommand is `ucp token narrow`.
func (c *cli) tokenNarrowCommand() *cobra.Command {
	var scope, out string
	var ttl time.Duration
	cmd := &cobra.Command{
		Use:   "narrow",
		Short: "Make a narrower token of one that you hold",
		Long: `Makes a token of the one that you hold (--token-file, UCP_TOKEN_FILE or UCP_TOKEN), which may do only
what both it and --scope allow, and ends no later. Nobody is asked. A token can be narrowed seven
times. It keeps its subject, and is revoked with the one that it was made of.

` + scopesHelp,
		Example:           "  ucp token narrow --token-file ci.token --scope read --ttl 10m --out part.token",
		Args:              exactArgs(),
		ValidArgsFunction: cobra.NoFileCompletions,
	}
	cmd.Flags().StringVar(&scope, "scope", "", "`SCOPES` that it allows at most (default: as before)")
	cmd.Flags().DurationVar(&ttl, "ttl", 0, "how long it holds from now on at most (default: as before)")
	cmd.Flags().StringVar(&out, "out", "", "new `FILE` to write it to, instead of to stdout")
	must(cmd.RegisterFlagCompletionFunc("scope", completeList(access.ScopeNames())))
	cmd.RunE = func(*cobra.Command, []string) error {
		t, err := c.token()
		switch {
		case err != nil:
			return err
		case t == nil:
			return errors.New("`ucp token narrow` needs a token to make a narrower one of: --token-file FILE, UCP_TOKEN_FILE or UCP_TOKEN")
		case scope == "" && ttl == 0:
			return errors.New("`ucp token narrow` needs --scope or --ttl, or nothing would be narrower; see `ucp token narrow --help`")
		}
		scopes := t.Scopes()
		if scope != "" {
			if scopes, err = access.ParseScopes(scope); err != nil {
				return fmt.Errorf("--scope: %w", err)
			}
		}
		narrow, err := t.Narrow(scopes, ttl, time.Now())
		if err != nil {
			return err
		}
		return c.showToken(narrow, out)
	}
	return cmd
}

// listedToken is a token in `ucp token list`.
type listedToken struct {
	access.Issued
	By string `json:"by"`
}

// tokenList is `ucp token list -o json`.
type tokenList struct {
	Tokens []listedToken `json:"tokens"`
}

// tokenListCommand is `ucp token list`.
func (c *cli) tokenListCommand() *cobra.Command {
	return &cobra.Command{
		Use:     "list",
		Aliases: []string{"ls"},
		Short:   "List the tokens that you have made, or show the one that you hold",
		Long: `Lists the tokens that were made with your identity and have not ended, the latest first: no other
machine knows of them. With --token-file, UCP_TOKEN_FILE or UCP_TOKEN it shows what that token says
instead. The tokens themselves are never shown.`,
		Example:           "  ucp token list\n  ucp token list --token-file ci.token",
		Args:              exactArgs(),
		ValidArgsFunction: cobra.NoFileCompletions,
		RunE: func(*cobra.Command, []string) error {
			l := tokenList{Tokens: []listedToken{}}
			held, err := c.token()
			if err != nil {
				return err
			}
			if held != nil {
				l.Tokens = append(l.Tokens, listedToken{Issued: held.About(), By: held.Issuer()})
				return c.show(l, func(w io.Writer) { tokenTable(w, &l) })
			}
			f, m, err := c.operator()
			if err != nil {
				return err
			}
			issued, err := access.IssuedBy(f, time.Now())
			if err != nil {
				return err
			}
			for _, t := range issued {
				l.Tokens = append(l.Tokens, listedToken{Issued: t, By: m.Admission.Name})
			}
			return c.show(l, func(w io.Writer) { tokenTable(w, &l) })
		},
	}
}

// tokenTable lists tokens.
func tokenTable(w io.Writer, l *tokenList) {
	if len(l.Tokens) == 0 {
		row(w, "no tokens that hold")
		return
	}
	rows := [][]string{{"ID", "SUBJECT", "BY", "MADE", "ENDS", "MAY"}}
	for _, t := range l.Tokens {
		rows = append(rows, []string{t.ID, t.Subject, t.By, t.Issued.Issued.Local().Format(time.DateTime), t.Expires.Local().Format(time.DateTime), strings.Join(t.Scopes, ",")})
	}
	for _, line := range aligned(rows) {
		row(w, strings.TrimRight(line, " "))
	}
}
