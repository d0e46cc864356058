// Package label holds the grammar of names and the conditions on labels, which jobs,
// brokers and emergencies share: one spelling, read in one place.
//
// The package is pure, and imports nothing of ours.
package label

// maxName is the longest name, in bytes.
const maxName = 64

// ValidName reports whether s may name a job, a broker, a label or a device:
// [A-Za-z0-9][A-Za-z0-9._-]{0,63}.
func ValidName(s string) bool { return s != "" && len(s) <= maxName && nameLength(s) == len(s) }

// nameLength is how many bytes at the beginning of s look like a name. Every spec and
// every record that arrives is full of names: a regular expression for each is felt.
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
