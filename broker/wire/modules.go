package wire

import (
	"encoding/hex"
	"fmt"

	"github.com/urban-compute/ucp/job"
)

// Modules names modules that a broker has compiled, the last used first, by the beginnings of their digests: a wrong
// guess, once in 200 million, costs a job some waiting. It is bounded, so that metadata stays as small as it is (rule L11).
type Modules []byte

// MaxModules is how many modules metadata names, and shortDigest how many bytes of each.
const (
	MaxModules  = 16
	shortDigest = 4
)

// NewModules names the first MaxModules of these.
func NewModules(digests []job.Digest) (m Modules) {
	for _, d := range digests[:min(len(digests), MaxModules)] {
		if b, ok := shorten(d); ok {
			m = append(m, b[:]...)
		}
	}
	return m
}

// Has reports whether a module is named.
func (m Modules) Has(d job.Digest) bool {
	want, ok := shorten(d)
	for ; ok && len(m) >= shortDigest; m = m[shortDigest:] {
		if [shortDigest]byte(m[:shortDigest]) == want {
			return true
		}
	}
	return false
}

func shorten(d job.Digest) (out [shortDigest]byte, ok bool) {
	if len(d) < 2*shortDigest {
		return out, false
	}
	_, err := hex.Decode(out[:], []byte(d[:2*shortDigest]))
	return out, err == nil
}

func (m Modules) validate() error {
	if len(m) > MaxModules*shortDigest || len(m)%shortDigest != 0 {
		return fmt.Errorf("it names modules in %d bytes, at most %d are allowed, %d for each", len(m), MaxModules*shortDigest, shortDigest)
	}
	return nil
}
