package main

import (
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
)

// What is counted in two parts, with the state read again in between, is what is counted at once.
func TestGoesOn(t *testing.T) {
	file := filepath.Join(t.TempDir(), "primes.json")
	s, err := read(file)
	require.NoError(t, err, "at the first start nothing is there")
	s.count(500)
	require.NoError(t, s.write(file))
	s, err = read(file)
	require.NoError(t, err)
	require.EqualValues(t, 500, s.Next)
	s.count(1000)
	require.EqualValues(t, 168, s.Primes)
}
