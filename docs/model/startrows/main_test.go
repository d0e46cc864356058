package main

import (
	"testing"

	"github.com/stretchr/testify/require"
)

// Each part of the rule is needed: without it a search that is cut short finds a counter-example. With all of them it
// finds none.
func TestCases(t *testing.T) {
	for _, c := range cases() {
		r := c.Search(100_000)
		require.True(t, c.Agrees(r), "%s: %s\n%q", c.Name, r, r.Story)
	}
}
