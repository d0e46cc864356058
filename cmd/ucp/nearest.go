package main

import "github.com/urban-compute/ucp/label"

// nearest returns the candidate that a person may have meant by a word with up
// to two slips (in half of its letters at most), "" when none is that near.
func nearest(word string, candidates []string) string {
	best, found := min(2, len(word)/2)+1, ""
	for _, c := range candidates {
		if d := label.Slips(word, c); d < best {
			best, found = d, c
		}
	}
	return found
}
