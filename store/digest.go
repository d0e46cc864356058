package store

import (
	"encoding/hex"
	"fmt"
)

// digest is the SHA-256 of a blob's content. Paths are made only from digests, and digests only from 64
// lower-case hexadecimal digits, so no name from outside reaches the file system.
type digest [32]byte

// parseDigest parses what String returns, and nothing else.
func parseDigest(s string) (d digest, err error) {
	if len(s) != 2*len(d) || !lowerHex(s) {
		return d, fmt.Errorf("%.80q: %w", s, errBadDigest)
	}
	_, err = hex.Decode(d[:], []byte(s))
	return d, err
}

// lowerHex reports whether s consists of lower-case hexadecimal digits.
func lowerHex(s string) bool {
	for i := range len(s) {
		if c := s[i]; (c < '0' || c > '9') && (c < 'a' || c > 'f') {
			return false
		}
	}
	return true
}

// String returns the digest as 64 hexadecimal digits.
func (d digest) String() string { return hex.EncodeToString(d[:]) }

// shard returns the name of the blob's directory: the first two digits.
func (d digest) shard() string { return d.String()[:2] }

// file returns the blob's name in its directory: the other 62 digits.
func (d digest) file() string { return d.String()[2:] }
