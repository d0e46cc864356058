package main

import (
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"

	"github.com/urban-compute/ucp/access"
	"github.com/urban-compute/ucp/api"
	"github.com/urban-compute/ucp/city"
	"github.com/urban-compute/ucp/identity"
)

// identityVariable names the directory that holds a person's identity; "-" is that they have none.
const identityVariable = "UCP_IDENTITY"

// personFolder is where the identity of the person lies who runs ucp, or is to lie; nil is nowhere.
func (c *cli) personFolder() *city.Folder {
	value := func(name string) string { v, _ := c.lookupEnv(name); return v }
	dir := value(identityVariable)
	switch {
	case dir == "-":
		return nil
	case dir != "":
	case value("XDG_CONFIG_HOME") != "":
		dir = filepath.Join(value("XDG_CONFIG_HOME"), "ucp", "identity")
	case value("HOME") != "":
		dir = filepath.Join(value("HOME"), ".config", "ucp", "identity")
	default:
		return nil
	}
	f := city.At(dir)
	return &f
}

// person is who runs ucp, as a member of a city; nil is nobody.
func (c *cli) person() (*city.Self, error) {
	f := c.personFolder()
	if f == nil {
		return nil, nil
	}
	self, err := city.Open(*f, slog.New(slog.DiscardHandler))
	if errors.Is(err, identity.ErrNoIdentity) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("your identity (%s): %w", identityVariable, err)
	}
	return self, nil
}

// caller is by what the person who runs ucp is known to brokers, and knows them.
type caller struct {
	token *access.Token  // that is to be shown; nil is none
	self  *city.Self     // their identity in the city that is asked; nil is none
	trust identity.Trust // by which members of that city are verified; nil where none is asked
}

// caller finds out who runs ucp. A token is shown instead of who the person is: they want to do no more than it allows.
func (c *cli) caller() (who caller, err error) {
	if who.token, err = c.token(); err != nil {
		return who, err
	}
	if who.self, err = c.person(); err != nil {
		return who, err
	}
	if who.token != nil && who.self != nil && who.self.Authorities().City() != who.token.City() {
		who.self = nil
	}
	switch {
	case who.self != nil:
		who.trust = who.self
	case who.token != nil:
		who.trust = who.token.City().Pin()
	}
	return who, nil
}

// connect makes the client of a broker, which speaks TLS where the person belongs to a city or has a token of one.
func (c *cli) connect(addr string) (*api.Client, error) {
	who, err := c.caller()
	if err != nil {
		return nil, err
	}
	var options []api.Option
	switch {
	case who.token != nil:
		options = append(options, api.WithTLS(identity.ClientConfig(nil, who.trust)), api.WithToken(who.token.Text()))
	case who.self != nil:
		options = append(options, api.WithTLS(who.self.ClientTLS()))
	}
	if who.self != nil {
		options = append(options, c.learning(who.self))
	}
	return api.New(addr, options...)
}

// Where a token is looked for beside --token-file.
const (
	tokenVariable     = "UCP_TOKEN"
	tokenFileVariable = "UCP_TOKEN_FILE"
)

// token is the token that is to be shown, nil for none. It comes from a file or a variable, never from the command line, which
// everybody on the machine can read.
func (c *cli) token() (*access.Token, error) {
	file, from := c.tokenFile, "--token-file"
	if v, _ := c.lookupEnv(tokenFileVariable); file == "" && v != "" {
		file, from = v, tokenFileVariable
	}
	var text string
	if file != "" {
		info, err := os.Stat(file)
		switch {
		case err != nil:
			return nil, fmt.Errorf("%s: %w", from, err)
		case info.Mode().Perm()&0o077 != 0:
			return nil, fmt.Errorf("%s %s can be read by others (%v): chmod 600 it, and ask for the token to be revoked", from, file, info.Mode().Perm())
		case info.Size() > access.MaxText+2:
			return nil, fmt.Errorf("%s %s has %d bytes: it holds a token, and nothing else", from, file, info.Size())
		}
		b, err := os.ReadFile(file)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", from, err)
		}
		text = string(b)
	} else if v, _ := c.lookupEnv(tokenVariable); v != "" {
		text, from = v, tokenVariable
	} else {
		return nil, nil
	}
	t, err := access.Parse(strings.TrimSpace(text))
	if err != nil {
		return nil, fmt.Errorf("%s: %w", from, err)
	}
	return t, nil
}
