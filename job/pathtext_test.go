package job

import (
	"encoding/json"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

// Any path comes back, also through JSON.
func TestPathTextIsReversible(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		path := string(rapid.SliceOf(rapid.OneOf(rapid.Byte(), rapid.SampledFrom([]byte(`\x9e/.`)))).Draw(t, "path"))
		b, err := json.Marshal(PathText(path))
		require.NoError(t, err)
		var text string
		require.NoError(t, json.Unmarshal(b, &text))
		require.Equal(t, path, PathOf(text))
	})
	require.Equal(t, "übung/caf\u00e9.txt", PathText("übung/café.txt"))
	require.Equal(t, `caf\xe9/a\\b`, PathText("caf\xe9/a\\b"))
}

// A text that somebody has made up leads nowhere that it does not show.
func TestPathOfHidesNothing(t *testing.T) {
	for _, text := range []string{`\x2e\x2e/x`, `a\x2fb`, `\x00`, `\xE9`, `\x8`, `a\`, `\xzz`} {
		require.Equal(t, text, PathOf(text))
	}
	rapid.Check(t, func(t *rapid.T) {
		text := rapid.StringMatching(`[a\\x289.f/]{0,12}`).Draw(t, "text")
		if filepath.IsLocal(text) {
			require.True(t, filepath.IsLocal(PathOf(text)), "%q", PathOf(text))
		}
	})
}

func TestSpecsAreText(t *testing.T) {
	const latin = "caf\xe9"
	for field, s := range map[string]*Spec{
		"name": {Name: latin}, "command": {Command: latin}, "args": {Args: []string{"ok", latin}}, "dirs": {Dirs: []string{latin}},
		"outputs": {Outputs: []string{latin}}, "env": {Env: map[string]string{"K": latin}}, "inputs": {Inputs: map[string]string{latin: "x"}},
		"labels": {Labels: map[string]string{"k": latin}}, "constraints": {Constraints: []string{latin}},
	} {
		var wrong *FieldError
		require.ErrorAs(t, s.CheckText(), &wrong, field)
		require.Equal(t, field, wrong.Field)
	}
	_, err := ParseSpec([]byte(`{"command":"caf` + "\xe9" + `"}`))
	require.ErrorContains(t, err, "UTF-8")
	_, err = ParseSpec([]byte(`{"command":"café"}`))
	require.NoError(t, err)
}
