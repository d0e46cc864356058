// Package trust holds what the authorities of a city have said (package identity) in the replicated table, so that it reaches
// every broker: who is an authority, whose membership and whose tokens are revoked, and which key a name belongs to.
//
//   - said.go: a signed statement as a setting
//   - book.go: what follows from all of them
//
// Each statement has with it what makes its signer an authority, so that every broker checks it by itself: whoever passes it
// on can leave it out, but neither change nor invent one.
//
// The package is pure. The rules are numbered in docs/protocol.md.
package trust

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"strings"

	"github.com/urban-compute/ucp/clock"
	"github.com/urban-compute/ucp/identity"
	"github.com/urban-compute/ucp/register"
	"github.com/urban-compute/ucp/setting"
)

// A statement is a setting of its own, named by its hash: brokers of the version before keep settings and fields that they
// do not know, and pass them on.

// prefix begins the names of these settings.
const prefix = "trust."

// Name is the name of the setting that holds a statement.
func Name(p *identity.Proof) string { return nameOf(p.Encode()) }

func nameOf(said []byte) string {
	sum := sha256.Sum256(said)
	return prefix + hex.EncodeToString(sum[:16])
}

// Say makes the setting that holds a statement, by an update with this dot, or writes it again.
func Say(p *identity.Proof, at clock.Hybrid, dot clock.Dot) *setting.Setting {
	return &setting.Setting{Name: Name(p), Seq: 1, At: at, By: dot.Actor, Said: string(p.Encode()), Register: register.New(dot)}
}

// Check refuses a setting that says what no authority of the city has said (rule X6); "" is any city. Settings of other
// names are none of its business.
func Check(city identity.City, s *setting.Setting) error {
	if !strings.HasPrefix(s.Name, prefix) {
		if s.Said != "" {
			return fmt.Errorf("setting %q holds a statement, and is not named by it", s.Name)
		}
		return nil
	}
	p, err := identity.DecodeProof([]byte(s.Said))
	switch {
	case err != nil:
		return fmt.Errorf("setting %q: %w", s.Name, err)
	case s.Name != Name(p) || s.Value != "" || s.Seen != nil || len(s.Unknown) > 0:
		return fmt.Errorf("setting %q holds something else than its statement", s.Name)
	case p.City() != cmp.Or(city, p.City()):
		return fmt.Errorf("setting %q: a statement about another city", s.Name)
	}
	return nil
}
