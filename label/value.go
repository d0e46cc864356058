package label

import (
	"strings"
	"unicode"
)

// MaxValue is the longest value of a label, in bytes.
const MaxValue = 256

// LabelForm says to people what a label must look like.
const LabelForm = "a label's name consists of letters, digits and . _ -, and its value has at most 256 bytes, without control characters such as a newline, or such that turn the direction of the text"

// ValidLabel reports whether a label may have this name and value, of whatever it is a label. It is for what people give;
// records of earlier versions may have others.
func ValidLabel(name, value string) bool {
	return ValidName(name) && len(value) <= MaxValue && !strings.ContainsFunc(value, Misleads)
}

// Misleads reports whether a character may make a line of text look like something else: a control character such as a
// newline, a separator of lines or paragraphs, or one that turns the direction of what follows (UAX #9).
func Misleads(r rune) bool {
	switch {
	case unicode.IsControl(r), r == '\u2028', r == '\u2029':
		return true
	}
	return r >= '\u202a' && r <= '\u202e' || r >= '\u2066' && r <= '\u2069'
}
