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

// connect makes the client of a broker, which speaks TLS where the person belongs to a city or has a token of one. A token is
// shown instead of who the person is: they want to do no more than it allows.
func (c *cli) connect(addr string) (*api.Client, error) {
	token, err := c.token()
	if err != nil {
		return nil, err
	}
	self, err := c.person()
	switch {
	case err != nil:
		return nil, err
	case token != nil && self != nil && self.Authorities().City() == token.City():
		return api.New(addr, api.WithTLS(identity.ClientConfig(nil, self)), api.WithToken(token.Text()), c.learning(self))
	case token != nil:
		return api.New(addr, api.WithTLS(identity.ClientConfig(nil, token.City().Pin())), api.WithToken(token.Text()))
	case self == nil:
		return api.New(addr)
	}
	return api.New(addr, api.WithTLS(self.ClientTLS()), c.learning(self))
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
