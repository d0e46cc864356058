package job

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/urban-compute/ucp/canon"
)

// hex64 is a well-formed digest.
var hex64 = strings.Repeat("0123456789abcdef", 4)

// with returns a valid spec in which one line was added or replaced.
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

// A number that is written as a text is refused with the unit that it has.
func TestUnitsOfResources(t *testing.T) {
	for _, text := range []string{`{"cpu":"500m"}`, `{"cpu":0.5}`, `{"memory":"64MiB"}`} {
		_, err := ParseSpec([]byte(`{"command":"true","resources":` + text + `}`))
		require.ErrorContains(t, err, "cpu is in millicores (1000 is one core), memory and disk are in bytes", text)
	}
}

// A spec with one invalid field is refused with that field's name.
func TestParseSpecNamesTheField(t *testing.T) {
	for _, c := range []struct{ spec, field string }{
		{`{"driver":"wasm"}`, "module"},
		{`{"module":"12"}`, "module"},
		{`{"module":"job:j1/out/m.wasm"}`, "module"},
		{`{"module":"data:"}`, "module"},
		{`{"module":"data:a b"}`, "module"},
		{`{"module":"data:tools/"}`, "module"},
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
		{with(`"resources":{"disk":4095}`), "disk"},
		{with(`"disk":-1`), "disk"},
		{with(`"disk":5000,"resources":{"disk":5000}`), "disk"},
		{with(`"resources":{"io":101}`), "resources.io"},
		{with(`"priority":{"weight":10.5}`), "priority.weight"},
		{with(`"priority":{"weight":-0.5}`), "priority.weight"},
		{with(`"priority":{"weight":10},"weight_part":0.5`), "weight_part"},
		{with(`"priority":{"weight":1.5},"weight_part":0.5`), "weight_part"},
		{with(`"priority":{"urgency":1.01}`), "priority.urgency"},
		{with(`"priority":{"urgency":-0.01}`), "priority.urgency"},
		{with(`"priority":{"urgency":0.5},"urgency":0.5`), "priority.urgency"},
		{with(`"urgency":2`), "urgency"},
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
		{with(`"name":"` + strings.Repeat("x", 256) + `"`), "name"},
		{with(`"name":"red\u001b[31m"`), "name"},
		{with(`"labels":{"a b":"c"}`), `labels["a b"]`},
		{with(`"labels":{"a":"` + strings.Repeat("x", 257) + `"}`), `labels["a"]`},
		{with(`"labels":{"a":"1\n2"}`), `labels["a"]`},
		{with(`"labels":{"a":"\u001b[2J"}`), `labels["a"]`},
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
			require.Contains(t, err.Error(), c.field)
			require.Greater(t, len(wrong.Hint), 10, "the hint says what would be right")
		})
	}
}

// These fields are accepted.
func TestParseSpecAccepts(t *testing.T) {
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
	require.Equal(t, a.Digest(), b.Digest(), "they are two spellings of the same job")
	a, err = ParseSpec([]byte(with(`"outputs_on_failure":true,"plain_env":false,"name":""`)))
	require.NoError(t, err)
	b, err = ParseSpec([]byte(with(`"name":""`)))
	require.NoError(t, err)
	require.Equal(t, a.Digest(), b.Digest(), "likewise")
	wasm, zero := `{"module":"`+strings.Repeat("0", 64)+`",`, strings.Repeat("0", 64)
	a, err = ParseSpec([]byte(wasm + `"inputs":{"/d/x":"` + zero + `"},"dirs":["/tmp/y"],"outputs":["//r"]}`))
	require.NoError(t, err, "a wasm job's directory is its root")
	b, err = ParseSpec([]byte(wasm + `"inputs":{"d/x":"` + zero + `"},"dirs":["tmp/y"],"outputs":["r"]}`))
	require.NoError(t, err)
	require.Equal(t, a.Digest(), b.Digest(), "likewise")
	_, err = ParseSpec([]byte(wasm + `"inputs":{"/x":"` + zero + `","x":"` + zero + `"}}`))
	require.ErrorContains(t, err, `inputs["/x"]`, "one path, twice")
}

// Everything but exactly one object with known fields is refused.
func TestParseSpecIsStrict(t *testing.T) {
	for text, hint := range map[string]string{
		``:                                  "it is empty",
		`[]`:                                "must be an object, not a list",
		`"true"`:                            "string",
		`{"comand":"true"}`:                 `unknown field "comand"`,
		`{"resources":{"gpu":1}}`:           `unknown field "gpu"`,
		`{"command":"true"}{}`:              "something follows",
		`{"command":"true"} x`:              "something follows",
		`{"command":1}`:                     "command",
		`{"Command":"true"}`:                `unknown field "Command"`,
		`{"command":"a","command":"b"}`:     `"command" occurs twice`,
		`{"args":["\ud800"],"command":"a"}`: "args.0: invalid surrogate pair",
		`{"command":"true","timeout":5}`:    "a duration is a string",
		`{"command":"true","timeout":"5 parsecs"}`:                  `write it as "90s"`,
		`{"command":"true","priority":{"deadline":"next tuesday"}}`: "RFC 3339",
		`{"command":"` + strings.Repeat("x", MaxSpec) + `"}`:        "at most 16384",
	} {
		_, err := ParseSpec([]byte(text))
		require.ErrorContains(t, err, hint, "%.60s", text)
	}
}

// The limit is for the encoded spec, which is stored and sent (rule L11).
func TestSpecBoundHoldsEncoded(t *testing.T) {
	s := Spec{Driver: Process, Command: strings.Repeat("x", MaxSpec)}
	require.ErrorContains(t, s.Complete(), "at most 16384")
}

// The limit is for the encoded spec, even if its JSON is shorter (rule L11).
func TestEncodedSizeCounts(t *testing.T) {
	_, err := ParseSpec([]byte(`{"command":"` + strings.Repeat("x", MaxSpec-20) + `"}`))
	require.ErrorContains(t, err, "encoded")
	_, err = ParseSpec([]byte(`{"command":"` + strings.Repeat("x", MaxSpec-200) + `"}`))
	require.NoError(t, err)
}

// Paths must not lead out of the job's directory.
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
// however their specs were written. MinReplicas is left out, because it only says when to answer.
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
	require.Equal(t, base, digest(`{"command":"true","args":["a"],"env":{"A":"1","B":"2","C":"3"},"disk":1073741824}`))
	require.Equal(t, base, digest(`{"command":"true","args":["a"],"env":{"A":"1","B":"2","C":"3"},"resources":{"disk":1073741824}}`))
	require.Equal(t, digest(with(`"disk":5000`)), digest(with(`"resources":{"disk":5000}`)))
	require.NotEqual(t, base, digest(`{"command":"true","args":["b"],"env":{"A":"1","B":"2","C":"3"}}`))

	s := testSpec(t)
	one := s.Digest()
	s.MinReplicas = 3
	require.Equal(t, one, s.Digest())
	require.EqualValues(t, 3, s.MinReplicas, "Digest changes nothing")
}

// The keys of other versions depend on these bytes: a change of the
// encoding must not happen by accident.
func TestDigestIsStable(t *testing.T) {
	s := testSpec(t)
	require.Equal(t, Digest("d3a63304d0721abed041144b969c27c0d93c443858b6b037551155b6fe3c6c67"), s.Digest())
}

// An older broker, which does not know a field, computes the same digest as a
// newer one that does (rules L2, J3). "args" and "env" are the unknown fields here.
func TestUnknownFieldsAreInTheDigest(t *testing.T) {
	s := testSpec(t)
	older := s
	older.Args, older.Env = nil, nil
	older.Unknown = canon.Unknown{"args": []any{"a", "b"}, "env": map[string]any{"K": "V"}}
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

// FuzzParseSpec checks that an accepted spec is complete, stays the same when it is completed again or
// formatted as JSON and parsed again, and can be stored in a record.
func FuzzParseSpec(f *testing.F) {
	for _, seed := range []string{
		`{}`, `{"command":"true"}`, `{"module":"` + hex64 + `"}`, with(`"redeploy":true`), with(`"timeout":"1h"`),
		with(`"inputs":{"a/b":"` + hex64 + `"},"outputs":["o"],"dirs":["d"]`), with(`"constraints":["os=linux","zone in (a,b)"]`),
		with(`"retries":{"max":3,"backoff":"1s"}`), with(`"env":{"A":"\u00e4"},"labels":{"a":"b"}`), `{"command":"\ud800"}`, `[`,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
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

// BenchmarkParseSpec is part of what every submission costs.
func BenchmarkParseSpec(b *testing.B) {
	text := []byte(`{"driver":"process","command":"/opt/ucp/bin/assess","args":["--station","fire-07","--district","7","--report","0001-00000001","--format","geojson"],` +
		`"env":{"REGION":"marburg-biedenkopf","LOG_LEVEL":"warning"},"resources":{"cpu":250,"memory":134217728},"retries":{"max":2,"backoff":"5s"},` +
		`"labels":{"team":"flood-response","shift":"night"},"constraints":["zone=nowhere","arch in (amd64, arm64)"],"timeout":"90s"}`)
	b.ReportAllocs()
	for b.Loop() {
		_, _ = ParseSpec(text)
	}
}
