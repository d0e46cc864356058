package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"

	"github.com/urban-compute/ucp/api"
	"github.com/urban-compute/ucp/identity"
	"github.com/urban-compute/ucp/job"
)

// secrets are what `--secret` has named.
type secrets struct {
	named  []string          // NAME, or NAME=FILE
	values map[string][]byte // by name, as soon as they are read
}

// names lists the names of the secrets.
func (s *secrets) names() (out []string) {
	for _, x := range s.named {
		name, _, _ := strings.Cut(x, "=")
		out = append(out, name)
	}
	return out
}

// unsealed are the secrets of a spec as long as they are not encrypted; nil where there are none.
func (s *secrets) unsealed() map[string]string {
	if len(s.named) == 0 {
		return nil
	}
	out := map[string]string{}
	for _, name := range s.names() {
		out[name] = noDigest
	}
	return out
}

// check refuses what is named wrongly, before anything is read or sent.
func (s *secrets) check() error {
	for i, name := range s.names() {
		if name == "" || slices.Contains(s.names()[:i], name) {
			return fmt.Errorf("--secret %q: write NAME, or NAME=FILE, each name once", s.named[i])
		}
	}
	return nil
}

// readSecrets reads all secrets. None is in the command line, which everybody on the machine can read, and none is written to the disk.
func (c *cli) readSecrets(s *secrets, files *sources) error {
	s.values = map[string][]byte{}
	for i, name := range s.names() {
		value, err := c.secretValue(s.named[i], files)
		if err != nil {
			return fmt.Errorf("--secret %s: %w", name, err)
		}
		if len(value) > identity.MaxSecret {
			return fmt.Errorf("--secret %s: it is longer than %d bytes", name, identity.MaxSecret)
		}
		s.values[name] = value
	}
	return nil
}

// secretValue reads a secret: a variable from this command's environment, a file from the same path here, and either from a file
// that is named, "-" for stdin. A newline at the end is no part of a variable.
func (c *cli) secretValue(named string, files *sources) ([]byte, error) {
	name, from, given := strings.Cut(named, "=")
	path, isFile := job.SecretFile(name)
	if !given && !isFile {
		v, ok := c.lookupEnv(name)
		if !ok {
			return nil, fmt.Errorf("there is no such variable here; export it, or write --secret %s=FILE", name)
		}
		return []byte(v), nil
	}
	if !given {
		from = path
	}
	r, err := files.unspooled("--secret "+name, from)
	if err != nil {
		return nil, err
	}
	defer r.Close()
	b, err := io.ReadAll(io.LimitReader(r, identity.MaxSecret+2))
	if !isFile {
		b = bytes.TrimSuffix(b, []byte("\n"))
	}
	return b, err
}

// sealAll encrypts the secrets of a job to the brokers that may run it, sends what comes out, and names it in the spec.
func (c *cli) sealAll(ctx context.Context, client *api.Client, f *runFlags, spec *job.Spec, sent *digests) error {
	var to readers
	sealed := maps.Clone(spec.Secrets)
	for _, name := range f.secrets.names() {
		d, err := sent.once("secret "+name, func() (d job.Digest, err error) {
			if to.keys == nil {
				if to, err = c.readersOf(ctx, client, f, *spec); err != nil {
					return "", err
				}
			}
			b, err := identity.Seal(&identity.Secret{Of: to.of, Value: f.secrets.values[name]}, to.keys...)
			if err != nil {
				return "", fmt.Errorf("--secret %s: %w", name, err)
			}
			return c.upload(ctx, client, "secret "+name, api.Bytes(b))
		})
		if err != nil {
			return err
		}
		sealed[name] = string(d)
	}
	spec.Secrets = sealed
	return nil
}

// readers are for whom secrets are.
type readers struct {
	of   string               // who submits the jobs
	keys []identity.PublicKey // of the brokers that may run them
}

// readersOf finds to whom secrets are encrypted: the brokers that are capable of the job now, and the one that is asked, which
// owns the job first; each of them encrypts them again when it is placed elsewhere. Each shows its key in an admission, which is
// verified here: a broker that was asked can't put another key in its place.
func (c *cli) readersOf(ctx context.Context, client *api.Client, f *runFlags, spec job.Spec) (readers, error) {
	who, err := c.caller()
	if err == nil && who.trust == nil {
		err = errors.New("--secret: secrets are encrypted to brokers of a city, which you know by your login (`ucp login`) or a token")
	}
	if err != nil {
		return readers{}, err
	}
	told, err := client.Recipients(ctx)
	if err != nil {
		return readers{}, err
	}
	p, err := client.DryRun(ctx, spec, f.token)
	if err != nil {
		return readers{}, err
	}
	capable := map[string]bool{}
	for _, b := range p.Brokers {
		capable[b.Broker] = len(b.Lacks) == 0
	}
	keys, err := readersAmong(told, capable, who.trust)
	return readers{told.Submitter, keys}, err
}

// readersAmong are the keys of the brokers that are capable, and of the one that was asked, each as an authority has admitted it.
func readersAmong(told api.Recipients, capable map[string]bool, trust identity.Trust) (out []identity.PublicKey, err error) {
	of, err := identity.DecodeAuthorities(told.Authorities)
	if err != nil {
		return nil, err
	}
	for _, b := range told.Brokers {
		if !capable[b.Name] && !b.Self {
			continue
		}
		a, err := identity.DecodeAdmission(b.Admission)
		if err == nil {
			err = trust.Verify(&identity.Credential{Admission: a, Authorities: of})
		}
		if err == nil && (a.Name != b.Name || a.Role != identity.Broker) {
			err = errors.New("it is another's")
		}
		if err != nil {
			return nil, fmt.Errorf("the admission of %.80q, to which a secret was to be encrypted: %w", b.Name, err)
		}
		out = append(out, a.Key)
	}
	return out, nil
}

// noDigest stands for the digest of a secret that is not encrypted yet.
var noDigest = strings.Repeat("0", 64)
