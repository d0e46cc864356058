package main

import (
	"testing"

	"github.com/stretchr/testify/require"
)

// What is quick to search is as expected; make model searches the rest.
func TestCases(t *testing.T) {
	for _, c := range cases() {
		r := c.Search(30_000)
		if c.Breaks != "" && !r.Complete && r.Broken == "" {
			continue // the fault lies deeper
		}
		require.True(t, c.Agrees(r), "%s: %s\n%q", c.Name, r, r.Story)
	}
}
