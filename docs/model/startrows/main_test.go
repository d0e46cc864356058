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

// The twin of a twin is the state itself, and a state goes on as its twin does.
func TestTwin(t *testing.T) {
	r := rule{members: 3, starts: 1, restores: 1}
	level, seen := []state{r.first()}, map[state]bool{}
	for len(seen) < 2000 {
		s := level[0]
		level = level[1:]
		require.Equal(t, s, twin(twin(s)))
		next, twins := map[state]bool{}, map[state]bool{}
		r.next(s, func(n state, _ string) {
			next[n] = true
			if !seen[n] {
				seen[n], level = true, append(level, n)
			}
		})
		r.next(twin(s), func(n state, _ string) { twins[twin(n)] = true })
		require.Equal(t, next, twins)
	}
}
