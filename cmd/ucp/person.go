package main

import (
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"

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

// connect makes the client of a broker, which speaks TLS where the person belongs to a city.
func (c *cli) connect(addr string) (*api.Client, error) {
	self, err := c.person()
	if err != nil {
		return nil, err
	}
	if self == nil {
		return api.New(addr)
	}
	return api.New(addr, api.WithTLS(self.ClientTLS()))
}
