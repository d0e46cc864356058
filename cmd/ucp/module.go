package main

import (
	"bytes"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"
	"golang.org/x/mod/sumdb/note"

	"github.com/urban-compute/ucp/label"
	"github.com/urban-compute/ucp/module"
)

// moduleCommand is `ucp module`.
func (c *cli) moduleCommand() *cobra.Command {
	g := group(&cobra.Command{Use: "module", Short: "Sign WebAssembly modules, for brokers that run signed ones only"})
	g.AddCommand(c.moduleKeyCommand(), c.moduleSignCommand(), c.moduleVerifyCommand())
	return g
}

const moduleKeyHelp = `Makes a key with which modules are signed (Ed25519), in a new file that only you can read,
and prints its public half, NAME+HASH+KEY: for "ucp agent --allow-module" and for "ucp module
verify --key". The name is for people; what counts is the key.`

func (c *cli) moduleKeyCommand() *cobra.Command {
	var name string
	cmd := &cobra.Command{
		Use: "key FILE", Short: "Make a key to sign modules with", Long: moduleKeyHelp,
		Example: "  ucp module key --name pumps pumps.key", Args: cobra.ExactArgs(1),
	}
	cmd.Flags().StringVar(&name, "name", "", "`NAME` of who signs with it (default: the file's, up to its first dot)")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if err := noneEmpty(cmd, args, "FILE"); err != nil {
			return err
		}
		if name == "" {
			name, _, _ = strings.Cut(filepath.Base(args[0]), ".")
		}
		if !label.ValidName(name) {
			return fmt.Errorf("--name %q: letters, digits and . _ -, at most 64, the first a letter or digit", name)
		}
		private, public, err := note.GenerateKey(rand.Reader, name)
		if err != nil {
			return err
		}
		f, err := os.OpenFile(args[0], os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
		if err != nil {
			return err
		}
		_, err = f.WriteString(private + "\n")
		if err = errors.Join(err, f.Sync(), f.Close()); err != nil {
			return err
		}
		return c.show(map[string]string{"file": args[0], "key": public}, func(w io.Writer) { row(w, public) })
	}
	return cmd
}

const moduleSignHelp = `Signs a module: the signature is added to the file, in a section that engines skip, so that it
goes wherever the module goes. The module is another one by its SHA-256 then, and does the
same. Several may sign it, one after the other; whoever changes anything else makes all
signatures invalid.`

func (c *cli) moduleSignCommand() *cobra.Command {
	var keyFile, out string
	cmd := &cobra.Command{
		Use: "sign MODULE", Short: "Sign a module", Long: moduleSignHelp,
		Example: "  ucp module sign --key pumps.key m.wasm\n  ucp module sign --key pumps.key m.wasm --to signed.wasm", Args: cobra.ExactArgs(1),
	}
	cmd.Flags().StringVar(&keyFile, "key", "", "`FILE` with the key, as \"ucp module key\" made it")
	cmd.Flags().StringVar(&out, "to", "", "`FILE` for the signed module (default: MODULE itself)")
	must(cmd.MarkFlagRequired("key"))
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if err := noneEmpty(cmd, args, "MODULE"); err != nil {
			return err
		}
		text, err := os.ReadFile(keyFile)
		if err != nil {
			return err
		}
		by, err := note.NewSigner(strings.TrimSpace(string(text)))
		if err != nil {
			return fmt.Errorf("%s is no key of \"ucp module key\"", keyFile)
		}
		b, err := os.ReadFile(args[0])
		if err != nil {
			return err
		}
		if b, err = module.Sign(b, by); err != nil {
			return fmt.Errorf("%s: %w", args[0], err)
		}
		if out == "" {
			out = args[0]
		}
		if err := replaceFile(out, b); err != nil {
			return err
		}
		return c.show(map[string]string{"file": out, "by": by.Name()}, func(io.Writer) {})
	}
	return cmd
}

// replaceFile writes a file whole, or leaves what is there.
func replaceFile(path string, b []byte) error {
	mode := os.FileMode(0o644)
	if info, err := os.Stat(path); err == nil {
		mode = info.Mode().Perm()
	}
	f, err := os.CreateTemp(filepath.Dir(path), ".ucp-")
	if err != nil {
		return err
	}
	_, err = f.Write(b)
	if err = errors.Join(err, f.Chmod(mode), f.Close()); err == nil {
		err = os.Rename(f.Name(), path)
	}
	if err != nil {
		_ = os.Remove(f.Name())
	}
	return err
}

const moduleVerifyHelp = `Shows who has signed a module. With --key it says of those whose public key is given whether that
is true, and ends with exit code 1 if none of them has, or a signature is not valid; of the others, and
without --key of all, it repeats what the module says.`

func (c *cli) moduleVerifyCommand() *cobra.Command {
	var keys []string
	cmd := &cobra.Command{
		Use: "verify MODULE", Short: "Show who has signed a module", Long: moduleVerifyHelp,
		Example: "  ucp module verify m.wasm\n  ucp module verify --key pumps+3fa1d2c4+AeB... m.wasm", Args: cobra.ExactArgs(1),
	}
	cmd.Flags().StringArrayVar(&keys, "key", nil, "public `KEY` of somebody who may have signed it, as \"ucp module key\" printed it; repeatable")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if err := noneEmpty(cmd, args, "MODULE"); err != nil {
			return err
		}
		var known []note.Verifier
		for _, k := range keys {
			v, err := note.NewVerifier(k)
			if err != nil {
				return fmt.Errorf("--key %.80q: this is no public key of \"ucp module key\"", k)
			}
			known = append(known, v)
		}
		b, err := os.ReadFile(args[0])
		if err != nil {
			return err
		}
		valid, unknown, err := module.Signers(bytes.NewReader(b), known)
		var forged *note.InvalidSignatureError
		switch {
		case errors.As(err, &forged):
			return fmt.Errorf("%s: its signature of %s is not valid: the module was changed since, or is another one", args[0], forged.Name)
		case err != nil:
			return fmt.Errorf("%s: %w", args[0], err)
		case len(known) > 0 && len(valid) == 0:
			return fmt.Errorf("%s: none of these keys has signed it", args[0])
		case len(valid)+len(unknown) == 0:
			return fmt.Errorf("%s: nobody has signed it", args[0])
		}
		type signature struct {
			Name  string `json:"name"`
			Hash  string `json:"hash"`
			Valid bool   `json:"valid"` // otherwise it is not known whether it is
		}
		all := []signature{}
		for _, s := range valid {
			all = append(all, signature{s.Name, fmt.Sprintf("%08x", s.Hash), true})
		}
		for _, s := range unknown {
			all = append(all, signature{s.Name, fmt.Sprintf("%08x", s.Hash), false})
		}
		return c.show(map[string]any{"signatures": all}, func(w io.Writer) {
			for _, s := range all {
				says := "not verified: no --key of it was given"
				if s.Valid {
					says = "valid"
				}
				row(w, s.Name+"+"+s.Hash, says)
			}
		})
	}
	return cmd
}
