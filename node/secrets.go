package node

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
	"time"

	"github.com/urban-compute/ucp/api"
	"github.com/urban-compute/ucp/broker/membership"
	"github.com/urban-compute/ucp/executor"
	"github.com/urban-compute/ucp/identity"
	"github.com/urban-compute/ucp/job"
)

// secrets decrypts the secrets of jobs that run here; nil where the broker belongs to no city.
func (n *Node) secrets() func(ctx context.Context, key string, s *job.Spec) (map[string]string, error) {
	if n.cfg.City == nil {
		return nil
	}
	return func(ctx context.Context, key string, s *job.Spec) (map[string]string, error) {
		out := map[string]string{}
		for name, d := range s.Secrets {
			secret, err := n.secret(ctx, key, job.Digest(d))
			if err == nil {
				err = suits(secret, name, s)
			}
			if err != nil {
				return nil, fmt.Errorf("%s: %w", name, err)
			}
			out[name] = string(secret.Value)
		}
		return out, nil
	}
}

// suits refuses a secret that is not for a job: somebody else may have named it in a job of theirs.
func suits(secret *identity.Secret, name string, s *job.Spec) error {
	if secret.Of != s.Submitter {
		return fmt.Errorf("%w: it is for jobs of %.80q", executor.ErrBadSecret, secret.Of)
	}
	if _, file := job.SecretFile(name); !file && bytes.IndexByte(secret.Value, 0) >= 0 {
		return fmt.Errorf("%w: a variable can't hold a zero byte; a file (./%s) can", executor.ErrBadSecret, name)
	}
	return nil
}

// secret decrypts one. If it was encrypted to others, as when the job is placed at a broker that could not run it when it was
// submitted, one of these encrypts it again.
func (n *Node) secret(ctx context.Context, key string, d job.Digest) (*identity.Secret, error) {
	path, err := n.blobs.Path(d)
	if err != nil {
		return nil, err
	}
	if info, err := os.Stat(path); err == nil && info.Size() > identity.MaxSealed {
		return nil, fmt.Errorf("%w: it is %d bytes long", executor.ErrBadSecret, info.Size())
	}
	sealed, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	secret, err := n.cfg.City.Unseal(sealed)
	switch {
	case err == nil:
		return secret, nil
	case !errors.Is(err, identity.ErrNotForUs):
		return nil, fmt.Errorf("%w: %w", executor.ErrBadSecret, err)
	}
	var refused []string
	for round := range secretRounds {
		refused = nil
		for _, m := range n.peers.holders(nil) {
			sealed, err := n.peers.secret(ctx, &m, api.SecretOrder{Job: key, Digest: d})
			if err == nil {
				return n.cfg.City.Unseal(sealed)
			}
			refused = append(refused, m.Name+": "+err.Error())
		}
		select {
		case <-time.After(secretPause << round): // they may not have heard yet that the job is placed here
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
	return nil, fmt.Errorf("it was encrypted to brokers that are not there, or do not give it (%s)", strings.Join(refused, "; "))
}

// All brokers are asked for a secret so often, with a pause that doubles.
const (
	secretRounds = 4
	secretPause  = 250 * time.Millisecond
)

// secret asks a broker for a secret of a job that is placed here.
func (p *peers) secret(ctx context.Context, m *membership.Member, in api.SecretOrder) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, p.cfg.PeerTimeout)
	defer cancel()
	body, err := json.Marshal(in)
	if err != nil {
		return nil, err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, p.url(m.HTTPAddr, "/broker/secrets"), bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	req.Header.Set("Content-Type", "application/json")
	resp, err := p.do(req, m.Name, m.Actor)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(io.LimitReader(resp.Body, identity.MaxSealed+1))
	if err != nil {
		return nil, err
	}
	if resp.StatusCode != http.StatusOK {
		return nil, errors.New(saidReason(b))
	}
	return b, nil
}
