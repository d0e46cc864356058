package main

import (
	"cmp"
	"encoding/json"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/spf13/pflag"
	"github.com/stretchr/testify/require"
)

// flagless are the fields of a spec that `ucp run` has no flag for, each with the reason.
var flagless = map[string]string{
	"driver":       "it has one, and follows from the program without",
	"module":       "the program is an argument",
	"command":      "the program is an argument",
	"args":         "they stand behind --",
	"submitter":    "the broker writes it",
	"resources.io": "nobody can say how much I/O a job makes; a spec file can",
}

// Each row of the table "A job's spec" in docs/api.md (which has one for each field: a test of package
// job sees to that) names the flag of `ucp run` that sets the field, and that flag exists. A field without
// a flag is listed here with the reason.
func TestEveryFieldHasAFlag(t *testing.T) {
	run, _, err := (&cli{}).rootCommand().Find([]string{"run"})
	require.NoError(t, err)
	for field, flags := range specFlags(t) {
		if len(flags) == 0 && flagless[field] == "" {
			t.Errorf("job.Spec %s: `ucp run` has no flag for it: add one in run_flags.go and to its row in docs/api.md, or list it in flagless with the reason", field)
		}
		for _, name := range flags {
			if run.Flags().Lookup(name) == nil {
				t.Errorf("job.Spec %s: docs/api.md names the flag --%s, which `ucp run` does not have", field, name)
			}
		}
	}
}

// specFlags reads which flags set a field, by the field's path, from the table "A job's spec" of docs/api.md.
func specFlags(t *testing.T) map[string][]string {
	b, err := os.ReadFile(filepath.Join("..", "..", "docs", "api.md"))
	require.NoError(t, err)
	_, table, ok := strings.Cut(string(b), "## A job's spec")
	require.True(t, ok)
	table, _, _ = strings.Cut(table, "\n#")
	out := map[string][]string{}
	flag := regexp.MustCompile("`--([a-z-]+)`")
	for _, row := range regexp.MustCompile("(?m)^\\| `([a-z_.]+)` \\|.*\\|([^|]*)\\|$").FindAllStringSubmatch(table, -1) {
		out[row[1]] = nil
		for _, name := range flag.FindAllStringSubmatch(row[2], -1) {
			out[row[1]] = append(out[row[1]], name[1])
		}
	}
	require.Greater(t, len(out), 20)
	return out
}

// samples are values for the flags that take more than a number, a duration or a plain word, by flag; by field where one
// flag sets several.
var samples = map[string]string{
	"driver": "process", "input": "a=b", "put": "a=b", "env": "A=b", "label": "a=b", "device": "camera=1", "cpu": "700m", "memory": "1GiB", "disk": "2GiB",
	"constraint": "zone=7", "urgency": "0.5", "weight": "2", "weight_part": "2.5", "emergency": "high", "preempt": "never", "deadline": "2031-01-01T00:00:00Z", "deadline_in": "90m", "after": "j1",
}

// uploaded are the fields whose flags name files: they are set once the files are uploaded, which the tests of
// `ucp run` look at.
var uploaded = map[string]bool{"stdin": true, "inputs": true}

// A flag that is registered and then left out of runFlags.spec would be taken without a word.
func TestEveryFlagSetsItsField(t *testing.T) {
	specWith := func(args ...string) map[string]any {
		var f runFlags
		fs := pflag.NewFlagSet("run", pflag.ContinueOnError)
		f.register(fs)
		require.NoError(t, fs.Parse(args), "%q", args)
		s, err := f.spec(nil)
		require.NoError(t, err, "%q", args)
		b, err := json.Marshal(s)
		require.NoError(t, err)
		var out map[string]any
		require.NoError(t, json.Unmarshal(b, &out))
		return out
	}
	at := func(spec map[string]any, path string) any {
		outer, inner, nested := strings.Cut(path, ".")
		if below, ok := spec[outer].(map[string]any); nested && ok {
			return below[inner]
		}
		return spec[outer]
	}
	fields := specFlags(t)
	for field, flags := range fields {
		for _, name := range flags {
			if uploaded[field] {
				continue
			}
			var f runFlags
			fs := pflag.NewFlagSet("run", pflag.ContinueOnError)
			f.register(fs)
			flag := fs.Lookup(name)
			if flag == nil {
				continue // TestEveryFieldHasAFlag says so
			}
			value := cmp.Or(samples[field], samples[name], map[string]string{"int": "3", "duration": "1h", "bool": "true"}[flag.Value.Type()], "word")
			require.NotEqual(t, at(specWith(), field), at(specWith("--"+name+"="+value), field),
				"job.Spec %s: --%s is registered, and runFlags.spec does not use it", field, name)
		}
	}
}
