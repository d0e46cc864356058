package data

import (
	"fmt"
	"strings"

	"github.com/urban-compute/ucp/label"
)

// Name names data: parts of letters, digits and . _ - that begin with a letter or digit, with slashes between them, such as
// sensors/quake/today.
type Name string

// Valid returns an error that says what is wrong with a name, or nil.
func (n Name) Valid() error {
	parts := strings.Split(string(n), "/")
	switch {
	case n == "":
		return fmt.Errorf("the name of the data is missing; want one such as sensors/quake/today")
	case len(n) > label.MaxPath || len(parts) > label.MaxParts:
		return fmt.Errorf("name %.80q: it has %d bytes and %d parts; at most %d and %d are allowed", n, len(n), len(parts), label.MaxPath, label.MaxParts)
	}
	for _, part := range parts {
		if !label.ValidName(part) {
			return fmt.Errorf("name %.80q: %q is no part of a name; use at most 64 letters, digits and . _ -, beginning with a letter or digit, with slashes between the parts", n, part)
		}
	}
	return nil
}

// Below reports whether a name is below a prefix: "" is above all names, and any other prefix ends with a slash.
func (n Name) Below(prefix string) bool { return strings.HasPrefix(string(n), prefix) }

// ValidPrefix returns an error that says what is wrong with a prefix, or nil: it is "", or a name with a slash behind it.
func ValidPrefix(prefix string) error {
	if prefix == "" {
		return nil
	}
	name, slash := strings.CutSuffix(prefix, "/")
	if !slash {
		return fmt.Errorf("prefix %.80q: it ends with no slash", prefix)
	}
	return Name(name).Valid()
}
