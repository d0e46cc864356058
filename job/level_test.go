package job

import (
	"encoding/json"
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/urban-compute/ucp/strictjson"
)

// A level may be its number, as a number and as a text; what is kept is its name, so that brokers of earlier versions,
// which know names alone, agree on it.
func TestLevelsAsNumbers(t *testing.T) {
	for number, name := range Levels() {
		want, err := ParseSpec([]byte(with(`"priority":{"emergency":"` + name + `"}`)))
		require.NoError(t, err)
		require.Equal(t, number, Level(name))
		for _, text := range []string{`%d`, `"%d"`, `%d.0`} {
			text = fmt.Sprintf(text, number)
			got, err := ParseSpec([]byte(with(`"priority":{"emergency":` + text + `}`)))
			require.NoError(t, err, text)
			require.Equal(t, name, got.Priority.Emergency, text)
			require.Equal(t, want.Digest(), got.Digest(), "%s: they are spellings of the same job", text)
		}
		yaml, err := strictjson.FromYAML([]byte("command: work\npriority: {emergency: " + string(rune('0'+number)) + "}\n"))
		require.NoError(t, err)
		got, err := ParseSpec(yaml)
		require.NoError(t, err)
		require.Equal(t, name, got.Priority.Emergency)
		s := Spec{Command: "work", Priority: Priority{Emergency: string(rune('0' + number))}}
		require.NoError(t, s.Complete())
		require.Equal(t, name, s.Priority.Emergency)
	}
	for _, wrong := range []string{`5`, `-1`, `1.5`, `1e300`, `true`, `[3]`, `{}`} {
		_, err := ParseSpec([]byte(with(`"priority":{"emergency":` + wrong + `}`)))
		require.ErrorContains(t, err, "priority.emergency", wrong)
	}
	for _, kept := range []string{"5", "03", "flood-3", "", "3a"} {
		require.Equal(t, kept, LevelOf(kept))
	}
}

// In a record of an earlier version "3" is the ID or type of an emergency, and stays that: brokers of that version take it
// for nothing else.
func TestNumbersInOldRecordsAreNoLevels(t *testing.T) {
	s := Spec{Command: "true", Priority: Priority{User: DefaultUser}}
	require.NoError(t, s.Complete())
	s.Priority.Emergency = "3"
	r, err := DecodeRecord(New("j", s, s.Digest(), creation).Encode())
	require.NoError(t, err)
	require.Equal(t, "3", r.Spec.Priority.Emergency)
	require.Equal(t, s.Digest(), r.Spec.Digest())
	require.Equal(t, -1, Level("3"))
}

// A weight of thousandths is written and read without loss, whole ones as before, and a broker of an earlier version finds
// the whole number where it was.
func TestFractionalWeights(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		weight, urgency := Milli(rapid.IntRange(0, 10_000).Draw(t, "weight")), Milli(rapid.IntRange(0, 1000).Draw(t, "urgency"))
		s, err := ParseSpec([]byte(with(`"priority":{"weight":` + weight.String() + `,"urgency":` + urgency.String() + `}`)))
		require.NoError(t, err)
		require.Equal(t, weight, s.Weight())
		require.Equal(t, urgency, s.Urgency)
		require.EqualValues(t, int(weight)/1000, s.Priority.Weight)
		text, err := json.Marshal(s)
		require.NoError(t, err)
		again, err := ParseSpec(text)
		require.NoError(t, err)
		require.Equal(t, s.Digest(), again.Digest())
		r, err := DecodeRecord(New("j", s, s.Digest(), creation).Encode())
		require.NoError(t, err)
		require.Equal(t, s.Weight(), r.Spec.Weight())
	})
	for text, want := range map[string]Milli{"0": 0, "2": 2000, "2.5": 2500, "0.30000000000000004": 300, "1e-1": 100, "0.0004": 0, "0.0005": 1, "-0.5": -500} {
		got, err := ParseMilli(text)
		require.NoError(t, err)
		require.Equal(t, want, got, text)
	}
	for _, text := range []string{"", "x", "NaN", "Inf", "1e300", "0,5", "\"1\""} {
		_, err := ParseMilli(text)
		require.Error(t, err, text)
	}
}
