package ucp

import (
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/mod/modfile"
	"golang.org/x/mod/semver"
)

// Modules of their own, which keep what only tests and comparisons need away from the product, are built with this tree: what both require is
// there in no earlier version than here, or they can't be built until `go mod tidy` has run in them.
func TestModulesOfTheirOwnFollow(t *testing.T) {
	read := func(path string) *modfile.File {
		b, err := os.ReadFile(path)
		require.NoError(t, err)
		f, err := modfile.Parse(path, b, nil)
		require.NoError(t, err)
		return f
	}
	here := map[string]string{}
	for _, r := range read("go.mod").Require {
		here[r.Mod.Path] = r.Mod.Version
	}
	out, err := exec.Command("git", "ls-files", "-co", "--exclude-standard", "*/go.mod").Output()
	require.NoError(t, err)
	files := strings.Fields(string(out))
	built := 0
	for _, path := range files {
		f := read(path)
		if len(f.Replace) == 0 || f.Replace[0].Old.Path+"/" != module {
			continue // it uses nothing of this tree
		}
		built++
		for _, r := range f.Require {
			if v := here[r.Mod.Path]; v != "" && semver.Compare(r.Mod.Version, v) < 0 {
				t.Errorf("%s requires %s %s, and go.mod %s: run go mod tidy there", path, r.Mod.Path, r.Mod.Version, v)
			}
		}
	}
	require.NotZero(t, built)
}
