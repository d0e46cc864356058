package module

import (
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"golang.org/x/mod/sumdb/note"
)

// Policy says which modules a broker runs. The zero value runs any.
type Policy struct {
	digests []string // of files, in hexadecimal digits
	keys    []note.Verifier
}

// MaxAllowed is how many digests and keys a policy may have: brokers tell each other of them.
const MaxAllowed = 256

// AnyModule is the word for all modules.
const AnyModule = "any"

// ParsePolicy reads what an operator allows: digests, public keys as `ucp module key` prints them, or AnyModule alone. Nothing is
// AnyModule.
func ParsePolicy(allowed []string) (p Policy, err error) {
	if len(allowed) == 0 || slices.Equal(allowed, []string{AnyModule}) {
		return p, nil
	}
	if len(allowed) > MaxAllowed {
		return p, fmt.Errorf("%d digests and keys; at most %d", len(allowed), MaxAllowed)
	}
	for _, a := range allowed {
		digest, isDigest := strings.CutPrefix(a, "sha256:")
		if b, err := hex.DecodeString(digest); err == nil && len(b) == 32 {
			p.digests = append(p.digests, strings.ToLower(digest))
			continue
		}
		key, err := note.NewVerifier(a)
		if err != nil || isDigest {
			return p, fmt.Errorf("%.80q is neither the SHA-256 of a module nor a public key (NAME+HASH+KEY, see \"ucp module key\"), and %s stands alone", a, AnyModule)
		}
		p.keys = append(p.keys, key)
	}
	return p, nil
}

// Any reports whether the policy allows all modules.
func (p *Policy) Any() bool { return len(p.digests) == 0 && len(p.keys) == 0 }

// NotAllowed is why a broker does not run a module that it could.
type NotAllowed struct{ why string }

// Error implements error.
func (e NotAllowed) Error() string { return e.why }

// Check is NotAllowed when a module with the given digest is not allowed. Any other error is one of opening or reading it, which is
// done only if somebody's signature would help.
func (p *Policy) Check(digest string, open func() (io.ReadCloser, error)) error {
	if p.Any() || slices.Contains(p.digests, digest) {
		return nil
	}
	if len(p.keys) == 0 {
		return NotAllowed{fmt.Sprintf("module %.12s is not among those that this broker runs (--allow-module)", digest)}
	}
	f, err := open()
	if err != nil {
		return err
	}
	defer f.Close()
	valid, unknown, err := Signers(f, p.keys)
	var forged *note.InvalidSignatureError
	switch {
	case errors.As(err, &forged):
		return NotAllowed{fmt.Sprintf("module %.12s has a signature of %s that is not valid: it was changed since, or is another one", digest, forged.Name)}
	case errors.As(err, new(Refused)):
		return NotAllowed{fmt.Sprintf("module %.12s: %v", digest, err)}
	case err != nil:
		return err
	case len(valid) > 0:
		return nil
	}
	who := "nobody"
	if len(unknown) > 0 {
		who = "nobody that it knows: by " + names(unknown)
	}
	return NotAllowed{fmt.Sprintf("module %.12s is not among those that this broker runs (--allow-module), and signed by %s", digest, who)}
}

func names(signatures []note.Signature) string {
	var out []string
	for _, s := range signatures {
		out = append(out, fmt.Sprintf("%s+%08x", s.Name, s.Hash))
	}
	return strings.Join(out, ", ")
}

// Tags name what the policy allows, four bytes each, so that others can tell which modules are of no use there: the beginning of a
// digest, or the number of a key. None is any module.
func (p *Policy) Tags() (tags []uint32) {
	for _, d := range p.digests {
		tags = append(tags, DigestTag(d))
	}
	for _, k := range p.keys {
		tags = append(tags, k.KeyHash())
	}
	return tags
}

// DigestTag is the tag of a digest, in hexadecimal digits.
func DigestTag(digest string) uint32 {
	b, err := hex.DecodeString(digest[:min(len(digest), 8)])
	if err != nil || len(b) < 4 {
		return 0
	}
	return binary.BigEndian.Uint32(b)
}

// TagsOf returns the tags by one of which a policy may allow a module with the given digest: its own, and those of the keys
// that have signed it, as the module says. Whether they have is not looked at, and little of the module is read.
func TagsOf(digest string, r io.ReadSeeker) (tags []uint32, err error) {
	tags = []uint32{DigestTag(digest)}
	lines, err := claims(r)
	if err != nil || lines == "" {
		return tags, err
	}
	var unverified *note.UnverifiedNoteError
	if _, err := note.Open([]byte("ucp module\n\n"+lines), note.VerifierList()); errors.As(err, &unverified) {
		for _, s := range unverified.Note.UnverifiedSigs {
			tags = append(tags, s.Hash)
		}
	}
	return tags, nil
}
