package ucp

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// Each test and each story that docs/testing.md names exists: what shows that a rule is needed must not go unnoticed.
func TestTestingDocNamesWhatExists(t *testing.T) {
	doc, err := os.ReadFile("docs/testing.md")
	require.NoError(t, err)
	function := regexp.MustCompile(`(?m)^func (Test\w+)\(`)
	exists := map[string]bool{}
	require.NoError(t, filepath.WalkDir(".", func(path string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case strings.HasSuffix(path, "_test.go"):
			text, err := os.ReadFile(path)
			for _, m := range function.FindAllSubmatch(text, -1) {
				exists[string(m[1])] = true
			}
			return err
		case filepath.Base(filepath.Dir(path)) == "testdata":
			exists[strings.TrimSuffix(d.Name(), ".txt")] = true
		}
		return nil
	}))
	names := regexp.MustCompile(`\b(Test[A-Z]\w+|[A-Z][0-9]+_[a-z]\w+)`).FindAllString(string(doc), -1)
	require.NotEmpty(t, names)
	for _, name := range names {
		require.True(t, exists[name], "docs/testing.md names %s, which is nowhere", name)
	}
}
