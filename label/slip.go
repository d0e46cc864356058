package label

import (
	"cmp"
	"fmt"
	"strings"
)

// Slip returns the candidate that a word is a slip of the pen of: written in another case, or with one letter left out,
// added, exchanged, or swapped with the next one; two of them if the candidate has seven letters or more. It is "" when
// there is none, and when the word is a candidate itself, or differs from one in its digits alone (flood-7, flood-8). It is meant for words that may be right although nobody knows them.
func Slip(word string, candidates []string) string {
	best, found := 3, ""
	for _, c := range candidates {
		if word == c {
			return ""
		}
		if strings.Map(letters, word) == strings.Map(letters, c) && len(word)+len(c) > 2*len(strings.Map(letters, c)) {
			continue
		}
		n, most := Slips(strings.ToLower(word), strings.ToLower(c)), 1
		if len(c) >= 7 {
			most = 2
		}
		if n <= most && n < len(c) && n < best { // something of it is right
			best, found = n, c
		}
	}
	return found
}

// letters drops digits.
func letters(r rune) rune {
	if r >= '0' && r <= '9' {
		return -1
	}
	return r
}

// Slips counts the insertions, deletions and exchanges of bytes, and swaps of two that follow each other, that turn a into b
// (optimal string alignment, after Damerau 1964).
func Slips(a, b string) int {
	var before []int
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		next := make([]int, len(b)+1)
		next[0] = i + 1
		for j := range len(b) {
			cost := row[j]
			if a[i] != b[j] {
				cost++
			}
			next[j+1] = min(cost, row[j+1]+1, next[j]+1)
			if i > 0 && j > 0 && a[i] == b[j-1] && a[i-1] == b[j] {
				next[j+1] = min(next[j+1], before[j-1]+1)
			}
		}
		before, row = row, next
	}
	return row[len(b)]
}

// Begun returns the only candidate that begins with a word of three letters or more, in whatever case; "" when there is none.
func Begun(word string, candidates []string) string {
	found := ""
	for _, c := range candidates {
		if len(word) >= 3 && len(word) < len(c) && strings.EqualFold(c[:len(word)], word) {
			if found != "" {
				return ""
			}
			found = c
		}
	}
	return found
}

// OneOf says, for people who have given another word, which words there are, and which of them was probably meant.
func OneOf(word string, known []string) string {
	text := "want one of " + strings.Join(known, ", ")
	if near := cmp.Or(Slip(word, known), Begun(word, known)); near != "" {
		return fmt.Sprintf("did you mean %s? %s", near, text)
	}
	return text
}
