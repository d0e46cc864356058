package strictjson

import (
	"encoding/json"
	"errors"
	"testing"

	"github.com/stretchr/testify/require"
)

type duration int64

var errDuration = errors.New(`a duration is a string such as "90s"`)

func (d *duration) UnmarshalJSON(b []byte) error {
	if b[0] != '"' {
		return errDuration
	}
	*d = duration(len(b))
	return nil
}

type spec struct {
	Command   string            `json:"command"`
	Args      []string          `json:"args"`
	Env       map[string]string `json:"env"`
	Timeout   duration          `json:"timeout"`
	Redeploy  *bool             `json:"redeploy"`
	Resources struct {
		CPU int64  `json:"cpu"`
		Max uint64 `json:"max"`
	} `json:"resources"`
}

// What encoding/json takes, and changes or drops without a word, is an error that names the field.
func TestNothingIsChangedInSilence(t *testing.T) {
	for in, want := range map[string]string{
		`{"comand":"x"}`:                      `unknown field "comand"`,
		`{"Command":"x"}`:                     `unknown field "Command"`,
		`{"resources":{"CPU":1}}`:             `unknown field "CPU" in resources`,
		`{"command":"x","command":"y"}`:       `the field "command" occurs twice`,
		`{"env":{"A":"1","A":"2"}}`:           `the field "A" occurs twice in env`,
		`{"env":{"A":"1","\u0041":"2"}}`:      `the field "A" occurs twice in env`,
		`{"command":"\ud800"}`:                `command: invalid surrogate pair`,
		`{"command":"\udc00\ud800"}`:          `command: invalid surrogate pair`,
		`{"env":{"\ud800":"x"}}`:              `env: invalid surrogate pair`,
		"{\"command\":\"a\xff\"}":             `command: invalid UTF-8`,
		"{\"args\":[\"b\",\"a\xff\"]}":        `args.1: invalid UTF-8`,
		`{"command":5}`:                       `command: it must be a string, not a number`,
		`{"args":"x"}`:                        `args: it must be a list, not a string`,
		`{"args":[1]}`:                        `args.0: it must be a string, not a number`,
		`{"env":[]}`:                          `env: it must be an object, not a list`,
		`{"redeploy":"yes"}`:                  `redeploy: it must be true or false, not a string`,
		`{"resources":{"cpu":true}}`:          `resources.cpu: it must be an integer, not a boolean`,
		`{"resources":{"cpu":1.5}}`:           `resources.cpu: it must be an integer, not 1.5`,
		`{"resources":{"max":-1}}`:            `resources.max: it must be an integer that is not negative, not -1`,
		`{"timeout":5}`:                       `timeout: a duration is a string such as "90s"`,
		`[]`:                                  `it must be an object, not a list`,
		`{"command":"x"} {}`:                  `something follows the JSON value`,
		`{"command":"x"`:                      `unexpected EOF`,
		``:                                    `it is empty`,
		" \n":                                 `unexpected EOF`,
		"\xef\xbb\xbf{\"command\":\"a BOM\"}": `invalid character`,
	} {
		err := Unmarshal([]byte(in), new(spec))
		require.ErrorContains(t, err, want, in)
		require.NotContains(t, err.Error(), "Go ", in)
	}
	require.ErrorIs(t, Unmarshal([]byte(`{"timeout":5}`), new(spec)), errDuration)
}

// What is decoded leniently can be looked at first.
func TestCheckText(t *testing.T) {
	for _, bad := range []string{`{"a":"\ud800"}`, `{"\udc00":1}`, "[\"\xff\"]", "\"\xed\xa0\x80\"", `{`, ``} {
		require.Error(t, CheckText([]byte(bad)), bad)
	}
	for _, good := range []string{`{"a":"\ud83d\ude00\ufffd","a":1,"b":[{}]}`, `7`} {
		require.NoError(t, CheckText([]byte(good)), good)
	}
}

// What can't be JSON is not sent; all else is what encoding/json makes of it.
func TestMarshal(t *testing.T) {
	b, err := Marshal(map[string]any{"b": "<\ufffd\u2028>", "a": []string{"x"}, "c": json.RawMessage(`{"z":1}`), "d": (*spec)(nil)})
	require.NoError(t, err)
	want, err := json.Marshal(map[string]any{"b": "<\ufffd\u2028>", "a": []string{"x"}, "c": json.RawMessage(`{"z":1}`), "d": (*spec)(nil)})
	require.NoError(t, err)
	require.Equal(t, string(want), string(b))
	for _, bad := range []any{spec{Command: "caf\xe9"}, spec{Args: []string{"a", "\xff"}}, spec{Env: map[string]string{"\xff": "x"}}, "\xed\xa0\x80"} {
		_, err := Marshal(bad)
		require.ErrorContains(t, err, "invalid UTF-8")
	}
}

// What is right means the same as to encoding/json.
func TestWhatIsRight(t *testing.T) {
	for _, in := range []string{
		`{}`, ` {"command":"x\ud83d\ude00\u0000\/", "args":null, "redeploy":null} `,
		`{"args":[],"env":{"a":"b"},"redeploy":false,"timeout":"5s","resources":{"cpu":-7,"max":18446744073709551615}}`,
	} {
		var got, want spec
		require.NoError(t, Unmarshal([]byte(in), &got), in)
		require.NoError(t, json.Unmarshal([]byte(in), &want), in)
		require.Equal(t, want, got, in)
	}
}
