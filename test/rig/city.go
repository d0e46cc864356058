package rig

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"time"

	"github.com/urban-compute/ucp/api"
	"github.com/urban-compute/ucp/city"
	"github.com/urban-compute/ucp/identity"
)

// City makes brokers members of a city, whose authority's key is here and at none of them. Each name has one key, which is brought to the broker's
// disk before each of its processes starts: whoever exchanges a disk brings the identity with it.
type City struct {
	dir       string
	authority identity.Key
	of        *identity.Authorities
	person    *city.Self // an operator
	client    *http.Client

	mu sync.Mutex // while an identity is made
}

// NewCity begins a city in a directory.
func NewCity(dir string) (*City, error) {
	founder, person := city.Of(filepath.Join(dir, "founder")), city.At(filepath.Join(dir, "operator"))
	m, err := city.Found(founder, &person, city.Founding{Name: "rig", Broker: "founder", Operator: "operator", At: time.Now(), Keyring: newKeyring})
	if err != nil {
		return nil, err
	}
	c := &City{dir: dir, of: m.Authorities}
	if c.authority, err = founder.Authority(""); err != nil {
		return nil, err
	}
	if c.person, err = city.Open(person, slog.New(slog.DiscardHandler)); err != nil {
		return nil, err
	}
	c.client = &http.Client{Transport: &http.Transport{TLSClientConfig: c.person.ClientTLS()}}
	return c, nil
}

// newKeyring makes a keyring of one key, as brokers keep it.
func newKeyring(path string) error {
	key := make([]byte, 32)
	_, _ = rand.Read(key) // it never fails
	text, err := json.Marshal([][]byte{key})
	if err != nil {
		return err
	}
	return os.WriteFile(path, text, 0o600)
}

// identify brings a broker's identity to its disk.
func (c *City) identify(b *Broker) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	home := filepath.Join(c.dir, "brokers", b.Name)
	if f := city.Of(home); !f.Held() {
		if _, err := city.Enrol(f, c.authority, c.of, b.Name, identity.Broker, time.Now()); err != nil {
			return fmt.Errorf("letting %s into the city: %w", b.Name, err)
		}
		keyring, err := os.ReadFile(city.Of(filepath.Join(c.dir, "founder")).Keyring())
		if err != nil {
			return err
		}
		if err := os.WriteFile(f.Keyring(), keyring, 0o600); err != nil {
			return err
		}
	}
	if is, err := os.ReadFile(filepath.Join(b.Disk, "identity", "key")); err == nil { // its disk may be full by now
		if want, err := os.ReadFile(filepath.Join(home, "identity", "key")); err == nil && bytes.Equal(is, want) && city.Of(b.Disk).Held() {
			return nil
		}
	}
	return CopyDisk(filepath.Join(home, "identity"), filepath.Join(b.Disk, "identity"))
}

// connect makes the client of a broker at an address.
func (b *Broker) connect(addr string) (*api.Client, error) {
	if b.City == nil {
		return api.New(addr)
	}
	return api.New(addr, api.WithTLS(b.City.person.ClientTLS()))
}

// Says runs the broker's program as a person who asks that broker, an operator in a city, and returns what it prints.
func (b *Broker) Says(ctx context.Context, args ...string) ([]byte, error) {
	cmd := exec.CommandContext(ctx, b.Program, append(args, "--addr", b.HTTP)...)
	cmd.Env = b.City.Environment()
	return cmd.Output()
}

// Environment is that of a program that is run by the city's operator, or by nobody where there is no city.
func (c *City) Environment() []string {
	if c == nil {
		return append(environment(), "UCP_IDENTITY=-")
	}
	return append(environment(), "UCP_IDENTITY="+string(c.person.Folder().Folder))
}

// Ask sends a request to a path of the broker, for what the client knows no way to ask; body is JSON, or nil.
func (b *Broker) Ask(ctx context.Context, method, path string, body []byte) (*http.Response, error) {
	client, scheme := http.DefaultClient, "http://"
	if b.City != nil {
		client, scheme = b.City.client, "https://"
	}
	var in io.Reader
	if body != nil {
		in = bytes.NewReader(body)
	}
	req, err := http.NewRequestWithContext(ctx, method, scheme+b.HTTP+path, in)
	if err != nil {
		return nil, err
	}
	req.Header.Set("Content-Type", "application/json")
	return client.Do(req)
}
