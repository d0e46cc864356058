package city

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"slices"

	"github.com/urban-compute/ucp/identity"
)

// Who was revoked a broker learns from the replicated table. A person's process learns it from brokers, and keeps it beside the
// identity: a broker that was stolen would not tell. Each revocation is signed, so that whoever passes them on may keep some
// back, and can make up none.

// revocationsFile holds the revocations that a person was told, a proof in base64 a line.
const revocationsFile = "revocations"

// maxRevocations bounds all revocations that are told and kept, in bytes of their proofs.
const maxRevocations = 1 << 20

// revoked is what is known of revocations, as it is told and kept.
type revoked struct {
	proofs [][]byte // those signed nearer to the root first
	sum    string   // of them; "" where there are none
}

// revocationsOf lists the revocations of memberships among proofs, within a bound in bytes.
func revocationsOf(proofs []*identity.Proof, bound int) (out revoked) {
	slices.SortFunc(proofs, (*identity.Proof).Compare)
	h, size := sha256.New(), 0
	for _, p := range proofs {
		r, is := p.Statement.(*identity.Revocation)
		if size += len(p.Encode()); !is || r.What != identity.Membership || size > bound {
			continue
		}
		out.proofs = append(out.proofs, p.Encode())
		_, _ = h.Write(p.Encode())
	}
	if len(out.proofs) > 0 {
		out.sum = hex.EncodeToString(h.Sum(nil)[:16])
	}
	return out
}

// Revocations are the revocations of members that are known, each a proof that can be verified by itself.
func (s *Self) Revocations() [][]byte {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.revoked.proofs
}

// RevocationsSum is the same for all who know the same revocations; "" is that there are none.
func (s *Self) RevocationsSum() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.revoked.sum
}

// KeepRevocations takes in revocations that somebody tells, and keeps those that are new. One that does not verify, or is of another
// city, is an error; those before it are kept.
func (s *Self) KeepRevocations(list [][]byte) error {
	before := s.RevocationsSum()
	proofs, err := s.revocations(list)
	s.Learn(proofs...)
	if s.RevocationsSum() == before {
		return err
	}
	var text bytes.Buffer
	for _, p := range s.Revocations() {
		text.WriteString(base64.StdEncoding.EncodeToString(p))
		text.WriteByte('\n')
	}
	return errors.Join(err, s.folder.Write(revocationsFile, text.Bytes()))
}

func (s *Self) revocations(list [][]byte) (out []*identity.Proof, err error) {
	for _, b := range list {
		p, err := identity.DecodeProof(b)
		if err != nil {
			return out, err
		}
		if _, is := p.Statement.(*identity.Revocation); !is || p.City() != s.admission.City {
			return out, errors.New("what is told is no revocation of this city")
		}
		out = append(out, p)
	}
	return out, nil
}

// recall reads what was kept of revocations.
func (s *Self) recall() error {
	b, err := s.folder.Read(revocationsFile, 2*maxRevocations)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	var list [][]byte
	for lines := bufio.NewScanner(bytes.NewReader(b)); err == nil && lines.Scan(); {
		var one []byte
		one, err = base64.StdEncoding.DecodeString(lines.Text())
		list = append(list, one)
	}
	if err != nil {
		return fmt.Errorf("who was revoked, in %s: %w", s.folder.Folder, err)
	}
	proofs, err := s.revocations(list)
	s.Learn(proofs...)
	if err != nil {
		return fmt.Errorf("who was revoked, in %s: %w", s.folder.Folder, err)
	}
	return nil
}
