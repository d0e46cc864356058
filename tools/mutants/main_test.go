package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// Every mutation still finds the text that it changes: code moves on, and a mutation that
// changes nothing would prove nothing. Whether a test notices takes minutes: make mutants.
func TestMutantsApply(t *testing.T) {
	for _, m := range mutants {
		text, err := os.ReadFile(filepath.Join("..", "..", m.file))
		require.NoError(t, err)
		require.Equal(t, 1, strings.Count(string(text), m.old), "%s: %s", m.name, m.file)
		require.NotEqual(t, m.old, m.new, m.name)
	}
}
