package access

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"time"

	"github.com/urban-compute/ucp/identity"
)

// Issued is what an operator remembers of a token that they have made: enough to know and to revoke it, and no secret.
type Issued struct {
	ID      string    `json:"id"`
	Subject string    `json:"subject"`
	Scopes  []string  `json:"scopes"`
	Issued  time.Time `json:"issued"`
	Expires time.Time `json:"expires"`
}

// issuedFile is where a person's identity lies; maxIssued bounds it, in bytes.
const (
	issuedFile = "tokens"
	maxIssued  = 4 << 20
)

// About is what may be remembered of a token, and shown.
func (t *Token) About() Issued {
	return Issued{ID: t.ID(), Subject: t.Subject(), Scopes: t.Scopes().Names(), Issued: t.Issued().UTC(), Expires: t.Expires().UTC()}
}

// IssuedBy lists the tokens that were made with the identity in a folder and hold at a time, the latest first.
func IssuedBy(f identity.Folder, at time.Time) ([]Issued, error) {
	b, err := f.Read(issuedFile, maxIssued)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	var out []Issued
	if err := json.Unmarshal(b, &out); err != nil {
		return nil, fmt.Errorf("%s: the list of tokens is damaged: %w", f, err)
	}
	return slices.DeleteFunc(out, func(i Issued) bool { return !at.Before(i.Expires) }), nil
}

// Remember adds a token to those that were made with the identity in a folder. Those that have ended are forgotten.
func Remember(f identity.Folder, t *Token, at time.Time) error {
	list, err := IssuedBy(f, at)
	if err != nil {
		return err
	}
	b, err := json.Marshal(append([]Issued{t.About()}, list...))
	if err == nil && len(b) > maxIssued {
		err = fmt.Errorf("%s: %d tokens that hold are remembered there, and no more can be", f, len(list))
	}
	if err != nil {
		return err
	}
	return f.Write(issuedFile, b)
}
