package store

import (
	"encoding/hex"
	"fmt"
)

// digest is the SHA-256 of a blob's content. Only a digest can become a path, and
// only 64 lower-case hexadecimal digits can become a digest, so that no name from
// outside reaches the file system.
type digest [32]byte

// parseDigest reads what String writes, and nothing else.
func parseDigest(s string) (d digest, err error) {
	if len(s) != 2*len(d) || !lowerHex(s) {
		return d, fmt.Errorf("%.80q: %w", s, ErrBadDigest)
	}
	_, err = hex.Decode(d[:], []byte(s))
	return d, err
}

// lowerHex reports whether s has lower-case hexadecimal digits only.
func lowerHex(s string) bool {
	for i := range len(s) {
		if c := s[i]; (c < '0' || c > '9') && (c < 'a' || c > 'f') {
			return false
		}
	}
	return true
}

// String returns the 64 digits.
func (d digest) String() string { return hex.EncodeToString(d[:]) }

// shard is the folder of the blob: the first two digits.
func (d digest) shard() string { return d.String()[:2] }

// file is the blob's name in its folder: the other 62 digits.
func (d digest) file() string { return d.String()[2:] }
