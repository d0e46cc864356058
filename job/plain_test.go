package job

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/urban-compute/ucp/canon"
)

// plainEqualsJSON checks what plain.go guarantees for every text: if it accepts the text, it gives the same
// spec as encoding/json. It reports whether plain.go accepts it.
func plainEqualsJSON(t require.TestingT, text []byte) bool {
	got, want := Spec{Priority: Priority{User: DefaultUser}}, Spec{Priority: Priority{User: DefaultUser}}
	if !parsePlainSpec(text, &got) {
		return false
	}
	require.NoError(t, strictJSON(text, &want), "%s", text)
	require.Equal(t, want, got, "%s", text)
	require.LessOrEqual(t, len(canon.Encode(&got)), encodedAtMost(len(text)), "%s", text)
	return true
}

// plainSpec is a spec with all fields that plain.go reads.
const plainSpec = `{"driver":"process","module":"m","command":"/bin/true","args":["a","-b c"],"env":{"K":"V","L":""},"stdin":"s",
	"inputs":{"in.txt":"d"},"dirs":[],"outputs":["x","y"],"resources":{"cpu":250,"memory":134217728,"io":0},"labels":{ },
	"constraints":["zone=nowhere"],"timeout":"1m30s","retries":{"max":2,"backoff":"5s"},"redeploy":false,"min_replicas":3,
	"priority":{"user":5,"emergency":"high","weight":-2},"preemption":"never","exclusive":"drone"}`

func TestPlainAcceptsWhatProgramsWrite(t *testing.T) {
	for _, text := range []string{
		plainSpec, `{}`, " \r\n\t{ \"args\" : [ \"a\" , \"b\" ] } ", `{"redeploy":true}`, `{"resources":{}}`,
		`{"resources":{"cpu":-0,"memory":-12,"io":999999999999999999}}`, `{"env":{"a":"1","a":"2"}}`, `{"args":["{}[],:"]}`,
	} {
		require.True(t, plainEqualsJSON(t, []byte(text)), text)
	}
	// Programs marshal specs, as our own command line does.
	s, err := ParseSpec([]byte(`{"command":"true","args":["a"],"env":{"K":"V"},"timeout":"90s"}`))
	require.NoError(t, err)
	b, err := json.Marshal(&s)
	require.NoError(t, err)
	require.True(t, plainEqualsJSON(t, b), "%s", b)
}

// JSON that is not plain is left to encoding/json, whether it is valid or not.
func TestPlainRefusesTheRest(t *testing.T) {
	for _, text := range []string{
		``, ` `, `[]`, `"x"`, `null`, `{`, `{"`, `{"args`, `{"args"`, `{"args":`, `{"args":[`, `{"args":["a"`, `{"args":["a",]}`, `{"args":["a" "b"]}`,
		`{"args":null}`, `{"args":{}}`, `{"env":[]}`, `{"env":{"a"}}`, `{,}`, `{"args":[]`, `{"args":[]}}`, `{"args":[]}{}`, `{} x`,
		`{"command":"a\"b"}`, `{"command":"a\u0041"}`, "{\"command\":\"a\nb\"}", "{\"command\":\"\xff\"}", `{"command":"ä"}`, `{"Command":"a"}`,
		`{"command":"a","command":"b"}`, `{"resources":{"cpu":1,"cpu":2}}`, `{"resources":{"cpu":1},"resources":{"io":2}}`,
		`{"resources":{"cpu":01}}`, `{"resources":{"cpu":1.0}}`, `{"resources":{"cpu":1e3}}`, `{"resources":{"cpu":-}}`, `{"resources":{"cpu":+1}}`,
		`{"resources":{"cpu":9223372036854775808}}`, `{"resources":{"cpu":"1"}}`, `{"resources":{"devices":{"c":1}}}`, `{"resources":{"cpu"`,
		`{"min_replicas":99999999999}`, `{"redeploy":tru}`, `{"redeploy":1}`, `{"redeploy":t`, `{"timeout":5}`, `{"timeout":"5 parsecs"}`, `{"timeout":""}`,
		`{"priority":{"user":5,"user":6}}`, `{"priority":{"deadline":null}}`, `{"after":["j"]}`, `{"comand":"true"}`, `{"retries":{"often":1}}`,
	} {
		require.False(t, plainEqualsJSON(t, []byte(text)), text)
	}
}

// TestPlainEqualsJSON changes plain JSON in one place, with parts of plain JSON in any order.
func TestPlainEqualsJSON(t *testing.T) {
	parts := rapid.SampledFrom(strings.FieldsFunc(strings.NewReplacer(":", "\x00:\x00", ",", "\x00,\x00", "{", "\x00{\x00", "}", "\x00}\x00", "[", "\x00[\x00", "]", "\x00]\x00").
		Replace(plainSpec+` 01.-+tfn\"`), func(r rune) bool { return r == 0 }))
	taken := 0
	rapid.Check(t, func(t *rapid.T) {
		text := plainSpec
		from := rapid.IntRange(0, len(text)).Draw(t, "from")
		to := rapid.IntRange(from, min(len(text), from+12)).Draw(t, "to")
		text = text[:from] + strings.Join(rapid.SliceOfN(parts, 0, 3).Draw(t, "parts"), "") + text[to:]
		if plainEqualsJSON(t, []byte(text)) {
			taken++
		}
	})
	require.Positive(t, taken)
}

// One byte is missing or changed.
func TestPlainEqualsJSONForEachByte(t *testing.T) {
	for i := range plainSpec {
		plainEqualsJSON(t, []byte(plainSpec[:i]))
		plainEqualsJSON(t, []byte(plainSpec[:i]+plainSpec[i+1:]))
		for _, c := range []byte("\x00\x1f\x7f\xff \"\\{}[],:019-.etn") {
			plainEqualsJSON(t, []byte(plainSpec[:i]+string(c)+plainSpec[i+1:]))
		}
	}
}

// A spec shares no memory with the caller's text.
func TestPlainKeepsNoText(t *testing.T) {
	text := []byte(plainSpec)
	var s, want Spec
	require.True(t, parsePlainSpec(text, &s))
	require.True(t, parsePlainSpec([]byte(plainSpec), &want))
	for i := range text {
		text[i] = 'x'
	}
	require.Equal(t, want, s)
}

// The limit is for the encoded spec, even if its JSON is shorter (rule L11).
func TestEncodedSizeCounts(t *testing.T) {
	_, err := ParseSpec([]byte(`{"command":"` + strings.Repeat("x", MaxSpec-20) + `"}`))
	require.ErrorContains(t, err, "encoded")
	_, err = ParseSpec([]byte(`{"command":"` + strings.Repeat("x", MaxSpec-200) + `"}`))
	require.NoError(t, err)
}

// BenchmarkParseSpec compares what a broker does (ParseSpec) with what it would do
// without plain.go.
func BenchmarkParseSpec(b *testing.B) {
	text := []byte(`{"driver":"process","command":"/opt/ucp/bin/assess","args":["--station","fire-07","--district","7","--report","0001-00000001","--format","geojson"],` +
		`"env":{"REGION":"marburg-biedenkopf","LOG_LEVEL":"warning"},"resources":{"cpu":250,"memory":134217728},"retries":{"max":2,"backoff":"5s"},` +
		`"labels":{"team":"flood-response","shift":"night"},"constraints":["zone=nowhere","arch in (amd64, arm64)"],"timeout":"90s"}`)
	for name, parse := range map[string]func(){
		"plain":     func() { parsePlainSpec(text, new(Spec)) },
		"json":      func() { _ = strictJSON(text, new(Spec)) },
		"ParseSpec": func() { _, _ = ParseSpec(text) },
	} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				parse()
			}
		})
	}
}
