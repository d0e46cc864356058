package main

import (
	"testing"

	"github.com/stretchr/testify/require"
)

// What is quick to search is as expected; make model searches the rest.
func TestCases(t *testing.T) {
	for _, c := range cases() {
		if c.Breaks == "" || c.Name == "joined" || c.Name == "joined, said again" {
			r := c.Search(5_000)
			require.True(t, c.Agrees(r), "%s: %s\n%q", c.Name, r, r.Story)
		}
	}
}
