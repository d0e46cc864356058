package main

import (
	"testing"

	"github.com/stretchr/testify/require"
)

// Each part of the rule is needed: without it a search that is cut short finds a counter-example. With all of them a
// shorter one finds none; make model searches the whole.
func TestCases(t *testing.T) {
	for _, c := range cases() {
		if c.Long {
			continue
		}
		most := 100_000
		if c.Breaks == "" {
			most = 10_000
		}
		r := c.Search(most)
		require.True(t, c.Agrees(r), "%s: %s\n%q", c.Name, r, r.Story)
	}
}
