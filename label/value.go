package label

import (
	"strings"
	"unicode"
)

// MaxValue is the longest value of a label, in bytes.
const MaxValue = 256

// LabelForm says to people what a label must look like.
const LabelForm = "a label's name consists of letters, digits and . _ -, and its value has at most 256 bytes, without control characters such as a newline"

// ValidLabel reports whether a label may have this name and value, of whatever it is a label. It is for what people give;
// records of earlier versions may have others.
func ValidLabel(name, value string) bool {
	return ValidName(name) && len(value) <= MaxValue && !strings.ContainsFunc(value, unicode.IsControl)
}
