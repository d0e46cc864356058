package strictjson

import (
	"encoding/json"
	"runtime"
	"strings"
	"testing"

	"github.com/goccy/go-yaml"
	"github.com/stretchr/testify/require"
)

func TestFromYAML(t *testing.T) {
	for in, want := range map[string]string{
		"command: stay\nlabels: {kind: test}\n":                  `{"command":"stay","labels":{"kind":"test"}}`,
		"---\n# a comment\na: 1\n":                               `{"a":1}`,
		"args: [1, yes, true, 0x10, 1.50, ~, a, \"2\"]":          `{"args":["1","yes","true","0x10","1.50",null,"a","2"]}`,
		"env:\n  A: 1\n  B:\n    - no\n  2: x\n":                 `{"env":{"A":"1","B":["no"],"2":"x"}}`,
		"resources: {cpu: 2000, memory: 1.5}\nredeploy: false":   `{"resources":{"cpu":2000,"memory":1.5},"redeploy":false}`,
		"a: |\n  two\n  lines\nb: >\n  one\n  line\n":            `{"a":"two\nlines\n","b":"one line\n"}`,
		"- - 1\n  - 2\n- {}\n- []\n":                             `[[1,2],{},[]]`,
		"a: \"\\u00e4\\n\"\nb: 'it''s'\nc: 2026-01-01":           `{"a":"ä\n","b":"it's","c":"2026-01-01"}`,
		`{"command": "json is yaml", "resources": {"cpu": 250}}`: `{"command":"json is yaml","resources":{"cpu":250}}`,
		"a: 0o17\nb: 0b11\nc: -7\nd: 18446744073709551615\n":     `{"a":15,"b":3,"c":-7,"d":18446744073709551615}`,
	} {
		got, err := FromYAML([]byte(in), "args", "env")
		require.NoError(t, err, in)
		require.JSONEq(t, want, string(got), in)
	}
}

// What makes much of little is refused, in one line that names the place.
func TestYAMLIsBounded(t *testing.T) {
	bomb := "a: &a [x, x, x, x, x, x, x, x, x]\n"
	for c := 'b'; c < 'j'; c++ {
		before := string(c - 1)
		bomb += string(c) + ": &" + string(c) + " [" + strings.TrimSuffix(strings.Repeat("*"+before+", ", 9), ", ") + "]\n"
	}
	for name, x := range map[string]struct{ text, want string }{
		"aliases":        {bomb, "line 1: anchors, aliases and merge keys"},
		"merge":          {"a: {b: 1}\nc:\n  <<: {d: 1}\n", "line 3: anchors, aliases and merge keys"},
		"brackets":       {strings.Repeat("[", 16<<10), "more than 32 deep"},
		"braces":         {strings.Repeat("{a: ", 4<<10), "more than 32 deep"},
		"dashes":         {strings.Repeat("- ", 8<<10), "more than 32 deep"},
		"question marks": {strings.Repeat("? ", 8<<10), "more than 32 deep"},
		"blank lines":    {"a: |\n " + strings.Repeat(" \n", 8<<10), "more than 1000 blank lines"},
		"returns":        {"a: |\n " + strings.Repeat("\r", 16<<10), "more than 1000 blank lines"},
		"steps":          {steps(150), "line 33: lists and objects"},
		"a tag":          {"a: !!binary aGk=\n", "line 1: \"!!binary\": tags"},
		"a directive":    {"%YAML 1.2\n---\na: 1\n", "tags and directives"},
		"two documents":  {"a: 1\n---\nb: 2\n", "line 3: a second document"},
		"nothing":        {"", "it is empty"},
		"a comment":      {"# a\n", "it is empty"},
		"not YAML":       {"a: [1\n", "line 1: "},
		"infinity":       {"a: .inf\n", "line 1: JSON has nothing"},
		"no number":      {"a: .nan\n", "line 1: JSON has nothing"},
		"an odd name":    {"? [a]\n: b\n", "line 2: "},
		"a name twice":   {"a: 1\na: 2\n", "line 2: "},
	} {
		t.Run(name, func(t *testing.T) {
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			_, err := FromYAML([]byte(x.text))
			runtime.ReadMemStats(&after)
			require.ErrorContains(t, err, x.want)
			require.NotContains(t, err.Error(), "\n")
			require.Less(t, after.TotalAlloc-before.TotalAlloc, uint64(32<<20), "16 KiB of text")
		})
	}
}

// What JSON can't hold is refused in YAML, too, and not changed without a word.
func TestYAMLIsText(t *testing.T) {
	for text, want := range map[string]string{
		"a: \"\xff\"\n":           "it is not UTF-8",
		"b: x\na: \xed\xa0\x80\n": "it is not UTF-8", // a surrogate as if it were a character
		"# \xff\na: 1\n":          "it is not UTF-8",
		`a: "\ud800"`:             "line 1: ",
		"b: x\na: \"x\\udc00\"\n": "line 2: an escape that stands for no character",
		`a: "\uDC00\uD800"`:       "line 1: ",
		`"\udead": x`:             "an escape that stands for no character",
		`a: ["\U0000d800"]`:       "an escape that stands for no character",
		`{"a": "\U00110000"}`:     "an escape that stands for no character",
		`a: "\\\ude00 \\ud800"`:   "an escape that stands for no character",
		`a: "\ud83d\ude00\ude00"`: "an escape that stands for no character",
	} {
		_, err := FromYAML([]byte(text))
		require.ErrorContains(t, err, want, "%q", text)
	}
	for text, want := range map[string]string{
		`a: "\ud83d\ude00 \U0001f600 \\ud800 \xff"`: `{"a":"😀 😀 \\ud800 ÿ"}`,
		`a: '\ud800'`: `{"a":"\\ud800"}`,
		`a: \ud800`:   `{"a":"\\ud800"}`,
		"a: '\ufffd'": `{"a":"\ufffd"}`,
	} {
		got, err := FromYAML([]byte(text))
		require.NoError(t, err, text)
		require.JSONEq(t, want, string(got), text)
	}
}

// steps is an object in an object, n deep.
func steps(n int) string {
	var b strings.Builder
	for i := range n {
		b.WriteString(strings.Repeat(" ", i) + "a:\n")
	}
	return b.String()
}

// Whatever is taken is JSON, and means what the library makes of it, but for names of fields that look like numbers or
// booleans: they stay as they are written.
func FuzzFromYAML(f *testing.F) {
	for _, seed := range []string{"A: [1, {B: c}]\n", "- - - x\n", "A: |\n x\n", "? A\n: b\n", "A: &b c\n", `{"A":"\ud800"}`, "\t", "A:\n- b\n-\n"} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		if len(b) > 16<<10 {
			return
		}
		got, err := FromYAML(b)
		if err != nil {
			require.NotContains(t, err.Error(), "\n")
			return
		}
		require.True(t, json.Valid(got), "%s", got)
		want, err := yaml.YAMLToJSON(b)
		if err != nil {
			return // the library refuses more where it decodes
		}
		var x, y any
		if json.Unmarshal(want, &y) == nil && json.Unmarshal(got, &x) == nil && wordsOnly(x) {
			require.Equal(t, y, x, "%q", b)
		}
	})
}

// wordsOnly reports whether the names of all fields begin with a capital letter that no number and no boolean begins with.
func wordsOnly(v any) bool {
	switch v := v.(type) {
	case map[string]any:
		for k, x := range v {
			if k == "" || k[0] < 'A' || k[0] > 'E' || !wordsOnly(x) {
				return false
			}
		}
	case []any:
		for _, x := range v {
			if !wordsOnly(x) {
				return false
			}
		}
	}
	return true
}
