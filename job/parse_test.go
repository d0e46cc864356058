package job

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/urban-compute/ucp/label"
)

// hex64 is a well-formed digest of nothing in particular.
var hex64 = strings.Repeat("0123456789abcdef", 4)

// with is a good spec with one line added or overridden.
func with(line string) string {
	m := map[string]any{"command": "true"}
	if err := json.Unmarshal([]byte("{"+line+"}"), &m); err != nil {
		panic(err)
	}
	b, err := json.Marshal(m)
	if err != nil {
		panic(err)
	}
	return string(b)
}

// A spec that is wrong in one field is refused with that field's name.
func TestParseSpecNamesTheField(t *testing.T) {
	for _, c := range []struct{ spec, field string }{
		{`{"driver":"wasm"}`, "module"},
		{`{"module":"12"}`, "module"},
		{`{"module":"` + strings.ToUpper(hex64) + `"}`, "module"},
		{with(`"driver":"wasm","module":"` + hex64 + `"`), "command"},
		{with(`"driver":"process","module":"` + hex64 + `"`), "module"},
		{`{"driver":"process"}`, "command"},
		{with(`"driver":"docker"`), "driver"},
		{with(`"command":"a\u0000b"`), "command"},
		{with(`"args":["fine","a\u0000b"]`), "args[1]"},
		{with(`"stdin":"nothing"`), "stdin"},
		{with(`"inputs":{"in.txt":"nothing"}`), `inputs["in.txt"]`},
		{with(`"inputs":{"../in":"` + hex64 + `"}`), `inputs["../in"]`},
		{with(`"dirs":["ok","/tmp"]`), "dirs[1]"},
		{with(`"outputs":["out","a/../../b"]`), "outputs[1]"},
		{with(`"outputs":["out","out"]`), "outputs[1]"},
		{with(`"env":{"A=B":"1"}`), `env["A=B"]`},
		{with(`"env":{"":"1"}`), `env[""]`},
		{with(`"env":{"A":"\u0000"}`), `env["A"]`},
		{with(`"env":{"UCP_ATTEMPT":"1"}`), `env["UCP_ATTEMPT"]`},
		{with(`"resources":{"cpu":-1}`), "resources.cpu"},
		{with(`"resources":{"cpu":1000001}`), "resources.cpu"},
		{with(`"resources":{"memory":1}`), "resources.memory"},
		{with(`"resources":{"memory":-5}`), "resources.memory"},
		{with(`"resources":{"io":101}`), "resources.io"},
		{with(`"resources":{"io":-1}`), "resources.io"},
		{with(`"resources":{"devices":{"cam":0}}`), `resources.devices["cam"]`},
		{with(`"resources":{"devices":{"a b":1}}`), `resources.devices["a b"]`},
		{with(`"priority":{"user":11}`), "priority.user"},
		{with(`"priority":{"user":-1}`), "priority.user"},
		{with(`"priority":{"user":5,"weight":11}`), "priority.weight"},
		{with(`"priority":{"user":5,"deadline":"1901-01-31T15:04:05Z"}`), "priority.deadline"},
		{with(`"exclusive":"a drone"`), "exclusive"},
		{with(`"preemption":"kill"`), "preemption"},
		{with(`"preemption":"requeue","redeploy":false`), "preemption"},
		{with(`"after":["j1","j1"]`), "after[1]"},
		{with(`"after":["a b"]`), "after[0]"},
		{with(`"after":["` + strings.Repeat(`j","`, maxAfter) + `x"]`), "after"},
		{with(`"after":["j1"],"after_policy":"never"`), "after_policy"},
		{with(`"labels":{"a b":"c"}`), `labels["a b"]`},
		{with(`"labels":{"a":"` + strings.Repeat("x", 257) + `"}`), `labels["a"]`},
		{with(`"constraints":["ok=1","a b"]`), "constraints[1]"},
		{with(`"timeout":"-1s"`), "timeout"},
		{with(`"retries":{"max":-1}`), "retries.max"},
		{with(`"retries":{"max":101}`), "retries.max"},
		{with(`"retries":{"max":1,"backoff":"-1s"}`), "retries.backoff"},
	} {
		t.Run(c.field, func(t *testing.T) {
			_, err := ParseSpec([]byte(c.spec))
			var wrong *FieldError
			require.ErrorAs(t, err, &wrong, c.spec)
			require.Equal(t, c.field, wrong.Field, err)
			require.False(t, wrong.Unbuilt, err)
			require.Contains(t, err.Error(), c.field)
			require.Greater(t, len(wrong.Hint), 10, "it says what to do")
		})
	}
}

// What competes and waits is said in a spec.
func TestParseSpecTakes(t *testing.T) {
	for _, line := range []string{
		`"exclusive":"drone-2"`, `"resources":{"devices":{"camera":1}}`, `"priority":{"user":10,"emergency":"critical","weight":3,"deadline":"2026-01-31T15:04:05Z"}`,
		`"preemption":"never"`, `"preemption":"requeue"`, `"after":["j1","j2"],"after_policy":"end"`,
	} {
		_, err := ParseSpec([]byte(with(line)))
		require.NoError(t, err, line)
	}
	a, err := ParseSpec([]byte(with(`"after":["j1"],"after_policy":"success"`)))
	require.NoError(t, err)
	b, err := ParseSpec([]byte(with(`"after":["j1"]`)))
	require.NoError(t, err)
	require.Equal(t, a.Digest(), b.Digest(), "two spellings of one job")
}

// What later versions will do is refused and flagged, never ignored.
func TestParseSpecRefusesWhatIsNotBuilt(t *testing.T) {
	for _, c := range []struct{ line, field string }{
		{`"inputs":{"x":"data:map"}`, "inputs"},
		{`"named_outputs":{"x":"map"}`, "named_outputs"},
	} {
		t.Run(c.field, func(t *testing.T) {
			_, err := ParseSpec([]byte(with(c.line)))
			var refused *FieldError
			require.ErrorAs(t, err, &refused)
			require.Equal(t, c.field, refused.Field)
			require.True(t, refused.Unbuilt)
		})
	}
}

// Anything that is not exactly one object of known fields is refused.
func TestParseSpecIsStrict(t *testing.T) {
	for text, hint := range map[string]string{
		``:                               "EOF",
		`[]`:                             "array",
		`"true"`:                         "string",
		`{"comand":"true"}`:              `unknown field "comand"`,
		`{"resources":{"gpu":1}}`:        `unknown field "gpu"`,
		`{"command":"true"}{}`:           "something follows",
		`{"command":"true"} x`:           "something follows",
		`{"command":1}`:                  "command",
		`{"command":"true","timeout":5}`: "a duration is a string",
		`{"command":"true","timeout":"5 parsecs"}`:                  `write it as "90s"`,
		`{"command":"true","priority":{"deadline":"next tuesday"}}`: "RFC 3339",
		`{"command":"` + strings.Repeat("x", MaxSpec) + `"}`:        "at most 16384",
	} {
		_, err := ParseSpec([]byte(text))
		require.ErrorContains(t, err, hint, "%.60s", text)
	}
}

// A small text may become a large spec (escapes, defaults): the bound holds for
// what is stored and sent (rule L11).
func TestSpecBoundHoldsEncoded(t *testing.T) {
	s := Spec{Driver: Process, Command: strings.Repeat("x", MaxSpec)}
	require.ErrorContains(t, s.Complete(), "at most 16384")
}

// No path leads out of the job's directory.
func TestPathsStayInside(t *testing.T) {
	for _, p := range []string{
		"", ".", "..", "../x", "a/../../x", "a/..", "/", "/etc/passwd", "//x", "a//b", "./a", "a/", "a/.", `a\b`, `..\x`, `C:\x`,
		"a\x00b", strings.Repeat("x", 1025),
	} {
		require.Error(t, checkPath("p", p), "%q", p)
	}
	for _, p := range []string{"a", "a/b", "..a", "a..b", "a/..b", "...", ".hidden", "ä/ü", "a b", strings.Repeat("x", 1024)} {
		require.NoError(t, checkPath("p", p), "%q", p)
	}
}

func TestParseSpecDefaults(t *testing.T) {
	s, err := ParseSpec([]byte(`{"module":"` + hex64 + `"}`))
	require.NoError(t, err)
	require.Equal(t, Spec{
		Driver: Wasm, Module: Digest(hex64),
		Resources:  Resources{CPU: DefaultCPU, Memory: DefaultMemory},
		Priority:   Priority{User: DefaultUser},
		Preemption: Suspend,
	}, s)
	require.True(t, s.MayRedeploy())

	s, err = ParseSpec([]byte(with(`"timeout":"90s"`)))
	require.NoError(t, err)
	require.Equal(t, Process, s.Driver, "a command makes a process job")
	again := s
	require.NoError(t, again.Complete())
	require.Equal(t, s, again, "Complete is idempotent")
}

// The digest is half of the job's key (rule J3): equal jobs have equal digests,
// however they were written; what only says how to answer is left out.
func TestDigest(t *testing.T) {
	digest := func(text string) Digest {
		s, err := ParseSpec([]byte(text))
		require.NoError(t, err)
		return s.Digest()
	}
	base := digest(`{"command":"true","args":["a"],"env":{"A":"1","B":"2","C":"3"}}`)
	require.True(t, ValidDigest(string(base)))
	for range 20 { // maps have no order
		require.Equal(t, base, digest(`{"env":{"C":"3","B":"2","A":"1"},"args":["a"],"command":"true"}`))
	}
	require.Equal(t, base, digest(`{"command":"true","args":["a"],"env":{"A":"1","B":"2","C":"3"},"redeploy":true}`))
	require.Equal(t, base, digest(`{"driver":"process","command":"true","args":["a"],"env":{"A":"1","B":"2","C":"3"},"preemption":"suspend","resources":{"cpu":100,"memory":67108864}}`))
	require.NotEqual(t, base, digest(`{"command":"true","args":["b"],"env":{"A":"1","B":"2","C":"3"}}`))

	s := testSpec(t)
	one := s.Digest()
	s.MinReplicas = 3
	require.Equal(t, one, s.Digest())
	require.Equal(t, 3, s.MinReplicas, "Digest changes nothing")
}

// Keys and clients of other versions rest on these bytes: a change of the
// encoding must be a decision and not an accident.
func TestDigestIsStable(t *testing.T) {
	s := testSpec(t)
	require.Equal(t, Digest("d3a63304d0721abed041144b969c27c0d93c443858b6b037551155b6fe3c6c67"), s.Digest())
}

// An older broker, which does not know a field, computes the same digest as the
// newer one that does (rules L2, J3): here "args" plays the field that is not
// known, beside a second one.
func TestDigestIsTheSameWhereFieldsAreNotKnown(t *testing.T) {
	s := testSpec(t)
	older := s
	older.Args, older.Env = nil, nil
	older.Unknown = Unknown{"args": []any{"a", "b"}, "env": map[string]any{"K": "V"}}
	for range 20 {
		require.Equal(t, s.Digest(), older.Digest())
	}
}

func TestSpecBlobs(t *testing.T) {
	other := strings.Repeat("f", 64)
	s := Spec{Module: Digest(hex64), Stdin: Digest(other), Inputs: map[string]string{"b": other, "a": hex64, "c": strings.Repeat("a", 64)}}
	require.Equal(t, []Digest{Digest(hex64), Digest(other), Digest(strings.Repeat("a", 64))}, s.Blobs(), "each once, in a fixed order")
	require.Empty(t, (&Spec{Command: "true"}).Blobs())
}

func TestResultBlobs(t *testing.T) {
	blob := func(d string) *Blob { return &Blob{Digest: Digest(d)} }
	r := Result{Stdout: blob("o"), Stderr: blob("o"), Outputs: map[string]Blob{"b": {Digest: "x"}, "a": {Digest: "y"}, "c": {Digest: "o"}}}
	require.Equal(t, []Digest{"o", "y", "x"}, r.Blobs())
	require.Empty(t, (&Result{}).Blobs())
}

func TestValidName(t *testing.T) {
	for _, good := range []string{"a", "0", "A.b_c-d", strings.Repeat("x", 64)} {
		require.True(t, label.ValidName(good), good)
	}
	for _, bad := range []string{"", ".a", "-a", "_a", "a b", "a/b", "a~b", "ä", "a\n", strings.Repeat("x", 65)} {
		require.False(t, label.ValidName(bad), "%q", bad)
	}
}

// FuzzParseSpec: what is accepted is complete, stays the same when it is completed
// again or written as JSON and read, and can be stored in a record. What plain.go takes
// is what encoding/json reads.
func FuzzParseSpec(f *testing.F) {
	for _, seed := range []string{
		`{}`, `{"command":"true"}`, `{"module":"` + hex64 + `"}`, with(`"redeploy":true`), with(`"timeout":"1h"`),
		with(`"inputs":{"a/b":"` + hex64 + `"},"outputs":["o"],"dirs":["d"]`), with(`"constraints":["os=linux","zone in (a,b)"]`),
		with(`"retries":{"max":3,"backoff":"1s"}`), with(`"env":{"A":"\u00e4"},"labels":{"a":"b"}`), `{"command":"\ud800"}`, `[`,
	} {
		f.Add([]byte(seed))
	}
	f.Add([]byte(plainSpec))
	f.Fuzz(func(t *testing.T, b []byte) {
		plainEqualsJSON(t, b)
		s, err := ParseSpec(b)
		if err != nil {
			var field *FieldError
			require.True(t, !errors.As(err, &field) || field.Field != "" && field.Hint != "", err)
			return
		}
		again := s
		require.NoError(t, again.Complete())
		require.Equal(t, s.Digest(), again.Digest())

		text, err := json.Marshal(s)
		require.NoError(t, err)
		if len(text) <= MaxSpec {
			again, err = ParseSpec(text)
			require.NoError(t, err, "%s", text)
			require.Equal(t, s.Digest(), again.Digest(), "%s", text)
		}
		r := New("j", s, s.Digest(), creation)
		got, err := DecodeRecord(r.Encode())
		require.NoError(t, err)
		require.Equal(t, r.Key(), got.Key(), fmt.Sprint(s))
	})
}
