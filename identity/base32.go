package identity

import (
	"encoding/base32"
	"errors"
	"strings"
)

// alphabet is Crockford's: no I, L, O and U, which are taken for others.
const alphabet = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"

var crockford = base32.NewEncoding(alphabet).WithPadding(base32.NoPadding)

// readable turns what a person has typed into characters of the alphabet: of either case, with O for 0, I and L for 1, and
// dashes and spaces anywhere.
var readable = strings.NewReplacer("O", "0", "I", "1", "L", "1", "-", "", " ", "", "\t", "")

var errTyped = errors.New("identity: that is no invite code, or a character of it is wrong: they are digits and letters, without U")

// checkCharacter is one that goes with a text of the alphabet, so that neither one wrong character nor two neighbours in
// the wrong order go unseen: the sum over the field of 32 elements in which each character is weighted with another power
// of two. Characters that lie 31 apart have one weight.
func checkCharacter(text string) (byte, error) {
	sum := 0
	for i := range len(text) {
		v := strings.IndexByte(alphabet, text[i])
		if v < 0 {
			return 0, errTyped
		}
		sum = double(sum ^ v)
	}
	return alphabet[sum], nil
}

// double multiplies by two in the field of 32 elements, modulo x^5 + x^2 + 1.
func double(v int) int {
	if v <<= 1; v >= 32 {
		v ^= 0b100101
	}
	return v
}

// armour writes bytes with a check character, in groups of twelve or so.
func armour(b []byte) string {
	text := crockford.EncodeToString(b)
	check, err := checkCharacter(text)
	if err != nil {
		panic("identity: the encoder writes characters that are none of its alphabet")
	}
	text += string(check)
	groups := max(1, len(text)/12)
	var out strings.Builder
	for i := range groups {
		if i > 0 {
			out.WriteByte('-')
		}
		out.WriteString(text[i*len(text)/groups : (i+1)*len(text)/groups])
	}
	return out.String()
}

// unarmour reads what armour has written and a person has copied.
func unarmour(typed string) ([]byte, error) {
	text := readable.Replace(strings.ToUpper(typed))
	if len(text) < 2 {
		return nil, errTyped
	}
	text, given := text[:len(text)-1], text[len(text)-1]
	if check, err := checkCharacter(text); err != nil || check != given {
		return nil, errTyped
	}
	b, err := crockford.DecodeString(text)
	if err != nil || crockford.EncodeToString(b) != text {
		return nil, errTyped
	}
	return b, nil
}
