// Package label defines the form of names, and the conditions on labels (selectors) that jobs,
// brokers and emergencies share.
//
// The package is pure and imports no other package of this module.
package label

import "strings"

// maxName is the longest name, in bytes.
const maxName = 64

// ValidName reports whether s is a valid name of a job, a broker, a label or a device:
// [A-Za-z0-9][A-Za-z0-9._-]{0,63}.
func ValidName(s string) bool { return s != "" && len(s) <= maxName && nameLength(s) == len(s) }

// Bounds of a path of names.
const (
	MaxPath  = 255 // bytes
	MaxParts = 16
)

// ValidPath reports whether s is names with slashes between them, within the bounds, as named data has.
func ValidPath(s string) bool {
	if len(s) > MaxPath || strings.Count(s, "/") >= MaxParts {
		return false
	}
	for part := range strings.SplitSeq(s, "/") {
		if !ValidName(part) {
			return false
		}
	}
	return true
}

// nameLength returns how many bytes at the beginning of s form a name, whatever their number. It is written
// by hand because every spec and every record contains many names, for which a regular expression would be
// too slow.
func nameLength(s string) int {
	for i := range len(s) {
		switch c := s[i]; {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9':
		case i > 0 && (c == '.' || c == '_' || c == '-'):
		default:
			return i
		}
	}
	return len(s)
}
